//! Exported detectors against Eager, with the parameters of `scripts/oracle/detect_forward.py`: the same labels, corners
//! within 0.05 pixels, scores within 0.001.

use std::convert::Infallible;

use exporter::preprocess;
use exporter::proto::{self, Header};
use models::detect::Selection;
use models::host::{self, Rgb};
use models::registry;
use ndarray::ArrayView4;
use runtime::{Form, Model, Options, Overrides};
use schemas::prediction::{Detection, DetectionSettings};
use schemas::setting::ModelSize;
use schemas::{CheckpointMeta, Fit, SCHEMA_VERSION, Settings};
use tch::Device;
use tests::{synthetic, synthetic_detect};
use trainer::nn::network::Network;
use trainer::tasks::detect::evaluate;

use crate::support;

const LETTERBOX: Fit = Fit::Letterbox { side: 128 };
const SHORTER: Fit = Fit::Shorter { min_size: 96, max_size: 160 };
const SELECTION: Selection<f32> = Selection { score: 0.05, iou: 0.5, cap: 100 };

fn meta(model: &str, fit: Fit, tiles: &str) -> CheckpointMeta {
    let mut settings = Settings { model_size: ModelSize::Nano, ..Settings::default() };
    settings.set("tile_grid_size", &tiles.into()).expect("a grid");
    let spec = registry::find(model).expect("a model");
    CheckpointMeta {
        schema_version: SCHEMA_VERSION,
        task: spec.tasks()[0],
        model_name: model.to_owned(),
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        preprocessing: schemas::Preprocessing { fit, ..spec.preprocessing() },
        epoch: 1,
        metrics: Default::default(),
        settings: settings.to_map(),
        weights: None,
        temperature: None,
        versions: Default::default(),
    }
}

fn network(meta: &CheckpointMeta) -> Network {
    let mut network = Network::from_meta(meta, Device::Cpu).expect("a known model");
    let detector = network.spec.detector().expect("a detector");
    let entries: Vec<_> = network.params.iter().map(|(key, p)| (key.to_owned(), p.tensor.size(), p.role)).collect();
    for (key, shape, role) in entries {
        if let Some(values) = synthetic_detect::param(&detector, &key, &shape, role) {
            network.params.set(&key, &support::tensor(&values, &shape));
        }
    }
    network
}

fn model(network: &Network, meta: &CheckpointMeta, form: Form) -> Model {
    let detector = network.spec.detector().expect("a detector");
    let settings = DetectionSettings::try_from(meta).expect("settings");
    let graph =
        preprocess::detector(&detector, meta, &settings, form, &support::Weights(network)).expect("a sound definition");
    let json = serde_json::to_string(meta).expect("plain data");
    let metadata = [(runtime::META_KEY, json.as_str()), (runtime::FORM_KEY, form.name())];
    let bytes = proto::bytes(graph, &Header { graph: "test", doc: "", metadata: &metadata }).expect("it is written");
    Model::from_bytes(&bytes, &Options { intra_threads: 2, library: None }).expect("ONNX Runtime takes it")
}

fn picture(name: &str, width: u32, height: u32) -> Rgb {
    Rgb { width, height, data: synthetic::picture(name, width as usize, height as usize) }
}

/// What the file says of images of one size; prepared ones come with the sizes of their originals.
fn run(model: &mut Model, images: &[Rgb], sizes: Option<&[[i64; 2]]>) -> Vec<Vec<Detection>> {
    let data: Vec<u8> = images.iter().flat_map(|image| image.data.clone()).collect();
    let shape = (images.len(), images[0].height as usize, images[0].width as usize, 3);
    let overrides = Overrides { score_threshold: Some(SELECTION.score), iou_threshold: Some(SELECTION.iou) };
    model.detect(ArrayView4::from_shape(shape, &data).expect("a batch"), sizes, &overrides).expect("it runs")
}

/// Pairs detections up one to one, or says which has no partner; the largest difference of corners.
fn pair_up(found: &[Detection], expected: &[Detection]) -> Result<f32, String> {
    let mut rest = found.to_vec();
    let mut worst = 0.0_f32;
    let apart = |a: &Detection, b: &Detection| (0..4).map(|i| (a.corners[i] - b.corners[i]).abs()).fold(0.0, f32::max);
    let masks = |a: &Detection, b: &Detection| match (&a.mask, &b.mask) {
        (Some(a), Some(b)) => a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max),
        (None, None) => 0.0,
        (Some(_), None) | (None, Some(_)) => f32::INFINITY,
    };
    for e in expected {
        let near = |f: &Detection| {
            f.label == e.label && (f.score - e.score).abs() <= 1e-3 && apart(f, e) <= 0.05 && masks(f, e) <= 1e-3
        };
        let at = rest.iter().position(near).ok_or_else(|| format!("nothing like {e:?}"))?;
        worst = worst.max(apart(&rest.swap_remove(at), e));
    }
    if rest.is_empty() { Ok(worst) } else { Err(format!("nobody expects {rest:?}")) }
}

fn prepared_equals_eager(name: &str, fit: Fit) {
    let meta = meta(name, fit, "none");
    let network = network(&meta);
    let mut model = model(&network, &meta, Form::Prepared);
    let (mut boxes, mut worst) = (0, 0.0_f32);
    for sizes in
        [&[(1, 1)][..], &[(97, 113)], &[(641, 479)], &[(120, 90), (40, 30)], &[(160, 97), (158, 96), (160, 96)]]
    {
        let originals: Vec<Rgb> = sizes.iter().map(|&(w, h)| picture(&format!("{w}x{h}"), w, h)).collect();
        let prepared: Vec<Rgb> = originals.iter().map(|o| host::prepare(o, &meta.preprocessing)).collect();
        let originals: Vec<[u32; 2]> = originals.iter().map(|o| [o.height, o.width]).collect();
        let (h, w) = (prepared[0].height as usize, prepared[0].width as usize);
        let data: Vec<u8> = prepared.iter().flat_map(|p| p.data.clone()).collect();
        let images = network.images(&data, prepared.len(), h, w);
        let expected = evaluate::predict(&network, &images, &originals, &SELECTION);
        let sizes: Vec<[i64; 2]> = originals.iter().map(|size| size.map(i64::from)).collect();
        let found = run(&mut model, &prepared, Some(&sizes));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            boxes += expected.len();
            let apart = pair_up(found, expected).unwrap_or_else(|problem| panic!("{name} {sizes:?}: {problem}"));
            worst = worst.max(apart);
        }
    }
    assert!(boxes > 0, "{name} finds nothing");
    println!("{name:26} prepared: {boxes} boxes, corners within {worst:.1e} px");
}

/// What the trainer finds in an image and its tiles.
fn eager_in_image(network: &Network, image: &Rgb, settings: &Settings) -> Vec<Detection> {
    let look = |piece: &Rgb| -> Result<_, Infallible> {
        let prepared = host::prepare(piece, &network.preprocessing);
        Ok(evaluate::in_prepared(network, &prepared, piece, &SELECTION))
    };
    let Ok(found) = evaluate::in_image(image, settings, look);
    found
}

/// Images that resizing does not change, so that the host and the graph see the same pixels.
fn whole_equals_host_and_eager(name: &str, fit: Fit, sizes: &[(u32, u32)]) {
    let meta = meta(name, fit, "none");
    let network = network(&meta);
    let mut model = model(&network, &meta, Form::Whole);
    let settings = Settings::try_from(meta.settings.clone()).expect("settings");
    let (mut boxes, mut worst) = (0, 0.0_f32);
    for &(w, h) in sizes {
        let images: Vec<Rgb> = (0..2).map(|i| picture(&format!("{w}x{h} {i}"), w, h)).collect();
        for (image, found) in images.iter().zip(run(&mut model, &images, None)) {
            let expected = eager_in_image(&network, image, &settings);
            boxes += expected.len();
            let apart = pair_up(&found, &expected).unwrap_or_else(|problem| panic!("{name} {w}x{h}: {problem}"));
            worst = worst.max(apart);
        }
    }
    assert!(boxes > 0, "{name} finds nothing");
    println!("{name:26} whole: {boxes} boxes, corners within {worst:.1e} px");
}

#[test]
fn yolov5_equals_eager() {
    prepared_equals_eager("yolov5", LETTERBOX);
    whole_equals_host_and_eager("yolov5", LETTERBOX, &[(128, 128), (128, 77), (51, 128), (128, 1)]);
}

#[test]
fn faster_rcnn_equals_eager() {
    prepared_equals_eager("fasterrcnn_resnet18_fpn", SHORTER);
    whole_equals_host_and_eager("fasterrcnn_resnet18_fpn", SHORTER, &[(96, 96), (131, 96), (160, 50)]);
}

#[test]
fn mask_rcnn_equals_eager() {
    prepared_equals_eager("maskrcnn_resnet18_fpn", SHORTER);
    whole_equals_host_and_eager("maskrcnn_resnet18_fpn", SHORTER, &[(96, 96), (131, 96), (160, 50)]);
}

#[test]
fn retinanet_equals_eager() {
    prepared_equals_eager("retinanet_resnet50_fpn", SHORTER);
    whole_equals_host_and_eager("retinanet_resnet50_fpn", SHORTER, &[(96, 96), (96, 131), (50, 160)]);
}

/// With tiles some pixels differ by a step, which moves few boxes.
fn tiles_are_united_as_in_evaluation(name: &str, fit: Fit) {
    let meta = meta(name, fit, "2x2");
    let network = network(&meta);
    let mut model = model(&network, &meta, Form::Whole);
    let settings = Settings::try_from(meta.settings.clone()).expect("settings");
    let image = picture("tiled", 301, 197);
    let found = run(&mut model, std::slice::from_ref(&image), None).remove(0);
    let expected = eager_in_image(&network, &image, &settings);
    let near = |e: &&Detection| found.iter().any(|f| f.label == e.label && f.iou(e) > 0.95);
    let agree = expected.iter().filter(near).count();
    println!("{name} tiles: {agree} of {} boxes ({} found)", expected.len(), found.len());
    assert!(!expected.is_empty() && agree * 10 >= expected.len() * 9 && found.len().abs_diff(expected.len()) <= 3);
    assert!(found.iter().all(|f| f.mask.is_some() == expected[0].mask.is_some()), "all have masks, or none");
}

#[test]
fn yolov5_unites_tiles_as_in_evaluation() {
    tiles_are_united_as_in_evaluation("yolov5", LETTERBOX);
}

#[test]
fn mask_rcnn_unites_tiles_as_in_evaluation() {
    tiles_are_united_as_in_evaluation("maskrcnn_resnet18_fpn", SHORTER);
}
