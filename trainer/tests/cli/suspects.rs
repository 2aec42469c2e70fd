//! Labels that a trained model doubts, through the binary: planted errors are found, and what cannot be judged is refused.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{expect, run};

/// Rows whose label becomes the next class's.
const PLANTED: [usize; 5] = [3, 17, 30, 41, 52];
/// Images of the training part.
const IMAGES: u64 = 64;

/// Images of shapes, and rows of which some have a wrong label; with the right labels of all.
fn shapes(folder: &Path) -> (PathBuf, Vec<String>) {
    let data = folder.join("data");
    expect(0, ["sample-data", "--count", "90", "--output", data.to_str().unwrap()]);
    let text = fs::read_to_string(data.join("train.jsonl")).unwrap();
    let mut rows: Vec<Value> = text.lines().map(json_of).collect();
    let label = |row: &Value| row["label"].as_str().unwrap().to_owned();
    let right: Vec<String> = rows.iter().map(label).collect();
    let mut classes = right.clone();
    classes.sort();
    classes.dedup();
    for at in PLANTED {
        let class = classes.iter().position(|class| *class == right[at]).unwrap();
        rows[at]["label"] = classes[(class + 1) % classes.len()].clone().into();
    }
    let path = data.join("rows.jsonl");
    fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    (path, right)
}

/// Trains the models of a cross-validation on rows, from weights that know shapes.
fn trained(rows: &Path, output: &Path) {
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../native/weights/efficientnet-lite0-57934424.pth");
    let (rows, output) = (rows.to_str().unwrap(), output.to_str().unwrap());
    let settings = [
        ("--model_name", "efficientnet_lite0"),
        ("--training_data", rows),
        ("--output", output),
        ("--pretrained", weights),
        ("--folds", "2"),
        ("--number_of_epochs", "2"),
        ("--training_batch_size", "8"),
        ("--train_crop_size", "128"),
        ("--valid_resize_size", "136"),
        ("--valid_crop_size", "128"),
        ("--threads", "2"),
    ];
    expect(0, std::iter::once("train").chain(settings.into_iter().flat_map(|(name, value)| [name, value])));
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Lines of the labels that are listed, from 0.
fn listed(suspects: &Value) -> Vec<usize> {
    let listed = suspects["listed"].as_array().unwrap().iter();
    listed.map(|one| one["place"]["line"].as_u64().unwrap() as usize - 1).collect()
}

#[test]
fn planted_label_errors_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let ((rows, right), folds) = (shapes(folder.path()), folder.path().join("folds"));
    trained(&rows, &folds);
    let (rows, folds) = (rows.to_str().unwrap(), folds.to_str().unwrap());

    let answer = json_of(&expect(0, ["check", rows, "--checkpoint", folds, "--json"]));
    let suspects = &answer["suspects"];
    assert_eq!((&suspects["images"], &suspects["seen"]), (&IMAGES.into(), &0.into()), "{suspects}");
    let first: Vec<usize> = listed(suspects).into_iter().take(7).collect();
    let found = PLANTED.iter().filter(|&planted| first.contains(planted)).count();
    assert!(found >= 4, "{first:?}: {suspects}");
    let at = first.iter().position(|row| PLANTED.contains(row)).unwrap();
    let top = &suspects["listed"][at];
    assert_eq!(top["kind"], "other_class");
    let said = top["predicted"]["label"].as_str().unwrap();
    assert_eq!((said, top["score"].as_f64().unwrap() > 0.5), (right[first[at]].as_str(), true), "{top}");

    // The model of everything has seen all of them, and says so; the file is named as itself.
    let last = format!("{folds}/final/checkpoints/best/model.onnx");
    let page = folder.path().join("page");
    let output = ["--suspects", "3", "--output", page.to_str().unwrap()];
    let text = expect(0, ["check", rows, "--onnx", &last].into_iter().chain(output));
    assert!(text.contains("64 of 64 images were judged by a model that was trained on them"), "{text}");
    let html = fs::read_to_string(page.join("check.html")).unwrap();
    assert!(html.contains("id=\"suspects\"") && html.contains("--folds") && !html.contains("<script"), "{html}");
    let found = json_of(&fs::read_to_string(page.join("check.json")).unwrap());
    assert!(listed(&found["suspects"]).len() <= 3 && found["suspects"]["seen"] == IMAGES, "{found}");

    // Wrong calls, each with a reason.
    let refused = |arguments: &[&str], parts: &[&str]| {
        let done = run(["check", rows].iter().chain(arguments));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && parts.iter().all(|part| said.contains(part)), "{arguments:?}: {said}");
    };
    refused(&["--suspects", "5"], &["--suspects 5", "--checkpoint or --onnx"]);
    refused(&["--checkpoint", "nowhere"], &["no checkpoint at \"nowhere\""]);
    refused(&["--checkpoint", folds, "--onnx", &last], &["cannot be used with"]);
    refused(
        &["--onnx", &last, "--task", "image-object-detection"],
        &["the model's task is image-classification", "give --task image-classification"],
    );
    let other = folder.path().join("data/other.jsonl");
    fs::write(&other, json!({ "image_url": "images/train/00000.jpg", "label": "crimson" }).to_string()).unwrap();
    let done = run(["check", other.to_str().unwrap(), "--onnx", &last]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("does not know: crimson") && said.contains("circle, square, star, triangle"), "{said}");
}

#[test]
fn a_detector_is_asked_about_its_boxes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, output, task) = (path("data"), path("run"), ["--task", "image-object-detection"]);
    expect(0, ["sample-data", "--count", "16", "--output", &data].into_iter().chain(task));
    let (rows, test) = (format!("{data}/train.jsonl"), format!("{data}/test.jsonl"));
    let more = ["--model_name", "yolov5", "--model_size", "nano", "--img_size", "64", "--pretrained", "none"];
    let train = ["train", "--training_data", &rows, "--validation_data", &test, "--output", &output, "--threads", "2"];
    expect(0, train.into_iter().chain(task).chain(more).chain(["--number_of_epochs", "1", "--export", "none"]));
    let page = path("page");
    let check = ["check", &rows, "--test_data", &test, "--checkpoint", &output, "--output", &page, "--json"];
    let suspects = json_of(&expect(0, check.into_iter().chain(task)))["suspects"].clone();
    // So little training is hardly sure of anything; what it has seen is known all the same.
    let count = |rows: &str| fs::read_to_string(rows).unwrap().lines().count() as u64;
    assert_eq!(suspects["seen"].as_u64(), Some(count(&rows)), "{suspects}");
    assert_eq!(suspects["images"].as_u64(), Some(count(&rows) + count(&test)), "{suspects}");
    assert!(fs::read_to_string(format!("{page}/check.html")).unwrap().contains("Labels that a model doubts"));
}
