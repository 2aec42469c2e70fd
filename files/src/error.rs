//! Why nothing was written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use schemas::{Coded, ErrorCode};

/// What keeps a command from writing. Whatever it is, no file of the user's has been touched.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Something is in the way of an output.
    #[error("{} {why}{}; {}", path.display(), and_more(*more), why.advice())]
    InTheWay {
        /// The first output that cannot be written.
        path: PathBuf,
        /// Why.
        why: Why,
        /// How many others cannot be written either.
        more: usize,
    },
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

/// What is in the way of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A file that no manifest lists.
    NotOurs,
    /// A file that this command wrote, and `--overwrite` is not given.
    Ours(String),
    /// A file that this command wrote and somebody has changed.
    Changed(String),
    /// A hard link whose other name is gone, so that it is the last of an image of the user's.
    LastLink,
    /// A file that the command reads.
    Read,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A file that should be a folder.
    File,
    /// A device, a socket, a pipe.
    Special,
    /// Two outputs of the command would have this name, at least where capital letters do not count.
    Twice,
    /// It names no file.
    Nameless,
    /// A name of the record itself, or one that leads out of the folder.
    Reserved,
    /// The record of what was written here cannot be read: it is damaged, of a newer version, or somebody else's.
    Record(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("is there already and is no file that Fovea wrote"),
            Self::Ours(command) => write!(f, "is there already, written by `{command}`"),
            Self::Changed(command) => write!(f, "has been changed since `{command}` wrote it"),
            Self::LastLink => f.write_str("is the last name of an image that was linked, not copied"),
            Self::Read => f.write_str("is read by this command and would be overwritten by it"),
            Self::Link => f.write_str("is a symbolic link"),
            Self::Folder => f.write_str("is a folder, where a file is to be written"),
            Self::File => f.write_str("is a file, where a folder is needed"),
            Self::Special => f.write_str("is no ordinary file"),
            Self::Twice => f.write_str("is the name of two outputs (where capital letters do not count)"),
            Self::Nameless => f.write_str("names no file or folder"),
            Self::Reserved => {
                f.write_str("is no name for an output: Fovea keeps its own record under it, or it leads elsewhere")
            }
            Self::Record(problem) => write!(f, "is no record of what was written here that can be read: {problem}"),
        }
    }
}

impl Why {
    /// What to do.
    fn advice(&self) -> &'static str {
        match self {
            Self::Ours(_) => "replace what was written with --overwrite, or choose another output",
            Self::NotOurs | Self::Changed(_) | Self::LastLink | Self::Special => {
                "it is left as it is: choose another output, or move it away"
            }
            Self::Read => "choose another output",
            Self::Link | Self::Folder | Self::File => "nothing is written through or over it: choose another output",
            Self::Twice => "rename one of the inputs",
            Self::Reserved => "choose another name",
            Self::Nameless => "name a file, such as results/name",
            Self::Record(_) => {
                "whose the files here are cannot be told: choose another output, or move the record away"
            }
        }
    }
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and one more is in the way)".to_owned(),
        more => format!(" (and {more} more are in the way)"),
    }
}

impl Coded for OutputError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InTheWay { .. } => ErrorCode::OutputInUse,
            Self::Io { .. } => ErrorCode::Io,
        }
    }
}

impl OutputError {
    pub(crate) fn one(path: &Path, why: Why) -> Self {
        Self::InTheWay { path: path.to_owned(), why, more: 0 }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
