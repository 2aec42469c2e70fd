//! Images in a folder that is written: how they come there, and under which names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use files::Writing;

use super::LabelledImage;
use crate::DataError;

/// How images come to the folder that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placing {
    /// As copies.
    #[default]
    Copied,
    /// As hard links, within one file system.
    Linked,
}

impl Placing {
    /// Puts an image into its place.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn put(self, writing: &mut Writing, name: &str, image: &Path) -> Result<(), DataError> {
        match self {
            Self::Copied => writing.copy(name, image)?,
            Self::Linked => writing.link(name, image)?,
        }
        Ok(())
    }
}

/// File names for images that go into `folder`: an image's own or, where another one has its stem already, one with a
/// number (annotation files are named after stems, and there are file systems on which capital letters do not count). A
/// image that lies there already keeps its name.
pub fn file_names(images: &[&LabelledImage], folder: &Path) -> Result<Vec<String>, DataError> {
    let folder = fs::canonicalize(folder).ok();
    let lies_there = |image: &LabelledImage| {
        folder.is_some() && image.path.parent().and_then(|p| fs::canonicalize(p).ok()) == folder
    };
    let (there, elsewhere): (Vec<usize>, Vec<usize>) = (0..images.len()).partition(|&at| lies_there(images[at]));
    let mut names = vec![String::new(); images.len()];
    let mut taken = BTreeSet::new();
    for at in there.into_iter().chain(elsewhere) {
        let (stem, extension) = images[at].names()?;
        let numbered = (2..).map(|number| format!("{stem}_{number}"));
        let free = std::iter::once(stem.to_owned()).chain(numbered).find(|name| !taken.contains(&name.to_lowercase()));
        let free = free.unwrap_or_default();
        taken.insert(free.to_lowercase());
        names[at] = free + &extension;
    }
    Ok(names)
}
