//! Multi-label classification through the binary: trained, exported, measured, predicted.

use std::fs;

use crate::support::{expect, quick, run, same_but_for_rounding};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn label_sets_are_trained_measured_and_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let task = ["--task", "image-classification-multilabel"];
    let output = data.to_str().unwrap();
    expect(0, ["sample-data", "--output", output, "--count", "40"].into_iter().chain(task));
    let path = folder.path().join("run");
    let more = task.into_iter().chain(["--weighted_loss", "1", "--imbalance_rate_threshold", "1", "--json"]);
    let answer = json(&expect(0, quick(&data, &path, 2).into_iter().chain(more.map(str::to_owned))));
    let metrics = &answer["metrics"];
    for name in ["iou", "iou_micro", "iou_macro", "accuracy", "log_loss", "AUC_macro", "f1_score_weighted"] {
        assert!(metrics[name].is_f64(), "{name} in {metrics}");
    }

    let test = data.join("test.jsonl");
    let measured =
        |by: [&str; 2]| json(&expect(0, ["evaluate", by[0], by[1], "--data", test.to_str().unwrap(), "--json"]));
    let onnx = answer["onnx"].as_str().unwrap();
    let (by_file, by_checkpoint) = (measured(["--onnx", onnx]), measured(["--checkpoint", path.to_str().unwrap()]));
    same_but_for_rounding(&by_file, &by_checkpoint, &["iou", "accuracy"]);
    assert!(by_file["report"]["confusion_matrix"].as_array().unwrap().is_empty());
    assert_eq!(by_file["report"]["classes"].as_array().unwrap().len(), 4);

    let report = json(&fs::read_to_string(path.join("report.json")).unwrap());
    assert_eq!(report["accuracy_table"]["classes"][0]["probability_table"].as_array().unwrap().len(), 100);
    assert_eq!(report["report"]["iou"]["samples"], metrics["iou"]);
    assert!(report["suspected_label_errors"].is_array());
    let page = fs::read_to_string(path.join("report.html")).unwrap();
    assert!(page.contains("Images by number of labels") && page.contains("Cumulative gain"));

    let first = json(fs::read_to_string(&test).unwrap().lines().next().unwrap());
    let image = data.join(first["image_url"].as_str().unwrap());
    let saved = folder.path().join("saved");
    let arguments = ["predict", "--onnx", onnx, image.to_str().unwrap(), "--json", "--save", saved.to_str().unwrap()];
    let answer = json(&expect(0, arguments));
    let said = &answer["predictions"][0];
    assert_eq!((said["labels"].as_array().unwrap().len(), said["probs"].as_array().unwrap().len()), (4, 4));
    assert!(fs::metadata(said["saved"].as_str().unwrap()).unwrap().len() > 1000);
}

#[test]
fn rows_with_one_bare_label_are_no_label_sets() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    expect(0, ["sample-data", "--output", data.to_str().unwrap(), "--count", "12"]);
    let more = ["--task", "image-classification-multilabel"].map(str::to_owned);
    let output = run(quick(&data, &folder.path().join("run"), 1).into_iter().chain(more));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("alone; an image has a list of labels"), "{error}");
}
