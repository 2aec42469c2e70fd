//! Studies whose trials train nothing (`examples/study_stub.rs`): what is killed goes on, each trial once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use dataset::KeyedRng;
use serde_json::{Value, json};

fn program() -> PathBuf {
    // Beside the folder of this test's program.
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/study_stub")
}

fn command(folder: &Path, stub: &Value, resume: bool) -> Command {
    let mut command = Command::new(program());
    command.arg("run").arg(folder).env("STUB", stub.to_string()).stdin(Stdio::null());
    if resume {
        command.arg("--resume");
    }
    command
}

#[track_caller]
fn finished(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {error}"))
}

fn study(stub: &Value) -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&folder.path().join("study"), stub, false).output().unwrap();
    (folder, finished(&output))
}

/// What a study comes to, but for how often each trial was started.
fn result(answer: &Value) -> Vec<Value> {
    let keep = |trial: &Value| json!([trial["number"], trial["state"], trial["rate"], trial["reports"]]);
    answer["trials"].as_array().unwrap().iter().map(keep).collect()
}

#[test]
fn all_trials_are_tried_and_reported() {
    let (_folder, answer) = study(&json!({ "trials": 6, "epochs": 3, "pause": 5 }));
    assert_eq!((&answer["ended"], &answer["check"]), (&json!("Completed"), &json!(["ok"])));
    let trials = answer["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 6);
    for trial in trials {
        assert_eq!((&trial["state"], &trial["attempts"]), (&json!("completed"), &json!(1)));
        assert_eq!(trial["reports"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn whatever_is_killed_the_study_is_the_same() {
    // Kills of the program itself do not count, so that this is more than enough.
    let stub = json!({ "trials": 12, "epochs": 6, "pause": 60, "retries": 10 });
    let (_whole, whole) = study(&stub);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("study");
    let mut rng = KeyedRng::new("kills", &[1]);
    let (mut kills, mut killed_trials) = (0, 0);
    let killed = loop {
        let mut child =
            command(&place, &stub, kills > 0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if kills >= 10 {
            break finished(&child.wait_with_output().unwrap());
        }
        thread::sleep(Duration::from_millis(150 + rng.below(250)));
        if rng.below(2) == 0 {
            killed_trials += u32::from(kill_a_trial(&place, &mut rng));
            thread::sleep(Duration::from_millis(rng.below(200)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    };
    assert_eq!(result(&killed), result(&whole));
    assert_eq!(killed["check"], json!(["ok"]));
    let twice = fs::read_dir(place.join("trials"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "twice"));
    assert_eq!(twice.count(), 0, "two processes worked in one folder");
    assert!(killed_trials > 0, "no trial was killed");
}

#[test]
fn a_trial_is_not_blamed_for_the_end_of_the_program() {
    let stub = json!({ "trials": 2, "epochs": 40, "pause": 60, "retries": 0 });
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("study");
    for end in 0..6 {
        let mut child = command(&place, &stub, end > 0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(400));
        if end % 2 == 0 {
            child.kill().unwrap();
        } else {
            Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        }
        child.wait().unwrap();
    }
    let answer = finished(&command(&place, &stub, true).output().unwrap());
    for trial in answer["trials"].as_array().unwrap() {
        assert_eq!((&trial["state"], &trial["attempts"]), (&json!("completed"), &json!(1)), "{answer}");
    }
}

/// Kills one of the running trials, and tells whether there was one.
fn kill_a_trial(place: &Path, rng: &mut KeyedRng) -> bool {
    let inside = place.canonicalize().unwrap().join("trials");
    let mut trials = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.split('\0').any(|word| Path::new(word).starts_with(&inside)) {
            trials.push(entry.file_name().into_string().unwrap());
        }
    }
    if trials.is_empty() {
        return false;
    }
    let pid = &trials[rng.below(trials.len() as u64) as usize];
    Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn told_to_stop_it_goes_on_later() {
    let stub = json!({ "trials": 4, "epochs": 8, "pause": 60 });
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("study");
    let child = command(&place, &stub, false).stdout(Stdio::piped()).spawn().unwrap();
    // It has begun when its first trial has.
    while !place.join("trials/0001/journal.jsonl").is_file() {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let stopped = finished(&child.wait_with_output().unwrap());
    assert_eq!(stopped["ended"], "Interrupted");
    assert!(stopped["trials"].as_array().unwrap().iter().all(|trial| trial["state"] != "running"), "{stopped}");
    let again = finished(&command(&place, &stub, true).output().unwrap());
    assert_eq!(again["ended"], "Completed");
    assert_eq!(result(&again), result(&study(&stub).1));
    // It is over: nothing is started again, and nothing begins in its place.
    let once_more = finished(&command(&place, &stub, true).output().unwrap());
    assert_eq!(once_more["trials"], again["trials"]);
    let refused = command(&place, &stub, false).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("InTheWay"), "{refused:?}");
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/notes.txt"), "mine").unwrap();
    let refused = command(&folder.path().join("mine"), &stub, false).output().unwrap();
    assert!(!refused.status.success());
    assert_eq!(fs::read_dir(folder.path().join("mine")).unwrap().count(), 1);
}

#[test]
fn what_falls_behind_is_ended_and_keeps_its_checkpoint() {
    let (folder, answer) = study(&json!({ "trials": 10, "epochs": 8, "pause": 100, "slack": 0.05 }));
    let trials = answer["trials"].as_array().unwrap();
    let of = |state: &str| trials.iter().filter(|trial| trial["state"] == state).collect::<Vec<_>>();
    assert!(!of("stopped").is_empty() && !of("completed").is_empty(), "{answer}");
    for trial in of("stopped") {
        assert_eq!(trial["why"], "early termination");
        assert!(trial["reports"].as_array().unwrap().len() < 8);
        let name = format!("study/trials/{:04}/checkpoints/last/model.safetensors", trial["number"].as_u64().unwrap());
        assert!(folder.path().join(name).is_file());
    }
}

#[test]
fn a_dead_trial_is_tried_again_and_then_reported() {
    let (_folder, answer) = study(&json!({ "trials": 6, "epochs": 2, "pause": 5, "fails": [3, 1], "retries": 1 }));
    let trials = answer["trials"].as_array().unwrap();
    let failed: Vec<_> = trials.iter().filter(|trial| trial["state"] == "failed").collect();
    assert_eq!(failed.iter().map(|trial| trial["number"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 5]);
    assert!(failed.iter().all(|trial| trial["attempts"] == 2), "{answer}");
    assert!(failed[0]["why"].as_str().unwrap().contains("fails as it was told"), "{answer}");
    assert!(trials.iter().filter(|trial| trial["state"] == "completed").count() == 4);
}

#[test]
fn a_study_whose_trials_are_all_refused_ends() {
    let folder = tempfile::tempdir().unwrap();
    let stub = json!({ "trials": 30, "at_once": 1, "fails": [1, 2] });
    let output = command(&folder.path().join("study"), &stub, false).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("Refused { count: 3"), "{error}");
}

#[test]
fn its_time_ends_it_with_the_best_so_far() {
    let (_folder, answer) = study(&json!({ "trials": 1000, "epochs": 100000, "pause": 50, "minutes": 0.05 }));
    assert_eq!(answer["ended"], "OutOfTime");
    let trials = answer["trials"].as_array().unwrap();
    assert!(trials.len() < 20 && trials.iter().all(|trial| trial["state"] == "stopped"), "{answer}");
    assert!(trials.iter().any(|trial| !trial["reports"].as_array().unwrap().is_empty()));
}
