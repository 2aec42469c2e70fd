//! Rows of a dataset: one JSON object per line of a JSONL file, for each of the four tasks.
//!
//! Coordinates are fractions of the image's width and height, from its top-left corner, each in `[0, 1]`.

mod class_name;
mod misspelled;
mod object;
mod parse;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use class_name::ClassName;
pub use parse::{parse_image_url, parse_line, parse_row};
pub use schema::row_schema;

/// One labelled image. Serialises as a row again; what was dropped from it is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Where the image is, as written: a path, a URL or a datastore reference. Never blank.
    pub image_url: String,
    /// What the row says about the file. Informative only: the file itself decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_details: Option<ImageDetails>,
    /// What the image shows.
    pub label: Label,
    /// Objects, or segments of an object, that were dropped from the label. The rest of the row stands.
    #[serde(skip)]
    pub rejected: Vec<ObjectError>,
}

/// What a row may say about its file. A part that cannot be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageDetails {
    /// Such as `jpg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Pixels; `"400px"` is read as 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// What an image shows; the variant follows from the task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Label {
    /// The class of an `image-classification` row.
    Class(ClassName),
    /// The classes of an `image-classification-multilabel` row, each once, in the order written; empty when the image
    /// shows none of them.
    Classes(Vec<ClassName>),
    /// The objects of an `image-object-detection` row; empty for a background image.
    Boxes(Vec<BoxLabel>),
    /// The objects of an `image-instance-segmentation` row; empty for a background image.
    Outlines(Vec<OutlineLabel>),
}

/// A box by its corners. `top_x < bottom_x` and `top_y < bottom_y`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Corners {
    /// Left side.
    #[serde(rename = "topX")]
    pub top_x: f64,
    /// Upper side.
    #[serde(rename = "topY")]
    pub top_y: f64,
    /// Right side.
    #[serde(rename = "bottomX")]
    pub bottom_x: f64,
    /// Lower side.
    #[serde(rename = "bottomY")]
    pub bottom_y: f64,
}

/// A labelled box.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoxLabel {
    /// Class of the object.
    pub label: ClassName,
    /// Where it is. Derived from the outline when the row gives one.
    #[serde(flatten)]
    pub corners: Corners,
    /// A group of objects: trained on, but left out of metrics.
    #[serde(rename = "isCrowd")]
    pub is_crowd: bool,
}

/// A labelled outline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutlineLabel {
    /// Class of the object.
    pub label: ClassName,
    /// Smallest box around all segments.
    #[serde(skip)]
    pub corners: Corners,
    /// A group of objects: trained on, but left out of metrics.
    #[serde(rename = "isCrowd")]
    pub is_crowd: bool,
    /// Segments `[x1, y1, x2, y2, ..]` of at least three points. A point belongs to the object when it is inside an odd
    /// number of them, so that a segment within another is a hole.
    pub polygon: Vec<Vec<f64>>,
}

/// An object, or one segment of its outline, that was dropped from a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    /// Place in the label, from 0.
    pub object: usize,
    /// Segment of the outline, from 0, when only that was dropped.
    pub segment: Option<usize>,
    /// Why, with the offending value and the rule.
    pub reason: String,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.segment {
            Some(segment) => write!(f, "object {}, segment {segment}: {}", self.object, self.reason),
            None => write!(f, "object {}: {}", self.object, self.reason),
        }
    }
}

/// What makes a whole row unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowErrorKind {
    /// Not a JSON object.
    Json,
    /// `image_url` is absent, blank or no text.
    ImageUrl,
    /// There is no label.
    LabelMissing,
    /// The label is not what the task expects.
    LabelType,
    /// An outline has an odd number of coordinates, so that its points cannot be told.
    OddOutline,
    /// The label lists objects, and none of them is usable.
    NoObject,
}

/// Why a row is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RowError {
    /// For programs.
    pub kind: RowErrorKind,
    /// For people: value, rule, and what to do.
    pub message: String,
    /// The row's `image_url`, where it could be read.
    pub image_url: Option<String>,
}

/// One line of `data/rejected.jsonl`: a row, or a part of one, that a run left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The file the row is in, as given.
    pub source: String,
    /// Line in that file, from 1.
    #[schemars(range(min = 1))]
    pub line: u64,
    /// The row's `image_url`, where it could be read.
    pub image_url: Option<String>,
    /// Why it was left out, in broad terms.
    pub kind: RejectionKind,
    /// Why it was left out, exactly.
    pub reason: String,
}

/// Why a row was left out, in broad terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectionKind {
    /// The line is no JSON object with an `image_url`.
    BadJson,
    /// The label is missing, of the wrong type, or unknown to the model.
    BadLabel,
    /// One object of the label cannot be used; the rest of the row stands.
    BadObject,
    /// The `image_url` cannot be resolved.
    BadUrl,
    /// The file is not there or cannot be read or fetched.
    MissingFile,
    /// The file is no image that can be decoded within the limits.
    BadImage,
    /// A later row names the same image.
    Duplicate,
}
