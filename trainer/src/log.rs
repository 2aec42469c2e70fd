//! What a run says: on standard error, and in `run.log`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// The log of a run.
pub struct Log {
    file: Mutex<File>,
}

impl Log {
    /// Opens the log, which is appended to.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { file: Mutex::new(file.with_context(|| format!("opening {}", path.display()))?) })
    }

    /// Says one line. A full disk does not end a training for its log's sake.
    pub fn line(&self, text: &str) {
        // Nor does a closed terminal.
        let _ = writeln!(std::io::stderr(), "{text}");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(file, "{text}");
    }
}
