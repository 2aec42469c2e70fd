//! What a detector finds, and which of it is kept.

use crate::ops::{Nms, Ops};

/// What was found. Rows of an image are in descending order of score, and padded at the end.
#[derive(Clone, Debug)]
pub struct Detections<T> {
    /// F32 `[N, D, 4]`, `xyxy`; meaningless in padding.
    pub boxes: T,
    /// F32 `[N, D]` in (0, 1]; 0 in padding.
    pub scores: T,
    /// I64 `[N, D]`, index of the class, from 0; -1 in padding.
    pub labels: T,
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
    Detections { boxes: o.gather(boxes, &kept.rows), scores: kept.scores, labels: kept.classes }
}
