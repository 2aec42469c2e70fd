//! Bytes of our own: frames that are none, lengths that are not kept, clients that are slow or deaf.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use prost::Message;
use server::grpc::messages::{Empty, ServerLiveResponse};
use tonic::Code;

use super::{client::Client, encoded, red};
use crate::support::{Server, connect};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that is not kept in any table.
fn header(name: &str, value: &str) -> Vec<u8> {
    assert!(name.len() < 127 && value.len() < 127);
    [&[0x10, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn head(method: &str) -> Vec<u8> {
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", &format!("/inference.GRPCInferenceService/{method}")),
        header(":authority", "x"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}

/// A connection that has said hello.
struct Raw(TcpStream);

impl Raw {
    fn new(server: &Server) -> Self {
        let mut stream = connect(server.grpc);
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])[..], &frame(SETTINGS, 1, 0, &[])].concat()).unwrap();
        Self(stream)
    }

    fn call(server: &Server, method: &str, data: &[u8], flags: u8) -> Self {
        let mut raw = Self::new(server);
        raw.send(&frame(HEADERS, END_HEADERS, 1, &head(method)));
        raw.send(&frame(DATA, flags, 1, data));
        raw
    }

    fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The next frame: its kind, flags and payload; `None` when the connection is closed.
    fn next(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[3], head[4], payload))
    }

    /// The frames up to the one that ends the stream, or the connection.
    fn until_the_end(&mut self) -> Vec<(u8, u8, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(frame) = self.next() {
            let (kind, flags, _) = frame;
            all.push(frame);
            if matches!(kind, RST | GOAWAY) || (matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0) {
                break;
            }
        }
        all
    }

    /// The last header block, in which texts that are sent plainly can be found.
    fn told(&mut self) -> String {
        let frames = self.until_the_end();
        let headers = frames.iter().rfind(|(kind, ..)| *kind == HEADERS);
        headers.map(|(_, _, block)| String::from_utf8_lossy(block).into_owned()).unwrap_or_default()
    }
}

fn message(flag: u8, length: u32, content: &[u8]) -> Vec<u8> {
    [&[flag], &length.to_be_bytes()[..], content].concat()
}

#[track_caller]
fn check_alive(server: &mut Server) {
    let client = Client::new(server.grpc);
    assert!(client.call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap().live);
    client.infer(encoded("tiny", &[red(5)])).unwrap();
    assert!(server.is_running());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("fovea_memory_reserved_bytes 0\n"), "{metrics}");
}

#[test]
fn what_is_no_http_2_is_closed() {
    let mut server = Server::start(&["--grpc", "127.0.0.1:0"]);
    let noise: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".repeat(100),
        noise.clone(),
        [PREFACE, &noise].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[1, 2, 3])[..]].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[])[..], &frame(DATA, 0, 1, b"x")].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[])[..], &frame(HEADERS, END_HEADERS, 1, &[0xff; 50])].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[])[..], &frame(0xfa, 0xff, 0x7fff_ffff, &[9; 100]), &[0xff; 9]].concat(),
    ] {
        let mut stream = connect(server.grpc);
        let _ = stream.write_all(&bytes);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        assert!(all.len() < 10_000);
    }
    check_alive(&mut server);
}

#[test]
fn messages_that_are_not_framed_as_they_should_be_are_the_clients_fault() {
    let mut server = Server::start(&["--grpc", "127.0.0.1:0"]);
    let client = Client::new(server.grpc);
    for (what, data) in [
        ("no message", Vec::new()),
        ("half a prefix", vec![0, 0]),
        ("half a message", message(0, 100, b"half")),
        ("two messages", message(0, 0, &message(0, 0, b""))),
        ("a flag of 7", message(7, 0, b"")),
        ("compressed as nobody said", message(1, 3, b"abc")),
    ] {
        for method in ["ModelInfer", "ServerLive", "ModelStreamInfer"] {
            // A stream may be empty, or hold several messages, each of which is answered.
            let is_fine = method == "ModelStreamInfer" && ["no message", "two messages"].contains(&what);
            let status = client.bytes(method, &data);
            let code = if is_fine { Code::Ok } else { Code::InvalidArgument };
            assert_eq!(status.code(), code, "{method}, {what}: {status:?}");
        }
    }
    check_alive(&mut server);
}

#[test]
fn a_huge_announced_length_is_refused_at_once_and_takes_no_memory() {
    let mut server = Server::start(&["--grpc", "127.0.0.1:0"]);
    check_alive(&mut server);
    let before = server.memory();
    for length in [u32::MAX, 1 << 31, (64 << 20) + 1] {
        let start = Instant::now();
        let told = Raw::call(&server, "ModelInfer", &message(0, length, b"abc"), 0).told();
        assert!(!told.is_empty(), "{length}");
        assert!(start.elapsed() < Duration::from_secs(3));
    }
    // As much as is allowed, announced by many who send nothing of it.
    let mut raws: Vec<Raw> =
        (0..50).map(|_| Raw::call(&server, "ModelInfer", &message(0, 64 << 20, &[0; 2000]), 0)).collect();
    thread::sleep(Duration::from_millis(500));
    assert!(server.memory() < before + (64 << 20), "{} MiB", server.memory() >> 20);
    let reserved = server.get("/metrics").text();
    let line = reserved.lines().find(|line| line.starts_with("fovea_memory_reserved_bytes")).unwrap();
    assert!(line.split(' ').next_back().unwrap().parse::<f64>().unwrap() <= 50.0 * 65_536.0, "{line}");
    raws.iter_mut().for_each(|raw| raw.send(&frame(RST, 0, 1, &8u32.to_be_bytes())));
    drop(raws);
    thread::sleep(Duration::from_millis(300));
    check_alive(&mut server);
}

#[test]
fn messages_that_trickle_or_stop_are_cut() {
    let options = ["--grpc", "127.0.0.1:0", "--pause-timeout", "1", "--body-timeout", "3", "--keep-alive", "2"];
    let mut server = Server::start(&options);
    let start = Instant::now();
    let told = Raw::call(&server, "ModelInfer", &message(0, 1000, b"half"), 0).told();
    assert!(!told.is_empty() && start.elapsed() < Duration::from_secs(3), "{told:?} after {:?}", start.elapsed());
    let mut steady = Raw::call(&server, "ModelInfer", &message(0, 1000, b""), 0);
    let reader = steady.0.try_clone().unwrap();
    let ended = thread::spawn(move || Raw(reader).told());
    let start = Instant::now();
    while !ended.is_finished() && start.elapsed() < Duration::from_secs(10) {
        steady.send(&frame(DATA, 0, 1, b"x"));
        thread::sleep(Duration::from_millis(300));
    }
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(!ended.join().unwrap().is_empty());
    // A stream without requests, a connection without calls, and one that never says hello.
    let start = Instant::now();
    assert!(!Raw::call(&server, "ModelStreamInfer", b"", 0).told().is_empty());
    assert!(Raw::new(&server).until_the_end().iter().any(|(kind, ..)| *kind == GOAWAY));
    let mut silent = connect(server.grpc);
    let _ = silent.read_to_end(&mut Vec::new());
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("fovea_errors_total{code=\"slow_body\"} 3\n"), "{metrics}");
    check_alive(&mut server);
}

#[test]
fn clients_that_do_not_take_their_answers_are_cut() {
    let options = ["--grpc", "127.0.0.1:0", "--keep-alive", "1", "--header-timeout", "1"];
    let mut server = Server::start(&options);
    // Lets nothing flow back.
    let window = [&[0, 4], &0u32.to_be_bytes()[..]].concat();
    let mut deaf = connect(server.grpc);
    deaf.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &window)[..]].concat()).unwrap();
    let request = encoded("tiny", &[red(9)]).encode_to_vec();
    for at in 0..20 {
        let stream = 1 + 2 * at;
        deaf.write_all(&frame(HEADERS, END_HEADERS, stream, &head("ModelInfer"))).unwrap();
        let data = message(0, request.len() as u32, &request);
        deaf.write_all(&frame(DATA, END_STREAM, stream, &data)).unwrap();
    }
    let start = Instant::now();
    let mut all = Vec::new();
    let _ = deaf.read_to_end(&mut all);
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    check_alive(&mut server);
}

#[test]
fn ten_megabytes_in_frames_of_one_byte() {
    let mut server = Server::start(&["--grpc", "127.0.0.1:0", "--max-body", "1"]);
    let mut raw = Raw::new(&server);
    raw.send(&frame(HEADERS, END_HEADERS, 1, &head("ModelInfer")));
    raw.send(&frame(DATA, 0, 1, &message(0, 900_000, b"")));
    let one = frame(DATA, 0, 1, b"x").repeat(10_000);
    let start = Instant::now();
    for _ in 0..90 {
        if raw.0.write_all(&one).is_err() {
            break;
        }
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert!(server.memory() < 300 << 20, "{} MiB", server.memory() >> 20);
    drop(raw);
    thread::sleep(Duration::from_millis(300));
    check_alive(&mut server);
}

#[test]
fn more_clients_than_places_wait() {
    let mut server = Server::start(&["--grpc", "127.0.0.1:0", "--max-connections", "2", "--keep-alive", "2"]);
    let waiting: Vec<TcpStream> = (0..10).map(|_| connect(server.grpc)).collect();
    let client = Client::new(server.grpc);
    assert!(client.call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap().live);
    drop(waiting);
    check_alive(&mut server);
}
