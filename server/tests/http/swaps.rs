//! Models that change while the server runs: the repository, its versions, and clients that load and unload.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use image::ImageFormat::Png;
use schemas::registered::{DESCRIPTION, FILE};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    images::plain,
    registered,
    support::{Response, Server, fixture, post, send},
};

/// How long the server may take to see what has changed in the repository.
const SEEN: Duration = Duration::from_secs(30);

/// A folder of models, and a server of it.
struct Served {
    folder: TempDir,
    server: Server,
}

fn register(folder: &Path, name: &str, version: u64, file: &str) {
    let bytes = fs::read(fixture(file)).unwrap();
    registered::write(folder, (name, version), &bytes, &bytes).unwrap();
}

impl Served {
    /// A server of a repository with these versions of `m`, and nothing else.
    fn of(versions: &[u64], options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        versions.iter().for_each(|&version| register(folder.path(), "m", version, "tiny_prepared.onnx"));
        let mut command = Server::bare_command(&[]);
        command.arg("--model-repository").arg(folder.path()).args(options);
        Self { server: Server::start_from(&mut command), folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn call(&self, path: &str) -> Response {
        self.server.post(path, "application/json", b"")
    }

    /// State and reason of each version in the index.
    fn index(&self) -> BTreeMap<String, (String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entry = |one: &Value| {
            let id = format!("{}/{}", text(&one["name"]), text(&one["version"]));
            (id, (text(&one["state"]), text(&one["reason"])))
        };
        self.call("/v2/repository/index").json().as_array().unwrap().iter().map(entry).collect()
    }

    #[track_caller]
    fn wait_for(&self, id: &str, state: &str) -> String {
        let end = Instant::now() + SEEN;
        loop {
            let index = self.index();
            match index.get(id) {
                Some((now, reason)) if now == state => return reason.clone(),
                now => assert!(Instant::now() < end, "{id} is {now:?}, not {state}: {}", self.server.log()),
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The version that answers a request for inference.
    fn version(&self, path: &str) -> Result<String, Response> {
        let answer = send(self.server.port, &inference(path));
        if answer.status != 200 {
            return Err(answer);
        }
        Ok(answer.json()["model_version"].as_str().unwrap().to_owned())
    }

    fn metrics(&self) -> String {
        self.server.get("/metrics").text()
    }
}

fn inference(path: &str) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let image = STANDARD.encode(plain(20, 20, [200, 30, 90], Png));
    let body = json!({ "inputs": [{ "name": "images", "datatype": "BYTES", "shape": [1], "data": [image] }] });
    post(path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

const INFER: &str = "/v2/models/m/infer";

#[test]
fn the_highest_version_answers_and_what_is_no_version_is_not_there() {
    let served = Served::of(&[1, 2, 10], &[]);
    assert_eq!(served.version(INFER).unwrap(), "10");
    assert_eq!(served.version("/v2/models/m/versions/10/infer").unwrap(), "10");
    assert_eq!(served.server.get("/v2/models/m").json()["versions"], json!(["10"]));
    assert_eq!(served.index().keys().collect::<Vec<_>>(), ["m/10"]);
    for version in ["1", "3", "010", "0", "latest", "..", "10%00"] {
        let answer = served.version(&format!("/v2/models/m/versions/{version}/infer")).unwrap_err();
        assert!([400, 404].contains(&answer.status), "{version}: {answer:?}");
        answer.check_no_leak();
    }
    let image = plain(20, 20, [1, 2, 3], Png);
    for (query, status) in [("", 200), ("?model=m&version=10", 200), ("?version=1", 404), ("?model=x", 404)] {
        assert_eq!(served.server.post(&format!("/score{query}"), "image/png", &image).status, status, "{query}");
    }
    assert!(served.metrics().contains("fovea_images_total{model=\"m\",version=\"10\"} 4"), "{}", served.metrics());
}

#[test]
fn what_is_registered_is_served_and_what_cannot_be_served_changes_nothing() {
    let served = Served::of(&[1], &[]);
    let good = fs::read(fixture("tiny_prepared.onnx")).unwrap();
    let path = served.path();
    // Incomplete: nothing happens.
    fs::create_dir_all(path.join("m/7")).unwrap();
    fs::write(path.join("m/7").join(FILE), &good[..100]).unwrap();
    // Another file than the one that was registered; then no model at all.
    registered::write(path, ("m", 2), &good, &good[..good.len() - 1]).unwrap();
    assert!(served.wait_for("m/2", "UNAVAILABLE").contains("another size"));
    registered::write(path, ("m", 3), b"no model", b"no model").unwrap();
    let reason = served.wait_for("m/3", "UNAVAILABLE");
    assert!(reason.contains("log says why") && !reason.contains('/'), "{reason}");
    registered::write(path, ("m", 4), &good, &[&good[..good.len() - 1], b"x"].concat()).unwrap();
    assert!(served.wait_for("m/4", "UNAVAILABLE").contains("another SHA-256"));
    assert_eq!(served.version(INFER).unwrap(), "1");
    assert_eq!(served.server.get("/v2/health/ready").status, 200);
    assert_eq!(served.server.log().matches("cannot be loaded").count(), 3, "{}", served.server.log());
    // The file is mended.
    fs::write(path.join("m/3").join(FILE), &good).unwrap();
    fs::write(path.join("m/3").join(DESCRIPTION), serde_json::to_vec(&registered::description("m", 3, &good)).unwrap())
        .unwrap();
    served.wait_for("m/3", "READY");
    assert_eq!(served.version(INFER).unwrap(), "3");
    // Back to the version before; another model comes.
    fs::remove_dir_all(path.join("m/3")).unwrap();
    register(path, "other", 1, "tiny_multilabel.onnx");
    served.wait_for("m/1", "READY");
    served.wait_for("other/1", "READY");
    assert_eq!(served.version(INFER).unwrap(), "1");
    assert_eq!(served.version("/v2/models/other/infer").unwrap(), "1");
    // A repository that is gone takes nothing with it.
    fs::remove_dir_all(path).unwrap();
    thread::sleep(Duration::from_secs(5));
    assert_eq!(served.version(INFER).unwrap(), "1");
}

#[test]
fn what_was_refused_and_taken_away_is_looked_at_again_when_it_comes_back() {
    let served = Served::of(&[1], &[]);
    let (place, aside) = (served.path().join("m/2"), served.path().join("m/.aside"));
    let good = fs::read(fixture("tiny_prepared.onnx")).unwrap();
    registered::write(served.path(), ("m", 2), &good, &good[1..]).unwrap();
    let reason = served.wait_for("m/2", "UNAVAILABLE");
    fs::rename(&place, &aside).unwrap();
    let end = Instant::now() + 2 * SEEN;
    while served.index().contains_key("m/2") {
        assert!(Instant::now() < end, "{:?}", served.index());
        thread::sleep(Duration::from_millis(50));
    }
    // The very same files.
    fs::rename(&aside, &place).unwrap();
    assert_eq!(served.wait_for("m/2", "UNAVAILABLE"), reason);
    // The log comes a moment after the index.
    while served.server.log().matches("cannot be loaded").count() < 2 {
        assert!(Instant::now() < end, "{}", served.server.log());
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(served.version(INFER).unwrap(), "1");
}

#[test]
fn clients_load_and_unload_where_the_operator_lets_them() {
    let served = Served::of(&[1], &["--model-control", "explicit"]);
    let path = served.path();
    register(path, "m", 2, "tiny_prepared.onnx");
    thread::sleep(Duration::from_secs(4));
    assert_eq!(served.version(INFER).unwrap(), "1");
    assert_eq!(served.call("/v2/repository/models/m/load").status, 200);
    assert_eq!(served.version(INFER).unwrap(), "2");
    // One that cannot be served: an error, and the one before answers.
    registered::write(path, ("m", 3), b"x", b"x").unwrap();
    let answer = served.call("/v2/repository/models/m/load");
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_model_file"), "{answer:?}");
    answer.check_no_leak();
    assert_eq!(served.version(INFER).unwrap(), "2");
    assert_eq!(served.call("/v2/repository/models/m/unload").status, 200);
    assert_eq!(served.version(INFER).unwrap_err().status, 404);
    assert_eq!(served.server.get("/v2/models/m/ready").status, 404);
    assert_eq!(served.wait_for("m/2", "UNAVAILABLE"), "unloaded");
    fs::remove_dir_all(path.join("m/3")).unwrap();
    let options = json!({ "parameters": { "unload_dependents": true } }).to_string();
    let load = |body: &str| served.server.post("/v2/repository/models/m/load", "application/json", body.as_bytes());
    assert_eq!(load(&options).status, 200);
    assert_eq!(served.version(INFER).unwrap(), "2");
    for body in [r#"{"parameters":{"config":"{}"}}"#, r#"{"parameters":{"file:1/model.onnx":"eA=="}}"#, "[", "5"] {
        assert_eq!(load(body).status, 400, "{body}");
    }
    for name in ["x", "..", "%2e%2e%2fm", ".partial-1", &"m".repeat(300)] {
        for call in ["load", "unload"] {
            let answer = served.call(&format!("/v2/repository/models/{name}/{call}"));
            assert_eq!(answer.status, 404, "{name} {call}: {answer:?}");
            answer.check_no_leak();
        }
    }
}

#[test]
fn clients_change_nothing_where_the_operator_does_not_let_them() {
    let served = Served::of(&[1], &[]);
    for call in ["load", "unload"] {
        let answer = served.call(&format!("/v2/repository/models/m/{call}"));
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{answer:?}");
    }
    assert_eq!(served.version(INFER).unwrap(), "1");
}

#[test]
fn a_file_that_was_named_is_loaded_again_when_a_client_says_so() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("m.onnx");
    fs::copy(fixture("tiny_prepared.onnx"), &file).unwrap();
    let model = format!("m={}", file.display());
    let server = Server::start_from(Server::bare_command(&["--model-control", "explicit"]).args(["--model", &model]));
    let labels = || server.get("/v2/models/m").json()["parameters"]["labels"].as_array().map(Vec::len);
    let load = || server.post("/v2/repository/models/m/load", "application/json", b"").status;
    let before = labels();
    fs::write(&file, b"half of a mod").unwrap();
    assert_eq!(load(), 400);
    assert_eq!(labels(), before);
    fs::copy(fixture("tiny_multilabel.onnx"), &file).unwrap();
    assert_eq!(load(), 200);
    assert_ne!(server.get("/v2/models/m").json()["parameters"]["task"], "image-classification");
}

#[test]
fn versions_share_the_requests_that_name_none() {
    let served = Served::of(&[1, 2, 3], &["--traffic", "m=1:75,2:25,3:0", "--model-control", "none"]);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..200 {
        *counts.entry(served.version(INFER).unwrap()).or_default() += 1;
    }
    let of = |version: &str| counts.get(version).copied().unwrap_or(0);
    assert!(of("1").abs_diff(150) <= 4 && of("2").abs_diff(50) <= 4 && of("3") == 0, "{counts:?}");
    assert_eq!(served.version("/v2/models/m/versions/3/infer").unwrap(), "3");
    assert_eq!(served.server.get("/v2/models/m").json()["versions"], json!(["1", "2", "3"]));
}

#[test]
fn the_answers_of_a_shadow_are_compared_and_sent_to_nobody() {
    let served = Served::of(&[1, 2], &["--shadow", "m=2", "--model-control", "none"]);
    for _ in 0..20 {
        assert_eq!(served.version(INFER).unwrap(), "1");
    }
    let of = |outcome: &str| {
        let line = format!("fovea_shadow_total{{model=\"m\",version=\"2\",outcome=\"{outcome}\"}} ");
        served.metrics().lines().find_map(|text| text.strip_prefix(&line)?.parse::<u32>().ok()).unwrap_or(0)
    };
    let end = Instant::now() + SEEN;
    while of("equal") + of("skipped") < 20 {
        assert!(Instant::now() < end, "{}", served.metrics());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(of("equal") > 0 && of("different") + of("failed") == 0, "{}", served.metrics());
    assert_eq!(served.version("/v2/models/m/versions/2/infer").unwrap(), "2");
}

/// Requests of several clients, one after the other, while `change` runs. How many, and what went wrong with any.
fn under_load(served: &Served, change: impl FnOnce()) -> (usize, BTreeSet<String>, Vec<String>) {
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (seen, failures) = (Mutex::new(BTreeSet::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    asked.fetch_add(1, Ordering::SeqCst);
                    match served.version(INFER) {
                        Ok(version) => drop(seen.lock().unwrap().insert(version)),
                        Err(answer) => failures.lock().unwrap().push(format!("{answer:?}")),
                    }
                }
            });
        }
        change();
        over.store(true, Ordering::SeqCst);
    });
    (asked.load(Ordering::SeqCst), seen.into_inner().unwrap(), failures.into_inner().unwrap())
}

/// `FOVEA_SWAPS` sets how often; docs/testing.md has the long form.
#[test]
fn no_request_fails_while_models_are_swapped_and_memory_stays() {
    let swaps: u64 = env::var("FOVEA_SWAPS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let served = Served::of(&[1], &["--model-control", "explicit"]);
    let swap = |version: u64| {
        register(served.path(), "m", version, "tiny_prepared.onnx");
        assert_eq!(served.call("/v2/repository/models/m/load").status, 200);
        fs::remove_dir_all(served.path().join("m").join((version - 1).to_string())).unwrap();
    };
    // What the first few take stays with the process.
    (2..=5).for_each(swap);
    let before = (served.server.memory(), served.server.descriptors());
    let (asked, seen, failures) = under_load(&served, || (6..6 + swaps).for_each(swap));
    assert!(failures.is_empty(), "{} of {asked}: {:?}", failures.len(), failures.first());
    assert!(asked > 20 && seen.len() > 1, "{asked} requests, answered by {seen:?}");
    assert_eq!(served.version(INFER).unwrap(), (5 + swaps).to_string());
    let end = Instant::now() + SEEN;
    while served.index().len() > 1 {
        assert!(Instant::now() < end, "{:?}", served.index());
        thread::sleep(Duration::from_millis(50));
    }
    let after = (served.server.memory(), served.server.descriptors());
    println!("{swaps} swaps, {asked} requests, memory {before:?} to {after:?}");
    assert!(after.0 <= before.0 + before.0 / 5 + (8 << 20), "memory: {before:?} to {after:?}");
    assert!(after.1 <= before.1 + 4, "descriptors: {before:?} to {after:?}");
}

#[test]
fn it_is_live_before_it_is_ready_and_an_empty_repository_waits() {
    let served = Served::of(&[], &[]);
    assert_eq!(served.server.get("/v2/health/live").status, 200);
    assert_eq!(served.server.get("/v2/health/ready").status, 503);
    assert_eq!(served.version(INFER).unwrap_err().status, 404);
    register(served.path(), "m", 1, "tiny_prepared.onnx");
    served.wait_for("m/1", "READY");
    assert_eq!(served.server.get("/v2/health/ready").status, 200);
    assert_eq!(served.version(INFER).unwrap(), "1");
}

#[test]
fn options_about_versions_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    let repository = folder.path().display().to_string();
    let model = format!("m={}", fixture("tiny_prepared.onnx").display());
    for (options, said) in [
        (vec!["--model-repository", "/no/such/folder"], "cannot be read"),
        (vec!["--model-repository", &repository, "--model-control", "none"], "no model can be served"),
        (vec!["--model", &model, "--traffic", "m=1"], "--model-repository"),
        (vec!["--model-repository", &repository, "--traffic", "m=1:0"], "every share is 0"),
        (vec!["--model-repository", &repository, "--shadow", "m=x"], "no version"),
    ] {
        let output = Server::bare_command(&options).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {log}");
        assert!(log.contains(said), "{options:?}: {log}");
    }
}
