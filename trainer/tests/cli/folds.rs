//! Cross-validation, from the command line.

use std::fs;

use serde_json::Value;

use crate::support::{quick, run, sample};

/// The options of a training that takes seconds, on the training part alone.
fn arguments(data: &std::path::Path, output: &std::path::Path, more: &[&str]) -> Vec<String> {
    let mut arguments = quick(data, output, 2);
    let at = arguments.iter().position(|argument| argument == "--validation_data").unwrap();
    arguments.drain(at..at + 2);
    arguments.extend(more.iter().map(|word| (*word).to_owned()));
    arguments
}

#[test]
fn each_image_is_judged_once_and_one_more_model_has_seen_all() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 40);
    let output = folder.path().join("run");
    let options = ["--folds", "2", "--json"];
    let done = run(arguments(&data, &output, &options));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    let lines = |path: &str| fs::read_to_string(output.join(path)).unwrap().lines().count();
    let rows = fs::read_to_string(data.join("train.jsonl")).unwrap().lines().count();
    for fold in ["fold-1", "fold-2"] {
        let [train, validation] = ["train", "validation"].map(|part| lines(&format!("{fold}/data/{part}.jsonl")));
        assert_eq!(train + validation, rows);
        assert!(train.abs_diff(validation) <= 1, "{train} and {validation}");
    }
    assert_eq!(lines("final/data/train.jsonl"), rows);
    assert!(
        said.contains(&format!("{rows} images, each judged by the one of 2 models that had not seen it")),
        "{said}"
    );
    assert!(output.join("final/checkpoints/best/model.onnx").is_file());
    assert_eq!(answer["folds"].as_array().unwrap().len(), 2);
    let accuracy = answer["metrics"]["accuracy"].as_f64().unwrap();
    let [low, high] = [0, 1].map(|end| answer["intervals"]["accuracy"][end].as_f64().unwrap());
    assert!(low <= accuracy && accuracy <= high);
    let plan: Value = serde_json::from_str(&fs::read_to_string(output.join("final/plan.json")).unwrap()).unwrap();
    assert_eq!(plan["settings"]["number_of_epochs"]["value"], answer["epochs"]);
    assert_eq!(plan["settings"]["best_epoch_by"]["value"], "last");

    // Going on with what is done changes nothing, and needs no option again.
    let again = run(["train", "--resume", "--json", "--output", output.to_str().unwrap()]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["metrics"], &again["epochs"]), (&answer["metrics"], &answer["epochs"]));
    // Nothing of an earlier one is written over.
    let refused = run(arguments(&data, &output, &options));
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn what_cannot_be_divided_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let refused = |more: &[&str], part: &str| {
        let done = run(arguments(&data, &folder.path().join("run"), more));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && said.contains(part), "{more:?}: {said}");
    };
    refused(&["--folds", "1"], "one part leaves nothing to train on");
    refused(&["--folds", "3", "--split_ratio", "0.3"], "each part validates once");
    refused(&["--validation_fold", "2"], "there are no more parts");
    let validation = data.join("validation.jsonl");
    refused(
        &["--folds", "3", "--validation_data", validation.to_str().unwrap()],
        "each part of the training data validates once",
    );
}
