//! What a model is, and every answer that follows from it: what others need to know of a family is asked here.

use schemas::Interpolation::{Bicubic, Bilinear};
use schemas::setting::ModelSize;
use schemas::{Fit, Preprocessing, Settings, Task};

use super::spec::{Kind, ModelSpec};
use super::table::{DINOV2_B, DINOV2_S, MODELS, RESNEST101, YOLOV5};
use crate::classify::Classifier;
use crate::detect::{Detector, Selection, View};
use crate::manifest::{Manifest, ShapeError};
use crate::scope::Scope;

/// What training does at random to its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Augmentation {
    /// A random crop, a flip and colours: an image, one view.
    Crop,
    /// Four images in a mosaic, scaled, moved, flipped, and in other colours; boxes go along.
    Mosaic,
    /// A crop or a larger canvas, and a flip; boxes go along.
    Flip,
}

/// How far each parameter of a model is from its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    groups: Vec<Vec<String>>,
    heads: &'static [&'static str],
}

impl Layers {
    /// Layer groups from the head to the parameter under `key`: 0 for the head and whatever is in no group, 1 for the last group,
    /// more toward the input.
    #[must_use]
    pub fn depth(&self, key: &str) -> usize {
        let holds = |group: &Vec<String>| group.iter().any(|prefix| is_under(key, prefix));
        self.groups.iter().rposition(holds).map_or(0, |at| self.groups.len() - at)
    }

    /// Whether the parameter under `key` depends on the number of classes.
    #[must_use]
    pub fn is_head(&self, key: &str) -> bool {
        is_under_one_of(self.heads, key)
    }
}

/// Whether a key continues one of the prefixes after a dot.
fn is_under_one_of(heads: &[&str], key: &str) -> bool {
    heads.iter().any(|head| key != *head && is_under(key, head))
}

/// Whether a key is a prefix itself, or continues it after a dot.
#[must_use]
pub fn is_under(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Layout in memory of images and convolution weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// NCHW.
    Contiguous,
    /// NHWC in memory, NCHW by index.
    ChannelsLast,
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
            Kind::Classifier(_)
            | Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => self,
        }
    }

    /// The size of a model that has several.
    #[must_use]
    pub fn size(&self) -> Option<ModelSize> {
        match self.kind {
            Kind::Detector(Detector::Yolov5(size)) => Some(size),
            Kind::Classifier(_)
            | Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => None,
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

    /// The classifier whose body a detector has, where there is one.
    #[must_use]
    pub fn body(&self) -> Option<&'static Self> {
        let body = match self.kind {
            Kind::Classifier(_) | Kind::Detector(Detector::Yolov5(_)) => return None,
            Kind::Detector(Detector::FasterRcnn(body) | Detector::RetinaNet(body) | Detector::MaskRcnn(body)) => body,
        };
        MODELS.iter().find(|m| m.kind == Kind::Classifier(Classifier::Resnet(body)))
    }

    /// The tasks it can be trained for.
    #[must_use]
    pub const fn tasks(&self) -> &'static [Task] {
        match self.kind {
            Kind::Classifier(_) => &[Task::ImageClassification, Task::ImageClassificationMultilabel],
            Kind::Detector(Detector::MaskRcnn(_)) => &[Task::ImageInstanceSegmentation],
            Kind::Detector(Detector::Yolov5(_) | Detector::FasterRcnn(_) | Detector::RetinaNet(_)) => {
                &[Task::ImageObjectDetection]
            }
        }
    }

    /// What training does at random to its images.
    #[must_use]
    pub const fn augmentation(&self) -> Augmentation {
        match self.kind {
            Kind::Classifier(_) => Augmentation::Crop,
            Kind::Detector(Detector::Yolov5(_)) => Augmentation::Mosaic,
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
                Augmentation::Flip
            }
        }
    }

    /// The layout it trains fastest in on a CPU, by measurement.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        match self.kind {
            Kind::Classifier(Classifier::Resnest(_)) => Layout::Contiguous,
            Kind::Classifier(
                Classifier::Resnet(_)
                | Classifier::SeResnext
                | Classifier::Vit(_)
                | Classifier::ConvNextV2(_)
                | Classifier::MobileNetV2
                | Classifier::EfficientNetLite0,
            )
            | Kind::Detector(_) => Layout::ChannelsLast,
        }
    }

    /// Whether its training step is faster in bfloat16 where a CPU has it, by measurement: depthwise convolutions gain nothing.
    /// ConvNeXt V2 has not been measured.
    #[must_use]
    pub const fn gains_from_bf16(&self) -> bool {
        match self.kind {
            Kind::Classifier(
                Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext | Classifier::Vit(_),
            )
            | Kind::Detector(_) => true,
            Kind::Classifier(Classifier::MobileNetV2 | Classifier::EfficientNetLite0 | Classifier::ConvNextV2(_)) => {
                false
            }
        }
    }

    /// Its own pixels, at the sizes of `settings`.
    #[must_use]
    pub fn fitted(&self, settings: &Settings) -> Preprocessing {
        let own = self.preprocessing();
        let fit = match own.fit {
            Fit::Crop { .. } => Fit::Crop { resize: settings.valid_resize_size, crop: settings.valid_crop_size },
            Fit::Letterbox { .. } => Fit::Letterbox { side: settings.img_size.next_multiple_of(schemas::STRIDE) },
            Fit::Shorter { .. } => Fit::Shorter { min_size: settings.min_size, max_size: settings.max_size },
        };
        Preprocessing { fit, ..own }
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
            Kind::Classifier(
                Classifier::SeResnext | Classifier::ConvNextV2(_) | Classifier::Vit(DINOV2_S | DINOV2_B),
            ) => (crop, Bicubic, IMAGENET),
            Kind::Classifier(Classifier::Vit(_)) => (Fit::Crop { resize: 248, crop: 224 }, Bicubic, SIGNED),
            Kind::Classifier(Classifier::EfficientNetLite0) => (crop, Bilinear, ([127.0; 3], [128.0; 3])),
            Kind::Detector(Detector::Yolov5(_)) => (Fit::Letterbox { side: 640 }, Bilinear, ([0.0; 3], [255.0; 3])),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
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
            Kind::Detector(Detector::FasterRcnn(_) | Detector::MaskRcnn(_)) => 90,
            Kind::Detector(Detector::RetinaNet(_)) => 91,
        }
    }

    /// Prefixes of the parameters that depend on the number of classes; a prefix ends at a dot.
    #[must_use]
    pub const fn heads(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Classifier(Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext) => &["fc"],
            Kind::Classifier(Classifier::Vit(_)) => &["head"],
            Kind::Classifier(Classifier::ConvNextV2(_)) => &["head.fc"],
            Kind::Classifier(Classifier::MobileNetV2) => &["classifier.1"],
            Kind::Classifier(Classifier::EfficientNetLite0) => &["_fc"],
            Kind::Detector(Detector::Yolov5(_)) => &["model.24.m"],
            Kind::Detector(Detector::FasterRcnn(_)) => &["roi_heads.box_predictor"],
            Kind::Detector(Detector::RetinaNet(_)) => &["head.classification_head.cls_logits"],
            Kind::Detector(Detector::MaskRcnn(_)) => {
                &["roi_heads.box_predictor", "roi_heads.mask_predictor.mask_fcn_logits"]
            }
        }
    }

    /// Whether the parameter under `key` depends on the number of classes.
    #[must_use]
    pub fn is_head(&self, key: &str) -> bool {
        is_under_one_of(self.heads(), key)
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
            Kind::Classifier(Classifier::ConvNextV2(_)) => {
                [vec![vec!["stem".to_owned()]], numbered(0, 3, "stages.")].concat()
            }
            Kind::Classifier(Classifier::MobileNetV2) => numbered(0, 18, "features."),
            Kind::Classifier(Classifier::EfficientNetLite0) => {
                [pair("_conv_stem", "_bn0"), numbered(0, 15, "_blocks."), pair("_conv_head", "_bn1")].concat()
            }
            Kind::Detector(Detector::Yolov5(_)) => numbered(0, 9, "model."),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
                resnet("backbone.body.")
            }
        }
    }

    /// How far each parameter is from the head.
    #[must_use]
    pub fn layers(&self) -> Layers {
        Layers { groups: self.freezable(), heads: self.heads() }
    }

    /// Groups of [`Self::freezable`] that are frozen unless `layers_to_freeze` says otherwise: torchvision trains the
    /// upper three stages of a body that comes with weights.
    #[must_use]
    pub const fn frozen_by_default(&self) -> usize {
        match self.kind {
            Kind::Classifier(_) | Kind::Detector(Detector::Yolov5(_)) => 0,
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => 2,
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
                let selection = Selection { score: one.clone(), iou: one, cap: 100 };
                let view = View { images: &images, inner: &inner };
                detector.predict(&Scope::root(&manifest), &view, classes, &selection);
            }
        }
        manifest.finish()
    }
}
