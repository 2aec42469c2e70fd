//! Bodies and heads that are slow, endless or too large for the memory there is.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use image::ImageFormat::Png;

use crate::{
    hostile::check_alive,
    images::plain,
    support::{Response, Server},
};

const MIB: u64 = 1 << 20;

#[test]
fn ten_megabytes_in_one_byte_chunks() {
    let server = Server::start(&[]);
    for path in ["/score", "/v2/models/tiny/infer"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        let raw = [head.as_bytes(), &b"1\r\nx\r\n".repeat(10_000_000), b"0\r\n\r\n"].concat();
        let start = Instant::now();
        let answer = server.send(&raw);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(start.elapsed() < Duration::from_secs(60), "{path}: {:?}", start.elapsed());
        assert!(server.memory() < 300 * MIB, "{path}: {} MiB", server.memory() / MIB);
        check_alive(&server);
    }
}

#[test]
fn a_body_beyond_the_limit_is_cut_off_while_it_arrives() {
    let server = Server::start(&["--max-body", "1"]);
    let chunk = [b"400\r\n".as_slice(), &[0; 0x400], b"\r\n"].concat();
    // A path that reads bodies, one that does not, and one that is not there.
    for (path, status) in [("/score", 413), ("/metrics", 405), ("/nothing", 404)] {
        let mut stream = server.connect();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let start = Instant::now();
        // 1 MB a second: for ever, if the server let it.
        while start.elapsed() < Duration::from_secs(20) && stream.write_all(&chunk).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{path}: still taken after {:?}", start.elapsed());
        let answer = Response::read(&mut stream);
        assert!([0, status].contains(&answer.status), "{path}: {answer:?}");
        check_alive(&server);
    }
    let answer = server.post("/score", "image/png", &vec![0; 1 << 20 | 1]);
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
}

#[test]
fn trickling_heads_and_bodies_are_cut() {
    let server = Server::start(&["--header-timeout", "1", "--pause-timeout", "1", "--body-timeout", "3"]);
    let mut head = server.connect();
    head.write_all(b"POST /score HTTP/1.1\r\nHost: x\r\nX-").unwrap();
    let mut paused = server.connect();
    paused
        .write_all(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nab")
        .unwrap();
    let mut steady = server.connect();
    steady
        .write_all(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\n")
        .unwrap();
    let start = Instant::now();
    let mut ended = None;
    while start.elapsed() < Duration::from_secs(8) && ended.is_none() {
        std::thread::sleep(Duration::from_millis(400));
        if steady.write_all(b"x").is_err() {
            ended = Some(start.elapsed());
        }
    }
    let first = Response::read(&mut head);
    assert!([0, 408].contains(&first.status), "{first:?}");
    let second = Response::read(&mut paused);
    assert_eq!((second.status, second.code().as_str()), (408, "slow_body"));
    let third = Response::read(&mut steady);
    assert!(third.status == 408 || ended.is_some(), "{third:?} after {:?}", start.elapsed());
    check_alive(&server);
}

#[test]
fn half_a_head_on_a_used_connection_is_cut() {
    let server = Server::start(&["--header-timeout", "1", "--keep-alive", "1"]);
    let mut stream = server.connect();
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 4096];
    assert!(stream.read(&mut answer).unwrap() > 0);
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX-").unwrap();
    let start = Instant::now();
    let end = stream.read(&mut answer);
    assert!(!matches!(end, Ok(n) if n > 0), "{end:?}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    check_alive(&server);
}

#[test]
fn a_connection_is_kept_for_as_long_as_is_said() {
    let server = Server::start(&["--keep-alive", "2"]);
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        // Whose connection is closed reads its end.
        matches!(stream.read(&mut answer), Ok(n) if n > 0)
    };
    // Spread over the half second between two looks of the HTTP library at the clock.
    let mut kept = Vec::new();
    for _ in 0..8 {
        let mut stream = server.connect();
        assert!(ask(&mut stream));
        kept.push((stream, Instant::now()));
        std::thread::sleep(Duration::from_millis(62));
    }
    for (mut stream, used) in kept {
        std::thread::sleep(Duration::from_millis(1900).saturating_sub(used.elapsed()));
        let is_answered = ask(&mut stream);
        // On a machine that has stood still for a while nothing is said about it.
        assert!(is_answered || used.elapsed() >= Duration::from_secs(2), "closed after {:?}", used.elapsed());
    }
}

#[test]
fn an_image_too_large_for_the_memory_that_there_is_is_refused() {
    let server = Server::start(&["--memory", "16", "--max-concurrent", "4"]);
    // 1500 x 1500 pixels take 27 MB to decode.
    let answer = server.post("/score", "image/png", &plain(1500, 1500, [1, 2, 3], Png));
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_much_memory"));
    check_alive(&server);
}

#[test]
fn many_slow_clients_do_not_delay_a_probe() {
    let mut server = Server::start(&["--header-timeout", "60", "--pause-timeout", "60", "--max-connections", "2000"]);
    let head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n";
    let mut clients: Vec<TcpStream> = (0..600).map(|_| server.connect()).collect();
    let before = server.memory();
    let mut longest = Duration::ZERO;
    // A byte of each client's head or body, then a question of somebody else's.
    for step in 0..20 {
        for (number, client) in clients.iter_mut().enumerate() {
            let sent: &[u8] = match (number % 2, step) {
                (0, 0) => head,
                (0, _) => b"x",
                (_, at) => &head[at..=at],
            };
            client.write_all(sent).unwrap();
        }
        let start = Instant::now();
        assert_eq!(server.get("/v2/health/ready").status, 200, "{}", server.log());
        longest = longest.max(start.elapsed());
    }
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(server.memory() < before + 64 * MIB, "{} MiB more", (server.memory() - before) / MIB);
    assert!(server.is_running());
    check_alive(&server);
}

#[test]
fn clients_that_hang_up_before_their_answer_end_nothing() {
    let mut server = Server::start(&[]);
    let requests = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
    for read in [0, 1, 5000] {
        for _ in 0..30 {
            let mut stream = server.connect();
            let _ = stream.write_all(&requests);
            // What is there and not read makes the system reset the connection, so that the server writes into nothing.
            let _ = stream.read_exact(&mut vec![0; read]);
        }
    }
    assert!(server.is_running(), "{}", server.log());
    check_alive(&server);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
