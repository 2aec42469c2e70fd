//! From other layouts to JSONL: a folder per class, and tables; and both ways for detection data ([`boxes`]).
//!
//! Classification rows are `{"image_url", "label"}`, with one label or a list of them. Rows are in a fixed order, with `image_url` relative to the written file
//! where the image lies below or beside it, so that the folder can be moved as a whole.

pub mod boxes;
mod find;
mod folders;
mod groups;
mod labels;
mod left_out;
pub(crate) mod parts;
mod relative;
pub mod table;
mod walk;

use std::path::{Path, PathBuf};

use files::Writing;
use serde::Serialize;

use crate::DataError;

pub use folders::{Folders, Subfolders};
pub use groups::Groups;
pub use labels::{ConvertedLabel, ConvertedRow, LabelPart, LabelSummary, Labelled, Place, write_labels};
pub use left_out::{LeftOut, List};
pub use models::host::IMAGE_EXTENSIONS;

/// Makes a file of JSON lines, a row each.
///
/// # Errors
/// Any IO error.
pub fn write_rows<R: Serialize>(
    writing: &mut Writing,
    name: impl AsRef<Path>,
    rows: impl IntoIterator<Item = R>,
) -> Result<(), DataError> {
    writing.write(name, |out| {
        for row in rows {
            serde_json::to_writer(&mut *out, &row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
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
