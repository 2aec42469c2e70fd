//! What the kernels do, besides their tensors.

use tch::Tensor;

/// What [`nms`](crate::nms()) keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nms {
    /// A box whose IoU with a kept one of its image and class is greater is dropped.
    pub iou_threshold: f32,
    /// Only scores greater than this are candidates.
    pub score_threshold: f32,
    /// The most survivors of an image, at least 0.
    pub cap: i64,
}

/// [`Nms`] with limits that may be on the boxes' device: f32 of one element each.
#[derive(Debug, Clone, Copy)]
pub struct NmsWithin<'a> {
    /// See [`Nms::iou_threshold`].
    pub iou_threshold: &'a Tensor,
    /// See [`Nms::score_threshold`].
    pub score_threshold: &'a Tensor,
    /// See [`Nms::cap`].
    pub cap: i64,
}

/// What [`roi_align`](crate::roi_align()) does, besides its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoiAlign<'a> {
    /// Bins along a side of the output, at least 1.
    pub output: i64,
    /// Samples along a side of a bin, at least 1.
    pub sampling: i64,
    /// Pixels of each level for a pixel of the input: 1/4 for stride 4.
    pub scales: &'a [f64],
    /// The side, in input pixels, of a square roi that belongs to `canonical_level`: 224 in torchvision.
    pub canonical_size: f64,
    /// See `canonical_size`: 4 in torchvision.
    pub canonical_level: i64,
    /// The number of the first of the levels: 2 for strides 4, 8, 16 and 32.
    pub first_level: i64,
}
