//! Classifiers, and what surrounds their logits: normalised pixels before, probabilities after.

pub mod efficientnet_lite;
pub mod mobilenet;
pub mod resnest;
pub mod resnet;
pub mod seresnext;
pub mod vit;

use schemas::{Preprocessing, Task};

use crate::ops::{DType, Ops};
use crate::scope::Scope;

/// Architecture of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classifier {
    /// ResNet of one configuration.
    Resnet(resnet::Config),
    /// ResNeSt of one configuration.
    Resnest(resnest::Config),
    /// SE-ResNeXt50 32x4d.
    SeResnext,
    /// Vision Transformer of one configuration.
    Vit(vit::Config),
    /// MobileNetV2.
    MobileNetV2,
    /// EfficientNet-Lite0.
    EfficientNetLite0,
}

impl Classifier {
    /// Logits `[N, classes]` of normalised `images`, `float [N, 3, h, w]`. `side` is the h and w that the network is made for,
    /// in pixels; only a Vision Transformer, which has a position for each patch, takes no other.
    pub fn logits<B: Ops>(&self, ops: &B, images: &B::T, side: i64, classes: i64) -> B::T {
        let s = Scope::root(ops);
        match self {
            Self::Resnet(config) => resnet::logits(&s, images, config, classes),
            Self::Resnest(config) => resnest::logits(&s, images, config, classes),
            Self::SeResnext => seresnext::logits(&s, images, classes),
            Self::Vit(config) => vit::logits(&s, images, config, side, classes),
            Self::MobileNetV2 => mobilenet::logits(&s, images, classes),
            Self::EfficientNetLite0 => efficientnet_lite::logits(&s, images, classes),
        }
    }
}

/// Pixels as the network wants them: `uint8 [N, h, w, 3]` to `float [N, 3, h, w]`, each channel `(pixel - mean) / std`.
pub fn normalise<B: Ops>(ops: &B, images: &B::T, p: &Preprocessing) -> B::T {
    let x = ops.cast(&ops.transpose(images, &[0, 3, 1, 2]), DType::F32);
    let mean = ops.constant(&p.mean, &[1, 3, 1, 1]);
    let scale = ops.constant(&p.std.map(|s| 1.0 / s), &[1, 3, 1, 1]);
    ops.mul(ops.sub(x, &mean), &scale)
}

/// The whole classifier after resizing: `uint8 [N, h, w, 3]` to `float [N, classes]`. Softmax for one class per image,
/// a sigmoid per class for [`Task::ImageClassificationMultilabel`].
///
/// # Panics
/// When `task` is not a classification task: callers choose the function by task.
pub fn probabilities<B: Ops>(
    ops: &B,
    classifier: &Classifier,
    task: Task,
    images: &B::T,
    p: &Preprocessing,
    classes: i64,
) -> B::T {
    let logits = classifier.logits(ops, &normalise(ops, images, p), i64::from(p.side()), classes);
    match task {
        Task::ImageClassification => ops.softmax(&logits, 1),
        Task::ImageClassificationMultilabel => ops.sigmoid(&logits),
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => {
            panic!("{task:?} has no class probabilities per image")
        }
    }
}
