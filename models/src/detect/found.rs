//! What a detector finds, and which of it is kept.

use super::scalar::scalar;
use crate::ops::{DType, Nms, Ops};

/// What was found. Rows of an image are in descending order of score, and padded at the end.
#[derive(Clone, Debug)]
pub struct Detections<T> {
    /// F32 `[N, D, 4]`, `xyxy`; meaningless in padding.
    pub boxes: T,
    /// F32 `[N, D]` in (0, 1]; 0 in padding.
    pub scores: T,
    /// I64 `[N, D]`, index of the class, from 0; -1 in padding.
    pub labels: T,
    /// Of a model that outlines what it finds: F32 `[N, D, 28, 28]`, the probability that a part of the box is the object, for
    /// 28 by 28 equal parts of the box, row by row; meaningless in padding.
    pub masks: Option<T>,
}

/// What is kept. Values, not numbers, so that an exported file can take them as inputs.
#[derive(Clone, Copy, Debug)]
pub struct Selection<T> {
    /// F32 `[1]`: only scores above it are kept; at least 0.
    pub score: T,
    /// F32 `[1]`: of two boxes of one class that overlap by more than this (intersection over union), the better is kept.
    pub iou: T,
    /// Most detections of an image.
    pub cap: i64,
}

/// Class-wise non-maximum suppression of `boxes [N, B, 4]` with `scores [N, C, B]`.
pub(super) fn suppress<B: Ops>(o: &B, boxes: &B::T, scores: &B::T, t: &Selection<B::T>) -> Detections<B::T> {
    let limits = Nms { iou_threshold: t.iou.clone(), score_threshold: t.score.clone(), cap: t.cap };
    let kept = o.nms(boxes, scores, &limits);
    Detections { boxes: o.gather(boxes, &kept.rows), scores: kept.scores, labels: kept.classes, masks: None }
}

/// I64 `[1]`: how many detections the image with the most of them has, at least 1; what follows in `scores [N, D]` is padding.
pub(super) fn most<B: Ops>(o: &B, scores: &B::T) -> B::T {
    let one = scalar(o, 1.0);
    // Rows are sorted, so that a place is taken in some image if one before it is.
    let images = o.sum(&o.greater_equal(scores, &scalar(o, f32::MIN_POSITIVE)), 0);
    let taken = o.reshape(&o.sum(&o.min(&images, &one), 0), &[1]);
    o.cast(&o.max(&taken, &one), DType::I64)
}
