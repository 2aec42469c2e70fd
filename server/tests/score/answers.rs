//! What is answered: the same as by `/score`, in the order of the input.

use std::fs;

use image::ImageFormat;

use crate::support::{Place, Server, image};

const MODELS: [&str; 8] = [
    "tiny_prepared.onnx",
    "tiny_whole.onnx",
    "tiny_multilabel.onnx",
    "tiny_detector_prepared.onnx",
    "tiny_detector_whole.onnx",
    "tiny_detector_tiled.onnx",
    "tiny_masks_prepared.onnx",
    "tiny_masks_whole.onnx",
];

#[track_caller]
fn same_as_score(server: &Server, place: &Place, model: &str, options: &[&str], query: &str) {
    let _ = fs::remove_file(place.path("out.jsonl"));
    place.score(model, "images", options).ended(0);
    let lines = place.lines("out.jsonl");
    assert_eq!(lines.len(), fs::read_dir(place.path("images")).unwrap().count());
    for (n, line) in lines.iter().enumerate() {
        let name = format!("images/{n:03}.png");
        let bytes = fs::read(place.path(&name)).unwrap();
        let answer = server.score(&format!("model={model}&filename={name}{query}"), &bytes);
        assert_eq!(*line, answer, "{model} {options:?}: {name}");
    }
}

#[test]
fn they_are_those_of_score_for_every_task() {
    let (server, place) = (Server::start(&MODELS), Place::with_images(37));
    for model in MODELS {
        same_as_score(&server, &place, model, &[], "");
        same_as_score(&server, &place, model, &["--max-batch", "5", "--workers", "2"], "");
    }
}

#[test]
fn options_are_those_of_a_request() {
    let (server, place) = (Server::start(&MODELS), Place::with_images(9));
    let detector = "tiny_detector_prepared.onnx";
    let boxes = ["--score-threshold", "0.4", "--iou-threshold", "0.2"];
    same_as_score(&server, &place, detector, &boxes, "&score_threshold=0.4&iou_threshold=0.2");
    let tiles = ["--tile-grid-size", "3x2", "--tile-overlap-ratio", "0.1", "--tile-predictions-nms-thresh", "0.5"];
    let query = "&tile_grid_size=3x2&tile_overlap_ratio=0.1&tile_predictions_nms_thresh=0.5";
    same_as_score(&server, &place, detector, &tiles, query);
    let masks = "tiny_masks_prepared.onnx";
    for form in ["rle", "png", "none"] {
        same_as_score(&server, &place, masks, &["--masks", form], &format!("&masks={form}"));
    }
    let pixels = ["--mask-pixel-score-threshold", "0.3", "--max-number-of-polygon-points", "8"];
    let query = "&mask_pixel_score_threshold=0.3&max_number_of_polygon_points=8";
    same_as_score(&server, &place, masks, &pixels, query);
}

#[test]
fn the_best_labels_come_first() {
    let place = Place::with_images(5);
    place.score("tiny_prepared.onnx", "images", &[]).ended(0);
    place.score("tiny_prepared.onnx", "images", &["--top-k", "2", "--output", "best.jsonl"]).ended(0);
    for (all, best) in place.lines("out.jsonl").iter().zip(place.lines("best.jsonl")) {
        let probs = |line: &serde_json::Value| -> Vec<f64> {
            line["probs"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect()
        };
        let mut sorted = probs(all);
        sorted.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(probs(&best), sorted[..2], "{all} {best}");
        assert_eq!(best["labels"].as_array().unwrap().len(), 2);
        assert_eq!(best["filename"], all["filename"]);
    }
}

#[test]
fn no_number_of_threads_changes_a_byte() {
    let place = Place::with_list(300);
    for model in ["tiny_whole.onnx", "tiny_detector_tiled.onnx"] {
        let mut first = None;
        for (workers, decoders) in [("1", "1"), ("2", "1"), ("3", "5"), ("1", "4")] {
            let options = ["--workers", workers, "--decode-threads", decoders, "--max-batch", "4"];
            place.score(model, "list.jsonl", &options).ended(1);
            let bytes = fs::read(place.path("out.jsonl")).unwrap();
            fs::remove_file(place.path("out.jsonl")).unwrap();
            assert_eq!(*first.get_or_insert_with(|| bytes.clone()), bytes, "{model} {options:?}");
        }
    }
}

#[test]
fn images_wait_for_memory_and_one_that_needs_more_alone_is_refused() {
    let place = Place::new();
    for n in 0..12 {
        place.write(&format!("images/{n:03}.jpg"), image(n, 1000, ImageFormat::Jpeg));
    }
    place.write("images/large.jpg", image(1, 1400, ImageFormat::Jpeg));
    for model in ["tiny_prepared.onnx", "tiny_whole.onnx"] {
        let output = format!("out-{model}.jsonl");
        let options = ["--memory", "16", "--workers", "2", "--output", &output];
        place.score(model, "images", &options).ended(1);
        let lines = place.lines(&output);
        assert!(lines[..12].iter().all(|line| line["probs"].is_array()), "{lines:?}");
        assert_eq!(lines[12]["error"]["code"], "too_much_memory", "{}", lines[12]);
    }
}
