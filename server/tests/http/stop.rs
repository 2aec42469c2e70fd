//! Stopping: what is under way is answered, and the time that --help states is held whatever clients do.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use image::ImageFormat::Png;

use crate::{
    images::plain,
    support::{Response, Server},
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

/// A client that sends a byte of its body now and then, until the server has gone.
struct Drip {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drip {
    fn start(server: &Server) -> Self {
        let mut stream = server.connect();
        stream
            .write_all(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n")
            .unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) && stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Drip {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A connection that has been answered and stays open.
fn idle(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    stream
}

/// A client that asks for more than buffers hold, and reads none of it.
fn deaf(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    for _ in 0..10_000 {
        if stream.write_all(&request).is_err() {
            return stream;
        }
    }
    panic!("the server goes on taking requests of a client that reads no answer");
}

#[test]
fn told_again_it_stops_at_once() {
    // Also while it still drains, and while a time for requests under way is left.
    for (drain, pause) in [("0", 700), ("20000", 200)] {
        let mut server = Server::start(&["--drain", drain, "--stop-timeout", "25"]);
        let clients = (Drip::start(&server), idle(&server), deaf(&server));
        thread::sleep(Duration::from_millis(200));
        server.signal("TERM");
        thread::sleep(Duration::from_millis(pause));
        assert!(server.is_running(), "{}", server.log());
        let start = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait(Duration::from_secs(4)), Some(0), "{}", server.log());
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        drop(clients);
    }
}

#[test]
fn the_stated_time_is_held_whatever_clients_do() {
    let mut server = Server::start(&["--drain", "300", "--stop-timeout", "2"]);
    let clients = (Drip::start(&server), idle(&server), deaf(&server));
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    server.signal("TERM");
    // 0.3 + 2 + 1 s, and some for a busy machine.
    assert_eq!(server.wait(Duration::from_secs(6)), Some(0), "{}", server.log());
    assert!(start.elapsed() > Duration::from_millis(1500), "the upload had {:?}", start.elapsed());
    drop(clients);
}

#[test]
fn connections_that_do_nothing_do_not_delay_a_stop() {
    let mut server = Server::start(&["--drain", "0", "--stop-timeout", "25"]);
    let clients: Vec<TcpStream> = (0..20).map(|_| idle(&server)).collect();
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(5)), Some(0), "{}", server.log());
    drop(clients);
}
