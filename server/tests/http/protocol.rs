//! What never reaches a route: requests that are no HTTP, heads that are too slow or too large, and connections beyond the number
//! that there is room for. Read to the last byte, because a client does.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    hostile::check_alive,
    support::{Response, Server},
};

/// Everything that the server says to `raw` until it closes the connection.
fn said(server: &Server, raw: &[u8]) -> Vec<u8> {
    let mut stream = server.connect();
    let _ = stream.write_all(raw);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&all)));
    all
}

/// Checks that `all` is exactly one answer: an error object of that status and code.
#[track_caller]
fn check_object(name: &str, all: &[u8], status: u16, code: &str) {
    let answer = Response::parse(all).unwrap_or_else(|| panic!("{name}: {:?}", String::from_utf8_lossy(all)));
    assert_eq!(answer.status, status, "{name}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{name}: {answer:?}");
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()), "{name}: {answer:?}");
    let body: schemas::ErrorBody =
        serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{name}: {e}: {answer:?}"));
    assert_eq!(body.code.as_str(), code, "{name}: {answer:?}");
    assert!(body.error.len() > 20, "{name}: {answer:?}");
    answer.check_no_leak();
}

#[test]
fn what_the_parser_refuses_is_answered_with_an_object() {
    let server = Server::start(&["--header-timeout", "1"]);
    let post =
        |headers: &str, body: &str| format!("POST /score HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}").into_bytes();
    let get = |headers: &str| format!("GET /v2/health/live HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes();
    let many: String = (0..200).map(|i| format!("X-{i}: a\r\n")).collect();
    let long = |n: usize| format!("X-A: {}\r\n", "a".repeat(n));
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (name, raw, status, code) in [
        ("bytes", b"\x00\x01\x02\r\n\r\n".to_vec(), 400, "malformed_request"),
        ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(), 400, "malformed_request"),
        ("a method alone", b"GET\r\n\r\n".to_vec(), 400, "malformed_request"),
        ("no version", b"GET /\r\n\r\n".to_vec(), 400, "malformed_request"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 400, "malformed_request"),
        ("HTTP/3", b"GET / HTTP/3.0\r\nHost: x\r\n\r\n".to_vec(), 400, "malformed_request"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400, "malformed_request"),
        ("two hosts", get("Host: y\r\n"), 400, "malformed_request"),
        ("a header without a colon", get("nonsense\r\n"), 400, "malformed_request"),
        ("a NUL in a header", get("a: \0\r\n"), 400, "malformed_request"),
        ("two lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), 400, "malformed_request"),
        ("a negative length", post("Content-Length: -1\r\n", "ab"), 400, "malformed_request"),
        ("a length beyond 64 bits", post("Content-Length: 99999999999999999999\r\n", "ab"), 400, "malformed_request"),
        (
            "a length and chunks",
            post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", ""),
            400,
            "malformed_request",
        ),
        ("an unknown transfer coding", post("Transfer-Encoding: gzip\r\n", ""), 400, "malformed_request"),
        ("HTTP/1.0 without a length", b"POST /score HTTP/1.0\r\n\r\nab".to_vec(), 400, "malformed_request"),
        ("a bad first chunk", post(chunked, "zz\r\nab\r\n"), 400, "broken_body"),
        ("a bad second chunk", post(chunked, "1\r\na\r\nzz\r\nab\r\n"), 400, "broken_body"),
        ("too many headers", get(&many), 431, "head_too_large"),
        ("a long header", get(&long(300_000)), 431, "head_too_large"),
        ("a header of 5 MB", get(&long(5_000_000)), 431, "head_too_large"),
        ("a long path", format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(300_000)).into_bytes(), 431, "head_too_large"),
        ("half a head", b"GET / HTTP/1.1\r\nHost:".to_vec(), 408, "slow_head"),
        ("nothing", Vec::new(), 408, "slow_head"),
    ] {
        check_object(name, &said(&server, &raw), status, code);
    }
    check_alive(&server);
    let metrics = server.get("/metrics").text();
    for line in [r#"fovea_errors_total{code="slow_head"} 2"#, r#"fovea_errors_total{code="head_too_large"} 4"#] {
        assert!(metrics.lines().any(|l| l == line), "{line} is missing in\n{metrics}");
    }
}

#[test]
fn answers_before_a_refusal_are_left_as_they_are() {
    let server = Server::start(&[]);
    for method in ["GET", "HEAD"] {
        let good = format!("{method} /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
        let all = said(&server, format!("{good}{good}nonsense\r\n\r\n").as_bytes());
        let text = String::from_utf8_lossy(&all).into_owned();
        let last = text.rfind("HTTP/1.1 ").unwrap();
        check_object(method, &all[last..], 400, "malformed_request");
        let body = if method == "GET" { "{\"live\":true}" } else { "" };
        assert_eq!(text[..last].matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
        assert_eq!(text[..last].matches(&format!("\r\n\r\n{body}")).count(), 2, "{text}");
        assert_eq!(text.matches("\r\n\r\n").count(), 3, "{text}");
    }
    // A HEAD of what is not there has headers of its own, and no body.
    let all = said(&server, b"HEAD /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(all.starts_with(b"HTTP/1.1 404 ") && all.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&all));
}

#[test]
fn a_connection_takes_one_descriptor() {
    let server = Server::start(&[]);
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    };
    ask(&mut server.connect());
    thread::sleep(Duration::from_millis(300));
    let before = server.descriptors();
    let mut clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(ask);
    assert_eq!(server.descriptors(), before + 100);
    drop(clients);
    let start = Instant::now();
    while server.descriptors() > before {
        assert!(start.elapsed() < Duration::from_secs(10), "{} of {before}", server.descriptors());
        thread::sleep(Duration::from_millis(50));
    }
}

/// The server under limits on open files.
fn limited(limits: &str, options: &[&str]) -> Server {
    let plain = Server::command(options);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")]).arg(plain.get_program()).args(plain.get_args());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Server::start_from(&mut command)
}

#[test]
fn the_soft_limit_on_open_files_is_raised() {
    let server = limited("ulimit -Sn 200", &["--max-connections", "300"]);
    assert!(server.descriptor_limit() >= 600, "{}", server.descriptor_limit());
    assert!(!server.log().contains("open files"), "{}", server.log());
}

#[test]
fn more_clients_than_descriptors_wait_and_are_answered() {
    for files in [64, 100] {
        wait_and_are_answered(files);
    }
}

fn wait_and_are_answered(files: u32) {
    let mut server = limited(&format!("ulimit -n {files}"), &["--header-timeout", "60"]);
    thread::sleep(Duration::from_millis(300));
    let said = format!("the limit of {files} open files leaves room for");
    assert!(server.log().contains(&said), "{}", server.log());
    let mut clients: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    thread::sleep(Duration::from_millis(500));
    let before = server.ticks();
    thread::sleep(Duration::from_secs(2));
    assert!(
        server.ticks() - before < 50,
        "{} hundredths of a second of work in two idle seconds",
        server.ticks() - before
    );
    assert!(server.is_running());
    // Those that came first are answered, and those that waited once there is room.
    clients[0].write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(Response::read(&mut clients[0]).status, 200);
    clients.iter().take(299).for_each(|c| c.shutdown(Shutdown::Both).unwrap());
    clients[299].write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(Response::read(&mut clients[299]).status, 200);
    check_alive(&server);
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
