//! Detectors through the binary: trained, stopped and resumed, exported, measured, drawn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::resume::assert_same;
use crate::support::{expect, run, trainer};

const BOXES: &str = "image-object-detection";
const OUTLINES: &str = "image-instance-segmentation";

fn sample(folder: &Path, count: &str) -> PathBuf {
    sample_of(BOXES, folder, count)
}

fn sample_of(task: &str, folder: &Path, count: &str) -> PathBuf {
    let data = folder.join("data");
    let output = data.to_str().unwrap();
    expect(0, ["sample-data", "--task", task, "--output", output, "--count", count]);
    data
}

/// Arguments of a training that takes seconds.
fn quick(data: &Path, run: &Path, more: &[&str]) -> Vec<String> {
    quick_of(BOXES, data, run, more)
}

fn quick_of(task: &str, data: &Path, run: &Path, more: &[&str]) -> Vec<String> {
    let path = |p: PathBuf| p.to_str().unwrap().to_owned();
    let (train, validation) = (path(data.join("train.jsonl")), path(data.join("validation.jsonl")));
    let run = run.to_str().unwrap();
    let given = [
        "train",
        "--task",
        task,
        "--training_data",
        &train,
        "--validation_data",
        &validation,
        "--output",
        run,
        "--pretrained",
        "none",
        "--number_of_epochs",
        "2",
        "--training_batch_size",
        "4",
        "--number_of_workers",
        "1",
        "--threads",
        "2",
    ];
    given.iter().chain(more).map(|&arg| arg.to_owned()).collect()
}

const NANO: [&str; 4] = ["--model_size", "nano", "--img_size", "64"];

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Trains, and asks the checkpoint and the file about the same images.
fn file_equals_checkpoint(task: &str, more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let data = sample_of(task, folder.path(), "24");
    let path = folder.path().join("run");
    let answer = json(&expect(0, quick_of(task, &data, &path, more).into_iter().chain(["--json".to_owned()])));
    let onnx = answer["onnx"].as_str().unwrap().to_owned();
    let mut names = vec!["ap50", "ap50_95", "mean_average_precision", "mean_average_precision_truncated"];
    if task == OUTLINES {
        names.extend(["box_ap50", "box_ap50_95"]);
    }
    for name in &names {
        assert!(answer["metrics"][name].is_number(), "{name} in {}", answer["metrics"]);
    }
    let (test, run_folder) = (data.join("test.jsonl"), path.to_str().unwrap());
    let test = test.to_str().unwrap();
    let by_checkpoint = json(&expect(0, ["evaluate", "--checkpoint", run_folder, "--data", test, "--json"]));
    let by_file = json(&expect(0, ["evaluate", "--onnx", &onnx, "--data", test, "--json"]));
    assert_eq!(by_checkpoint["images"], by_file["images"]);
    for name in names {
        let value = |answer: &serde_json::Value| answer["metrics"][name].as_f64().unwrap();
        let (a, b) = (value(&by_checkpoint), value(&by_file));
        // A box more or less, or two in another order, where scores are equal but for the last digits.
        assert!((a - b).abs() <= 0.02, "{name}: {a} by the checkpoint, {b} by the file");
        if let [low, high] = by_file["intervals"][name].as_array().map_or(&[][..], Vec::as_slice) {
            assert!(low.as_f64().unwrap() <= b && b <= high.as_f64().unwrap(), "{name}: {b} in {low} to {high}");
        } else {
            // Boxes beside masks have none, and nor have fewer than five images.
            assert!(name.starts_with("box_") || by_file["images"].as_u64().unwrap() < 5, "{name}");
        }
    }

    let first = json(fs::read_to_string(test).unwrap().lines().next().unwrap());
    let image = data.join(first["image_url"].as_str().unwrap());
    let drawn = folder.path().join("drawn");
    let (image, drawn) = (image.to_str().unwrap(), drawn.to_str().unwrap());
    // So little training is sure of nothing; a mask is looked at all the same.
    let least = if task == OUTLINES { "0" } else { "0.01" };
    let ask = ["predict", "--onnx", &onnx, image, "--save", drawn, "--box_score_thresh", least, "--json"];
    let answer = json(&expect(0, ask));
    let found = answer["predictions"][0]["boxes"].as_array().unwrap();
    assert!(task == BOXES || !found.is_empty(), "{answer}");
    for found in found {
        let rings = found["polygon"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(found["polygon"].is_array(), task == OUTLINES, "{found}");
        let points = || rings.iter().flat_map(|ring| ring.as_array().unwrap()).map(|at| at.as_f64().unwrap());
        assert!(points().all(|at| (0.0..=1.0).contains(&at)) && points().count() <= 200, "{found}");
        let side = |name: &str| found["box"][name].as_f64().unwrap();
        assert!(0.0 <= side("topX") && side("topX") <= side("bottomX") && side("bottomX") <= 1.0, "{found}");
        assert!(found["score"].as_f64().unwrap() > least.parse().unwrap());
    }
    assert!(fs::metadata(answer["predictions"][0]["saved"].as_str().unwrap()).unwrap().len() > 1000);
    expect(2, ["embed", "--onnx", &onnx, image, "--output", &format!("{drawn}/vectors.npy")]);
}

#[test]
fn yolov5_files_measure_and_predict_as_their_checkpoint_does() {
    file_equals_checkpoint(BOXES, &NANO);
}

#[test]
fn tiled_yolov5_files_measure_and_predict_as_their_checkpoint_does() {
    file_equals_checkpoint(BOXES, &[&NANO[..], &["--tile_grid_size", "2x1", "--export", "whole"]].concat());
}

#[test]
fn prepared_faster_rcnn_files_measure_and_predict_as_their_checkpoint_does() {
    let sizes = ["--model_name", "fasterrcnn_resnet18_fpn", "--min_size", "64", "--max_size", "96"];
    file_equals_checkpoint(BOXES, &[&sizes[..], &["--export", "prepared"]].concat());
}

/// Few boxes: each costs as much as a small image.
const MASK: [&str; 8] =
    ["--model_name", "maskrcnn_resnet18_fpn", "--min_size", "64", "--max_size", "96", "--box_detections_per_img", "8"];

#[test]
fn tiled_mask_rcnn_files_measure_and_predict_as_their_checkpoint_does() {
    file_equals_checkpoint(OUTLINES, &[&MASK[..], &["--tile_grid_size", "2x1", "--export", "whole"]].concat());
}

#[test]
fn a_stopped_detector_resumes_without_changing_a_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), "24");
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let more =
        [&NANO[..], &["--export", "none", "--multi_scale", "true", "--nominal_batch_size", "8", "--augment_hsv", "1"]]
            .concat();
    expect(0, quick(&data, &whole, &more));

    let mut args = quick(&data, &stopped, &more);
    let mut child = trainer(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !stopped.join("metrics.jsonl").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    args.push("--resume".to_owned());
    expect(0, &args);
    assert_same(&whole, &stopped);
}

#[test]
fn settings_of_the_other_family_and_models_of_the_other_task_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), "12");
    for (more, words) in [
        (&["--min_size", "300"][..], ["min_size 300", "only R-CNN and RetinaNet"]),
        (&["--model_name", "retinanet_resnet50_fpn", "--img_size", "320"], ["img_size 320", "only yolov5"]),
        (&["--model_name", "resnet18"], ["resnet18 is no model for image-object-detection", "yolov5"]),
        (&["--tile_grid_size", "1x1"], ["tile_grid_size", "3x2"]),
        (&["--valid_crop_size", "100"], ["valid_crop_size", "classification setting"]),
    ] {
        let output = run(quick(&data, &folder.path().join("run"), more));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{more:?}: {error}");
    }
}
