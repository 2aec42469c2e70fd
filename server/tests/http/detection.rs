//! Detectors: boxes, thresholds and tiles on every route, with models whose answers can be worked out by hand.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::Png;
use schemas::prediction::{DetectionAnswer, InferResponse, ModelMetadata};
use serde_json::{Value, json};

use crate::{
    images::{parts, plain, png_header},
    support::{Response, Server, post},
};

/// The boxes of an answer: label, score, corners as fractions.
type Found = Vec<(String, f64, [f64; 4])>;

#[track_caller]
fn found(answer: &Value) -> Found {
    let answer: DetectionAnswer = serde_json::from_value(answer.clone()).unwrap();
    let corners =
        |b: &schemas::prediction::ScoredBox| [b.corners.top_x, b.corners.top_y, b.corners.bottom_x, b.corners.bottom_y];
    answer.boxes.iter().map(|b| (b.label.clone(), f64::from(b.score), corners(b))).collect()
}

#[track_caller]
fn check(got: &Value, want: &[(&str, f64, [f64; 4])]) {
    let got = found(got);
    let close = |a: f64, b: f64| (a - b).abs() < 2e-3;
    let same = got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(g, w)| g.0 == w.0 && close(g.1, w.1) && g.2.iter().zip(w.2).all(|(&a, b)| close(a, b)));
    assert!(same, "{got:?}\nagainst {want:?}");
}

const RED: [f64; 4] = [0.1, 0.2, 0.5, 0.6];
const AGAIN: [f64; 4] = [0.1, 0.2, 0.5, 0.36];
const GREEN: [f64; 4] = [0.25, 0.25, 0.75, 0.75];
/// Red 200, green 100: the fourth box scores half of the first.
const COLOUR: [u8; 3] = [200, 100, 0];

fn expected() -> Vec<(&'static str, f64, [f64; 4])> {
    let share = |v: f64| v / 255.0;
    vec![("red", share(200.0), RED), ("green", share(100.0), GREEN), ("red", share(100.0), AGAIN)]
}

fn score(server: &Server, query: &str, image: &[u8]) -> Response {
    server.post(&format!("/score?{query}"), "image/png", image)
}

#[test]
fn score_answers_with_boxes_in_every_shape_of_request() {
    let server = Server::with_detectors(&[]);
    let image = plain(64, 64, COLOUR, Png);
    let none = plain(64, 64, [0, 0, 0], Png);
    let (text, dark) = (STANDARD.encode(&image), STANDARD.encode(&none));
    for model in ["d", "dw"] {
        let answer = score(&server, &format!("model={model}&filename=a.png"), &image);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["filename"], "a.png");
        check(&answer.json(), &expected());
        let path = format!("/score?model={model}");
        let one = server.post(&path, "application/json", json!({ "image": text }).to_string().as_bytes());
        check(&one.json(), &expected());
        let many = json!({ "input_data": { "columns": ["image"], "data": [text, dark, text] } }).to_string();
        let answer = server.post(&path, "application/json", many.as_bytes()).json();
        assert_eq!(answer.as_array().unwrap().len(), 3);
        check(&answer[0], &expected());
        assert_eq!(answer[1], json!({ "filename": "image_1", "boxes": [] }));
        check(&answer[2], &expected());
        let empty = json!({ "input_data": { "columns": ["image"], "data": [] } }).to_string();
        assert_eq!(server.post(&path, "application/json", empty.as_bytes()).json(), json!([]));
    }
}

#[test]
fn images_of_many_sizes_in_one_request_keep_their_order() {
    let server = Server::with_detectors(&["--max-batch", "2", "--queue", "1"]);
    let sizes = [(64, 64), (32, 32), (200, 100), (96, 96), (64, 64), (40, 90), (32, 32)];
    let images: Vec<String> = sizes.iter().map(|&(w, h)| STANDARD.encode(plain(w, h, [250, 0, 0], Png))).collect();
    let body = json!({ "input_data": { "columns": ["image"], "data": images } }).to_string();
    for model in ["d", "dw", "dt"] {
        let path = format!("/score?model={model}");
        let many = server.post(&path, "application/json", body.as_bytes());
        assert_eq!(many.status, 200, "{}", many.text());
        for (i, image) in images.iter().enumerate() {
            let one = server.post(&path, "application/json", json!({ "image": image }).to_string().as_bytes()).json();
            assert_eq!(one["boxes"], many.json()[i]["boxes"], "{model}, image {i}");
            assert!(!one["boxes"].as_array().unwrap().is_empty());
        }
    }
}

#[test]
fn thresholds_of_a_request_replace_those_of_the_file() {
    let server = Server::with_detectors(&[]);
    let image = plain(64, 64, COLOUR, Png);
    let all = expected();
    for model in ["d", "dw"] {
        let path = format!("model={model}");
        check(&score(&server, &format!("{path}&score_threshold=0.5"), &image).json(), &all[..1]);
        check(&score(&server, &format!("{path}&score_threshold=1"), &image).json(), &[]);
        // A box whose score is the threshold is not above it.
        let best = found(&score(&server, &path, &image).json())[0].1 as f32;
        check(&score(&server, &format!("{path}&score_threshold={best}"), &image).json(), &[]);
        check(&score(&server, &format!("{path}&score_threshold={}", best.next_down()), &image).json(), &all[..1]);
        check(&score(&server, &format!("{path}&iou_threshold=0.3"), &image).json(), &all[..2]);
        let v1 = json!({ "image": STANDARD.encode(&image), "score_threshold": 0.5 }).to_string();
        check(&server.post(&format!("/score?{path}"), "application/json", v1.as_bytes()).json(), &all[..1]);
        let data = json!({ "columns": ["image"], "data": [STANDARD.encode(&image)] });
        let v2 = json!({ "input_data": data, "iou_threshold": "0.3" }).to_string();
        check(&server.post(&format!("/score?{path}"), "application/json", v2.as_bytes()).json()[0], &all[..2]);
        // The next request gets the file's own again.
        check(&score(&server, &path, &image).json(), &all);
    }
}

/// An image of 64x64 whose upper left quarter is bright red and the rest black.
fn quarter() -> Vec<u8> {
    parts(64, 64, |x, y| if x < 32 && y < 32 { [255, 0, 0] } else { [0, 0, 0] })
}

#[test]
fn tiles_find_what_the_whole_does_not_and_are_united_with_it() {
    let server = Server::with_detectors(&[]);
    let image = quarter();
    let (tile, again) = ([0.05, 0.1, 0.25, 0.3], [0.05, 0.1, 0.25, 0.18]);
    check(&score(&server, "model=d", &image).json(), &[]);
    let found = [("red", 1.0, tile), ("red", 0.5, again)];
    let ask = "model=d&tile_grid_size=2x2&tile_overlap_ratio=0";
    check(&score(&server, ask, &image).json(), &found);
    check(&score(&server, "model=dt", &image).json(), &found);
    check(&score(&server, "model=dt&tile_grid_size=none", &image).json(), &[]);
    let body =
        json!({ "image": STANDARD.encode(&image), "tile_grid_size": "2x2", "tile_overlap_ratio": 0 }).to_string();
    check(&server.post("/score?model=d", "application/json", body.as_bytes()).json(), &found);
    // With a low threshold the whole image has a box of its own, which overlaps the tile's by 0.015 / 0.185.
    let low = format!("{ask}&score_threshold=0.2");
    let answer = score(&server, &low, &image).json();
    assert_eq!(answer["boxes"].as_array().unwrap().len(), 3, "{answer}");
    check(&score(&server, &format!("{low}&tile_predictions_nms_thresh=0.05"), &image).json(), &found);
    let v2 = json!({ "inputs": [{ "name": "images", "datatype": "BYTES", "shape": [1], "data": [STANDARD.encode(&image)] }] });
    let answer = server.post("/v2/models/dt/infer", "application/json", v2.to_string().as_bytes()).json();
    assert_eq!(answer["outputs"][1]["shape"], json!([1, 2]));
    let corners = answer["outputs"][0]["data"].as_array().unwrap();
    assert!((corners[0].as_f64().unwrap() - 3.2).abs() < 1e-3, "{answer}");
}

#[test]
fn v2_describes_detectors() {
    let server = Server::with_detectors(&[]);
    let about = server.get("/v2/models/d").json();
    serde_json::from_value::<ModelMetadata>(about.clone()).unwrap();
    let images = json!({ "name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3] });
    assert_eq!(about["inputs"], json!([images, { "name": "sizes", "datatype": "INT64", "shape": [-1, 2] }]));
    assert_eq!(
        about["outputs"],
        json!([
            { "name": "boxes", "datatype": "FP32", "shape": [-1, -1, 4] },
            { "name": "scores", "datatype": "FP32", "shape": [-1, -1] },
            { "name": "labels", "datatype": "INT64", "shape": [-1, -1] },
        ])
    );
    assert_eq!(about["parameters"]["score_threshold"], json!(0.3));
    assert_eq!(server.get("/v2/models/dt").json()["parameters"]["tile_grid_size"], "2x2");
    assert_eq!(server.get("/v2/models/dw").json()["inputs"], json!([images]));
    assert!(server.get("/v2/models/tiny").json()["parameters"].get("score_threshold").is_none());
}

#[test]
fn v2_answers_detectors_in_json() {
    let server = Server::with_detectors(&[]);
    let data = [STANDARD.encode(plain(64, 32, [0, 0, 0], Png)), STANDARD.encode(plain(40, 40, COLOUR, Png))];
    let input = json!({ "name": "images", "datatype": "BYTES", "shape": [2], "data": data });
    for model in ["d", "dw"] {
        let path = format!("/v2/models/{model}/infer");
        let ask = |body: Value| server.post(&path, "application/json", body.to_string().as_bytes());
        let answer = ask(json!({ "inputs": [input], "parameters": { "score_threshold": 0.5 } }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        serde_json::from_value::<InferResponse>(answer.clone()).unwrap();
        let [boxes, scores, labels] = [0, 1, 2].map(|i| &answer["outputs"][i]);
        assert_eq!((&boxes["shape"], &scores["shape"]), (&json!([2, 1, 4]), &json!([2, 1])));
        assert_eq!(
            (&labels["shape"], &labels["data"], &labels["datatype"]),
            (&json!([2, 1]), &json!([-1, 0]), &json!("INT64"))
        );
        for (got, want) in boxes["data"].as_array().unwrap()[4..].iter().zip([4.0, 8.0, 20.0, 24.0]) {
            assert!((got.as_f64().unwrap() - want).abs() < 1e-3, "{boxes}");
        }
        let some = ask(json!({ "inputs": [input], "outputs": [{ "name": "labels" }, { "name": "scores" }] })).json();
        let names: Vec<&Value> = some["outputs"].as_array().unwrap().iter().map(|o| &o["name"]).collect();
        assert_eq!(names, ["labels", "scores"]);
        assert_eq!(some["outputs"][0]["data"], json!([-1, -1, -1, 0, 1, 0]));
    }
}

#[test]
fn v2_answers_detectors_in_bytes() {
    let server = Server::with_detectors(&["--max-batch", "1"]);
    let pixels: Vec<u8> = [COLOUR, [0, 0, 90]].iter().flat_map(|colour| colour.repeat(32 * 32)).collect();
    let sizes: Vec<u8> = [64i64, 100, 10, 20].iter().flat_map(|side| side.to_le_bytes()).collect();
    let bytes = |n: usize| json!({ "binary_data_size": n });
    let json = json!({
        "inputs": [
            { "name": "sizes", "datatype": "INT64", "shape": [2, 2], "parameters": bytes(sizes.len()) },
            { "name": "images", "datatype": "UINT8", "shape": [2, 32, 32, 3], "parameters": bytes(pixels.len()) },
        ],
        "outputs": [{ "name": "boxes", "parameters": { "binary_data": true } }, { "name": "labels" }],
    })
    .to_string();
    let length = json.len().to_string();
    let headers = [("Inference-Header-Content-Length", length.as_str()), ("Content-Type", "application/octet-stream")];
    let answer = server.send(&post("/v2/models/d/infer", &headers, &[json.as_bytes(), &sizes, &pixels].concat()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let at = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    let (head, values) = answer.body.split_at(at);
    let head: Value = serde_json::from_slice(head).unwrap();
    assert_eq!(head["outputs"][1]["data"], json!([0, 1, 0, 2, -1, -1]));
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], json!(values.len()));
    let values: Vec<f32> = values.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    assert_eq!(values.len(), 2 * 3 * 4);
    for (got, want) in values[..4].iter().chain(&values[12..16]).zip([10.0, 12.8, 50.0, 38.4, 0.0, 0.0, 20.0, 10.0]) {
        assert!((got - want).abs() < 1e-3, "{values:?}");
    }
    let raw = [("Inference-Header-Content-Length", "0"), ("Content-Type", "application/octet-stream")];
    let answer = server.send(&post("/v2/models/dw/infer", &raw, &plain(64, 64, COLOUR, Png)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let at: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len() - at, 3 * (16 + 4 + 8));
}

#[test]
fn options_that_cannot_be_followed_are_refused_with_a_reason() {
    let server = Server::with_detectors(&[]);
    let image = plain(64, 64, COLOUR, Png);
    for (query, says) in [
        ("model=d&score_threshold=NaN", "score_threshold"),
        ("model=d&score_threshold=2", "[0, 1]"),
        ("model=d&score_threshold=-1", "[0, 1]"),
        ("model=d&score_threshold=high", "number"),
        ("model=d&score_threshold=", "number"),
        ("model=d&score_threshold=0.1&score_threshold=0.2", "twice"),
        ("model=d&iou_threshold=inf", "iou_threshold"),
        ("model=d&iou_threshold=1.5", "[0, 1]"),
        ("model=d&tile_grid_size=99x99", "16x16"),
        ("model=d&tile_grid_size=x", "16x16"),
        ("model=d&tile_grid_size=0x2", "16x16"),
        ("model=d&tile_grid_size=2x2&tile_overlap_ratio=1", "[0, 1)"),
        ("model=d&tile_grid_size=2x2&tile_predictions_nms_thresh=-0.1", "[0, 1]"),
        ("model=d&score_treshold=0.5", "did you mean score_threshold?"),
        ("model=d&model=d", "twice"),
        ("model=dw&tile_grid_size=2x2", "whole"),
        ("model=dw&tile_overlap_ratio=0.1", "whole"),
        ("model=tiny&score_threshold=0.5", "image-classification"),
        ("model=tiny&tile_grid_size=2x2", "image-classification"),
    ] {
        let answer = score(&server, query, &image);
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{query}: {}", answer.text());
        assert!(answer.text().contains(says), "{query}: {}", answer.text());
        answer.check_no_leak();
    }
    let text = STANDARD.encode(&image);
    for options in [
        json!({ "score_threshold": 2 }),
        json!({ "score_threshold": [0.5] }),
        json!({ "score_threshold": true }),
        json!({ "score_threshold": "0".repeat(100) }),
        json!({ "tile_grid_size": [2, 2] }),
        json!({ "tile_grid_size": 3 }),
    ] {
        let mut body = json!({ "image": text });
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let answer = server.post("/score?model=d", "application/json", body.to_string().as_bytes());
        assert_eq!(answer.status, 400, "{options}: {}", answer.text());
    }
    let both = json!({ "image": text, "score_threshold": 0.5 }).to_string();
    let answer = server.post("/score?model=d&score_threshold=0.5", "application/json", both.as_bytes());
    assert!(answer.status == 400 && answer.text().contains("query string and in the body"), "{}", answer.text());
}

#[test]
fn v2_inputs_that_do_not_fit_a_detector_are_refused() {
    let server = Server::with_detectors(&[]);
    let pixels = vec![0; 32 * 32 * 3];
    let images = json!({ "name": "images", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": pixels });
    let sizes =
        |shape: Value, data: Value| json!({ "name": "sizes", "datatype": "INT64", "shape": shape, "data": data });
    let good = sizes(json!([1, 2]), json!([[64, 64]]));
    let ask = |model: &str, body: Value| {
        server.post(&format!("/v2/models/{model}/infer"), "application/json", body.to_string().as_bytes())
    };
    assert_eq!(ask("d", json!({ "inputs": [images, good] })).status, 200);
    let odd = json!({ "name": "images", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": vec![0; 16 * 16 * 3] });
    let encoded = json!({ "name": "images", "datatype": "BYTES", "shape": [1], "data": ["aGV5"] });
    for (model, body) in [
        ("d", json!({ "inputs": [images] })),
        ("d", json!({ "inputs": [good] })),
        ("d", json!({ "inputs": [images, good, good] })),
        ("d", json!({ "inputs": [images, images] })),
        ("d", json!({ "inputs": [images, sizes(json!([2, 2]), json!([64, 64, 64, 64]))] })),
        ("d", json!({ "inputs": [images, sizes(json!([1, 2]), json!([64]))] })),
        ("d", json!({ "inputs": [images, sizes(json!([1, 2]), json!([0, 64]))] })),
        ("d", json!({ "inputs": [images, sizes(json!([1, 2]), json!([-64, 64]))] })),
        ("d", json!({ "inputs": [images, sizes(json!([1, 2]), json!([i64::MAX, 64]))] })),
        ("d", json!({ "inputs": [images, sizes(json!([1, 2]), json!([64.5, 64]))] })),
        ("d", json!({ "inputs": [images, sizes(json!([1, 2]), json!("64"))] })),
        ("d", json!({ "inputs": [odd, good] })),
        ("d", json!({ "inputs": [encoded, good] })),
        ("dw", json!({ "inputs": [images, good] })),
        ("tiny", json!({ "inputs": [images, good] })),
        ("d", json!({ "inputs": [images, good], "parameters": { "score_threshold": 7 } })),
        ("d", json!({ "inputs": [images, good], "parameters": { "tile_grid_size": "2x2" } })),
        ("d", json!({ "inputs": [images, good], "outputs": [{ "name": "probabilities" }] })),
        ("d", json!({ "inputs": [images, good], "outputs": [{ "name": "boxes" }, { "name": "boxes" }] })),
    ] {
        let answer = ask(model, body.clone());
        assert_eq!(answer.status, 400, "{model}: {} for {:.200}", answer.text(), body.to_string());
        answer.check_no_leak();
    }
}

#[test]
fn tiles_count_against_the_limits_of_pixels_and_memory() {
    let server = Server::with_detectors(&["--memory", "16", "--max-pixels", "200000"]);
    let image = plain(400, 400, COLOUR, Png);
    assert_eq!(score(&server, "model=d", &image).status, 200);
    assert_eq!(score(&server, "model=d&tile_grid_size=4x4", &image).status, 200);
    // 257 parts of 32 x 32 pixels are 263168.
    let answer = score(&server, "model=d&tile_grid_size=16x16", &image);
    assert_eq!((answer.status, answer.code().as_str()), (413, "image_too_large"), "{}", answer.text());
    assert!(answer.text().contains("256 tiles"), "{}", answer.text());
    let answer = score(&server, "model=d&tile_grid_size=2x2", &png_header(30_000, 30_000));
    assert_eq!(answer.status, 413);
    // 1330 x 1330 pixels take 15.9 MB while they are prepared, 16 x 16 tiles another 1.6, and there are 16.8.
    let server = Server::with_detectors(&["--memory", "16", "--decode-threads", "4"]);
    let large = STANDARD.encode(plain(1330, 1330, COLOUR, Png));
    let one = json!({ "image": large }).to_string();
    assert_eq!(server.post("/score?model=d", "application/json", one.as_bytes()).status, 200);
    let answer = server.post("/score?model=d&tile_grid_size=16x16", "application/json", one.as_bytes());
    assert!([413, 429].contains(&answer.status), "{}", answer.text());
    let metrics = server.get("/metrics").text();
    assert!(metrics.lines().any(|l| l == "fovea_memory_reserved_bytes 0"), "{metrics}");
}
