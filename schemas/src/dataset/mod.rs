//! Rows of a dataset: one JSON object per line of a JSONL file, for each of the four tasks.
//!
//! Coordinates are fractions of the image's width and height, from its top-left corner, each in `[0, 1]`; what sticks out of the image
//! is cut at its edge.

mod class_name;
pub mod image_url;
mod misspelled;
mod nan;
mod object;
mod parse;
mod rejection;
mod row;
mod schema;
mod shown;
#[cfg(test)]
mod tests;

pub use class_name::ClassName;
pub use nan::{parse_object, without_nan};
pub use object::REACH;
pub use parse::{parse_image_url, parse_line, parse_row};
pub use rejection::{Rejection, RejectionKind};
pub use row::{BoxLabel, Corners, ImageDetails, Label, ObjectError, OutlineLabel, Row, RowError, RowErrorKind};
pub use schema::row_schema;
