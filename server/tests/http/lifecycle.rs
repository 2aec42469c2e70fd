//! Starting and stopping.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use image::ImageFormat::Png;

use crate::{
    pictures::plain,
    support::{Response, Server, fixture},
};

#[test]
fn a_stop_answers_what_is_under_way_and_says_not_ready_meanwhile() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&["--drain", "1500"]);
        let image = plain(40, 30, [255, 0, 0], Png);
        let mut stream = server.connect();
        let head = format!(
            "POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
            image.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&image[..20]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        server.signal(signal);
        std::thread::sleep(Duration::from_millis(300));
        let ready = server.get("/v2/health/ready");
        assert_eq!((ready.status, ready.code().as_str()), (503, "not_ready"));
        assert_eq!(server.get("/v2/health/live").status, 200);
        std::thread::sleep(Duration::from_millis(1500));
        stream.write_all(&image[20..]).unwrap();
        assert_eq!(Response::read(&mut stream).status, 200, "{}", server.log());
        assert_eq!(server.wait(Duration::from_secs(10)), Some(0), "{}", server.log());
    }
}

#[test]
fn an_idle_server_stops_at_once() {
    let mut server = Server::start(&["--drain", "0"]);
    let idle = server.connect();
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(5)), Some(0), "{}", server.log());
    drop(idle);
}

#[test]
fn what_cannot_be_served_is_said_before_listening() {
    let model = |name: &str, file: &str| format!("{name}={}", fixture(file).display());
    for (models, said) in [
        (vec![model("a", "absent.onnx")], "no such file"),
        (vec![model("a", "foreign.onnx")], "no Fovea model"),
        (vec![model("a", "cmyk.jpg")], "not a model"),
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
