//! From other layouts to JSONL: a folder per class, and tables; and both ways for detection data ([`boxes`]).
//!
//! Classification rows are `{"image_url", "label"}`, with one label or a list of them. Rows are in a fixed order, with `image_url` relative to the written file
//! where the picture lies below or beside it, so that the folder can be moved as a whole.

pub mod boxes;
mod csv;
mod folders;
mod relative;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::data::{DataError, replace};

pub use csv::{CsvOptions, CsvSummary, csv};
pub use folders::{FolderSummary, folders, folders_split};
pub(crate) use relative::image_url;

/// File name endings, in lower case, that are taken for pictures.
pub const IMAGE_EXTENSIONS: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff"];

/// One written row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConvertedRow {
    /// Path of the picture.
    pub image_url: String,
    /// What it shows.
    pub label: ConvertedLabel,
}

/// What a picture shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ConvertedLabel {
    /// One class.
    Class(String),
    /// Any number of classes.
    Classes(Vec<String>),
}

impl ConvertedLabel {
    /// The class or classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Class(class) => std::slice::from_ref(class),
            Self::Classes(classes) => classes,
        }
    }
}

/// Writes rows as JSON lines to `path`, which is replaced at once.
///
/// # Errors
/// Any IO error.
pub fn write_rows(path: &Path, rows: &[ConvertedRow]) -> Result<(), DataError> {
    replace(path, |out| {
        for row in rows {
            serde_json::to_writer(&mut *out, row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Absolute folder of the file that is to be written, against which paths are made relative.
fn folder_of(output: &Path) -> Result<PathBuf, DataError> {
    let output = std::path::absolute(output).map_err(|source| DataError::Io {
        action: "resolve",
        path: output.to_owned(),
        source,
    })?;
    Ok(output.parent().unwrap_or(Path::new("/")).to_owned())
}
