//! Data that is named as a folder of class folders: what `convert folders` makes of it is what is checked.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use files::Order;
use schemas::check::DataPart;
use tempfile::TempDir;

use super::{CheckRequest, has_one_class};
use crate::convert::{Folders, Labelled, Subfolders, write_labels};
use crate::error::DataError;
use crate::location::Location;

/// A part of the data.
pub(super) struct Source {
    pub part: DataPart,
    /// What the user named.
    pub named: PathBuf,
    /// The JSONL file or MLTable folder to read.
    pub list: PathBuf,
    /// The folder, where the list was made of one.
    pub folder: Option<PathBuf>,
}

/// The parts of the data.
pub(super) struct Sources {
    pub parts: Vec<Source>,
    /// What is not read.
    pub warnings: Vec<String>,
    /// Where lists were made, if any were.
    _lists: Option<TempDir>,
}

impl Sources {
    /// The parts that are named. Of a folder with a folder for each part, these.
    ///
    /// # Errors
    /// A folder that cannot be read, or holds no class with an image.
    pub fn of(request: &CheckRequest) -> Result<Self, DataError> {
        let made = || TempDir::new().map_err(|error| DataError::io("make", Path::new("a temporary folder"), error));
        let mut lists: Option<TempDir> = None;
        let named = [
            (DataPart::Training, Some(&request.training)),
            (DataPart::Validation, request.validation.as_ref()),
            (DataPart::Test, request.test.as_ref()),
        ];
        let alone = request.validation.is_none() && request.test.is_none();
        let (mut parts, mut warnings) = (Vec::new(), Vec::new());
        for (part, path) in named.into_iter().filter_map(|(part, path)| Some((part, path?))) {
            if !path.is_dir() || path.join("MLTable").is_file() {
                parts.push(Source { part, named: path.clone(), list: path.clone(), folder: None });
            } else if has_one_class(request.read.task) {
                let lists = match &mut lists {
                    Some(lists) => lists,
                    none => none.insert(made()?),
                };
                let (found, not_read) = of_folder(part, path, lists.path(), alone)?;
                parts.extend(found);
                warnings.extend(not_read);
            } else {
                let message = "is a folder without an MLTable file; name a JSONL file or an MLTable folder \
                               (a folder of class folders is for image-classification; rows of other layouts are made \
                               by `trainer convert voc`, `coco` or `yolo`)";
                return Err(DataError::Source { path: path.clone(), message: message.to_owned() });
            }
        }
        Ok(Self { parts, warnings, _lists: lists })
    }
}

/// The parts of a folder, and what of it is not read.
fn of_folder(
    part: DataPart,
    path: &Path,
    lists: &Path,
    alone: bool,
) -> Result<(Vec<Source>, Option<String>), DataError> {
    let folders = Folders::read(path)?;
    let subfolders = if alone { folders.by_names()? } else { Subfolders::Classes };
    let Labelled { parts, left_out, groups, .. } = folders.labelled(subfolders)?;
    let mut sources = Vec::with_capacity(parts.len());
    for one in parts {
        let part = match one.name.as_str() {
            "train" => DataPart::Training,
            "validation" => DataPart::Validation,
            "test" => DataPart::Test,
            _ => part,
        };
        let list = lists.join(format!("{}-data.jsonl", part.as_str()));
        let order = Order { command: "check", output: &list, overwrite: false, reads: &[] };
        let alone = Labelled { parts: vec![one], assumed: Vec::new(), left_out: Vec::new(), groups: groups.clone() };
        write_labels(&order, &alone)?;
        sources.push(Source { part, named: path.to_owned(), list, folder: Some(folders.root().to_owned()) });
    }
    let first = left_out.first().map(|one| format!("{}: {}", one.source, one.reason));
    let what =
        |first| format!("{}: {} files and folders are not read, such as {first}", path.display(), left_out.len());
    Ok((sources, first.map(what)))
}

/// A path without `.` and `..`.
pub(super) fn plain(path: &Path) -> PathBuf {
    PathBuf::from(OsString::from_vec(Location::File(path.to_owned()).key()))
}

/// A path as seen from a folder that it lies in.
pub(super) fn within(folder: &Path, path: &Path) -> PathBuf {
    let (folder, path) = (plain(folder), plain(path));
    path.strip_prefix(&folder).map(Path::to_owned).unwrap_or(path)
}
