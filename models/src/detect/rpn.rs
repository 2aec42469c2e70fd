//! Region proposal network (Ren et al. 2015, arXiv:1506.01497). Keys and constants are torchvision's.

use super::anchors::{self, Level};
use super::fpn::CHANNELS;
use super::scalar::scalar;
use super::{coder, geometry};
use crate::ops::{Init, Nms, Ops};
use crate::scope::{ConvSpec, Scope, biased_conv};

/// Side of the anchors of each level, from P2 to the extra one, in pixels.
pub const SIZES: [f32; 5] = [32.0, 64.0, 128.0, 256.0, 512.0];
/// Proposals that overlap a better one of their level by more than this are dropped.
const IOU: f32 = 0.7;
/// Shortest side of a proposal, in pixels.
const MIN_SIDE: f32 = 1e-3;
const INIT: Init = Init::Normal(0.01);

/// How many proposals there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    /// Anchors a level that are looked at, the best first.
    pub before: i64,
    /// Proposals an image: exactly this many rows, the rest padding.
    pub after: i64,
}

impl TopK {
    /// In training.
    pub const TRAIN: Self = Self { before: 2000, after: 2000 };
    /// Otherwise.
    pub const TEST: Self = Self { before: 1000, after: 1000 };
}

/// Where objects may be, whatever they are.
#[derive(Clone, Debug)]
pub struct Proposals<T> {
    /// F32 `[N, P, 4]`, `xyxy` in pixels of the prepared image, clipped to the image.
    pub boxes: T,
    /// F32 `[N, P]`: probability of an object, descending; 0 in padding.
    pub scores: T,
}

/// Objectness `[N, A]` and offsets of each of the five `maps` of the pyramid. `s` is the detector's root.
pub fn heads<B: Ops>(s: &Scope<B>, images: &B::T, maps: &[B::T]) -> Vec<Level<B::T>> {
    let (o, head) = (s.ops(), s.sub("rpn").sub("head"));
    let level = |map: &B::T, size: f32| {
        let bases = anchors::bases(&[size]);
        let count = i64::try_from(bases.len()).unwrap_or(i64::MAX);
        let conv = |name: &str, x: &B::T, c: ConvSpec| biased_conv(&head.sub(name), x, c, INIT, Init::Zeros);
        let x = o.relu(conv("conv.0.0", map, ConvSpec::new(CHANNELS, CHANNELS, 3)));
        let objectness = conv("cls_logits", &x, ConvSpec::new(CHANNELS, count, 1));
        let deltas = conv("bbox_pred", &x, ConvSpec::new(CHANNELS, 4 * count, 1));
        Level {
            logits: o.flatten(&o.transpose(&objectness, &[0, 2, 3, 1]), 1),
            deltas: anchors::rows(o, &deltas, 4),
            anchors: anchors::grid(o, images, map, &bases),
        }
    };
    maps.iter().zip(SIZES).map(|(map, size)| level(map, size)).collect()
}

/// The best boxes of all levels, without those that repeat a better one of their level. No gradient goes through.
/// `inner` is F32 `[N, 2]`: height and width of the image in the prepared image.
pub fn proposals<B: Ops>(o: &B, levels: &[Level<B::T>], inner: &B::T, k: TopK) -> Proposals<B::T> {
    let limits = Nms { iou_threshold: scalar(o, IOU), score_threshold: scalar(o, 0.0), cap: k.after };
    let mut boxes = Vec::new();
    let mut scores = Vec::new();
    for level in levels {
        let (logits, best) = o.topk(&o.detach(&level.logits), k.before);
        let deltas = o.gather(&o.detach(&level.deltas), &best);
        let references = o.gather(&anchors::of_each(o, &level.anchors, &best), &best);
        let decoded = geometry::clip(o, &coder::decode(o, &deltas, &references, 2, coder::UNIT), inner);
        let wide = coder::wide_enough(o, &decoded, 2, MIN_SIDE);
        let probability = o.mul(o.reshape(&o.sigmoid(&logits), &[0, 1, -1]), &o.transpose(&wide, &[0, 2, 1]));
        let kept = o.nms(&decoded, &probability, &limits);
        boxes.push(o.gather(&decoded, &kept.rows));
        scores.push(kept.scores);
    }
    // Padding, so that there are always `after` rows: the second stage then needs no shape that depends on the data.
    if let Some(like) = levels.first().map(|level| &level.logits) {
        let zeros = vec![0.0; usize::try_from(4 * k.after).unwrap_or(0)];
        boxes.push(o.repeat(&o.constant(&zeros, &[1, k.after, 4]), like));
        scores.push(o.repeat(&o.constant(&zeros[..zeros.len() / 4], &[1, k.after]), like));
    }
    let join = |parts: &[B::T]| o.concat(&parts.iter().collect::<Vec<_>>(), 1);
    let (scores, best) = o.topk(&join(&scores), k.after);
    Proposals { boxes: o.gather(&join(&boxes), &best), scores }
}
