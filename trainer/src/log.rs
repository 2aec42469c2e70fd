//! What a run says: on standard error, and in `run.log`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use files::console;

/// The log of a run.
#[derive(Default)]
pub struct Log {
    sink: Mutex<Sink>,
}

/// What was said before there was a file, or the file.
enum Sink {
    Waiting(Vec<String>),
    File(File),
}

impl Default for Sink {
    fn default() -> Self {
        Self::Waiting(Vec::new())
    }
}

impl Log {
    /// Writes what was said so far, and from now on, to a file, which is appended to. A run that fails before its first
    /// checkpoint has said what it had to say on standard error and leaves no file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn write_to(&self, path: &Path) -> anyhow::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.with_context(|| format!("opening {}", path.display()))?;
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if let Sink::Waiting(lines) = &*sink {
            let _ = file.write_all(lines.concat().as_bytes());
        }
        *sink = Sink::File(file);
        Ok(())
    }

    /// Says one line. A full disk does not end a training for its log's sake.
    pub fn line(&self, text: &str) {
        // Nor does a closed terminal.
        console::say(text);
        match &mut *self.sink.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Waiting(lines) => lines.push(format!("{text}\n")),
            Sink::File(file) => drop(writeln!(file, "{text}")),
        }
    }
}
