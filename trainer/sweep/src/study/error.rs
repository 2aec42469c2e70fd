//! What can go wrong with a study as a whole; what goes wrong with a trial is kept with the trial.

use std::io;
use std::path::{Path, PathBuf};

use schemas::error::{Coded, ErrorCode};

/// Why a study cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The folder holds something else, or a study that was not asked to go on.
    #[error("{folder} {problem}")]
    InTheWay {
        /// The folder.
        folder: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// There is no study to go on with.
    #[error("{0} holds no study: nothing to resume")]
    Missing(PathBuf),
    /// Another coordinator works on it.
    #[error("{0} is in use by another process; wait for it or stop it")]
    InUse(PathBuf),
    /// The folder is on a file system whose locks cannot be relied on.
    #[error(
        "{folder} is on {system}, where the database of a study can be damaged, because locks do not hold between machines; give an \
         --output on a local disk"
    )]
    Network {
        /// The folder.
        folder: PathBuf,
        /// The file system.
        system: &'static str,
    },
    /// Another version of Fovea wrote it.
    #[error("{path} has version {found}, this program knows {known}; use the version of Fovea that began the study")]
    Version {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// What is known.
        known: i64,
    },
    /// The database cannot be read or written.
    #[error("{path}: {source}")]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// What the database holds cannot be understood.
    #[error("{path}: {problem}")]
    Broken {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The disk is full, and was for as long as one may wait.
    #[error("{folder}: the disk is full ({} MiB free); make room, then go on with --resume", free >> 20)]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
    },
    /// The first trials were all refused for the same reason, so the others would be.
    #[error("the first {count} trials were refused, the last of them: {reason}")]
    Refused {
        /// How many.
        count: usize,
        /// What the last one said.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StudyError {
    /// Whether it may work as soon as there is room on the disk.
    pub(super) fn is_full(&self) -> bool {
        // Where the file of shared memory cannot grow, SQLite says that reading or writing failed.
        let full = |code| matches!(code, rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure);
        matches!(self, Self::Database { source, .. } if source.sqlite_error_code().is_some_and(full))
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

impl Coded for StudyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InTheWay { .. } | Self::InUse(_) | Self::Network { .. } => ErrorCode::OutputInUse,
            Self::Missing(_) => ErrorCode::FileNotFound,
            Self::NoRoom { .. } => ErrorCode::Interrupted,
            Self::Version { .. } | Self::Refused { .. } => ErrorCode::InvalidSettings,
            Self::Database { .. } | Self::Broken { .. } | Self::Io { .. } => ErrorCode::Io,
        }
    }
}
