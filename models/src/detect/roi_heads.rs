//! The second stage of Faster R-CNN (Ren et al. 2015; RoIAlign of He et al. 2017). Keys and constants are torchvision's.

use super::found::{Detections, Selection, suppress};
use super::rpn::Proposals;
use super::scalar::scalar;
use super::{coder, fpn, geometry};
use crate::ops::{DType, Ops, RoiAlign};
use crate::scope::{Scope, linear};

/// Side of what is cut out for each region, in samples.
const SIDE: i64 = 7;
const HIDDEN: i64 = 1024;
/// Shortest side of a detection, in pixels.
const MIN_SIDE: f32 = 1e-2;

/// Levels that regions are cut from: P2 to P5.
pub const LEVELS: usize = 4;

/// What the head says about `R` regions; column 0 stands for the background.
#[derive(Clone, Debug)]
pub struct Predicted<T> {
    /// F32 `[R, classes + 1]`, before softmax.
    pub logits: T,
    /// F32 `[R, 4 * (classes + 1)]`, for [`coder::decode`] with [`coder::ROI`].
    pub deltas: T,
}

/// Features of `rois`, F32 `[N, P, 4]` in pixels of the prepared image: `[N * P, 256, 7, 7]`. `maps` is the pyramid; its
/// first four levels are used.
pub fn pool<B: Ops>(o: &B, maps: &[B::T], rois: &B::T) -> B::T {
    o.roi_align(&maps[..LEVELS], rois, &align())
}

/// How regions are cut from the pyramid: 7 x 7 samples, from the level that fits their size.
#[must_use]
pub fn align() -> RoiAlign {
    RoiAlign {
        output: SIDE,
        sampling: 2,
        scales: vec![1.0 / 4.0, 1.0 / 8.0, 1.0 / 16.0, 1.0 / 32.0],
        canonical_size: 224.0,
        canonical_level: 4,
        first_level: 2,
    }
}

/// Classes and offsets of pooled regions, `[R, 256, 7, 7]`. `s` is the detector's root.
pub fn head<B: Ops>(s: &Scope<B>, pooled: &B::T, classes: i64) -> Predicted<B::T> {
    let (o, s) = (s.ops(), s.sub("roi_heads"));
    let (hidden, predictor) = (s.sub("box_head"), s.sub("box_predictor"));
    let x = o.flatten(pooled, 1);
    let x = o.relu(linear(&hidden.sub("fc6"), &x, fpn::CHANNELS * SIDE * SIDE, HIDDEN, None));
    let x = o.relu(linear(&hidden.sub("fc7"), &x, HIDDEN, HIDDEN, None));
    Predicted {
        logits: linear(&predictor.sub("cls_score"), &x, HIDDEN, classes + 1, None),
        deltas: linear(&predictor.sub("bbox_pred"), &x, HIDDEN, 4 * (classes + 1), None),
    }
}

/// Classes and offsets of `rois`, F32 `[N, P, 4]`: [`pool`] and [`head`] in one.
pub fn box_head<B: Ops>(s: &Scope<B>, maps: &[B::T], rois: &B::T, classes: i64) -> Predicted<B::T> {
    head(s, &pool(s.ops(), maps, rois), classes)
}

/// What the second stage starts from: proposals, their number in each image, and the size of the images (F32 `[N, 2]`).
#[derive(Clone, Copy, Debug)]
pub struct Regions<'a, T> {
    /// The regions.
    pub proposals: &'a Proposals<T>,
    /// Rows of each image.
    pub count: i64,
    /// Height and width of the image in the prepared image.
    pub inner: &'a T,
}

/// The best detections of what the head said about all proposals: every region may be kept once for every class.
pub fn select<B: Ops>(
    o: &B,
    p: &Predicted<B::T>,
    r: &Regions<B::T>,
    classes: i64,
    t: &Selection<B::T>,
) -> Detections<B::T> {
    // One row of the suppression for each class of each image: [N * classes, count, ..].
    let deltas = o.slice(&o.reshape(&p.deltas, &[-1, r.count, classes + 1, 4]), 2, 1, i64::MAX);
    let references = o.reshape(&r.proposals.boxes, &[-1, r.count, 1, 4]);
    let boxes = coder::decode(o, &deltas, &references, 3, coder::ROI);
    let boxes = geometry::clip(o, &o.reshape(&boxes, &[-1, r.count * classes, 4]), r.inner);
    let boxes = o.reshape(&boxes, &[-1, r.count, classes, 4]);
    let boxes = o.reshape(&o.transpose(&boxes, &[0, 2, 1, 3]), &[-1, r.count, 4]);

    let probability = o.slice(&o.softmax(&p.logits, 1), 1, 1, i64::MAX);
    let probability = o.reshape(&probability, &[-1, r.count, classes]);
    let real = o.reshape(&above_zero(o, &r.proposals.scores), &[-1, r.count, 1]);
    let probability = o.transpose(&o.mul(probability, &real), &[0, 2, 1]);
    let wide = o.transpose(&coder::wide_enough(o, &boxes, 2, MIN_SIDE), &[0, 2, 1]);
    let scores = o.mul(o.reshape(&probability, &[-1, 1, r.count]), &wide);

    let kept = suppress(o, &boxes, &scores, t);
    let each = t.cap.min(r.count);
    let (scores, best) = o.topk(&o.reshape(&kept.scores, &[-1, classes * each]), t.cap);
    let class = o.div(best.clone(), &o.integers(&[each], &[1]));
    let one = o.integers(&[1], &[1]);
    let found = o.cast(&above_zero(o, &scores), DType::I64);
    Detections {
        boxes: o.gather(&o.reshape(&kept.boxes, &[-1, classes * each, 4]), &best),
        labels: o.sub(o.mul(o.add(class, &one), &found), &one),
        scores,
        masks: None,
    }
}

/// 1 where `x` is above 0, else 0.
fn above_zero<B: Ops>(o: &B, x: &B::T) -> B::T {
    o.greater_equal(x, &scalar(o, f32::MIN_POSITIVE))
}
