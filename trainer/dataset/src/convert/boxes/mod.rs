//! Images with boxes and outlines, between JSONL and the layouts of others: COCO, Pascal VOC, YOLO, image files of masks, LabelMe
//! and CVAT, each in both directions.
//!
//! Whatever is read becomes [`LabelledImage`]s, whose boxes are fractions of the upright image as in JSONL rows; whatever is
//! written is made from them. A box that sticks out of its image is cut at the edge and counted. Objects and images that
//! cannot be used are left out and listed with file and place; where nothing is left, that is an error ([`Part::usable`]).

pub mod coco;
mod crowd;
pub mod cvat;
pub(super) mod draft;
mod fewer;
mod form;
mod frame;
mod geometry;
pub mod labelme;
mod locate;
pub mod masks;
mod part;
mod place;
pub mod rows;
mod shapes;
mod stray;
mod text;
pub mod voc;
pub mod yolo;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_voc;
#[cfg(test)]
mod tests_yolo;

use std::fs;
use std::path::{Path, PathBuf};

use files::Writing;

use crate::DataError;
use crate::convert::parts::part_name;
use crate::error::wrong;

pub use fewer::simplify;
pub use frame::Sizes;
pub use part::{BoxSummary, LabelledImage, LabelledObject, Part};
pub use place::Placing;
pub use stray::drop_stray_points;

pub(super) fn absolute(path: &Path) -> Result<PathBuf, DataError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).map_err(|source| io_error("resolve", path, source))
}

fn read_text(path: &Path) -> Result<String, DataError> {
    fs::read_to_string(path).map_err(|source| io_error("read", path, source))
}

fn write_text(writing: &mut Writing, name: &str, text: &str) -> Result<(), DataError> {
    writing.write(name, |out| out.write_all(text.as_bytes()))?;
    Ok(())
}

fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { action, path: path.to_owned(), source }
}
