//! The clients that users copy, `examples/server`: each answers as the server does, and fails where the server refuses.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{Server, fixture};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/server").join(name)
}

/// Runs a client, which must be there: Python 3 is needed to set Fovea up, curl comes with every system that CI runs on.
fn run(program: &str, script: &str, server: &Server, files: &[&str]) -> Output {
    let files = files.iter().map(|file| fixture(file));
    let mut command = Command::new(program);
    command.arg(example(script)).arg(format!("http://127.0.0.1:{}", server.port)).args(files);
    // No proxy: the server is on this machine.
    command.env("no_proxy", "127.0.0.1").output().unwrap()
}

fn answered(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_python_client_prints_an_answer_for_each_image() {
    let server = Server::start(&[]);
    let files = ["rotated.jpg", "progressive.jpg"];
    let text = answered(&run("python3", "client.py", &server, &files));
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), files.len(), "{text}");
    for (answer, file) in answers.iter().zip(files) {
        let image = std::fs::read(fixture(file)).unwrap();
        let direct = server.post("/score", "image/jpeg", &image).json();
        assert_eq!((&answer["probs"], &answer["labels"]), (&direct["probs"], &direct["labels"]));
        assert!(answer["filename"].as_str().unwrap().ends_with(file), "{answer}");
    }
}

#[test]
fn the_shell_client_prints_the_answer_for_an_image() {
    let server = Server::start(&[]);
    let answer: Value = serde_json::from_str(&answered(&run("sh", "client.sh", &server, &["rotated.jpg"]))).unwrap();
    assert_eq!(answer["filename"], "rotated.jpg");
    assert_eq!(answer["probs"].as_array().unwrap().len(), 3);
}

#[test]
fn the_clients_say_what_the_server_refused() {
    let server = Server::start(&[]);
    for (program, script) in [("python3", "client.py"), ("sh", "client.sh")] {
        let output = run(program, script, &server, &["tiny_whole.onnx"]);
        let said = [output.stdout, output.stderr].concat();
        assert!(!output.status.success(), "{script}");
        assert!(
            String::from_utf8_lossy(&said).contains("invalid_image"),
            "{script}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}
