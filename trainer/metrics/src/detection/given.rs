//! What is measured, and how.

use schemas::setting::MetricType;
use serde::{Deserialize, Serialize};

/// A box of the data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// `xyxy` in pixels of the original image.
    pub corners: [f64; 4],
    /// Index into the labels.
    pub class: usize,
    /// The box holds a crowd: nobody has to find it, and what is found in it is neither right nor wrong.
    pub is_crowd: bool,
}

/// A box that a detector found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// `xyxy` in pixels of the original image.
    pub corners: [f64; 4],
    /// Index into the labels.
    pub class: usize,
    /// The higher, the surer; usually 0 to 1.
    pub score: f64,
}

/// The masks of an image's objects, as far as measuring needs them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Masks {
    /// Pixels of each true object, in the order of the truth.
    pub truth: Vec<u64>,
    /// Pixels of each found one, in the order of what was found.
    pub found: Vec<u64>,
    /// Pixels that two have in common, where there are any; in any order.
    pub shared: Vec<Shared>,
}

/// Pixels that a found object and a true one have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Index into what was found.
    pub found: usize,
    /// Index into the truth.
    pub truth: usize,
    /// How many, at least 1.
    pub pixels: u64,
}

/// What is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shapes {
    /// Boxes.
    #[default]
    Boxes,
    /// Masks; boxes beside them, see [`super::DetectionReport::box_coco`].
    Masks,
}

/// One image of the data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageResult {
    /// What is there.
    pub truth: Vec<Truth>,
    /// What was found, in any order. Filtered at a low score (0.05 or below), if at all: what is cut off before it comes
    /// here is missing from every average precision.
    pub found: Vec<Found>,
    /// Of both; `None` where nothing is outlined, and then no mask covers another.
    pub masks: Option<Masks>,
}

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Which number is the primary one. Everything is measured in any case.
    pub metric_type: MetricType,
    /// IoU from which a box counts as a hit, above 0, at most 1 (`validation_iou_threshold`). COCO's numbers have their own.
    pub iou_threshold: f64,
    /// Boxes with this score or a higher one are kept where a number is one of kept boxes: precision, recall, counts and
    /// the truncated average precision (`box_score_thresh`).
    pub score_threshold: f64,
    /// Boxes of an image that are looked at, those of the highest scores over all classes.
    pub max_detections: usize,
    /// What is compared.
    #[serde(default)]
    pub shapes: Shapes,
}
