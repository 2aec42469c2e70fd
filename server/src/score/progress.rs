//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use files::console;
use indicatif::{ProgressBar, ProgressStyle};

use super::{format::Line, state::Reached};

/// How often a plain line is printed.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// How far a run is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    /// Images done before this process.
    before: u64,
    done: u64,
    failed: u64,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// Of a run of `total` images that goes on from here.
    pub(super) fn start(from: Reached, total: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:32} {pos}/{len} images  {msg}  {eta} left");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_position(from.images)
        });
        let now = Instant::now();
        Self { bar, total, before: from.images, done: from.images, failed: from.failed, started: now, last_line: now }
    }

    /// These are written.
    pub(super) fn advance(&mut self, lines: &[Line]) {
        self.done += lines.len() as u64;
        self.failed += lines.iter().filter(|line| line.failed).count() as u64;
        let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        let message = format!("{:.1} img/s{failed}", self.rate());
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            bar.set_message(message);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            console::say(&format!("scoring: {}/{} images, {message}", self.done, self.total));
        }
    }

    /// Images per second of this process.
    pub(super) fn rate(&self) -> f64 {
        (self.done - self.before) as f64 / self.seconds().max(1e-9)
    }

    /// Since the start of this process' share.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
