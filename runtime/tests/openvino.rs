//! Models on OpenVINO, beside the same models on the processor. Needs ONNX Runtime and OpenVINO: `scripts/setup --openvino`, and then
//! `scripts/openvino/run scripts/test -- --ignored openvino`, as `.ci/run` does it.

mod support;

use ndarray::{Array4, s};
use runtime::{Buckets, Execution, Form, Model, OpenVinoDevice, Outputs, Overrides, Provider, RuntimeError, sample};
use support::{fixture, open, options};

const CPU: Provider = Provider::OpenVino { device: OpenVinoDevice::Cpu };
const CLASSIFIERS: [&str; 3] = ["tiny_prepared.onnx", "tiny_whole.onnx", "tiny_multilabel.onnx"];
const DETECTORS: [&str; 6] = [
    "tiny_detector_prepared.onnx",
    "tiny_detector_whole.onnx",
    "tiny_detector_tiled.onnx",
    "tiny_masks_prepared.onnx",
    "tiny_masks_whole.onnx",
    "tiny_masks_pixels.onnx",
];

fn on(name: &str, provider: Provider, buckets: Option<Buckets>) -> Result<Model, RuntimeError> {
    open(name).open_again(&fixture(name), &options(), &Execution { provider, buckets, graphs: false })
}

/// Images of the model's own side.
fn images(model: &Model, n: usize) -> Array4<u8> {
    let side = model.meta().preprocessing.side() as usize;
    Array4::from_shape_fn((n, side, side, 3), |(i, y, x, c)| ((i * 91 + y * 13 + x * 7 + c * 29) % 256) as u8)
}

fn sizes(model: &Model, n: usize) -> Option<Vec<[i64; 2]>> {
    let side = i64::from(model.meta().preprocessing.side());
    (model.outputs() != Outputs::Probabilities && model.form() == Form::Prepared).then(|| vec![[side - 1, side]; n])
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_answers_as_the_processor_does() {
    for name in CLASSIFIERS.iter().chain(&DETECTORS) {
        for buckets in [None, Some(Buckets::up_to(4))] {
            let agreement = sample::reproduces(&mut on(name, CPU, buckets).unwrap(), &mut open(name)).unwrap();
            assert!(agreement.compared > 2 && agreement.missing == 0, "{name}: {agreement}");
            assert!(agreement.score <= 1e-5 && agreement.corner <= 1e-3, "{name}: {agreement}");
        }
    }
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_runs_batches_of_any_size_and_images_of_any_size() {
    let (mut plain, mut other) = (open("tiny_prepared.onnx"), on("tiny_prepared.onnx", CPU, None).unwrap());
    for n in [3, 1, 2, 6, 0, 1] {
        let images = images(&plain, n);
        let difference = other.run(images.view()).unwrap() - plain.run(images.view()).unwrap();
        assert!(difference.iter().all(|difference| difference.abs() < 1e-5), "{n} images: {difference}");
    }
    let (mut plain, mut other) = (open("tiny_whole.onnx"), on("tiny_whole.onnx", CPU, None).unwrap());
    for (n, h, w) in [(1, 40, 64), (3, 16, 16), (1, 40, 64), (2, 33, 7)] {
        let images = images(&plain, n).slice(s![.., ..1, ..1, ..]).broadcast((n, h, w, 3)).unwrap().to_owned();
        let difference = other.run(images.view()).unwrap() - plain.run(images.view()).unwrap();
        assert!(difference.iter().all(|difference| difference.abs() < 1e-5), "{n} {h} {w}: {difference}");
    }
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_takes_the_thresholds_of_a_run_or_else_those_of_the_file() {
    let of = |score: Option<f32>, iou: Option<f32>| Overrides { score_threshold: score, iou_threshold: iou };
    for name in DETECTORS {
        let (mut plain, mut other) = (open(name), on(name, CPU, None).unwrap());
        let (images, sizes) = (images(&plain, 2), sizes(&plain, 2));
        let mut counts = Vec::new();
        // The file's again at the end, so that a threshold that stayed would show.
        for thresholds in
            [of(None, None), of(Some(0.0), None), of(Some(0.0), Some(0.9)), of(None, Some(0.9)), of(None, None)]
        {
            let found = |model: &mut Model| model.detect(images.view(), sizes.as_deref(), &thresholds).unwrap();
            let (expected, got) = (found(&mut plain), found(&mut other));
            let labels = |all: &[Vec<schemas::prediction::Detection>]| -> Vec<Vec<usize>> {
                all.iter().map(|image| image.iter().map(|one| one.label).collect()).collect()
            };
            assert_eq!(labels(&got), labels(&expected), "{name}, {thresholds:?}");
            counts.push(got.iter().map(Vec::len).sum::<usize>());
        }
        assert!(counts[1] > counts[0] && counts[0] == counts[4], "{name}: {counts:?}");
    }
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_is_told_as_what_runs_the_nodes() {
    for name in CLASSIFIERS.iter().chain(&DETECTORS) {
        let mut model = on(name, CPU, None).unwrap();
        let (images, sizes) = (images(&model, 1), sizes(&model, 1));
        let placement = model.place(images.view(), sizes.as_deref()).unwrap();
        assert!(placement.on("OpenVINOExecutionProvider") >= 1, "{name}: {placement}");
        assert!(placement.to_string().contains("subgraph"), "{name}: {placement}");
        assert_eq!(model.place(images.view(), sizes.as_deref()).unwrap(), placement);
    }
}

#[test]
#[ignore = "needs OpenVINO"]
fn openvino_names_what_it_offers_where_a_device_is_missing() {
    for device in [OpenVinoDevice::Gpu, OpenVinoDevice::Npu] {
        match on("tiny_prepared.onnx", Provider::OpenVino { device }, None) {
            Ok(_) => {}
            Err(error @ RuntimeError::Provider { .. }) => {
                let text = error.to_string();
                let wanted = format!("offers no {} on this machine, only openvino:CPU", device.name());
                assert!(text.contains(&wanted), "{text}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(on("tiny_prepared.onnx", CPU, None).is_ok(), "what is offered is there all the same");
}
