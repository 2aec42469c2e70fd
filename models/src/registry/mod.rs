//! The registry: one row per model ([`ModelSpec`]), and one match per question about what it is ([`family`]).

mod family;
mod settings;

use schemas::setting::ModelSize;
use schemas::{CheckpointMeta, Plan, PlanRequest, SettingError, Task};
use serde::Deserialize;

use crate::classify::resnet::{Block, Config};
use crate::classify::{Classifier, resnest, vit};
use crate::detect::Detector;

pub(crate) use family::IMAGENET;
pub use family::{Augmentation, Kind, Layout};
pub use settings::settings;

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

/// Resolves the plan of a run, with the defaults of its model.
///
/// # Errors
/// As [`Plan::resolve`].
pub fn plan(request: PlanRequest) -> Result<Plan, Vec<SettingError>> {
    Plan::resolve(request, settings)
}

/// The models that can be trained for a task, in the order to show them; none where the task is not built yet.
pub fn for_task(task: Task) -> impl Iterator<Item = &'static ModelSpec> {
    MODELS.iter().filter(move |m| m.tasks().contains(&task))
}

/// The model that a task takes when none is named; `None` where there is none.
#[must_use]
pub fn default_for(task: Task) -> Option<&'static ModelSpec> {
    // The first row of each task's models is the one to begin with.
    for_task(task).next()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

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
