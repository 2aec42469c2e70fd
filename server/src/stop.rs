//! Stopping: SIGTERM or SIGINT begins an orderly end, a second one ends the process at once, and so does the time it has.
//!
//! A thread of its own waits for the signals. It needs neither the HTTP threads nor the log, so nothing that they are stuck with
//! can keep the process alive.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};

use crate::log::Log;

/// What an orderly end may take beyond the drain and the time for requests under way.
pub const GRACE: Duration = Duration::from_secs(1);
/// How long the last lines of the log may take.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How often it is looked for a second signal.
const LOOK: Duration = Duration::from_millis(20);

/// The signals that ask the process to end.
pub struct Stop(Signals);

impl Stop {
    /// From now on the signals do not end the process by themselves; they wait for [`Self::watch`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Signals::new([SIGTERM, SIGINT])?))
    }

    /// At the first signal calls `begin`, which must not block. When the process has not ended `limit` later, or is told again, it
    /// ends as it is, with exit code 0.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn watch(mut self, limit: Duration, log: Log, begin: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let wait = move || {
            self.0.forever().next();
            let start = Instant::now();
            tracing::info!("stopping: not ready any more, requests under way are answered");
            begin();
            while start.elapsed() < limit {
                if self.0.pending().next().is_some() {
                    tracing::warn!("told again: stopping at once");
                    leave(&log);
                }
                thread::sleep(LOOK);
            }
            tracing::warn!("the time for an orderly stop is over: stopping at once");
            leave(&log);
        };
        thread::Builder::new().name("stop".to_owned()).spawn(wait)?;
        Ok(())
    }
}

/// Ends the process without waiting for other threads, or for what libraries do at a normal exit while sessions still run.
fn leave(log: &Log) -> ! {
    log.flush(LAST_WORDS);
    low_level::exit(0)
}
