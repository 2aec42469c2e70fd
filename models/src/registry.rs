//! The registry: one row per model, one match per question.

use schemas::Interpolation::{Bicubic, Bilinear};
use schemas::setting::ModelSize;
use schemas::{CheckpointMeta, Fit, Preprocessing};
use serde::Deserialize;

use crate::classify::resnet::{Block, Config};
use crate::classify::{Classifier, resnest, vit};
use crate::detect::{Detector, Thresholds};
use crate::manifest::{Manifest, ShapeError};
use crate::scope::Scope;

/// What a model does, and with what architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Says what a picture shows.
    Classifier(Classifier),
    /// Says what is where in a picture.
    Detector(Detector),
}

/// One model.
#[derive(Clone, Copy, Debug)]
pub struct ModelSpec {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// What it is.
    pub kind: Kind,
}

const R18: Config = Config { block: Block::Basic, layers: [2, 2, 2, 2] };
const R34: Config = Config { block: Block::Basic, layers: [3, 4, 6, 3] };
const R50: Config = Config { block: Block::Bottleneck, layers: [3, 4, 6, 3] };
const R101: Config = Config { block: Block::Bottleneck, layers: [3, 4, 23, 3] };
const R152: Config = Config { block: Block::Bottleneck, layers: [3, 8, 36, 3] };

const RESNEST50: resnest::Config = resnest::Config { layers: [3, 4, 6, 3], stem: 32 };
const RESNEST101: resnest::Config = resnest::Config { layers: [3, 4, 23, 3], stem: 64 };

const VIT_S: vit::Config = vit::Config { width: 384, depth: 12, heads: 6 };
const VIT_B: vit::Config = vit::Config { width: 768, depth: 12, heads: 12 };
const VIT_L: vit::Config = vit::Config { width: 1024, depth: 24, heads: 16 };

const fn classifier(name: &'static str, summary: &'static str, classifier: Classifier) -> ModelSpec {
    ModelSpec { name, summary, kind: Kind::Classifier(classifier) }
}

const fn detector(name: &'static str, summary: &'static str, detector: Detector) -> ModelSpec {
    ModelSpec { name, summary, kind: Kind::Detector(detector) }
}

const fn yolov5_row(size: ModelSize) -> ModelSpec {
    detector("yolov5", "one stage, quick; in five sizes, here the default", Detector::Yolov5(size))
}

static MODELS: [ModelSpec; 20] = [
    classifier(
        "efficientnet_lite0",
        "small and fast; its ImageNet weights come with scripts/setup",
        Classifier::EfficientNetLite0,
    ),
    classifier("mobilenetv2", "the smallest", Classifier::MobileNetV2),
    classifier("resnet18", "plain and quick to train", Classifier::Resnet(R18)),
    classifier("resnet34", "resnet18 twice as deep", Classifier::Resnet(R34)),
    classifier("resnet50", "the usual reference", Classifier::Resnet(R50)),
    classifier("resnet101", "deeper", Classifier::Resnet(R101)),
    classifier("resnet152", "deepest", Classifier::Resnet(R152)),
    classifier("resnest50", "a ResNet that attends to splits of its channels", Classifier::Resnest(RESNEST50)),
    classifier("resnest101", "deeper; its weights see 256 pixels", Classifier::Resnest(RESNEST101)),
    classifier("seresnext", "SE-ResNeXt50 32x4d: groups, and a weight for each channel", Classifier::SeResnext),
    classifier("vits16r224", "Vision Transformer, small", Classifier::Vit(VIT_S)),
    classifier("vitb16r224", "Vision Transformer, base; the specification's default", Classifier::Vit(VIT_B)),
    classifier("vitl16r224", "Vision Transformer, large", Classifier::Vit(VIT_L)),
    yolov5_row(ModelSize::Medium),
    detector("fasterrcnn_resnet18_fpn", "two stages, small body", Detector::FasterRcnn(R18)),
    detector("fasterrcnn_resnet34_fpn", "two stages, a deeper small body", Detector::FasterRcnn(R34)),
    detector("fasterrcnn_resnet50_fpn", "two stages, the usual reference", Detector::FasterRcnn(R50)),
    detector("fasterrcnn_resnet101_fpn", "two stages, deeper", Detector::FasterRcnn(R101)),
    detector("fasterrcnn_resnet152_fpn", "two stages, deepest", Detector::FasterRcnn(R152)),
    detector("retinanet_resnet50_fpn", "one stage on a ResNet, focal loss", Detector::RetinaNet(R50)),
];

/// Sizes of YOLOv5, from small to large.
pub const SIZES: [ModelSize; 5] =
    [ModelSize::Nano, ModelSize::Small, ModelSize::Medium, ModelSize::Large, ModelSize::Xlarge];

static YOLOV5: [ModelSpec; 5] =
    [yolov5_row(SIZES[0]), yolov5_row(SIZES[1]), yolov5_row(SIZES[2]), yolov5_row(SIZES[3]), yolov5_row(SIZES[4])];

/// Every model, in the order to show them; of a model in several sizes the default one.
#[must_use]
pub fn all() -> &'static [ModelSpec] {
    &MODELS
}

/// The model of this name, in its default size.
///
/// ```
/// let spec = models::registry::find("resnet50").expect("it is in the registry");
/// let manifest = spec.manifest(1000, 224)?; // 1000 classes, images of 224 x 224
/// assert_eq!(manifest.parameters(), 25_557_032);
/// # Ok::<(), models::manifest::ShapeError>(())
/// ```
#[must_use]
pub fn find(name: &str) -> Option<&'static ModelSpec> {
    MODELS.iter().find(|m| m.name == name)
}

/// The model that a checkpoint describes, in its size; `None` when this version does not know it.
#[must_use]
pub fn described(meta: &CheckpointMeta) -> Option<&'static ModelSpec> {
    let size = match meta.settings.get("model_size") {
        Some(size) => ModelSize::deserialize(size).ok()?,
        None => ModelSize::Medium,
    };
    Some(find(&meta.model_name)?.sized(size))
}

/// ImageNet's mean and standard deviation per channel, on the 0..255 scale.
pub(crate) const IMAGENET: ([f32; 3], [f32; 3]) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
/// From -1 to 1.
const SIGNED: ([f32; 3], [f32; 3]) = ([127.5; 3], [127.5; 3]);

impl ModelSpec {
    /// The same model in another size (the setting `model_size`); a model without sizes is itself.
    #[must_use]
    pub fn sized(&'static self, size: ModelSize) -> &'static Self {
        match self.kind {
            Kind::Detector(Detector::Yolov5(_)) => {
                let other = |m: &&Self| m.kind == Kind::Detector(Detector::Yolov5(size));
                YOLOV5.iter().find(other).unwrap_or(self)
            }
            Kind::Classifier(_) | Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_)) => self,
        }
    }

    /// The size of a model that has several.
    #[must_use]
    pub fn size(&self) -> Option<ModelSize> {
        match self.kind {
            Kind::Detector(Detector::Yolov5(size)) => Some(size),
            Kind::Classifier(_) | Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_)) => None,
        }
    }

    /// The architecture, when it classifies.
    #[must_use]
    pub const fn classifier(&self) -> Option<Classifier> {
        match self.kind {
            Kind::Classifier(classifier) => Some(classifier),
            Kind::Detector(_) => None,
        }
    }

    /// The architecture, when it detects.
    #[must_use]
    pub const fn detector(&self) -> Option<Detector> {
        match self.kind {
            Kind::Detector(detector) => Some(detector),
            Kind::Classifier(_) => None,
        }
    }

    /// Pixels the published weights were trained with (of detectors: at the sizes that are usual here).
    #[must_use]
    pub fn preprocessing(&self) -> Preprocessing {
        let crop = Fit::Crop { resize: 256, crop: 224 };
        let (fit, interpolation, (mean, std)) = match self.kind {
            Kind::Classifier(Classifier::Resnet(_) | Classifier::MobileNetV2) => (crop, Bilinear, IMAGENET),
            Kind::Classifier(Classifier::Resnest(RESNEST101)) => {
                (Fit::Crop { resize: 292, crop: 256 }, Bilinear, IMAGENET)
            }
            Kind::Classifier(Classifier::Resnest(_)) => (crop, Bilinear, IMAGENET),
            Kind::Classifier(Classifier::SeResnext) => (crop, Bicubic, IMAGENET),
            Kind::Classifier(Classifier::Vit(_)) => (Fit::Crop { resize: 248, crop: 224 }, Bicubic, SIGNED),
            Kind::Classifier(Classifier::EfficientNetLite0) => (crop, Bilinear, ([127.0; 3], [128.0; 3])),
            Kind::Detector(Detector::Yolov5(_)) => (Fit::Letterbox { side: 640 }, Bilinear, ([0.0; 3], [255.0; 3])),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_)) => {
                (Fit::Shorter { min_size: 600, max_size: 1333 }, Bilinear, IMAGENET)
            }
        };
        Preprocessing { fit, interpolation, mean, std }
    }

    /// Classes that parameter counts are published for: ImageNet's, or COCO's. torchvision's R-CNN heads of 91 have one
    /// for the background beside 90; its RetinaNet has 91.
    #[must_use]
    pub const fn published_classes(&self) -> i64 {
        match self.kind {
            Kind::Classifier(_) => 1000,
            Kind::Detector(Detector::Yolov5(_)) => 80,
            Kind::Detector(Detector::FasterRcnn(_)) => 90,
            Kind::Detector(Detector::RetinaNet(_)) => 91,
        }
    }

    /// Prefixes of the parameters that depend on the number of classes; a prefix ends at a dot.
    #[must_use]
    pub const fn head(&self) -> &'static str {
        match self.kind {
            Kind::Classifier(Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext) => "fc",
            Kind::Classifier(Classifier::Vit(_)) => "head",
            Kind::Classifier(Classifier::MobileNetV2) => "classifier.1",
            Kind::Classifier(Classifier::EfficientNetLite0) => "_fc",
            Kind::Detector(Detector::Yolov5(_)) => "model.24.m",
            Kind::Detector(Detector::FasterRcnn(_)) => "roi_heads.box_predictor",
            Kind::Detector(Detector::RetinaNet(_)) => "head.classification_head.cls_logits",
        }
    }

    /// What `layers_to_freeze` counts, from the input: groups of keys and key prefixes (a prefix ends at a dot). The order is
    /// the specification's, whose list for Vision Transformers ends at the twelfth block; here it goes on to the last.
    #[must_use]
    pub fn freezable(&self) -> Vec<Vec<String>> {
        let numbered = |from: usize, to: usize, prefix: &str| -> Vec<Vec<String>> {
            (from..=to).map(|i| vec![format!("{prefix}{i}")]).collect()
        };
        let resnet = |place: &str| {
            let stem = ["conv1", "bn1"].map(|name| format!("{place}{name}"));
            [vec![stem.to_vec()], numbered(1, 4, &format!("{place}layer"))].concat()
        };
        let pair = |a: &str, b: &str| vec![vec![a.to_owned(), b.to_owned()]];
        match self.kind {
            Kind::Classifier(Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext) => resnet(""),
            // The class token and the positions are added to the patches: with them trained, nothing would be saved.
            Kind::Classifier(Classifier::Vit(c)) => {
                let embedding = ["patch_embed", "cls_token", "pos_embed"].map(str::to_owned);
                let depth = usize::try_from(c.depth).unwrap_or(0);
                [vec![embedding.to_vec()], numbered(0, depth.saturating_sub(1), "blocks.")].concat()
            }
            Kind::Classifier(Classifier::MobileNetV2) => numbered(0, 18, "features."),
            Kind::Classifier(Classifier::EfficientNetLite0) => {
                [pair("_conv_stem", "_bn0"), numbered(0, 15, "_blocks."), pair("_conv_head", "_bn1")].concat()
            }
            Kind::Detector(Detector::Yolov5(_)) => numbered(0, 9, "model."),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_)) => resnet("backbone.body."),
        }
    }

    /// Groups of [`Self::freezable`] that are frozen unless `layers_to_freeze` says otherwise: torchvision trains the
    /// upper three stages of a body that comes with weights.
    #[must_use]
    pub const fn frozen_by_default(&self) -> usize {
        match self.kind {
            Kind::Classifier(_) | Kind::Detector(Detector::Yolov5(_)) => 0,
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_)) => 2,
        }
    }

    /// Keys, shapes, roles and cost of the model with this many classes on one image of `side` pixels (of a detector: a
    /// multiple of 32).
    ///
    /// # Errors
    /// When a definition misuses a shape, which is a bug in it.
    pub fn manifest(&self, classes: i64, side: i64) -> Result<Manifest, ShapeError> {
        let manifest = Manifest::default();
        let images = manifest.input(&[1, 3, side, side]);
        match self.kind {
            Kind::Classifier(classifier) => {
                classifier.logits(&manifest, &images, side, classes);
            }
            Kind::Detector(detector) => {
                let (inner, one) = (manifest.input(&[1, 2]), manifest.input(&[1]));
                let thresholds = Thresholds { score: one.clone(), iou: one };
                detector.predict(&Scope::root(&manifest), &images, &inner, classes, &thresholds, 100);
            }
        }
        manifest.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectors_have_the_published_number_of_parameters() {
        // Of yolov5 as its authors print them, of fasterrcnn_resnet50_fpn and RetinaNet as torchvision states them.
        let yolov5 = [1_872_157, 7_235_389, 21_190_557, 46_563_709, 86_749_405];
        let others = [
            ("fasterrcnn_resnet18_fpn", 28_730_006),
            ("fasterrcnn_resnet34_fpn", 38_830_742),
            ("fasterrcnn_resnet50_fpn", 41_755_286),
            ("fasterrcnn_resnet101_fpn", 60_695_190),
            ("fasterrcnn_resnet152_fpn", 76_292_758),
            ("retinanet_resnet50_fpn", 34_014_999),
        ];
        let count = |spec: &ModelSpec| spec.manifest(spec.published_classes(), 64).unwrap().parameters();
        for (size, published) in SIZES.into_iter().zip(yolov5) {
            let spec = find("yolov5").unwrap().sized(size);
            assert_eq!((spec.size(), count(spec)), (Some(size), published));
        }
        for (name, published) in others {
            assert_eq!(count(find(name).unwrap()), published, "{name}");
        }
        assert_eq!(all().iter().filter(|m| m.detector().is_some()).count(), 1 + others.len());
    }

    #[test]
    fn classifiers_have_features_of_the_published_width() {
        let widths = all().iter().filter_map(|spec| {
            let (manifest, side) = (Manifest::default(), 64);
            let images = manifest.input(&[2, 3, side, side]);
            let classified = spec.classifier()?.classify(&manifest, &images, side, 5);
            manifest.finish().unwrap();
            assert_eq!(*classified.logits, [2, 5], "{}", spec.name);
            assert_eq!(classified.features.len(), 2, "{}", spec.name);
            Some((spec.name, classified.features[1]))
        });
        let published = [
            ("efficientnet_lite0", 1280),
            ("mobilenetv2", 1280),
            ("resnest101", 2048),
            ("resnest50", 2048),
            ("resnet101", 2048),
            ("resnet152", 2048),
            ("resnet18", 512),
            ("resnet34", 512),
            ("resnet50", 2048),
            ("seresnext", 2048),
            ("vitb16r224", 768),
            ("vitl16r224", 1024),
            ("vits16r224", 384),
        ];
        assert_eq!(widths.collect::<std::collections::BTreeMap<_, _>>(), published.into());
    }

    #[test]
    fn frozen_groups_exist() {
        for spec in all() {
            assert!(spec.frozen_by_default() < spec.freezable().len(), "{}", spec.name);
        }
    }
}
