//! The server with models on OpenVINO, beside the same server on the processor. Needs OpenVINO: `scripts/setup --openvino`, and then
//! `scripts/openvino/run scripts/test -- --ignored openvino`, as `.ci/run` does it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::Png;
use serde_json::{Value, json};

use crate::{
    images::plain,
    support::{OBJECT_MODELS, Server},
};

const NAMES: [&str; 8] = ["tiny", "whole", "multi", "d", "dw", "dt", "m", "mw"];

fn execution(server: &Server, model: &str) -> Value {
    server.get(&format!("/v2/models/{model}")).json()["parameters"]["execution"].clone()
}

/// Whether two answers are the same but for the last digits of numbers.
fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-5,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| close(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_serves_every_kind_of_model() {
    let alone = Server::with_models(&OBJECT_MODELS, &[]);
    let mut server = Server::with_models(&OBJECT_MODELS, &["--provider", "openvino"]);
    let metrics = server.get("/metrics").text();
    for model in NAMES {
        let about = execution(&server, model);
        assert_eq!((&about["provider"], &about["batch_sizes"]), (&json!("openvino:CPU"), &json!([])), "{about}");
        let nodes = about["nodes"]["OpenVINOExecutionProvider"].as_u64().unwrap_or(0);
        assert!(nodes >= 1 && about.get("instead_of").is_none(), "{model}: {about}");
        let labels = format!("model=\"{model}\",version=\"1\",provider=");
        for line in [
            format!("fovea_model_provider{{{labels}\"openvino:CPU\"}} 1"),
            format!("fovea_model_nodes{{{labels}\"OpenVINOExecutionProvider\"}} {nodes}"),
        ] {
            assert!(metrics.lines().any(|l| l == line), "{line} is missing in\n{metrics}");
        }
        let config = server.get(&format!("/v2/models/{model}/config")).json();
        assert_eq!(config["instance_group"][0]["kind"], "KIND_CPU", "{config}");
        for n in [1, 3] {
            // No two scores of an image are equal: which of two equal ones comes first is nobody's promise.
            let colours = [[200, 120, 0], [0, 250, 30], [90, 150, 230]];
            let images: Vec<String> =
                colours[..n].iter().map(|&colour| STANDARD.encode(plain(64, 64, colour, Png))).collect();
            let body = json!({ "input_data": { "columns": ["image"], "data": images } }).to_string();
            let ask = |server: &Server, query: &str| {
                let path = format!("/score?model={model}{query}");
                server.post(&path, "application/json", body.as_bytes()).json()
            };
            let thresholds =
                if model.starts_with(['d', 'm']) && model != "multi" { "&score_threshold=0.05" } else { "" };
            for query in ["", thresholds] {
                let (got, expected) = (ask(&server, query), ask(&alone, query));
                assert!(close(&got, &expected), "{model}{query}, {n} images: {got}\n{expected}");
            }
        }
    }
    assert!(server.log().contains("as the cpu does"), "{}", server.log());
    server.signal("TERM");
    assert_eq!(server.wait(std::time::Duration::from_secs(20)), Some(0), "{}", server.log());
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_is_left_where_a_device_is_missing_and_the_fallback_says_so() {
    // No machine has both; where one of them is there, it has to serve.
    for device in ["openvino:NPU", "openvino:GPU"] {
        let server = Server::start(&["--provider", &format!("tiny={device}"), "--provider-fallback", "cpu"]);
        let about = execution(&server, "tiny");
        if about["provider"] == "cpu" {
            assert_eq!(about["instead_of"], device, "{about}");
            let output = Server::command(&["--provider", &format!("tiny={device}")]).output().unwrap();
            let log = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{log}");
            for part in [device, "on this machine, only openvino:CPU", "--provider-fallback cpu"] {
                assert!(log.contains(part), "{part}: {log}");
            }
        } else {
            assert_eq!(about["provider"], device, "{about}");
        }
        assert_eq!(server.post("/score?model=tiny", "image/png", &plain(16, 16, [9, 0, 0], Png)).status, 200);
    }
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_pads_where_it_is_told_to() {
    let server = Server::start(&["--provider", "openvino:CPU", "--pad-batches", "always", "--max-batch", "4"]);
    assert_eq!(execution(&server, "tiny")["batch_sizes"], json!([1, 2, 4]));
    assert_eq!(server.post("/score?model=tiny", "image/png", &plain(16, 16, [9, 0, 0], Png)).status, 200);
}
