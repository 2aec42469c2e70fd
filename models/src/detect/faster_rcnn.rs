//! Faster R-CNN on a feature pyramid (Ren et al. 2015; Lin et al. 2017) with frozen batch normalisation. Keys are
//! torchvision's; class 0 there is the background, so that a published head of 91 has 90 classes here.

use super::anchors::Level;
use super::found::{Detections, Selection};
use super::{fpn, roi_heads, rpn};
use crate::classify::resnet::{self, Config};
use crate::ops::Ops;
use crate::scope::{Norm, Scope};

/// The five maps of the pyramid of normalised `images [N, 3, h, w]`: strides 4, 8, 16, 32 and 64, each `[N, 256, ..]`.
/// `s` is the detector's root.
pub fn features<B: Ops>(s: &Scope<B>, images: &B::T, body: &Config) -> Vec<B::T> {
    let backbone = s.sub("backbone");
    let maps = resnet::features(&backbone.sub("body"), images, body, Norm::Frozen);
    let mut levels = fpn::pyramid(&backbone.sub("fpn"), &maps, &body.channels());
    let extra = levels.last().map(|coarsest| fpn::subsample(s.ops(), coarsest));
    levels.extend(extra);
    levels
}

/// What the first stage says.
#[derive(Clone, Debug)]
pub struct FirstStage<T> {
    /// The pyramid, as [`features`] gives it.
    pub maps: Vec<T>,
    /// Objectness and offsets of each map, as [`rpn::heads`] gives them.
    pub levels: Vec<Level<T>>,
}

/// What the first stage says about normalised `images [N, 3, h, w]`. `s` is the detector's root.
pub fn first_stage<B: Ops>(s: &Scope<B>, images: &B::T, body: &Config) -> FirstStage<B::T> {
    let maps = features(s, images, body);
    let levels = rpn::heads(s, images, &maps);
    FirstStage { maps, levels }
}

/// At most `cap` detections an image, from what the second stage makes of the proposals; see [`super::Detector::predict`].
pub fn select<B: Ops>(
    s: &Scope<B>,
    first: &FirstStage<B::T>,
    inner: &B::T,
    classes: i64,
    t: &Selection<B::T>,
) -> Detections<B::T> {
    let (o, k) = (s.ops(), rpn::TopK::TEST);
    let proposals = rpn::proposals(o, &first.levels, inner, k);
    let predicted = roi_heads::box_head(s, &first.maps, &proposals.boxes, classes);
    let regions = roi_heads::Regions { proposals: &proposals, count: k.after, inner };
    roi_heads::select(o, &predicted, &regions, classes, t)
}
