//! What can be wrong with a data set as a whole. A single bad row is not an error here but a [`crate::Rejection`],
//! unless `ignore_data_errors` is off.

use std::io;
use std::path::{Path, PathBuf};

use schemas::{Coded, ErrorCode};

/// Errors of reading, checking, splitting and loading data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: `read`, `write`, `open`...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The named data is neither a JSONL file nor an MLTable folder.
    #[error("{}: {message}", path.display())]
    Source {
        /// What the user named.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A row is bad and `ignore_data_errors` is off.
    #[error("{}:{line}: {reason}{}. Correct the row, or set ignore_data_errors to true to leave such rows out", file.display(), shown_url(image_url.as_deref()))]
    Row {
        /// The JSONL file.
        file: PathBuf,
        /// Line in it, from 1.
        line: u64,
        /// The row's `image_url`, where it could be read.
        image_url: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// String and integer labels in one data set.
    #[error(
        "labels are of two types: {first} is {first_type}, {second} is {second_type}. Write all labels of a data set as strings, or all as integers"
    )]
    MixedLabels {
        /// `file:line` of the first label seen.
        first: String,
        /// Its type.
        first_type: &'static str,
        /// `file:line` of the first label of the other type.
        second: String,
        /// Its type.
        second_type: &'static str,
    },
    /// No usable row is left.
    #[error("{what} has no usable image: {rows} rows, {rejected} rejected{examples}")]
    Empty {
        /// Which data.
        what: String,
        /// Rows read.
        rows: u64,
        /// Rows rejected.
        rejected: u64,
        /// The first few reasons, or empty.
        examples: String,
    },
    /// A value is out of range.
    #[error("{name} is {value}; {limit}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Value given.
        value: String,
        /// Range, and what to do.
        limit: &'static str,
    },
    /// What was asked for cannot be written there.
    #[error(transparent)]
    Output(#[from] files::OutputError),
    /// Fovea's own code failed on an image. The image is named so that it can be left out and reported.
    #[error(
        "a loader thread failed on {image}: {message}. This is a fault in Fovea; leave the image out to go on, and report it"
    )]
    Panic {
        /// The image being read.
        image: String,
        /// The panic's message.
        message: String,
    },
}

impl Coded for DataError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Io { source, .. } => source.code(),
            Self::Output(error) => error.code(),
            Self::Panic { .. } => ErrorCode::Internal,
            Self::Source { .. }
            | Self::Row { .. }
            | Self::MixedLabels { .. }
            | Self::Empty { .. }
            | Self::Setting { .. } => ErrorCode::InvalidDataset,
        }
    }
}

impl DataError {
    /// Wraps an IO error with the place it happened.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// What is wrong with a file or folder that the user named, and what to do.
pub(crate) fn wrong(path: &Path, message: impl Into<String>) -> DataError {
    DataError::Source { path: path.to_owned(), message: message.into() }
}

fn shown_url(image_url: Option<&str>) -> String {
    image_url.map(|url| format!(" (image_url {url:?})")).unwrap_or_default()
}
