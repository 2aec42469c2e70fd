//! RetinaNet (Lin et al. 2017, arXiv:1708.02002) with frozen batch normalisation. Keys and constants are torchvision's.
//! It has one column for each class and none for the background.

use super::anchors::{self, Level};
use super::found::{Detections, Selection, suppress};
use super::{coder, fpn, geometry};
use crate::classify::resnet::{self, Config};
use crate::ops::{Init, Ops};
use crate::scope::{ConvSpec, Norm, Scope, biased_conv};

/// Side of the anchors of each level, from P3 to P7, in pixels, at the three scales of a third of an octave, rounded down.
pub const SIZES: [[f32; 3]; 5] =
    [[32.0, 40.0, 50.0], [64.0, 80.0, 101.0], [128.0, 161.0, 203.0], [256.0, 322.0, 406.0], [512.0, 645.0, 812.0]];
/// Anchors of a cell.
const ANCHORS: i64 = 9;
/// Pairs of anchor and class a level that suppression looks at, the best first.
const CANDIDATES: i64 = 1000;
const INIT: Init = Init::Normal(0.01);
/// Bias of a class: every anchor starts with a probability of 0.01, `-ln((1 - 0.01) / 0.01)`.
const PRIOR: f64 = -4.595_119_850_134_59;

/// The five maps of the pyramid of normalised `images [N, 3, h, w]`: strides 8 to 128, each `[N, 256, ..]`. `s` is the
/// detector's root.
pub fn features<B: Ops>(s: &Scope<B>, images: &B::T, body: &Config) -> Vec<B::T> {
    let backbone = s.sub("backbone");
    let [_, c3, c4, c5] = resnet::features(&backbone.sub("body"), images, body, Norm::Frozen);
    let pyramid = backbone.sub("fpn");
    let mut levels = fpn::pyramid(&pyramid, &[c3, c4, c5], &body.channels()[1..]);
    let extra = levels.last().map(|coarsest| fpn::p6_p7(&pyramid.sub("extra_blocks"), coarsest));
    levels.extend(extra.into_iter().flatten());
    levels
}

/// Logits `[N, A, classes]` and offsets of each of the five `maps`. `s` is the detector's root.
pub fn heads<B: Ops>(s: &Scope<B>, images: &B::T, maps: &[B::T], classes: i64) -> Vec<Level<B::T>> {
    let (o, head) = (s.ops(), s.sub("head"));
    let tower = |s: &Scope<B>, map: &B::T| {
        let wide = ConvSpec::new(fpn::CHANNELS, fpn::CHANNELS, 3);
        let layer = |x: B::T, i: i64| o.relu(biased_conv(&s.sub("conv").sub(i).sub(0), &x, wide, INIT, Init::Zeros));
        (0..4).fold(map.clone(), layer)
    };
    let level = |map: &B::T, sizes: &[f32; 3]| {
        let (class, regression) = (head.sub("classification_head"), head.sub("regression_head"));
        let last = |columns: i64| ConvSpec::new(fpn::CHANNELS, ANCHORS * columns, 3);
        let x = tower(&class, map);
        let logits = biased_conv(&class.sub("cls_logits"), &x, last(classes), INIT, Init::Constant(PRIOR));
        let x = tower(&regression, map);
        let deltas = biased_conv(&regression.sub("bbox_reg"), &x, last(4), INIT, Init::Zeros);
        Level {
            logits: anchors::rows(o, &logits, classes),
            deltas: anchors::rows(o, &deltas, 4),
            anchors: anchors::grid(o, images, map, &anchors::bases(sizes)),
        }
    };
    maps.iter().zip(&SIZES).map(|(map, sizes)| level(map, sizes)).collect()
}

/// The best detections of all levels; see [`super::Detector::predict`]. `inner` is F32 `[N, 2]`: height and width of the image in the prepared image.
pub fn select<B: Ops>(
    o: &B,
    levels: &[Level<B::T>],
    inner: &B::T,
    classes: i64,
    t: &Selection<B::T>,
) -> Detections<B::T> {
    let columns = o.integers(&[classes], &[1]);
    let (mut boxes, mut scores) = (Vec::new(), Vec::new());
    for level in levels {
        // The sigmoid keeps the order, so it can wait until few are left.
        let (logits, best) = o.topk(&o.flatten(&level.logits, 1), CANDIDATES);
        let anchor = o.div(best.clone(), &columns);
        let class = o.sub(best, &o.mul(anchor.clone(), &columns));
        let deltas = o.gather(&level.deltas, &anchor);
        let references = o.gather(&anchors::of_each(o, &level.anchors, &anchor), &anchor);
        boxes.push(geometry::clip(o, &coder::decode(o, &deltas, &references, 2, coder::UNIT), inner));
        // [N, K, classes] to [N, classes, K]: one candidate has a score for one class.
        let score = o.reshape(&o.sigmoid(&logits), &[0, 1, -1]);
        scores.push(o.mul(o.transpose(&o.one_hot(&class, classes), &[0, 2, 1]), &score));
    }
    let join = |parts: &[B::T], axis: i64| o.concat(&parts.iter().collect::<Vec<_>>(), axis);
    suppress(o, &join(&boxes, 1), &join(&scores, 2), t)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_thirds_of_octaves_rounded_down() {
        for (level, sizes) in super::SIZES.iter().enumerate() {
            let side = f64::from(32_u32 << level);
            for (third, size) in (0_u32..).zip(sizes) {
                assert_eq!(f64::from(*size), (side * (f64::from(third) / 3.0).exp2()).floor(), "level {level}");
            }
        }
        let prior = -((1.0 - 0.01_f64) / 0.01).ln();
        assert!((super::PRIOR - prior).abs() < 1e-12);
    }
}
