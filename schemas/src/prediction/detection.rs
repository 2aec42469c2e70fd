//! Detected objects and the settings of their detection, between the parts of Fovea. Answers to the outside are
//! [`super::ScoredBox`].

use std::fmt;
use std::sync::Arc;

use crate::setting::TileGrid;
use crate::{CheckpointMeta, SettingError, Settings};

/// Side of a [`SoftMask`], in parts of a box.
pub const MASK_SIDE: usize = 28;

/// What is said about the parts of a detection's box, [`MASK_SIDE`] by [`MASK_SIDE`] of equal size, row by row: the probability
/// that each is the object, 0 to 1. Copies share their values.
#[derive(Clone, PartialEq)]
pub struct SoftMask(Arc<[f32]>);

impl SoftMask {
    /// A mask of these values; `None` if they are not as many as a mask has.
    #[must_use]
    pub fn new(values: &[f32]) -> Option<Self> {
        (values.len() == MASK_SIDE * MASK_SIDE).then(|| Self(values.into()))
    }

    /// The values, row by row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.0
    }
}

impl fmt::Debug for SoftMask {
    /// Errors show detections, of which nobody reads 784 numbers.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SoftMask({MASK_SIDE} x {MASK_SIDE})")
    }
}

/// An object that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// `x1 y1 x2 y2` in continuous pixels: 0 is the left (top) edge of the image, its width (height) the right (bottom) one.
    pub corners: [f32; 4],
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Index into the labels.
    pub label: usize,
    /// Which parts of the box are the object; `None` from a model that finds boxes only.
    pub mask: Option<SoftMask>,
}

impl Detection {
    /// Area in square pixels; 0 where a corner lies on the wrong side of the other.
    #[must_use]
    pub fn area(&self) -> f32 {
        let [x1, y1, x2, y2] = self.corners;
        (x2 - x1).max(0.0) * (y2 - y1).max(0.0)
    }

    /// Area in square pixels that both cover.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> f32 {
        let ([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) = (self.corners, other.corners);
        (ax2.min(bx2) - ax1.max(bx1)).max(0.0) * (ay2.min(by2) - ay1.max(by1)).max(0.0)
    }

    /// Intersection over union; NaN where neither box has an area, which is above no threshold.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.intersection(other);
        shared / (self.area() + other.area() - shared)
    }
}

/// Which boxes of a detector are answered. With numbers they are a model's own, with `Option<f32>` those that one run has in
/// place of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds<T = f32> {
    /// Only boxes with a score above it are answered; in `[0, 1]`.
    pub score_threshold: T,
    /// Of two boxes of a class that overlap by more than this (intersection over union), the less certain one is not
    /// answered; in `[0, 1]`.
    pub iou_threshold: T,
}

/// How an image is cut into tiles, and how the boxes that were found in them are merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tiling {
    /// Columns and rows; [`TileGrid::NONE`] cuts nothing.
    pub grid: TileGrid,
    /// Overlap of neighbouring tiles as a share of their side, in `[0, 1)`.
    pub overlap: f64,
    /// Boxes of a class from two parts that overlap by more than this (intersection over union) are one object; in `[0, 1]`.
    pub threshold: f32,
}

impl Tiling {
    /// Images that are run for one image: itself and its tiles.
    #[must_use]
    pub fn sources(&self) -> u32 {
        if self.grid.is_none() { 1 } else { 1 + self.grid.count() }
    }
}

/// The settings that a detector's predictions follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectionSettings {
    /// Which boxes are answered.
    pub thresholds: Thresholds,
    /// Most boxes in the answer about one image.
    pub max_boxes: u32,
    /// Whether, and how, images are also run in tiles.
    pub tiling: Tiling,
    /// A pixel whose probability is above it is the object's.
    pub mask_threshold: f32,
}

impl From<&Settings> for DetectionSettings {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "scores, overlaps and probabilities are compared in single precision"
    )]
    fn from(settings: &Settings) -> Self {
        Self {
            thresholds: Thresholds {
                score_threshold: settings.box_score_thresh as f32,
                iou_threshold: settings.box_nms_thresh as f32,
            },
            max_boxes: settings.box_detections_per_img,
            tiling: Tiling {
                grid: settings.tile_grid_size,
                overlap: settings.tile_overlap_ratio,
                threshold: settings.tile_predictions_nms_thresh as f32,
            },
            mask_threshold: settings.mask_pixel_score_threshold as f32,
        }
    }
}

impl TryFrom<&CheckpointMeta> for DetectionSettings {
    type Error = SettingError;

    /// Fails where the checkpoint's settings cannot be read.
    fn try_from(meta: &CheckpointMeta) -> Result<Self, SettingError> {
        Settings::try_from(meta.settings.clone()).map(|settings| Self::from(&settings))
    }
}
