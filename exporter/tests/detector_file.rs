//! Files with inputs that need not be given, and how `runtime::Model` opens and runs detectors: a network small enough to
//! be worked out by hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use exporter::builder::{Builder, Value};
use exporter::graph::{Dim, Graph};
use exporter::proto::{self, Header};
use exporter::{Form, dump};
use models::ops::{DType, Ops};
use ndarray::Array4;
use runtime::{Model, Options, Overrides, RuntimeError};
use schemas::prediction::Detection;
use schemas::{Fit, Interpolation, Task};
use support::{finished, meta, nothing};

/// Which part of the file is left out or wrong.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    NoThreshold,
    NoSizes,
    FloatLabels,
    FlatBoxes,
}

/// Two boxes for every image, with scores 0.75 and 0.25 and labels 1 and 0. Of each image only those at least as certain
/// as the threshold are real. Boxes are moved by the height and width of the original, and by the other threshold.
fn detector(form: Form, flaw: Flaw) -> Graph {
    let none = nothing();
    let b = Builder::new(&none);
    let dims = ["N", "H", "W"].map(Dim::Named).into_iter().chain([Dim::Fixed(3)]).collect::<Vec<_>>();
    let images = b.input("images", DType::U8, &dims, "");
    let size = match form {
        Form::Whole => b.repeat(&b.reshape(&b.lengths(&images, &[1, 2]), &[1, 2]), &images),
        Form::Prepared if flaw == Flaw::NoSizes => b.repeat(&b.integers(&[1, 1], &[1, 2]), &images),
        Form::Prepared => b.input("sizes", DType::I64, &[Dim::Named("N"), Dim::Fixed(2)], ""),
    };
    let score = b.optional_input("score_threshold", 0.5, "");
    let iou = match flaw {
        Flaw::NoThreshold => b.constant(&[0.0], &[1]),
        _ => b.optional_input("iou_threshold", 0.0, ""),
    };
    let all = |x: &Value| b.repeat(x, &images);
    let keep = all(&b.greater_equal(&b.constant(&[0.75, 0.25], &[1, 2]), &score));
    let scores = b.mul(all(&b.constant(&[0.75, 0.25], &[1, 2])), &keep);
    let labels = b.sub(b.mul(all(&b.integers(&[2, 1], &[1, 2])), &b.cast(&keep, DType::I64)), &b.integers(&[1], &[1]));
    let boxes = all(&b.constant(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &[1, 2, 4]));
    let size = b.reshape(&b.cast(&size, DType::F32), &[0, 1, 2]);
    let boxes = b.add(b.add(boxes, &b.concat(&[&size, &size], 2)), &iou);
    let boxes = if flaw == Flaw::FlatBoxes { b.flatten(&boxes, 1) } else { boxes };
    let labels = if flaw == Flaw::FloatLabels { b.cast(&labels, DType::F32) } else { labels };
    let open = |x: &Value| x.dims().iter().map(|d| d.map_or(Dim::Named("N"), Dim::Fixed)).collect::<Vec<_>>();
    for (name, value) in [("boxes", &boxes), ("scores", &scores), ("labels", &labels)] {
        b.output(value, name, &open(value), "");
    }
    finished(b)
}

fn open(form: Form, flaw: Flaw) -> Result<Model, RuntimeError> {
    let mut meta = meta("resnet18", 2, Interpolation::Bilinear);
    meta.task = Task::ImageObjectDetection;
    meta.preprocessing.fit = Fit::Letterbox { side: 64 };
    let json = serde_json::to_string(&meta).unwrap();
    let metadata = [(runtime::META_KEY, json.as_str()), (runtime::FORM_KEY, form.name())];
    let bytes = proto::bytes(detector(form, flaw), &Header { graph: "tiny", doc: "", metadata: &metadata }).unwrap();
    Model::from_bytes(&bytes, &Options { intra_threads: 1, library: None })
}

/// The certain box of an image of 10 rows and 20 columns, moved by `more`.
fn certain(more: f32) -> Detection {
    Detection { corners: [11.0, 22.0, 13.0, 24.0].map(|v| v + more), score: 0.75, label: 1, mask: None }
}

#[test]
fn defaults_hold_until_they_are_overridden() {
    let mut model = open(Form::Whole, Flaw::None).unwrap();
    let images = Array4::zeros((2, 10, 20, 3));
    let mut run = |score_threshold, iou_threshold| {
        model.detect(images.view(), None, &Overrides { score_threshold, iou_threshold })
    };
    assert_eq!(run(None, None).unwrap(), [[certain(0.0)], [certain(0.0)]]);
    let both = run(Some(0.1), None).unwrap();
    assert_eq!((both[1].len(), both[1][0].clone()), (2, certain(0.0)));
    assert_eq!(both[1][1], Detection { corners: [15.0, 26.0, 17.0, 28.0], score: 0.25, label: 0, mask: None });
    assert_eq!(run(Some(0.0), Some(0.5)).unwrap()[0][0], certain(0.5));
    assert_eq!(run(Some(1.0), None).unwrap(), [[], []]);
    assert_eq!(run(None, Some(1.0)).unwrap(), [[certain(1.0)], [certain(1.0)]]);
    for value in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
        for (error, name) in [
            (run(Some(value), None).unwrap_err(), "score_threshold"),
            (run(None, Some(value)).unwrap_err(), "iou_threshold"),
        ] {
            let text = error.to_string();
            assert!(matches!(error, RuntimeError::Input { .. }) && text.contains(name), "{text}");
        }
    }
    assert!(model.detect(Array4::zeros((0, 5, 5, 3)).view(), None, &Overrides::default()).unwrap().is_empty());
}

#[test]
fn prepared_images_come_with_the_sizes_of_the_originals() {
    let mut model = open(Form::Prepared, Flaw::None).unwrap();
    assert_eq!(model.input_shape(), [-1, -1, -1, 3]);
    let mut run = |n: usize, side: usize, sizes: Option<&[[i64; 2]]>| {
        model.detect(Array4::zeros((n, side, 64, 3)).view(), sizes, &Overrides::default())
    };
    let found = run(2, 32, Some(&[[10, 20], [11, 21]])).unwrap();
    assert_eq!(found, [[certain(0.0)], [certain(1.0)]]);
    let mut refused = |n, side, sizes: Option<&[[i64; 2]]>, said: &str| {
        let error = run(n, side, sizes).unwrap_err();
        assert!(matches!(error, RuntimeError::Input { .. }) && error.to_string().contains(said), "{error}");
    };
    refused(1, 32, None, "'sizes'");
    refused(2, 32, Some(&[[1, 1]]), "1 sizes for 2 images");
    refused(1, 32, Some(&[[0, 1]]), "[0, 1]");
    refused(1, 33, Some(&[[1, 1]]), "a multiple of 32");
    refused(1, 0, Some(&[[1, 1]]), "a multiple of 32");
    let mut whole = open(Form::Whole, Flaw::None).unwrap();
    let error = whole.detect(Array4::zeros((1, 9, 9, 3)).view(), Some(&[[9, 9]]), &Overrides::default()).unwrap_err();
    assert!(matches!(error, RuntimeError::Input { .. }), "{error}");
}

#[test]
fn a_detector_has_no_probabilities() {
    let mut model = open(Form::Whole, Flaw::None).unwrap();
    let error = model.run(Array4::zeros((1, 9, 9, 3)).view()).unwrap_err();
    assert!(error.to_string().contains("image-object-detection"), "{error}");
}

#[test]
fn files_that_declare_something_else_are_refused() {
    for (form, flaw, said) in [
        (Form::Whole, Flaw::NoThreshold, "'iou_threshold'"),
        (Form::Prepared, Flaw::NoSizes, "sizes"),
        (Form::Whole, Flaw::FloatLabels, "'labels'"),
        (Form::Whole, Flaw::FlatBoxes, "'boxes'"),
    ] {
        match open(form, flaw) {
            Err(error @ RuntimeError::NotFovea { .. }) => assert!(error.to_string().contains(said), "{error}"),
            other => panic!("{said}: {other:?}"),
        }
    }
}

/// Each row of a table moves the input, in a loop that has its own constants and reads values around it.
#[test]
fn a_scan_stacks_what_its_body_yields() {
    let none = nothing();
    let b = Builder::new(&none);
    let x = b.input("x", DType::F32, &[Dim::Named("N"), Dim::Fixed(2)], "");
    let twice = b.add(x.clone(), &x);
    let table = b.integers(&[1, 10, 2, 20, 3, 30], &[3, 2]);
    let moved = b.scan(&table, |row| {
        let row = b.reshape(&b.cast(row, DType::F32), &[1, 2]);
        let unused = b.add(row.clone(), &row);
        assert_eq!(unused.dims(), [Some(1), Some(2)]);
        let dims = vec![Dim::Named("N"), Dim::Fixed(2)];
        vec![(b.add(twice.clone(), &row), "moved", dims.clone()), (twice.clone(), "same", dims)]
    });
    assert_eq!(moved[0].dims(), [Some(3), None, Some(2)]);
    let both = b.concat(&[&moved[0], &moved[1]], 0);
    b.output(&both, "y", &[Dim::Fixed(6), Dim::Named("N"), Dim::Fixed(2)], "");
    let graph = finished(b);
    let text = dump::dump(&graph);
    assert_eq!(text.matches("    ").count(), text.lines().filter(|l| l.starts_with("    ")).count());
    // The sum that nobody uses is gone.
    assert_eq!(text.matches("= Add(").count(), 2, "{text}");
    let x = ndarray::arr2(&[[0.5_f32, 1.0], [0.0, 0.0]]).into_dyn();
    let y = support::run_f32(graph, &x);
    let expected = [2.0, 12.0, 1.0, 10.0, 3.0, 22.0, 2.0, 20.0, 4.0, 32.0, 3.0, 30.0];
    let again = [1.0, 2.0, 0.0, 0.0];
    assert_eq!(y.iter().copied().collect::<Vec<_>>(), [expected.as_slice(), &again, &again, &again].concat());
}
