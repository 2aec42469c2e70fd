//! Explained answers, and what is refused to be.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{DynamicImage, GenericImageView as _, ImageFormat::Png, Rgb, RgbImage};
use schemas::prediction::ClassificationAnswer;
use serde_json::{Value, json};

use crate::{
    images::{encode, plain},
    support::{Response, Server},
};

fn ask(server: &Server, model: &str, image: &[u8], parameters: &Value) -> Response {
    let image = STANDARD.encode(image);
    let cell = json!({ "image_base64": image, "model_explainability": true, "xai_parameters": parameters }).to_string();
    let body = json!({ "input_data": { "columns": ["image"], "data": [cell, image] } }).to_string();
    server.post(&format!("/score?model={model}"), "application/json", body.as_bytes())
}

/// Grey, which the tiny network's answer does not depend on, with a red patch, which it does.
fn patched() -> Vec<u8> {
    let inside = |x: u32, y: u32| (36..52).contains(&x) && (20..36).contains(&y);
    let pixel = |x, y| if inside(x, y) { Rgb([220, 80, 80]) } else { Rgb([80, 80, 80]) };
    encode(&DynamicImage::ImageRgb8(RgbImage::from_fn(72, 72, pixel)), Png)
}

#[test]
fn the_patch_that_decides_is_shown() {
    // Batches that do not divide the number of views.
    let server = Server::start(&["--max-batch", "7"]);
    for model in ["tiny", "whole"] {
        let parameters = json!({ "attributions": true, "xai_algorithm": "occlusion" });
        let answer = ask(&server, model, &patched(), &parameters);
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let answer = answer.json();
        serde_json::from_value::<Vec<ClassificationAnswer>>(answer.clone()).unwrap();
        assert_eq!(answer[0]["probs"], answer[1]["probs"], "{model}: explaining changes no answer");
        assert!(answer[1]["visualizations"].is_null() && answer[1]["attributions"].is_null());
        let at = |channel: usize, x: usize, y: usize| answer[0]["attributions"][channel][y][x].as_f64().unwrap();
        // Four pixels of the file are one of the network's, and one is cut at each edge: the patch is at (8..12, 4..8).
        assert!(at(0, 9, 5) > 0.01 && at(2, 10, 6) > 0.01, "{model}: {}", at(0, 9, 5));
        assert!(at(0, 1, 14).abs() < 1e-6 && at(1, 15, 15).abs() < 1e-6, "{model}: {}", at(0, 1, 14));
        let png = STANDARD.decode(answer[0]["visualizations"].as_str().unwrap()).unwrap();
        let drawn = image::load_from_memory(&png).unwrap();
        assert_eq!(drawn.dimensions(), (3 * 16, 16));
        // Blue is cold.
        assert_eq!(drawn.get_pixel(16 + 1, 14).0[..3], [0, 0, 255]);
        assert_ne!(drawn.get_pixel(16 + 9, 5).0[..3], [0, 0, 255]);
    }
    let body = json!({ "image": STANDARD.encode(patched()), "model_explainability": true }).to_string();
    let one = server.post("/score", "application/json", body.as_bytes()).json();
    assert!(one["visualizations"].is_string() && one["attributions"].is_null(), "the older request may ask too");
}

#[test]
fn each_label_above_the_threshold_is_explained() {
    let server = Server::start(&[]);
    let yellow = plain(32, 32, [255, 255, 0], Png);
    let with = |threshold: f64| {
        let parameters = json!({ "attributions": true, "confidence_score_threshold_multilabel": threshold });
        ask(&server, "multi", &yellow, &parameters).json()[0].clone()
    };
    let count = |answer: &Value| ["visualizations", "attributions"].map(|name| answer[name].as_array().unwrap().len());
    assert_eq!((count(&with(0.5)), count(&with(0.0)), count(&with(1.0))), ([2, 2], [3, 3], [0, 0]));
}

#[test]
fn what_cannot_be_explained_is_refused_by_name() {
    let server = Server::start(&["--max-explained", "1"]);
    let image = patched();
    for (parameters, told) in [
        (
            json!({ "xai_algorithm": "integrated_gradients" }),
            "trainer predict --checkpoint RUN --explain integrated_gradients",
        ),
        (json!({ "xai_algorithm": "xrai" }), "needs gradients"),
        (json!({ "confidence_score_threshold_multilabel": 1.5 }), "1.5 is not in [0, 1]"),
        (json!({ "visualizations": false }), "without visualizations and attributions"),
    ] {
        let answer = ask(&server, "tiny", &image, &parameters);
        assert_eq!((answer.status, answer.text().contains(told)), (400, true), "{}", answer.text());
    }
    let text = STANDARD.encode(&image);
    let two = json!({ "input_data": { "columns": ["image"], "data": [text, text] }, "model_explainability": true });
    let answer = server.post("/score", "application/json", two.to_string().as_bytes());
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("too_many_images")), "{}", answer.text());

    let none = Server::start(&["--max-explained", "0"]);
    assert_eq!(ask(&none, "tiny", &image, &json!({})).status, 413);
}
