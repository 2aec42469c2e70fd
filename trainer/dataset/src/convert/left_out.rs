//! What a conversion could not use: listed in a file beside what it wrote.

use std::path::{Path, PathBuf};

use files::{Target, Writing};
use serde::Serialize;

use crate::DataError;

/// Name of the list in a folder that is written.
const NAME: &str = "left_out.txt";

/// Something that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The file it is in.
    pub source: String,
    /// Its place there: line, object, annotation.
    pub place: String,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}: {}", self.source, self.place, self.reason)
    }
}

/// The list of what was left out, in the folder of what is written.
pub struct List<'a> {
    name: PathBuf,
    entries: Vec<&'a LeftOut>,
}

impl<'a> List<'a> {
    /// Beside a file: `NAME.left_out.txt`.
    #[must_use]
    pub fn beside(file: &Path, entries: impl IntoIterator<Item = &'a LeftOut>) -> Self {
        let mut name = PathBuf::from(file.file_stem().unwrap_or_default());
        name.as_mut_os_string().push(".");
        name.as_mut_os_string().push(NAME);
        Self { name, entries: entries.into_iter().collect() }
    }

    /// In a folder: `left_out.txt`.
    #[must_use]
    pub fn within(entries: impl IntoIterator<Item = &'a LeftOut>) -> Self {
        Self { name: NAME.into(), entries: entries.into_iter().collect() }
    }

    /// Where the list of a conversion is that wrote the file or folder `output`.
    #[must_use]
    pub fn path(output: &Path) -> PathBuf {
        match output.is_dir() {
            true => output.join(NAME),
            false => output.with_file_name(Self::beside(output, []).name),
        }
    }

    /// The file to be written; none where nothing was left out.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        (!self.entries.is_empty()).then(|| Target::new(&self.name))
    }

    /// Makes the file, a line for each entry, where something was left out.
    ///
    /// # Errors
    /// Any IO error.
    pub fn write(&self, writing: &mut Writing) -> Result<(), DataError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        writing.write(&self.name, |out| self.entries.iter().try_for_each(|entry| writeln!(out, "{entry}")))?;
        Ok(())
    }
}
