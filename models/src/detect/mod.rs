//! Detectors, and what surrounds them: uint8 pixels before, boxes in pixels of the original images after.
//!
//! Boxes are `xyxy`: left, top, right, bottom, continuous (0 is the left edge of the image, its width the right one).
//! The number of detections of an image varies, a tensor's shape does not: results are padded to a common length and
//! say so by their label, -1, and their score, 0.

pub mod anchors;
pub mod coder;
pub mod faster_rcnn;
mod found;
pub mod fpn;
pub mod geometry;
pub mod mask_rcnn;
pub mod retinanet;
pub mod roi_heads;
pub mod rpn;
mod scalar;
pub mod tiling;
mod view;
pub mod yolov5;

use schemas::Preprocessing;
use schemas::setting::ModelSize;

use crate::classify::{normalise, resnet};
use crate::ops::{DType, Ops};
use crate::scope::Scope;

pub use found::{Detections, Selection};
pub use view::View;

/// Architecture of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// YOLOv5, layout of its releases 6 and 7.
    Yolov5(ModelSize),
    /// Faster R-CNN on a feature pyramid of a ResNet.
    FasterRcnn(resnet::Config),
    /// RetinaNet on a feature pyramid of a ResNet.
    RetinaNet(resnet::Config),
    /// Faster R-CNN that outlines what it finds.
    MaskRcnn(resnet::Config),
}

/// Images as the network wants them, fitted and framed by [`schemas::Fit`].
#[derive(Clone, Debug)]
pub struct Images<T> {
    /// U8 `[N, h, w, 3]`, sides multiples of 32; an image whose own frame is smaller lies at the top left.
    pub prepared: T,
    /// I64 `[N, 2]`: height and width of the originals.
    pub sizes: T,
}

/// What a network says about images, before anything is chosen from it: what losses and detections are made of.
#[derive(Clone, Debug)]
pub enum Outputs<T> {
    /// Of YOLOv5.
    Yolov5(yolov5::Heads<T>),
    /// Of RetinaNet, level by level.
    RetinaNet(Vec<anchors::Level<T>>),
    /// Of Faster R-CNN.
    FasterRcnn(faster_rcnn::FirstStage<T>),
    /// Of Mask R-CNN.
    MaskRcnn(faster_rcnn::FirstStage<T>),
}

impl<T: Clone> Outputs<T> {
    /// At most `t.cap` detections an image, as of [`Detector::predict`]. `inner` is F32 `[N, 2]`: height and width of each image in
    /// the prepared one. `s` is the detector's root.
    pub fn select<B: Ops<T = T>>(&self, s: &Scope<B>, inner: &T, classes: i64, t: &Selection<T>) -> Detections<T> {
        match self {
            Self::Yolov5(heads) => yolov5::select(s.ops(), heads, classes, t),
            Self::RetinaNet(levels) => retinanet::select(s.ops(), levels, inner, classes, t),
            Self::FasterRcnn(first) => faster_rcnn::select(s, first, inner, classes, t),
            Self::MaskRcnn(first) => mask_rcnn::select(s, first, inner, classes, t),
        }
    }
}

impl Detector {
    /// What the network says about normalised `images [N, 3, h, w]`. `s` is the detector's root.
    pub fn outputs<B: Ops>(&self, s: &Scope<B>, images: &B::T, classes: i64) -> Outputs<B::T> {
        match self {
            Self::Yolov5(size) => Outputs::Yolov5(yolov5::heads(s, images, *size, classes)),
            Self::RetinaNet(body) => {
                Outputs::RetinaNet(retinanet::heads(s, images, &retinanet::features(s, images, body), classes))
            }
            Self::FasterRcnn(body) => Outputs::FasterRcnn(faster_rcnn::first_stage(s, images, body)),
            Self::MaskRcnn(body) => Outputs::MaskRcnn(faster_rcnn::first_stage(s, images, body)),
        }
    }

    /// At most `t.cap` detections an image, in pixels of the prepared images. R-CNN and RetinaNet clip boxes to what is
    /// image in a view, YOLOv5 does not look at that.
    pub fn predict<B: Ops>(
        &self,
        s: &Scope<B>,
        view: &View<'_, B::T>,
        classes: i64,
        t: &Selection<B::T>,
    ) -> Detections<B::T> {
        self.outputs(s, view.images, classes).select(s, view.inner, classes, t)
    }
}

/// What a network says about prepared images.
#[derive(Clone, Debug)]
pub struct Raw<T> {
    /// Its outputs.
    pub outputs: Outputs<T>,
    /// F32 `[N, 2]`: height and width that each image occupies from the top left.
    pub inner: T,
}

/// A detector for one data set.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// Architecture.
    pub detector: &'a Detector,
    /// How it wants its pixels.
    pub preprocessing: &'a Preprocessing,
    /// Number of classes.
    pub classes: i64,
}

/// The whole detector after fitting: what evaluation runs and what an exported file contains. At most `t.cap` detections
/// an image, in pixels of the originals and clipped to them.
pub fn detections<B: Ops>(o: &B, model: &Model, seen: &Images<B::T>, t: &Selection<B::T>) -> Detections<B::T> {
    detections_and(o, model, seen, t, |_| {})
}

/// The same, with a look at what the network says before detections are chosen from it.
pub fn detections_and<B: Ops>(
    o: &B,
    model: &Model,
    seen: &Images<B::T>,
    t: &Selection<B::T>,
    look: impl FnOnce(&Raw<B::T>),
) -> Detections<B::T> {
    let place = geometry::placement(o, &seen.sizes, &model.preprocessing.fit);
    let inner = o.cast(&place.inner, DType::F32);
    let images = normalise(o, &seen.prepared, model.preprocessing);
    let s = Scope::root(o);
    let raw = Raw { outputs: model.detector.outputs(&s, &images, model.classes), inner };
    look(&raw);
    let found = raw.outputs.select(&s, &raw.inner, model.classes, t);
    Detections { boxes: geometry::to_original(o, &found.boxes, &place, &seen.sizes), ..found }
}
