//! Settings of each model: defaults, and what a family does not have.

use schemas::setting::{Foreign, GradClip, ModelSettings, Optimizer};
use schemas::{Labels, Settings, Task};

use super::recipe::fine_tuning_rate;
use super::spec::{Kind, ModelSpec};
use super::table::{DINOV2_B, DINOV2_S, find};
use crate::classify::Classifier;
use crate::detect::Detector;

/// Settings that only YOLOv5 has.
const YOLO: Foreign = Foreign {
    owner: "yolov5 has",
    names: &[
        "img_size",
        "model_size",
        "multi_scale",
        "apply_mosaic_for_yolo",
        "close_mosaic",
        "augment_scale",
        "augment_translate",
        "augment_degrees",
        "augment_shear",
        "augment_hsv",
        "autoanchor",
    ],
};
/// Settings that only R-CNN and RetinaNet have.
const RCNN: Foreign = Foreign { owner: "R-CNN and RetinaNet have", names: &["min_size", "max_size"] };

/// Sizes that the specification gives `seresnext`, whatever is asked for.
const SERESNEXT: &[(&str, u32)] = &[("valid_resize_size", 256), ("valid_crop_size", 224), ("train_crop_size", 224)];

/// What settings mean to the model of this name in a task. A name that the registry does not know gets the task's defaults.
#[must_use]
pub fn settings(task: Task, model_name: &str) -> ModelSettings {
    match find(model_name) {
        Some(spec) => spec.settings(task),
        None => ModelSettings { defaults: of_task(task), foreign: &[YOLO], ..ModelSettings::default() },
    }
}

impl ModelSpec {
    /// What settings mean to this model in a task.
    #[must_use]
    pub fn settings(&self, task: Task) -> ModelSettings {
        let (foreign, fixed, one_size): (&[Foreign], &[(&str, u32)], bool) = match self.kind {
            Kind::Classifier(Classifier::Vit(_)) => (&[], &[], true),
            Kind::Classifier(Classifier::SeResnext) => (&[], SERESNEXT, false),
            Kind::Classifier(
                Classifier::Resnet(_)
                | Classifier::Resnest(_)
                | Classifier::ConvNextV2(_)
                | Classifier::MobileNetV2
                | Classifier::EfficientNetLite0,
            ) => (&[], &[], false),
            Kind::Detector(Detector::Yolov5(_)) => (&[RCNN], &[], false),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
                (&[YOLO], &[], false)
            }
        };
        ModelSettings { defaults: self.defaults(task), foreign, fixed, one_size }
    }

    /// Its defaults in a task. A model without its own has the task's.
    ///
    /// The values are the specification's, with these exceptions: `efficientnet_lite0`, which the specification does not
    /// have, comes with a recipe tried on small sets of photographs; ConvNeXt V2 and DINOv2, which it does not have either, with
    /// the like; `checkpoint_frequency` is 0.
    #[must_use]
    pub fn defaults(&self, task: Task) -> Settings {
        let mut s = of_task(task);
        let multilabel = match task.labels() {
            Labels::Classes => true,
            Labels::Class | Labels::Boxes | Labels::Outlines => false,
        };
        match self.kind {
            Kind::Classifier(classifier @ (Classifier::ConvNextV2(_) | Classifier::Vit(DINOV2_S | DINOV2_B))) => {
                (s.optimizer, s.number_of_epochs) = (Optimizer::Adamw, 10);
                s.learning_rate = fine_tuning_rate(classifier);
                (s.training_batch_size, s.validation_batch_size) = (16, 16);
            }
            Kind::Classifier(Classifier::Vit(config)) => {
                let (batch, one, many) = match config.width {
                    384 => (128, 0.0125, 0.025),
                    768 => (48, 0.0125, 0.025),
                    _ => (10, 0.001, 0.002),
                };
                (s.training_batch_size, s.validation_batch_size) = (batch, batch);
                s.learning_rate = if multilabel { many } else { one };
                (s.grad_clip_type, s.grad_clip_value) = (GradClip::Norm, 1.0);
            }
            Kind::Classifier(Classifier::EfficientNetLite0) => {
                (s.optimizer, s.learning_rate, s.number_of_epochs) = (Optimizer::Adamw, 1e-3, 10);
                (s.training_batch_size, s.validation_batch_size) = (16, 16);
            }
            Kind::Detector(Detector::Yolov5(_)) => {
                (s.number_of_epochs, s.learning_rate, s.number_of_workers) = (30, 0.01, 8);
                (s.training_batch_size, s.validation_batch_size) = (16, 16);
                (s.box_score_thresh, s.box_detections_per_img, s.ema_decay) = (0.1, 300, 0.9999);
            }
            Kind::Classifier(
                Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext | Classifier::MobileNetV2,
            )
            | Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {}
        }
        s
    }
}

/// The defaults of a task.
fn of_task(task: Task) -> Settings {
    let mut s = Settings::default();
    match task {
        Task::ImageClassification => {}
        Task::ImageClassificationMultilabel => s.learning_rate = 0.035,
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => {
            (s.training_batch_size, s.validation_batch_size) = (2, 1);
            (s.learning_rate, s.number_of_workers) = (0.005, 4);
        }
    }
    s
}
