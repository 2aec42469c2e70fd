//! The box coder of R-CNN and RetinaNet (Girshick et al. 2014, appendix C, as torchvision fixes its constants). Decoding
//! only: targets are encoded by the trainer.

use super::scalar::scalar;
use crate::ops::Ops;

/// Offsets are stored this many times larger than they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Of the centre's offsets.
    pub centre: f32,
    /// Of the logarithms of the sides' ratios.
    pub side: f32,
}

/// Of proposals and of RetinaNet.
pub const UNIT: Weights = Weights { centre: 1.0, side: 1.0 };
/// Of the second stage.
pub const ROI: Weights = Weights { centre: 10.0, side: 5.0 };

/// Largest logarithm of a side's ratio: `ln(1000 / 16)`.
pub const MAX_LOG_RATIO: f32 = 4.135_166_6;

/// Boxes of `deltas` (`[.., 4]`: offsets of the centre in sides of the reference, logarithms of the sides' ratios)
/// against `references` (`[.., 4]`, `xyxy`, broadcasting). `axis` is the last axis of both.
pub fn decode<B: Ops>(o: &B, deltas: &B::T, references: &B::T, axis: i64, w: Weights) -> B::T {
    let half = scalar(o, 0.5);
    let unscaled = |x: B::T, weight: f32| if weight == 1.0 { x } else { o.div(x, &scalar(o, weight)) };
    let low = o.slice(references, axis, 0, 2);
    let sides = o.sub(o.slice(references, axis, 2, 4), &low);
    let centre = o.add(o.mul(sides.clone(), &half), &low);

    let shift = unscaled(o.slice(deltas, axis, 0, 2), w.centre);
    let ratio = unscaled(o.slice(deltas, axis, 2, 4), w.side);
    let centre = o.add(o.mul(shift, &sides), &centre);
    let ratio = o.exp(&o.min(&ratio, &scalar(o, MAX_LOG_RATIO)));
    let reach = o.mul(o.mul(ratio, &sides), &half);
    o.concat(&[&o.sub(centre.clone(), &reach), &o.add(centre, &reach)], axis)
}

/// 1 where both sides of a box are at least `least`, else 0: `[.., 4]` to `[.., 1]`. `axis` is the last axis.
pub fn wide_enough<B: Ops>(o: &B, boxes: &B::T, axis: i64, least: f32) -> B::T {
    let sides = o.sub(o.slice(boxes, axis, 2, 4), &o.slice(boxes, axis, 0, 2));
    let enough = o.greater_equal(&sides, &scalar(o, least));
    o.mul(o.slice(&enough, axis, 0, 1), &o.slice(&enough, axis, 1, 2))
}
