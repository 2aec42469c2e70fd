//! Errors as programs see them: a stable code, and the tables of what follows from it, an exit code and an HTTP status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingError;
use crate::setting::choice;

choice! {
    /// What went wrong. Codes are never renamed or reused.
    ErrorCode {
        /// The command line cannot be read.
        InvalidArguments = "invalid_arguments",
        /// A setting is unknown, out of range, of the wrong kind, or contradicts another.
        InvalidSettings = "invalid_settings",
        /// A dataset has no usable row, or a bad one and `ignore_data_errors` is off.
        InvalidDataset = "invalid_dataset",
        /// No model of this name exists, or it cannot do the task.
        UnsupportedModel = "unsupported_model",
        /// A checkpoint is damaged, incomplete, or of another model.
        InvalidCheckpoint = "invalid_checkpoint",
        /// A file is no model of Fovea's, or a damaged one.
        InvalidModelFile = "invalid_model_file",
        /// Pretrained weights are damaged or do not fit.
        InvalidWeights = "invalid_weights",
        /// Pretrained weights are asked for and are not to be had.
        WeightsUnavailable = "weights_unavailable",
        /// The device or arithmetic asked for is not there.
        DeviceUnavailable = "device_unavailable",
        /// The run folder holds something else, or another process uses it.
        OutputInUse = "output_in_use",
        /// A file or folder that was named does not exist.
        FileNotFound = "file_not_found",
        /// Reading or writing failed.
        Io = "io",
        /// A native library is missing or of the wrong version.
        NativeLibrary = "native_library",
        /// The loss is no longer a usable number.
        TrainingDiverged = "training_diverged",
        /// Memory of the machine or the device ran out.
        OutOfMemory = "out_of_memory",
        /// An exported file does not answer as the checkpoint does.
        VerificationFailed = "verification_failed",
        /// Told to stop; `--resume` goes on.
        Interrupted = "interrupted",
        /// What was sent is not HTTP.
        MalformedRequest = "malformed_request",
        /// A request's first line and headers did not arrive in time.
        SlowHead = "slow_head",
        /// A request's first line and headers are too long, or too many.
        HeadTooLarge = "head_too_large",
        /// A request without the body it needs.
        EmptyBody = "empty_body",
        /// A body that ended early or whose framing is broken.
        BrokenBody = "broken_body",
        /// Not JSON, or not of the expected shape.
        InvalidJson = "invalid_json",
        /// A request of the right shape that asks for something impossible.
        InvalidRequest = "invalid_request",
        /// Text that is not base64.
        InvalidBase64 = "invalid_base64",
        /// Bytes that are not a usable image.
        InvalidImage = "invalid_image",
        /// No such path.
        NotFound = "not_found",
        /// No such model, or version of it, is loaded.
        UnknownModel = "unknown_model",
        /// The path exists, the method does not.
        MethodNotAllowed = "method_not_allowed",
        /// A body that did not arrive in time.
        SlowBody = "slow_body",
        /// An image beyond a limit of bytes, side or pixels.
        ImageTooLarge = "image_too_large",
        /// A body beyond the limit.
        BodyTooLarge = "body_too_large",
        /// More images than one request may hold.
        TooManyImages = "too_many_images",
        /// A request that needs more memory than requests may take.
        TooMuchMemory = "too_much_memory",
        /// A content type that the path does not read.
        UnsupportedMediaType = "unsupported_media_type",
        /// A content encoding that the server does not read.
        UnsupportedEncoding = "unsupported_encoding",
        /// What clients of this server may not do.
        Forbidden = "forbidden",
        /// The server has no room for the request now.
        Overloaded = "overloaded",
        /// The answer was not there in the time that it has.
        DeadlineExceeded = "deadline_exceeded",
        /// The model is not loaded yet, or the server is about to end.
        NotReady = "not_ready",
        /// The model failed on an input that it should have taken.
        ModelFailed = "model_failed",
        /// A fault in Fovea.
        Internal = "internal",
    }
}

impl ErrorCode {
    /// Exit code of a command that ends with this error: 2 for bad input or configuration, 75 for an interruption after
    /// which the command can be resumed, 1 for anything else. (Success is 0.)
    #[must_use]
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Interrupted => 75,
            Self::InvalidArguments
            | Self::InvalidSettings
            | Self::InvalidDataset
            | Self::UnsupportedModel
            | Self::InvalidCheckpoint
            | Self::InvalidModelFile
            | Self::InvalidWeights
            | Self::WeightsUnavailable
            | Self::DeviceUnavailable
            | Self::OutputInUse
            | Self::FileNotFound
            | Self::MalformedRequest
            | Self::HeadTooLarge
            | Self::EmptyBody
            | Self::InvalidJson
            | Self::InvalidRequest
            | Self::InvalidBase64
            | Self::InvalidImage
            | Self::NotFound
            | Self::UnknownModel
            | Self::Forbidden
            | Self::MethodNotAllowed
            | Self::ImageTooLarge
            | Self::BodyTooLarge
            | Self::TooManyImages
            | Self::TooMuchMemory
            | Self::UnsupportedMediaType
            | Self::UnsupportedEncoding => 2,
            Self::Io
            | Self::NativeLibrary
            | Self::TrainingDiverged
            | Self::OutOfMemory
            | Self::VerificationFailed
            | Self::BrokenBody
            | Self::SlowHead
            | Self::SlowBody
            | Self::Overloaded
            | Self::DeadlineExceeded
            | Self::NotReady
            | Self::ModelFailed
            | Self::Internal => 1,
        }
    }
}

impl ErrorCode {
    /// Status of the HTTP answer that reports this error: 4xx for what the client sent, 5xx for what the server lacks. The
    /// codes that only commands end with have the status of their kind.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidArguments
            | Self::InvalidSettings
            | Self::InvalidDataset
            | Self::UnsupportedModel
            | Self::InvalidCheckpoint
            | Self::InvalidModelFile
            | Self::InvalidWeights
            | Self::OutputInUse
            | Self::MalformedRequest
            | Self::EmptyBody
            | Self::BrokenBody
            | Self::InvalidJson
            | Self::InvalidRequest
            | Self::InvalidBase64
            | Self::InvalidImage => 400,
            Self::Forbidden => 403,
            Self::FileNotFound | Self::NotFound | Self::UnknownModel => 404,
            Self::MethodNotAllowed => 405,
            Self::SlowHead | Self::SlowBody => 408,
            Self::ImageTooLarge | Self::BodyTooLarge | Self::TooManyImages | Self::TooMuchMemory => 413,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => 415,
            Self::Overloaded => 429,
            Self::HeadTooLarge => 431,
            Self::Io
            | Self::NativeLibrary
            | Self::TrainingDiverged
            | Self::OutOfMemory
            | Self::VerificationFailed
            | Self::ModelFailed
            | Self::Internal => 500,
            Self::WeightsUnavailable
            | Self::DeviceUnavailable
            | Self::Interrupted
            | Self::DeadlineExceeded
            | Self::NotReady => 503,
        }
    }
}

impl ErrorCode {
    /// Status of the gRPC call that ends with this error, as a number: 3 `INVALID_ARGUMENT`, 4 `DEADLINE_EXCEEDED`, 5 `NOT_FOUND`,
    /// 7 `PERMISSION_DENIED`, 8 `RESOURCE_EXHAUSTED`, 12 `UNIMPLEMENTED`, 13 `INTERNAL`, 14 `UNAVAILABLE`. It follows from
    /// [`Self::http_status`], but for what gRPC has names of its own for: a path is a method there, and a deadline is the client's.
    #[must_use]
    pub const fn grpc_status(self) -> i32 {
        match (self, self.http_status()) {
            (Self::NotFound, _) | (_, 405 | 415) => 12,
            (Self::DeadlineExceeded, _) | (_, 408) => 4,
            (_, 403) => 7,
            (_, 404) => 5,
            (_, 413 | 429 | 431) => 8,
            (_, 503) => 14,
            (_, status) if status < 500 => 3,
            _ => 13,
        }
    }
}

/// An error that knows its code. From the code follow the exit code of a command and the status of an HTTP answer.
pub trait Coded: std::error::Error + 'static {
    /// What went wrong, for programs.
    fn code(&self) -> ErrorCode;
}

impl Coded for std::io::Error {
    fn code(&self) -> ErrorCode {
        if self.kind() == std::io::ErrorKind::NotFound { ErrorCode::FileNotFound } else { ErrorCode::Io }
    }
}

/// The JSON of an error: the body of an HTTP error, and what `--json` prints when a command fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// Place, offending value, limit, and what to do; for people.
    pub error: String,
    /// For programs.
    pub code: ErrorCode,
    /// Each single error, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl ErrorBody {
    /// A body with one text.
    #[must_use]
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self { error: error.into(), code, details: Vec::new() }
    }

    /// A body for everything that is wrong with the settings of a run.
    #[must_use]
    pub fn settings(errors: &[SettingError]) -> Self {
        let details: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let body = Self::new(ErrorCode::InvalidSettings, details.join("\n"));
        if details.len() > 1 { Self { details, ..body } } else { body }
    }
}

/// An error and its causes in one line, each said once: many errors have the text of their cause in their own.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for cause in std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        #[derive(Debug)]
        struct Caused(&'static str, Option<Box<Self>>);
        impl std::fmt::Display for Caused {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl std::error::Error for Caused {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.1.as_ref().map(|cause| cause.as_ref() as _)
            }
        }
        let of = |text, cause: Option<Caused>| Caused(text, cause.map(Box::new));
        let full = || of("no space left", None);
        let cases = [
            (full(), "no space left"),
            (of("cannot write x", Some(full())), "cannot write x: no space left"),
            (of("cannot write x: no space left", Some(full())), "cannot write x: no space left"),
            (
                of("the export failed", Some(of("cannot write x: no space left", Some(full())))),
                "the export failed: cannot write x: no space left",
            ),
            (of("", Some(full())), "no space left"),
        ];
        for (error, text) in cases {
            assert_eq!(chain(&error), text);
        }
    }

    #[test]
    fn codes_are_snake_case_unique_and_round_trip() {
        let unique: std::collections::BTreeSet<_> = ErrorCode::NAMES.iter().collect();
        assert_eq!(unique.len(), ErrorCode::NAMES.len());
        for name in ErrorCode::NAMES {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
            let code: ErrorCode = serde_json::from_value((*name).into()).unwrap();
            assert_eq!(code.as_str(), *name);
            assert!([1, 2, 75].contains(&code.exit_code()));
            assert!((400..600).contains(&code.http_status()), "{name}");
            // The two protocols agree about whose fault it is; gRPC has one status for all that takes too long.
            let is_ours = [13, 14].contains(&code.grpc_status()) || code == ErrorCode::DeadlineExceeded;
            assert_eq!(is_ours, code.http_status() >= 500, "{name}");
        }
        assert_eq!(ErrorCode::Interrupted.exit_code(), 75);
        assert_eq!(ErrorCode::InvalidSettings.exit_code(), 2);
        assert_eq!(ErrorCode::Internal.exit_code(), 1);
    }

    #[test]
    fn several_setting_errors_are_listed_one_by_one() {
        let missing = |name: &str| SettingError::Missing { name: name.to_owned(), hint: "give it".to_owned() };
        let one = serde_json::to_string(&ErrorBody::settings(&[missing("task")])).unwrap();
        assert_eq!(one, r#"{"error":"`task` is missing; give it","code":"invalid_settings"}"#);
        let two = ErrorBody::settings(&[missing("task"), missing("model_name")]);
        assert_eq!(two.details.len(), 2);
        assert_eq!(serde_json::from_str::<ErrorBody>(&serde_json::to_string(&two).unwrap()).unwrap(), two);
    }
}
