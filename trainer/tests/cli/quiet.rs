//! Nothing leaves the machine: each program, in an empty home, talks to nobody and writes only what it was told to write.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::quick;
use crate::trace::{Allowed, Traced, skip, unavailable};

/// Another program of the workspace, which lies beside the trainer.
fn beside(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_trainer")).with_file_name(name);
    assert!(program.is_file(), "{} is not there; build the whole workspace first", program.display());
    program
}

/// A folder with a sub-folder for each traced program.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    /// Runs a program to its end, which must be a success; it may write into these folders only.
    fn quiet(&self, name: &str, program: &Path, arguments: &[&str], written: &[&Path]) {
        let mut traced = Traced::new(program, &self.folder.join(name));
        let output = traced.command.args(arguments).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {log}");
        let found = traced.violations(&Allowed { written, listens: false });
        assert!(found.is_empty(), "{name} did what it was not told to do: {found:#?}");
    }
}

#[test]
fn no_program_talks_to_anybody_or_writes_what_it_was_not_told_to() {
    if let Some(reason) = unavailable() {
        return skip(&reason);
    }
    let temporary = tempfile::tempdir().unwrap();
    let bench = Bench { folder: fs::canonicalize(temporary.path()).unwrap() };
    let path = |name: &str| bench.folder.join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let trainer = Path::new(env!("CARGO_BIN_EXE_trainer"));

    bench.quiet("sample-data", trainer, &["sample-data", "--output", &text("data"), "--count", "12"], &[&path("data")]);
    let (rows, page) = (text("data/train.jsonl"), text("checked"));
    bench.quiet("check", trainer, &["check", &rows, "--output", &page], &[&path("checked")]);
    let train = quick(&path("data"), &path("run"), 1);
    let train: Vec<&str> = train.iter().map(String::as_str).collect();
    bench.quiet("train", trainer, &train, &[&path("run")]);

    let (run, onnx) = (text("run"), text("run/checkpoints/best/model.onnx"));
    let (listing, image) = (text("data/validation.jsonl"), text("data/images/validation/00000.jpg"));
    bench.quiet("evaluate", trainer, &["evaluate", "--checkpoint", &run, "--data", &listing], &[]);
    bench.quiet("evaluate-onnx", trainer, &["evaluate", "--onnx", &onnx, "--data", &listing], &[]);
    bench.quiet("predict", trainer, &["predict", "--checkpoint", &run, &image], &[]);
    let save = ["predict", "--onnx", &onnx, &image, "--save", &text("answers")];
    bench.quiet("predict-onnx", trainer, &save, &[&path("answers")]);
    fs::create_dir(path("vectors")).unwrap();
    let embed = ["embed", "--checkpoint", &run, "--output", &text("vectors/all.npy"), &image];
    bench.quiet("embed", trainer, &embed, &[&path("vectors")]);
    bench.quiet("models", trainer, &["models"], &[]);

    fs::create_dir(path("export")).unwrap();
    let served = text("export/model.onnx");
    let export = ["--checkpoint", &run, "--form", "prepared", "--output", &served];
    bench.quiet("exporter", &beside("exporter"), &export, &[&path("export")]);
    serve(&path("server"), &served, &fs::read(&image).unwrap());
}

/// The server answers one image and ends when told to.
fn serve(place: &Path, model: &str, image: &[u8]) {
    let mut traced = Traced::new(&beside("server"), place);
    traced.command.args(["--model", &format!("m={model}"), "--bind", "127.0.0.1:0"]);
    let mut child = traced.command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").expect("the address it listens on");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = "POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n", image.len()).unwrap();
    stream.write_all(image).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let process = traced.process().expect("a process that was traced");
    assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // ONNX Runtime says where nodes run in a file, which is read and deleted.
    let temporary = place.join("tmp");
    let found = traced.violations(&Allowed { written: &[&temporary], listens: true });
    assert!(found.is_empty(), "server did what it was not told to do: {found:#?}");
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "what was temporary is gone");
}
