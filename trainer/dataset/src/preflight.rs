//! Looks at every image before training, in parallel, so that bad ones are known, listed and left out at the start.
//!
//! How closely depends on the number of images, so that the check takes at most a minute or so on two cores:
//! up to [`FULL_CHECK`] each is decoded (which also fills the cache), up to [`HEADER_CHECK`] its header is read and its size
//! checked, beyond that only its presence. What a lighter check misses is found when the image is first decoded.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::dataset::{Reader, SampleError, Sizes};
use super::error::DataError;
use super::header;
use super::index::Entry;
use super::location::Location;
use super::reject::RejectKind;

/// Data sets of at most so many images are decoded in full before training.
pub const FULL_CHECK: usize = 10_000;
/// Data sets of at most so many images have every header read before training.
pub const HEADER_CHECK: usize = 100_000;

/// Called now and then with (images checked, images to check), from any thread.
pub type OnProgress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Runs `check` on `0..n` in `threads` threads (at least one) and returns what it found wrong, by index. A fatal error ends
/// it; of several, the one of the lowest index seen is returned.
pub(crate) fn each(
    n: usize,
    threads: usize,
    on_progress: OnProgress,
    check: impl Fn(usize) -> Result<(), SampleError> + Sync,
) -> Result<Vec<(usize, RejectKind, String)>, DataError> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let work = || {
        let mut bad = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= n {
                return (bad, None);
            }
            match check(index) {
                Ok(()) => {}
                Err(SampleError::Bad(kind, reason)) => bad.push((index, kind, reason)),
                Err(SampleError::Fatal(error)) => {
                    next.store(n, Ordering::Relaxed);
                    return (bad, Some((index, error)));
                }
            }
            on_progress(done.fetch_add(1, Ordering::Relaxed) + 1, n);
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.clamp(1, n.max(1))).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let mut bad = Vec::new();
    let mut fatal: Option<(usize, DataError)> = None;
    for (part, error) in results {
        bad.extend(part);
        fatal = [fatal, error].into_iter().flatten().min_by_key(|(index, _)| *index);
    }
    bad.sort_unstable_by_key(|(index, ..)| *index);
    match fatal {
        Some((_, error)) => Err(error),
        None => Ok(bad),
    }
}

/// Bytes found by the header check; complete when every image passed or was found bad.
#[derive(Default)]
pub(crate) struct Totals {
    encoded: AtomicU64,
    decoded: AtomicU64,
}

impl Totals {
    pub fn sizes(&self) -> Sizes {
        Sizes { encoded: self.encoded.load(Ordering::Relaxed), decoded: self.decoded.load(Ordering::Relaxed) }
    }
}

/// Reads the header of a row's image and checks it against the limits.
pub(crate) fn header(reader: &Reader, entry: &Entry, totals: &Totals) -> Result<(), SampleError> {
    let (path, size) = reader.sized(entry)?;
    let missing = |e: std::io::Error| SampleError::Bad(RejectKind::MissingFile, format!("{}: {e}", path.display()));
    let header = header::of_file(&path, size, &reader.limits).map_err(missing)?;
    let header = header.map_err(|e| SampleError::Bad(RejectKind::BadImage, e.to_string()))?;
    totals.encoded.fetch_add(size, Ordering::Relaxed);
    totals.decoded.fetch_add(u64::from(header.width) * u64::from(header.height) * 3, Ordering::Relaxed);
    Ok(())
}

/// Whether a row's image is there; one with a URL is taken to be.
pub(crate) fn presence(reader: &Reader, entry: &Entry) -> Result<(), SampleError> {
    match reader.files.location(entry)?.1 {
        Location::File(_) => reader.sized(entry).map(drop),
        Location::Http(_) => Ok(()),
    }
}
