//! Rows are read back by what reads training data.

use schemas::{
    Labels,
    dataset::{Label, parse_row},
};
use serde_json::json;

use crate::support::Place;

#[track_caller]
fn labels(place: &Place, name: &str, labels: Labels) -> Vec<Label> {
    let text = std::fs::read_to_string(place.path(name)).unwrap();
    let row = |line: &str| {
        let row = parse_row(labels, line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(row.rejected.is_empty(), "{line}: {:?}", row.rejected);
        row.label
    };
    text.lines().map(row).collect()
}

#[test]
fn every_task_has_rows() {
    let place = Place::with_images(12);
    let score = |model: &str, options: &[&str]| {
        let options = [&["--format", "rows", "--output", model], options].concat();
        place.score(model, "images", &options).ended(0);
        place.lines(model)
    };
    let rows = score("tiny_prepared.onnx", &[]);
    assert_eq!(rows.len(), 12);
    for row in &rows {
        assert!(row["label"].is_string() && row["label_confidence"].as_f64().unwrap() > 1.0 / 3.0, "{row}");
        assert!(row["image_url"].as_str().unwrap().starts_with('/'), "{row}");
    }
    labels(&place, "tiny_prepared.onnx", Labels::Class);
    for (model, of) in [
        ("tiny_multilabel.onnx", Labels::Classes),
        ("tiny_detector_tiled.onnx", Labels::Boxes),
        ("tiny_masks_prepared.onnx", Labels::Outlines),
    ] {
        let rows = score(model, &[]);
        let mut parts = 0;
        for row in &rows {
            let (label, confidence) = (row["label"].as_array().unwrap(), row["label_confidence"].as_array().unwrap());
            assert_eq!(label.len(), confidence.len(), "{row}");
            parts += label.len();
        }
        assert!(parts > 0, "{model} finds nothing");
        assert_eq!(labels(&place, model, of).len(), 12);
    }
}

#[test]
fn labels_of_a_set_are_those_above_the_threshold() {
    let place = Place::with_images(4);
    let rows = |threshold: &str| {
        let output = format!("{threshold}.jsonl");
        let options = ["--format", "rows", "--label-threshold", threshold, "--output", &output];
        place.score("tiny_multilabel.onnx", "images", &options).ended(0);
        place.lines(&output)
    };
    assert!(rows("1").iter().all(|row| row["label"] == json!([])));
    let all = rows("0");
    assert!(all.iter().all(|row| row["label"].as_array().unwrap().len() > 1), "{all:?}");
}

#[test]
fn a_row_keeps_what_else_it_held_and_leads_to_its_image() {
    let place = Place::with_images(2);
    let row = json!({
        "image_url": "images/000.png", "image_details": {"width": "20px"}, "label": "old", "label_confidence": 0.1,
        "isCrowd": 1, "source": "camera 3",
    });
    let other = json!({ "imageUrl": "images/absent.png" });
    place.write("list.jsonl", format!("{row}\n{other}\n"));
    place.write("sub/keep", "");
    for (output, leads) in [
        ("rows.jsonl", "images/000.png".to_owned()),
        ("sub/rows.jsonl", { place.path("images/000.png").display().to_string() }),
    ] {
        let scored =
            place.score("tiny_prepared.onnx", "list.jsonl", &["--format", "rows", "--output", output, "--json"]);
        assert_eq!(scored.ended(1).json()["failed"], 1);
        let lines = place.lines(output);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["image_url"], leads);
        assert_eq!((&lines[0]["source"], &lines[0]["image_details"]["width"]), (&json!("camera 3"), &json!("20px")));
        assert!(lines[0].get("isCrowd").is_none() && lines[0]["label"] != "old", "{}", lines[0]);
        let errors = place.lines(&format!("{output}.errors.jsonl"));
        assert_eq!(errors[0]["filename"], "images/absent.png");
        assert_eq!(errors[0]["error"]["code"], "file_not_found");
    }
}
