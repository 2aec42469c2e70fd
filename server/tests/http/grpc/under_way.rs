//! Calls under way: deadlines, clients that go away, a server without room, a model that fails, a stop.

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use server::grpc::messages::{
    Empty, ModelInferRequest, ModelInferResponse, ModelRequest, ServerLiveResponse, ServerReadyResponse,
};
use tonic::{Code, Request, Response};

use super::{client::Client, encoded, raw, red};
use crate::{
    load::{ERROR, FAST, HELD, Local, NAN, PANIC, SLOW, start},
    support::{Response as Http, Server},
};

fn request(one: u8) -> ModelInferRequest {
    raw(encoded("puppet", &[red(one)]))
}

fn begin(local: &Local, one: u8) -> thread::JoinHandle<Result<ModelInferResponse, tonic::Status>> {
    let port = local.grpc_port();
    thread::spawn(move || Client::new(port).infer(request(one)))
}

#[test]
fn work_whose_deadline_has_passed_is_not_run() {
    let local = start(&[]);
    let client = Client::new(local.grpc_port());
    let mut held = local.hold();
    for late in 1..=3 {
        let status = client.infer_within(request(FAST), Duration::from_millis(100)).unwrap_err();
        assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
        local.wait_for(&format!("fovea_requests_total{{route=\"grpc_infer\",outcome=\"cancelled\"}} {late}"));
    }
    local.release.send(()).unwrap();
    assert_eq!(Http::read(&mut held).status, 200);
    client.infer(request(FAST)).unwrap();
    assert_eq!(local.runs.load(Ordering::SeqCst), 2, "only the held one and the last one run");
    local.wait_for("fovea_skipped_total{model=\"puppet\",version=\"1\"} 3");
    assert_eq!(local.state.admission.budget.used(), 0);
}

#[test]
fn a_client_that_goes_away_is_not_computed_for() {
    let local = start(&[]);
    let mut held = local.hold();
    for gone in 1..=3 {
        let client = Client::new(local.grpc_port());
        let call = client.future::<_, ModelInferResponse>("ModelInfer", Request::new(request(FAST)));
        let given_up = client.run(async { tokio::time::timeout(Duration::from_millis(200), call).await });
        assert!(given_up.is_err());
        // Half of them end the call, half the connection.
        if gone == 2 {
            drop(client);
        } else {
            client.run(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
        local.wait_for(&format!("fovea_requests_total{{route=\"grpc_infer\",outcome=\"cancelled\"}} {gone}"));
    }
    local.release.send(()).unwrap();
    assert_eq!(Http::read(&mut held).status, 200);
    Client::new(local.grpc_port()).infer(request(FAST)).unwrap();
    assert_eq!(local.runs.load(Ordering::SeqCst), 2);
    assert_eq!(local.state.admission.budget.used(), 0);
}

#[test]
fn a_full_server_refuses_at_once_and_says_when_to_come_back() {
    let local = start(&["--max-concurrent", "1"]);
    let slow = begin(&local, SLOW);
    thread::sleep(Duration::from_millis(200));
    let client = Client::new(local.grpc_port());
    let started = Instant::now();
    let status = client.infer(request(FAST)).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.metadata().get("error-code").unwrap(), "overloaded");
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
    assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
    // It still tells how it is.
    assert!(client.call::<_, ServerReadyResponse>("ServerReady", Empty {}).unwrap().ready);
    slow.join().unwrap().unwrap();
    client.infer(request(FAST)).unwrap();
}

#[test]
fn without_memory_calls_are_refused_and_health_is_told() {
    let local = start(&["--memory", "16"]);
    let client = Client::new(local.grpc_port());
    let all = local.state.admission.budget.reserve(16 << 20).unwrap();
    let mut large = request(FAST);
    large.id = "x".repeat(200);
    large.raw_input_contents = vec![vec![0; 5000].into()];
    let status = client.infer(large).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(client.call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap().live);
    let named = ModelRequest { name: "puppet".to_owned(), version: String::new() };
    assert!(client.call::<_, ServerReadyResponse>("ModelReady", named).unwrap().ready);
    drop(all);
    client.infer(request(FAST)).unwrap();
    assert_eq!(local.state.admission.budget.used(), 0);
}

#[test]
fn a_failing_model_is_internal_and_tells_nothing() {
    let local = start(&[]);
    let client = Client::new(local.grpc_port());
    for (one, error) in [(PANIC, "internal"), (ERROR, "model_failed"), (NAN, "model_failed")] {
        let status = client.infer(request(one)).unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status:?}");
        assert_eq!(status.metadata().get("error-code").unwrap(), error);
        assert!(!status.message().contains("secret"), "{status:?}");
        client.infer(request(FAST)).unwrap();
    }
}

#[test]
fn a_stop_loses_no_call() {
    let mut server = Server::start(&["--grpc", "127.0.0.1:0", "--drain", "1000"]);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let port = server.grpc;
            thread::spawn(move || {
                let client = Client::new(port);
                let (mut answered, mut refused) = (0, 0);
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(4) && refused == 0 {
                    let call =
                        client.future::<_, ModelInferResponse>("ModelInfer", Request::new(encoded("tiny", &[red(7)])));
                    match client.run(call).map(Response::into_inner) {
                        Ok(_) => answered += 1,
                        // The connection is closed: nothing of this call has been taken.
                        Err(status) if [Code::Unavailable, Code::Unknown, Code::Cancelled].contains(&status.code()) => {
                            refused += 1;
                        }
                        Err(status) => panic!("{status:?} after {answered}"),
                    }
                }
                (answered, client)
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    server.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    let client = Client::new(server.grpc);
    assert!(!client.call::<_, ServerReadyResponse>("ServerReady", Empty {}).unwrap().ready);
    assert!(client.call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap().live);
    client.infer(encoded("tiny", &[red(7)])).unwrap();
    assert_eq!(server.wait(Duration::from_secs(10)), Some(0), "{}", server.log());
    for one in clients {
        assert!(one.join().unwrap().0 > 0);
    }
}

#[test]
fn calls_under_way_are_answered_after_a_stop_began() {
    let local = start(&[]);
    let held = begin(&local, HELD);
    while local.runs.load(Ordering::SeqCst) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let waiting: Vec<_> = (0..7).map(|_| begin(&local, FAST)).collect();
    local.wait_for("fovea_queue_jobs{model=\"puppet\",version=\"1\"} 7");
    local.stop_grpc();
    thread::sleep(Duration::from_millis(200));
    let late = std::net::TcpStream::connect(("127.0.0.1", local.grpc_port()));
    assert!(late.is_err(), "nobody else is let in");
    local.release.send(()).unwrap();
    for call in waiting.into_iter().chain([held]) {
        call.join().unwrap().unwrap();
    }
    local.wait_for("fovea_requests_total{route=\"grpc_infer\",outcome=\"ok\"} 8");
    assert_eq!(local.state.admission.budget.used(), 0);
}

#[test]
fn an_idle_server_stops_at_once() {
    let mut server = Server::start(&["--grpc", "127.0.0.1:0", "--drain", "0"]);
    let idle = crate::support::connect(server.grpc);
    let client = Client::new(server.grpc);
    client.call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap();
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(6)), Some(0), "{}", server.log());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    drop(idle);
}
