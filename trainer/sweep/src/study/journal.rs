//! What a trial reports, read from its run's `journal.jsonl` as it grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use schemas::event::{EndReason, RunEvent};

use super::store::Report;

/// Bytes that are read of one journal at a time: the plan at its start has some thousands.
const MOST: u64 = 1 << 20;

/// A journal, and how far it was read.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    read: u64,
}

/// What is new in a journal.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Values of the primary metric.
    pub reports: Vec<Report>,
    /// Epochs that were finished, at the end of what was read.
    pub epochs: Option<u32>,
    /// Why training ended, if it did.
    pub ended: Option<EndReason>,
}

impl Journal {
    /// That of a run.
    pub fn of(folder: &Path) -> Self {
        Self { path: folder.join("journal.jsonl"), read: 0 }
    }

    /// What was written since the last call; a line that is not whole yet is left for the next one.
    pub fn news(&mut self) -> io::Result<News> {
        let mut news = News::default();
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(news),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() <= self.read {
            return Ok(news);
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in bytes[..whole].split(|&byte| byte == b'\n') {
            // A line that a crash cut off, and that the next start ended, says nothing.
            match serde_json::from_slice(line) {
                Ok(RunEvent::PrimaryMetric(metric)) => {
                    news.reports.push(Report { epoch: metric.epoch, value: metric.value });
                }
                Ok(RunEvent::Epoch(record)) => news.epochs = Some(record.epoch),
                Ok(RunEvent::RunFinished { reason, .. }) => news.ended = Some(reason),
                Ok(RunEvent::RunStarted { .. }) => news.ended = None,
                Ok(RunEvent::RunInterrupted { .. }) | Err(_) => {}
            }
        }
        Ok(news)
    }
}
