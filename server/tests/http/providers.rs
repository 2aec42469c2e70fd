//! What models run on: the choice at the start, and what metadata, metrics and log say of it. ONNX Runtime is one without CUDA.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::Png;
use serde_json::{Value, json};

use crate::{
    images::plain,
    support::{Server, fixture},
};

fn execution(server: &Server, model: &str) -> Value {
    server.get(&format!("/v2/models/{model}")).json()["parameters"]["execution"].clone()
}

/// Waits for a text in the log, which is written beside the answers and not before them.
#[track_caller]
fn logged(server: &Server, text: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    while !server.log().contains(text) {
        assert!(Instant::now() < end, "the log does not say {text:?}:\n{}", server.log());
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the server says on standard error when it does not start, with its exit code.
fn refused(options: &[&str]) -> (Option<i32>, String) {
    let output = Server::command(options).stdin(Stdio::null()).output().unwrap();
    assert!(output.stdout.is_empty(), "{options:?} was started");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_node_runs_on_the_processor_and_everything_says_so() {
    let server = Server::with_detectors(&[]);
    let metrics = server.get("/metrics").text();
    for model in ["tiny", "whole", "multi", "d", "dw", "dt"] {
        let about = execution(&server, model);
        assert_eq!((&about["provider"], &about["batch_sizes"]), (&json!("cpu"), &json!([])), "{model}: {about}");
        assert!(about.get("instead_of").is_none(), "{model}: {about}");
        let nodes = about["nodes"].as_object().unwrap();
        let n = nodes["CPUExecutionProvider"].as_u64().unwrap();
        assert!(nodes.len() == 1 && n >= 4, "{model}: {about}");
        for line in [
            format!("fovea_model_provider{{model=\"{model}\",version=\"1\",provider=\"cpu\"}} 1"),
            format!("fovea_model_nodes{{model=\"{model}\",version=\"1\",provider=\"CPUExecutionProvider\"}} {n}"),
        ] {
            assert!(metrics.lines().any(|l| l == line), "{line} is missing in\n{metrics}");
        }
    }
    logged(&server, "cpu; nodes: CPUExecutionProvider");
}

#[test]
fn a_provider_that_cannot_be_started_is_an_error() {
    for options in [&["--provider", "cuda"][..], &["--provider", "multi=cuda:3"]] {
        let (code, log) = refused(options);
        assert_eq!(code, Some(2), "{log}");
        let device = options[1].strip_prefix("multi=").unwrap_or("cuda:0");
        for part in [device, "without CUDA", "onnxruntime-gpu", "--provider-fallback cpu"] {
            assert!(log.contains(part), "{options:?} does not say {part}: {log}");
        }
    }
    for (options, said) in [
        (&["--provider", "tpu"][..], "'tpu' is no provider"),
        (&["--provider", "openvino:TPU"], "openvino:NPU"),
        (&["--provider", "nobody=cpu"], "there are tiny, whole, multi"),
        (&["--provider", "cpu", "--provider", "cpu"], "twice for all models"),
        (&["--cuda-graphs"], "without a model on cuda"),
        (&["--provider-fallback", "cuda"], "cuda"),
    ] {
        let (code, log) = refused(options);
        assert!(code == Some(2) && log.contains(said) && !log.contains("panicked"), "{options:?}: {log}");
    }
}

#[test]
fn a_library_that_is_not_there_or_none_is_an_error() {
    let none = fixture("animated.gif");
    let none = none.to_str().unwrap();
    for (provider, variable, get) in [
        ("openvino", "FOVEA_OPENVINO", "onnxruntime-ep-openvino"),
        ("openvino:GPU", "FOVEA_OPENVINO", "scripts/setup --openvino"),
        ("tensorrt:0", "FOVEA_TENSORRT", "scripts/setup --tensorrt"),
    ] {
        let log = |place: &str| {
            let mut command = Server::command(&["--provider", provider]);
            let output = command.env(variable, place).stdin(Stdio::null()).output().unwrap();
            assert!(output.stdout.is_empty() && output.status.code() == Some(2), "{provider} was started");
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let nowhere = log("/nowhere/at/all");
        for part in [provider, "was not found; searched: /nowhere/at/all", get, "--provider-fallback cpu"] {
            assert!(nowhere.contains(part), "{provider} does not say {part}: {nowhere}");
        }
        let broken = log(none);
        // Of TensorRT's library what it needs is looked for first: the driver, and what comes with it.
        let reasons = ["animated.gif cannot be opened", "driver is not found", "these libraries cannot be loaded"];
        assert!(reasons.iter().any(|reason| broken.contains(reason)), "{provider}: {broken}");
        assert!(broken.contains("--provider-fallback cpu") && !broken.contains("panicked"), "{provider}: {broken}");
    }
}

#[test]
fn a_fallback_is_taken_in_place_of_a_missing_library() {
    let mut command = Server::command(&["--provider", "openvino", "--provider-fallback", "cpu"]);
    let server = Server::start_from(command.env("FOVEA_OPENVINO", "/nowhere"));
    let about = execution(&server, "tiny");
    assert_eq!((&about["provider"], &about["instead_of"]), (&json!("cpu"), &json!("openvino:CPU")), "{about}");
    logged(&server, "cpu in place of openvino:CPU");
}

#[test]
fn a_fallback_is_taken_and_told() {
    let server = Server::start(&["--provider", "tiny=cuda:1", "--provider-fallback", "cpu"]);
    let about = execution(&server, "tiny");
    assert_eq!((&about["provider"], &about["instead_of"]), (&json!("cpu"), &json!("cuda:1")), "{about}");
    assert_eq!(about["batch_sizes"], json!([]), "what pays on a card only is not done in place of it");
    assert!(execution(&server, "whole").get("instead_of").is_none());
    logged(&server, "without CUDA");
    logged(&server, "cpu in place of cuda:1");
    assert_eq!(server.post("/score?model=tiny", "image/png", &plain(16, 16, [9, 0, 0], Png)).status, 200);
}

#[test]
fn padded_batches_are_counted_and_answered_alike() {
    let (alone, padded) =
        (Server::with_detectors(&[]), Server::with_detectors(&["--pad-batches", "always", "--max-batch", "6"]));
    assert_eq!(execution(&padded, "d")["batch_sizes"], json!([1, 2, 4, 6]));
    let colours = [[200, 100, 0], [0, 250, 30], [90, 90, 90], [10, 0, 255], [77, 201, 140]];
    for model in ["tiny", "whole", "multi", "d", "dw", "dt"] {
        for n in 1..=colours.len() {
            let images: Vec<String> =
                colours[..n].iter().map(|&colour| STANDARD.encode(plain(64, 64, colour, Png))).collect();
            let body = json!({ "input_data": { "columns": ["image"], "data": images } }).to_string();
            let ask = |server: &Server| {
                server.post(&format!("/score?model={model}"), "application/json", body.as_bytes()).json()
            };
            assert_eq!(ask(&padded), ask(&alone), "{model}, {n} images");
        }
    }
    let count = |server: &Server, model: &str, size: usize| {
        let start = format!("fovea_batches_total{{model=\"{model}\",version=\"1\",size=\"{size}\"}} ");
        server.get("/metrics").text().lines().find_map(|l| l.strip_prefix(&start)?.parse::<u32>().ok()).unwrap_or(0)
    };
    let sizes = |server: &Server, model: &str| (1..=6).map(|size| count(server, model, size)).collect::<Vec<_>>();
    assert_eq!(sizes(&alone, "tiny"), [1, 1, 1, 1, 1, 0]);
    assert_eq!(sizes(&padded, "tiny"), [1, 1, 0, 2, 0, 1]);
    logged(&padded, "batches padded to [1, 2, 4, 6]");
    logged(&padded, "as the cpu does");
}

#[test]
fn without_a_place_for_a_profile_the_processor_serves_all_the_same() {
    let mut command = Server::command(&[]);
    let server = Server::start_from(command.env("TMPDIR", "/nowhere/at/all"));
    assert!(execution(&server, "tiny").get("nodes").is_none());
    assert_eq!(execution(&server, "tiny")["provider"], "cpu");
    logged(&server, "TMPDIR");
}

#[test]
fn help_tells_the_providers() {
    let help = Command::new(env!("CARGO_BIN_EXE_server")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for option in ["--provider <[NAME=]PROVIDER>", "--provider-fallback", "--pad-batches", "--cuda-graphs"] {
        assert!(help.contains(option), "{option}: {help}");
    }
}
