//! Paths that were written for another place: another machine, another folder, other capitals.

use std::path::{Path, PathBuf};

use super::super::walk::{below, entries};

/// Endings of a path, the longest first, with `/` between names and without a drive or root: of `C:\\a\\b.jpg` these are
/// `a/b.jpg` and `b.jpg`.
pub fn endings(path: &str) -> Vec<String> {
    let path = path.replace('\\', "/");
    let is_drive = |name: &str| name.len() == 2 && name.ends_with(':');
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != "." && !is_drive(name)).collect();
    (0..names.len()).map(|from| names[from..].join("/")).collect()
}

/// What is at `path` below `base`, whatever the capitals of its names, where that is one thing.
pub fn whatever_capitals(base: &Path, path: &str) -> Option<PathBuf> {
    let mut at = base.to_owned();
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        let plain = at.join(name);
        at = if plain.exists() { plain } else { child(&at, &[name])? };
    }
    Some(at)
}

/// The one entry of a folder that has one of these names, whatever their capitals; the earlier names go first.
pub fn child(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let entries = visible(folder);
    let named = |name: &&str| {
        let wanted = name.to_lowercase();
        let same = |path: &&PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().to_lowercase() == wanted);
        let found: Vec<&PathBuf> = entries.iter().filter(same).collect();
        let exact = found.iter().find(|path| path.file_name().is_some_and(|n| n == *name));
        match (exact, found.as_slice()) {
            (Some(exact), _) => Some((*exact).clone()),
            (None, [one]) => Some((*one).clone()),
            (None, _) => None,
        }
    };
    names.iter().find_map(named)
}

/// Entries of a folder by name, without what systems leave there; none where it cannot be read.
pub fn visible(folder: &Path) -> Vec<PathBuf> {
    entries(folder).unwrap_or_default()
}

/// Files below a folder by their paths, without what systems leave there; links to folders are not followed.
pub fn files_below(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = below(folder, usize::MAX).files;
    files.retain(|path| wanted(path));
    files
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_of_other_places_are_found() {
        assert_eq!(endings("C:\\a\\b.jpg"), ["a/b.jpg", "b.jpg"]);
        assert_eq!(endings("/x/./y/"), ["x/y", "y"]);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("Images/Train")).unwrap();
        let found = whatever_capitals(folder.path(), "images/train");
        assert_eq!(found, Some(folder.path().join("Images/Train")));
        fs::create_dir_all(folder.path().join("IMAGES")).unwrap();
        assert_eq!(whatever_capitals(folder.path(), "images"), None);
        assert_eq!(child(folder.path(), &["images", "Images"]), Some(folder.path().join("Images")));
    }
}
