//! Numbers that are none: what is said of them, where they come from, and that they go no further.

use std::path::{Path, PathBuf};

use crate::support::{expect, quick, run, sample};

/// The file with every value under `key` replaced.
fn with(file: &Path, key: &str, value: f32, target: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let (length, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (from, to) = header.info(key).unwrap().data_offsets;
    for place in bytes[8 + length + from..8 + length + to].chunks_exact_mut(4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    std::fs::write(target, bytes).unwrap();
}

/// Standard error of a command that ends with this code.
#[track_caller]
fn refused(code: i32, args: &[String]) -> String {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

fn and(mut args: Vec<String>, more: &[&str]) -> Vec<String> {
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    args
}

#[test]
fn numbers_that_are_none_are_traced_to_the_weights_or_to_the_rate() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    let trained = place("trained");
    expect(0, and(quick(&data, &trained, 1), &["--export", "none", "--ema_decay", "0.999"]));
    let log = std::fs::read_to_string(trained.join("run.log")).unwrap();
    let warning = "warning: ema_decay 0.999 is approached over 2000 updates and this run has";
    assert_eq!(log.matches(warning).count(), 1, "{log}");

    // Weights that are finite and overflow.
    let (weights, huge) = (trained.join("checkpoints/best/model.safetensors"), place("huge.safetensors"));
    with(&weights, "_fc.weight", 3e38, &huge);
    let huge = huge.to_str().unwrap();
    let mut args = quick(&data, &place("from-huge"), 1);
    let at = args.iter().position(|arg| arg == "--pretrained").unwrap();
    args[at + 1] = huge.to_owned();
    let said = refused(1, &args);
    let largest = "all weights are finite, the largest is 3.000e38 in '_fc.weight'";
    says(&said, &[huge, largest, "before --learning_rate", "--pretrained none", "another --output"]);

    // A rate that throws weights about.
    let steps = ["--lr_scheduler", "step", "--learning_rate", "1", "--optimizer", "adamw", "--grad_clip_type", "none"];
    let said = refused(1, &and(quick(&data, &place("too-fast"), 30), &steps));
    says(&said, &["training has diverged", "steps (", "lower --learning_rate (now 1, try 0.1)", "another --output"]);

    // A run's own checkpoint with a weight that is no number.
    let broken = place("broken.safetensors");
    with(&weights, "_conv_head.weight", f32::NAN, &broken);
    let broken = broken.to_str().unwrap().to_owned();
    let validation = data.join("validation.jsonl").to_str().unwrap().to_owned();
    let evaluate = ["evaluate", "--checkpoint", &broken, "--data", &validation].map(str::to_owned);
    let mut again = quick(&data, &place("from-broken"), 1);
    again.drain(at..at + 2);
    for args in [evaluate.to_vec(), and(again, &["--checkpoint_run", &broken])] {
        says(&refused(2, &args), &["broken.safetensors", "'_conv_head.weight'", "NaN as element 0", "checkpoint"]);
    }
}

#[test]
fn images_that_cannot_be_read_leave_the_others_their_answer_and_a_file_opens_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.png"), folder.path().join("bad.png"));
    image::RgbImage::from_pixel(64, 48, image::Rgb([90, 120, 150])).save(&good).unwrap();
    std::fs::write(&bad, b"no picture").unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures");
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    for file in ["tiny_whole.onnx", "tiny_detector_whole.onnx", "tiny_detector_prepared.onnx"] {
        let model = fixtures.join(file);
        let call = |images: &[&str]| run(["predict", "--json", "--onnx", model.to_str().unwrap()].iter().chain(images));
        let output = call(&[good, bad, good]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        says(&said, &["1 of 3 images have no prediction", "bad.png"]);
        let body: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = body["predictions"].as_array().unwrap();
        let failed: Vec<bool> = rows.iter().map(|row| row.get("error").is_some()).collect();
        assert_eq!(failed, [false, true, false], "{file}: {body}");
        assert_eq!(call(&[bad]).status.code(), Some(2), "none is left");

        // ONNX Runtime has opinions about the initialisers of a detector's file; they are not the user's business.
        let output = call(&[good]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{file}");
    }
}
