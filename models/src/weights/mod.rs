//! Published weights: what there is, where it is looked for, and how a file becomes parameters.
//!
//! [`read`] opens `.safetensors` and PyTorch `.pth`/`.pt` files (both containers that `torch.save` ever wrote) without
//! executing anything in them. [`load`] lays a file beside the entries a network wants and reports what fits.
//! [`published`] is the table of weights that `--pretrained auto` knows, [`checkpoint`] the reader of a run's checkpoints.

pub mod checkpoint;
mod fit;
mod foreign;
mod globals;
pub mod keymap;
pub mod load;
mod pickle;
mod positions;
pub mod published;
pub mod tensors;
mod torch_file;
mod zip;

use std::path::{Path, PathBuf};

use schemas::{Coded, ErrorCode};

pub use checkpoint::{CheckpointError, CheckpointFile};
pub use fit::Origin;
pub use foreign::Foreign;
pub use load::{Assignments, LoadReport, Values, Wanted, load};
pub use published::{Found, PUBLISHED, Published, hex, locate, sha256_hex, sha256_of};
pub use tensors::{Dtype, NamedTensor, StateDict, TensorFile, read};

/// Why weights could not be had. Every message names the file and ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file is damaged, of another kind, or uses something a state dict does not need.
    #[error("{}: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, the limit it breaks, and what to do.
        what: String,
    },
    /// The file is intact, but it is not the weights of this network.
    #[error("{}: does not fit {model}: {report}; name a file of the same architecture, or pass --pretrained none", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The network.
        model: String,
        /// What is missing, unexpected or of another shape.
        report: Box<LoadReport>,
    },
    /// The table has no weights for the network.
    #[error(
        "no published weights are known for {model}; pass --pretrained FILE, or --pretrained none to start from random weights"
    )]
    Unpublished {
        /// The network.
        model: String,
    },
    /// The published file is in none of the folders that are searched, and was not fetched.
    #[error(
        "the published weights of {model} ({file}, {source_name}) are not on this machine{}; put that file into {}, or pass \
         --pretrained FILE with weights of your own, or --pretrained none to start from random weights",
        reason.as_ref().map(|why| format!(" and cannot be fetched: {why}")).unwrap_or_default(),
        folders_text(searched)
    )]
    NotCached {
        /// The network.
        model: String,
        /// File name looked for.
        file: &'static str,
        /// Who publishes it.
        source_name: &'static str,
        /// Folders looked into, in order.
        searched: Vec<PathBuf>,
        /// Why it was not fetched, where that was tried.
        reason: Option<String>,
    },
    /// A file of the published name has other contents.
    #[error("{}: SHA-256 is {found}, but the published file's begins with {expected}; delete the file and fetch it again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What the table says.
        expected: &'static str,
        /// What the file has.
        found: String,
    },
}

impl Coded for WeightsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotCached { .. } | Self::Unpublished { .. } => ErrorCode::WeightsUnavailable,
            Self::Io { .. } | Self::Format { .. } | Self::Mismatch { .. } | Self::Checksum { .. } => {
                ErrorCode::InvalidWeights
            }
        }
    }
}

impl WeightsError {
    pub(crate) fn format(path: &Path, what: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), what: what.into() }
    }
}

fn folders_text(folders: &[PathBuf]) -> String {
    match folders {
        [] => "the folder named by FOVEA_WEIGHTS".to_owned(),
        [first, ..] => format!("{} (or the folder named by FOVEA_WEIGHTS)", first.display()),
    }
}
