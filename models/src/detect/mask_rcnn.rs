//! Mask R-CNN (He et al. 2017, arXiv:1703.06870): Faster R-CNN with a third head, which outlines what was found. Keys and
//! constants are torchvision's.

use super::faster_rcnn::{self, FirstStage};
use super::found::{self, Detections, Selection};
use super::{fpn, roi_heads};
use crate::ops::{Init, Ops, RoiAlign, Role};
use crate::scope::{ConvSpec, Scope, biased_conv};

/// Side of a mask: what is said about a box is said for this many by this many equal parts of it.
pub const SIDE: i64 = 2 * POOLED;
/// Side of what is cut out of the pyramid for each box, in samples.
const POOLED: i64 = 14;
/// Convolutions before the one that doubles the side.
const LAYERS: i64 = 4;

/// How regions are cut from the pyramid: 14 x 14 samples, from the level that fits their size.
#[must_use]
pub fn align() -> RoiAlign {
    RoiAlign { output: POOLED, ..roi_heads::align() }
}

/// What is said about pooled regions, `[R, 256, 14, 14]`: F32 `[R, classes + 1, 28, 28]`, before sigmoid, one mask for each
/// class; channel 0, the background's, is never looked at. `s` is the detector's root.
pub fn head<B: Ops>(s: &Scope<B>, pooled: &B::T, classes: i64) -> B::T {
    let (o, s) = (s.ops(), s.sub("roi_heads"));
    let (tower, last) = (s.sub("mask_head"), s.sub("mask_predictor"));
    let init = Init::KaimingFanOut;
    let wide = ConvSpec::new(fpn::CHANNELS, fpn::CHANNELS, 3);
    let layer = |x: B::T, i: i64| o.relu(biased_conv(&tower.sub(i).sub(0), &x, wide, init, Init::Zeros));
    let x = (0..LAYERS).fold(pooled.clone(), layer);
    let up = last.sub("conv5_mask");
    let weight = up.param("weight", &[fpn::CHANNELS, fpn::CHANNELS, 2, 2], init, Role::Weight);
    let bias = up.param("bias", &[fpn::CHANNELS], Init::Zeros, Role::Bias);
    let x = o.relu(o.conv_transpose2d(&x, &weight, Some(&bias), [2, 2]));
    biased_conv(&last.sub("mask_fcn_logits"), &x, ConvSpec::new(fpn::CHANNELS, classes + 1, 1), init, Init::Zeros)
}

/// Of masks for every class, `[R, classes + 1, 28, 28]`, the one of each region's own class: `[R, 1, 28, 28]`. `labels` is
/// I64 `[R]`, from 0; -1, which stands for nothing, takes the background's.
pub fn of_own_class<B: Ops>(o: &B, masks: &B::T, labels: &B::T) -> B::T {
    let channel = o.add(labels.clone(), &o.integers(&[1], &[1]));
    o.gather(masks, &o.reshape(&channel, &[-1, 1]))
}

/// At most `cap` detections an image, as many as the image with the most of them has, and at least one; see
/// [`super::Detector::predict`].
pub fn select<B: Ops>(
    s: &Scope<B>,
    first: &FirstStage<B::T>,
    inner: &B::T,
    classes: i64,
    t: &Selection<B::T>,
) -> Detections<B::T> {
    let (o, maps) = (s.ops(), &first.maps);
    let all = faster_rcnn::select(s, first, inner, classes, t);
    // Padding costs as much as a detection here.
    let count = found::most(o, &all.scores);
    let [boxes, scores, labels] = [&all.boxes, &all.scores, &all.labels].map(|x| o.head(x, &count));
    let pooled = o.roi_align(&maps[..roi_heads::LEVELS], &boxes, &align());
    let masks = of_own_class(o, &head(s, &pooled, classes), &o.reshape(&labels, &[-1]));
    let masks = o.sigmoid(&o.unflatten(&o.reshape(&masks, &[0, SIDE, SIDE]), &boxes));
    Detections { boxes, scores, labels, masks: Some(masks) }
}
