//! Every definition asks for exactly the published state dict.

use models::ops::Role;
use models::registry::{self, ModelSpec};
use models::weights::keymap::Spelling;
use tests::fixture::{self, Key};

/// Every model in every size, with the name of its fixture.
fn every() -> Vec<(&'static ModelSpec, String)> {
    let sizes = |spec: &'static ModelSpec| match spec.size() {
        Some(_) => registry::SIZES.iter().map(|s| (spec.sized(*s), format!("{}_{}", spec.name, s))).collect(),
        None => vec![(spec, spec.name.to_owned())],
    };
    registry::all().iter().flat_map(sizes).collect()
}

#[track_caller]
fn manifest_keys(spec: &ModelSpec, classes: i64) -> Vec<Key> {
    let side = i64::from(spec.preprocessing().side());
    let entry = |(key, entry): (String, models::manifest::Entry)| {
        let dtype = match entry.role {
            Role::Counter => "int64",
            Role::Weight | Role::Bias | Role::NormWeight | Role::NormBias | Role::Embedding | Role::Buffer => "float32",
        };
        Key { key, dtype: dtype.to_owned(), shape: entry.shape }
    };
    spec.manifest(classes, side).expect("a sound definition").entries().into_iter().map(entry).collect()
}

#[test]
fn keys_types_and_shapes_equal_the_published_state_dicts() {
    for (spec, name) in every() {
        let (mut ours, mut published) = (manifest_keys(spec, spec.published_classes()), fixture::keys(&name));
        // As sets first: the message of a missing key is then about that key.
        let (mut ours_sorted, mut published_sorted) = (ours.clone(), published.clone());
        ours_sorted.sort();
        published_sorted.sort();
        for (o, p) in ours_sorted.iter().zip(&published_sorted) {
            assert_eq!(o, p, "{name}");
        }
        assert_eq!(ours.len(), published.len(), "{name}");
        // The order is the published one too, so that a saved file lists its tensors as people know them.
        let strip = |list: &mut Vec<Key>| list.drain(..).map(|k| k.key).collect::<Vec<_>>();
        assert_eq!(strip(&mut ours), strip(&mut published), "{name}");
    }
}

#[test]
fn counts_equal_the_published_ones() {
    // Of YOLOv5 as its authors print them; of the Faster R-CNN that torchvision does not ship, counted on its classes; of
    // DINOv2, whose backbones are published for 518 pixels, counted on timm's at 224.
    let published = [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("mobilenetv2", 3_504_872),
        ("efficientnet_lite0", 4_652_008),
        ("resnest50", 27_483_240),
        ("resnest101", 48_275_016),
        ("seresnext", 27_559_896),
        ("vits16r224", 22_050_664),
        ("vitb16r224", 86_567_656),
        ("vitl16r224", 304_326_632),
        ("dinov2_small", 22_013_800),
        ("dinov2_base", 86_493_928),
        ("convnextv2_atto", 3_708_400),
        ("convnextv2_femto", 5_233_240),
        ("convnextv2_pico", 9_066_280),
        ("convnextv2_nano", 15_623_800),
        ("convnextv2_tiny", 28_635_496),
        ("convnextv2_base", 88_717_800),
        ("yolov5_nano", 1_872_157),
        ("yolov5_small", 7_235_389),
        ("yolov5_medium", 21_190_557),
        ("yolov5_large", 46_563_709),
        ("yolov5_xlarge", 86_749_405),
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
    let every = every();
    assert_eq!(published.len(), every.len());
    for (name, count) in published {
        let spec = every.iter().find(|(_, fixture)| fixture == name).expect("a model").0;
        let side = i64::from(spec.preprocessing().side());
        let manifest = spec.manifest(spec.published_classes(), side).expect("a sound definition");
        assert_eq!(manifest.parameters(), count, "{name}");
    }
}

#[test]
fn only_the_head_depends_on_the_classes() {
    for (spec, name) in every() {
        let (many, few) = (manifest_keys(spec, spec.published_classes()), manifest_keys(spec, 4));
        for (a, b) in many.iter().zip(&few) {
            assert_eq!((&a.key, a != b), (&b.key, spec.is_head(&a.key)), "{name}");
            assert_eq!(a.shape.get(1..), b.shape.get(1..), "{name} {}", a.key);
        }
    }
}

#[test]
fn the_first_published_spelling_is_understood() {
    for name in ["fasterrcnn_resnet50_fpn", "retinanet_resnet50_fpn", "maskrcnn_resnet50_fpn"] {
        let spelled = |from: &str, spelling: Spelling| -> Vec<String> {
            fixture::keys(from).iter().map(|k| spelling.to_own(&k.key).into_owned()).collect()
        };
        let (first, own) = (format!("{name}.first"), spelled(name, Spelling::Own));
        assert_ne!(spelled(&first, Spelling::Own), own, "{name}");
        assert_eq!(spelled(&first, Spelling::FirstTorchvision), own, "{name}");
        // Files of today pass through it unchanged.
        assert_eq!(spelled(name, Spelling::FirstTorchvision), own, "{name}");
        assert!(Spelling::of(name).contains(&Spelling::FirstTorchvision));
    }
}
