//! The images below a folder, in the order of their names, folder by folder. What is an image is told by its name, as everywhere
//! in Fovea; what is not scored is counted.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    vec,
};

use models::host::has_image_ending;
use serde_json::Map;

use super::{
    super::error::{Fault, ScoreError},
    Item, locate,
};

/// A folder of images.
pub(in crate::score) struct Folder {
    given: PathBuf,
    absolute: PathBuf,
}

/// Entries below a folder that are not scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::score) struct LeftOut {
    /// Files without the ending of an image.
    others: u64,
    /// Files and folders whose names begin with a dot.
    hidden: u64,
    /// Symbolic links to folders.
    links: u64,
}

impl LeftOut {
    /// What is left out and why, if anything is.
    pub(in crate::score) fn text(&self) -> Option<String> {
        let Self { others, hidden, links } = *self;
        let counted = [
            (others, "without the ending of an image"),
            (hidden, "hidden (a dot in front)"),
            (links, "links to folders, which are not followed"),
        ];
        let parts: Vec<String> =
            counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, ScoreError> {
        let absolute = std::path::absolute(path).map_err(ScoreError::io("read", path))?;
        Ok(Self { given: path.to_owned(), absolute })
    }

    pub(super) fn path(&self) -> &Path {
        &self.given
    }

    pub(super) fn walk(&self) -> Result<Walk, ScoreError> {
        let (given, absolute) = (self.given.clone(), self.absolute.clone());
        let top = list(&given)?.into_iter();
        Ok(Walk { given, absolute, open: vec![(PathBuf::new(), top)], left_out: LeftOut::default() })
    }
}

/// A walk through a folder. It holds the names in the folders between the top and where it is.
pub(in crate::score) struct Walk {
    given: PathBuf,
    absolute: PathBuf,
    /// Folders that are not finished, relative to the top, each with the names that are still to come.
    open: Vec<(PathBuf, vec::IntoIter<OsString>)>,
    left_out: LeftOut,
}

impl Walk {
    /// What was not scored so far.
    pub(super) fn left_out(&self) -> LeftOut {
        self.left_out
    }

    fn item(&self, relative: &Path) -> Item {
        let (given, absolute) = (self.given.join(relative), self.absolute.join(relative));
        Item { name: Some(locate::text(&given)), url: locate::text(&absolute), path: Ok(given), others: Map::new() }
    }

    /// Looks at an entry: an image is an item, a folder is opened.
    fn enter(&mut self, relative: PathBuf) -> Result<Option<Item>, ScoreError> {
        if relative.file_name().is_some_and(is_hidden) {
            self.left_out.hidden += 1;
            return Ok(None);
        }
        let path = self.given.join(&relative);
        let found = fs::symlink_metadata(&path).map_err(ScoreError::io("read", &path))?;
        if found.is_dir() {
            let names = list(&path)?.into_iter();
            self.open.push((relative, names));
            return Ok(None);
        }
        if found.is_symlink() && path.is_dir() {
            self.left_out.links += 1;
            return Ok(None);
        }
        if has_image_ending(&path) {
            return Ok(Some(self.item(&relative)));
        }
        self.left_out.others += 1;
        Ok(None)
    }
}

impl Iterator for Walk {
    type Item = Result<Item, ScoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (folder, names) = self.open.last_mut()?;
            let Some(name) = names.next() else {
                self.open.pop();
                continue;
            };
            let relative = folder.join(name);
            match self.enter(relative) {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// The names in a folder, in the order of their bytes, which is the same on every machine.
fn list(folder: &Path) -> Result<Vec<OsString>, ScoreError> {
    let entries = fs::read_dir(folder).map_err(ScoreError::io("read", folder))?;
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<OsString>>>();
    let mut names = names.map_err(ScoreError::io("read", folder))?;
    names.sort();
    Ok(names)
}

/// The fault of a file that is no ordinary one.
pub(in crate::score) fn not_ordinary() -> Fault {
    Fault::new(schemas::ErrorCode::InvalidImage, "it is no ordinary file")
}
