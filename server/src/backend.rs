//! A served model: a bounded queue of jobs and the worker threads that own its sessions.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use crossbeam_channel::{Sender, bounded};
use ndarray::{Array2, Array4, Axis, concatenate};
use runtime::{Form, Outputs, RuntimeError};
use schemas::{
    CheckpointMeta, Labels, Settings,
    prediction::{Detection, Thresholds},
};
use tokio::sync::oneshot;

use crate::{
    admit::{Permit, Reservation},
    busy::Busy,
    error::ServerError,
    metrics::{ModelMetrics, Stage, Timings},
    pool::panic_text,
    providers::{Running, Source},
    queue::{Most, Queue, Queued, Refused, Taken},
    request::{Overrides, RequestOptions},
    settings::Chosen,
};

/// A batch as a model takes it. Whatever is in it is run together, so its images share one size and its thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// uint8 RGB `[n, h, w, 3]`.
    pub images: Array4<u8>,
    /// Height and width of each original image in pixels; for `prepared` detectors only.
    pub sizes: Option<Vec<[i64; 2]>>,
    /// A detector's thresholds where they are not its own.
    pub thresholds: Thresholds<Option<f32>>,
}

impl Batch {
    /// Images.
    #[must_use]
    pub fn count(&self) -> usize {
        self.images.dim().0
    }

    /// Black images as this model takes them.
    fn blank(description: &Description, n: usize) -> Self {
        let side = description.meta.preprocessing.side();
        let sizes = description.takes_sizes().then(|| vec![[i64::from(side); 2]; n]);
        let side = side as usize;
        Self { images: Array4::zeros((n, side, side, 3)), sizes, thresholds: Thresholds::default() }
    }
}

/// Predictions about the images of a batch, or of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// Of a classifier: probabilities `[n, labels]`.
    Probabilities(Array2<f32>),
    /// Of a detector: the objects in each image, best first, in its pixels.
    Boxes(Vec<Vec<Detection>>),
}

impl Predictions {
    /// About no image at all.
    #[must_use]
    pub fn none(description: &Description) -> Self {
        match description.outputs {
            Outputs::Probabilities => Self::Probabilities(Array2::zeros((0, description.meta.labels.len()))),
            Outputs::Boxes | Outputs::Masks => Self::Boxes(Vec::new()),
        }
    }

    /// Whether they are about `n` images, in these labels, and all its numbers are finite.
    #[must_use]
    pub fn is_sound(&self, n: usize, labels: usize) -> bool {
        match self {
            Self::Probabilities(rows) => rows.dim() == (n, labels) && rows.iter().all(|p| p.is_finite()),
            Self::Boxes(images) => {
                let sound = |one: &Detection| {
                    let mask = one.mask.as_ref().is_none_or(|mask| mask.values().iter().all(|p| p.is_finite()));
                    mask && one.label < labels && one.score.is_finite() && one.corners.iter().all(|at| at.is_finite())
                };
                images.len() == n && images.iter().flatten().all(sound)
            }
        }
    }

    /// The predictions about the parts of one request, in their order.
    ///
    /// # Errors
    /// [`ServerError::Internal`] when they are not of one kind.
    pub fn concatenate(parts: Vec<Self>, description: &Description) -> Result<Self, ServerError> {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else {
            return Ok(Self::none(description));
        };
        for part in parts {
            match (&mut all, part) {
                (Self::Probabilities(all), Self::Probabilities(part)) => {
                    *all = concatenate(Axis(0), &[all.view(), part.view()]).map_err(|_| ServerError::Internal)?;
                }
                (Self::Boxes(all), Self::Boxes(part)) => all.extend(part),
                (Self::Probabilities(_), Self::Boxes(_)) | (Self::Boxes(_), Self::Probabilities(_)) => {
                    return Err(ServerError::Internal);
                }
            }
        }
        Ok(all)
    }
}

/// What runs a batch. One value belongs to one worker thread.
pub trait Backend: Send {
    /// The model's predictions about each image.
    ///
    /// # Errors
    /// [`RuntimeError::Input`] is reported to the client, anything else is the model's failure.
    fn run(&mut self, batch: &Batch) -> Result<Predictions, RuntimeError>;
}

impl Backend for runtime::Model {
    fn run(&mut self, batch: &Batch) -> Result<Predictions, RuntimeError> {
        let images = batch.images.view();
        match self.outputs() {
            Outputs::Probabilities => Self::run(self, images).map(Predictions::Probabilities),
            Outputs::Boxes | Outputs::Masks => {
                self.detect(images, batch.sizes.as_deref(), &batch.thresholds).map(Predictions::Boxes)
            }
        }
    }
}

/// Makes a worker's backend, at start and again after a panic.
pub type Open = Box<dyn Fn() -> anyhow::Result<Box<dyn Backend>> + Send + Sync>;

/// Name and version of a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The name it is served under.
    pub name: String,
    /// Its version, from 1.
    pub version: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' version {}", self.name, self.version)
    }
}

/// What a model says about itself.
#[derive(Clone, Debug)]
pub struct Description {
    /// The name it is served under.
    pub name: String,
    /// Its version, from 1.
    pub version: u64,
    /// The file's metadata.
    pub meta: CheckpointMeta,
    /// What its predictions are.
    pub outputs: Outputs,
    /// How much of the preprocessing the file does.
    pub form: Form,
    /// `[N, H, W, 3]`, -1 where any length is accepted.
    pub input_shape: [i64; 4],
    /// The model's thresholds and tiles, or the sizes of its images, those of the operator's choice among them: what holds unless a
    /// request says otherwise.
    pub settings: Settings,
    /// What the operator has said of them, and of how is answered.
    pub overrides: Overrides,
    /// How it is run.
    pub running: Running,
}

impl Description {
    fn new(id: &Id, model: &runtime::Model, running: Running) -> anyhow::Result<Self> {
        ensure!(
            !model.has_pixels(),
            "the file pastes the pixels of all objects, also for requests that do not ask for them, and the server does so \
             itself; export it again without --masks full"
        );
        let meta = model.meta().clone();
        let outputs = model.outputs();
        let settings = match outputs {
            Outputs::Probabilities => {
                let mut settings = Settings::default();
                if let Some((resize, crop)) = meta.preprocessing.crop() {
                    (settings.valid_resize_size, settings.valid_crop_size) = (resize, crop);
                }
                settings
            }
            Outputs::Boxes | Outputs::Masks => {
                Settings::try_from(meta.settings.clone()).context("the settings in the file's metadata")?
            }
        };
        let (form, input_shape) = (model.form(), model.input_shape());
        let Id { name, version } = id.clone();
        let overrides = Overrides::default();
        Ok(Self { name, version, meta, outputs, form, input_shape, settings, overrides, running })
    }

    /// The same with what the operator says of the model's settings.
    fn with(mut self, chosen: &Chosen) -> anyhow::Result<Self> {
        let overrides = chosen.model.clone().over(&chosen.all.clone().concerning(&self));
        self.meta.preprocessing.fit = RequestOptions::of(&overrides, &self).context("--set")?.fit;
        overrides.options.apply(&mut self.settings)?;
        self.overrides = overrides;
        Ok(self)
    }

    /// The probability above which a label of a set is meant: the file's, or the usual one of files that do not say.
    #[must_use]
    pub fn label_threshold(&self) -> Option<f64> {
        match self.meta.task.labels() {
            Labels::Classes => {
                let own = self.meta.settings.get("label_threshold").and_then(serde_json::Value::as_f64);
                Some(own.unwrap_or(Settings::default().label_threshold))
            }
            Labels::Class | Labels::Boxes | Labels::Outlines => None,
        }
    }

    /// Most images of several requests that are run at once where a batch may have `batch` of them, at least one.
    #[must_use]
    pub fn at_once(&self, batch: usize) -> usize {
        match self.outputs {
            Outputs::Probabilities | Outputs::Boxes => batch.max(1),
            // Each takes hundreds of megabytes inside of ONNX Runtime, which nobody counts.
            Outputs::Masks => 1,
        }
    }

    /// Whether the model's file declares that it takes images of this shape, `[n, h, w, 3]`.
    #[must_use]
    pub fn takes(&self, shape: &[usize]) -> bool {
        let fits = |(&given, wanted): (&usize, i64)| wanted < 0 || i64::try_from(given) == Ok(wanted);
        shape.len() == self.input_shape.len() && shape.iter().zip(self.input_shape).all(fits)
    }

    /// Whether the model needs the sizes of the original images.
    #[must_use]
    pub fn takes_sizes(&self) -> bool {
        match (self.outputs, self.form) {
            (Outputs::Boxes | Outputs::Masks, Form::Prepared) => true,
            (Outputs::Boxes | Outputs::Masks, Form::Whole) | (Outputs::Probabilities, Form::Whole | Form::Prepared) => {
                false
            }
        }
    }
}

/// One batch for a model, with all that it holds until it is answered.
pub struct Job {
    /// The batch.
    pub batch: Batch,
    /// The request's stage times.
    pub timings: Arc<Timings>,
    /// The images' share of the memory budget.
    pub reservation: Option<Reservation>,
    /// The request's permit; none of a question that no client waits for.
    pub permit: Option<Permit>,
}

/// How many workers a model gets and what may wait for them.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// Worker threads, each with a backend of its own; at least one.
    pub count: usize,
    /// Most jobs that wait.
    pub queue: usize,
    /// Most images that are run at once.
    pub batch: usize,
    /// Longest time that a batch may take before the model is taken for stuck.
    pub longest: Duration,
}

/// A model being served. [`Self::stop`], or dropping it, answers what is queued and joins the workers.
pub struct ServedModel {
    /// What it says about itself.
    pub description: Description,
    /// Its counts and timings.
    pub metrics: Arc<ModelMetrics>,
    queue: Arc<Queue>,
    alive: Arc<AtomicUsize>,
    /// What each worker is doing.
    busy: Vec<Arc<Busy>>,
    longest: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ServedModel {
    /// Opens the model file once per worker and runs blank images through each, so that a model that cannot run is an error now
    /// and not at the first request.
    ///
    /// # Errors
    /// What opening or running says.
    pub fn open(id: &Id, source: Source, workers: Workers, chosen: &Chosen) -> anyhow::Result<Self> {
        let (mut first, running) = source.open()?;
        let mut description = Description::new(id, &first, running)?.with(chosen)?;
        let blank = Batch::blank(&description, 1);
        description.running.ask(&mut first, &blank.images, blank.sizes.as_deref())?;
        let first = Mutex::new(Some(first));
        let open: Open = Box::new(move || {
            let opened = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(Box::new(match opened {
                Some(model) => model,
                None => source.open()?.0,
            }))
        });
        Self::start(description, open, workers)
    }

    /// Starts workers around any backend.
    ///
    /// # Errors
    /// When `open` fails, a blank image cannot be run, or the system refuses a thread.
    pub fn start(description: Description, open: Open, workers: Workers) -> anyhow::Result<Self> {
        let queue = Arc::new(Queue::new(workers.queue));
        let alive = Arc::new(AtomicUsize::new(0));
        let metrics = Arc::new(ModelMetrics::default());
        let open = Arc::new(open);
        let (mut threads, mut busy) = (Vec::new(), Vec::new());
        for i in 0..workers.count.max(1) {
            busy.push(Arc::new(Busy::new()));
            let worker = Worker {
                busy: Arc::clone(&busy[i]),
                backend: open()?,
                open: Arc::clone(&open),
                labels: description.meta.labels.len(),
                running: description.running.clone(),
                queue: Arc::clone(&queue),
                most: Most { images: description.at_once(workers.batch), bytes: description.running.bytes_at_once() },
                alive: Arc::clone(&alive),
                metrics: Arc::clone(&metrics),
            };
            alive.fetch_add(1, Ordering::SeqCst);
            let (tell, told) = bounded(1);
            let about = description.clone();
            let thread = thread::Builder::new().name(format!("run-{}-{i}", description.name));
            threads.push(thread.spawn(move || worker.begin(&about, &tell))?);
            let warm = told.recv().context("the worker ended")?;
            warm.context("the model does not run on blank images")?;
        }
        Ok(Self { description, metrics, queue, alive, busy, longest: workers.longest, threads: Mutex::new(threads) })
    }

    /// Whether a worker is there to answer, and none is stuck.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.alive.load(Ordering::SeqCst) > 0 && !self.queue.is_closed() && self.stuck() == 0
    }

    /// Workers that have been at one batch for so long that they may not come back.
    #[must_use]
    pub fn stuck(&self) -> usize {
        self.busy.iter().filter(|busy| busy.is_stuck(self.longest)).count()
    }

    /// Workers that are there to answer, each with a session of its own.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    /// Jobs waiting now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// What the model says about a batch; every number is finite. When the returned future is dropped while the job still waits,
    /// the job is not run.
    ///
    /// # Errors
    /// [`ServerError::Overloaded`] at once when the queue is full, [`ServerError::Request`] when the images do not fit the
    /// model, [`ServerError::Model`] when it fails, [`ServerError::NotReady`] when no worker is left.
    pub async fn infer(&self, job: Job) -> Result<Predictions, ServerError> {
        let (reply, answer) = oneshot::channel();
        match self.queue.push(Queued { job, since: Instant::now(), reply }) {
            Ok(()) => answer.await.unwrap_or(Err(ServerError::NotReady)),
            Err(Refused::Full) => Err(ServerError::Overloaded { what: "the model's queue" }),
            Err(Refused::Closed) => Err(ServerError::NotReady),
        }
    }

    /// Takes no more jobs, answers those that wait, and joins the workers.
    pub fn stop(&self) {
        self.queue.close();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A worker catches its jobs' panics, so it ends only because the queue has.
            let _ = thread.join();
        }
    }
}

impl Drop for ServedModel {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs one image; and a batch of every size that batches are padded to, for each of which a card chooses its kernels.
fn warm_up(backend: &mut dyn Backend, description: &Description) -> anyhow::Result<()> {
    let padded = description.running.batch_sizes();
    let sizes = if padded.is_empty() { vec![1] } else { padded };
    for n in sizes {
        let answer = backend.run(&Batch::blank(description, n)).with_context(|| format!("a batch of {n}"))?;
        let sound = answer.is_sound(n, description.meta.labels.len());
        ensure!(sound, "its answer has a wrong shape or values that are no numbers");
    }
    Ok(())
}

struct Worker {
    backend: Box<dyn Backend>,
    open: Arc<Open>,
    labels: usize,
    running: Running,
    queue: Arc<Queue>,
    /// Most that is run at once of several jobs.
    most: Most,
    alive: Arc<AtomicUsize>,
    metrics: Arc<ModelMetrics>,
    busy: Arc<Busy>,
}

impl Worker {
    /// Warms up, tells how that went, and works. On the thread that will do the work, because what a card records and keeps
    /// belongs to the thread.
    fn begin(mut self, description: &Description, tell: &Sender<anyhow::Result<()>>) {
        let warm = warm_up(&mut *self.backend, description);
        let is_warm = warm.is_ok();
        if tell.send(warm).is_ok() && is_warm {
            self.work();
        }
    }

    fn work(mut self) {
        loop {
            let Taken { jobs, skipped } = self.queue.take(self.most);
            self.metrics.count_skipped(skipped);
            if jobs.is_empty() && skipped == 0 {
                break;
            }
            jobs.iter().for_each(|queued| queued.job.timings.add(Stage::Queue, queued.since.elapsed()));
            if !self.answer(jobs) {
                break;
            }
        }
        // With the last worker goes everybody who waits for it.
        if self.alive.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.queue.abandon();
        }
    }

    /// Runs jobs as one batch. If that fails, each is run alone, so that one bad image fails for its own request only. Whether the
    /// worker can go on.
    fn answer(&mut self, jobs: Vec<Queued>) -> bool {
        if jobs.len() > 1 {
            let batches: Vec<&Batch> = jobs.iter().map(|queued| &queued.job.batch).collect();
            let counts: Vec<usize> = batches.iter().map(|batch| batch.count()).collect();
            let timings: Vec<&Timings> = jobs.iter().map(|queued| &*queued.job.timings).collect();
            let together = Batch::joined(&batches).ok_or(ServerError::Internal);
            let ran = together.and_then(|batch| self.run(&batch, &timings)).and_then(|all| all.split(&counts));
            match ran {
                Ok(parts) => {
                    for (Queued { job, reply, .. }, part) in jobs.into_iter().zip(parts) {
                        // What the request held is free before its answer is written.
                        drop(job);
                        let _ = reply.send(Ok(part));
                    }
                    return true;
                }
                Err(ServerError::Internal) if !self.reopen() => return false,
                Err(_) => {}
            }
        }
        for Queued { job, reply, .. } in jobs {
            let result = self.run(&job.batch, &[&job.timings]);
            let panicked = matches!(result, Err(ServerError::Internal));
            drop(job);
            let _ = reply.send(result);
            if panicked && !self.reopen() {
                return false;
            }
        }
        true
    }

    /// Runs a batch, and adds the time to each of its requests.
    fn run(&mut self, batch: &Batch, timings: &[&Timings]) -> Result<Predictions, ServerError> {
        let n = batch.count();
        let backend = &mut self.backend;
        let start = Instant::now();
        let ran = self.busy.with(|| catch_unwind(AssertUnwindSafe(|| backend.run(batch))));
        let time = start.elapsed();
        timings.iter().for_each(|timings| timings.add(Stage::Run, time));
        match ran {
            Ok(Ok(answer)) if !answer.is_sound(n, self.labels) => {
                tracing::error!(n, "the model's answer has a wrong shape or values that are no numbers");
                Err(ServerError::Model)
            }
            Ok(Ok(answer)) => {
                self.metrics.count_batch(n, self.running.batch_size(n), time);
                Ok(answer)
            }
            Ok(Err(error @ RuntimeError::Input { .. })) => Err(ServerError::Request(error.to_string())),
            Ok(Err(error)) => {
                tracing::error!(%error, "the model failed");
                Err(ServerError::Model)
            }
            Err(panic) => {
                tracing::error!(reason = panic_text(&*panic), "the model panicked");
                Err(ServerError::Internal)
            }
        }
    }

    /// A backend that has panicked may be in any state; a new one takes its place.
    fn reopen(&mut self) -> bool {
        match catch_unwind(AssertUnwindSafe(|| (self.open)())) {
            Ok(Ok(backend)) => {
                self.backend = backend;
                true
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the model cannot be opened again; its worker ends");
                false
            }
            Err(panic) => {
                tracing::error!(reason = panic_text(&*panic), "opening the model panicked; its worker ends");
                false
            }
        }
    }
}
