//! Errors as commands report them: every failure has a code, and the code decides the exit status.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use exporter::ExportError;
use files::OutputError;
use models::host::DecodeError;
use models::weights::WeightsError;
use runtime::RuntimeError;
use schemas::SettingError;
use schemas::error::{Coded, ErrorBody, ErrorCode};

use sweep::job::JobErrors;
use sweep::mlflow::MlflowError;
use sweep::study::StudyError;

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

impl Coded for Failure {
    fn code(&self) -> ErrorCode {
        self.code
    }
}

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

/// The code of an error: that of the first of its causes which has one. Where reading failed because there is no such file,
/// that is what went wrong, whoever tried to read it.
#[must_use]
pub fn code(error: &anyhow::Error) -> ErrorCode {
    let code = error.chain().find_map(|cause| CODED.iter().find_map(|of| of(cause))).unwrap_or(ErrorCode::Internal);
    let is_missing = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
    };
    if code == ErrorCode::Io && error.chain().any(is_missing) { ErrorCode::FileNotFound } else { code }
}

/// The error and its causes, each said once.
#[must_use]
pub fn text(error: &anyhow::Error) -> String {
    let text = schemas::error::chain(error.as_ref());
    if code(error) == ErrorCode::FileNotFound { text + "; check the path" } else { text }
}

/// The code of a cause, if it is of one type.
type CodeOf = fn(&(dyn std::error::Error + 'static)) -> Option<ErrorCode>;

/// Every type of error that has a code.
const CODED: [CodeOf; 13] = [
    of::<Failure>,
    of_torch,
    of::<OutputError>,
    of::<DataError>,
    of::<WeightsError>,
    of::<CheckpointError>,
    of::<ExportError>,
    of::<DecodeError>,
    of::<RuntimeError>,
    of::<JobErrors>,
    of::<StudyError>,
    of::<MlflowError>,
    of::<std::io::Error>,
];

fn of<E: Coded>(cause: &(dyn std::error::Error + 'static)) -> Option<ErrorCode> {
    cause.downcast_ref::<E>().map(Coded::code)
}

/// libtorch's errors are of one type; running out of memory is the only one that has a code of its own.
fn of_torch(cause: &(dyn std::error::Error + 'static)) -> Option<ErrorCode> {
    let is_memory = match (cause.downcast_ref::<tch::TchError>(), cause.downcast_ref::<bridge::BridgeError>()) {
        (Some(error), _) => bridge::is_out_of_memory(&error.to_string()),
        (None, Some(error)) => error.is_out_of_memory(),
        (None, None) => return None,
    };
    is_memory.then_some(ErrorCode::OutOfMemory)
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
        if bridge::is_out_of_memory(text) {
            let advice = "lower --training_batch_size, --validation_batch_size or --cache_mib";
            return Err(fail(ErrorCode::OutOfMemory, format!("memory ran out; {advice} ({first})")));
        }
        Err(fail(ErrorCode::Internal, format!("a fault in Fovea, please report it: {first}")))
    })
}

/// The error as `--json` prints it.
#[must_use]
pub fn body(error: &anyhow::Error) -> ErrorBody {
    let details = error.downcast_ref::<Failure>().map(|f| f.details.clone()).unwrap_or_default();
    let said = error.downcast_ref::<Failure>().map_or_else(|| text(error), |f| f.message.clone());
    ErrorBody { error: said, code: code(error), details }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use anyhow::Context;

    use super::*;

    #[test]
    fn a_missing_file_is_bad_input_and_is_said_once() {
        let missing = std::fs::read("/nowhere/rows.jsonl").unwrap_err();
        let said = missing.to_string();
        let error = DataError::Io { action: "read", path: Path::new("/nowhere/rows.jsonl").into(), source: missing };
        let error = Err::<(), _>(error).context("the training data cannot be used").unwrap_err();
        assert_eq!((code(&error), code(&error).exit_code()), (ErrorCode::FileNotFound, 2));
        let text = text(&error);
        assert!(text.starts_with("the training data cannot be used: cannot read /nowhere/rows.jsonl"), "{text}");
        assert_eq!(text.matches(&said).count(), 1, "{text}");

        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = DataError::Io { action: "write", path: Path::new("rows.jsonl").into(), source: full };
        assert_eq!(code(&error.into()).exit_code(), 1);
    }
}
