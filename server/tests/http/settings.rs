//! What a request or the operator says in place of a model's own settings: labels, sizes, thresholds, how masks are answered. The
//! classifiers answer with the mean colour of what they see (see `scripts/oracle/tiny_model.py`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageFormat::Png, Rgb, RgbImage};
use schemas::prediction::{ClassificationAnswer, DetectionAnswer};
use serde_json::{Value, json};

use crate::{
    images::{encode, plain},
    support::{Response, Server, fixture},
};

/// Blue, with a red square in the middle, half as wide.
fn target() -> Vec<u8> {
    let inside = |at: u32| (16..48).contains(&at);
    let pixel = |x, y| if inside(x) && inside(y) { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) };
    encode(&DynamicImage::ImageRgb8(RgbImage::from_fn(64, 64, pixel)), Png)
}

/// The classifier `any`, which takes images of any size, beside the others.
fn start(options: &[&str]) -> Server {
    let models = [("any", "tiny_any.onnx"), ("m", "tiny_masks_prepared.onnx"), ("d", "tiny_detector_prepared.onnx")];
    Server::with_models(&models, options)
}

#[track_caller]
fn classes(answer: &Response) -> ClassificationAnswer<'static> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_value(answer.json()).unwrap()
}

fn ask(server: &Server, query: &str) -> Response {
    server.post(&format!("/score?{query}"), "image/png", &target())
}

#[track_caller]
fn refused(answer: &Response, said: &str) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains(said), "{}", answer.text());
}

#[test]
fn the_most_probable_labels_come_first() {
    let server = start(&[]);
    let all = classes(&ask(&server, "model=tiny"));
    assert_eq!(*all.labels, ["red", "green", "blue"].map(str::to_owned));
    let most = |k: usize| classes(&ask(&server, &format!("model=tiny&top_k={k}")));
    assert_eq!(*most(1).labels, ["blue".to_owned()]);
    assert_eq!((*most(2).labels).to_vec(), ["blue".to_owned(), "red".to_owned()]);
    assert_eq!(*most(2).probs, [all.probs[2], all.probs[0]]);
    assert_eq!(most(99).labels.len(), 3);
    // Each image of a list has its own order.
    let image = |colour| STANDARD.encode(plain(20, 20, colour, Png));
    let images = json!({ "columns": ["image"], "data": [image([9, 200, 0]), image([0, 9, 200])] });
    let body = json!({ "input_data": images, "top_k": "2" }).to_string();
    let answer = server.post("/score?model=multi", "application/json", body.as_bytes()).json();
    let answer: Vec<ClassificationAnswer<'_>> = serde_json::from_value(answer).unwrap();
    assert_eq!(*answer[0].labels, ["green", "red"].map(str::to_owned));
    assert_eq!(*answer[1].labels, ["blue", "green"].map(str::to_owned));

    for (query, said) in [
        ("model=tiny&top_k=0", "top_k"),
        ("model=tiny&top_k=1.5", "whole number"),
        ("model=tiny&top_k=many", "whole number"),
        ("model=tiny&top_k=1&top_k=2", "twice"),
        ("model=d&top_k=1", "top_k is for models that classify; the task of this one is image-object-detection"),
    ] {
        refused(&ask(&server, query), said);
    }
}

#[test]
fn the_square_that_is_cut_can_be_chosen() {
    let server = start(&[]);
    let best = |query: &str| classes(&ask(&server, &format!("{query}&top_k=1"))).labels[0].clone();
    for model in ["tiny", "any"] {
        assert_eq!(best(&format!("model={model}")), "blue", "of 18 pixels, 16 are seen");
        assert_eq!(best(&format!("model={model}&valid_resize_size=32")), "red", "of 32 pixels, 16 are seen");
    }
    assert_eq!(best("model=any&valid_resize_size=64&valid_crop_size=32"), "red");
    assert_eq!(best("model=any&valid_resize_size=32&valid_crop_size=32"), "blue");
    assert_eq!(best("model=any&valid_crop_size=8"), "red", "of 18 pixels, 8 are seen");
    // Encoded images of V2 requests, too.
    let infer = |parameters: Value| {
        let input = json!({ "name": "images", "datatype": "BYTES", "shape": [1], "data": [STANDARD.encode(target())] });
        let body = json!({ "inputs": [input], "parameters": parameters }).to_string();
        let answer = server.post("/v2/models/any/infer", "application/json", body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["outputs"][0]["data"].clone()
    };
    let (own, cut) = (infer(json!({})), infer(json!({ "valid_crop_size": 8 })));
    assert!(own[2].as_f64() > own[0].as_f64() && cut[0].as_f64() > cut[2].as_f64(), "{own} {cut}");
    // An explanation is about what the network has seen.
    let body = json!({ "image": STANDARD.encode(target()), "model_explainability": true, "valid_crop_size": 8,
        "xai_parameters": { "attributions": true, "visualizations": false } });
    let answer = server.post("/score?model=any", "application/json", body.to_string().as_bytes());
    assert_eq!(answer.json()["attributions"][0].as_array().map(Vec::len), Some(8), "{}", answer.text());

    let pixels = json!({ "name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3] });
    let body = json!({ "inputs": [pixels], "parameters": { "valid_resize_size": 32 } }).to_string();
    refused(&server.post("/v2/models/any/infer", "application/json", body.as_bytes()), "is for encoded images");
    for (query, said) in [
        ("model=tiny&valid_crop_size=17", "takes images of 16 x 16 pixels; export it with --any-size"),
        ("model=any&valid_crop_size=20", "raise the second, or lower the first"),
        ("model=any&valid_resize_size=90&valid_crop_size=33", "a request may ask for up to 32"),
        ("model=whole&valid_resize_size=32", "of the form 'whole', which resizes and cuts by itself"),
        ("model=any&valid_crop_size=0", "valid_crop_size"),
        ("model=any&valid_resize_size=8193", "valid_resize_size"),
        ("model=d&valid_crop_size=16", "valid_crop_size is for models that classify"),
    ] {
        refused(&ask(&server, query), said);
    }
}

#[test]
fn the_operator_chooses_for_requests_that_do_not_say() {
    let server = start(&[
        "--set",
        "any:valid-resize-size=128",
        "--set",
        "any:valid_crop_size=40",
        "--set",
        "top_k=2",
        "--set",
        "masks=rle",
        "--set",
        "score_threshold=0.8",
        "--set",
        "d:score_threshold=0.2",
    ]);
    let any = classes(&ask(&server, "model=any"));
    assert_eq!((any.labels.len(), any.labels[0].as_str()), (2, "red"), "of 128 pixels, 40 are seen");
    assert_eq!(classes(&ask(&server, "model=any&valid_resize_size=40&top_k=1")).labels[0], "blue");
    refused(&ask(&server, "model=any&valid_crop_size=81"), "a request may ask for up to 80");
    let objects = |query: &str| {
        let image = plain(640, 480, [250, 200, 100], Png);
        let answer = server.post(&format!("/score?{query}"), "image/png", &image);
        serde_json::from_value::<DetectionAnswer>(answer.json()).unwrap().boxes
    };
    let found = objects("model=m");
    assert_eq!(found.len(), 1, "only red is so certain");
    assert!(found[0].rle.is_some() && found[0].polygon.is_none());
    assert_eq!(objects("model=m&score_threshold=0.5&masks=none").len(), 2);
    assert_eq!(objects("model=d").len(), 4);
    let metadata = |model: &str| server.get(&format!("/v2/models/{model}")).json()["parameters"].clone();
    assert_eq!((&metadata("m")["score_threshold"], &metadata("d")["score_threshold"]), (&json!(0.8), &json!(0.2)));
    let log = server.log();
    assert!(log.contains("valid_crop_size 40") && log.contains("score_threshold 0.8"), "{log}");
}

#[test]
fn what_a_model_cannot_be_set_to_ends_the_start() {
    for (setting, said) in [
        ("tiny:valid_crop_size=17", "export it with --any-size"),
        ("whole:valid_resize_size=32", "form 'whole'"),
        ("tiny:score_threshold=0.5", "is for models that detect objects"),
        ("score_threshold=2", "score_threshold"),
        ("top_k=0", "top_k"),
        ("d:tile_grid_size=9", "tile_grid_size"),
        ("nobody:top_k=1", "no --model has that name"),
        ("score_thresold=0.5", "did you mean score_threshold"),
    ] {
        let model = format!("--model=d={}", fixture("tiny_detector_prepared.onnx").display());
        let out = Server::command(&[&model, "--set", setting]).output().unwrap();
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{setting}: {error}");
        assert!(error.contains(said), "{setting}: {error}");
    }
}

#[test]
fn the_image_comes_back_with_what_was_found() {
    let server = start(&[]);
    let photograph = plain(640, 480, [250, 200, 100], Png);
    let drawn = |query: &str| {
        let answer = server.post(&format!("/score?{query}"), "image/png", &photograph);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let kind = answer.header("content-type").unwrap().to_owned();
        (kind, image::load_from_memory(&answer.body).unwrap().to_rgb8())
    };
    let (kind, boxes) = drawn("model=d&drawn=png");
    assert_eq!((kind.as_str(), boxes.dimensions()), ("image/png", (640, 480)));
    let count = |image: &RgbImage| image.pixels().filter(|pixel| pixel.0 != [250, 200, 100]).count();
    // The first box goes from (64, 96) to (320, 288).
    assert_ne!(boxes.get_pixel(64, 200).0, [250, 200, 100]);
    assert_eq!(boxes.get_pixel(630, 20).0, [250, 200, 100]);
    let (_, fewer) = drawn("model=d&drawn=png&score_threshold=0.95");
    assert!(count(&fewer) < count(&boxes));
    let (_, masks) = drawn("model=m&drawn=png");
    assert!(count(&masks) > 2 * count(&boxes), "pixels of objects are tinted");
    let (kind, jpeg) = drawn("model=m&drawn=jpeg&mask_pixel_score_threshold=0.9");
    assert_eq!((kind.as_str(), jpeg.dimensions()), ("image/jpeg", (640, 480)));
    // A classifier's labels stand below the image.
    let (_, labelled) = drawn("model=tiny&drawn=png");
    assert!(labelled.height() > 480 && labelled.width() == 640);
    let (_, one) = drawn("model=tiny&drawn=png&top_k=1");
    assert!(one.height() < labelled.height() && one.height() > 480);
    // Upright, as it was looked at.
    let rotated = crate::support::read("rotated.jpg");
    let decoded = models::host::decode(&rotated, &models::host::Limits::default()).unwrap();
    let answer = server.post("/score?model=d&drawn=png", "image/jpeg", &rotated);
    let upright = image::load_from_memory(&answer.body).unwrap();
    assert_eq!((upright.width(), upright.height()), (decoded.width, decoded.height));
    // In JSON and in forms, too.
    let body = json!({ "image": STANDARD.encode(&photograph), "drawn": "png" }).to_string();
    let answer = server.post("/score?model=d", "application/json", body.as_bytes());
    assert_eq!(image::load_from_memory(&answer.body).unwrap().to_rgb8(), boxes);

    let two = json!({ "columns": ["image"], "data": [STANDARD.encode(&photograph), STANDARD.encode(&photograph)] });
    let two = json!({ "input_data": two, "drawn": "png" }).to_string();
    refused(
        &server.post("/score?model=d", "application/json", two.as_bytes()),
        "drawn is for one image, and the request has 2",
    );
    let explained = json!({ "image": STANDARD.encode(&photograph), "model_explainability": true }).to_string();
    let answer = server.post("/score?model=tiny&drawn=png", "application/json", explained.as_bytes());
    refused(&answer, "ask for one of them");
    refused(&ask(&server, "model=d&drawn=gif"), "drawn is none of jpeg, png");
    refused(&ask(&server, "model=d&drawing=png"), "did you mean drawn");
    let answer = server.post("/score?model=d&drawn=png", "application/json", body.as_bytes());
    refused(&answer, "drawn is in the query string and in the body");
    let answer = server.post("/score?model=d&drawn=png", "image/png", b"no image");
    assert!(answer.status == 400 && answer.json()["code"] == "invalid_image", "{}", answer.text());
}
