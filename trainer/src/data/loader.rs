//! Batches, made by worker threads and delivered in order.
//!
//! What is in a batch depends on the data, the seed, the epoch and the batch's number, never on the number of workers or
//! their timing: every sample draws from its own random stream and goes to its own place. Workers live as long as the
//! loader. At most `(prefetch + 1) * batch_size` finished views wait at any time.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use models::host::{Resizer, Rgb};
use schemas::{Fit, Preprocessing};

use super::augment::{Augmentation, View};
use super::dataset::{Images, SampleError};
use super::error::DataError;
use super::reject::{RejectKind, Rejection};
use super::rng::KeyedRng;
use super::sampler::{Batches, epoch_order};

/// How a loader works.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Worker threads; 0 makes everything in the caller's thread. See [`default_workers`].
    pub workers: usize,
    /// Samples in a batch, at least 1.
    pub batch_size: usize,
    /// Batches made ahead of the caller.
    pub prefetch: usize,
    /// Bytes of finished evaluation views that may be kept, all or none.
    pub cache_bytes: u64,
    /// Leave samples out whose picture turns out to be bad (true), or fail on the first (false).
    pub ignore_data_errors: bool,
    /// How evaluation prepares a picture; its filter is used in training too.
    pub preprocessing: Preprocessing,
    /// Side of a training view, in pixels, at least 1.
    pub train_crop: u32,
    /// Random training views. Without it, training sees a picture as evaluation does, cut to `train_crop`.
    pub augmentation: Option<Augmentation>,
}

/// `setting` threads, but no more than the machine has cores: more only take turns.
pub fn default_workers(setting: usize) -> usize {
    setting.min(std::thread::available_parallelism().map_or(1, usize::from))
}

/// Some samples, ready for the network. The buffer goes back to the loader when the batch is dropped.
#[derive(Debug)]
pub struct Batch {
    /// `[n, height, width, 3]` values, RGB, 0 to 255, not normalised.
    pub images: Vec<u8>,
    /// Samples.
    pub n: usize,
    /// Rows of an image.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Class of each sample.
    pub targets: Vec<i64>,
    /// Index of each sample in the data set.
    pub indices: Vec<usize>,
    /// How long the caller had to wait for this batch.
    pub wait: Duration,
    home: Sender<Vec<u8>>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        // A full or closed pool just lets the buffer go.
        let _ = self.home.try_send(std::mem::take(&mut self.images));
    }
}

/// Which views a pass over the data makes.
enum Pass {
    Train { order: Vec<u32>, seed: u64, epoch: u32 },
    Eval,
}

struct Finished {
    index: usize,
    side: u32,
    data: Vec<u8>,
}

/// `None`: the sample is left out.
type Made = Result<Option<Finished>, DataError>;
/// A position of the pass and what was made for it.
type Reply = (usize, Made);
/// One kept evaluation view.
type Slot = OnceLock<Box<[u8]>>;

struct Job {
    pass: Arc<Pass>,
    position: usize,
    cancelled: Arc<AtomicBool>,
    reply: Sender<Reply>,
}

struct Bad {
    kind: RejectKind,
    reason: String,
    told: bool,
}

/// What the workers share.
struct Shared {
    images: Arc<dyn Images>,
    options: LoaderOptions,
    /// Finished evaluation views, allotted when the first evaluation begins.
    finished: OnceLock<Option<Vec<Slot>>>,
    /// Samples found bad; the flag says whether the caller was told.
    bad: Mutex<BTreeMap<usize, Bad>>,
    any_bad: AtomicBool,
}

/// Makes batches of one data set.
pub struct Loader {
    shared: Arc<Shared>,
    jobs: Option<Sender<Job>>,
    workers: Vec<JoinHandle<()>>,
    spare: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
}

impl Loader {
    /// Starts the workers.
    ///
    /// # Errors
    /// A setting out of range, or a thread that cannot be started.
    pub fn new(images: Arc<dyn Images>, options: LoaderOptions) -> Result<Self, DataError> {
        let setting = |name, value: String, limit| Err(DataError::Setting { name, value, limit });
        if options.batch_size == 0 {
            return setting("batch size", "0".to_owned(), "it must be at least 1");
        }
        if options.train_crop == 0 || options.preprocessing.side() == 0 {
            return setting("crop size", "0".to_owned(), "it must be at least 1 pixel");
        }
        if let Some(Err(message)) = options.augmentation.as_ref().map(Augmentation::validate) {
            return setting("augmentation", message, "see its range");
        }
        let buffers = bounded(options.prefetch + 2);
        let workers = options.workers;
        let shared = Arc::new(Shared {
            images,
            options,
            finished: OnceLock::new(),
            bad: Mutex::new(BTreeMap::new()),
            any_bad: AtomicBool::new(false),
        });
        // Unbounded, because each pass limits what it has under way.
        let (jobs, queue) = unbounded::<Job>();
        let mut loader = Self { shared, jobs: Some(jobs), workers: Vec::new(), spare: buffers };
        for number in 0..workers {
            let (shared, queue) = (Arc::clone(&loader.shared), queue.clone());
            let thread =
                std::thread::Builder::new().name(format!("loader {number}")).spawn(move || work(&shared, &queue));
            loader.workers.push(thread.map_err(|e| DataError::io("start", "a loader thread".as_ref(), e))?);
        }
        Ok(loader)
    }

    /// Samples of the data set.
    pub fn images_per_epoch(&self) -> usize {
        self.shared.images.len()
    }

    /// Batches of a training epoch; [`Self::train_epoch`] from batch 0 yields exactly so many.
    pub fn batches_per_epoch(&self) -> usize {
        self.training().count()
    }

    /// The data set.
    pub fn images(&self) -> &Arc<dyn Images> {
        &self.shared.images
    }

    fn training(&self) -> Batches {
        Batches::training(self.shared.images.len(), self.shared.options.batch_size)
    }

    /// The batches of a training epoch, from number `first` on; they are the same whether or not those before were made. A
    /// sample whose picture turns out to be bad is replaced by the next good one in the epoch's order, so that the number
    /// and the sizes of the batches never change.
    pub fn train_epoch(&self, seed: u64, epoch: u32, first: usize) -> Epoch<'_> {
        let order = epoch_order(self.shared.images.len(), seed, epoch);
        Epoch::new(self, Pass::Train { order, seed, epoch }, self.training(), first)
    }

    /// Every sample once, in order, prepared as for serving. A sample whose picture turns out to be bad is left out.
    pub fn eval(&self) -> Epoch<'_> {
        let batches = Batches::evaluation(self.shared.images.len(), self.shared.options.batch_size);
        Epoch::new(self, Pass::Eval, batches, 0)
    }

    /// Samples found bad since the last call, by index. Each is reported once.
    pub fn take_rejections(&self) -> Vec<Rejection> {
        let mut bad = self.shared.lock_bad();
        let new = bad.iter_mut().filter_map(|(&index, bad)| {
            let told = std::mem::replace(&mut bad.told, true);
            (!told).then(|| self.shared.images.rejection(index, bad.kind, bad.reason.clone()))
        });
        new.collect()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // Workers catch the panics of what they run; there is nobody to tell of another one.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, queue: &Receiver<Job>) {
    let mut resizer = Resizer::default();
    for job in queue {
        if job.cancelled.load(Ordering::Relaxed) {
            continue;
        }
        let made = shared.make(&job.pass, job.position, &mut resizer);
        // The pass may have been dropped meanwhile.
        let _ = job.reply.send((job.position, made));
    }
}

impl Shared {
    /// The view at a position of a pass; a panic on the way becomes an error that names the image.
    fn make(&self, pass: &Pass, position: usize, resizer: &mut Resizer) -> Made {
        let mut current = position;
        let result = catch_unwind(AssertUnwindSafe(|| match pass {
            Pass::Eval => self.good(position, || self.prepared(position, resizer)),
            Pass::Train { order, seed, epoch } => {
                for at in (position..order.len()).chain(0..position) {
                    current = order[at] as usize;
                    let index = current;
                    let made = self.good(index, || {
                        let mut rng = KeyedRng::new("augment", &[*seed, u64::from(*epoch), index as u64]);
                        self.augmented(index, resizer, &mut rng)
                    })?;
                    if made.is_some() {
                        return Ok(made);
                    }
                }
                Err(self.nothing_left())
            }
        }));
        result.unwrap_or_else(|panic| {
            // Whatever state the buffers were left in, they are not used again.
            *resizer = Resizer::default();
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
            let row = self.images.rejection(current, RejectKind::BadImage, String::new());
            let image = row.image_url.unwrap_or_else(|| format!("{}:{}", row.source, row.line));
            Err(DataError::Panic { image, message })
        })
    }

    /// Runs `view` on a sample, unless its picture is bad.
    fn good(&self, index: usize, view: impl FnOnce() -> Result<Rgb, SampleError>) -> Made {
        if self.any_bad.load(Ordering::Relaxed) && self.lock_bad().contains_key(&index) {
            return Ok(None);
        }
        match view() {
            Ok(made) => Ok(Some(Finished { index, side: made.width, data: made.data })),
            Err(SampleError::Fatal(error)) => Err(error),
            Err(SampleError::Bad(kind, reason)) if self.options.ignore_data_errors => {
                self.lock_bad().entry(index).or_insert(Bad { kind, reason, told: false });
                self.any_bad.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(SampleError::Bad(kind, reason)) => {
                let row = self.images.rejection(index, kind, reason);
                let (file, reason) = (row.source.into(), row.reason);
                Err(DataError::Row { file, line: row.line, image_url: row.image_url, reason })
            }
        }
    }

    fn lock_bad(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Bad>> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nothing_left(&self) -> DataError {
        let n = self.images.len() as u64;
        DataError::Empty { what: "the training data".to_owned(), rows: n, rejected: n, examples: String::new() }
    }

    fn augmented(&self, index: usize, resizer: &mut Resizer, rng: &mut KeyedRng) -> Result<Rgb, SampleError> {
        let p = &self.options.preprocessing;
        let size = self.options.train_crop;
        let Some(augmentation) = &self.options.augmentation else {
            let resize = p.crop().map_or(size, |(resize, _)| resize.max(size));
            let p = Preprocessing { fit: Fit::Crop { resize, crop: size }, ..p.clone() };
            return Ok(resizer.prepare(&*self.images.image(index)?, &p));
        };
        // The crop is the first draw and needs the size alone, so what lies below it need not be decoded.
        let mut region = None;
        let image = self
            .images
            .top(index, &mut |width, height| region.insert(augmentation.crop(width, height, rng)).y1 as u32)?;
        let region = region.unwrap_or_else(|| augmentation.crop(image.width, image.height, rng));
        Ok(augmentation.apply(&image, region, View { size, filter: p.interpolation }, resizer, rng))
    }

    fn prepared(&self, index: usize, resizer: &mut Resizer) -> Result<Rgb, SampleError> {
        let p = &self.options.preprocessing;
        let slots = self.finished.get_or_init(|| {
            let n = self.images.len();
            let bytes = n as u128 * u128::from(p.side()) * u128::from(p.side()) * 3;
            (bytes <= u128::from(self.options.cache_bytes)).then(|| (0..n).map(|_| OnceLock::new()).collect())
        });
        let Some(slot) = slots.as_ref().map(|slots| &slots[index]) else {
            return Ok(resizer.prepare(&*self.images.image(index)?, p));
        };
        if let Some(data) = slot.get() {
            return Ok(Rgb { width: p.side(), height: p.side(), data: data.to_vec() });
        }
        let made = resizer.prepare(&*self.images.image(index)?, p);
        slot.get_or_init(|| made.data.clone().into_boxed_slice());
        Ok(made)
    }
}

/// One pass over the data; an iterator over its batches. After an error it yields nothing more.
pub struct Epoch<'a> {
    loader: &'a Loader,
    pass: Arc<Pass>,
    batches: Batches,
    next: usize,
    /// Positions handed to workers so far, up to this one.
    submitted: usize,
    replies: (Sender<Reply>, Receiver<Reply>),
    early: BTreeMap<usize, Made>,
    cancelled: Arc<AtomicBool>,
    resizer: Resizer,
}

impl<'a> Epoch<'a> {
    fn new(loader: &'a Loader, pass: Pass, batches: Batches, first: usize) -> Self {
        let mut epoch = Self {
            loader,
            pass: Arc::new(pass),
            batches,
            next: first,
            submitted: batches.range(first).start,
            replies: unbounded(),
            early: BTreeMap::new(),
            cancelled: Arc::new(AtomicBool::new(false)),
            resizer: Resizer::default(),
        };
        epoch.submit();
        epoch
    }

    /// Keeps the workers busy with the batch that is due and `prefetch` more.
    fn submit(&mut self) {
        let Some(jobs) = self.loader.jobs.as_ref().filter(|_| !self.loader.workers.is_empty()) else {
            return;
        };
        let until = (self.next + self.loader.shared.options.prefetch).min(self.batches.count().saturating_sub(1));
        let end = self.batches.range(until).end;
        for position in self.submitted..end {
            let (pass, cancelled, reply) =
                (Arc::clone(&self.pass), Arc::clone(&self.cancelled), self.replies.0.clone());
            // Workers end only when the loader is dropped, which this pass borrows.
            let _ = jobs.send(Job { pass, position, cancelled, reply });
        }
        self.submitted = self.submitted.max(end);
    }

    fn view(&mut self, position: usize) -> Made {
        if self.loader.workers.is_empty() {
            return self.loader.shared.make(&self.pass, position, &mut self.resizer);
        }
        loop {
            if let Some(made) = self.early.remove(&position) {
                return made;
            }
            match self.replies.1.recv() {
                Ok((at, made)) => drop(self.early.insert(at, made)),
                // Cannot happen, since this pass holds a sender itself.
                Err(_) => return Ok(None),
            }
        }
    }

    fn batch(&mut self, index: usize) -> Result<Batch, DataError> {
        let started = Instant::now();
        let mut images = self.loader.spare.1.try_recv().unwrap_or_default();
        images.clear();
        let mut batch = Batch {
            images,
            n: 0,
            height: 0,
            width: 0,
            targets: Vec::new(),
            indices: Vec::new(),
            wait: Duration::ZERO,
            home: self.loader.spare.0.clone(),
        };
        for position in self.batches.range(index) {
            let Some(view) = self.view(position)? else { continue };
            batch.n += 1;
            (batch.height, batch.width) = (view.side as usize, view.side as usize);
            batch.images.extend_from_slice(&view.data);
            batch.targets.push(self.loader.shared.images.target(view.index) as i64);
            batch.indices.push(view.index);
        }
        batch.wait = started.elapsed();
        Ok(batch)
    }
}

impl Iterator for Epoch<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.batches.count() {
            self.submit();
            let made = self.batch(self.next);
            self.next = if made.is_ok() { self.next + 1 } else { self.batches.count() };
            match made {
                Ok(batch) if batch.n == 0 => {}
                other => return Some(other),
            }
        }
        None
    }
}

impl Drop for Epoch<'_> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
