//! What a training takes where nothing is said, and what it says of it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{expect, quick, run, same_but_for_rounding, sample, trainer};

/// What a training said.
fn said(arguments: &[String]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn plan(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("plan.json")).unwrap()).unwrap()
}

#[test]
fn auto_chooses_with_reasons_and_leaves_what_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let auto = folder.path().join("auto");
    let mut arguments = quick(&data, &auto, 1);
    arguments.extend(["--export", "none", "--best_epoch_by", "primary"].map(str::to_owned));
    let log = said(&arguments);
    assert!(log.contains("recipe: calibrate true: "), "{log}");
    assert!(!log.contains("recipe: best_epoch_by"), "it was given: {log}");
    let chosen = plan(&auto);
    assert_eq!(chosen["recipe"], "auto");
    let of =
        |plan: &Value, name: &str| (plan["settings"][name]["value"].clone(), plan["settings"][name]["source"].clone());
    assert_eq!(of(&chosen, "calibrate"), (true.into(), "recipe".into()));
    assert_eq!(of(&chosen, "best_epoch_by"), ("primary".into(), "command_line".into()));
    // Random weights have no head to train first.
    assert_eq!(of(&chosen, "fit_head").0, false);

    let plain = folder.path().join("plain");
    let mut arguments = quick(&data, &plain, 1);
    arguments.extend(["--export", "none", "--recipe", "specification"].map(str::to_owned));
    assert!(!said(&arguments).contains("recipe:"));
    let specified = plan(&plain);
    assert!(specified["settings"].as_object().unwrap().values().all(|setting| setting["source"] != "recipe"));
    assert_eq!(of(&specified, "calibrate"), (false.into(), "default".into()));
}

#[test]
fn a_detector_that_nobody_named_starts_from_what_can_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let made = ["sample-data", "--task", "image-object-detection", "--count", "12", "--output"].map(str::to_owned);
    expect(0, made.into_iter().chain([data.to_str().unwrap().to_owned()]));
    let train = |name: &str, more: &[&str]| {
        let output = folder.path().join(name);
        let paths = [&data.join("train.jsonl"), &output].map(|path| path.to_str().unwrap().to_owned());
        let fixed = ["train", "--task", "image-object-detection", "--number_of_epochs", "1", "--export", "none"];
        let mut command = trainer(fixed);
        command.args(["--training_data", &paths[0], "--validation_data", &paths[0], "--output", &paths[1]]).args(more);
        // Nothing is fetched, and nothing lies on this machine.
        let weights = folder.path().join("no-weights");
        let done = command.env("FOVEA_OFFLINE", "1").env("FOVEA_WEIGHTS", weights).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        (said, plan(&output))
    };
    let (said, chosen) = train("auto", &[]);
    assert_eq!(chosen["model_name"], "yolov5", "{chosen}");
    for part in [
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        "warning: starting from random weights",
        "recipe: model_size small",
        "recipe: fit_threshold true",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What is drawn is large: 32 pixels are a small part of it.
    let side = chosen["settings"]["img_size"]["value"].as_u64().unwrap();
    assert!((160..640).contains(&side), "{side}");

    let (said, named) = train("named", &["--recipe", "specification", "--img_size", "96", "--model_size", "nano"]);
    assert_eq!(named["settings"]["img_size"]["value"], 96);
    assert!(!said.contains("recipe:"), "{said}");
}

/// The threshold of the best F1 is a setting of the checkpoint and of the file, by which both are measured and asked.
#[test]
fn a_fitted_threshold_goes_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let task = "image-classification-multilabel";
    expect(0, ["sample-data", "--task", task, "--count", "40", "--output", data.to_str().unwrap()]);
    let output = folder.path().join("run");
    let mut arguments = quick(&data, &output, 2);
    let at = arguments.iter().position(|argument| argument == "--validation_data").unwrap();
    arguments[at + 1] = data.join("train.jsonl").to_str().unwrap().to_owned();
    arguments.extend(["--task", task, "--wanted_precision", "0.3"].map(str::to_owned));
    said(&arguments);
    let records = fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    let fitted: Vec<f64> = (records.lines())
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["validation"]["fitted_threshold"].as_f64())
        .collect();
    let best = output.join("checkpoints/best");
    let text = String::from_utf8_lossy(&fs::read(best.join("model.onnx")).unwrap()).into_owned();
    let at = text.find("\"label_threshold\":").map(|at| at + "\"label_threshold\":".len()).unwrap();
    let end = text[at..].find([',', '}']).unwrap();
    let in_file: f64 = text[at..at + end].parse().unwrap();
    assert!(fitted.contains(&in_file) && in_file != 0.5, "{fitted:?}, {in_file}");
    let plan = plan(&output);
    assert_eq!(plan["settings"]["label_threshold"]["value"], 0.5, "what was asked for stays in the plan");
}

/// Logits are divided inside the exported file, which is verified against the checkpoint and answers as it does.
#[test]
fn a_fitted_temperature_is_inside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 40);
    let output = folder.path().join("run");
    let mut arguments = quick(&data, &output, 1);
    // The validation part is too small to fit anything to.
    let at = arguments.iter().position(|argument| argument == "--validation_data").unwrap();
    arguments[at + 1] = data.join("train.jsonl").to_str().unwrap().to_owned();
    // From random weights so little is learned that there is nothing to correct.
    let at = arguments.iter().position(|argument| argument == "--pretrained").unwrap();
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../native/weights/efficientnet-lite0-57934424.pth");
    weights.clone_into(&mut arguments[at + 1]);
    said(&arguments);
    let best = output.join("checkpoints/best");
    let temperature = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let at = text.find("\"temperature\":").map(|at| at + "\"temperature\":".len());
        at.and_then(|at| text[at..].split([',', '}']).next()?.parse::<f64>().ok())
    };
    let of_file = temperature(&fs::read(best.join("model.onnx")).unwrap());
    assert!(of_file.is_some_and(|t| t > 0.04 && t < 21.0 && t != 1.0), "{of_file:?}");
    let checkpoint = fs::read(best.join("model.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&checkpoint).replace("\\\"", "\"");
    assert_eq!(temperature(header.as_bytes()), of_file);
    let measure = |kind: &str, path: &Path| -> Value {
        let test = data.join("validation.jsonl");
        let text = expect(0, ["evaluate", kind, path.to_str().unwrap(), "--data", test.to_str().unwrap(), "--json"]);
        serde_json::from_str(&text).unwrap()
    };
    let (file, network) = (measure("--onnx", &best.join("model.onnx")), measure("--checkpoint", &best));
    same_but_for_rounding(&file, &network, &["accuracy"]);
    let meta = String::from_utf8_lossy(&checkpoint).into_owned();
    assert!(meta.contains("log_loss_calibrated"), "the records have both");
    let interval = file["intervals"]["accuracy"].as_array().unwrap();
    let accuracy = file["metrics"]["accuracy"].as_f64().unwrap();
    assert!(interval[0].as_f64().unwrap() <= accuracy && accuracy <= interval[1].as_f64().unwrap());
}
