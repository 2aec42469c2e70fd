//! Classifiers, and what surrounds their logits: normalised pixels before, probabilities after.

mod classified;
pub mod convnextv2;
pub mod efficientnet_lite;
pub mod mobilenet;
pub mod resnest;
pub mod resnet;
pub mod seresnext;
pub mod vit;

use schemas::{Preprocessing, Task};

use crate::ops::{DType, Ops};
use crate::scope::Scope;

pub use classified::Classified;

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
    /// ConvNeXt V2 of one configuration.
    ConvNextV2(convnextv2::Config),
    /// MobileNetV2.
    MobileNetV2,
    /// EfficientNet-Lite0.
    EfficientNetLite0,
}

impl Classifier {
    /// Features and logits of normalised `images`, `float [N, 3, h, w]`. `side` is the h and w that the network is made for,
    /// in pixels; only a Vision Transformer, which has a position for each patch, takes no other.
    pub fn classify<B: Ops>(&self, ops: &B, images: &B::T, side: i64, classes: i64) -> Classified<B::T> {
        let s = Scope::root(ops);
        match self {
            Self::Resnet(config) => resnet::classify(&s, images, config, classes),
            Self::Resnest(config) => resnest::classify(&s, images, config, classes),
            Self::SeResnext => seresnext::classify(&s, images, classes),
            Self::Vit(config) => vit::classify(&s, images, config, side, classes),
            Self::ConvNextV2(config) => convnextv2::classify(&s, images, config, classes),
            Self::MobileNetV2 => mobilenet::classify(&s, images, classes),
            Self::EfficientNetLite0 => efficientnet_lite::classify(&s, images, classes),
        }
    }

    /// Logits alone, as [`Self::classify`] has them.
    pub fn logits<B: Ops>(&self, ops: &B, images: &B::T, side: i64, classes: i64) -> B::T {
        self.classify(ops, images, side, classes).logits
    }
}

/// Pixels as the network wants them: `uint8 [N, h, w, 3]` to `float [N, 3, h, w]`, each channel `(pixel - mean) / std`.
pub fn normalise<B: Ops>(ops: &B, images: &B::T, p: &Preprocessing) -> B::T {
    let x = ops.cast(&ops.transpose(images, &[0, 3, 1, 2]), DType::F32);
    let mean = ops.constant(&p.mean, &[1, 3, 1, 1]);
    let scale = ops.constant(&p.std.map(|s| 1.0 / s), &[1, 3, 1, 1]);
    ops.mul(ops.sub(x, &mean), &scale)
}

/// Probabilities of logits, both `float [N, classes]`: softmax for one class per image, a sigmoid per class for
/// [`Task::ImageClassificationMultilabel`]. Logits are divided by the `temperature` before, where there is one.
///
/// # Panics
/// When `task` is not a classification task: callers choose the function by task.
pub fn probabilities<B: Ops>(ops: &B, task: Task, temperature: Option<f64>, logits: &B::T) -> B::T {
    #[expect(clippy::cast_possible_truncation, reason = "logits are single")]
    let divided = temperature.map(|t| ops.mul(logits.clone(), &ops.constant(&[(1.0 / t) as f32], &[1, 1])));
    let logits = divided.as_ref().unwrap_or(logits);
    match task {
        Task::ImageClassification => ops.softmax(logits, 1),
        Task::ImageClassificationMultilabel => ops.sigmoid(logits),
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => {
            panic!("{task:?} has no class probabilities per image")
        }
    }
}
