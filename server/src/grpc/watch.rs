//! What happens on a connection: whether anybody uses it, and whether a client takes what it has asked for.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Value of [`Turn::since`] while the server works.
const OURS: u64 = u64::MAX;

/// The calls of one connection.
pub(super) struct Watch {
    start: Instant,
    calls: Mutex<Vec<Weak<Turn>>>,
    /// Milliseconds after `start` when the last call ended.
    quiet_since: AtomicU64,
}

/// A call, as long as its answer is not out: whether the server works, or the client has to take something.
pub(super) struct Turn {
    watch: Arc<Watch>,
    /// Milliseconds after the connection's start; [`OURS`] while the server works.
    since: AtomicU64,
}

/// How a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Calls are under way, the longest time that a client has not taken any of its answer.
    Used(Duration),
    /// Nobody has called for so long.
    Quiet(Duration),
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), calls: Mutex::default(), quiet_since: AtomicU64::new(0) })
    }

    /// A call begins.
    pub(super) fn call(self: &Arc<Self>) -> Arc<Turn> {
        let turn = Arc::new(Turn { watch: Arc::clone(self), since: AtomicU64::new(OURS) });
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&turn));
        turn
    }

    pub(super) fn condition(&self) -> Condition {
        let now = self.now();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut longest = None;
        calls.retain(|call| {
            let Some(turn) = call.upgrade() else { return false };
            let since = turn.since.load(Ordering::Relaxed);
            longest = longest.max(Some(now.saturating_sub(since)));
            true
        });
        match longest {
            Some(longest) => Condition::Used(Duration::from_millis(longest)),
            None => Condition::Quiet(Duration::from_millis(now - self.quiet_since.load(Ordering::Relaxed).min(now))),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(OURS - 1)
    }
}

impl Turn {
    /// The server works.
    pub(super) fn is_ours(&self) {
        self.since.store(OURS, Ordering::Relaxed);
    }

    /// The client has to take what there is.
    pub(super) fn is_theirs(&self) {
        self.since.store(self.watch.now(), Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.watch.quiet_since.store(self.watch.now(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_connection_is_used_as_long_as_an_answer_is_not_out() {
        let watch = Watch::new();
        assert!(matches!(watch.condition(), Condition::Quiet(_)));
        let (one, other) = (watch.call(), watch.call());
        assert_eq!(watch.condition(), Condition::Used(Duration::ZERO));
        one.is_theirs();
        thread::sleep(Duration::from_millis(30));
        assert!(matches!(watch.condition(), Condition::Used(time) if time >= Duration::from_millis(30)));
        one.is_ours();
        assert_eq!(watch.condition(), Condition::Used(Duration::ZERO));
        drop((one, other));
        assert!(matches!(watch.condition(), Condition::Quiet(time) if time < Duration::from_millis(30)));
    }
}
