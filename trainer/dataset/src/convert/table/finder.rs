//! From what a table calls an image to the image.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::convert::find::{self, Found, has_image_ending};
use crate::convert::labels::Place;
use crate::location::{Location, Resolver};

/// Finds the images of a table in a folder.
pub struct Finder {
    folder: PathBuf,
    files: find::Finder,
    /// Files that are called otherwise in the table, with what they are called.
    renamed: RefCell<BTreeMap<PathBuf, String>>,
}

/// Addresses of these kinds are taken as they are.
const KEPT: [&str; 4] = ["http", "https", "azureml", "amldatastore"];

impl Finder {
    /// Of the images in and below `folder`, an absolute path.
    pub fn new(folder: PathBuf) -> Self {
        Self { files: find::Finder::new(vec![folder.clone()]), folder, renamed: RefCell::default() }
    }

    /// The image of this name: the file that is named, or else the only one below the folder whose name is the last
    /// part of this one, with a known ending where it has none.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, name: &str) -> Result<Place, String> {
        if name.is_empty() {
            return Err("its image is not named".to_owned());
        }
        match scheme(name).map(|(scheme, _)| scheme.to_ascii_lowercase()) {
            Some(scheme) if KEPT.contains(&scheme.as_str()) => return Ok(Place::Url(name.to_owned())),
            Some(scheme) if scheme == "file" => {
                if let Location::File(path) = Resolver::new(self.folder.clone(), None).resolve(name)?
                    && path.is_file()
                {
                    return Ok(Place::File(path));
                }
            }
            Some(_) | None => {}
        }
        match self.files.find(name) {
            Found::Elsewhere(path) => self.renamed(path, name).map(Place::File),
            found @ (Found::Named(_) | Found::Several(..) | Found::Litter(_) | Found::Missing(_)) => {
                found.file().map(Place::File)
            }
        }
    }

    /// A file that is called otherwise; two places of one file name cannot both be it.
    fn renamed(&self, path: PathBuf, name: &str) -> Result<PathBuf, String> {
        let mut renamed = self.renamed.borrow_mut();
        let first = renamed.entry(path.clone()).or_insert_with(|| name.to_owned());
        if bare(first) == bare(name) {
            return Ok(path);
        }
        Err(format!(
            "its image {name} is not there: the only file of that name, {}, is that of {first}",
            path.display()
        ))
    }

    /// What was assumed to find what was found.
    pub fn assumed(&self) -> Option<String> {
        let renamed = self.renamed.borrow();
        let (path, name) = renamed.first_key_value()?;
        let (count, path) = (renamed.len(), path.display());
        Some(format!("{count} images are called otherwise than their files, such as {name}, which is {path}"))
    }
}

/// A name with `/` and without the ending of an image.
fn bare(name: &str) -> String {
    let name = name.replace('\\', "/");
    match name.rsplit_once('.') {
        Some((stem, _)) if has_image_ending(Path::new(&name)) => stem.to_owned(),
        Some(_) | None => name,
    }
}

/// Whether a text is written as the name or address of an image.
pub fn looks_like_image(text: &str) -> bool {
    has_image_ending(Path::new(text)) || scheme(text).is_some()
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    text.split_once("://").filter(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    })
}
