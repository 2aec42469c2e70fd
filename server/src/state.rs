//! State of a server, shared by all routes: models, admission, threads, metrics.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::bail;
use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::registered::is_model_name;
use tokio::sync::oneshot;

use crate::{
    admit::Admission,
    backend::{Job, Predictions, ServedModel},
    catalogue::Catalogue,
    config::{Config, Limits},
    error::ServerError,
    loader::Loader,
    manager::Manager,
    metrics::{Kind, Metrics, ModelMetrics, Reading},
    pool::Pool,
    process, readings,
};

/// Told when the models of the start are loaded, or why one of them is not.
pub type Loaded = oneshot::Receiver<anyhow::Result<()>>;

/// Models, admission, threads and metrics of one server.
pub struct State {
    /// The models; the first answers `/score`.
    pub models: Arc<Catalogue>,
    /// Who gets in.
    pub admission: Admission,
    /// Where blocking work runs.
    pub pool: Pool,
    /// Counts and timings.
    pub metrics: Arc<Metrics>,
    /// Bounds on requests.
    pub limits: Limits,
    /// What changes the models; none where they stay.
    manager: Option<Manager>,
    is_loaded: AtomicBool,
    stopping: AtomicBool,
}

impl State {
    /// A server that loads its models on a thread of its own, and goes on to load them while it serves. What is there at the start is
    /// served when the second part says so; see [`Self::loaded`].
    ///
    /// # Errors
    /// A bad or repeated name, options that contradict each other, or the system refuses a thread.
    pub fn start(config: &Config) -> anyhow::Result<(Self, Loaded)> {
        check(config)?;
        let catalogue = Arc::new(Catalogue::default());
        let (tell, loaded) = oneshot::channel();
        let manager = Manager::start(config.wanted.clone(), Loader::new(config), Arc::clone(&catalogue), tell)?;
        let mut state = Self::around(catalogue, Arc::new(Metrics::default()), config.decode_threads, &config.limits)?;
        state.manager = Some(manager);
        state.is_loaded = AtomicBool::new(false);
        Ok((state, loaded))
    }

    /// Puts a server together around models that are already running, and stay.
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
        Self::around(Arc::new(Catalogue::of(models)), metrics, decode_threads, limits)
    }

    fn around(
        models: Arc<Catalogue>,
        metrics: Arc<Metrics>,
        decode_threads: usize,
        limits: &Limits,
    ) -> anyhow::Result<Self> {
        // Every admitted request may have all its images waiting here.
        let waiting = limits.max_concurrent.saturating_mul(limits.max_images).min(65_536);
        let pool = Pool::new(decode_threads, usize::try_from(waiting).unwrap_or(usize::MAX))?;
        Ok(Self {
            models,
            manager: None,
            admission: Admission::new(limits),
            pool,
            metrics,
            limits: limits.clone(),
            is_loaded: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
        })
    }

    /// From now on the models that are there at the start are loaded.
    pub fn loaded(&self) {
        self.is_loaded.store(true, Ordering::SeqCst);
    }

    /// Loads the newest of a model, on a client's word.
    ///
    /// # Errors
    /// Those of [`Manager::load`].
    pub async fn load(&self, name: &str) -> Result<(), ServerError> {
        self.manager.as_ref().ok_or(ServerError::Forbidden)?.load(name).await
    }

    /// Takes a model from service, on a client's word.
    ///
    /// # Errors
    /// Those of [`Manager::unload`].
    pub async fn unload(&self, name: &str) -> Result<(), ServerError> {
        self.manager.as_ref().ok_or(ServerError::Forbidden)?.unload(name).await
    }

    /// Whether the server wants requests: its models are loaded and have workers, it is not about to stop, and no thread is stuck.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_loaded.load(Ordering::SeqCst)
            && !self.stopping.load(Ordering::SeqCst)
            && self.models.is_ready()
            && self.stuck() == 0
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

    /// Loads nothing more, and ends the models' workers after they have answered what is queued.
    pub fn stop(&self) {
        self.begin_stop();
        if let Some(manager) = &self.manager {
            manager.stop();
        }
        self.models.serving().iter().for_each(|model| model.stop());
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

    /// Metrics in Prometheus' text format.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let serving = self.models.serving();
        let serving: Vec<(String, &ServedModel)> =
            serving.iter().map(|model| (readings::labels_of(&model.description), &**model)).collect();
        let models: Vec<(&str, &ModelMetrics)> =
            serving.iter().map(|(labels, model)| (labels.as_str(), &*model.metrics)).collect();
        let mut readings = vec![Reading {
            kind: Kind::Gauge,
            name: "fovea_ready",
            help: "1 when the server wants requests.",
            values: vec![(String::new(), f64::from(u8::from(self.is_ready())))],
        }];
        readings.extend(readings::of_models(&serving));
        readings.extend([
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
        ]);
        readings.extend(process::readings());
        self.metrics.render(&models, &readings)
    }
}

/// Whether the options about models make sense together.
fn check(config: &Config) -> anyhow::Result<()> {
    let wanted = &config.wanted;
    if wanted.files.is_empty() && wanted.repository.is_none() {
        bail!(
            "no model to serve; name one with --model NAME=model.onnx, or a folder of them with --model-repository DIR"
        );
    }
    let names: Vec<&str> = wanted.files.iter().map(|(name, _)| name.as_str()).collect();
    for (i, name) in names.iter().enumerate() {
        if !is_model_name(name) {
            bail!("model name {name:?}: use 1 to 64 of A-Z a-z 0-9 _ . - and no dot in front");
        }
        if names[..i].contains(name) {
            bail!("model name '{name}' is given twice; a name serves one file");
        }
    }
    if let Some(name) = wanted.traffic.keys().find(|name| names.contains(&name.as_str()) || wanted.repository.is_none())
    {
        bail!("--traffic or --shadow of '{name}': only models of --model-repository have several versions");
    }
    config.settings.check(&names, wanted.repository.is_some())?;
    config.providers.check(&names, wanted.repository.is_some())
}
