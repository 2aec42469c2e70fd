//! Why a file was not found to be the checkpoint it was made from.

use std::path::{Path, PathBuf};

use models::weights::CheckpointError;
use schemas::{Coded, ErrorCode};

/// Why a file was not found to be the checkpoint it was made from.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing was recorded.
    #[error("{path:?} is missing: it holds the outputs that the export is compared with; {}", remedy(.checkpoint))]
    Missing {
        /// File.
        path: PathBuf,
        /// Weights it belongs to.
        checkpoint: PathBuf,
    },
    /// It was recorded for other weights.
    #[error(
        "{path:?} was recorded for other weights (sha256 {recorded}; {checkpoint:?} has {actual}); {}", remedy(.checkpoint)
    )]
    Stale {
        /// File.
        path: PathBuf,
        /// Weights beside it.
        checkpoint: PathBuf,
        /// Checksum it was recorded for.
        recorded: String,
        /// Checksum of the weights.
        actual: String,
    },
    /// The file is not what it should be.
    #[error("{path:?}: {problem}; {}", remedy(.checkpoint))]
    Unusable {
        /// File.
        path: PathBuf,
        /// Weights beside it.
        checkpoint: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] CheckpointError),
    /// The model did not run.
    #[error("the exported model does not run ({check}, image {image}): {problem}; nothing was written")]
    Run {
        /// Which comparison.
        check: String,
        /// Number of the recorded image, from 0.
        image: usize,
        /// What the runtime says.
        problem: String,
    },
    /// The model ran and answered something else.
    #[error(
        "the exported model disagrees with the checkpoint ({check}, image {image}): class {label:?} has probability {found}, recorded was {recorded}, and at most {limit} of difference is accepted; nothing was written; please report this with the checkpoint"
    )]
    Mismatch {
        /// Which comparison.
        check: String,
        /// Number of the recorded image, from 0.
        image: usize,
        /// Class with the largest difference.
        label: String,
        /// What the exported model says.
        found: f32,
        /// What was recorded.
        recorded: f32,
        /// Largest accepted difference.
        limit: f32,
    },
    /// The file gives features, and none were recorded to compare them with.
    #[error("{path:?} was recorded by an older version and holds no features; delete it, then {}", remedy(.checkpoint))]
    NoFeatures {
        /// File.
        path: PathBuf,
        /// Weights beside it.
        checkpoint: PathBuf,
    },
    /// The features cannot be had, or are others.
    #[error(
        "the exported model disagrees with the checkpoint (features): {problem}; nothing was written; please report this with the checkpoint"
    )]
    Features {
        /// What does not fit.
        problem: String,
    },
    /// The model ran and found something else.
    #[error(
        "the exported model disagrees with the checkpoint ({check}, image {image}): {problem}; nothing was written; please report this with the checkpoint"
    )]
    Boxes {
        /// Which comparison.
        check: String,
        /// Number of the recorded image, from 0.
        image: usize,
        /// What does not fit.
        problem: String,
    },
}

impl Coded for VerifyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } | Self::Stale { .. } | Self::Unusable { .. } => ErrorCode::InvalidCheckpoint,
            Self::Read(error) => error.code(),
            Self::NoFeatures { .. } => ErrorCode::InvalidArguments,
            Self::Run { .. } | Self::Mismatch { .. } | Self::Features { .. } | Self::Boxes { .. } => {
                ErrorCode::VerificationFailed
            }
        }
    }
}

fn remedy(checkpoint: &Path) -> String {
    let folder = checkpoint.parent().unwrap_or(checkpoint).display();
    format!("record it again with: trainer evaluate --checkpoint {folder} --data test.jsonl")
}
