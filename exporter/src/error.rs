//! Why there is no file.

use std::path::PathBuf;

use files::OutputError;
use models::weights::CheckpointError;
use runtime::RuntimeError;
use schemas::{Coded, ErrorCode, SettingError};

use crate::builder::BuildError;
use crate::proto;
use crate::verify::VerifyError;

/// Why there is no file. Whatever it is, the output is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint holds a model that this version does not know.
    #[error("{path:?} holds a model named {name:?}; this version knows {known}; take a newer Fovea")]
    UnknownModel {
        /// Weights file.
        path: PathBuf,
        /// Its model.
        name: String,
        /// Names in the registry.
        known: String,
    },
    /// Features were asked of a detector, which has none of whole images.
    #[error("{path:?} holds a detector; only a classifier gives features, so leave --features out")]
    Features {
        /// Weights file.
        path: PathBuf,
    },
    /// Something was asked of the file that it cannot have: pixels of objects, or images of any size.
    #[error("{path:?} cannot be exported with {option}: {problem}")]
    Contents {
        /// Weights file.
        path: PathBuf,
        /// What asked for it.
        option: &'static str,
        /// Why, and what to do.
        problem: &'static str,
    },
    /// The settings of the checkpoint, or those given in their place, cannot be read or mean nothing to the model.
    #[error("{path:?}: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings {
        /// Weights file.
        path: PathBuf,
        /// What is wrong.
        errors: Vec<SettingError>,
    },
    /// The weights do not fit the model, or the model does not fit together.
    #[error("{path:?}: {error}")]
    Build {
        /// Weights file.
        path: PathBuf,
        /// What does not fit.
        error: BuildError,
    },
    /// The output cannot be a file of that name.
    #[error("cannot write {path:?}: {problem}")]
    Output {
        /// Output file.
        path: PathBuf,
        /// What is in the way, and what to do.
        problem: String,
    },
    /// Something is where the output should go that an export may not replace, or the system does not let it.
    #[error(transparent)]
    InTheWay(#[from] OutputError),
    /// The file would be larger than the format allows.
    #[error(
        "{path:?} would have {bytes} bytes; an ONNX file holds at most {}; models of that size need their weights in a second file, which this version does not write",
        proto::MAX_BYTES
    )]
    TooLarge {
        /// Output file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Writing failed.
    #[error("cannot write {path:?}: {error}")]
    Write {
        /// Output file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// ONNX Runtime is not there, or refuses the file.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The file does not answer as the checkpoint does, or cannot be compared.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Coded for ExportError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Checkpoint(error) => error.code(),
            Self::UnknownModel { .. } | Self::TooLarge { .. } => ErrorCode::UnsupportedModel,
            Self::Settings { .. } => ErrorCode::InvalidSettings,
            Self::Output { .. } | Self::Features { .. } | Self::Contents { .. } => ErrorCode::InvalidArguments,
            Self::InTheWay(error) => error.code(),
            Self::Build { error, .. } => error.code(),
            Self::Write { .. } => ErrorCode::Io,
            Self::Runtime(error) => error.code(),
            Self::Verify(error) => error.code(),
        }
    }
}
