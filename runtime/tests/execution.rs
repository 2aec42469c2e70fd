//! The ways in which a session runs its batches, all on the processor: in bound and padded memory, and through the fixed memory
//! that CUDA graphs need. Needs ONNX Runtime, one without CUDA.

mod support;

use ndarray::{Array4, s};
use runtime::{Buckets, Execution, Model, Outputs, Overrides, Provider, RuntimeError, sample};
use support::{fixture, open, options};

const CLASSIFIERS: [&str; 3] = ["tiny_prepared.onnx", "tiny_whole.onnx", "tiny_multilabel.onnx"];
const DETECTORS: [&str; 3] = ["tiny_detector_prepared.onnx", "tiny_detector_whole.onnx", "tiny_detector_tiled.onnx"];

fn again(name: &str, execution: Execution) -> Result<Model, RuntimeError> {
    open(name).open_again(&fixture(name), &options(), &execution)
}

fn padded(most: usize) -> Execution {
    Execution { buckets: Some(Buckets::up_to(most)), ..Execution::default() }
}

/// Images of the model's own side, the same ones for every batch size.
fn images(model: &Model, n: usize) -> Array4<u8> {
    let side = model.meta().preprocessing.side() as usize;
    Array4::from_shape_fn((n, side, side, 3), |(i, y, x, c)| ((i * 91 + y * 13 + x * 7 + c * 29) % 256) as u8)
}

fn sizes(model: &Model, n: usize) -> Option<Vec<[i64; 2]>> {
    let side = i64::from(model.meta().preprocessing.side());
    let takes = model.outputs() == Outputs::Boxes && model.form() == runtime::Form::Prepared;
    takes.then(|| vec![[side - 1, side]; n])
}

#[test]
fn padded_probabilities_are_those_of_the_images_alone() {
    for name in CLASSIFIERS {
        let (mut plain, mut bound) = (open(name), again(name, padded(6)).unwrap());
        for n in [3, 1, 2, 6, 5, 7, 0, 3] {
            let images = images(&plain, n);
            let (expected, got) = (plain.run(images.view()).unwrap(), bound.run(images.view()).unwrap());
            assert_eq!(got, expected, "{name}, {n} images");
        }
        let images = images(&plain, 4);
        let every_other = images.slice(s![..;2, .., ..;-1, ..]);
        assert_eq!(bound.run(every_other).unwrap(), plain.run(every_other).unwrap(), "{name}");
    }
}

#[test]
fn padded_boxes_are_those_of_the_images_alone() {
    let low = Overrides { score_threshold: Some(0.0), iou_threshold: Some(0.9) };
    for name in DETECTORS {
        let (mut plain, mut bound) = (open(name), again(name, padded(6)).unwrap());
        let mut seen = 0;
        for n in [3, 1, 2, 6, 5, 7, 0, 3] {
            let (images, sizes) = (images(&plain, n), sizes(&plain, n));
            // One after the other, so that a threshold that stayed would show.
            for overrides in [low, Overrides::default(), low] {
                let expected = plain.detect(images.view(), sizes.as_deref(), &overrides).unwrap();
                let got = bound.detect(images.view(), sizes.as_deref(), &overrides).unwrap();
                assert_eq!(got, expected, "{name}, {n} images, {overrides:?}");
                seen += got.iter().map(Vec::len).sum::<usize>();
            }
        }
        assert!(seen > 0, "{name} found nothing to compare");
    }
}

#[test]
fn images_of_changing_sizes_run_bound() {
    for name in ["tiny_whole.onnx", "tiny_detector_whole.onnx"] {
        let (mut plain, mut bound) = (open(name), again(name, padded(4)).unwrap());
        for (n, h, w) in [(1, 40, 64), (3, 16, 16), (1, 40, 64), (2, 33, 7)] {
            let images =
                Array4::from_shape_fn((n, h, w, 3), |(i, y, x, c)| ((i * 91 + y * 13 + x * 7 + c * 29) % 256) as u8);
            match plain.outputs() {
                Outputs::Probabilities => {
                    assert_eq!(
                        bound.run(images.view()).unwrap(),
                        plain.run(images.view()).unwrap(),
                        "{name} {n} {h} {w}"
                    );
                }
                Outputs::Boxes | Outputs::Masks => {
                    let run = |model: &mut Model| model.detect(images.view(), None, &Overrides::default()).unwrap();
                    assert_eq!(run(&mut bound), run(&mut plain), "{name} {n} {h} {w}");
                }
            }
        }
    }
}

#[test]
fn what_passes_through_fixed_memory_is_the_same() {
    let graphs = Execution { graphs: true, ..padded(6) };
    let (mut plain, mut fixed) = (open("tiny_prepared.onnx"), again("tiny_prepared.onnx", graphs).unwrap());
    for n in [3, 1, 6, 2, 0, 5, 3] {
        let images = images(&plain, n);
        assert_eq!(fixed.run(images.view()).unwrap(), plain.run(images.view()).unwrap(), "{n} images");
    }
    let error = fixed.run(images(&plain, 7).view()).unwrap_err();
    assert!(matches!(error, RuntimeError::Input { .. }) && error.to_string().contains("at most 6"), "{error}");
    assert_eq!(fixed.run(images(&plain, 3).view()).unwrap(), plain.run(images(&plain, 3).view()).unwrap());
}

#[test]
fn only_what_has_one_shape_is_recorded() {
    for name in ["tiny_whole.onnx", "tiny_detector_prepared.onnx", "tiny_detector_whole.onnx"] {
        let error = again(name, Execution { graphs: true, ..padded(2) }).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("prepared classifiers"), "{name}: {error}");
    }
    let unpadded = Execution { graphs: true, ..Execution::default() };
    let error = again("tiny_prepared.onnx", unpadded).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("padded"), "{error}");
}

#[test]
fn every_node_ran_on_the_processor_and_is_named() {
    let graphs = Execution { graphs: true, ..padded(2) };
    for (name, execution) in CLASSIFIERS
        .iter()
        .chain(&DETECTORS)
        .flat_map(|&name| [(name, Execution::default()), (name, padded(2))])
        .chain([("tiny_prepared.onnx", graphs)])
    {
        let mut model = again(name, execution).unwrap();
        let (images, sizes) = (images(&model, 1), sizes(&model, 1));
        let placement = model.place(images.view(), sizes.as_deref()).unwrap();
        let on = placement.on(Provider::Cpu.name());
        assert!(on >= 4 && placement.nodes().len() == 1, "{name}: {placement}");
        // The profile of one run is that of the next.
        assert_eq!(model.place(images.view(), sizes.as_deref()).unwrap(), placement);
    }
    let mut classifier = open("tiny_whole.onnx");
    let placement = classifier.place(Array4::zeros((1, 9, 9, 3)).view(), None).unwrap();
    assert!(placement.to_string().contains("Softmax 1"), "{placement}");
}

#[test]
fn a_provider_that_is_not_built_in_says_so() {
    let execution = Execution { provider: Provider::Cuda { device: 0 }, ..padded(2) };
    match again("tiny_prepared.onnx", execution) {
        Err(error @ RuntimeError::Provider { .. }) => {
            let text = error.to_string();
            for part in ["cuda:0", "without CUDA", "libonnxruntime.so", "onnxruntime-gpu"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_made_images_tell_models_apart() {
    for name in CLASSIFIERS.iter().chain(&DETECTORS) {
        let agreement = sample::reproduces(&mut again(name, padded(4)).unwrap(), &mut open(name)).unwrap();
        assert!(agreement.compared > 2 && agreement.missing == 0, "{name}: {agreement}");
        assert!(agreement.score <= 1e-6 && agreement.corner <= 1e-3, "{name}: {agreement}");
    }
    // Both classifiers of three labels: one answers with a softmax, the other with a sigmoid of each.
    let error = sample::reproduces(&mut open("tiny_multilabel.onnx"), &mut open("tiny_prepared.onnx")).unwrap_err();
    assert!(matches!(error, RuntimeError::Differs { .. }) && error.to_string().contains("probability"), "{error}");
}
