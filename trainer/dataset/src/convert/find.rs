//! The image file that an annotation names, which may have been written on another machine.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::IMAGE_EXTENSIONS;
use crate::location::percent_decode;

/// Folders deeper than this below those that are searched are not looked into.
const DEPTH: usize = 5;

/// Where images are looked for.
pub struct Finder {
    folders: Vec<PathBuf>,
    below: OnceCell<BTreeMap<String, Vec<PathBuf>>>,
}

/// What was found for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The file that is named.
    Named(PathBuf),
    /// The only file of that name below the folders, which stands elsewhere than the name says or is spelled otherwise.
    Elsewhere(PathBuf),
    /// Several files of that name, and none where the name says.
    Several(PathBuf, PathBuf),
    /// No file; with the place that was looked at first.
    Missing(PathBuf),
}

impl Found {
    /// The file to use.
    ///
    /// # Errors
    /// Why there is none.
    pub fn file(self) -> Result<PathBuf, String> {
        match self {
            Self::Named(path) | Self::Elsewhere(path) => Ok(path),
            Self::Several(one, other) => {
                Err(format!("its image could be {} or {}; name one of them in full", one.display(), other.display()))
            }
            Self::Missing(path) => Err(format!("its image {} is not there", path.display())),
        }
    }
}

impl Finder {
    /// Looks in `folders`, which are absolute, in their order, and then below them.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, below: OnceCell::new() }
    }

    /// Finds the image `name`: a path or URL with either slash, percent codes or without an ending.
    #[must_use]
    pub fn find(&self, name: &str) -> Found {
        let spellings = spellings(name);
        let joined = || self.folders.iter().flat_map(|folder| spellings.iter().map(|name| folder.join(name)));
        if let Some(path) = joined().find(|path| path.is_file()) {
            return Found::Named(path);
        }
        let below = self.below.get_or_init(|| listed(&self.folders));
        let last = |name: &String| Path::new(name).file_name().map(|name| name.to_string_lossy().to_lowercase());
        let keys = spellings.iter().filter_map(last);
        let endings = |key: String| {
            let bare = !has_image_ending(Path::new(&key));
            let with = IMAGE_EXTENSIONS.iter().filter(move |_| bare).map({
                let key = key.clone();
                move |ending| format!("{key}.{ending}")
            });
            std::iter::once(key).chain(with.collect::<Vec<_>>())
        };
        match keys.flat_map(endings).find_map(|key| below.get(&key)).map(Vec::as_slice) {
            Some([one]) => Found::Elsewhere(one.clone()),
            Some([one, other, ..]) => Found::Several(one.clone(), other.clone()),
            Some([]) | None => Found::Missing(joined().next().unwrap_or_default()),
        }
    }
}

/// Whether a path ends as images do.
pub fn has_image_ending(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| IMAGE_EXTENSIONS.contains(&ending.as_str()))
}

/// Whether a file is left by a system beside the real ones, such as `._a.jpg`.
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// What a name may mean as a path, as written first.
fn spellings(name: &str) -> Vec<String> {
    let name = name.trim();
    let mut spellings = vec![name.to_owned()];
    let mut add = |text: String| {
        if !text.is_empty() && !spellings.contains(&text) {
            spellings.push(text);
        }
    };
    let path = match name.split_once("://") {
        // Label Studio serves local files as `...?d=PATH`; other queries are no part of a name.
        Some((_, rest)) => match rest.split_once("?d=") {
            Some((_, path)) => path,
            None => rest.split(['?', '#']).next().unwrap_or(rest).split_once('/').map_or(rest, |(_, path)| path),
        },
        None => name.split_once("?d=").map_or(name, |(_, path)| path),
    };
    let decoded = percent_decode(path).and_then(|bytes| String::from_utf8(bytes).ok());
    for text in [Some(path.to_owned()), decoded].into_iter().flatten() {
        add(text.clone());
        add(text.replace('\\', "/"));
    }
    spellings
}

/// Images below `folders` by their names in small letters; hidden ones are none.
fn listed(folders: &[PathBuf]) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut open: Vec<(PathBuf, usize)> = folders.iter().map(|folder| (folder.clone(), 0)).collect();
    while let Some((folder, depth)) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            if path.is_dir() && !path.is_symlink() && depth < DEPTH {
                open.push((path, depth + 1));
            } else if has_image_ending(&path) && path.is_file() {
                let name = entry.file_name().to_string_lossy().to_lowercase();
                found.entry(name).or_default().push(path);
            }
        }
    }
    for paths in found.values_mut() {
        paths.sort();
        paths.dedup();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_machines_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        fs::create_dir_all(root.join("train")).unwrap();
        for name in ["a b.jpg", "train/B.JPG", "train/._c.jpg"] {
            fs::write(root.join(name), "x").unwrap();
        }
        let finder = Finder::new(vec![root.clone()]);
        let (plain, other) = (root.join("a b.jpg"), root.join("train/B.JPG"));
        for name in ["a b.jpg", " a b.jpg ", "a%20b.jpg", "./a b.jpg"] {
            assert_eq!(finder.find(name).file(), Ok(plain.clone()), "{name}");
        }
        for name in
            ["C:\\data\\b.jpg", "train\\B.JPG", "https://host/x/b.jpg?token=1", "/data/local-files/?d=x/b.jpg", "b"]
        {
            assert_eq!(finder.find(name).file(), Ok(other.clone()), "{name}");
        }
        assert_eq!(finder.find("c.jpg"), Found::Missing(root.join("c.jpg")));
        fs::write(root.join("b.jpg"), "x").unwrap();
        assert_eq!(Finder::new(vec![root.clone()]).find("x/b.jpg"), Found::Several(root.join("b.jpg"), other));
    }
}
