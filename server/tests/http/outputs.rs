//! Standard output and error that are closed, full, or read by nobody: the server serves, stops in time, and never panics.

use std::{
    fs::File,
    io::{PipeReader, PipeWriter, Write, pipe},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use image::ImageFormat::Png;

use crate::{
    images::plain,
    support::{Server, connect, send},
};

/// What the HTTP parser refuses, and what routes refuse.
const BAD: [&[u8]; 4] = [
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
];

fn send_bad_requests(port: u16, count: usize) {
    for i in 0..count {
        let answer = send(port, BAD[i % BAD.len()]);
        assert_eq!(answer.status, 400, "request {i}: {answer:?}");
    }
}

/// A pipe that has no room left, and whose reader does nothing.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // Blocks for ever once the pipe is full, and ends with this process.
    thread::spawn(move || while filler.write_all(&[b'.'; 512]).is_ok() {});
    thread::sleep(Duration::from_millis(300));
    (reader, writer)
}

fn check_answers(port: u16) {
    let image = plain(20, 20, [255, 0, 0], Png);
    let answer = send(port, &crate::support::post("/score", &[("Content-Type", "image/png")], &image));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn it_stops_when_nobody_reads_stderr_any_more() {
    let (reader, writer) = pipe().unwrap();
    let mut server = Server::start_from(Server::command(&["--drain", "0"]).stderr(writer));
    drop(reader);
    send_bad_requests(server.port, 100);
    check_answers(server.port);
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(5)), Some(0));
}

#[test]
fn a_full_stderr_neither_stops_the_answers_nor_the_stop() {
    // With the default log, and with one that has a line for every request.
    for level in ["", "debug,actix_http=trace"] {
        let (reader, writer) = full_pipe();
        let mut server = Server::start_from(Server::command(&["--drain", "0"]).env("FOVEA_LOG", level).stderr(writer));
        send_bad_requests(server.port, 3000);
        check_answers(server.port);
        server.signal("TERM");
        let start = Instant::now();
        assert_eq!(server.wait(Duration::from_secs(6)), Some(0));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        drop(reader);
    }
}

#[test]
fn a_second_signal_ends_it_at_once_with_a_full_stderr() {
    let (reader, writer) = full_pipe();
    let mut server = Server::start_from(Server::command(&["--drain", "20000"]).stderr(writer));
    server.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    assert!(server.is_running());
    let start = Instant::now();
    server.signal("INT");
    assert_eq!(server.wait(Duration::from_secs(4)), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(reader);
}

#[test]
fn clients_cannot_fill_the_log() {
    let server = Server::start(&[]);
    let before = server.log().lines().count();
    send_bad_requests(server.port, 1000);
    for _ in 0..200 {
        // A client that hangs up in the middle.
        connect(server.port).write_all(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab").unwrap();
    }
    check_answers(server.port);
    thread::sleep(Duration::from_millis(300));
    let log = server.log();
    assert!(log.lines().count() <= before + 20, "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn what_fovea_log_says_is_added_to_the_default() {
    let server = Server::start_from(Server::command(&[]).env("FOVEA_LOG", "server=debug"));
    send_bad_requests(server.port, 1);
    thread::sleep(Duration::from_millis(300));
    assert!(server.log().contains("refused by the HTTP parser"), "{}", server.log());
    assert!(server.log().contains("model opened"), "{}", server.log());
    let server = Server::start_from(Server::command(&[]).env("FOVEA_LOG", "a=b=c"));
    thread::sleep(Duration::from_millis(300));
    assert!(server.log().contains("FOVEA_LOG is not used"), "{}", server.log());
}

/// Starts the server on a port that was free a moment ago, for tests that cannot read which one it took.
fn start_blind(prepare: impl FnOnce(Command) -> Command) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let command = Server::command(&["--bind", &format!("127.0.0.1:{port}"), "--drain", "0"]);
    let server = Server::from_child(prepare(command).spawn().unwrap(), port);
    let start = Instant::now();
    // It listens before its models are loaded.
    while TcpStream::connect(("127.0.0.1", port)).is_err() || server.get("/v2/health/ready").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not become ready");
        thread::sleep(Duration::from_millis(50));
    }
    server
}

#[test]
fn an_address_that_cannot_be_told_ends_nothing() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let (reader, unread) = full_pipe();
    let (gone, broken) = pipe().unwrap();
    drop(gone);
    for (stdout, stderr) in [(full(), full()), (Stdio::from(broken), Stdio::null()), (Stdio::from(unread), full())] {
        let mut server = start_blind(|mut command| {
            command.stdout(stdout).stderr(stderr);
            command
        });
        send_bad_requests(server.port, 20);
        check_answers(server.port);
        server.signal("TERM");
        assert_eq!(server.wait(Duration::from_secs(5)), Some(0));
    }
    drop(reader);
}

#[test]
fn it_runs_with_its_three_standard_files_closed() {
    let mut server = start_blind(|plain| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"]).arg(plain.get_program()).args(plain.get_args());
        command
    });
    check_answers(server.port);
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(5)), Some(0));
}

#[test]
fn help_and_faults_survive_outputs_that_take_nothing() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let broken = || pipe().unwrap().1;
    for options in [vec!["--help"], vec!["--version"], vec!["--nonsense"], vec![], vec!["--model", "a=/no/such.onnx"]] {
        let expected = if options.first().is_some_and(|o| ["--help", "--version"].contains(o)) { 0 } else { 2 };
        for outputs in [
            (Stdio::from(full()), Stdio::from(full())),
            (Stdio::from(broken()), Stdio::from(broken())),
            (Stdio::from(full()), Stdio::piped()),
        ] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
            command.args(&options).stdin(Stdio::null()).stdout(outputs.0).stderr(outputs.1);
            let output = command.spawn().unwrap().wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(expected), "{options:?}: {output:?}");
            assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{options:?}: {output:?}");
        }
    }
}
