//! Samples whose images turned out to be bad while they were loaded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dataset::{Images, SampleError};
use super::error::DataError;
use super::reject::{RejectKind, Rejection};

struct Bad {
    kind: RejectKind,
    reason: String,
    told: bool,
}

/// What the workers of a loader know to be bad. Which samples are bad depends on the images alone, so it does not matter who
/// finds out first.
pub(crate) struct BadSamples {
    /// Whether they may be left out.
    ignore: bool,
    known: Mutex<BTreeMap<usize, Bad>>,
    any: AtomicBool,
}

impl BadSamples {
    /// `ignore`: the setting `ignore_data_errors`.
    pub fn new(ignore: bool) -> Self {
        Self { ignore, known: Mutex::new(BTreeMap::new()), any: AtomicBool::new(false) }
    }

    /// Runs `make` for a sample, unless it is known to be bad; `None` when it is bad.
    pub fn unless_bad<T>(
        &self,
        images: &dyn Images,
        index: usize,
        make: impl FnOnce() -> Result<T, SampleError>,
    ) -> Result<Option<T>, DataError> {
        if self.any.load(Ordering::Relaxed) && self.lock().contains_key(&index) {
            return Ok(None);
        }
        match make() {
            Ok(made) => Ok(Some(made)),
            Err(SampleError::Fatal(error)) => Err(error),
            Err(SampleError::Bad(kind, reason)) if self.ignore => {
                self.lock().entry(index).or_insert(Bad { kind, reason, told: false });
                self.any.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(SampleError::Bad(kind, reason)) => {
                let row = images.rejection(index, kind, reason);
                let (file, reason) = (row.source.into(), row.reason);
                Err(DataError::Row { file, line: row.line, image_url: row.image_url, reason })
            }
        }
    }

    /// Those that were not told before, by index.
    pub fn take(&self, images: &dyn Images) -> Vec<Rejection> {
        let mut known = self.lock();
        let new = known.iter_mut().filter_map(|(&index, bad)| {
            let told = std::mem::replace(&mut bad.told, true);
            (!told).then(|| images.rejection(index, bad.kind, bad.reason.clone()))
        });
        new.collect()
    }

    /// The first few, in words, for a message; empty where there are none.
    pub fn examples(&self, images: &dyn Images) -> String {
        const SHOWN: usize = 3;
        let known = self.lock();
        let shown: Vec<String> = known
            .iter()
            .take(SHOWN)
            .map(|(&index, bad)| {
                let row = images.rejection(index, bad.kind, bad.reason.clone());
                format!("{}:{}: {}", row.source, row.line, row.reason)
            })
            .collect();
        let moved = known.values().all(|bad| bad.kind == RejectKind::MissingFile);
        let advice = "; put the images back where they were, or a link to them, or begin a new run with rows (or --data_root) \
             that lead to where they are";
        match shown.is_empty() {
            true => String::new(),
            false => format!(". The first: {}{}", shown.join("; "), if moved { advice } else { "" }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Bad>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
