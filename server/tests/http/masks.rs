//! Masks in answers. The network is `tiny_masks_*.onnx`, whose masks are formulas (see `scripts/oracle/tiny_model.py`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::Png;
use models::host::mask::{Fill, Mask, Outline, Paste, Rle};
use models::host::{Limits, Tile, decode};
use schemas::prediction::{DetectionAnswer, InferResponse, ScoredBox};
use serde_json::json;

use crate::{
    images::plain,
    support::{Response, Server},
};

const SIZE: [u32; 2] = [640, 480];

/// The model `m` (prepared) and `mw` (whole) beside the classifiers, and the detector `d`.
fn start() -> Server {
    let models =
        [("m", "tiny_masks_prepared.onnx"), ("mw", "tiny_masks_whole.onnx"), ("d", "tiny_detector_prepared.onnx")];
    Server::with_models(&models, &[])
}

fn ask(server: &Server, query: &str) -> Response {
    server.post(&format!("/score?{query}"), "image/png", &plain(SIZE[0], SIZE[1], [250, 200, 100], Png))
}

#[track_caller]
fn boxes(answer: &Response) -> Vec<ScoredBox> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_value::<DetectionAnswer>(answer.json()).unwrap().boxes
}

/// The pixels that the formula of the network's first mask, a disc, gives.
fn disc() -> Mask {
    let part = |at: usize| (2 * at + 1) as f32 / 28.0 - 1.0;
    let value = |at: usize| (1.3 - part(at % 28).hypot(part(at / 28))).clamp(0.0, 1.0);
    let values: Vec<f32> = (0..28 * 28).map(value).collect();
    let corners = [0.1 * 640.0, 0.2 * 480.0, 0.5 * 640.0, 0.6 * 480.0];
    Paste { width: SIZE[0], height: SIZE[1], threshold: 0.5 }.mask(&values, corners)
}

fn of_rle(one: &ScoredBox) -> Mask {
    let rle = one.rle.as_ref().unwrap();
    assert_eq!(rle.size, [SIZE[1], SIZE[0]]);
    Mask::from(&Rle::from_text(SIZE[0], SIZE[1], &rle.counts).unwrap())
}

#[test]
fn a_mask_is_a_polygon_run_lengths_an_image_or_nothing() {
    let server = start();
    let whole = Tile { x0: 0, y0: 0, x1: SIZE[0], y1: SIZE[1] };
    let truth = disc();
    for model in ["m", "mw"] {
        let polygons = boxes(&ask(&server, &format!("model={model}")));
        assert_eq!(polygons.len(), 4, "{model}");
        let segments: Vec<Vec<f64>> = polygons[0]
            .polygon
            .as_ref()
            .unwrap()
            .iter()
            .map(|ring| ring.iter().map(|&at| at.into()).collect())
            .collect();
        let outline = Outline::from_segments(&segments, SIZE.map(f64::from)).unwrap();
        assert!(outline.points() <= 100);
        let overlap = outline.rasterise(Fill::EvenOdd, whole).overlap(&truth, false);
        assert!(overlap > 0.98, "{model}: {overlap}");
        assert!(polygons[1].polygon.as_ref().unwrap().len() > 1, "the second is a ring, so it has a hole");

        let runs = boxes(&ask(&server, &format!("model={model}&masks=rle")));
        assert_eq!(of_rle(&runs[0]).overlap(&truth, false), 1.0, "{model}");
        assert!(runs.iter().all(|one| one.polygon.is_none() && one.png.is_none()));

        let images = boxes(&ask(&server, &format!("model={model}&masks=png")));
        let png = images[0].png.as_ref().unwrap();
        let image = decode(&STANDARD.decode(&png.image).unwrap(), &Limits::default()).unwrap();
        let place = Tile { x0: png.left, y0: png.top, x1: png.left + image.width, y1: png.top + image.height };
        let inside = |x: u32, y: u32| image.data[3 * ((y - place.y0) * image.width + x - place.x0) as usize] == 255;
        assert_eq!(Mask::from_pixels(place, inside).overlap(&truth, false), 1.0, "{model}");

        let none = boxes(&ask(&server, &format!("model={model}&masks=none")));
        assert!(none.iter().all(|one| one.polygon.is_none() && one.rle.is_none() && one.png.is_none()));
        let places = |all: &[ScoredBox]| all.iter().map(|one| (one.corners, one.score)).collect::<Vec<_>>();
        assert!([&runs, &images, &none].into_iter().all(|all| places(all) == places(&polygons)));
    }
}

#[test]
fn thresholds_and_points_are_those_of_the_request() {
    let server = start();
    let area = |query: &str| of_rle(&boxes(&ask(&server, &format!("model=m&masks=rle&{query}")))[0]).area();
    let own = area("");
    assert_eq!(area("mask_pixel_score_threshold=0.5"), own);
    assert!(area("mask_pixel_score_threshold=0.9") < own && area("mask_pixel_score_threshold=0.1") > own);
    let points = |query: &str| {
        let found = boxes(&ask(&server, &format!("model=m&{query}")));
        found[0].polygon.as_ref().unwrap().iter().map(|ring| ring.len() / 2).sum::<usize>()
    };
    assert!(points("max_number_of_polygon_points=12") <= 12 && points("max_number_of_polygon_points=400") > 100);
    let image = STANDARD.encode(plain(SIZE[0], SIZE[1], [250, 200, 100], Png));
    let body = json!({ "input_data": { "columns": ["image"], "data": [image] }, "masks": "rle",
        "mask_pixel_score_threshold": "0.9" });
    let answer = server.post("/score?model=m", "application/json", body.to_string().as_bytes());
    let list: Vec<DetectionAnswer> = serde_json::from_value(answer.json()).unwrap();
    assert_eq!(of_rle(&list[0].boxes[0]).area(), area("mask_pixel_score_threshold=0.9"));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_there_is() {
    let server = start();
    for (query, words) in [
        ("model=m&masks=bitmap", "masks is none of polygon, rle, png, none"),
        ("model=m&masks=rle&masks=png", "twice"),
        ("model=m&mask_pixel_score_threshold=1.5", "mask_pixel_score_threshold"),
        ("model=m&max_number_of_polygon_points=2", "max_number_of_polygon_points"),
        ("model=d&masks=rle", "masks is for models that segment instances"),
        ("model=d&mask_pixel_score_threshold=0.5", "is for models that segment instances"),
        ("model=tiny&max_number_of_polygon_points=50", "is for models that segment instances"),
        ("model=m&mask=rle", "did you mean masks"),
    ] {
        let answer = ask(&server, query);
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{query}: {}", answer.text());
        assert!(answer.text().contains(words), "{query}: {}", answer.text());
        answer.check_no_leak();
    }
    let image = STANDARD.encode(plain(8, 8, [250, 200, 100], Png));
    let body = json!({ "image": image, "masks": "rle" }).to_string();
    let answer = server.post("/score?model=m&masks=png", "application/json", body.as_bytes());
    assert!(answer.status == 400 && answer.text().contains("masks is in the query string and in the body"));
    let body = json!({ "image": image, "masks": "bits" }).to_string();
    let answer = server.post("/score?model=m", "application/json", body.as_bytes());
    assert!(answer.status == 400 && answer.text().contains("masks (polygon, rle, png or none)"), "{}", answer.text());
}

#[test]
fn every_output_of_the_tensors_can_be_asked_for_by_name() {
    let server = start();
    let names = ["masks", "labels", "boxes", "scores"];
    let image = STANDARD.encode(plain(SIZE[0], SIZE[1], [250, 200, 100], Png));
    let inputs = json!([{ "name": "images", "datatype": "BYTES", "shape": [1], "data": [image] }]);
    let body = json!({ "inputs": inputs, "outputs": names.map(|name| json!({ "name": name })) }).to_string();
    for model in ["m", "mw"] {
        let path = format!("/v2/models/{model}/infer");
        let answer = server.post(&path, "application/json", body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: InferResponse = serde_json::from_value(answer.json()).unwrap();
        assert_eq!(answer.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(answer.outputs[0].shape, [1, 4, 28, 28]);
    }
}
