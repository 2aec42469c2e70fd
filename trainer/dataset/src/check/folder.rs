//! Data that is named as a folder of class folders: what `convert folders` makes of it is what is checked.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use files::Order;
use schemas::check::DataPart;
use tempfile::TempDir;

use super::{CheckRequest, has_one_class};
use crate::convert;
use crate::error::DataError;
use crate::location::Location;

/// The list of a folder's training part.
const TRAIN: &str = "train.jsonl";

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
                let found = of_folder(part, path, lists.path(), alone)?;
                if found.len() > 1 || found.iter().any(|source| source.list.ends_with(TRAIN)) {
                    warnings.extend(beside(path));
                }
                parts.extend(found);
            } else {
                let message = "is a folder without an MLTable file; name a JSONL file or an MLTable folder \
                               (a folder of class folders is for image-classification)";
                return Err(DataError::Source { path: path.clone(), message: message.to_owned() });
            }
        }
        Ok(Self { parts, warnings, _lists: lists })
    }
}

fn of_folder(part: DataPart, path: &Path, lists: &Path, alone: bool) -> Result<Vec<Source>, DataError> {
    let root = std::path::absolute(path).map_err(|error| DataError::io("resolve", path, error))?;
    let source = |part, list: PathBuf| Source { part, named: path.to_owned(), list, folder: Some(root.clone()) };
    let order = |output| Order { command: "check", output, overwrite: false, reads: &[] };
    if alone && convert::folders_split(path, &order(lists))?.is_some() {
        let made =
            [(DataPart::Training, TRAIN), (DataPart::Validation, "validation.jsonl"), (DataPart::Test, "test.jsonl")];
        let made = made.map(|(part, name)| (part, lists.join(name)));
        return Ok(made
            .into_iter()
            .filter(|(_, list)| list.is_file())
            .map(|(part, list)| source(part, list))
            .collect());
    }
    let list = lists.join(format!("{}-data.jsonl", part.as_str()));
    convert::folders(path, &order(&list))?;
    Ok(vec![source(part, list)])
}

/// Warns of folders beside those of the parts, which are not read.
fn beside(root: &Path) -> Option<String> {
    const PARTS: [&str; 7] = ["train", "training", "validation", "val", "valid", "test", "testing"];
    let folders = std::fs::read_dir(root).ok()?.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let mut others: Vec<String> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !PARTS.contains(&name.as_str()))
        .collect();
    others.sort_unstable();
    let what = format!("{}: {} not read, beside the folders of the parts", root.display(), others.join(", "));
    (!others.is_empty()).then_some(what)
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
