//! Progress on standard error: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use files::console;
use indicatif::{ProgressBar, ProgressStyle};

/// A stretch of work over images.
pub struct Progress {
    bar: Option<ProgressBar>,
    label: String,
    total: u64,
    done: u64,
    started: Instant,
    last_line: Instant,
    waited: Duration,
}

/// How often a plain line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(20);

impl Progress {
    /// Starts a stretch of `total` images under this label.
    #[must_use]
    pub fn start(label: impl Into<String>, total: usize) -> Self {
        let (label, total) = (label.into(), total as u64);
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix:>16} {bar:32} {pos}/{len} images  {msg}  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_prefix(label.clone())
        });
        let now = Instant::now();
        Self { bar, label, total, done: 0, started: now, last_line: now, waited: Duration::ZERO }
    }

    /// `images` more are done, of which the loader kept us waiting for `waited`; `note` is shown beside the rate.
    pub fn advance(&mut self, images: usize, waited: Duration, note: &str) {
        self.done += images as u64;
        self.waited += waited;
        let message = format!("{:.0} img/s, data wait {:.0} %  {note}", self.rate(), 100.0 * self.wait_share());
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            bar.set_message(message);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            console::say(&format!("{}: {}/{} images, {message}", self.label, self.done, self.total));
        }
    }

    /// As [`Progress::advance`], for a count that is known as a whole.
    pub fn reach(&mut self, images: usize) {
        let more = images.saturating_sub(self.count());
        if more > 0 {
            self.advance(more, Duration::ZERO, "");
        }
    }

    /// Images done so far.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.done).unwrap_or(usize::MAX)
    }

    /// Images per second so far.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "image counts are far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// Share of the time spent waiting for data, 0 to 1.
    #[must_use]
    pub fn wait_share(&self) -> f64 {
        (self.waited.as_secs_f64() / self.started.elapsed().as_secs_f64().max(1e-9)).min(1.0)
    }

    /// Seconds since the start, and seconds of them waiting for data.
    #[must_use]
    pub fn seconds(&self) -> (f64, f64) {
        (self.started.elapsed().as_secs_f64(), self.waited.as_secs_f64())
    }
}

/// A download under way.
pub struct Download {
    bar: Option<ProgressBar>,
    label: String,
    last_line: Instant,
}

impl Download {
    /// Starts showing a download under this label.
    #[must_use]
    pub fn start(label: impl Into<String>) -> Self {
        let label = label.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{prefix:>16} {bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style).with_prefix(label.clone())
        });
        Self { bar, label, last_line: Instant::now() }
    }

    /// `done` bytes are here, of `total` where the server says so.
    pub fn reach(&mut self, done: u64, total: Option<u64>) {
        if let Some(bar) = &self.bar {
            bar.set_length(total.unwrap_or(done));
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let of = total.map(|total| format!(" of {}", total >> 20)).unwrap_or_default();
            console::say(&format!("{}: {}{of} MiB", self.label, done >> 20));
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How far counts may arrive out of order from the threads that check images.
const SLACK: usize = 64;

/// Shows how far the check of the images is; called from several threads.
pub fn checking() -> impl Fn(usize, usize) + Sync {
    let progress: Mutex<Option<(usize, Progress)>> = Mutex::new(None);
    move |done, total| {
        // A thread that finds the bar in use leaves it to the next one.
        let Ok(mut shown) = progress.try_lock() else { return };
        // Each part of the data is checked in its own stretches; a count that falls far back begins the next one.
        let stale = |(of, bar): &(usize, Progress)| *of != total || done + SLACK < bar.count();
        if shown.as_ref().is_none_or(stale) {
            *shown = Some((total, Progress::start("checking", total)));
        }
        if let Some((_, bar)) = shown.as_mut() {
            bar.reach(done);
        }
    }
}
