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

impl Detector {
    /// At most `t.cap` detections an image, in pixels of the prepared images. R-CNN and RetinaNet clip boxes to what is
    /// image in a view, YOLOv5 does not look at that.
    pub fn predict<B: Ops>(
        &self,
        s: &Scope<B>,
        view: &View<'_, B::T>,
        classes: i64,
        t: &Selection<B::T>,
    ) -> Detections<B::T> {
        match self {
            Self::Yolov5(size) => yolov5::predict(s, view.images, *size, classes, t),
            Self::FasterRcnn(body) => faster_rcnn::predict(s, view, body, classes, t),
            Self::RetinaNet(body) => retinanet::predict(s, view, body, classes, t),
            Self::MaskRcnn(body) => mask_rcnn::predict(s, view, body, classes, t),
        }
    }
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
    let place = geometry::placement(o, &seen.sizes, &model.preprocessing.fit);
    let inner = o.cast(&place.inner, DType::F32);
    let images = normalise(o, &seen.prepared, model.preprocessing);
    let view = View { images: &images, inner: &inner };
    let found = model.detector.predict(&Scope::root(o), &view, model.classes, t);
    Detections { boxes: geometry::to_original(o, &found.boxes, &place, &seen.sizes), ..found }
}
