//! A server of tests: gives prepared answers, one a connection, and keeps what was asked. And the tests that need it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Credentials, TRIES};
use super::{Metric, MlflowError, NewRun, NewVersion, Run, RunStatus, Server};

/// What a server was asked.
#[derive(Debug)]
struct Asked {
    /// Method and path.
    line: String,
    /// Lower-case names.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// How the server answers a request.
enum Answer {
    Json(u16, Value),
    Text(u16, &'static str),
    /// Ends the connection after the request was read.
    Hangup,
}

struct Stub {
    address: String,
    thread: JoinHandle<Vec<Asked>>,
}

impl Stub {
    /// A server that gives these answers, one after the other, and ends.
    fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let mut reader = BufReader::new(stream);
                asked.push(read(&mut reader));
                let (status, text) = match answer {
                    Answer::Json(status, value) => (status, value.to_string()),
                    Answer::Text(status, text) => (status, text.to_owned()),
                    Answer::Hangup => continue,
                };
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
                reader.get_mut().write_all((head + &text).as_bytes()).unwrap();
            }
            asked
        });
        Self { address, thread }
    }

    fn server(&self) -> Server {
        quick(&self.address, &Credentials::None)
    }

    fn asked(self) -> Vec<Asked> {
        self.thread.join().unwrap()
    }
}

fn read(reader: &mut impl BufRead) -> Asked {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        match header.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let mut asked = Asked { line: line.trim_end_matches(" HTTP/1.1\r\n").to_owned(), headers, body: Vec::new() };
    let length: u64 = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    reader.take(length).read_to_end(&mut asked.body).unwrap();
    asked
}

fn quick(address: &str, credentials: &Credentials) -> Server {
    let mut server = Server::with(address, credentials).unwrap();
    server.client.first_pause = Duration::from_millis(1);
    server
}

fn ok() -> Answer {
    Answer::Json(200, json!({}))
}

fn refusal(status: u16, code: &str) -> Answer {
    Answer::Json(status, json!({ "error_code": code, "message": "said by the server" }))
}

fn run(artifact_uri: &str) -> Run {
    Run { id: "abc".to_owned(), artifact_uri: artifact_uri.to_owned() }
}

fn new_run<'a>(parent: Option<&'a str>, tags: &'a [(String, String)]) -> NewRun<'a> {
    NewRun { experiment_id: "7", name: "trial 3", parent, source: "trainer", start_ms: 1000, tags }
}

#[test]
fn an_experiment_is_found_made_or_found_after_all() {
    let found = || Answer::Json(200, json!({ "experiment": { "experiment_id": "7", "lifecycle_stage": "active" } }));
    let stub = Stub::new(vec![found()]);
    assert_eq!(stub.server().experiment("signs & more/ü").unwrap(), "7");
    let asked = stub.asked();
    assert_eq!(
        asked[0].line,
        "GET /api/2.0/mlflow/experiments/get-by-name?experiment_name=signs%20%26%20more%2F%C3%BC"
    );

    let stub =
        Stub::new(vec![refusal(404, "RESOURCE_DOES_NOT_EXIST"), Answer::Json(200, json!({ "experiment_id": "8" }))]);
    assert_eq!(stub.server().experiment("signs").unwrap(), "8");
    let asked = stub.asked();
    assert_eq!(
        (asked[1].line.as_str(), asked[1].json()),
        ("POST /api/2.0/mlflow/experiments/create", json!({ "name": "signs" }))
    );

    let stub =
        Stub::new(vec![refusal(404, "RESOURCE_DOES_NOT_EXIST"), refusal(400, "RESOURCE_ALREADY_EXISTS"), found()]);
    assert_eq!(stub.server().experiment("signs").unwrap(), "7");

    let stub = Stub::new(vec![Answer::Json(
        200,
        json!({ "experiment": { "experiment_id": "7", "lifecycle_stage": "deleted" } }),
    )]);
    assert!(matches!(stub.server().experiment("signs"), Err(MlflowError::DeletedExperiment { .. })));
}

#[test]
fn a_run_has_its_tags_and_its_end() {
    let made = || {
        Answer::Json(
            200,
            json!({ "run": { "info": { "run_id": "abc", "artifact_uri": "mlflow-artifacts:/7/abc/artifacts" } } }),
        )
    };
    let stub = Stub::new(vec![made(), ok()]);
    let server = stub.server();
    let tags = [("azure: name".to_owned(), "x".repeat(6000))];
    let started = server.start_run(&new_run(Some("parent"), &tags)).unwrap();
    assert_eq!(started, run("mlflow-artifacts:/7/abc/artifacts"));
    server.end_run(&started.id, RunStatus::Killed, 2000).unwrap();
    let asked = stub.asked();
    assert_eq!(asked[0].line, "POST /api/2.0/mlflow/runs/create");
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert_eq!(asked[0].header("authorization"), None);
    let body = asked[0].json();
    assert_eq!((&body["experiment_id"], &body["start_time"]), (&json!("7"), &json!(1000)));
    assert_eq!(body["tags"][0], json!({ "key": "mlflow.runName", "value": "trial 3" }));
    assert_eq!(body["tags"][1], json!({ "key": "mlflow.source.name", "value": "trainer" }));
    assert_eq!(body["tags"][3], json!({ "key": "mlflow.parentRunId", "value": "parent" }));
    assert!(body["tags"][4]["key"].as_str().unwrap().starts_with("azure_ name-"));
    assert_eq!(body["tags"][4]["value"].as_str().unwrap().len(), 5000);
    assert_eq!(asked[1].json(), json!({ "run_id": "abc", "status": "KILLED", "end_time": 2000 }));
}

#[test]
fn a_run_is_found_by_its_tag() {
    let info = json!({ "run_id": "abc", "artifact_uri": "/a" });
    let stub = Stub::new(vec![Answer::Json(200, json!({ "runs": [{ "info": info }] })), ok()]);
    let server = stub.server();
    assert_eq!(server.find_run("7", "fovea.trial", "study/3").unwrap(), Some(run("/a")));
    assert_eq!(server.find_run("7", "fovea.trial", "study/4").unwrap(), None);
    assert!(matches!(server.find_run("7", "a", "it's"), Err(MlflowError::Name { .. })));
    let asked = stub.asked();
    assert_eq!(asked[0].json()["filter"], "tags.`fovea.trial` = 'study/3'");
}

#[test]
fn batches_have_the_limits_of_mlflow() {
    let stub = Stub::new((0..3 + 3).map(|_| ok()).collect());
    let server = stub.server();
    let params: Vec<(String, String)> = (0..250).map(|i| (format!("p{i}"), "v".repeat(i * 40))).collect();
    server.log_params("abc", &params).unwrap();
    let value = |step: i64| match step {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        _ => 0.1 + 0.2,
    };
    let metric = |step: i64| Metric { name: "loss".to_owned(), value: value(step), step, timestamp_ms: 5 };
    server.log_metrics("abc", &(0..2001).map(metric).collect::<Vec<_>>()).unwrap();
    server.log_params("abc", &[]).unwrap();
    let asked = stub.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.line == "POST /api/2.0/mlflow/runs/log-batch" && asked.json()["run_id"] == "abc")
    );
    assert!(asked.iter().all(|asked| asked.body.len() < 1_000_000));
    let sizes = |kind: &str, range: &[Asked]| {
        range.iter().map(|asked| asked.json()[kind].as_array().unwrap().len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes("params", &asked[..3]), [100, 100, 50]);
    assert_eq!(sizes("metrics", &asked[3..]), [1000, 1000, 1]);
    let longest = asked[2].json()["params"][49].clone();
    assert_eq!((&longest["key"], longest["value"].as_str().unwrap().len()), (&json!("p249"), 6000));
    let metrics = asked[3].json()["metrics"].clone();
    assert_eq!([&metrics[0]["value"], &metrics[1]["value"], &metrics[2]["value"]], ["NaN", "Infinity", "-Infinity"]);
    assert_eq!(metrics[3], json!({ "key": "loss", "value": 0.1 + 0.2, "timestamp": 5, "step": 3 }));
}

#[test]
fn artifacts_go_through_the_server() {
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir(work.path().join("b")).unwrap();
    std::fs::write(work.path().join("b/c d"), "second").unwrap();
    std::fs::write(work.path().join("a"), "first").unwrap();
    let stub = Stub::new(vec![ok(), Answer::Text(503, "busy"), ok()]);
    stub.server().upload(&run("mlflow-artifacts:/7/abc/artifacts"), work.path(), "model").unwrap();
    let asked = stub.asked();
    let place = "PUT /api/2.0/mlflow-artifacts/artifacts/7/abc/artifacts/model";
    assert_eq!((asked[0].line.as_str(), asked[0].body.as_slice()), (&*format!("{place}/a"), &b"first"[..]));
    for again in &asked[1..] {
        assert_eq!((again.line.as_str(), again.body.as_slice()), (&*format!("{place}/b/c%20d"), &b"second"[..]));
        assert_eq!(again.header("content-length"), Some("6"));
    }
}

#[test]
fn a_copied_artifact_must_be_seen_by_the_server() {
    let work = tempfile::tempdir().unwrap();
    let (store, file) = (work.path().join("store/7/abc/artifacts"), work.path().join("report.html"));
    std::fs::create_dir(work.path().join("store")).unwrap();
    std::fs::write(&file, "report").unwrap();
    let seen = json!({ "files": [{ "path": "reports/study.html", "is_dir": false, "file_size": 6 }] });
    let stub = Stub::new(vec![Answer::Json(200, seen), Answer::Json(200, json!({}))]);
    let (server, run) = (stub.server(), run(&store.display().to_string()));
    server.upload(&run, &file, "reports/study.html").unwrap();
    assert_eq!(std::fs::read_to_string(store.join("reports/study.html")).unwrap(), "report");
    let error = server.upload(&run, &file, "reports/study.html").unwrap_err().to_string();
    assert!(error.contains("another machine"), "{error}");
    assert!(matches!(server.upload(&run, &file, "../x"), Err(MlflowError::Name { .. })));
    assert_eq!(stub.asked()[0].line, "GET /api/2.0/mlflow/artifacts/list?run_id=abc&path=reports");
}

#[cfg(unix)]
#[test]
fn links_are_not_uploaded() {
    let work = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(work.path(), work.path().join("circle")).unwrap();
    let error = quick("http://127.0.0.1:9", &Credentials::None)
        .upload(&run("mlflow-artifacts:/7"), work.path(), "x")
        .unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
}

#[test]
fn a_model_is_registered_once_and_gets_versions() {
    let version =
        || Answer::Json(200, json!({ "model_version": { "name": "signs", "version": "2", "status": "READY" } }));
    let stub = Stub::new(vec![refusal(400, "RESOURCE_ALREADY_EXISTS"), version()]);
    let server = stub.server();
    let new = |name| NewVersion { name, artifact: "model", description: "best of 12", tags: &[] };
    let made = server.register(&run("mlflow-artifacts:/7/abc/artifacts"), &new("signs")).unwrap();
    assert_eq!((made.name.as_str(), made.version.as_str()), ("signs", "2"));
    for name in ["", "a/b", "a:b", ".."] {
        assert!(matches!(server.register(&run("/a"), &new(name)), Err(MlflowError::Name { .. })), "{name}");
    }
    let body = stub.asked()[1].json();
    assert_eq!((&body["source"], &body["run_id"]), (&json!("mlflow-artifacts:/7/abc/artifacts/model"), &json!("abc")));
}

#[test]
fn a_request_is_repeated_where_that_is_harmless() {
    let hangups = |n| (0..n).map(|_| Answer::Hangup).collect::<Vec<_>>();
    // Twice harmless.
    let stub = Stub::new(vec![Answer::Hangup, Answer::Text(502, ""), ok()]);
    stub.server().end_run("abc", RunStatus::Finished, 1).unwrap();
    assert_eq!(stub.asked().len(), 3);
    let stub = Stub::new(hangups(3));
    let error = stub.server().end_run("abc", RunStatus::Finished, 1).unwrap_err();
    assert!(matches!(error, MlflowError::Unreachable { tries: TRIES, .. }), "{error}");
    stub.asked();
    // A run would be made twice.
    let stub = Stub::new(hangups(1));
    let error = stub.server().start_run(&new_run(None, &[])).unwrap_err();
    assert!(matches!(error, MlflowError::Unreachable { tries: 1, .. }), "{error}");
    stub.asked();
    let stub = Stub::new(vec![Answer::Text(500, "")]);
    assert!(matches!(stub.server().start_run(&new_run(None, &[])), Err(MlflowError::Refused { status: 500, .. })));
    stub.asked();
    // Nobody listens there, so nothing was made.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = quick(&format!("http://{free}"), &Credentials::None).start_run(&new_run(None, &[])).unwrap_err();
    assert!(matches!(error, MlflowError::Unreachable { tries: TRIES, .. }), "{error}");
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}

#[test]
fn refusals_say_what_to_do_and_no_secret() {
    let token = Credentials::Token("hidden".to_owned());
    for (answer, texts) in [
        (refusal(400, "INVALID_PARAMETER_VALUE"), ["INVALID_PARAMETER_VALUE: said by the server", "change what"]),
        (Answer::Text(401, "who?"), ["401: who?", "MLFLOW_TRACKING_TOKEN"]),
        (Answer::Text(404, "<html>\n no </html>"), ["404: <html> no </html>", "names an MLflow server"]),
        (Answer::Text(302, ""), ["302", "redirects"]),
        (Answer::Text(200, "<html>"), ["no JSON", "of an MLflow server"]),
        (Answer::Json(200, json!({ "run": 1 })), ["no `run.info.run_id`", "of an MLflow server"]),
    ] {
        let stub = Stub::new(vec![answer]);
        let server = quick(&stub.address, &token);
        let error = server.start_run(&new_run(None, &[])).unwrap_err().to_string();
        assert!(error.contains("create the run `trial 3`") && texts.iter().all(|text| error.contains(text)), "{error}");
        assert!(!error.contains("hidden") && !format!("{server:?}").contains("hidden"));
        assert_eq!(stub.asked()[0].header("authorization"), Some("Bearer hidden"));
    }
}
