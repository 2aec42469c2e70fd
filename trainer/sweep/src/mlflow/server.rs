//! Experiments and runs of an MLflow server.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::http::Method;

use super::MlflowError;
use super::http::{Body, Call, Client, Credentials, Repeat, encoded};
use super::limits::{LONGEST_PARAM, LONGEST_TAG, MOST_METRICS, MOST_PARAMS, batches, clean_name, cut, number};

/// An MLflow server (2.0 or later), over its REST API 2.0.
///
/// A server that is down must not end a study: every function gives an error, and the caller decides. A request that may arrive
/// twice is tried three times; one that makes something (a run, a version of a model) is repeated only if it did not leave this
/// machine. A server that cannot be reached costs at most 62 s (10 s a try to find it, 10 s to reach it), one that accepts and
/// says nothing 92 s (30 s a try; files: 15 minutes). So a caller that must not wait logs from a thread of its own, and stops logging after an
/// [`MlflowError::Unreachable`]. The functions take `&self`; threads may share a server.
#[derive(Clone, Debug)]
pub struct Server {
    pub(super) client: Client,
}

/// A run as the server knows it. The caller keeps it to go on after an interruption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its name for the server.
    pub id: String,
    /// Where its artifacts go.
    pub artifact_uri: String,
}

/// A run to be made.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// From [`Server::experiment`].
    pub experiment_id: &'a str,
    /// Name to show; tag `mlflow.runName`.
    pub name: &'a str,
    /// Run of the study, for a trial; tag `mlflow.parentRunId`.
    pub parent: Option<&'a str>,
    /// The program that trains; tag `mlflow.source.name`.
    pub source: &'a str,
    /// Milliseconds since 1970, UTC.
    pub start_ms: i64,
    /// Others, such as the labels of a job.
    pub tags: &'a [(String, String)],
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Any text; [`clean_name`] says how it is logged.
    pub name: String,
    /// NaN and infinities are logged too. MLflow's databases keep infinities as the largest finite numbers.
    pub value: f64,
    /// Epoch, or step.
    pub step: i64,
    /// Milliseconds since 1970, UTC. The same value at the same step and time is kept once by MLflow's databases.
    pub timestamp_ms: i64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// Well; also a trial that early termination ended.
    Finished,
    /// With an error.
    Failed,
    /// By the user, or a limit.
    Killed,
}

impl RunStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

impl Server {
    /// The server at an address (`http://HOST:PORT`, perhaps with a path), with the credentials of the environment:
    /// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, else `MLFLOW_TRACKING_TOKEN`. Asks nothing yet.
    ///
    /// # Errors
    /// An address or credentials that cannot be used; [`dataset::offline`] asked for.
    pub fn new(address: &str) -> Result<Self, MlflowError> {
        let server = Self::with(address, &Credentials::from_environment())?;
        if dataset::offline::is_asked_for() {
            Err(MlflowError::Offline(server.address().to_owned()))
        } else {
            Ok(server)
        }
    }

    pub(super) fn with(address: &str, credentials: &Credentials) -> Result<Self, MlflowError> {
        Ok(Self { client: Client::new(address, credentials)? })
    }

    /// Address, without a slash at its end.
    #[must_use]
    pub fn address(&self) -> &str {
        self.client.base()
    }

    /// Address of a run's page, for people.
    #[must_use]
    pub fn page_of(&self, experiment_id: &str, run: &Run) -> String {
        format!("{}/#/experiments/{}/runs/{}", self.client.base(), encoded(experiment_id), encoded(&run.id))
    }

    /// Number of the experiment of this name, which is made where there is none.
    ///
    /// # Errors
    /// A deleted experiment of this name, a refusal, or no server.
    pub fn experiment(&self, name: &str) -> Result<String, MlflowError> {
        let what = format!("find or create the experiment `{name}`");
        if let Some(id) = self.find_experiment(name, &what)? {
            return Ok(id);
        }
        match self.post(&what, "experiments/create", &json!({ "name": name }), Repeat::Harmless) {
            Ok(answer) => self.text(&what, &answer, "/experiment_id"),
            // Another program made it in between, or the first try of this one.
            Err(error) if error.is_refusal("RESOURCE_ALREADY_EXISTS") => {
                self.find_experiment(name, &what)?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn find_experiment(&self, name: &str, what: &str) -> Result<Option<String>, MlflowError> {
        match self.get(what, &format!("experiments/get-by-name?experiment_name={}", encoded(name))) {
            Ok(answer) => {
                if answer.pointer("/experiment/lifecycle_stage").and_then(Value::as_str) == Some("deleted") {
                    return Err(MlflowError::DeletedExperiment { name: name.to_owned() });
                }
                self.text(what, &answer, "/experiment/experiment_id").map(Some)
            }
            Err(error) if error.is_refusal("RESOURCE_DOES_NOT_EXIST") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a run, which counts as running until [`end_run`](Self::end_run). A request whose answer is lost may have made one:
    /// give each run a tag of its own and ask [`find_run`](Self::find_run) first where that matters.
    ///
    /// # Errors
    /// A refusal, or no server.
    pub fn start_run(&self, new: &NewRun) -> Result<Run, MlflowError> {
        let what = format!("create the run `{}`", new.name);
        let mut tags = vec![
            tag("mlflow.runName", new.name),
            tag("mlflow.source.name", new.source),
            tag("mlflow.source.type", "LOCAL"),
        ];
        tags.extend(new.parent.map(|parent| tag("mlflow.parentRunId", parent)));
        tags.extend(new.tags.iter().map(|(name, value)| tag(name, value)));
        let body = json!({ "experiment_id": new.experiment_id, "start_time": new.start_ms, "tags": tags });
        let answer = self.post(&what, "runs/create", &body, Repeat::Unsent)?;
        self.run_in(&what, &answer, "/run/info")
    }

    /// The newest run of an experiment with this tag, if there is one.
    ///
    /// # Errors
    /// A name or value with a quotation mark, which MLflow's filters cannot hold; a refusal, or no server.
    pub fn find_run(&self, experiment_id: &str, name: &str, value: &str) -> Result<Option<Run>, MlflowError> {
        if name.contains(['`', '"', '\'']) || value.contains(['`', '"', '\'']) {
            let name = format!("{name} = {value}");
            return Err(MlflowError::Name { what: "tag", name, why: "it has a quotation mark" });
        }
        let what = format!("find the run with {name} = {value}");
        let filter = format!("tags.`{}` = '{value}'", clean_name(name));
        let body = json!({
            "experiment_ids": [experiment_id],
            "filter": filter,
            "max_results": 1,
            "order_by": ["attributes.start_time DESC"],
        });
        let answer = self.post(&what, "runs/search", &body, Repeat::Harmless)?;
        if answer.pointer("/runs/0").is_none() {
            return Ok(None);
        }
        self.run_in(&what, &answer, "/runs/0/info").map(Some)
    }

    /// Logs parameters. A value has at most 6000 characters; what is longer is cut. MLflow does not let a parameter change: the
    /// same value again is well, another is refused.
    ///
    /// # Errors
    /// A refusal, or no server.
    pub fn log_params(&self, run_id: &str, params: &[(String, String)]) -> Result<(), MlflowError> {
        let entries =
            params.iter().map(|(name, value)| json!({ "key": clean_name(name), "value": cut(value, LONGEST_PARAM) }));
        self.log(run_id, "params", batches(entries, MOST_PARAMS))
    }

    /// Logs values of metrics, any number, in their order.
    ///
    /// # Errors
    /// A refusal, or no server; the first batches of 1000 may have been logged by then, and may be logged again.
    pub fn log_metrics(&self, run_id: &str, metrics: &[Metric]) -> Result<(), MlflowError> {
        let entries = metrics.iter().map(|metric| {
            json!({
                "key": clean_name(&metric.name),
                "value": number(metric.value),
                "timestamp": metric.timestamp_ms,
                "step": metric.step,
            })
        });
        self.log(run_id, "metrics", batches(entries, MOST_METRICS))
    }

    /// Sets tags; a tag that is there gets the new value. A value has at most 5000 characters; what is longer is cut.
    ///
    /// # Errors
    /// A refusal, or no server.
    pub fn set_tags(&self, run_id: &str, tags: &[(String, String)]) -> Result<(), MlflowError> {
        let entries = tags.iter().map(|(name, value)| tag(name, value));
        self.log(run_id, "tags", batches(entries, MOST_PARAMS))
    }

    /// Ends a run, at a time in milliseconds since 1970, UTC. May be called again, with another status too.
    ///
    /// # Errors
    /// A refusal, or no server.
    pub fn end_run(&self, run_id: &str, status: RunStatus, end_ms: i64) -> Result<(), MlflowError> {
        let body = json!({ "run_id": run_id, "status": status.as_str(), "end_time": end_ms });
        self.post(&format!("end the run {run_id}"), "runs/update", &body, Repeat::Harmless).map(drop)
    }

    fn log(&self, run_id: &str, kind: &str, batches: Vec<Vec<Value>>) -> Result<(), MlflowError> {
        for batch in batches {
            let body = json!({ "run_id": run_id, kind: batch });
            self.post(&format!("log {kind} of the run {run_id}"), "runs/log-batch", &body, Repeat::Harmless)?;
        }
        Ok(())
    }

    pub(super) fn get(&self, what: &str, path: &str) -> Result<Value, MlflowError> {
        let path = format!("mlflow/{path}");
        self.client.call(&Call { what, method: Method::GET, path, body: Body::Nothing, repeat: Repeat::Harmless })
    }

    pub(super) fn post(&self, what: &str, path: &str, body: &Value, repeat: Repeat) -> Result<Value, MlflowError> {
        let path = format!("mlflow/{path}");
        self.client.call(&Call { what, method: Method::POST, path, body: Body::Json(body), repeat })
    }

    /// A text in an answer. Numbers count: the servers do not agree which of the two an ID is.
    pub(super) fn text(&self, what: &str, answer: &Value, pointer: &str) -> Result<String, MlflowError> {
        match answer.pointer(pointer) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            _ => Err(MlflowError::Answer {
                place: format!("cannot {what} at {}", self.client.base()),
                why: format!("the answer has no `{}`", pointer.trim_start_matches('/').replace('/', ".")),
            }),
        }
    }

    fn run_in(&self, what: &str, answer: &Value, pointer: &str) -> Result<Run, MlflowError> {
        let id = self.text(what, answer, &format!("{pointer}/run_id"))?;
        let artifact_uri = self.text(what, answer, &format!("{pointer}/artifact_uri"))?;
        Ok(Run { id, artifact_uri })
    }
}

fn tag(name: &str, value: &str) -> Value {
    json!({ "key": clean_name(name), "value": cut(value, LONGEST_TAG) })
}
