//! What a run starts from: weights that are fetched, a file, the model of a previous run.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::support::{expect, quick, sample, trainer};

fn arguments(data: &Path, run: &Path, options: &[(&str, &str)]) -> Vec<String> {
    let mut args = quick(data, run, 1);
    for (name, value) in options {
        match args.iter().position(|arg| arg == name) {
            Some(at) if *value == "-" => drop(args.drain(at..at + 2)),
            Some(at) => args[at + 1] = (*value).to_owned(),
            None => args.extend([(*name).to_owned(), (*value).to_owned()]),
        }
    }
    args
}

/// Where the weights of an exported file came from, as its metadata says.
fn origin(run: &Path) -> Value {
    let options = runtime::Options { intra_threads: 1, library: None };
    let model = runtime::Model::open(&run.join("checkpoints/best/model.onnx"), &options).unwrap();
    serde_json::to_value(&model.meta().weights).unwrap()
}

#[test]
fn a_run_starts_from_a_file_or_from_a_previous_run_and_its_export_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let [first, second, third] = ["first", "second", "third"].map(|name| folder.path().join(name));
    expect(0, arguments(&data, &first, &[("--export", "none")]));
    let place = first.to_str().unwrap();
    let weights = first.join("checkpoints/best/model.safetensors");
    let weights = weights.to_str().unwrap();

    expect(0, arguments(&data, &second, &[("--pretrained", "-"), ("--checkpoint_run", place)]));
    let plan: Value = serde_json::from_slice(&std::fs::read(second.join("plan.json")).unwrap()).unwrap();
    assert_eq!(plan["checkpoint_run"], place);
    let log = std::fs::read_to_string(second.join("run.log")).unwrap();
    assert!(
        log.contains("starting from a previous run of efficientnet_lite0, epoch 1, which started from random"),
        "{log}"
    );
    assert!(!log.contains("missing") && !log.contains("unexpected"), "{log}");
    assert_eq!(origin(&second)["licence"], "unknown");

    expect(0, arguments(&data, &third, &[("--pretrained", weights)]));
    assert_eq!(origin(&third)["source"], "model.safetensors");

    let both = arguments(&data, &folder.path().join("both"), &[("--pretrained", weights), ("--checkpoint_run", place)]);
    expect(2, both);
    let other = arguments(
        &data,
        &folder.path().join("other"),
        &[("--pretrained", "-"), ("--checkpoint_run", place), ("--model_name", "mobilenetv2")],
    );
    expect(2, other);
}

/// A server that has nothing.
fn nothing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            assert!(lines.map_while(Result::ok).any(|line| line.is_empty()));
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn weights_that_cannot_be_had_are_an_error_with_three_ways_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 12);
    let cache = folder.path().join("cache");
    for (offline, reason) in [("1", "FOVEA_OFFLINE"), ("0", "404")] {
        let options = [("--pretrained", "auto"), ("--model_name", "resnet152")];
        let mut args = arguments(&data, &folder.path().join(format!("run{offline}")), &options);
        args.push("--json".to_owned());
        let mut command = trainer(args);
        command.env("FOVEA_WEIGHTS", &cache).env("FOVEA_WEIGHTS_URL", nothing()).env("FOVEA_OFFLINE", offline);
        let output = command.output().unwrap();
        let body: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(body["code"], "weights_unavailable", "{body}");
        let text = body["error"].as_str().unwrap();
        for part in [reason, cache.to_str().unwrap(), "--pretrained FILE", "--pretrained none"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
