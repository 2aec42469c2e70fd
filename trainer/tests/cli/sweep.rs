//! Studies through the binary: of options and of job files, killed and gone on with, exported, measured and registered.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{expect, run, sample, trainer};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What makes a training of the sample data take seconds.
const QUICK: [(&str, &str); 8] = [
    ("model_name", "efficientnet_lite0"),
    ("pretrained", "none"),
    ("training_batch_size", "8"),
    ("train_crop_size", "64"),
    ("valid_resize_size", "72"),
    ("valid_crop_size", "64"),
    ("number_of_workers", "1"),
    ("number_of_epochs", "2"),
];

fn sweep(data: &Path, output: &Path, more: &[&str]) -> Vec<String> {
    let mut args: Vec<String> = ["sweep", "--training_data"].map(str::to_owned).into();
    args.extend([
        text(&data.join("train.jsonl")),
        "--validation_data".to_owned(),
        text(&data.join("validation.jsonl")),
    ]);
    args.extend(["--output".to_owned(), text(output)]);
    args.extend(QUICK.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]));
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    args
}

const SEARCH: [&str; 8] =
    ["--search", "learning_rate=loguniform(-8,-4)", "--max_trials", "3", "--sampling", "random", "--threads", "2"];

/// What does not depend on the clock.
fn trials(answer: &Value) -> Vec<Value> {
    let keep =
        |trial: &Value| json!([trial["number"], trial["state"], trial["point"], trial["value"], trial["best_epoch"]]);
    answer["trials"].as_array().unwrap().iter().map(keep).collect()
}

#[test]
fn a_killed_sweep_goes_on_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 48);
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let test = text(&data.join("test.jsonl"));
    let asked = [SEARCH.as_slice(), &["--test_data", &test, "--json"]].concat();
    let answer = parsed(&expect(0, sweep(&data, &whole, &asked)));
    let best = &answer["best"];
    assert_eq!(answer["trials"].as_array().unwrap().len(), 3);
    assert!(Path::new(best["onnx"].as_str().unwrap()).is_file());
    assert!(
        answer["test"]["metrics"]["accuracy"].is_number() && answer["validation"]["metrics"]["accuracy"].is_number()
    );
    assert_eq!(parsed(&fs::read_to_string(whole.join("study.json")).unwrap()), answer);
    // The trainings of a study have one split, and its images are kept no longer than they are needed.
    let rows = |trial: &str| fs::read_to_string(whole.join("trials").join(trial).join("data/train.jsonl")).unwrap();
    assert_eq!(rows("0000"), rows("0002"));
    assert!(!whole.join("images").exists());

    let mut child = trainer(sweep(&data, &killed, &asked)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    child.kill().unwrap();
    child.wait().unwrap();
    let again = match killed.join("study.sqlite").exists() {
        true => parsed(&expect(0, ["sweep", "--resume", "--json", "--output", &text(&killed)])),
        false => parsed(&expect(0, sweep(&data, &killed, &asked))),
    };
    assert_eq!(trials(&again), trials(&answer));

    // It is over; asked again, it is measured again, registered, and nothing is trained.
    let models = text(&folder.path().join("models"));
    let register =
        ["sweep", "--resume", "--output", &text(&killed), "--register", "shapes", "--models", &models, "--json"];
    let registered = parsed(&expect(0, register));
    assert_eq!(registered["registered"]["version"], 1);
    assert_eq!(registered["registered"]["metrics"], registered["validation"]["metrics"], "those of the file");
    assert!(registered["registered"]["study"].as_str().unwrap().ends_with("killed"));
    assert_eq!(trials(&registered), trials(&answer));
    let message = String::from_utf8(run(sweep(&data, &killed, &SEARCH)).stderr).unwrap();
    assert!(message.contains("holds a study already"), "{message}");
    // A trial is a run like any other.
    let run_folder = PathBuf::from(best["run"].as_str().unwrap());
    expect(0, ["evaluate", "--checkpoint", &text(&run_folder), "--data", &test]);
}

#[test]
fn a_job_file_is_planned_and_done() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path(), 48);
    for part in ["train", "validation"] {
        let table = folder.path().join(part);
        fs::create_dir(&table).unwrap();
        fs::write(
            table.join("MLTable"),
            format!(
                "paths:\n  - file: ../data/{part}.jsonl\ntransformations:\n  - read_json_lines:\n      encoding: utf8\n"
            ),
        )
        .unwrap();
    }
    let quick: String = QUICK.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect();
    let file = folder.path().join("job.yml");
    let job = format!(
        "type: automl\ntask: image_classification\nexperiment_name: shapes\ncompute: azureml:gpu-cluster\n\
         primary_metric: accuracy\ntarget_column_name: label\n\
         training_data:\n  type: mltable\n  path: ./train\nvalidation_data:\n  type: mltable\n  path: ./validation\n\
         limits:\n  max_trials: 4\n  max_concurrent_trials: 2\ntraining_parameters:\n{quick}\
         sweep:\n  sampling_algorithm: random\n  early_termination:\n    type: bandit\n    slack_factor: 0.5\n    evaluation_interval: 2\n\
         search_space:\n  - learning_rate:\n      type: uniform\n      min_value: 0.001\n      max_value: 0.01\n"
    );
    fs::write(&file, job).unwrap();
    let dry = expect(0, ["job", &text(&file), "--dry_run", "--set", "limits.max_trials=2"]);
    assert!(dry.contains("trials           2") && dry.contains("azureml:gpu-cluster"), "{dry}");
    let output = folder.path().join("study");
    let ask =
        ["job", &text(&file), "--output", &text(&output), "--set", "limits.max_trials=2", "--json", "--threads", "2"];
    let answer = parsed(&expect(0, ask));
    let trials = answer["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 2);
    assert!(trials.iter().all(|trial| trial["state"] == "completed" || trial["state"] == "stopped"), "{answer}");
    let plan = parsed(&fs::read_to_string(output.join("trials/0000/plan.json")).unwrap());
    assert_eq!(plan["recipe"], "specification", "job files get the specification's defaults");
    // Without a search space and with one trial it is one training.
    let lines = fs::read_to_string(&file).unwrap();
    let single = folder.path().join("single.yml");
    let cut = lines
        .split_once("sweep:")
        .unwrap()
        .0
        .replace("max_trials: 4", "max_trials: 1")
        .replace("max_concurrent_trials: 2", "max_concurrent_trials: 1");
    fs::write(&single, cut).unwrap();
    let output = folder.path().join("single");
    let ask = ["job", &text(&single), "--output", &text(&output), "--json", "--threads", "2"];
    let answer = parsed(&expect(0, ask));
    assert_eq!(answer["trials"].as_array().unwrap().len(), 1);
    assert_eq!(answer["trials"][0]["state"], "completed");
    let wrong = run(["job", &text(&file), "--dry_run", "--set", "limits.max_trails=2"]);
    let message = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(message.contains("max_trails") && message.contains("max_trials"), "{message}");
}

#[test]
fn a_study_without_a_space_says_what_it_chose() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let train = text(&data.join("train.jsonl"));
    let dry = ["sweep", "--training_data", &train, "--max_trials", "8", "--dry_run", "--device", "cpu", "--json"];
    let planned = parsed(&expect(0, dry));
    let plan = &planned["plan"];
    assert!(!plan["space"].as_array().unwrap().is_empty() && !plan["first"].as_array().unwrap().is_empty(), "{plan}");
    assert_eq!(plan["fixed"]["recipe"], "auto");
    let dry = expect(0, ["sweep", "--training_data", &train, "--max_trials", "8", "--dry_run", "--device", "cpu"]);
    assert!(dry.contains("auto: models") || dry.contains("auto: model "), "{dry}");
    assert!(fs::read_dir(folder.path()).unwrap().count() == 1, "nothing was written");
    for (more, what) in [("--folds=3", "folds"), ("--search=learning_rate=uniform(1,0)", "learning_rate")] {
        let wrong = run(["sweep", "--training_data", &train, more, "--dry_run"]);
        let message = String::from_utf8(wrong.stderr).unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{message}");
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn a_training_takes_its_options_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let quick: String = QUICK.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let file = data.join("training.yml");
    fs::write(
        &file,
        format!("training_data: train.jsonl\nvalidation_data: validation.jsonl\nlearning_rate: 0.003\n{quick}"),
    )
    .unwrap();
    let output = folder.path().join("run");
    let ask = [
        "train",
        "--config",
        &text(&file),
        "--number_of_epochs",
        "1",
        "--export",
        "none",
        "--threads",
        "2",
        "--output",
        &text(&output),
    ];
    expect(0, ask);
    let plan = parsed(&fs::read_to_string(output.join("plan.json")).unwrap());
    let setting = |name: &str| (plan["settings"][name]["value"].clone(), plan["settings"][name]["source"].clone());
    assert_eq!(setting("learning_rate"), (json!(0.003), json!("file")));
    assert_eq!(setting("number_of_epochs"), (json!(1), json!("command_line")), "the command line goes before the file");
    fs::write(&file, "training_data: train.jsonl\nlearning_rat: 0.003\n").unwrap();
    let wrong = run(["train", "--config", &text(&file), "--output", &text(&folder.path().join("other"))]);
    let message = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(message.contains("training.yml:2") && message.contains("learning_rate"), "{message}");
}
