//! The registry: one row per model, one match per question.

use schemas::{Fit, Interpolation, Preprocessing};

use crate::classify::resnet::{Block, Config};
use crate::classify::{efficientnet_lite, mobilenet, resnet};
use crate::manifest::{Manifest, ShapeError};
use crate::ops::Ops;
use crate::scope::Scope;

/// Architecture of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ResNet of one configuration.
    Resnet(Config),
    /// MobileNetV2.
    MobileNetV2,
    /// EfficientNet-Lite0.
    EfficientNetLite0,
}

/// One model.
#[derive(Clone, Copy, Debug)]
pub struct ModelSpec {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Architecture.
    pub family: Family,
}

const fn resnet_row(name: &'static str, summary: &'static str, block: Block, layers: [i64; 4]) -> ModelSpec {
    ModelSpec { name, summary, family: Family::Resnet(Config { block, layers }) }
}

static MODELS: [ModelSpec; 7] = [
    ModelSpec {
        name: "efficientnet_lite0",
        summary: "small and fast; its ImageNet weights come with scripts/setup",
        family: Family::EfficientNetLite0,
    },
    ModelSpec { name: "mobilenetv2", summary: "the smallest", family: Family::MobileNetV2 },
    resnet_row("resnet18", "plain and quick to train", Block::Basic, [2, 2, 2, 2]),
    resnet_row("resnet34", "resnet18 twice as deep", Block::Basic, [3, 4, 6, 3]),
    resnet_row("resnet50", "the usual reference", Block::Bottleneck, [3, 4, 6, 3]),
    resnet_row("resnet101", "deeper", Block::Bottleneck, [3, 4, 23, 3]),
    resnet_row("resnet152", "deepest", Block::Bottleneck, [3, 8, 36, 3]),
];

/// Every model, in the order to show them.
#[must_use]
pub fn all() -> &'static [ModelSpec] {
    &MODELS
}

/// The model of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ModelSpec> {
    MODELS.iter().find(|m| m.name == name)
}

impl ModelSpec {
    /// Logits `[N, classes]` of normalised `images`, `float [N, 3, h, w]`.
    pub fn logits<B: Ops>(&self, ops: &B, images: &B::T, classes: i64) -> B::T {
        let s = Scope::root(ops);
        match &self.family {
            Family::Resnet(config) => resnet::logits(&s, images, config, classes),
            Family::MobileNetV2 => mobilenet::logits(&s, images, classes),
            Family::EfficientNetLite0 => efficientnet_lite::logits(&s, images, classes),
        }
    }

    /// Pixels the published weights were trained with.
    #[must_use]
    pub fn preprocessing(&self) -> Preprocessing {
        let (mean, std) = match self.family {
            Family::Resnet(_) | Family::MobileNetV2 => ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
            Family::EfficientNetLite0 => ([127.0; 3], [128.0; 3]),
        };
        Preprocessing { fit: Fit::Crop { resize: 256, crop: 224 }, interpolation: Interpolation::Bilinear, mean, std }
    }

    /// Prefixes of the parameters that depend on the number of classes.
    #[must_use]
    pub fn head(&self) -> &'static str {
        match self.family {
            Family::Resnet(_) => "fc",
            Family::MobileNetV2 => "classifier.1",
            Family::EfficientNetLite0 => "_fc",
        }
    }

    /// What `layers_to_freeze` counts, from the input: groups of key prefixes (a prefix ends at a dot).
    #[must_use]
    pub fn freezable(&self) -> Vec<Vec<String>> {
        let one = |name: String| vec![name];
        let two = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        match self.family {
            Family::Resnet(_) => {
                std::iter::once(two("conv1", "bn1")).chain((1..=4).map(|i| one(format!("layer{i}")))).collect()
            }
            Family::MobileNetV2 => (0..=18).map(|i| one(format!("features.{i}"))).collect(),
            Family::EfficientNetLite0 => std::iter::once(two("_conv_stem", "_bn0"))
                .chain((0..16).map(|i| one(format!("_blocks.{i}"))))
                .chain(std::iter::once(two("_conv_head", "_bn1")))
                .collect(),
        }
    }

    /// Keys, shapes, roles and cost of the model with this many classes on one image of `side` pixels.
    ///
    /// # Errors
    /// When a definition misuses a shape, which is a bug in it.
    pub fn manifest(&self, classes: i64, side: i64) -> Result<Manifest, ShapeError> {
        let manifest = Manifest::default();
        let input = manifest.input(&[1, 3, side, side]);
        self.logits(&manifest, &input, classes);
        manifest.finish()
    }
}
