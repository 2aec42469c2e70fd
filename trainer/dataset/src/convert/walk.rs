//! What lies in a folder and below it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::parts::is_litter;

/// What lies below a folder.
#[derive(Debug, Default)]
pub struct Below {
    /// Files, by their paths.
    pub files: Vec<PathBuf>,
    /// Links to folders, which could lead in a circle and are not followed.
    pub links: Vec<PathBuf>,
    /// Folders that cannot be read, and why.
    pub unread: Vec<(PathBuf, io::Error)>,
}

/// Entries of a folder by name, without what systems leave there.
///
/// # Errors
/// It cannot be read.
pub fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !is_litter(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// What lies below a folder, down to so many folders below it, without what systems leave there.
pub fn below(folder: &Path, depth: usize) -> Below {
    let mut found = Below::default();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, at)) = open.pop() {
        let entries = match entries(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                found.unread.push((folder, error));
                continue;
            }
        };
        for path in entries {
            match path.is_dir() {
                false => found.files.push(path),
                true if path.is_symlink() => found.links.push(path),
                true if at < depth => open.push((path, at + 1)),
                true => {}
            }
        }
    }
    found.files.sort();
    found
}
