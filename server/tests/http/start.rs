//! Starting.

use std::process::{Command, Stdio};

use crate::support::fixture;

#[test]
fn what_cannot_be_served_is_said_before_listening() {
    let model = |name: &str, file: &str| format!("{name}={}", fixture(file).display());
    for (models, said) in [
        (vec![model("a", "absent.onnx")], "no such file"),
        (vec![model("a", "foreign.onnx")], "no Fovea model"),
        (vec![model("a", "cmyk.jpg")], "no ONNX model"),
        (vec![model("a", "tiny_masks_pixels.onnx")], "without --masks full"),
        (vec![model("a", "tiny_whole.onnx"), model("a", "tiny_prepared.onnx")], "given twice"),
        (vec!["nothing".to_owned()], "NAME=FILE"),
        (vec![model("../a", "tiny_whole.onnx")], "name must be"),
        (vec![], "--model"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args(["--bind", "127.0.0.1:0"]).stdin(Stdio::null());
        models.iter().for_each(|m| {
            command.args(["--model", m]);
        });
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{models:?}: {log}");
        assert!(output.stdout.is_empty() && log.contains(said), "{models:?}: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}
