//! Starting the binary, and a dataset small enough to train on in seconds.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The binary with these arguments.
pub fn trainer<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs to the end and gives what was printed.
#[track_caller]
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    trainer(args).output().expect("the binary starts")
}

/// As [`run`], with an expected exit code; gives standard output.
#[track_caller]
pub fn expect<S: AsRef<std::ffi::OsStr>>(code: i32, args: impl IntoIterator<Item = S>) -> String {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Generates a dataset below `folder` and gives its folder.
pub fn sample(folder: &Path, count: usize) -> PathBuf {
    let data = folder.join("data");
    let output = data.to_str().unwrap();
    expect(0, ["sample-data", "--output", output, "--count", &count.to_string()]);
    data
}

/// Arguments of a training that takes seconds: tiny crops, random weights, one loader thread.
pub fn quick(data: &Path, run: &Path, epochs: u32) -> Vec<String> {
    let path = |p: PathBuf| p.to_str().unwrap().to_owned();
    let settings = [
        ("--model_name", "efficientnet_lite0".to_owned()),
        ("--training_data", path(data.join("train.jsonl"))),
        ("--validation_data", path(data.join("validation.jsonl"))),
        ("--output", path(run.to_owned())),
        ("--pretrained", "none".to_owned()),
        ("--number_of_epochs", epochs.to_string()),
        ("--training_batch_size", "8".to_owned()),
        ("--train_crop_size", "64".to_owned()),
        ("--valid_resize_size", "72".to_owned()),
        ("--valid_crop_size", "64".to_owned()),
        ("--number_of_workers", "1".to_owned()),
        ("--threads", "2".to_owned()),
    ];
    let mut args = vec!["train".to_owned()];
    args.extend(settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    args
}

/// Waits for the end, at most so long; the largest resident set seen, in bytes.
pub fn wait_watching_memory(child: &mut Child, limit: Duration) -> (std::process::ExitStatus, u64) {
    let started = std::time::Instant::now();
    let mut peak = 0;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, peak);
        }
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = kib.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        if started.elapsed() > limit {
            let _ = child.kill();
            panic!("still running after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two measurements of one classifier on the same images, by two libraries: the loss, which is continuous, is equal but for the
/// rounding of the resize, and of what rests on a comparison of probabilities (`decided`) at most one image differs.
#[track_caller]
pub fn same_but_for_rounding(a: &serde_json::Value, b: &serde_json::Value, decided: &[&str]) {
    assert_eq!(a["images"], b["images"]);
    let value = |of: &serde_json::Value, name: &str| of["metrics"][name].as_f64().unwrap();
    let apart = |name: &str| (value(a, name) - value(b, name)).abs();
    assert!(apart("log_loss") <= 5e-3, "log_loss: {} and {}", value(a, "log_loss"), value(b, "log_loss"));
    for name in decided {
        let one = 1.0 / a["images"].as_f64().unwrap();
        assert!(apart(name) <= one + 1e-9, "{name}: {} and {}", value(a, name), value(b, name));
    }
}
