//! Why something did not get to MLflow.

use std::io;
use std::path::{Path, PathBuf};

use schemas::{Coded, ErrorCode};

/// What keeps something from MLflow, or from a model folder. Secrets are in none of the texts.
#[derive(Debug, thiserror::Error)]
pub enum MlflowError {
    /// The address of the server cannot be used.
    #[error("--mlflow {address}: {why}; give the address as http://HOST:PORT or https://HOST[:PORT][/PATH]")]
    Address {
        /// As given; without user and password.
        address: String,
        /// Why.
        why: &'static str,
    },
    /// A credential cannot be sent.
    #[error("{variable} {why}; set it to the value that the server's administrator gave you")]
    Credential {
        /// The environment variable.
        variable: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The user wants no network.
    #[error("--mlflow {0}: FOVEA_OFFLINE forbids it; unset the variable, or leave --mlflow out")]
    Offline(String),
    /// No answer of the server.
    #[error(
        "{place}: {why} ({tries} tries); check that an MLflow server runs there and can be reached from this machine"
    )]
    Unreachable {
        /// What was attempted, and where.
        place: String,
        /// Of the last try.
        why: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The server refused.
    #[error("{place}: the server answered {status}{}{}; {}", code_in(error_code), text_in(message), advice(*status, error_code))]
    Refused {
        /// What was attempted, and where.
        place: String,
        /// HTTP status.
        status: u16,
        /// MLflow's code, such as `RESOURCE_DOES_NOT_EXIST`; empty when the answer had none.
        error_code: String,
        /// MLflow's text, or the beginning of the answer.
        message: String,
    },
    /// An answer of another shape than MLflow's.
    #[error("{place}: {why}; check that the address is that of an MLflow server (2.0 or later) and of nothing else")]
    Answer {
        /// What was attempted, and where.
        place: String,
        /// What is missing.
        why: String,
    },
    /// An experiment of this name is in the server's bin.
    #[error("experiment `{name}`: it is deleted on the MLflow server; restore it there, or choose another name")]
    DeletedExperiment {
        /// Its name.
        name: String,
    },
    /// A name that MLflow does not take.
    #[error("{what} `{name}`: {why}; choose another")]
    Name {
        /// What has the name.
        what: &'static str,
        /// The name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// The run keeps its artifacts where they cannot be put from here.
    #[error(
        "artifacts of the run cannot be uploaded to {uri}: {why}; start the MLflow server with --artifacts-destination, so that it \
         takes artifacts itself, and use a new experiment"
    )]
    ArtifactStore {
        /// The run's `artifact_uri`.
        uri: String,
        /// Why.
        why: &'static str,
    },
    /// Something is where the model folder is to be.
    #[error("{} is there already; it is left as it is: choose another folder, or move it away", .0.display())]
    InTheWay(PathBuf),
    /// Reading or writing failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: `read`, `write`, `make`...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn code_in(error_code: &str) -> String {
    if error_code.is_empty() { String::new() } else { format!(" {error_code}") }
}

fn text_in(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn advice(status: u16, error_code: &str) -> &'static str {
    match status {
        300..=399 => "give --mlflow the address that it redirects to",
        401 | 403 => {
            "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, and what the account may do"
        }
        404 | 405 if error_code.is_empty() => {
            "check that --mlflow names an MLflow server, with the path it is served under"
        }
        413 => "raise the limit of request bodies of the server or the proxy in front of it",
        429 | 500..=599 => "look into the server's log, and try again",
        _ => "change what the message names",
    }
}

impl MlflowError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the server refused with this code of MLflow's.
    pub(super) fn is_refusal(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { error_code, .. } if error_code == wanted)
    }
}

impl Coded for MlflowError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Address { .. } | Self::Credential { .. } | Self::Offline(_) => ErrorCode::InvalidArguments,
            Self::DeletedExperiment { .. } | Self::Name { .. } | Self::ArtifactStore { .. } => {
                ErrorCode::InvalidSettings
            }
            Self::Refused { status, .. } if *status < 500 => ErrorCode::InvalidSettings,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Answer { .. } => ErrorCode::Io,
            Self::InTheWay(_) => ErrorCode::OutputInUse,
            Self::Io { source, .. } => source.code(),
        }
    }
}
