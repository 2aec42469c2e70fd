//! Runs are listed, compared, pruned and registered.

use std::fs;
use std::path::Path;

use schemas::RegisteredModel;
use serde_json::Value;

use crate::resume::assert_same;
use crate::support::{expect, quick, run, sample};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn runs_are_listed_compared_pruned_and_registered() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 48);
    let runs = folder.path().join("runs");
    let (one, two) = (runs.join("one"), runs.join("more/two"));
    expect(0, quick(&data, &one, 2));
    let other = ["--learning_rate", "0.002", "--checkpoint_frequency", "1", "--export", "none"];
    expect(0, quick(&data, &two, 1).iter().map(String::as_str).chain(other));
    // What is no run, or one that cannot be read, is not listed as one.
    fs::create_dir_all(runs.join("notes")).unwrap();
    fs::write(runs.join("notes/plan.json"), "{}").unwrap();

    let listed = json(&expect(0, ["runs", "list", text(&runs), "--json"]));
    let rows = listed["runs"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["run"].as_str().unwrap()).collect::<Vec<_>>(), [text(&two), text(&one)]);
    assert_eq!((&rows[0]["state"], &rows[0]["exported"]), (&"completed".into(), &false.into()));
    assert_eq!((&rows[1]["epochs"], &rows[1]["best"]["name"]), (&2.into(), &"accuracy".into()));
    assert!(expect(0, ["runs", "list", text(&runs)]).contains("more/two"));

    let compared = json(&expect(0, ["runs", "compare", text(&one), text(&two), "--json"]));
    let settings = compared["settings"].as_object().unwrap();
    assert_eq!(settings["learning_rate"][1], 0.002);
    assert!(!settings.contains_key("training_batch_size"), "it is the same in both");
    let exact = json(&fs::read_to_string(one.join("report.json")).unwrap());
    assert_eq!(compared["runs"][0]["metrics"], exact["metrics"]);

    registers(folder.path(), &one, &two);

    // Nothing goes without --yes, and never the best.
    let last = one.join("checkpoints/last/model.safetensors");
    assert!(expect(0, ["runs", "prune", text(&runs)]).contains("--yes"));
    assert!(last.is_file());
    fs::write(two.join("checkpoints/epoch-0001/mine.txt"), "mine").unwrap();
    let pruned = json(&expect(0, ["runs", "prune", text(&runs), "--yes", "--json"]));
    assert_eq!(pruned["files"].as_array().unwrap().len(), 3);
    assert!(!last.exists() && !last.parent().unwrap().exists());
    assert!(
        one.join("checkpoints/best/model.onnx").is_file() && two.join("checkpoints/best/model.safetensors").is_file()
    );
    assert_eq!(fs::read_to_string(two.join("checkpoints/epoch-0001/mine.txt")).unwrap(), "mine");
    let test = data.join("test.jsonl");
    expect(0, ["evaluate", "--checkpoint", text(&one), "--data", text(&test)]);
    let message = String::from_utf8(run(["runs", "list", "nowhere"]).stderr).unwrap();
    assert!(message.contains("no folder nowhere"), "{message}");
}

/// `one` was exported, `two` was not.
fn registers(folder: &Path, one: &Path, two: &Path) {
    let models = folder.join("models");
    let register =
        |name: &str| ["register", text(one), "--name", name, "--models", text(&models), "--json"].map(str::to_owned);
    let first = json(&expect(0, register("shapes")));
    assert_eq!(first["model"]["version"], 1);
    // Versions are whole numbers; what else is there stays, and what has a version's name counts as one.
    fs::write(models.join("shapes/7"), "a file of somebody's").unwrap();
    fs::create_dir(models.join("shapes/latest")).unwrap();
    let second = json(&expect(0, register("shapes")));
    assert_eq!(second["model"]["version"], 8);
    let place = models.join("shapes/8");
    assert_eq!(fs::read(place.join("model.onnx")).unwrap(), fs::read(one.join("checkpoints/best/model.onnx")).unwrap());
    let written: RegisteredModel =
        serde_json::from_str(&fs::read_to_string(place.join("model.json")).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&written).unwrap(), second["model"]);
    assert_eq!(written.sha256, files::digest::of_file(&place.join("model.onnx")).unwrap());
    assert!(written.metrics.contains_key("accuracy") && written.intervals.contains_key("accuracy"), "{written:?}");
    assert_eq!(written.data.keys().collect::<Vec<_>>(), ["train", "validation"]);
    assert_eq!(fs::read_to_string(models.join("shapes/7")).unwrap(), "a file of somebody's");
    let names: Vec<_> = fs::read_dir(models.join("shapes")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "nothing is left aside: {names:?}");

    for (run_folder, name, what) in
        [(one, "../up", "--name ../up"), (two, "two", "no exported file"), (folder, "x", "is no run")]
    {
        let output = run(["register", text(run_folder), "--name", name, "--models", text(&models)]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(what), "{message}");
    }
    assert!(!models.join("two").exists());
}

#[test]
fn images_that_are_kept_for_other_runs_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let images = folder.path().join("images");
    let train = |name: &str, more: &[&str]| {
        let run = folder.path().join(name);
        let more = [&["--export", "none"], more].concat();
        expect(0, quick(&data, &run, 2).iter().map(String::as_str).chain(more));
        run
    };
    let without = train("without", &[]);
    for name in ["first", "second"] {
        assert_same(&without, &train(name, &["--image_cache", text(&images)]));
        assert!(fs::read_dir(&images).unwrap().count() >= 20, "the images are there");
    }
}
