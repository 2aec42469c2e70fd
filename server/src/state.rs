//! State of a server, shared by all routes: models, admission, threads, metrics.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use runtime::Placement;
use schemas::registered::is_model_name;

use crate::{
    admit::Admission,
    backend::{Job, Predictions, ServedModel, Workers},
    config::{Config, Limits},
    error::ServerError,
    metrics::{Kind, Metrics, ModelMetrics, Reading, Total},
    pool::Pool,
    process,
    providers::Source,
};

/// Models, admission, threads and metrics of one server.
pub struct State {
    /// The models, at least one; the first answers `/score`.
    pub models: Vec<ServedModel>,
    /// Who gets in.
    pub admission: Admission,
    /// Where blocking work runs.
    pub pool: Pool,
    /// Counts and timings.
    pub metrics: Arc<Metrics>,
    /// Bounds on requests.
    pub limits: Limits,
    stopping: AtomicBool,
}

impl State {
    /// Opens all models and starts all threads but the HTTP ones.
    ///
    /// # Errors
    /// No model, a bad or repeated name, a file that cannot be opened or run.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let queue = usize::try_from(config.limits.queue).unwrap_or(usize::MAX);
        let batch = usize::try_from(config.limits.max_batch).unwrap_or(usize::MAX);
        let workers = Workers { count: config.workers, queue, batch };
        let options = runtime::Options { intra_threads: config.threads, library: config.library.clone() };
        let names: Vec<&str> = config.models.iter().map(|(name, _)| name.as_str()).collect();
        let wanted = config.providers.wanted(&names, usize::try_from(config.limits.max_batch).unwrap_or(usize::MAX))?;
        let mut models: Vec<ServedModel> = Vec::new();
        for ((name, path), wanted) in config.models.iter().zip(wanted) {
            if !is_model_name(name) {
                bail!("model name {name:?}: use 1 to 64 of A-Z a-z 0-9 _ . - and no dot in front");
            }
            if models.iter().any(|m| m.description.name == *name) {
                bail!("model name '{name}' is given twice; a name serves one file");
            }
            let source = Source { path: path.clone(), options: options.clone(), wanted };
            let model = ServedModel::open(name, source, workers).with_context(|| format!("model '{name}'"))?;
            let about = &model.description;
            tracing::info!(name, form = %about.form, labels = about.meta.labels.len(), provider = %about.running, "model opened");
            models.push(model);
        }
        Self::with_models(models, metrics, config.decode_threads, &config.limits)
    }

    /// Puts a server together around models that are already running.
    ///
    /// # Errors
    /// No model, or the system refuses a thread.
    pub fn with_models(
        models: Vec<ServedModel>,
        metrics: Arc<Metrics>,
        decode_threads: usize,
        limits: &Limits,
    ) -> anyhow::Result<Self> {
        if models.is_empty() {
            bail!("no model to serve; name one with --model NAME=model.onnx");
        }
        // Every admitted request may have all its images waiting here.
        let waiting = limits.max_concurrent.saturating_mul(limits.max_images).min(65_536);
        let pool = Pool::new(decode_threads, usize::try_from(waiting).unwrap_or(usize::MAX))?;
        Ok(Self {
            models,
            admission: Admission::new(limits),
            pool,
            metrics,
            limits: limits.clone(),
            stopping: AtomicBool::new(false),
        })
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`ServerError::UnknownModel`].
    pub fn model(&self, name: &str) -> Result<&ServedModel, ServerError> {
        self.models.iter().find(|m| m.description.name == name).ok_or(ServerError::UnknownModel)
    }

    /// Whether the server wants requests: it is not about to stop, every model has a worker, and no thread of the pool is stuck.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::SeqCst) && self.models.iter().all(ServedModel::is_ready) && self.stuck() == 0
    }

    /// Threads of the pool that have been at one task for so long that they may not come back. Decoding ends itself before.
    #[must_use]
    pub fn stuck(&self) -> usize {
        self.pool.stuck(self.limits.decode_time() * 2)
    }

    /// From now on [`Self::is_ready`] is false; requests are still answered.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Ends the models' workers after they have answered what is queued.
    pub fn stop(&self) {
        self.begin_stop();
        self.models.iter().for_each(ServedModel::stop);
    }

    /// Runs `jobs` and returns the model's predictions, in the same order. A request of many jobs has only
    /// some of them in the model's queue at a time, so that it neither fills the queue nor fails because it cannot.
    ///
    /// # Errors
    /// That of the first job that fails.
    pub async fn infer_all(&self, model: &ServedModel, jobs: Vec<Job>) -> Result<Predictions, ServerError> {
        let share = usize::try_from(self.limits.queue / 4).unwrap_or(usize::MAX).clamp(1, 32);
        let parts = stream::iter(jobs).map(|job| model.infer(job)).buffered(share).try_collect().await?;
        Predictions::concatenate(parts, &model.description)
    }

    /// Values of each model, each with a label besides the model's name.
    fn per_model(&self, values: impl Fn(&ServedModel) -> Vec<(&'static str, String, f64)>) -> Vec<(String, f64)> {
        let of = |model: &ServedModel| {
            let name = model.description.name.clone();
            let label = move |(key, value, n)| (format!("{{model=\"{name}\",{key}=\"{value}\"}}"), n);
            values(model).into_iter().map(label).collect::<Vec<_>>()
        };
        self.models.iter().flat_map(of).collect()
    }

    /// Metrics in Prometheus' text format.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let named = |value: fn(&ServedModel) -> f64| {
            self.models.iter().map(|m| (format!("{{model=\"{}\"}}", m.description.name), value(m))).collect()
        };
        let models: Vec<(&str, &ModelMetrics)> =
            self.models.iter().map(|model| (model.description.name.as_str(), &*model.metrics)).collect();
        let mut readings = vec![
            Reading {
                kind: Kind::Gauge,
                name: "fovea_ready",
                help: "1 when the server wants requests.",
                values: vec![(String::new(), f64::from(u8::from(self.is_ready())))],
            },
            Reading {
                kind: Kind::Gauge,
                name: "fovea_model_ready",
                help: "1 when a worker of the model is there to answer.",
                values: named(|m| f64::from(u8::from(m.is_ready()))),
            },
            Reading {
                kind: Kind::Gauge,
                name: "fovea_queue_jobs",
                help: "Parts of requests waiting for a worker of the model.",
                values: named(|m| m.waiting() as f64),
            },
            Reading {
                kind: Kind::Gauge,
                name: "fovea_model_provider",
                help: "1, with what the model runs on as label.",
                values: self
                    .per_model(|m| vec![("provider", m.description.running.execution.provider.to_string(), 1.0)]),
            },
            Reading {
                kind: Kind::Gauge,
                name: "fovea_model_nodes",
                help: "Nodes of the model's graph that each of ONNX Runtime's providers runs.",
                values: self.per_model(|m| {
                    let nodes = m.description.running.placement.as_ref().map(Placement::nodes).unwrap_or_default();
                    nodes.into_iter().map(|(provider, n)| ("provider", provider, n as f64)).collect()
                }),
            },
            Reading {
                kind: Kind::Counter,
                name: "fovea_batches_total",
                help: "Batches that the model has run, by their size, padding included.",
                values: self.per_model(|m| {
                    let count = |(size, total): (usize, Total)| ("size", size.to_string(), total.count as f64);
                    m.metrics.batches().into_iter().map(count).collect()
                }),
            },
            Reading {
                kind: Kind::Gauge,
                name: "fovea_stuck_threads",
                help: "Decoding threads that have been at one task for more than twice --decode-timeout.",
                values: vec![(String::new(), self.stuck() as f64)],
            },
            Reading {
                kind: Kind::Gauge,
                name: "fovea_memory_reserved_bytes",
                help: "Memory taken by request bodies and decoded images.",
                values: vec![(String::new(), self.admission.budget.used() as f64)],
            },
            Reading {
                kind: Kind::Gauge,
                name: "fovea_build_info",
                help: "1, with the version as label.",
                values: vec![(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0)],
            },
        ];
        readings.extend(process::readings());
        self.metrics.render(&models, &readings)
    }
}
