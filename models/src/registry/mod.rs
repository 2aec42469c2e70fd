//! The registry: one row per model ([`ModelSpec`]), and one match per question about what it is ([`family`]).

mod family;
mod recipe;
mod settings;
mod spec;
mod table;

use schemas::setting::ModelSize;
use schemas::{CheckpointMeta, Plan, PlanRequest, SettingError, Task};
use serde::Deserialize;

use table::MODELS;

pub(crate) use family::IMAGENET;
pub use family::{Augmentation, Layers, Layout, is_under};
pub use recipe::{Choice, Scene, Situation, fine_tuning_rate};
pub use settings::settings;
pub use spec::{Kind, ModelSpec};
pub use table::{SIZES, find};

/// Every model, in the order to show them; of a model in several sizes the default one.
#[must_use]
pub fn all() -> &'static [ModelSpec] {
    &MODELS
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
        // Of yolov5 as its authors print them, of the R-CNNs of 50 layers and RetinaNet as torchvision states them.
        let yolov5 = [1_872_157, 7_235_389, 21_190_557, 46_563_709, 86_749_405];
        let others = [
            ("fasterrcnn_resnet18_fpn", 28_730_006),
            ("fasterrcnn_resnet34_fpn", 38_830_742),
            ("fasterrcnn_resnet50_fpn", 41_755_286),
            ("fasterrcnn_resnet101_fpn", 60_695_190),
            ("fasterrcnn_resnet152_fpn", 76_292_758),
            ("retinanet_resnet50_fpn", 34_014_999),
            ("maskrcnn_resnet18_fpn", 31_376_113),
            ("maskrcnn_resnet34_fpn", 41_476_849),
            ("maskrcnn_resnet50_fpn", 44_401_393),
            ("maskrcnn_resnet101_fpn", 63_341_297),
            ("maskrcnn_resnet152_fpn", 78_938_865),
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
            ("convnextv2_atto", 320),
            ("convnextv2_base", 1024),
            ("convnextv2_femto", 384),
            ("convnextv2_nano", 640),
            ("convnextv2_pico", 512),
            ("convnextv2_tiny", 768),
            ("dinov2_base", 768),
            ("dinov2_small", 384),
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
