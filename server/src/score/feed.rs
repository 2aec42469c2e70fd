//! The images of a run on their way into it: from where it goes on, until it is told to stop.

use std::{
    cell::{Cell, RefCell},
    io,
    path::Path,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use files::Hashing;

use super::{
    error::ScoreError,
    input::{Item, Items},
};

/// Set by a signal.
pub(super) type Told = Arc<AtomicBool>;

/// How the feed ended, for those behind it.
#[derive(Clone, Default)]
pub(super) struct End(Rc<Inner>);

#[derive(Default)]
struct Inner {
    early: Cell<bool>,
    error: RefCell<Option<ScoreError>>,
    sha256: RefCell<String>,
}

impl End {
    /// Whether images are missing, so that the last batch is not the one of an undisturbed run.
    pub(super) fn is_early(&self) -> bool {
        self.0.early.get()
    }

    /// Once all is written: whether that is everything.
    ///
    /// # Errors
    /// The input could not be read to its end, or is no longer what was counted.
    pub(super) fn check(&self, input: &Path, counted: &str) -> Result<(), ScoreError> {
        if let Some(error) = self.0.error.take() {
            return Err(error);
        }
        if !self.is_early() && *self.0.sha256.borrow() != counted {
            let reason = "has changed while its images were scored, so the output would be of neither; remove the .partial files \
                          and score it again";
            return Err(ScoreError::input(input, reason));
        }
        Ok(())
    }
}

/// Hands out images.
pub(super) struct Feed {
    items: Items,
    sum: Option<Hashing<io::Sink>>,
    told: Told,
    end: End,
}

impl Feed {
    /// The images after the first `done`.
    ///
    /// # Errors
    /// The input cannot be read as far as that.
    pub(super) fn after(done: u64, mut items: Items, told: Told) -> Result<Self, ScoreError> {
        let mut sum = Hashing::new(io::sink());
        for _ in 0..done {
            match items.next() {
                Some(item) => item?.feed(&mut sum),
                None => break,
            }
        }
        Ok(Self { items, sum: Some(sum), told, end: End::default() })
    }

    /// How it will have ended.
    pub(super) fn end(&self) -> End {
        self.end.clone()
    }
}

impl Iterator for Feed {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.end.is_early() {
            return None;
        }
        if self.told.load(Ordering::Relaxed) {
            self.end.0.early.set(true);
            return None;
        }
        match self.items.next() {
            Some(Ok(item)) => {
                if let Some(sum) = &mut self.sum {
                    item.feed(sum);
                }
                Some(item)
            }
            Some(Err(error)) => {
                self.end.0.early.set(true);
                self.end.0.error.replace(Some(error));
                None
            }
            None => {
                if let Some(sum) = self.sum.take() {
                    self.end.0.sha256.replace(sum.finish());
                }
                None
            }
        }
    }
}
