//! Overload, failing models and clients that go away, with models made for the purpose.

use std::{
    io::{Read as _, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use image::ImageFormat::Png;
use ndarray::Array2;
use runtime::{Form, Outputs, RuntimeError};
use serde_json::json;
use server::{
    app::{listen_grpc, listen_with},
    backend::{Backend, Batch, Description, Predictions, ServedModel, Workers},
    config::Limits,
    grpc::{Endpoint, Options},
    metrics::Metrics,
    state::State,
};

use crate::{
    images::plain,
    support::{Response, connect, post, send},
};

#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    limits: Limits,
}

fn limits(options: &[&str]) -> Limits {
    Defaults::parse_from([&["test"], options].concat()).limits
}

/// Does what the first pixel's red says.
struct Puppet {
    runs: Arc<AtomicUsize>,
    /// A run of [`HELD`] ends when the other side says so.
    held: Arc<Mutex<mpsc::Receiver<()>>>,
}

pub const SLOW: u8 = 10;
pub const PANIC: u8 = 20;
pub const ERROR: u8 = 30;
pub const NAN: u8 = 40;
pub const FAST: u8 = 50;
pub const HELD: u8 = 60;

impl Backend for Puppet {
    fn run(&mut self, batch: &Batch) -> Result<Predictions, RuntimeError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let n = batch.count();
        let reds: Vec<u8> = (0..n).map(|i| batch.images[[i, 0, 0, 0]]).collect();
        let worst = reds.iter().copied().find(|red| [PANIC, ERROR, NAN].contains(red)).unwrap_or(reds[0]);
        match worst {
            SLOW => thread::sleep(Duration::from_millis(700)),
            HELD => self.held.lock().unwrap().recv().unwrap(),
            PANIC => panic!("secret /home/me/model.rs:1 0xdeadbeef"),
            ERROR => return Err(RuntimeError::Run { reason: "secret /home/me".to_owned() }),
            NAN => return Ok(Predictions::Probabilities(Array2::from_elem((n, 2), f32::NAN))),
            _ => {}
        }
        Ok(Predictions::Probabilities(Array2::from_shape_fn((n, 2), |(i, _)| f32::from(reds[i]) / 255.0)))
    }
}

pub struct Local {
    port: u16,
    pub state: Arc<State>,
    pub runs: Arc<AtomicUsize>,
    /// Ends a run of [`HELD`].
    pub release: mpsc::Sender<()>,
    grpc: Endpoint,
}

impl Local {
    pub fn grpc_port(&self) -> u16 {
        self.grpc.addresses[0].port()
    }

    pub fn stop_grpc(&self) {
        self.grpc.stopper()();
    }

    fn metrics(&self) -> String {
        send(self.port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").text()
    }

    /// A client whose request keeps the model busy until it is released.
    pub fn hold(&self) -> TcpStream {
        let mut held = connect(self.port);
        held.write_all(&request(HELD)).unwrap();
        while self.runs.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        held
    }

    /// Waits until a line of the metrics stands there.
    #[track_caller]
    pub fn wait_for(&self, line: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.metrics().lines().any(|one| one == line) {
            assert!(Instant::now() < end, "the metrics never say {line:?}:\n{}", self.metrics());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A server within the test's process around a [`Puppet`].
pub fn start(options: &[&str]) -> Local {
    let limits = limits(options);
    let metrics = Arc::new(Metrics::default());
    let runs = Arc::new(AtomicUsize::new(0));
    let description = Description {
        name: "puppet".to_owned(),
        version: 1,
        meta: serde_json::from_value(json!({
            "schema_version": 1, "task": "image-classification", "model_name": "puppet", "labels": ["a", "b"],
            "preprocessing": { "resize": 8, "crop": 8, "interpolation": "bilinear", "mean": [0, 0, 0], "std": [1, 1, 1] },
            "epoch": 0, "metrics": {}, "settings": {}, "weights": null, "versions": {},
        }))
        .unwrap(),
        outputs: Outputs::Probabilities,
        form: Form::Prepared,
        input_shape: [-1, 8, 8, 3],
        settings: schemas::Settings::default(),
        overrides: Default::default(),
        running: server::providers::Running::default(),
    };
    let counter = Arc::clone(&runs);
    let (release, held) = mpsc::channel();
    let held = Arc::new(Mutex::new(held));
    let workers = Workers {
        count: 1,
        queue: limits.queue as usize,
        batch: limits.max_batch as usize,
        longest: limits.run_time(),
    };
    let open = Box::new(move || {
        Ok(Box::new(Puppet { runs: Arc::clone(&counter), held: Arc::clone(&held) }) as Box<dyn Backend>)
    });
    let model = ServedModel::start(description, open, workers).unwrap();
    let state = Arc::new(State::with_models(vec![model], metrics, 2, &limits).unwrap());
    let shared = Arc::clone(&state);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let options = Options { connections: 100, stop_timeout: Duration::from_secs(1) };
            let grpc = listen_grpc(Arc::clone(&shared), "127.0.0.1:0", options).unwrap();
            let listening = listen_with(shared, "127.0.0.1:0", 1, Duration::from_secs(1)).unwrap();
            sender.send((listening.addresses[0].port(), grpc)).unwrap();
            listening.server.await.unwrap();
        });
    });
    runs.store(0, Ordering::SeqCst);
    let (port, grpc) = receiver.recv().unwrap();
    Local { port, state, runs, release, grpc }
}

fn request(red: u8) -> Vec<u8> {
    post("/score", &[("Content-Type", "image/png")], &plain(8, 8, [red, 0, 0], Png))
}

#[test]
fn a_failing_model_is_a_500_that_tells_nothing_and_the_next_request_is_fine() {
    let local = start(&[]);
    for (red, code) in [(PANIC, "internal"), (ERROR, "model_failed"), (NAN, "model_failed")] {
        let answer = send(local.port, &request(red));
        assert_eq!((answer.status, answer.code().as_str()), (500, code));
        answer.check_no_leak();
        assert!(!answer.text().contains("secret"));
        assert_eq!(send(local.port, &request(FAST)).status, 200, "after {code}");
    }
    assert!(local.state.is_ready());
}

#[test]
fn a_thread_that_does_not_come_back_ends_readiness_until_it_does() {
    let local = start(&["--decode-timeout", "1"]);
    let ready = || send(local.port, b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(ready().status, 200);
    let (release, blocked) = mpsc::channel::<()>();
    let state = Arc::clone(&local.state);
    let stuck = thread::spawn(move || {
        actix_web::rt::System::new().block_on(state.pool.run(move || {
            let _ = blocked.recv();
            Ok(())
        }))
    });
    let start = Instant::now();
    while ready().status == 200 {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
    let refused = ready();
    assert_eq!((refused.status, refused.code().as_str()), (503, "not_ready"));
    assert!(refused.text().contains("2 s"), "{}", refused.text());
    // The other thread goes on.
    assert_eq!(send(local.port, &request(FAST)).status, 200);
    release.send(()).unwrap();
    stuck.join().unwrap().unwrap();
    while ready().status != 200 {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_full_server_refuses_at_once_and_says_when_to_come_back() {
    let local = start(&["--queue", "1"]);
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect(local.port);
            stream.write_all(&request(SLOW)).unwrap();
            thread::sleep(Duration::from_millis(150));
            stream
        })
        .collect();
    let start = Instant::now();
    let refused = send(local.port, &request(FAST));
    assert_eq!((refused.status, refused.code().as_str()), (429, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    for mut stream in slow {
        assert_eq!(Response::read(&mut stream).status, 200);
    }
    assert_eq!(send(local.port, &request(FAST)).status, 200);
    assert_eq!(local.state.admission.budget.used(), 0);
}

#[test]
fn places_are_counted_after_the_body_is_here() {
    let local = start(&["--max-concurrent", "1"]);
    let body = request(FAST);
    let mut unfinished = connect(local.port);
    unfinished.write_all(&body[..body.len() - 1]).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(send(local.port, &request(FAST)).status, 200, "a slow sender takes no place");
    let mut slow = connect(local.port);
    slow.write_all(&request(SLOW)).unwrap();
    thread::sleep(Duration::from_millis(150));
    assert_eq!(send(local.port, &request(FAST)).status, 429);
    assert_eq!(Response::read(&mut slow).status, 200);
    unfinished.write_all(&body[body.len() - 1..]).unwrap();
    assert_eq!(Response::read(&mut unfinished).status, 200);
}

#[test]
fn a_client_that_goes_away_is_not_computed_for() {
    let local = start(&[]);
    let mut held = local.hold();
    for gone in 1..=5 {
        let mut client = connect(local.port);
        client.write_all(&request(FAST)).unwrap();
        local.wait_for(&format!("fovea_queue_jobs{{model=\"puppet\",version=\"1\"}} {gone}"));
        drop(client);
        local.wait_for(&format!("fovea_requests_total{{route=\"score\",outcome=\"cancelled\"}} {gone}"));
    }
    local.release.send(()).unwrap();
    assert_eq!(Response::read(&mut held).status, 200);
    assert_eq!(send(local.port, &request(FAST)).status, 200);
    assert_eq!(local.runs.load(Ordering::SeqCst), 2, "only the held one and the last one run");
    local.wait_for("fovea_skipped_total{model=\"puppet\",version=\"1\"} 5");
    assert_eq!(local.state.admission.budget.used(), 0);
}

/// Holds the model, lets requests come together, and lets it go. The answers, in the order of the requests.
fn answers_together(local: &Local, requests: Vec<Vec<u8>>) -> Vec<Response> {
    let mut held = local.hold();
    let count = requests.len();
    let clients = requests.into_iter().map(|request| {
        let mut client = connect(local.port);
        client.write_all(&request).unwrap();
        client
    });
    let clients: Vec<_> = clients.collect();
    local.wait_for(&format!("fovea_queue_jobs{{model=\"puppet\",version=\"1\"}} {count}"));
    local.release.send(()).unwrap();
    assert_eq!(Response::read(&mut held).status, 200);
    clients.into_iter().map(|mut client| Response::read(&mut client)).collect()
}

#[test]
fn requests_that_come_together_are_run_together_whatever_the_sizes_of_their_images() {
    let local = start(&["--max-batch", "16"]);
    let reds: Vec<u8> = (0..32).map(|i| 100 + i).collect();
    let sized = |(i, &red): (u32, &u8)| {
        post("/score", &[("Content-Type", "image/png")], &plain(8 + 3 * i, 40 - i, [red, 0, 0], Png))
    };
    let answers = answers_together(&local, (0..).zip(&reds).map(sized).collect());
    for (answer, red) in answers.iter().zip(&reds) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let probability = answer.json()["probs"][0].as_f64().unwrap();
        assert!((probability - f64::from(*red) / 255.0).abs() < 1e-6, "{red}: {probability}");
    }
    assert_eq!(local.runs.load(Ordering::SeqCst), 1 + 32 / 16);
}

#[test]
fn an_image_that_the_model_fails_on_fails_alone() {
    for (bad, code) in [(ERROR, "model_failed"), (NAN, "model_failed"), (PANIC, "internal")] {
        let local = start(&[]);
        let reds = [FAST, FAST + 1, bad, FAST + 2];
        let answers = answers_together(&local, reds.into_iter().map(request).collect());
        for (answer, red) in answers.iter().zip(reds) {
            if red == bad {
                assert_eq!((answer.status, answer.code().as_str()), (500, code));
            } else {
                assert_eq!(answer.status, 200, "{red} beside {bad}: {}", answer.text());
            }
        }
        // The held one, all together, and each alone.
        assert_eq!(local.runs.load(Ordering::SeqCst), 1 + 1 + 4);
    }
}

#[test]
fn a_client_that_closes_its_side_after_its_request_is_answered() {
    let local = start(&[]);
    let mut held = local.hold();
    let half = |red| {
        let mut client = connect(local.port);
        client.write_all(&request(red)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    };
    let (mut fine, mut bad, gone) = (half(FAST), half(ERROR), half(FAST));
    local.wait_for("fovea_queue_jobs{model=\"puppet\",version=\"1\"} 3");
    drop(gone);
    local.wait_for("fovea_requests_total{route=\"score\",outcome=\"cancelled\"} 1");
    local.release.send(()).unwrap();
    assert_eq!(Response::read(&mut held).status, 200);
    for (client, status) in [(&mut fine, 200), (&mut bad, 500)] {
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        // The client reads over what is said in between.
        let text = String::from_utf8_lossy(&all);
        let answer = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text);
        assert_eq!(Response::parse(answer.as_bytes()).unwrap().status, status, "{text}");
    }
}

#[test]
fn half_a_request_is_refused_at_once() {
    let local = start(&[]);
    let body = request(FAST);
    let mut client = connect(local.port);
    client.write_all(&body[..body.len() - 3]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let started = Instant::now();
    let answer = Response::read(&mut client);
    assert!([0, 400].contains(&answer.status), "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A request for inference about one image of this red, in so many microseconds.
fn hurried(red: u8, microseconds: u64) -> Vec<u8> {
    let pixels = [[red, 0, 0]; 64].concat();
    let body = json!({
        "parameters": { "timeout": microseconds },
        "inputs": [{ "name": "images", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": pixels }],
    });
    post("/v2/models/puppet/infer", &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

#[test]
fn what_is_late_is_told_so_and_not_run() {
    let local = start(&[]);
    let mut held = local.hold();
    let answer = send(local.port, &hurried(FAST, 200_000));
    assert_eq!((answer.status, answer.code().as_str()), (503, "deadline_exceeded"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    local.release.send(()).unwrap();
    assert_eq!(Response::read(&mut held).status, 200);
    local.wait_for("fovea_skipped_total{model=\"puppet\",version=\"1\"} 1");
    assert_eq!(local.runs.load(Ordering::SeqCst), 1);
    assert_eq!(send(local.port, &hurried(FAST, 0)).status, 200);
    // Of the server's own limit.
    let local = start(&["--answer-timeout", "1"]);
    let mut held = local.hold();
    assert_eq!(Response::read(&mut held).code(), "deadline_exceeded");
    local.release.send(()).unwrap();
}

#[test]
fn a_model_that_is_stuck_makes_the_server_not_ready() {
    let local = start(&["--run-timeout", "1"]);
    let ready = || send(local.port, b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status;
    assert_eq!(ready(), 200);
    let mut held = local.hold();
    let end = Instant::now() + Duration::from_secs(30);
    while ready() == 200 {
        assert!(Instant::now() < end, "the server never notices");
        thread::sleep(Duration::from_millis(20));
    }
    local.wait_for("fovea_model_ready{model=\"puppet\",version=\"1\"} 0");
    local.release.send(()).unwrap();
    assert_eq!(Response::read(&mut held).status, 200);
    assert_eq!(ready(), 200);
}
