//! Errors as commands report them: every failure has a code, and the code decides the exit status.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use exporter::ExportError;
use files::OutputError;
use models::host::DecodeError;
use models::weights::WeightsError;
use runtime::RuntimeError;
use schemas::SettingError;
use schemas::error::{ErrorBody, ErrorCode};

use crate::nn::checkpoint::CheckpointError;
use dataset::DataError;

/// A failure whose code is known where it arises.
#[derive(Debug)]
pub struct Failure {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Each single error, when there are several.
    pub details: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.details.iter().try_for_each(|detail| write!(f, "\n  {detail}"))
    }
}

impl std::error::Error for Failure {}

/// A failure with this code and text.
pub fn fail(code: ErrorCode, message: impl Into<String>) -> anyhow::Error {
    Failure { code, message: message.into(), details: Vec::new() }.into()
}

/// All that is wrong with the settings, at once.
#[must_use]
pub fn settings(errors: &[SettingError]) -> anyhow::Error {
    let details: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let message = format!("{} of the options cannot be used", details.len());
    Failure { code: ErrorCode::InvalidSettings, message, details }.into()
}

/// The code of an error: its own, or that of the first cause that has one.
#[must_use]
pub fn code(error: &anyhow::Error) -> ErrorCode {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.code;
    }
    for cause in error.chain() {
        if is_out_of_memory(&cause.to_string()) {
            return ErrorCode::OutOfMemory;
        } else if let Some(error) = cause.downcast_ref::<OutputError>() {
            return of_output(error);
        } else if let Some(error) = cause.downcast_ref::<DataError>() {
            return match error {
                DataError::Io { .. } => ErrorCode::Io,
                DataError::Output(error) => of_output(error),
                DataError::Panic { .. } => ErrorCode::Internal,
                _ => ErrorCode::InvalidDataset,
            };
        } else if let Some(error) = cause.downcast_ref::<WeightsError>() {
            return match error {
                WeightsError::NotCached { .. } | WeightsError::Unpublished { .. } => ErrorCode::WeightsUnavailable,
                _ => ErrorCode::InvalidWeights,
            };
        } else if let Some(error) = cause.downcast_ref::<CheckpointError>() {
            return match error {
                CheckpointError::Io { .. } | CheckpointError::File(models::weights::CheckpointError::Read { .. }) => {
                    ErrorCode::Io
                }
                CheckpointError::File(_) | CheckpointError::Invalid { .. } => ErrorCode::InvalidCheckpoint,
            };
        } else if let Some(error) = cause.downcast_ref::<ExportError>() {
            return match error {
                ExportError::Verify(_) => ErrorCode::VerificationFailed,
                ExportError::Runtime(_) => ErrorCode::NativeLibrary,
                ExportError::Write { .. } => ErrorCode::Io,
                ExportError::InTheWay(error) => of_output(error),
                ExportError::Output { .. }
                | ExportError::Features { .. }
                | ExportError::TooLarge { .. }
                | ExportError::Settings { .. } => ErrorCode::InvalidArguments,
                ExportError::UnknownModel { .. } | ExportError::Task { .. } => ErrorCode::UnsupportedModel,
                ExportError::Checkpoint(_) | ExportError::Build { .. } => ErrorCode::InvalidCheckpoint,
            };
        } else if cause.is::<DecodeError>() {
            return ErrorCode::InvalidImage;
        } else if let Some(error) = cause.downcast_ref::<RuntimeError>() {
            return match error {
                RuntimeError::Telemetry { .. }
                | RuntimeError::LibraryNotFound { .. }
                | RuntimeError::Library { .. } => ErrorCode::NativeLibrary,
                RuntimeError::Run { .. } => ErrorCode::ModelFailed,
                _ => ErrorCode::InvalidModelFile,
            };
        } else if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return if error.kind() == std::io::ErrorKind::NotFound { ErrorCode::FileNotFound } else { ErrorCode::Io };
        }
    }
    ErrorCode::Internal
}

fn of_output(error: &OutputError) -> ErrorCode {
    match error {
        OutputError::InTheWay { .. } => ErrorCode::OutputInUse,
        OutputError::Io { .. } => ErrorCode::Io,
    }
}

/// Runs a command. libtorch's errors arrive as panics; they become failures like any other, so that running out of memory
/// says what to do.
///
/// # Errors
/// The command's own, or what it panicked with.
pub fn contained<R>(command: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<R> {
    catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let first = text.lines().next().unwrap_or_default();
        if is_out_of_memory(text) {
            let advice = "lower --training_batch_size, --validation_batch_size or --cache_mib";
            return Err(fail(ErrorCode::OutOfMemory, format!("memory ran out; {advice} ({first})")));
        }
        Err(fail(ErrorCode::Internal, format!("a fault in Fovea, please report it: {first}")))
    })
}

/// Whether libtorch says so: its allocators have no error of their own.
fn is_out_of_memory(text: &str) -> bool {
    text.contains("out of memory") || text.contains("can't allocate memory")
}

/// The error as `--json` prints it.
#[must_use]
pub fn body(error: &anyhow::Error) -> ErrorBody {
    let details = error.downcast_ref::<Failure>().map(|f| f.details.clone()).unwrap_or_default();
    let text = error.downcast_ref::<Failure>().map_or_else(|| format!("{error:#}"), |f| f.message.clone());
    ErrorBody { error: text, code: code(error), details }
}
