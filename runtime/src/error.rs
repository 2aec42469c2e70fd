//! Errors between a model file and its answers.

use std::path::PathBuf;

use schemas::{Coded, ErrorCode};
use thiserror::Error;

use crate::{provider::Provider, scan::Fault};

/// A failure to find ONNX Runtime, to open a model, or to run it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// This process lacks the environment variable that keeps ONNX Runtime from reporting to its maker.
    #[error(
        "ONNX Runtime is not opened, because it would report from this machine: {} must be {} before the program starts; \
         {problem}. Start it with `{0}={1}` in its environment",
        crate::telemetry::VARIABLE,
        crate::telemetry::VALUE
    )]
    Telemetry {
        /// What the variable is, and why the program could not set it itself.
        problem: String,
    },
    /// No library in any of the places that are searched.
    #[error(
        "ONNX Runtime (libonnxruntime.so*) was not found; searched: {}. Run scripts/setup, or name the file in {}",
        .searched.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "),
        crate::LIBRARY_VARIABLE
    )]
    LibraryNotFound {
        /// Files and folders that were looked at, in order.
        searched: Vec<PathBuf>,
    },
    /// The library is there and cannot be used.
    #[error("ONNX Runtime at {} cannot be loaded: {reason}", .path.display())]
    Library {
        /// The file that was tried.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The file cannot be read, or is not an ONNX model that ONNX Runtime accepts.
    #[error("{place}: not a model that ONNX Runtime can open: {reason}")]
    Open {
        /// File name, or `model in memory`.
        place: String,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// A file that ONNX Runtime does not get to see: broken, or with what no file of Fovea has.
    #[error(
        "{place}: the model file is refused: {fault}. Take a file that `exporter --checkpoint RUN --output model.onnx` wrote, \
         from somebody you trust"
    )]
    Refused {
        /// File name, or `model in memory`.
        place: String,
        /// What is wrong, and where.
        fault: Fault,
    },
    /// An ONNX model, but not one that Fovea's exporter wrote.
    #[error("{place}: no Fovea model: {reason}. Export it with `exporter --checkpoint RUN --output model.onnx`")]
    NotFovea {
        /// File name, or `model in memory`.
        place: String,
        /// What is missing or does not fit.
        reason: String,
    },
    /// A provider that is not there, cannot be started, or does not take the model.
    #[error("the provider {provider} cannot be used: {reason}")]
    Provider {
        /// What was asked for.
        provider: Provider,
        /// What is missing, or what ONNX Runtime said, and what to do.
        reason: String,
    },
    /// A provider that answers otherwise than the processor.
    #[error(
        "the provider {provider} does not reproduce the processor's answers about {} images: {reason}. Its answers are not to \
         be trusted; run the model on the cpu, or try another version of the driver and its libraries",
        crate::sample::IMAGES
    )]
    Differs {
        /// What was asked for.
        provider: Provider,
        /// What differs, and by how much.
        reason: String,
    },
    /// Which provider runs what could not be found out.
    #[error("it is not known which provider runs what: {reason}")]
    Profile {
        /// What there is no place for, or what ONNX Runtime did not tell.
        reason: String,
    },
    /// The images, their sizes or the thresholds do not fit the model; or it answers another question.
    #[error("{problem}")]
    Input {
        /// What was given, and what the model takes.
        problem: String,
    },
    /// ONNX Runtime failed while running, or answered something that the model file does not declare.
    #[error("the model could not be run: {reason}")]
    Run {
        /// What ONNX Runtime said.
        reason: String,
    },
}

impl Coded for RuntimeError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Telemetry { .. } | Self::LibraryNotFound { .. } | Self::Library { .. } | Self::Provider { .. } => {
                ErrorCode::NativeLibrary
            }
            Self::Open { .. } | Self::Refused { .. } | Self::NotFovea { .. } => ErrorCode::InvalidModelFile,
            Self::Input { .. } => ErrorCode::InvalidRequest,
            Self::Run { .. } | Self::Profile { .. } | Self::Differs { .. } => ErrorCode::ModelFailed,
        }
    }
}
