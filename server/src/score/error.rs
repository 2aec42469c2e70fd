//! What ends a run, and what keeps one image from an answer.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use schemas::{Coded, ErrorCode};
use thiserror::Error;

use crate::error::ServerError;

/// Why a run ended without its output. What was written of it is kept, and `--resume` goes on from there.
#[derive(Debug, Error)]
pub enum ScoreError {
    /// An option that the model does not take, or a value outside of its range.
    #[error("{0}")]
    Options(String),
    /// The model's file.
    #[error("the model {} cannot be used: {reason}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why, with its causes.
        reason: String,
    },
    /// The input holds no image, or is none that can be read.
    #[error("{} {reason}", path.display())]
    Input {
        /// Folder or list.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The output, or what belongs to it, may not be written.
    #[error("{} {why}", path.display())]
    InTheWay {
        /// The file or folder.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// What stands there was made in another way.
    #[error(
        "{} is of a run that was begun otherwise, and going on would mix two results: {}; give the options of then, or move that \
         file away to begin again",
        path.display(), differences.join("; ")
    )]
    Differs {
        /// The state of the run.
        path: PathBuf,
        /// Each thing that differs, as it was and as it is.
        differences: Vec<String>,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(action))]
    Io {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refuses something that is no file.
    #[error("the system refuses {what}: {source}")]
    System {
        /// Such as a thread.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The model can no longer answer.
    #[error("no more images can be scored: {0}; what is scored is kept, and --resume goes on after it")]
    Server(#[from] ServerError),
    /// Told to stop.
    #[error("told to stop after {done} of {images} images; the same command with --resume goes on")]
    Interrupted {
        /// Images that are written.
        done: u64,
        /// All of them.
        images: u64,
    },
}

fn advice(action: &str) -> &'static str {
    match action {
        "write" => "; what is scored is kept: make room, then go on with --resume",
        _ => "",
    }
}

impl ScoreError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn in_the_way(path: &Path, why: impl Into<String>) -> Self {
        Self::InTheWay { path: path.to_owned(), why: why.into() }
    }

    pub(super) fn input(path: &Path, reason: impl Into<String>) -> Self {
        Self::Input { path: path.to_owned(), reason: reason.into() }
    }
}

impl Coded for ScoreError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Options(_) => ErrorCode::InvalidSettings,
            Self::Model { .. } => ErrorCode::InvalidModelFile,
            Self::Input { .. } => ErrorCode::InvalidDataset,
            Self::InTheWay { .. } | Self::Differs { .. } => ErrorCode::OutputInUse,
            Self::Io { source, .. } => source.code(),
            Self::System { .. } => ErrorCode::Io,
            Self::Server(error) => error.code(),
            Self::Interrupted { .. } => ErrorCode::Interrupted,
        }
    }
}

/// Why one image has no answer. It is written in the answer's place, and the run goes on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub code: ErrorCode,
    pub message: String,
}

impl Fault {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ServerError> for Fault {
    fn from(error: ServerError) -> Self {
        let code = error.code();
        // The line names the image, so its place in a request says nothing more.
        let message = match error {
            ServerError::Image { reason, .. } | ServerError::ImageTooLarge { reason, .. } => reason,
            ServerError::TooMuchMemory { needed, limit } => {
                format!("the image needs {needed} bytes of memory and --memory leaves it {limit}; raise it")
            }
            other => other.to_string(),
        };
        Self { code, message }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::new(error.code(), format!("the file cannot be read: {error}"))
    }
}
