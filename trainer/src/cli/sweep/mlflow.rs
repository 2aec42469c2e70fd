//! A study on an MLflow server: a run for it, one below it for each trial, the model as an artifact and, where it was registered here,
//! a version of a registered model there.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use models::weights::CheckpointFile;
use schemas::Task;
use serde_json::Value;
use sweep::mlflow::{Metric, MlflowError, ModelFacts, NewRun, NewVersion, Run, RunStatus, Server, model_folder};
use sweep::study::{State, Study, Trial};

/// Tag by which a run is found again: the folder of the study, and the number of the trial.
const TAG: &str = "fovea.study";
const TRIAL: &str = "fovea.trial";

/// What is logged.
pub struct Logged<'a> {
    /// The study.
    pub study: &'a Study,
    /// Its trials.
    pub trials: &'a [Trial],
    /// Number of the best one.
    pub best: u64,
    /// Its file.
    pub onnx: &'a Path,
    /// Metrics of the file by name and part of the data.
    pub metrics: Vec<(String, f64)>,
    /// Name under which the model is registered.
    pub register: Option<&'a str>,
}

/// Logs a study that is over. What is logged twice, as after a resume, is the same run. Returns the address of its page.
///
/// # Errors
/// When the server cannot be reached, or refuses; what was logged until then stays.
pub fn log(address: &str, logged: &Logged) -> anyhow::Result<String> {
    let server = Server::new(address)?;
    let folder = logged.study.folder().display().to_string();
    let name = logged.study.folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let experiment = server.experiment(&name)?;
    let parent = begin(&server, &experiment, &name, None, (TAG, &folder))?;
    let fixed: Vec<(String, String)> =
        logged.study.plan().fixed.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    server.log_params(&parent.id, &fixed)?;
    let now = now();
    let metrics = logged.metrics.iter().map(|(name, value)| Metric {
        name: name.clone(),
        value: *value,
        step: 0,
        timestamp_ms: now,
    });
    server.log_metrics(&parent.id, &metrics.collect::<Vec<_>>())?;
    for trial in logged.trials {
        let run = one(&server, &experiment, &parent, logged.study, trial)?;
        if trial.number == logged.best {
            model(&server, &run, logged)?;
        }
    }
    server.end_run(&parent.id, RunStatus::Finished, now)?;
    Ok(server.page_of(&experiment, &parent))
}

/// The run with a tag, made where there is none.
fn begin(
    server: &Server,
    experiment: &str,
    name: &str,
    parent: Option<&str>,
    (tag, value): (&str, &str),
) -> Result<Run, MlflowError> {
    if let Some(run) = server.find_run(experiment, tag, value)? {
        return Ok(run);
    }
    let tags = [(tag.to_owned(), value.to_owned())];
    server.start_run(&NewRun {
        experiment_id: experiment,
        name,
        parent,
        source: "trainer",
        start_ms: now(),
        tags: &tags,
    })
}

fn one(server: &Server, experiment: &str, parent: &Run, study: &Study, trial: &Trial) -> Result<Run, MlflowError> {
    let value = format!("{}/{:04}", study.folder().display(), trial.number);
    let run = begin(server, experiment, &format!("trial {}", trial.number), Some(&parent.id), (TRIAL, &value))?;
    let params: Vec<(String, String)> =
        trial.point.values.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    server.log_params(&run.id, &params)?;
    let task = study.plan().fixed.get("task").and_then(Value::as_str).and_then(|task| task.parse::<Task>().ok());
    let metric = task.map_or("metric", |task| task.primary_metric());
    let metrics = trial.reports.iter().map(|(report, seconds)| Metric {
        name: metric.to_owned(),
        value: report.value,
        step: i64::from(report.epoch),
        // The same in every call, so that what is logged again is kept once.
        timestamp_ms: ((trial.started + seconds) * 1000.0) as i64,
    });
    server.log_metrics(&run.id, &metrics.collect::<Vec<_>>())?;
    let status = match trial.state {
        State::Completed | State::Stopped => RunStatus::Finished,
        State::Failed => RunStatus::Failed,
        State::Waiting | State::Running => RunStatus::Killed,
    };
    server.end_run(&run.id, status, now())?;
    Ok(run)
}

/// The model as MLflow loads it.
fn model(server: &Server, run: &Run, logged: &Logged) -> anyhow::Result<()> {
    let checkpoint = CheckpointFile::open(logged.onnx.parent().unwrap_or(Path::new(".")))?;
    let meta = checkpoint.meta();
    let mut facts = ModelFacts::whole(meta.task, meta.labels.len());
    facts.run_id = Some(run.id.clone());
    facts.metadata.insert("labels".to_owned(), Value::from(meta.labels.clone()).to_string());
    let aside = tempfile::tempdir()?;
    let folder = aside.path().join("model");
    model_folder(logged.onnx, &folder, &facts)?;
    server.upload(run, &folder, "model")?;
    if let Some(name) = logged.register {
        let description = format!("the best of the study {}", logged.study.folder().display());
        server.register(run, &NewVersion { name, artifact: "model", description: &description, tags: &[] })?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
