//! Batches, made by worker threads and delivered in order.
//!
//! What is in a batch depends on the data, the seed, the epoch and the batch's number, never on the number of workers or
//! their timing: every sample draws from its own random stream and goes to its own place. Workers live as long as the
//! loader. At most `(prefetch + 1) * batch_size` finished views wait at any time; in an evaluation with views of several sizes,
//! eight batches more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use schemas::Preprocessing;

use super::batch::View;
use super::dataset::Images;
use super::error::DataError;
use super::reject::{RejectKind, Rejection};
use super::sampler::Batches;
use super::viewing::{Scratch, ViewKey};
use super::views::{ViewMaker, Views};

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
    /// Leave samples out whose image turns out to be bad (true), or fail on the first (false).
    pub ignore_data_errors: bool,
    /// How evaluation prepares an image; its filter is used in training too.
    pub preprocessing: Preprocessing,
    /// What is made of an image.
    pub views: Views,
}

/// `setting` threads, but no more than the machine has cores: more only take turns.
pub fn default_workers(setting: usize) -> usize {
    setting.min(std::thread::available_parallelism().map_or(1, usize::from))
}

/// Which views a pass over the data makes.
pub(super) enum Pass {
    Train { order: Vec<u32>, batches: Batches, seed: u64, epoch: u32 },
    Eval,
}

/// What was made for a position of a pass; nothing where the sample is left out.
pub(super) type Made = Result<Vec<View>, DataError>;
/// A position of the pass and what was made for it.
pub(super) type Reply = (usize, Made);
/// The kept evaluation views of one image.
type Slot = OnceLock<Vec<View>>;

pub(super) struct Job {
    pub pass: Arc<Pass>,
    pub position: usize,
    pub cancelled: Arc<AtomicBool>,
    pub reply: Sender<Reply>,
}

/// What the workers share.
pub(super) struct Shared {
    maker: ViewMaker,
    pub options: LoaderOptions,
    /// Finished evaluation views, allotted when the first evaluation begins.
    finished: OnceLock<Option<Vec<Slot>>>,
}

/// Makes batches of one data set.
pub struct Loader {
    pub(super) shared: Arc<Shared>,
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
        if options.batch_size == 0 {
            let limit = "it must be at least 1";
            return Err(DataError::Setting { name: "batch size", value: "0".to_owned(), limit });
        }
        let preprocessing = options.preprocessing.clone();
        let maker = ViewMaker::new(images, preprocessing, options.views.clone(), options.ignore_data_errors)?;
        let buffers = bounded(options.prefetch + 2);
        let workers = options.workers;
        let shared = Arc::new(Shared { maker, options, finished: OnceLock::new() });
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

    /// Samples of a training epoch: images and, where they are cut into tiles, the tiles that hold an object.
    pub fn images_per_epoch(&self) -> usize {
        self.shared.maker.units()
    }

    /// Views that [`Self::eval`] makes of an image: 1, and one for each tile.
    pub fn views_per_image(&self) -> usize {
        self.shared.maker.views_per_image()
    }

    /// Batches of a training epoch; [`Self::train_epoch`] from batch 0 yields exactly so many.
    pub fn batches_per_epoch(&self) -> usize {
        self.training().count()
    }

    /// The data set.
    pub fn images(&self) -> &Arc<dyn Images> {
        &self.shared.maker.ground.images
    }

    /// How a training epoch is cut into batches.
    pub(super) fn training(&self) -> Batches {
        Batches::training(self.images_per_epoch(), self.shared.options.batch_size)
    }

    /// Samples found bad since the last call, by index. Each is reported once.
    pub fn take_rejections(&self) -> Vec<Rejection> {
        self.shared.maker.ground.bad.take(&**self.images())
    }

    /// Where work goes; `None` where the caller does it.
    pub(super) fn jobs(&self) -> Option<&Sender<Job>> {
        self.jobs.as_ref().filter(|_| !self.workers.is_empty())
    }

    /// A buffer for a batch, and where it goes afterwards.
    pub(super) fn buffer(&self) -> (Vec<u8>, Sender<Vec<u8>>) {
        (self.spare.1.try_recv().unwrap_or_default(), self.spare.0.clone())
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
    let mut scratch = Scratch::default();
    for job in queue {
        if job.cancelled.load(Ordering::Relaxed) {
            continue;
        }
        let made = shared.make(&job.pass, job.position, &mut scratch);
        // The pass may have been dropped meanwhile.
        let _ = job.reply.send((job.position, made));
    }
}

impl Shared {
    /// The views at a position of a pass; a panic on the way becomes an error that names the image.
    pub(super) fn make(&self, pass: &Pass, position: usize, scratch: &mut Scratch) -> Made {
        let result = catch_unwind(AssertUnwindSafe(|| match pass {
            Pass::Eval => self.prepared(position, scratch),
            Pass::Train { order, batches, seed, epoch } => {
                let batch = batches.of(position);
                for at in (position..order.len()).chain(0..position) {
                    let draw = ViewKey { unit: order[at] as usize, seed: *seed, epoch: *epoch, batch };
                    if let Some(view) = self.maker.train(draw, scratch)? {
                        return Ok(vec![view]);
                    }
                }
                Err(self.nothing_left())
            }
        }));
        result.unwrap_or_else(|panic| {
            let index = scratch.current;
            // Whatever state the buffers were left in, they are not used again.
            *scratch = Scratch::default();
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
            let row = self.maker.ground.images.rejection(index, RejectKind::BadImage, String::new());
            let image = row.image_url.unwrap_or_else(|| format!("{}:{}", row.source, row.line));
            Err(DataError::Panic { image, message })
        })
    }

    fn nothing_left(&self) -> DataError {
        let n = self.maker.ground.images.len() as u64;
        let examples = self.maker.ground.bad.examples(&*self.maker.ground.images);
        DataError::Empty { what: "the training data".to_owned(), rows: n, rejected: n, examples }
    }

    fn prepared(&self, index: usize, scratch: &mut Scratch) -> Made {
        let slots = self.finished.get_or_init(|| {
            let fits = self.maker.eval_bytes() <= u128::from(self.options.cache_bytes);
            fits.then(|| (0..self.maker.ground.images.len()).map(|_| OnceLock::new()).collect())
        });
        let Some(slot) = slots.as_ref().map(|slots| &slots[index]) else {
            return self.maker.eval(index, scratch);
        };
        if let Some(views) = slot.get() {
            return Ok(views.clone());
        }
        let views = self.maker.eval(index, scratch)?;
        Ok(slot.get_or_init(|| views).clone())
    }
}
