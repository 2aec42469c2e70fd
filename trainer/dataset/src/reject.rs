//! Rows that cannot be used: counted by kind, listed with their place and reason, and, when data errors are not to be
//! ignored, an error at once.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

pub use schemas::dataset::{Rejection, RejectionKind as RejectKind};
use schemas::dataset::{RowError, RowErrorKind};
use tempfile::SpooledTempFile;

use super::error::DataError;

/// Rejections kept in memory; beyond this many bytes they go to a temporary file.
const SPOOL_BYTES: usize = 4 << 20;
/// Rejections shown in messages.
const EXAMPLES: usize = 5;

/// All rejections of a run, in the order they were found (which depends on the data alone).
pub struct Rejections {
    ignore: bool,
    counts: BTreeMap<RejectKind, u64>,
    examples: Vec<Rejection>,
    lines: SpooledTempFile,
}

impl Rejections {
    /// `ignore`: the setting `ignore_data_errors`.
    pub fn new(ignore: bool) -> Self {
        Self { ignore, counts: BTreeMap::new(), examples: Vec::new(), lines: tempfile::spooled_tempfile(SPOOL_BYTES) }
    }

    /// Records a row.
    ///
    /// # Errors
    /// [`DataError::Row`] when data errors are not ignored; an IO error of the temporary file.
    pub fn add(&mut self, row: Rejection) -> Result<(), DataError> {
        if !self.ignore {
            return Err(DataError::Row {
                file: row.source.into(),
                line: row.line,
                image_url: row.image_url,
                reason: row.reason,
            });
        }
        *self.counts.entry(row.kind).or_default() += 1;
        let mut line = serde_json::to_vec(&row).map_err(|e| spool_error(e.into()))?;
        line.push(b'\n');
        self.lines.write_all(&line).map_err(spool_error)?;
        if self.examples.len() < EXAMPLES {
            self.examples.push(row);
        }
        Ok(())
    }

    /// How many rows, by kind.
    pub fn counts(&self) -> &BTreeMap<RejectKind, u64> {
        &self.counts
    }

    /// How many rows.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The first few.
    pub fn examples(&self) -> &[Rejection] {
        &self.examples
    }

    /// All of them, in the order they were found.
    ///
    /// # Errors
    /// An IO error of the temporary file.
    pub fn all(&mut self) -> Result<Vec<Rejection>, DataError> {
        let mut text = Vec::new();
        self.write(&mut text).map_err(spool_error)?;
        let read = serde_json::Deserializer::from_slice(&text).into_iter().collect::<Result<_, _>>();
        read.map_err(|e| spool_error(e.into()))
    }

    /// The first few as one text for a message, starting with a separator; empty where there are none.
    pub fn examples_text(&self) -> String {
        let shown: Vec<String> =
            self.examples.iter().map(|row| format!("{}:{}: {}", row.source, row.line, row.reason)).collect();
        if shown.is_empty() { String::new() } else { format!(". The first: {}", shown.join("; ")) }
    }

    /// Writes the list as JSON lines, `{source, line, image_url, kind, reason}`.
    ///
    /// # Errors
    /// Any IO error.
    pub fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.lines.seek(SeekFrom::Start(0))?;
        io::copy(&mut self.lines, out)?;
        self.lines.seek(SeekFrom::End(0)).map(drop)
    }
}

/// Why a row cannot be used: in broad terms, its `image_url` where that could be read, and the reason.
pub type Refusal = (RejectKind, Option<String>, String);

/// What is wrong with a line, as a rejection has it.
pub fn refusal(error: RowError) -> Refusal {
    let kind = match error.kind {
        RowErrorKind::Json | RowErrorKind::ImageUrl => RejectKind::BadJson,
        RowErrorKind::LabelMissing | RowErrorKind::LabelType | RowErrorKind::OddOutline => RejectKind::BadLabel,
        RowErrorKind::NoObject => RejectKind::NoObject,
    };
    (kind, error.image_url, error.message)
}

fn spool_error(source: io::Error) -> DataError {
    DataError::io("write", Path::new("the temporary list of rejected rows"), source)
}
