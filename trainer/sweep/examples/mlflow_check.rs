//! Logs a study of two trials with known contents to an MLflow server and registers a model.
//! `scripts/oracle/mlflow_server.py` reads all of it back.
//!
//!     cargo run -p sweep --example mlflow_check -- http://HOST:PORT EXPERIMENT TASK FILE.onnx NEW_FOLDER
//!
//! Prints what was made as one line of JSON.

use std::path::Path;

use schemas::Task;
use serde_json::{Value, json};
use sweep::mlflow::{
    Metric, MlflowError, ModelFacts, NewRun, NewVersion, Run, RunStatus, Server, clean_name, model_folder,
};

/// A time in milliseconds: the check compares it, so it is no clock's.
const START_MS: i64 = 1_700_000_000_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, experiment, task, onnx, work] = words.as_slice() else {
        files::console::say(
            "mlflow_check: give the address, the experiment, the task, an ONNX file and a folder to make",
        );
        std::process::exit(2);
    };
    let Ok(task) = task.parse() else {
        files::console::say("mlflow_check: no such task");
        std::process::exit(2);
    };
    let said = match study(address, experiment, (task, Path::new(onnx)), Path::new(work)) {
        Ok(made) => files::console::line(&made.to_string()),
        Err(error) => {
            files::console::say(&format!("mlflow_check: {error}"));
            std::process::exit(1);
        }
    };
    if said.is_err() {
        std::process::exit(1);
    }
}

fn study(address: &str, experiment: &str, (task, onnx): (Task, &Path), work: &Path) -> Result<Value, MlflowError> {
    let server = Server::new(address)?;
    let id = server.experiment(experiment)?;
    let again = server.experiment(experiment)?;
    let labels =
        [("fovea.study".to_owned(), "first study".to_owned()), ("Azure: display name".to_owned(), "ü".repeat(6000))];
    let new =
        |name, parent, tags| NewRun { experiment_id: &id, name, parent, source: "trainer", start_ms: START_MS, tags };
    let parent = server.start_run(&new("study", None, &labels))?;
    let trial = server.start_run(&new("trial 1", Some(&parent.id), &[]))?;
    let failed = server.start_run(&new("trial 2", Some(&parent.id), &[]))?;

    let mut params: Vec<(String, String)> = (0..150).map(|i| (format!("p{i}"), i.to_string())).collect();
    params.push(("long".to_owned(), "ä".repeat(7000)));
    params.push(("empty".to_owned(), String::new()));
    params.push(("größe/мир 猫:1".to_owned(), "name".to_owned()));
    server.log_params(&trial.id, &params)?;
    // The same again is no error.
    server.log_params(&trial.id, &params)?;

    server.log_metrics(&trial.id, &metrics())?;
    server.log_metrics(&trial.id, &metrics())?;
    server.set_tags(&trial.id, &[("fovea.trial".to_owned(), "first study/1".to_owned())])?;
    let found = server.find_run(&id, "fovea.trial", "first study/1")?;
    let missing = server.find_run(&id, "fovea.trial", "first study/9")?;
    let conflict =
        server.log_params(&trial.id, &[("p1".to_owned(), "another".to_owned())]).map_err(|error| error.to_string());

    let mut facts = ModelFacts::whole(task, 3);
    facts.run_id = Some(trial.id.clone());
    facts.metadata.insert("labels".to_owned(), json!(["red", "green", "blue"]).to_string());
    let folder = work.join("model");
    model_folder(onnx, &folder, &facts)?;
    server.upload(&trial, &folder, "model")?;
    server.upload(&parent, &folder.join("MLmodel"), "reports/a b/ü.txt")?;
    let version = NewVersion {
        name: "colours",
        artifact: "model",
        description: "of a check",
        tags: &[("task".to_owned(), "none".to_owned())],
    };
    let first = server.register(&trial, &version)?;
    let second = server.register(&trial, &version)?;

    server.end_run(&failed.id, RunStatus::Failed, START_MS + 1)?;
    server.end_run(&trial.id, RunStatus::Finished, START_MS + 2)?;
    server.end_run(&parent.id, RunStatus::Killed, START_MS + 3)?;
    let id_of = |run: Option<Run>| run.map(|run| run.id);
    Ok(json!({
        "experiment": id,
        "experiment_again": again,
        "parent": parent.id,
        "trial": trial.id,
        "failed": failed.id,
        "artifact_uri": trial.artifact_uri,
        "found": id_of(found),
        "missing": id_of(missing),
        "conflict": conflict.err(),
        "versions": [first.version, second.version],
        "folder": folder,
        "names": { "param": clean_name("größe/мир 猫:1"), "tag": clean_name("Azure: display name"), "metric": clean_name("ap/a:b") },
        "page": server.page_of(&id, &trial),
    }))
}

/// 2500 values of `loss`, and others with what is special.
fn metrics() -> Vec<Metric> {
    let metric = |name: &str, value: f64, step: i64| Metric {
        name: name.to_owned(),
        value,
        step,
        timestamp_ms: START_MS + step,
    };
    let mut metrics: Vec<Metric> =
        (0..2500_i32).map(|step| metric("loss", 1.0 / f64::from(step + 1), i64::from(step))).collect();
    metrics.push(metric("special", f64::NAN, 0));
    metrics.push(metric("special", f64::INFINITY, 1));
    metrics.push(metric("special", f64::NEG_INFINITY, 2));
    metrics.push(metric("special", -0.1, 3));
    metrics.push(metric("ap/a:b", 0.5, 0));
    metrics
}
