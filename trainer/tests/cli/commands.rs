//! One run from data to a served answer's equal, and what commands say when they are asked for the impossible.

use std::fs;

use crate::support::{expect, quick, run, same_but_for_rounding, sample};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn train_exports_a_file_that_measures_and_predicts_as_the_checkpoint_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 60);
    let path = folder.path().join("run");
    let answer = json(&expect(0, quick(&data, &path, 3).into_iter().chain(["--json".to_owned()])));
    let onnx = answer["onnx"].as_str().unwrap().to_owned();
    for name in ["plan.json", "metrics.jsonl", "report.html", "run.log", "data/train.jsonl", "data/validation.jsonl"] {
        assert!(path.join(name).is_file(), "{name}");
    }
    let plan = json(&fs::read_to_string(path.join("plan.json")).unwrap());
    assert_eq!(plan["settings"]["training_batch_size"]["source"], "command_line");
    assert_eq!(plan["settings"]["momentum"]["source"], "default");

    let test = data.join("test.jsonl");
    let test = test.to_str().unwrap();
    let run_folder = path.to_str().unwrap();
    let by_checkpoint = json(&expect(0, ["evaluate", "--checkpoint", run_folder, "--data", test, "--json"]));
    let by_file = json(&expect(0, ["evaluate", "--onnx", &onnx, "--data", test, "--json"]));
    same_but_for_rounding(&by_checkpoint, &by_file, &["accuracy"]);

    let first = json(fs::read_to_string(test).unwrap().lines().next().unwrap());
    let image = data.join(first["image_url"].as_str().unwrap());
    let drawn = folder.path().join("drawn");
    let answer = json(&expect(
        0,
        ["predict", "--onnx", &onnx, image.to_str().unwrap(), "--save", drawn.to_str().unwrap(), "--json"],
    ));
    let probabilities = answer["predictions"][0]["probs"].as_array().unwrap();
    let sum: f64 = probabilities.iter().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let saved = answer["predictions"][0]["saved"].as_str().unwrap();
    assert!(fs::metadata(saved).unwrap().len() > 1000);
}

#[test]
fn settings_that_cannot_be_are_refused_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut args = quick(folder.path(), &folder.path().join("run"), 1);
    args.extend(["--learning_rate", "2", "--optimizer", "sgd", "--beta1", "0.5"].map(str::to_owned));
    let output = run(&args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for word in ["learning_rate", "[0, 1]", "beta1"] {
        assert!(error.contains(word), "{word} in {error}");
    }
    assert!(!folder.path().join("run/plan.json").exists());
}

#[test]
fn a_device_or_a_model_that_is_not_there_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    for (extra, word) in [
        (["--model_name", "resnet19"], "resnet18"),
        (["--precision", "fp16"], "bf16"),
        (["--layers_to_freeze", "99"], "18"),
        (["--pretrained", "no/such/file.pth"], "no/such/file.pth"),
    ] {
        let run_folder = tempfile::tempdir_in(folder.path()).unwrap();
        let mut args = quick(&data, &run_folder.path().join("run"), 1);
        // The last of two spellings of an option would be refused: replace instead.
        if let Some(at) = args.iter().position(|a| a == extra[0]) {
            args[at + 1] = extra[1].to_owned();
        } else {
            args.extend(extra.map(str::to_owned));
        }
        let output = run(&args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{extra:?}: {error}");
        assert!(error.contains(word), "{extra:?}: {error}");
    }
}

#[test]
fn models_lists_every_model() {
    let answer = json(&expect(0, ["models", "--json"]));
    let names: Vec<_> = answer["models"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), models::registry::all().len());
    assert!(expect(0, ["models", "resnet50"]).contains("learning_rate"));
    expect(2, ["models", "resnet51"]);
}

#[test]
fn tables_say_what_was_assumed_and_list_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let data = sample(folder.path(), 12);
    let image = fs::read_dir(data.join("images/train")).unwrap().next().unwrap().unwrap().path();
    fs::copy(image, path("im1.JPG")).unwrap();
    fs::write(path("t.csv"), "image_id;label\nim1;cat\nim2;dog\n").unwrap();
    let answer = json(&expect(0, ["convert", "csv", &path("t.csv"), "--output", &path("o.jsonl"), "--json"]));
    assert_eq!((&answer["images"], &answer["left_out"][0]["place"]), (&1.into(), &"line 3".into()));
    assert!(answer["assumed"].to_string().contains("separated by ;"), "{answer}");
    assert!(fs::read_to_string(path("o.left_out.txt")).unwrap().contains("im2"));

    fs::write(path("b.csv"), "TRAIN,gs://k/im1.JPG,cat,0.25,0.25,,,0.5,0.75,,\nTEST,gs://k/im1.JPG,,,,,,,,,\n")
        .unwrap();
    expect(2, ["convert", "csv", &path("b.csv"), "--output", &path("b.jsonl")]);
    let answer = json(&expect(0, ["convert", "csv", &path("b.csv"), "--output", &path("parts"), "--json"]));
    assert!(answer["written"][0]["assumed"].to_string().contains("fractions of the image"), "{answer}");
    assert!(fs::read_to_string(path("parts/train.jsonl")).unwrap().contains(r#""topX":0.25,"topY":0.25"#));
    for (text, message) in
        [("image,label\nim7,cat\n", "--images FOLDER"), ("lesion,image_id,dx,age\n1,im1,nv,7\n", "--label_column NAME")]
    {
        fs::write(path("t.csv"), text).unwrap();
        let output = run(["convert", "csv", &path("t.csv"), "--output", &path("n.jsonl")]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(message), "{error}");
        assert!(!folder.path().join("n.jsonl").exists());
    }
}
