//! Right answers on every route, and the interface's description.

use std::io::{Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
use schemas::prediction::{ClassificationAnswer, InferResponse, ModelMetadata, ServerMetadata};
use serde_json::{Value, json};

use crate::{
    images::{grey, noise, plain, sixteen_bit},
    support::{Response, Server, post, read},
};

/// Softmax of a plain colour over 16, as the tiny network answers.
fn softmax(colour: [u8; 3]) -> Vec<f64> {
    let exponents = colour.map(|c| (f64::from(c) / 16.0).exp());
    exponents.iter().map(|e| e / exponents.iter().sum::<f64>()).collect()
}

#[track_caller]
fn check_probs(got: &Value, want: &[f64]) {
    let got: Vec<f64> = got.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 2e-3, "{got:?} against {want:?}");
    }
}

fn top(answer: &Value) -> String {
    let probs = answer["probs"].as_array().unwrap();
    let best = (0..probs.len()).max_by(|&a, &b| probs[a].as_f64().unwrap().total_cmp(&probs[b].as_f64().unwrap()));
    answer["labels"][best.unwrap()].as_str().unwrap().to_owned()
}

#[test]
fn score_takes_every_format_and_both_forms() {
    let server = Server::start(&[]);
    let colour = [120, 60, 100];
    for (format, media) in [
        (Png, "image/png"),
        (Jpeg, "image/jpeg"),
        (Bmp, "application/octet-stream"),
        (WebP, "image/webp"),
        (Tiff, "image/tiff"),
    ] {
        for model in ["tiny", "whole"] {
            let image = plain(37, 21, colour, format);
            let answer = server.post(&format!("/score?model={model}&filename=a%20b.png"), media, &image);
            assert_eq!(answer.status, 200, "{format:?} {model}: {}", answer.text());
            let answer = answer.json();
            serde_json::from_value::<ClassificationAnswer>(answer.clone()).unwrap();
            assert_eq!(answer["filename"], "a b.png");
            assert_eq!(answer["labels"], json!(["red", "green", "blue"]));
            assert!(answer["visualizations"].is_null() && answer["attributions"].is_null());
            // JPEG may move a plain colour by one level.
            let far = if format == Jpeg { 0.03 } else { 2e-3 };
            for (got, want) in answer["probs"].as_array().unwrap().iter().zip(softmax(colour)) {
                assert!((got.as_f64().unwrap() - want).abs() < far, "{format:?} {model}: {answer}");
            }
        }
    }
}

#[test]
fn score_without_a_model_uses_the_first_and_knows_odd_images() {
    let server = Server::start(&[]);
    for name in ["cmyk.jpg", "progressive.jpg", "rotated.jpg", "animated.png"] {
        let answer = server.post("/score", "application/octet-stream", &read(name));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(top(&answer.json()), "red", "{name}");
    }
    let answer = server.post("/score", "image/png", &sixteen_bit(20, 20)).json();
    assert_eq!((top(&answer), &answer["filename"]), ("red".to_owned(), &json!("image_0")));
    check_probs(&server.post("/score", "image/png", &grey(30, 30)).json()["probs"], &[1.0 / 3.0; 3]);
    check_probs(&server.post("/score", "image/png", &plain(1, 1, [9, 200, 9], Png)).json()["probs"], &[0.0, 1.0, 0.0]);
    let body = plain(16, 16, [1, 2, 3], Png);
    assert_eq!(server.send(&post("/score", &[], &body)).status, 200, "no content type");
}

#[test]
fn score_json_of_both_versions() {
    let server = Server::start(&[]);
    let (red, blue) = (plain(20, 30, [250, 0, 0], Png), plain(31, 17, [0, 0, 250], Png));
    let (red, blue) = (STANDARD.encode(red), STANDARD.encode(blue));
    let one = server.post("/score", "application/json", json!({ "image": red }).to_string().as_bytes());
    assert_eq!((one.status, top(&one.json())), (200, "red".to_owned()));
    let cell = json!({ "image_base64": blue, "model_explainability": false }).to_string();
    let many = json!({ "input_data": { "columns": ["image"], "data": [red, cell, blue, red] } }).to_string();
    for model in ["tiny", "whole"] {
        let path = format!("/score?model={model}");
        let answer = server.post(&path, "application/json; charset=utf-8", many.as_bytes()).json();
        let tops: Vec<String> = answer.as_array().unwrap().iter().map(top).collect();
        assert_eq!(tops, ["red", "blue", "blue", "red"], "{model}");
    }
    let none = json!({ "input_data": { "columns": ["image"], "data": [] } }).to_string();
    assert_eq!(server.post("/score", "application/json", none.as_bytes()).json(), json!([]));
}

#[test]
fn one_image_gives_the_same_bits_alone_and_among_others() {
    let server = Server::start(&["--workers", "2", "--max-batch", "3", "--decode-threads", "4"]);
    let images: Vec<String> = (0..7).map(|i| STANDARD.encode(noise(40 + i * 9, 50, Jpeg))).collect();
    let body = json!({ "input_data": { "columns": ["image"], "data": images } }).to_string();
    for model in ["tiny", "whole", "multi"] {
        let path = format!("/score?model={model}");
        let many = server.post(&path, "application/json", body.as_bytes()).json();
        for (i, image) in images.iter().enumerate() {
            let one = server.post(&path, "application/json", json!({ "image": image }).to_string().as_bytes()).json();
            assert_eq!(one["probs"], many[i]["probs"], "{model}, image {i}");
        }
    }
}

#[test]
fn multi_label_probabilities_stand_alone() {
    let server = Server::start(&[]);
    let answer = server.post("/score?model=multi", "image/png", &plain(16, 16, [255, 255, 0], Png)).json();
    let sigmoid = |v: f64| 1.0 / (1.0 + (8.0 - v / 16.0).exp());
    check_probs(&answer["probs"], &[sigmoid(255.0), sigmoid(255.0), sigmoid(0.0)]);
}

#[test]
fn v2_health_and_metadata() {
    let server = Server::start(&[]);
    assert_eq!(
        server.get("/v2").json()["extensions"],
        json!(["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"])
    );
    for path in ["/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let metadata = server.get("/v2/models/tiny").json();
    serde_json::from_value::<ModelMetadata>(metadata.clone()).unwrap();
    serde_json::from_value::<ServerMetadata>(server.get("/v2").json()).unwrap();
    assert_eq!(metadata["inputs"], json!([{ "name": "images", "datatype": "UINT8", "shape": [-1, 16, 16, 3] }]));
    assert_eq!(metadata["outputs"], json!([{ "name": "probabilities", "datatype": "FP32", "shape": [-1, 3] }]));
    assert_eq!(metadata["parameters"]["labels"], json!(["red", "green", "blue"]));
    assert_eq!(server.get("/v2/models/tiny/versions/1").json(), metadata);
    let index = server.post("/v2/repository/index", "application/json", b"").json();
    let names: Vec<&str> = index.as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tiny", "whole", "multi"]);
    for path in ["/v2/models/other", "/v2/models/tiny/versions/2", "/v2/models/tiny/versions/v1/ready"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_model"), "{path}");
    }
}

fn infer(server: &Server, model: &str, body: &Value) -> Response {
    server.post(&format!("/v2/models/{model}/infer"), "application/json", body.to_string().as_bytes())
}

#[test]
fn v2_infer_json() {
    let server = Server::start(&[]);
    let flat: Vec<u8> = [80u8, 40, 60].repeat(5 * 4);
    let nested: Vec<Vec<&[u8]>> = flat.chunks(4 * 3).map(|row| row.chunks(3).collect()).collect();
    for data in [json!(flat), json!([nested]), json!(nested)] {
        let input = json!({ "name": "images", "datatype": "UINT8", "shape": [1, 5, 4, 3], "data": data });
        let answer = infer(&server, "whole", &json!({ "id": "42", "inputs": [input] }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(
            (&answer["id"], &answer["model_name"], &answer["model_version"]),
            (&json!("42"), &json!("whole"), &json!("1"))
        );
        serde_json::from_value::<InferResponse>(answer.clone()).unwrap();
        let output = &answer["outputs"][0];
        assert_eq!((&output["name"], &output["shape"]), (&json!("probabilities"), &json!([1, 3])));
        check_probs(&output["data"], &softmax([80, 40, 60]));
    }
    let image = STANDARD.encode(plain(50, 20, [80, 40, 60], Png));
    let input = json!({ "name": "images", "datatype": "BYTES", "shape": [2], "data": [image, image] });
    let answer = infer(&server, "tiny", &json!({ "inputs": [input], "outputs": [{ "name": "probabilities" }] })).json();
    assert_eq!(answer["outputs"][0]["shape"], json!([2, 3]));
    assert!(answer.get("id").is_none());
    check_probs(&answer["outputs"][0]["data"], &[softmax([80, 40, 60]), softmax([80, 40, 60])].concat());
    let input = json!({ "name": "images", "datatype": "UINT8", "shape": [0, 16, 16, 3], "data": [] });
    assert_eq!(infer(&server, "tiny", &json!({ "inputs": [input] })).json()["outputs"][0]["shape"], json!([0, 3]));
}

#[test]
fn v2_infer_binary() {
    let server = Server::start(&["--max-batch", "2"]);
    let pixels: Vec<u8> = [[80u8, 40, 60], [1, 2, 3], [255, 0, 0]].iter().flat_map(|c| c.repeat(16 * 16)).collect();
    let input = json!({ "name": "images", "datatype": "UINT8", "shape": [3, 16, 16, 3], "parameters": { "binary_data_size": pixels.len() } });
    let json =
        json!({ "inputs": [input], "outputs": [{ "name": "probabilities", "parameters": { "binary_data": true } }] })
            .to_string();
    let length = json.len().to_string();
    let headers = [("Inference-Header-Content-Length", length.as_str()), ("Content-Type", "application/octet-stream")];
    let answer = server.send(&post("/v2/models/tiny/versions/1/infer", &headers, &[json.as_bytes(), &pixels].concat()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (head, values) =
        answer.body.split_at(answer.header("inference-header-content-length").unwrap().parse().unwrap());
    let head: Value = serde_json::from_slice(head).unwrap();
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], json!(36));
    let values: Vec<f64> = values.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect();
    let want = [softmax([80, 40, 60]), softmax([1, 2, 3]), softmax([255, 0, 0])].concat();
    check_probs(&json!(values), &want);
    let image = plain(50, 20, [80, 40, 60], Png);
    let raw = [("Inference-Header-Content-Length", "0"), ("Content-Type", "application/octet-stream")];
    let answer = server.send(&post("/v2/models/tiny/infer", &raw, &image));
    assert_eq!(
        (answer.status, answer.body.len() % 4),
        (200, answer.header("inference-header-content-length").unwrap().parse::<usize>().unwrap() % 4)
    );
}

/// The texts of the classes that an answer is asked for, in the order of its probabilities.
fn ranked(probabilities: &[f32], most: usize) -> Vec<String> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let label = |at: usize| ["red", "green", "blue"][at];
    order.into_iter().take(most).map(|at| format!("{:.6}:{at}:{}", probabilities[at], label(at))).collect()
}

#[test]
fn v2_classes_are_those_of_the_probabilities() {
    let server = Server::start(&[]);
    // Red and green are equal.
    let images = [plain(50, 20, [80, 40, 60], Png), plain(16, 16, [9, 9, 30], Png), noise(40, 50, Jpeg)];
    let texts = images.map(|image| STANDARD.encode(image));
    let input = json!({ "name": "images", "datatype": "BYTES", "shape": [3], "data": texts });
    for model in ["tiny", "whole", "multi"] {
        let plain = infer(&server, model, &json!({ "inputs": [input] })).json();
        let values: Vec<f32> = serde_json::from_value(plain["outputs"][0]["data"].clone()).unwrap();
        for count in [1_usize, 2, 3, 1000] {
            let most = count.min(3);
            let expected: Vec<String> = values.chunks(3).flat_map(|row| ranked(row, most)).collect();
            let output = json!({ "name": "probabilities", "parameters": { "classification": count } });
            let body = json!({ "inputs": [input], "outputs": [output] });
            let answer = infer(&server, model, &body);
            assert_eq!(answer.status, 200, "{model}: {}", answer.text());
            let told = &answer.json()["outputs"][0];
            let wanted = json!({ "name": "probabilities", "datatype": "BYTES", "shape": [3, most], "data": expected });
            assert_eq!(told, &wanted, "{model}");

            let body = json!({ "inputs": [input], "outputs": [output], "parameters": { "binary_data_output": true } });
            let answer = infer(&server, model, &body);
            let length = answer.header("inference-header-content-length").unwrap().parse().unwrap();
            let (head, bytes) = answer.body.split_at(length);
            let head: Value = serde_json::from_slice(head).unwrap();
            let element = |text: &String| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
            assert_eq!(bytes, expected.iter().flat_map(element).collect::<Vec<u8>>(), "{model}");
            let size = json!({ "binary_data_size": bytes.len() });
            let wanted =
                json!({ "name": "probabilities", "datatype": "BYTES", "shape": [3, most], "parameters": size });
            assert_eq!(head["outputs"][0], wanted, "{model}");
        }
    }
    let nothing = json!({ "name": "images", "datatype": "UINT8", "shape": [0, 16, 16, 3], "data": [] });
    let output = json!({ "name": "probabilities", "parameters": { "classification": 2 } });
    let answer = infer(&server, "tiny", &json!({ "inputs": [nothing], "outputs": [output] })).json();
    assert_eq!(
        answer["outputs"][0],
        json!({ "name": "probabilities", "datatype": "BYTES", "shape": [0, 2], "data": [] })
    );
}

#[test]
fn v2_classes_that_cannot_be_answered_are_refused_with_a_reason() {
    let server = Server::with_detectors(&[]);
    let input = |model: &str| {
        let image = STANDARD.encode(plain(16, 16, [80, 40, 60], Png));
        (model.to_owned(), json!([{ "name": "images", "datatype": "BYTES", "shape": [1], "data": [image] }]))
    };
    let number = "a whole number of at least 1";
    for ((model, inputs), output, parameters, says) in [
        (input("tiny"), "probabilities", json!({ "classification": 0 }), number),
        (input("multi"), "probabilities", json!({ "classification": -3 }), number),
        (input("tiny"), "probabilities", json!({ "classification": 2.5 }), number),
        (input("tiny"), "probabilities", json!({ "classification": "2" }), number),
        (input("tiny"), "probabilities", json!({ "classification": { "k": [2] } }), number),
        (input("d"), "boxes", json!({ "classification": 2 }), "classification is for probabilities"),
        (input("d"), "labels", json!({ "classification": 0 }), "classification is for probabilities"),
        (input("tiny"), "boxes", json!({ "classification": 2 }), "must name some of probabilities"),
        (
            input("tiny"),
            "probabilities",
            json!({ "classification": 2, "shared_memory_region": "a" }),
            "shared_memory_region is not supported",
        ),
    ] {
        let outputs = json!([{ "name": output, "parameters": parameters }]);
        let answer = infer(&server, &model, &json!({ "inputs": inputs, "outputs": outputs }));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_request"),
            "{parameters}: {}",
            answer.text()
        );
        assert!(answer.text().contains(says), "{parameters}: {}", answer.text());
        answer.check_no_leak();
    }
}

#[test]
fn the_page_is_complete_and_locked_down() {
    let server = Server::start(&[]);
    let page = server.get("/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text();
    assert!(
        !html.contains("://")
            && !html.contains("<script>")
            && !html.contains("style=")
            && !html.contains("onclick")
            && !html.contains("onload"),
        "nothing inline or from outside"
    );
    for (part, media) in
        [("/assets/app.js", "text/javascript"), ("/assets/app.css", "text/css"), ("/assets/icon.svg", "image/svg+xml")]
    {
        assert!(html.contains(part), "{part}");
        let answer = server.get(part);
        assert_eq!(answer.status, 200, "{part}");
        assert!(answer.header("content-type").unwrap().starts_with(media), "{part}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(!answer.text().contains("innerHTML"), "{part}");
    }
}

#[test]
fn the_description_is_true_to_the_routes() {
    let server = Server::start(&[]);
    let document = server.get("/openapi.json").json();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        let known = server::paths::route_name(&path.replace("{model}", "tiny").replace("{version}", "1"));
        assert_ne!(known, "other", "{path} has no name in the metrics");
        let real = path.replace("{model}", "tiny").replace("{version}", "1");
        for method in ["get", "put", "post", "delete", "patch"] {
            let upper = method.to_uppercase();
            let raw = format!("{upper} {real} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            let answer = server.send(raw.as_bytes());
            if let Some(operation) = operations.get(method) {
                let documented = operation["responses"].get(answer.status.to_string());
                assert!(documented.is_some(), "{upper} {real} answers {}, which is not documented", answer.status);
                assert!(![404, 405].contains(&answer.status), "{upper} {real} answers {}", answer.status);
            } else {
                assert_eq!(answer.status, 405, "{upper} {real} is not documented");
                assert!(answer.header("allow").is_some(), "{upper} {real}");
            }
        }
    }
    for (pattern, _) in server::paths::ROUTES {
        let listed = paths.keys().any(|path| {
            path == pattern || (pattern.ends_with("{call}") && path.starts_with("/v2/models/{model}/versions/"))
        });
        assert!(listed, "{pattern} is not documented");
    }
    resolve(&document, &document);
}

/// Every reference in the document leads somewhere.
fn resolve(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target} is not there");
            }
            fields.values().for_each(|value| resolve(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| resolve(document, value)),
        _ => {}
    }
}

#[test]
fn metrics_count_what_happened() {
    let server = Server::start(&[]);
    let image = plain(50, 20, [80, 40, 60], Png);
    let answer = server.post("/score", "image/png", &image);
    let timing = answer.header("server-timing").unwrap();
    for stage in ["decode", "prepare", "queue", "run", "render"] {
        assert!(timing.contains(stage), "{timing}");
    }
    server.post("/score", "image/png", b"no image");
    server.get("/nothing/here");
    let text = server.get("/metrics").text();
    for line in [
        "fovea_requests_total{route=\"score\",outcome=\"ok\"} 1",
        "fovea_requests_total{route=\"score\",outcome=\"client_error\"} 1",
        "fovea_requests_total{route=\"other\",outcome=\"client_error\"} 1",
        "fovea_errors_total{code=\"invalid_image\"} 1",
        "fovea_images_total{model=\"tiny\",version=\"1\"} 1",
        "fovea_stage_duration_seconds_count{model=\"tiny\",version=\"1\",stage=\"run\"} 1",
        "fovea_memory_reserved_bytes 0",
        "fovea_ready 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn who_accepts_no_coding_that_there_is_gets_the_answer_as_it_is() {
    let server = Server::start(&[]);
    let image = plain(8, 8, [80, 40, 60], Bmp);
    for coding in ["identity;q=0", "*;q=0", "br, identity;q=0", "br", "nonsense;;"] {
        let headers = [("Content-Type", "image/bmp"), ("Accept-Encoding", coding)];
        let answer = server.send(&post("/score", &headers, &image));
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{coding}: {answer:?}");
    }
}

/// tritonclient reads a refusal as it comes, whatever it said that it accepts.
#[test]
fn errors_are_never_compressed() {
    let server = Server::start(&[]);
    for path in ["/score?model=nothing", "/v2/models/nothing/infer", "/v2/models/tiny/infer", "/score"] {
        for coding in ["gzip", "deflate", "gzip;q=1, deflate;q=0.5, *;q=0"] {
            let headers = [("Content-Type", "application/json"), ("Accept-Encoding", coding)];
            let answer = server.send(&post(path, &headers, b"{}"));
            assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
            assert_eq!(answer.header("content-encoding"), None, "{path}: {answer:?}");
            assert!(!answer.code().is_empty(), "{path}: {answer:?}");
        }
    }
}

/// `body` as gzip.
fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn bodies_are_compressed_both_ways_when_asked() {
    let server = Server::start(&[]);
    let image = plain(64, 64, [80, 40, 60], Bmp);
    let plainly = server.post("/score", "image/bmp", &image);
    let compressed = gzipped(&image);
    assert!(compressed.len() < image.len() / 4);
    let headers = [("Content-Type", "image/bmp"), ("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")];
    let answer = server.send(&post("/score", &headers, &compressed));
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")), "{answer:?}");
    assert!(answer.head.contains("transfer-encoding: chunked"), "{}", answer.head);
    // The one chunk, or several, of a chunked answer.
    let (mut rest, mut body) = (&answer.body[..], Vec::new());
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
        if length == 0 {
            break;
        }
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), plainly.json());
    for (name, coding, body) in [
        ("no gzip", "gzip", &image[..]),
        ("cut short", "gzip", &compressed[..compressed.len() - 4]),
        ("another coding", "deflate", &compressed[..]),
    ] {
        let refused =
            server.send(&post("/score", &[("Content-Type", "image/bmp"), ("Content-Encoding", coding)], body));
        assert_eq!((refused.status, refused.code().as_str()), (400, "broken_body"), "{name}");
    }
}

#[test]
fn clients_of_others_find_what_they_ask_for() {
    let server = Server::with_detectors(&["--max-batch", "8"]);
    for path in ["/healthz", "/healthz/", "/v2/", "/v2/health/ready/", "/v2/models/tiny/", "/score/", "/swagger.json"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.get("/swagger.json").json(), server.get("/openapi.json").json());
    assert_eq!(server.get("/score//").status, 404);
    let config = server.get("/v2/models/d/config").json();
    assert_eq!((&config["name"], &config["max_batch_size"]), (&json!("d"), &json!(8)));
    assert_eq!(config["input"][0], json!({ "name": "images", "data_type": "TYPE_UINT8", "dims": [-1, -1, 3] }));
    assert_eq!(config["output"][0], json!({ "name": "boxes", "data_type": "TYPE_FP32", "dims": [-1, 4] }));
    assert_eq!(config["instance_group"], json!([{ "kind": "KIND_CPU", "count": 1 }]));
    assert_eq!(server.get("/v2/models/tiny/versions/1/config").json()["name"], "tiny");
    for path in ["/v2/models/nobody/config", "/v2/models/nobody/stats", "/v2/models/tiny/versions/2/stats"] {
        assert_eq!(server.get(path).code(), "unknown_model", "{path}");
    }

    let image = plain(50, 20, [80, 40, 60], Png);
    for status in [200, 200, 400] {
        let body = if status == 200 { &image[..] } else { b"no image" };
        assert_eq!(server.post("/score", "image/png", body).status, status);
    }
    let stats = &server.get("/v2/models/tiny/stats").json()["model_stats"][0];
    assert_eq!((&stats["name"], &stats["version"]), (&json!("tiny"), &json!("1")));
    assert_eq!((&stats["inference_count"], &stats["execution_count"]), (&json!(2), &json!(2)));
    let of = |name: &str, what: &str| stats["inference_stats"][name][what].as_u64().unwrap();
    assert_eq!(["success", "fail", "compute_infer"].map(|name| of(name, "count")), [2, 1, 2]);
    assert!(of("success", "ns") >= of("compute_infer", "ns") && of("compute_infer", "ns") > 0, "{stats}");
    assert_eq!(stats["batch_stats"][0]["batch_size"], 1);
    assert_eq!(stats["batch_stats"][0]["compute_infer"]["count"], 2);
    let all = server.get("/v2/models/stats").json();
    assert_eq!(all["model_stats"].as_array().unwrap().len(), 6);
    assert_eq!(all["model_stats"][1]["inference_stats"]["success"], json!({ "count": 0, "ns": 0 }));
}

/// A form of these parts: the lines that describe each, and its content.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend(format!("--line\r\nContent-Disposition: form-data; {head}\r\n\r\n").into_bytes());
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(b"--line--\r\n");
    body
}

#[test]
fn a_form_holds_one_file_or_many() {
    const TYPE: &str = "multipart/form-data; boundary=line";
    let server = Server::with_detectors(&["--max-images", "3"]);
    let (red, blue) = (plain(20, 30, [200, 10, 10], Png), plain(40, 10, [10, 10, 200], Jpeg));
    let one = server.post("/score", TYPE, &form(&[("name=\"a\"; filename=\"red.png\"", &red)])).json();
    assert_eq!(one["filename"], "red.png");
    assert_eq!(one["probs"], server.post("/score", "image/png", &red).json()["probs"]);
    let two = form(&[
        ("name=\"file\"; filename=\"red.png\"", &red),
        ("name=\"file\"; filename=\"blue.jpg\"\r\nContent-Type: image/jpeg", &blue),
    ]);
    let two = server.post("/score", TYPE, &two).json();
    assert_eq!((&two[0]["filename"], &two[1]["filename"]), (&json!("red.png"), &json!("blue.jpg")));
    assert_eq!(top(&two[1]), top(&server.post("/score", "image/jpeg", &blue).json()));

    // Fields are options.
    let boxes = |parts: &[(&str, &[u8])]| {
        let answer = server.post("/score?model=d", TYPE, &form(parts));
        answer.json()["boxes"].as_array().unwrap_or_else(|| panic!("{}", answer.text())).len()
    };
    let file = ("name=\"image\"; filename=\"red.png\"", &red[..]);
    assert!(boxes(&[file, ("name=\"score_threshold\"", b"0")]) > boxes(&[file, ("name=\"score_threshold\"", b"1")]));

    let long = vec![b'0'; 5000];
    for (name, body, status) in [
        ("no file", form(&[("name=\"a\"", b"text")]), 400),
        ("no file at all", form(&[]), 400),
        ("too many files", form(&[file; 4]), 413),
        ("an option twice", form(&[file, ("name=\"masks\"", b"rle"), ("name=\"masks\"", b"rle")]), 400),
        ("an unknown option", form(&[file, ("name=\"treshold\"", b"1")]), 400),
        ("a long field", form(&[file, ("name=\"a\"", &long)]), 400),
        ("many fields", form(&[("name=\"a\"", &b"1"[..]); 40]), 400),
        ("no image", form(&[("name=\"a\"; filename=\"a.png\"", b"text")]), 400),
        ("cut short", form(&[file])[..60].to_vec(), 400),
        ("no form", b"text".to_vec(), 400),
    ] {
        let refused = server.post("/score?model=d", TYPE, &body);
        assert_eq!(refused.status, status, "{name}: {}", refused.text());
        refused.check_no_leak();
    }
    assert_eq!(server.post("/score", "multipart/form-data", &form(&[file])).status, 400);
}

#[test]
fn json_is_read_as_azures_servers_do() {
    let server = Server::start(&[]);
    let image = STANDARD.encode(plain(20, 30, [200, 10, 10], Png));
    let table = json!({
        "input_data": { "columns": ["image"], "index": [0], "data": [[image]] },
        "params": { "top_k": 3 }, "model_explainability": "False",
    });
    let text = format!("\u{feff}{table}");
    let answer = server.post("/score", "application/json; charset=utf-8", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let explained =
        json!({ "image": image, "model_explainability": "true", "xai_parameters": { "attributions": "True" } });
    let answer = server.post("/score", "application/json", explained.to_string().as_bytes()).json();
    assert!(answer["attributions"].is_array(), "{answer}");
    let wrong = json!({ "image": image, "model_explainability": "yes" });
    assert_eq!(server.post("/score", "application/json", wrong.to_string().as_bytes()).status, 400);
}

#[test]
fn v2_takes_what_tritons_clients_send() {
    let server = Server::start(&[]);
    let image = STANDARD.encode(plain(50, 20, [80, 40, 60], Png));
    let infer = |request: Value| {
        let answer = server.post("/v2/models/tiny/infer", "application/json", request.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["outputs"].clone()
    };
    let input = |shape: Value| json!({ "name": "images", "datatype": "BYTES", "shape": shape, "data": [image] });
    let plainly = infer(json!({ "inputs": [input(json!([1]))] }));
    assert_eq!(infer(json!({ "inputs": [input(json!([1, 1]))] })), plainly);
    assert_eq!(infer(json!({ "inputs": [input(json!([1]))], "outputs": [] })), plainly);
    // Its clients that are told of compression by their library undo that of predictions only.
    let compressed = |path: &str| {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
        server.send(raw.as_bytes()).header("content-encoding").map(str::to_owned)
    };
    assert_eq!(compressed("/v2/models/tiny"), None);
}
