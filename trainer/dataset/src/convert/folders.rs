//! A folder per class.

use std::fs;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target, Written};

use super::find::has_image_ending;
use super::parts::is_litter;
use super::relative::image_url;
use super::{ConvertedLabel, ConvertedRow, folder_of, write_file, write_rows};
use crate::DataError;
use crate::error::wrong;

/// Folder names that mean a part of a data set, and the file each is written to.
const PARTS: [(&str, &[&str]); 3] = [
    ("train.jsonl", &["train", "training"]),
    ("validation.jsonl", &["validation", "val", "valid"]),
    ("test.jsonl", &["test", "testing"]),
];

/// What a conversion did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FolderSummary {
    /// The written file.
    pub output: PathBuf,
    /// Classes and their images, sorted by class.
    pub classes: Vec<(String, usize)>,
    /// Files that are no images by their name, and files beside the class folders.
    pub skipped: usize,
    /// Hidden files and folders, and what systems leave beside the real ones (`__MACOSX`, `Thumbs.db`).
    pub hidden: usize,
}

/// Writes one JSONL file, the output of `order`, from a folder whose subfolders are classes; images may lie deeper in them.
/// Classes and images are sorted by name, byte by byte. What is an image is decided by [`super::IMAGE_EXTENSIONS`]; hidden entries
/// are left out.
///
/// # Errors
/// The folder cannot be read or holds no class with an image, a class name is not UTF-8, or the file may not or cannot be written.
pub fn folders(root: &Path, order: &Order) -> Result<FolderSummary, DataError> {
    let (rows, summary) = read(root, order.output)?;
    write_file(order, &rows)?;
    Ok(summary)
}

/// As [`folders`] for each of the subfolders `train`, `validation` (or `val`, `valid`) and `test` that is there; writes
/// `train.jsonl`, `validation.jsonl`, `test.jsonl` into the output of `order`. `None` where there is no `train` folder: the root
/// itself holds the classes.
///
/// # Errors
/// As [`folders`].
pub fn folders_split(root: &Path, order: &Order) -> Result<Option<(Vec<FolderSummary>, Written)>, DataError> {
    let part = |names: &[&str]| names.iter().map(|name| root.join(name)).find(|path| path.is_dir());
    if part(PARTS[0].1).is_none() {
        return Ok(None);
    }
    let found = PARTS.iter().filter_map(|(file, names)| part(names).map(|folder| (*file, folder)));
    let found: Vec<(&str, PathBuf)> = found.collect();
    let targets: Vec<Target> = found.iter().map(|(file, _)| Target::new(file)).collect();
    let mut writing = order.folder(Scope::Parts, &targets)?.begin()?;
    let mut summaries = Vec::new();
    for (file, folder) in found {
        let (rows, summary) = read(&folder, &order.output.join(file))?;
        write_rows(&mut writing, file, &rows)?;
        summaries.push(summary);
    }
    Ok(Some((summaries, writing.publish()?)))
}

/// The rows of a folder of classes, as the file `output` has them.
fn read(root: &Path, output: &Path) -> Result<(Vec<ConvertedRow>, FolderSummary), DataError> {
    let root = absolute(root)?;
    let base = folder_of(output)?;
    let mut summary = FolderSummary { output: output.to_owned(), classes: Vec::new(), skipped: 0, hidden: 0 };
    let mut rows = Vec::new();
    for entry in sorted(&root, &mut summary.hidden)? {
        if !entry.is_dir() {
            summary.skipped += 1;
            continue;
        }
        let Some(label) = entry.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            return Err(wrong(&entry, "the name of a class folder must be UTF-8; rename it"));
        };
        let mut images = Vec::new();
        collect(&entry, &mut images, &mut summary)?;
        rows.extend(images.iter().map(|path| ConvertedRow {
            image_url: image_url(&base, path),
            label: ConvertedLabel::Class(label.clone()),
        }));
        if !images.is_empty() {
            summary.classes.push((label, images.len()));
        }
    }
    if rows.is_empty() {
        return Err(wrong(
            &root,
            "no subfolder holds an image; expected one subfolder per class, with the images in it",
        ));
    }
    Ok((rows, summary))
}

fn collect(folder: &Path, images: &mut Vec<PathBuf>, summary: &mut FolderSummary) -> Result<(), DataError> {
    for entry in sorted(folder, &mut summary.hidden)? {
        if entry.is_dir() {
            // A link to a folder could lead in a circle.
            if !entry.is_symlink() {
                collect(&entry, images, summary)?;
            }
        } else if has_image_ending(&entry) {
            images.push(entry);
        } else {
            summary.skipped += 1;
        }
    }
    Ok(())
}

/// Entries by name, without hidden ones, which are counted.
fn sorted(folder: &Path, hidden: &mut usize) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Io { action: "list", path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_litter(&entry.path()) {
            *hidden += 1;
        } else {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn absolute(path: &Path) -> Result<PathBuf, DataError> {
    std::path::absolute(path).map_err(|source| DataError::Io { action: "resolve", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(output: &Path) -> Order<'_> {
        Order { command: "convert folders", output, overwrite: false, reads: &[] }
    }

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        dir
    }

    #[test]
    fn classes_and_images_are_sorted_and_the_rest_is_counted() {
        let dir = tree(&[
            "set/b class/2.JPG",
            "set/b class/10.jpeg",
            "set/b class/notes.txt",
            "set/a/deep/er/ü%20.png",
            "set/a/.hidden.png",
            "set/__MACOSX/a/1.png",
            "set/.git/x.png",
            "set/readme.md",
            "set/nothing/x.txt",
        ]);
        let output = dir.path().join("set/lists/all.jsonl");
        let summary = folders(&dir.path().join("set"), &order(&output)).unwrap();
        assert_eq!(summary.classes, [("a".to_owned(), 1), ("b class".to_owned(), 2)]);
        assert_eq!((summary.skipped, summary.hidden), (3, 3));
        assert_eq!(
            fs::read_to_string(&output).unwrap(),
            "{\"image_url\":\"../a/deep/er/ü%20.png\",\"label\":\"a\"}\n\
             {\"image_url\":\"../b class/10.jpeg\",\"label\":\"b class\"}\n\
             {\"image_url\":\"../b class/2.JPG\",\"label\":\"b class\"}\n"
        );
    }

    #[test]
    fn parts_are_found_by_name() {
        let dir = tree(&["train/a/1.png", "val/a/2.png", "test/a/3.png", "other/a/4.png"]);
        let (written, _) = folders_split(dir.path(), &order(dir.path())).unwrap().unwrap();
        let names: Vec<_> = written.iter().map(|part| part.output.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["train.jsonl", "validation.jsonl", "test.jsonl"]);
        let flat = tree(&["a/1.png"]);
        assert_eq!(folders_split(flat.path(), &order(flat.path())).unwrap(), None);
    }

    #[test]
    fn a_folder_without_images_is_an_error() {
        let dir = tree(&["1.png", "a/x.txt"]);
        let output = dir.path().join("o.jsonl");
        assert!(folders(dir.path(), &order(&output)).unwrap_err().to_string().contains("one subfolder per class"));
        assert!(!output.exists());
        assert!(folders(&dir.path().join("gone"), &order(&output)).is_err());
    }
}
