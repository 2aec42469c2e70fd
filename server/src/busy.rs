//! How long a thread has been at what it does, so that one that does not come back is noticed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// What one thread is doing, for others to look at.
pub(crate) struct Busy {
    start: Instant,
    /// Milliseconds from the start to the beginning of its task, and 1; 0 while it has none.
    since: AtomicU64,
}

impl Busy {
    /// A thread without a task.
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), since: AtomicU64::new(0) }
    }

    /// Does `work`, which others see the time of.
    pub(crate) fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        self.since.store(milliseconds(self.start.elapsed()) + 1, Ordering::Relaxed);
        let result = work();
        self.since.store(0, Ordering::Relaxed);
        result
    }

    /// Whether it has been at its task for longer than `limit`.
    pub(crate) fn is_stuck(&self, limit: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since > 0 && milliseconds(self.start.elapsed()).saturating_sub(since - 1) > milliseconds(limit)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
