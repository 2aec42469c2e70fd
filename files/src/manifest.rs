//! The record of what was written into a folder: a hidden JSON file in it, which says of each file what wrote it and what its
//! contents were. A file is ours when it is listed and still has those contents; a file that somebody changed is theirs.
//!
//! A write is recorded before its first file has a name, so that a kill at any moment leaves either nothing, or files
//! that the record knows by their contents. A record that cannot be read makes nothing ours, and is itself left alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{self, RECORD_PREFIX};
use crate::error::{OutputError, Why};

/// Name of the record.
pub const FILE: &str = ".fovea-written.json";
/// How the name of a folder begins in which the files of a write are made.
pub(crate) const STAGING: &str = ".fovea-writing-";
/// Raised when an older program would misread the record.
const VERSION: u32 = 1;

/// What was written into a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// Of a run folder: how its run was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Start>,
    /// Writes, the oldest first.
    #[serde(default)]
    pub(crate) writes: Vec<Write>,
}

/// A run, as far as its folder has to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Whether its first checkpoint was written. Before that, nothing of it is worth keeping.
    pub begun: bool,
    /// Options it was started with that its plan does not have, by name.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// What one command wrote. All paths are relative to the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Write {
    /// The command, such as `convert csv`.
    pub command: String,
    /// `.` for the folder, or the name of the file it was told to write.
    pub output: String,
    /// Folder in which files are being made; none once all have their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
    /// Files.
    #[serde(default)]
    pub files: BTreeMap<String, Entry>,
    /// Folders that were made for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
}

/// What a file was when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// Whether it is a hard link to a file of the user's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub linked: bool,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, run: None, writes: Vec::new() }
    }
}

impl Manifest {
    /// Reads the record of a folder; an empty one where there is none.
    ///
    /// # Errors
    /// When there is a file of that name that is no record of this version.
    pub fn read(folder: &Path) -> Result<Self, OutputError> {
        let path = folder.join(FILE);
        let unusable = |problem: String| OutputError::one(&path, Why::Record(problem));
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(unusable("it is no ordinary file".to_owned())),
            Err(error) if is_absent(&error) => return Ok(Self::default()),
            Err(error) => return Err(OutputError::io("read", &path)(error)),
        }
        let bytes = fs::read(&path).map_err(OutputError::io("read", &path))?;
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let of: Versioned = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
        if of.version != VERSION {
            return Err(unusable(format!("its version is {}, this program knows {VERSION}", of.version)));
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
        match manifest.strange_path() {
            Some(strange) => Err(unusable(format!("{strange:?} is no path within this folder"))),
            None => Ok(manifest),
        }
    }

    /// Whether a folder has a record.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).symlink_metadata().is_ok()
    }

    /// Replaces the record of a folder; removes it where there is nothing to say.
    ///
    /// # Errors
    /// Any IO error.
    pub fn write(&self, folder: &Path) -> Result<(), OutputError> {
        let path = folder.join(FILE);
        if self.run.is_none() && self.writes.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if !is_absent(&error) => Err(OutputError::io("remove", &path)(error)),
                _ => Ok(()),
            };
        }
        let mut text = serde_json::to_vec_pretty(self).expect("plain data serialises");
        text.push(b'\n');
        atomic::replace_by(RECORD_PREFIX, &path, |out| out.write_all(&text)).map_err(OutputError::io("write", &path))
    }

    /// Whether it says only that a run was started, which has neither begun nor written anything.
    #[must_use]
    pub fn is_bare_start(&self) -> bool {
        self.writes.is_empty() && self.run.as_ref().is_some_and(|run| !run.begun)
    }

    /// Changes the start of the run that a folder holds.
    ///
    /// # Errors
    /// When the record cannot be read or written.
    pub fn set_run(folder: &Path, run: Option<Start>) -> Result<(), OutputError> {
        let _lock = lock(folder)?;
        let mut manifest = Self::read(folder)?;
        manifest.run = run;
        manifest.write(folder)
    }

    /// The commands that wrote this file, and what they wrote.
    pub(crate) fn entries<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a Write, &'a Entry)> {
        self.writes.iter().filter_map(move |write| Some((write, write.files.get(name)?)))
    }

    /// A path that leads out of the folder, or to what no write ever makes.
    fn strange_path(&self) -> Option<&str> {
        let files = self.writes.iter().flat_map(|w| w.files.keys().chain(&w.folders));
        let staged = self.writes.iter().filter_map(|w| w.staging.as_ref());
        let mut strange = files.filter(|name| !is_within(name) || *name == FILE);
        strange.next().or_else(|| staged.into_iter().find(|name| !is_staging(name))).map(String::as_str)
    }
}

/// Whether a path only leads down.
pub(crate) fn is_within(name: &str) -> bool {
    let normal = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    // `a/./b` and `a//b` have normal components only, and another spelling.
    normal && !name.is_empty() && Path::new(name).components().collect::<PathBuf>().as_os_str() == name
}

/// Whether a name is that of a folder in which files are made.
pub(crate) fn is_staging(name: &str) -> bool {
    atomic::is_drawn(STAGING, name.as_ref())
}

/// Whether an error says that a file is not there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Keeps other programs from changing the record of a folder while the value lives.
pub(crate) fn lock(folder: &Path) -> Result<File, OutputError> {
    let file = File::open(folder).map_err(OutputError::io("open", folder))?;
    // Some network file systems lock no folders; there two programs must not write into one at a time.
    if file.lock().is_ok() {
        // What a kill left of a record is nobody's now. If it cannot be removed it does no harm.
        let _ = atomic::sweep_of(folder, |name| atomic::is_drawn(RECORD_PREFIX, name));
    }
    Ok(file)
}
