//! What waits for a model: jobs of all requests, from which a free worker takes those that can be run together.
//!
//! Nobody waits for a batch to fill: a worker that is free takes what is there. Under load several jobs have come together by then.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ndarray::{ArrayView4, Axis, concatenate};
use tokio::sync::oneshot;

use crate::{
    backend::{Batch, Job, Predictions},
    error::ServerError,
};

/// A job, since when it waits, and where its answer goes.
pub struct Queued {
    /// The job.
    pub job: Job,
    /// Since when it waits.
    pub since: Instant,
    /// Closed when nobody wants the answer any more.
    pub reply: oneshot::Sender<Result<Predictions, ServerError>>,
}

/// A bounded queue of jobs. Workers block on it; requests never do.
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    limit: usize,
}

struct Inner {
    jobs: VecDeque<Queued>,
    closed: bool,
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may.
    Full,
    /// The model takes no more jobs.
    Closed,
}

/// How much of several jobs is run at once. A single job is run whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Images in all.
    pub images: usize,
    /// Bytes of their pixels in all.
    pub bytes: usize,
}

/// What a worker takes at once.
#[derive(Default)]
pub struct Taken {
    /// Jobs that can be run as one batch; none when the queue is closed and empty.
    pub jobs: Vec<Queued>,
    /// How many jobs were thrown away because nobody wants their answers.
    pub skipped: usize,
}

impl Queue {
    /// A queue of at most `limit` jobs, at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let inner = Inner { jobs: VecDeque::new(), closed: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), limit: limit.max(1) }
    }

    /// Adds a job.
    ///
    /// # Errors
    /// When there is no room, or no more are taken.
    pub fn push(&self, queued: Queued) -> Result<(), Refused> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refused::Closed);
        }
        if inner.jobs.len() >= self.limit {
            return Err(Refused::Full);
        }
        inner.jobs.push_back(queued);
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a job, and takes it with all others that can be run with it: in the order in which they came, at most `most` in all.
    /// Others keep their places.
    #[must_use]
    pub fn take(&self, most: Most) -> Taken {
        let mut inner = self.lock();
        while inner.jobs.is_empty() && !inner.closed {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Taken::default();
        let (mut left, mut images, mut bytes) = (VecDeque::new(), 0, 0);
        for queued in inner.jobs.drain(..) {
            let batch = &queued.job.batch;
            let fits = match taken.jobs.first() {
                _ if queued.reply.is_closed() => {
                    taken.skipped += 1;
                    continue;
                }
                None => true,
                Some(first) => {
                    images + batch.count() <= most.images
                        && bytes + batch.images.len() <= most.bytes
                        && first.job.batch.goes_with(batch)
                }
            };
            if fits {
                images += batch.count();
                bytes += batch.images.len();
                taken.jobs.push(queued);
            } else {
                left.push_back(queued);
            }
        }
        inner.jobs = left;
        if !inner.jobs.is_empty() {
            self.changed.notify_one();
        }
        taken
    }

    /// Jobs waiting now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Takes no more jobs. Those that wait are still taken by workers.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether no more jobs are taken.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Throws away what waits: nobody is left to run it.
    pub fn abandon(&self) {
        self.close();
        let jobs = std::mem::take(&mut self.lock().jobs);
        // Outside of the lock: whoever waits for an answer hears of it now.
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// Whether both can be run as one.
    fn goes_with(&self, other: &Self) -> bool {
        let shape = |batch: &Self| (batch.images.dim().1, batch.images.dim().2, batch.images.dim().3);
        shape(self) == shape(other)
            && self.sizes.is_some() == other.sizes.is_some()
            && self.thresholds == other.thresholds
    }

    /// All of them as one, in their order; `None` of none, or of some that do not go together.
    #[must_use]
    pub fn joined(batches: &[&Self]) -> Option<Self> {
        let first = *batches.first()?;
        let views: Vec<ArrayView4<'_, u8>> = batches.iter().map(|batch| batch.images.view()).collect();
        let sizes = first.sizes.is_some();
        Some(Self {
            images: concatenate(Axis(0), &views).ok()?,
            sizes: sizes.then(|| batches.iter().flat_map(|batch| batch.sizes.iter().flatten().copied()).collect()),
            thresholds: first.thresholds,
        })
    }
}

impl Predictions {
    /// The predictions about each of several batches that were run as one, of so many images each.
    ///
    /// # Errors
    /// [`ServerError::Internal`] when they are about another number of images.
    pub fn split(self, counts: &[usize]) -> Result<Vec<Self>, ServerError> {
        match self {
            Self::Probabilities(rows) => {
                let mut rest = rows.view();
                let part = |&count: &usize| {
                    if count > rest.nrows() {
                        return Err(ServerError::Internal);
                    }
                    let (part, others) = rest.split_at(Axis(0), count);
                    rest = others;
                    Ok(Self::Probabilities(part.to_owned()))
                };
                counts.iter().map(part).collect()
            }
            Self::Boxes(images) => {
                let mut rest = images.into_iter();
                let part = |&count: &usize| {
                    let part: Vec<_> = rest.by_ref().take(count).collect();
                    if part.len() == count { Ok(Self::Boxes(part)) } else { Err(ServerError::Internal) }
                };
                counts.iter().map(part).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{Array2, Array4, array};

    use super::*;
    use crate::{admit::Admission, config::Limits};

    type Answer = oneshot::Receiver<Result<Predictions, ServerError>>;

    fn job(count: usize, side: usize, value: u8) -> (Queued, Answer) {
        let limits = Limits::of(&[]);
        let images = Array4::from_elem((count, side, side, 3), value);
        let batch = Batch { images, sizes: None, thresholds: Default::default() };
        let permit = Admission::new(&limits).enter().unwrap();
        let job = Job { batch, timings: Arc::default(), reservation: None, permit: Some(permit) };
        let (reply, answer) = oneshot::channel();
        (Queued { job, since: Instant::now(), reply }, answer)
    }

    fn images(images: usize) -> Most {
        Most { images, bytes: usize::MAX }
    }

    fn values(taken: &Taken) -> Vec<u8> {
        taken.jobs.iter().map(|queued| queued.job.batch.images[[0, 0, 0, 0]]).collect()
    }

    #[test]
    fn jobs_of_one_shape_are_taken_together_and_others_keep_their_places() {
        let queue = Queue::new(10);
        let mut answers = Vec::new();
        for (count, side, value) in [(1, 4, 1), (1, 8, 2), (2, 4, 3), (2, 4, 4), (1, 4, 5), (1, 8, 6)] {
            let (queued, answer) = job(count, side, value);
            queue.push(queued).unwrap();
            answers.push(answer);
        }
        // 1 + 2 + 1 images; another 2 would be too many.
        assert_eq!(values(&queue.take(images(4))), [1, 3, 5]);
        assert_eq!(values(&queue.take(images(4))), [2, 6]);
        // A job is taken whatever its size.
        assert_eq!(values(&queue.take(images(1))), [4]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn what_is_taken_together_is_bounded_in_bytes() {
        let queue = Queue::new(10);
        let mut answers = Vec::new();
        for value in 1..=4 {
            let (queued, answer) = job(1, 4, value);
            queue.push(queued).unwrap();
            answers.push(answer);
        }
        let most = |bytes| Most { images: 9, bytes };
        // An image has 4 x 4 x 3 bytes.
        assert_eq!(values(&queue.take(most(2 * 48))), [1, 2]);
        assert_eq!(values(&queue.take(most(2 * 48 - 1))), [3]);
        assert_eq!(values(&queue.take(most(1))), [4]);
    }

    #[test]
    fn nobody_is_computed_for_who_has_gone() {
        let queue = Queue::new(10);
        let (gone, answer) = job(1, 4, 1);
        queue.push(gone).unwrap();
        drop(answer);
        let (here, _answer) = job(1, 4, 2);
        queue.push(here).unwrap();
        let taken = queue.take(images(4));
        assert_eq!((values(&taken), taken.skipped), (vec![2], 1));
    }

    #[test]
    fn a_full_or_closed_queue_refuses_and_what_waits_is_still_taken() {
        let queue = Queue::new(1);
        let (first, _first) = job(1, 4, 1);
        let (second, _second) = job(1, 4, 2);
        queue.push(first).unwrap();
        assert_eq!(queue.push(second), Err(Refused::Full));
        queue.close();
        let (third, _third) = job(1, 4, 3);
        assert_eq!(queue.push(third), Err(Refused::Closed));
        assert_eq!(values(&queue.take(images(4))), [1]);
        assert!(queue.take(images(4)).jobs.is_empty());
    }

    #[test]
    fn what_is_joined_is_split_again() {
        let (a, b) = (job(1, 2, 7).0.job.batch, job(2, 2, 9).0.job.batch);
        let all = Batch::joined(&[&a, &b]).unwrap();
        assert_eq!(all.images.iter().map(|&value| u32::from(value)).sum::<u32>(), 12 * 7 + 24 * 9);
        let rows = Predictions::Probabilities(array![[0.1], [0.2], [0.3]]);
        let parts = rows.clone().split(&[1, 2]).unwrap();
        assert_eq!(
            parts,
            [Predictions::Probabilities(array![[0.1]]), Predictions::Probabilities(array![[0.2], [0.3]])]
        );
        assert_eq!(rows.split(&[2, 2]), Err(ServerError::Internal));
        let boxes = Predictions::Boxes(vec![Vec::new(); 3]);
        assert_eq!(boxes.split(&[2, 1]).unwrap()[0], Predictions::Boxes(vec![Vec::new(); 2]));
        assert!(Batch::joined(&[]).is_none());
        assert!(Batch::joined(&[&a, &job(1, 4, 1).0.job.batch]).is_none());
        let none = Predictions::Probabilities(Array2::zeros((0, 1)));
        assert_eq!(none.split(&[]).unwrap(), []);
    }
}
