//! The folder of registered models: `NAME/VERSION/` with the model's file and its description. What is incomplete is not there.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;
use schemas::registered::{DESCRIPTION, FILE, RegisteredModel, is_model_name, version_of};

use crate::loader::LoadError;

/// Where the file of a version is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file that the operator names.
    File(PathBuf),
    /// The folder of a registered version.
    Registered(PathBuf),
}

/// What tells a file from another that comes in its place: sizes and times of change. A copy that goes on changes them.
pub type Stamp = Vec<(u64, Option<SystemTime>)>;

impl Place {
    /// The model's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Registered(folder) => folder.join(FILE),
        }
    }

    /// The state of its files.
    ///
    /// # Errors
    /// [`LoadError::Missing`] when one is not there, [`LoadError::Unreadable`] when the system says no.
    pub fn stamp(&self) -> Result<Stamp, LoadError> {
        let of = |path: PathBuf| match fs::metadata(path) {
            Ok(metadata) => Ok((metadata.len(), metadata.modified().ok())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(LoadError::Missing),
            Err(error) => Err(LoadError::Unreadable(error.into())),
        };
        match self {
            Self::File(path) => Ok(vec![of(path.clone())?]),
            Self::Registered(folder) => Ok(vec![of(folder.join(FILE))?, of(folder.join(DESCRIPTION))?]),
        }
    }

    /// What was registered; `None` of a file that was not.
    ///
    /// # Errors
    /// A description that cannot be read.
    pub fn registered(&self) -> Result<Option<RegisteredModel>, LoadError> {
        let Self::Registered(folder) = self else {
            return Ok(None);
        };
        let path = folder.join(DESCRIPTION);
        let read = || -> anyhow::Result<RegisteredModel> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        read().with_context(|| path.display().to_string()).map(Some).map_err(LoadError::Unreadable)
    }
}

/// Every version of every model in the folder.
///
/// # Errors
/// The folder cannot be read.
pub fn list(folder: &Path) -> io::Result<BTreeMap<String, BTreeMap<u64, Place>>> {
    let mut models = BTreeMap::new();
    for (name, path) in folders(folder)? {
        if !is_model_name(&name) {
            continue;
        }
        let versions: BTreeMap<u64, Place> = folders(&path)?
            .into_iter()
            .filter_map(|(number, path)| Some((version_of(&number)?, Place::Registered(path))))
            .filter(|(_, place)| place.stamp().is_ok())
            .collect();
        if !versions.is_empty() {
            models.insert(name, versions);
        }
    }
    Ok(models)
}

/// Folders in a folder, links to them included, by their names.
fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if let (true, Some(name)) = (path.is_dir(), name.to_str()) {
            found.push((name.to_owned(), path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_versions_of_models_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str, files: &[&str]| {
            let path = folder.path().join(path);
            fs::create_dir_all(&path).unwrap();
            files.iter().for_each(|file| fs::write(path.join(file), "x").unwrap());
        };
        make("a/1", &[FILE, DESCRIPTION]);
        make("a/10", &[FILE, DESCRIPTION]);
        make("a/2", &[FILE]);
        make("a/.partial-3", &[FILE, DESCRIPTION]);
        make("a/latest", &[FILE, DESCRIPTION]);
        make("b/1", &[]);
        make(".hidden/1", &[FILE, DESCRIPTION]);
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let found = list(folder.path()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(found["a"].keys().collect::<Vec<_>>(), [&1, &10]);
        assert!(list(&folder.path().join("none")).is_err());
        assert!(matches!(found["a"][&1].registered(), Err(LoadError::Unreadable(_))));
    }
}
