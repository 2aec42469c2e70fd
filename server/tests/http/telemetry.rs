//! ONNX Runtime is opened only by a process that it does not report from: the program starts itself again with the variable.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::fixture;

const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
const PROGRAM: &str = env!("CARGO_BIN_EXE_server");

fn model() -> String {
    format!("tiny={}", fixture("tiny_prepared.onnx").display())
}

#[test]
fn the_program_starts_itself_again_as_the_same_process() {
    for value in [None, Some("0"), Some("")] {
        let mut command = Command::new(PROGRAM);
        command.arg0("a server").args(["--bind", "127.0.0.1:0", "--model", &model(), "--threads=1"]);
        match value {
            Some(value) => command.env(VARIABLE, value),
            None => command.env_remove(VARIABLE),
        };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on"), "{line}");
        let of_process = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
        let arguments = format!("a server\0--bind\0127.0.0.1:0\0--model\0{}\0--threads=1\0", model());
        assert_eq!(of_process("cmdline"), arguments);
        assert_eq!(of_process("comm"), "server\n");
        let environment = of_process("environ");
        let values: Vec<&str> = environment.split('\0').filter(|entry| entry.starts_with(VARIABLE)).collect();
        assert_eq!(values, ["ORT_DISABLE_TELEMETRY=1"], "{value:?}");
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

/// Where the program cannot start itself again, everything works that needs no ONNX Runtime, and the rest says what to do.
#[test]
fn without_the_variable_the_library_is_not_opened() {
    // It is told that this process is a second start already.
    let mut twice = Command::new("sh");
    twice.args(["-c", "FOVEA_RESTARTED=$$ exec \"$0\" \"$@\"", PROGRAM]);
    let mut commands = vec![("something took it away", twice)];
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    if loader.exists() {
        let mut by_loader = Command::new(loader);
        by_loader.arg(PROGRAM);
        commands.push(("started by the loader", by_loader));
    }
    for (reason, mut command) in commands {
        command.args(["--bind", "127.0.0.1:0", "--model", &model()]).env_remove(VARIABLE);
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{log}");
        assert!(output.stdout.is_empty() && log.contains(reason), "{log}");
        assert!(log.contains("Start it with `ORT_DISABLE_TELEMETRY=1` in its environment"), "{log}");
        let version = command.arg("--version").output().unwrap();
        assert!(version.status.success() && version.stdout.starts_with(b"server "), "{version:?}");
    }
}
