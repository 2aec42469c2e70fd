//! The image file that an annotation names, which may have been written on another machine.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use models::host::has_image_ending;
use schemas::dataset::image_url::percent_decode;

use super::IMAGE_EXTENSIONS;
use super::walk::below;

/// Folders deeper than this below those that are searched are not looked into.
const DEPTH: usize = 5;

/// Where images are looked for.
pub struct Finder {
    folders: Vec<PathBuf>,
    searched: Vec<PathBuf>,
    below: OnceCell<BTreeMap<String, Vec<PathBuf>>>,
    /// What is to be told, with the number of images and the first name.
    told: RefCell<BTreeMap<Place, (usize, String)>>,
}

/// Where an image was found that is not in the first folder under its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Under its name in this folder.
    Folder(PathBuf),
    /// Elsewhere below the folders, such as here.
    Elsewhere,
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
    /// What macOS leaves beside an image, which is none itself.
    Litter(PathBuf),
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
            Self::Litter(path) => {
                Err(format!("{} is what macOS leaves beside an image of that name, and none itself", path.display()))
            }
            Self::Missing(path) => Err(format!("its image {} is not there", path.display())),
        }
    }
}

impl Finder {
    /// Looks in `folders`, which are absolute, in their order, and then below them.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self::among(folders.clone(), folders)
    }

    /// Looks in `folders`, which are absolute, in their order, and then below `searched`.
    #[must_use]
    pub fn among(folders: Vec<PathBuf>, searched: Vec<PathBuf>) -> Self {
        Self { folders, searched, below: OnceCell::new(), told: RefCell::default() }
    }

    /// Finds the image `name`: a path or URL with either slash, percent codes or without an ending. Of several files of that
    /// name below the folders, the one that shares most of the folders in the name.
    #[must_use]
    pub fn find(&self, name: &str) -> Found {
        let spellings = spellings(name);
        let joined =
            || self.folders.iter().flat_map(|folder| spellings.iter().map(move |name| (folder, folder.join(name))));
        if let Some((folder, path)) = joined().find(|(_, path)| path.is_file()) {
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"._")) {
                return Found::Litter(path);
            }
            if Some(folder) != self.folders.first() {
                self.tell(Place::Folder(folder.clone()), || name.to_owned());
            }
            return Found::Named(path);
        }
        let below = self.below.get_or_init(|| listed(&self.searched));
        let mut found: Vec<(usize, &PathBuf)> = Vec::new();
        for spelling in &spellings {
            let all = endings(spelling).into_iter().find_map(|key| below.get(&key)).into_iter().flatten();
            found = all.map(|path| (shared(spelling, path), path)).collect();
            if !found.is_empty() {
                break;
            }
        }
        let most = found.iter().map(|(shared, _)| *shared).max();
        let best: Vec<&PathBuf> =
            found.iter().filter(|(shared, _)| Some(*shared) == most).map(|(_, path)| *path).collect();
        match best.as_slice() {
            [one] => {
                self.tell(Place::Elsewhere, || format!("{name:?} as {}", one.display()));
                Found::Elsewhere((*one).clone())
            }
            [one, other, ..] => Found::Several((*one).clone(), (*other).clone()),
            [] => Found::Missing(joined().next().map(|(_, path)| path).unwrap_or_default()),
        }
    }

    fn tell(&self, place: Place, first: impl FnOnce() -> String) {
        self.told.borrow_mut().entry(place).or_insert_with(|| (0, first())).0 += 1;
    }

    /// What people should know of where images were found, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let images = |n: usize| if n == 1 { "1 image is".to_owned() } else { format!("{n} images are") };
        let told = self.told.borrow();
        let note = |(place, (n, first)): (&Place, &(usize, String))| match place {
            Place::Folder(folder) => format!("{} taken from {}", images(*n), folder.display()),
            Place::Elsewhere => {
                format!("{} not where the name says and found by file name, such as {first}", images(*n))
            }
        };
        told.iter().map(note).collect()
    }
}

/// File names, in small letters, that a name may mean.
fn endings(name: &str) -> Vec<String> {
    let Some(key) = Path::new(name).file_name().map(|name| name.to_string_lossy().to_lowercase()) else {
        return Vec::new();
    };
    let bare = !has_image_ending(Path::new(&key));
    let with = IMAGE_EXTENSIONS.iter().filter(|_| bare).map(|ending| format!("{key}.{ending}"));
    std::iter::once(key.clone()).chain(with).collect()
}

/// How many folders, from the file upwards, a name and a path have in common.
pub fn shared(name: &str, path: &Path) -> usize {
    let folders = |path: &Path| -> Vec<String> {
        let parts = path.parent().into_iter().flat_map(Path::components);
        parts.map(|part| part.as_os_str().to_string_lossy().to_lowercase()).collect()
    };
    let (name, path) = (folders(Path::new(name)), folders(path));
    name.iter().rev().zip(path.iter().rev()).take_while(|(a, b)| a == b).count()
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

/// Images below `folders` by their names in small letters.
fn listed(folders: &[PathBuf]) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in folders.iter().flat_map(|folder| below(folder, DEPTH).files) {
        if has_image_ending(&path) && path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            found.entry(name).or_default().push(path);
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
    use std::fs;

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
        assert_eq!(finder.find("train/._c.jpg"), Found::Litter(root.join("train/._c.jpg")));
        assert!(finder.find("train/._c.jpg").file().unwrap_err().contains("macOS"));
        assert_eq!(finder.find("c.jpg"), Found::Missing(root.join("c.jpg")));
        fs::write(root.join("b.jpg"), "x").unwrap();
        let finder = Finder::new(vec![root.clone()]);
        assert_eq!(finder.find("x/b.jpg"), Found::Several(root.join("b.jpg"), other.clone()));
        assert_eq!(finder.find("C:\\x\\train\\b.jpg"), Found::Elsewhere(other));
    }

    #[test]
    fn it_is_told_where_images_were_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        for name in ["set/a.jpg", "images/b.jpg", "images/c.jpg", "set/x/d.jpg", "e.jpg"] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), "x").unwrap();
        }
        let finder = Finder::among(vec![root.join("set"), root.join("images")], vec![root.join("set")]);
        for name in ["a.jpg", "b.jpg", "c.jpg", "y/d.jpg"] {
            assert!(finder.find(name).file().is_ok(), "{name}");
        }
        assert!(finder.find("e.jpg").file().is_err());
        let notes = finder.notes();
        assert_eq!(notes[0], format!("2 images are taken from {}", root.join("images").display()));
        assert!(
            notes[1].starts_with("1 image is not where the name says") && notes[1].ends_with("x/d.jpg"),
            "{notes:?}"
        );
    }
}
