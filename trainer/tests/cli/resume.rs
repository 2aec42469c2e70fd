//! `kill -9` at any moment, and SIGTERM, change no bit of the result.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{expect, quick, sample, trainer};

/// Everything a run must reproduce: both checkpoints, byte for byte, and its records without their timing.
fn result(run: &Path) -> (Vec<u8>, Vec<u8>, Vec<serde_json::Value>) {
    let read = |name: &str| std::fs::read(run.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let text = String::from_utf8(read("metrics.jsonl")).unwrap();
    let records = text.lines().map(|line| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(record.as_object_mut().unwrap().remove("timing").is_some());
        record
    });
    (read("checkpoints/last/model.safetensors"), read("checkpoints/best/model.safetensors"), records.collect())
}

#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    let ((last_a, best_a, records_a), (last_b, best_b, records_b)) = (result(a), result(b));
    assert_eq!(records_a, records_b);
    assert!(best_a == best_b, "the best checkpoints differ");
    assert!(last_a == last_b, "model, optimizer or loop state differ");
}

/// A random share of a duration. Different in every run of the test, and printed.
fn random_moment(of: Duration, number: u64) -> Duration {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(number);
    of.mul_f64((hasher.finish() % 1000) as f64 / 1000.0)
}

fn arguments(data: &Path, run: &Path) -> Vec<String> {
    let mut args = quick(data, run, 4);
    args.extend(["--export".to_owned(), "none".to_owned()]);
    args
}

#[test]
fn three_kills_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 48);
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let started = Instant::now();
    expect(0, arguments(&data, &whole));
    let length = started.elapsed();

    let mut args = arguments(&data, &killed);
    for number in 0..3 {
        let moment = random_moment(length, number);
        eprintln!("kill {number} after {moment:?} of {length:?}");
        let mut child = trainer(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        // A kill before the folder exists leaves nothing to resume: the run then simply starts.
        if killed.exists() && !args.contains(&"--resume".to_owned()) {
            args.push("--resume".to_owned());
        }
    }
    expect(0, &args);
    assert_same(&whole, &killed);
}

#[test]
fn sigterm_ends_with_75_in_mid_epoch_and_the_resume_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 48);
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    expect(0, arguments(&data, &whole));

    let mut args = arguments(&data, &stopped);
    let mut child = trainer(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The first epoch on record: the second is under way.
    let deadline = Instant::now() + Duration::from_secs(120);
    while !stopped.join("metrics.jsonl").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    args.push("--resume".to_owned());
    expect(0, &args);
    assert_same(&whole, &stopped);
}

#[test]
fn a_finished_run_resumes_to_itself_and_a_new_run_does_not_overwrite_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let run = folder.path().join("run");
    let mut args = quick(&data, &run, 1);
    args.extend(["--export".to_owned(), "none".to_owned()]);
    expect(0, &args);
    let before = result(&run);
    expect(2, &args);
    args.push("--resume".to_owned());
    expect(0, &args);
    assert!(before == result(&run));
}
