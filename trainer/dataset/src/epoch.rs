//! One pass over the data, batch by batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};
use models::host::fill;

use super::batch::{Batch, View};
use super::error::DataError;
use super::loader::{Job, Loader, Made, Pass, Reply};
use super::sampler::{Batches, epoch_order};
use super::viewing::Scratch;

/// Views that wait for others of their size in evaluation, in batches; beyond this the fullest group goes out as it is.
const WAITING: usize = 8;

/// One pass over the data; an iterator over its batches. After an error it yields nothing more.
pub struct Epoch<'a> {
    loader: &'a Loader,
    pass: Arc<Pass>,
    batches: Batches,
    /// Batch that is due (training) or position that is (evaluation).
    next: usize,
    /// Positions handed to workers so far, up to this one.
    submitted: usize,
    replies: (Sender<Reply>, Receiver<Reply>),
    early: BTreeMap<usize, Made>,
    groups: Groups,
    cancelled: Arc<AtomicBool>,
    scratch: Scratch,
}

impl Loader {
    /// The batches of a training epoch, from number `first` on; they are the same whether or not those before were made. A
    /// sample whose image turns out to be bad is replaced by the next good one in the epoch's order, so that the number
    /// and the sizes of the batches never change.
    pub fn train_epoch(&self, seed: u64, epoch: u32, first: usize) -> Epoch<'_> {
        let order = epoch_order(self.images_per_epoch(), seed, epoch);
        let batches = self.training();
        Epoch::new(self, Pass::Train { order, batches, seed, epoch }, batches, first)
    }

    /// Every sample once, prepared as for serving: the whole image and, where it is cut into tiles, every tile. Where views
    /// are of several sizes, a batch holds those of one size; within a size they are in order. Batches are as large as they
    /// may be as far as there are views of their size at hand. A sample whose image turns out to be bad is left out.
    pub fn eval(&self) -> Epoch<'_> {
        let batches = Batches::evaluation(self.images().len(), self.shared.options.batch_size);
        Epoch::new(self, Pass::Eval, batches, 0)
    }
}

impl<'a> Epoch<'a> {
    /// The pass from batch `first` on.
    fn new(loader: &'a Loader, pass: Pass, batches: Batches, first: usize) -> Self {
        let mut epoch = Self {
            loader,
            pass: Arc::new(pass),
            batches,
            next: first,
            submitted: batches.range(first).start,
            replies: unbounded(),
            early: BTreeMap::new(),
            groups: Groups::default(),
            cancelled: Arc::new(AtomicBool::new(false)),
            scratch: Scratch::default(),
        };
        epoch.submit();
        epoch
    }

    /// Keeps the workers busy with what is due and `prefetch` batches more.
    fn submit(&mut self) {
        let Some(jobs) = self.loader.jobs() else { return };
        let options = &self.loader.shared.options;
        let end = match &*self.pass {
            Pass::Train { .. } => {
                let until = (self.next + options.prefetch).min(self.batches.count().saturating_sub(1));
                self.batches.range(until).end
            }
            Pass::Eval => {
                let ahead = ((options.prefetch + 1) * options.batch_size).div_ceil(self.loader.views_per_image());
                (self.next + ahead).min(self.loader.images().len())
            }
        };
        for position in self.submitted..end {
            let (pass, cancelled, reply) =
                (Arc::clone(&self.pass), Arc::clone(&self.cancelled), self.replies.0.clone());
            // Workers end only when the loader is dropped, which this pass borrows.
            let _ = jobs.send(Job { pass, position, cancelled, reply });
        }
        self.submitted = self.submitted.max(end);
    }

    fn made(&mut self, position: usize) -> Made {
        if self.loader.jobs().is_none() {
            return self.loader.shared.make(&self.pass, position, &mut self.scratch);
        }
        loop {
            if let Some(made) = self.early.remove(&position) {
                return made;
            }
            match self.replies.1.recv() {
                Ok((at, made)) => drop(self.early.insert(at, made)),
                // Cannot happen, since this pass holds a sender itself.
                Err(_) => return Ok(Vec::new()),
            }
        }
    }

    /// Views of the next training batch; `None` at the end.
    fn training(&mut self) -> Result<Option<Vec<View>>, DataError> {
        if self.next >= self.batches.count() {
            return Ok(None);
        }
        self.submit();
        let mut views = Vec::new();
        for position in self.batches.range(self.next) {
            views.extend(self.made(position)?);
        }
        self.next += 1;
        Ok(Some(views))
    }

    /// Views of the next evaluation batch; `None` at the end.
    fn evaluation(&mut self) -> Result<Option<Vec<View>>, DataError> {
        let size = self.loader.shared.options.batch_size;
        loop {
            if let Some(views) = self.groups.full(size) {
                return Ok(Some(views));
            }
            if self.next >= self.loader.images().len() {
                return Ok(self.groups.oldest());
            }
            self.submit();
            for view in self.made(self.next)? {
                self.groups.add(view);
            }
            self.next += 1;
        }
    }

    fn batch(&mut self) -> Result<Option<Batch>, DataError> {
        let started = Instant::now();
        let views = match &*self.pass {
            Pass::Train { .. } => self.training()?,
            Pass::Eval => self.evaluation()?,
        };
        let Some(views) = views else { return Ok(None) };
        let images = self.loader.images();
        let fill = fill(&self.loader.shared.options.preprocessing);
        let mut batch = Batch::new(&views, fill, |index| images.classes(index), self.loader.buffer());
        batch.wait = started.elapsed();
        Ok(Some(batch))
    }
}

impl Iterator for Epoch<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.batch() {
                Ok(Some(batch)) if batch.n == 0 => {}
                Ok(batch) => return batch.map(Ok),
                Err(error) => {
                    self.next = usize::MAX;
                    self.groups = Groups::default();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Drop for Epoch<'_> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Views that wait until a batch of one size is full, by size in the order of their first.
#[derive(Default)]
struct Groups {
    waiting: Vec<((u32, u32), Vec<View>)>,
    total: usize,
}

impl Groups {
    fn add(&mut self, view: View) {
        let size = (view.image.width, view.image.height);
        self.total += 1;
        match self.waiting.iter_mut().find(|(of, _)| *of == size) {
            Some((_, views)) => views.push(view),
            None => self.waiting.push((size, vec![view])),
        }
    }

    /// A full batch of `size`, or, when too much waits, the fullest.
    fn full(&mut self, size: usize) -> Option<Vec<View>> {
        let fullest = |(at, (_, views)): &(usize, &(_, Vec<View>))| (views.len(), std::cmp::Reverse(*at));
        let (at, (_, views)) = self.waiting.iter().enumerate().max_by_key(fullest)?;
        (views.len() >= size || self.total >= WAITING * size).then(|| self.take(at, size))
    }

    fn oldest(&mut self) -> Option<Vec<View>> {
        (!self.waiting.is_empty()).then(|| self.take(0, usize::MAX))
    }

    /// At most `size` views of group `at`.
    fn take(&mut self, at: usize, size: usize) -> Vec<View> {
        let views = &mut self.waiting[at].1;
        let taken: Vec<View> = views.drain(..size.min(views.len())).collect();
        if views.is_empty() {
            self.waiting.remove(at);
        }
        self.total -= taken.len();
        taken
    }
}
