use std::path::{Path, PathBuf};

use super::{LoadReport, Values, Wanted, load};
use crate::ops::Role;
use crate::weights::{TensorFile, WeightsError, read};

fn fixture(name: &str) -> TensorFile {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/weights").join(name)).unwrap()
}

fn wanted<'a>(key: &'a str, shape: &'a [i64], role: Role) -> Wanted<'a> {
    Wanted { key, shape, role, head: false }
}

const WEIGHT: &[i64] = &[2, 3, 2, 2];

fn body() -> [Wanted<'static>; 2] {
    [wanted("a.weight", WEIGHT, Role::Weight), wanted("steps", &[], Role::Counter)]
}

#[track_caller]
fn report_of(wanted: &[Wanted], file: &TensorFile) -> LoadReport {
    report_of_model("resnet18", wanted, file)
}

#[track_caller]
fn report_of_model(model: &str, wanted: &[Wanted], file: &TensorFile) -> LoadReport {
    match load(model, wanted, file) {
        Ok(a) => a.report,
        Err(WeightsError::Mismatch { report, .. }) => *report,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn everything_fits() {
    let file = fixture("zip.pth");
    let [weight, steps] = body();
    let assignments = load("resnet18", &[weight, steps, wanted("a.bias", &[3], Role::Bias)], &file).unwrap();
    assert!(assignments.report.fits() && assignments.report.new_head.is_empty());
    let all: Vec<(&str, Values)> = assignments.iter().collect();
    assert_eq!(all[1], ("steps", Values::I64(vec![7])));
    assert_eq!(all[2], ("a.bias", Values::F32(vec![-1.0, 0.25, 65504.0])));
}

#[test]
fn a_head_of_other_classes_starts_anew() {
    let file = fixture("zip.pth");
    let [weight, steps] = body();
    let head = Wanted { head: true, ..wanted("a.bias", &[5], Role::Bias) };
    let report = load("resnet18", &[weight, steps, head], &file).unwrap().report;
    assert_eq!((report.new_head, report.loaded.len()), (vec!["a.bias".to_owned()], 2));

    // Half a head is no head: its other half fits, but belongs to other classes.
    let fits = Wanted { head: true, ..weight };
    let report = load("resnet18", &[fits, steps, head], &file).unwrap().report;
    assert_eq!((report.new_head.len(), report.loaded), (1 + 1, vec!["steps".to_owned()]));

    let absent = Wanted { head: true, ..wanted("fc.weight", &[4, 8], Role::Weight) };
    assert_eq!(report_of(&[weight, steps, wanted("a.bias", &[3], Role::Bias), absent], &file).new_head, ["fc.weight"]);
}

#[test]
fn position_embeddings_are_resized_to_the_networks_images() {
    let path = std::env::temp_dir().join(format!("fovea-positions-{}.safetensors", std::process::id()));
    let bytes: Vec<u8> = (0..10_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 10, 1], &bytes).unwrap();
    safetensors::serialize_to_file([("pos_embed", view)], None, &path).unwrap();
    let file = read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let want = |shape| wanted("pos_embed", shape, Role::Embedding);

    let assignments = load("vits16r224", &[want(&[1, 5, 1])], &file).unwrap();
    assert_eq!((&assignments.report.resized, assignments.report.fits()), (&vec!["pos_embed".to_owned()], true));
    let Some((_, Values::F32(values))) = assignments.iter().next() else { panic!("no values") };
    // The class token's stays, and so do the mean and the symmetry of a plane.
    assert_eq!((values.len(), values[0]), (5, 0.0));
    assert!((values[1] + values[4] - 10.0).abs() < 1e-5 && (values[2] + values[3] - 10.0).abs() < 1e-5, "{values:?}");

    assert_eq!(load("vits16r224", &[want(&[1, 10, 1])], &file).unwrap().report.loaded, ["pos_embed"]);
    // No square, and no position embedding.
    assert_eq!(report_of(&[want(&[1, 7, 1])], &file).wrong_shape.len(), 1);
    assert_eq!(report_of(&[wanted("pos_embed", &[1, 5, 1], Role::Weight)], &file).wrong_shape.len(), 1);
}

#[test]
fn the_mask_token_of_dinov2_is_not_taken() {
    let bytes = [0_u8; 8];
    let view = |shape| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &bytes).unwrap();
    let tensors = [("cls_token", view(vec![1, 1, 2])), ("mask_token", view(vec![1, 2]))];
    let bytes = safetensors::serialize(tensors, None).unwrap();
    let file = crate::weights::tensors::from_bytes(Path::new("backbone.safetensors"), bytes).unwrap();
    let head = Wanted { head: true, ..wanted("head.weight", &[4, 2], Role::Weight) };
    let network = [wanted("cls_token", &[1, 1, 2], Role::Embedding), head];
    let report = load("dinov2_small", &network, &file).unwrap().report;
    assert_eq!((report.loaded, report.new_head), (vec!["cls_token".to_owned()], vec!["head.weight".to_owned()]));
    assert_eq!(report.left_out, ["mask_token"]);
    assert_eq!(report_of_model("vits16r224", &network, &file).unexpected, ["mask_token"]);
}

#[test]
fn a_head_of_other_width_is_wrong() {
    let file = fixture("zip.pth");
    let head = Wanted { head: true, ..wanted("a.weight", &[2, 4, 2, 2], Role::Weight) };
    let report = report_of(&[head, wanted("a.bias", &[3], Role::Bias), body()[1]], &file);
    assert_eq!(report.wrong_shape.len(), 1);
}

#[test]
fn missing_unexpected_and_wrong_shape_are_listed() {
    let file = fixture("zip.pth");
    let wrong: &[i64] = &[2, 3, 2, 1];
    let list = [
        wanted("a.weight", wrong, Role::Weight),
        wanted("b", &[1], Role::Bias),
        wanted("c.num_batches_tracked", &[], Role::Counter),
    ];
    let report = report_of(&list, &file);
    assert_eq!(report.missing, ["b"]);
    assert_eq!(report.unexpected, ["a.bias", "steps"]);
    assert_eq!(report.wrong_shape[0].found, WEIGHT);
    let text = load("resnet18", &list, &file).unwrap_err().to_string();
    for part in [
        "zip.pth",
        "resnet18",
        "1 missing: b",
        "2 unexpected: a.bias, steps",
        "a.weight [2, 3, 2, 2] instead of [2, 3, 2, 1]",
        "--pretrained",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn long_lists_are_cut() {
    let report = LoadReport { missing: (0..12).map(|i| format!("k{i}")).collect(), ..LoadReport::default() };
    assert_eq!(report.to_string(), "0 loaded; 12 missing: k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, and 2 more");
}

/// Entries of a published key list, as a network with `classes` classes would ask for them.
fn published(name: &str, heads: &[&str], classes: i64) -> Vec<(String, Vec<i64>, Role, bool)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/keys/{name}.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            let dims = parts[2].trim_matches(['[', ']']);
            let mut shape: Vec<i64> = dims.split(',').filter(|d| !d.is_empty()).map(|d| d.parse().unwrap()).collect();
            let head = heads.contains(&parts[0]);
            if head {
                shape[0] = classes;
            }
            let role = if parts[1] == "int64" { Role::Counter } else { Role::Weight };
            (parts[0].to_owned(), shape, role, head)
        })
        .collect()
}

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/weights").join(name);
    if !path.is_file() {
        println!("skipped: {} is not there", path.display());
    }
    path.is_file().then_some(path)
}

fn as_wanted(entries: &[(String, Vec<i64>, Role, bool)]) -> Vec<Wanted<'_>> {
    entries.iter().map(|(key, shape, role, head)| Wanted { key, shape, role: *role, head: *head }).collect()
}

#[test]
fn a_backbone_without_head_and_counters_loads() {
    let Some(path) = shared("mobilenet_v2_keras_backbone.safetensors") else { return };
    let file = read(&path).unwrap();
    let entries = published("mobilenetv2", &["classifier.1.weight", "classifier.1.bias"], 4);
    let assignments = load("mobilenetv2", &as_wanted(&entries), &file).unwrap();
    assert_eq!(assignments.report.loaded.len(), 260);
    assert_eq!(assignments.report.new_head, ["classifier.1.weight", "classifier.1.bias"]);
}

#[test]
fn efficientnet_lite0_loads_with_and_without_its_head() {
    let Some(path) = shared("efficientnet-lite0-57934424.pth") else { return };
    let file = read(&path).unwrap();
    for (classes, loaded, new) in [(1000, 296, 0), (4, 294, 2)] {
        let entries = published("efficientnet_lite0", &["_fc.weight", "_fc.bias"], classes);
        let report = load("efficientnet_lite0", &as_wanted(&entries), &file).unwrap().report;
        assert_eq!((report.loaded.len(), report.new_head.len()), (loaded, new));
    }
}

/// Entries of a published list with other keys, as the file of another network.
fn written(name: &str, renamed: impl Fn(&str) -> String) -> TensorFile {
    let entries = published(name, &[], 0);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = entries
        .iter()
        .map(|(key, shape, role, _)| {
            let shape: Vec<usize> = shape.iter().map(|&d| usize::try_from(d).unwrap()).collect();
            let width = if *role == Role::Counter { 8 } else { 4 };
            (renamed(key), shape.clone(), vec![0; shape.iter().product::<usize>() * width])
        })
        .collect();
    let views = tensors.iter().map(|(key, shape, bytes)| {
        let dtype =
            if key.ends_with("num_batches_tracked") { safetensors::Dtype::I64 } else { safetensors::Dtype::F32 };
        (key.as_str(), safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    crate::weights::tensors::from_bytes(Path::new("body.safetensors"), bytes).unwrap()
}

#[test]
fn a_classifier_gives_a_detector_its_body() {
    let heads = ["roi_heads.box_predictor.cls_score.weight", "roi_heads.box_predictor.cls_score.bias"];
    let detector = published("fasterrcnn_resnet18_fpn", &heads, 4);
    let body = detector.iter().filter(|(key, ..)| key.starts_with("backbone.body.")).count();
    for prefix in ["", "model.", "module.backbone."] {
        let file = written("resnet18", |key| format!("{prefix}{key}"));
        let report = load("fasterrcnn_resnet18_fpn", &as_wanted(&detector), &file).unwrap().report;
        assert_eq!((report.loaded.len(), report.random.len()), (body, detector.len() - body), "{report}");
        assert!(report.loaded.iter().all(|key| key.starts_with("backbone.body.")), "{report}");
        assert!(report.random.iter().any(|key| key == heads[0]), "{report}");
        assert_eq!(report.left_out.len(), 2, "{report}");
        let text = report.to_string();
        for part in ["for 'backbone.body.'", "100 loaded", "random: backbone.fpn.inner_blocks", "2 not taken: "] {
            assert!(text.contains(part), "{text}");
        }
    }
    // Another body, and half of one.
    let other = written("resnet34", str::to_owned);
    assert!(!report_of_model("fasterrcnn_resnet18_fpn", &as_wanted(&detector), &other).fits());
    let half = written("resnet18", |key| key.replace("layer4", "layer5"));
    let report = report_of_model("fasterrcnn_resnet18_fpn", &as_wanted(&detector), &half);
    assert!(!report.missing.is_empty() && !report.unexpected.is_empty(), "{report}");
    // A whole detector is one.
    let whole = written("fasterrcnn_resnet18_fpn", str::to_owned);
    let report = load("fasterrcnn_resnet18_fpn", &as_wanted(&detector), &whole).unwrap().report;
    assert_eq!((report.random.len(), report.new_head.len()), (0, 2), "{report}");
}
