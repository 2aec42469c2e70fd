use super::*;
use crate::ops::Padding;
use crate::registry;

#[test]
fn counts_equal_the_published_ones() {
    for (name, parameters) in [
        ("mobilenetv2", 3_504_872),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("efficientnet_lite0", 4_652_008),
        ("resnest50", 27_483_240),
        ("resnest101", 48_275_016),
        ("seresnext", 27_559_896),
        ("vits16r224", 22_050_664),
        ("vitb16r224", 86_567_656),
        ("vitl16r224", 304_326_632),
        // At 224 pixels and with a head: published are backbones for 518.
        ("dinov2_small", 22_013_800),
        ("dinov2_base", 86_493_928),
        ("convnextv2_atto", 3_708_400),
        ("convnextv2_femto", 5_233_240),
        ("convnextv2_pico", 9_066_280),
        ("convnextv2_nano", 15_623_800),
        ("convnextv2_tiny", 28_635_496),
        ("convnextv2_base", 88_717_800),
    ] {
        let manifest = registry::find(name).unwrap().manifest(1000, 224).unwrap();
        assert_eq!(manifest.parameters(), parameters, "{name}");
    }
}

#[test]
fn models_cost_what_their_publishers_say() {
    // In units of 1e9, at the size of the published weights, and half of the last digit that is stated: of torchvision's
    // models by its documentation, of the others by timm's model cards, which count normalisations too;
    // DINOv2's state its backbones at 518 pixels.
    for (name, published, half) in [
        ("mobilenetv2", 0.30, 0.005),
        ("resnet18", 1.81, 0.005),
        ("resnet34", 3.66, 0.005),
        ("resnet50", 4.09, 0.005),
        ("resnet101", 7.80, 0.005),
        ("resnet152", 11.51, 0.005),
        ("vitb16r224", 17.56, 0.005),
        ("vitl16r224", 61.55, 0.005),
        ("efficientnet_lite0", 0.4, 0.05),
        ("resnest50", 5.4, 0.05),
        ("resnest101", 13.4, 0.1),
        ("seresnext", 4.3, 0.1),
        ("vits16r224", 4.6, 0.05),
        ("dinov2_small", 46.76, 0.1),
        ("dinov2_base", 151.7, 0.15),
        ("convnextv2_atto", 0.55, 0.005),
        ("convnextv2_femto", 0.79, 0.015),
        ("convnextv2_pico", 1.37, 0.005),
        ("convnextv2_nano", 2.46, 0.02),
        ("convnextv2_tiny", 4.47, 0.02),
        ("convnextv2_base", 15.38, 0.03),
    ] {
        let spec = registry::find(name).unwrap();
        let side = if name.starts_with("dinov2") { 518 } else { i64::from(spec.preprocessing().side()) };
        #[expect(clippy::cast_precision_loss, reason = "billions")]
        let found = spec.manifest(1000, side).unwrap().macs() as f64 / 1e9;
        assert!((found - published).abs() <= half, "{name}: {found} instead of {published}");
    }
}

#[test]
fn the_first_misuse_is_reported_with_its_place() {
    let m = Manifest::default();
    let x = m.input(&[1, 3, 8, 8]);
    let w = m.param("stem.weight", &[4, 2, 3, 3], Init::Zeros, Role::Weight);
    let c = Conv { stride: [1, 1], padding: Padding::all(1), groups: 1 };
    m.conv2d(&x, &w, None, &c);
    m.flatten(&x, 9);
    let error = m.finish().unwrap_err();
    assert_eq!((error.op, error.after.as_str()), ("conv2d", "stem.weight"));
}

#[test]
fn freezable_prefixes_name_parameters_and_leave_the_head() {
    for model in registry::all() {
        let entries = model.manifest(10, 64).unwrap().entries();
        for prefix in model.freezable().iter().flatten() {
            let dotted = format!("{prefix}.");
            assert!(entries.keys().any(|k| k == prefix || k.starts_with(&dotted)), "{} {prefix}", model.name);
            let heads = entries.keys().filter(|k| model.is_head(k));
            assert!(!heads.into_iter().any(|k| k.starts_with(&dotted)), "{} {prefix}", model.name);
        }
    }
}
