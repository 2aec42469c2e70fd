//! The models: a row for each.

use schemas::setting::ModelSize;

use super::spec::{Kind, ModelSpec};
use crate::classify::resnet::{Block, Config};
use crate::classify::{Classifier, convnextv2, resnest, vit};
use crate::detect::Detector;

const R18: Config = Config { block: Block::Basic, layers: [2, 2, 2, 2] };
const R34: Config = Config { block: Block::Basic, layers: [3, 4, 6, 3] };
const R50: Config = Config { block: Block::Bottleneck, layers: [3, 4, 6, 3] };
const R101: Config = Config { block: Block::Bottleneck, layers: [3, 4, 23, 3] };
const R152: Config = Config { block: Block::Bottleneck, layers: [3, 8, 36, 3] };

const RESNEST50: resnest::Config = resnest::Config { layers: [3, 4, 6, 3], stem: 32 };
pub(super) const RESNEST101: resnest::Config = resnest::Config { layers: [3, 4, 23, 3], stem: 64 };

const VIT_S: vit::Config = vit::Config { width: 384, depth: 12, heads: 6, patch: 16, layer_scale: false };
const VIT_B: vit::Config = vit::Config { width: 768, heads: 12, ..VIT_S };
const VIT_L: vit::Config = vit::Config { width: 1024, depth: 24, heads: 16, ..VIT_S };
pub(super) const DINOV2_S: vit::Config = vit::Config { patch: 14, layer_scale: true, ..VIT_S };
pub(super) const DINOV2_B: vit::Config = vit::Config { patch: 14, layer_scale: true, ..VIT_B };

const ATTO: convnextv2::Config = convnextv2::Config { depths: [2, 2, 6, 2], width: 40, matrices: false };
const FEMTO: convnextv2::Config = convnextv2::Config { width: 48, ..ATTO };
const PICO: convnextv2::Config = convnextv2::Config { width: 64, ..ATTO };
const NANO: convnextv2::Config = convnextv2::Config { depths: [2, 2, 8, 2], width: 80, ..ATTO };
const TINY: convnextv2::Config = convnextv2::Config { depths: [3, 3, 9, 3], width: 96, matrices: true };
const BASE: convnextv2::Config = convnextv2::Config { depths: [3, 3, 27, 3], width: 128, ..TINY };

const fn classifier(name: &'static str, summary: &'static str, classifier: Classifier) -> ModelSpec {
    ModelSpec { name, summary, kind: Kind::Classifier(classifier) }
}

const fn convnextv2_row(name: &'static str, summary: &'static str, config: convnextv2::Config) -> ModelSpec {
    classifier(name, summary, Classifier::ConvNextV2(config))
}

const fn detector(name: &'static str, summary: &'static str, detector: Detector) -> ModelSpec {
    ModelSpec { name, summary, kind: Kind::Detector(detector) }
}

const fn yolov5_row(size: ModelSize) -> ModelSpec {
    detector("yolov5", "one stage, quick; in five sizes, here the default", Detector::Yolov5(size))
}

pub(super) static MODELS: [ModelSpec; 33] = [
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
    classifier("dinov2_small", "Vision Transformer, small, for weights of DINOv2", Classifier::Vit(DINOV2_S)),
    classifier("dinov2_base", "Vision Transformer, base, for weights of DINOv2", Classifier::Vit(DINOV2_B)),
    convnextv2_row("convnextv2_atto", "convolutions of 7 pixels in blocks like a transformer's; the smallest", ATTO),
    convnextv2_row("convnextv2_femto", "a little wider", FEMTO),
    convnextv2_row("convnextv2_pico", "wider", PICO),
    convnextv2_row("convnextv2_nano", "wider and deeper", NANO),
    convnextv2_row("convnextv2_tiny", "as large as resnet50", TINY),
    convnextv2_row("convnextv2_base", "as large as vitb16r224", BASE),
    yolov5_row(ModelSize::Medium),
    detector("fasterrcnn_resnet18_fpn", "two stages, small body", Detector::FasterRcnn(R18)),
    detector("fasterrcnn_resnet34_fpn", "two stages, a deeper small body", Detector::FasterRcnn(R34)),
    detector("fasterrcnn_resnet50_fpn", "two stages, the usual reference", Detector::FasterRcnn(R50)),
    detector("fasterrcnn_resnet101_fpn", "two stages, deeper", Detector::FasterRcnn(R101)),
    detector("fasterrcnn_resnet152_fpn", "two stages, deepest", Detector::FasterRcnn(R152)),
    detector("retinanet_resnet50_fpn", "one stage on a ResNet, focal loss", Detector::RetinaNet(R50)),
    detector("maskrcnn_resnet50_fpn", "outlines what it finds; the usual reference", Detector::MaskRcnn(R50)),
    detector("maskrcnn_resnet18_fpn", "outlines what it finds, small body", Detector::MaskRcnn(R18)),
    detector("maskrcnn_resnet34_fpn", "outlines what it finds, a deeper small body", Detector::MaskRcnn(R34)),
    detector("maskrcnn_resnet101_fpn", "outlines what it finds, deeper", Detector::MaskRcnn(R101)),
    detector("maskrcnn_resnet152_fpn", "outlines what it finds, deepest", Detector::MaskRcnn(R152)),
];

/// Sizes of YOLOv5, from small to large.
pub const SIZES: [ModelSize; 5] =
    [ModelSize::Nano, ModelSize::Small, ModelSize::Medium, ModelSize::Large, ModelSize::Xlarge];

pub(super) static YOLOV5: [ModelSpec; 5] =
    [yolov5_row(SIZES[0]), yolov5_row(SIZES[1]), yolov5_row(SIZES[2]), yolov5_row(SIZES[3]), yolov5_row(SIZES[4])];

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
