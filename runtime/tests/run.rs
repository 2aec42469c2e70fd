//! Opens and runs the tiny models of `scripts/oracle/tiny_model.py`; needs ONNX Runtime.

mod support;

use ndarray::{Array2, Array4, s};
use runtime::{Form, Model, RuntimeError};
use support::{fixture, open, options};

/// What the tiny network answers: softmax of the channel means over 16.
fn expected(images: &Array4<u8>) -> Array2<f32> {
    let (n, h, w, _) = images.dim();
    Array2::from_shape_fn((n, 3), |(i, c)| {
        let exponent = |c: usize| {
            let sum: f64 = images.slice(s![i, .., .., c]).iter().map(|&v| f64::from(v)).sum();
            (sum / (h * w) as f64 / 16.0).exp()
        };
        (exponent(c) / (exponent(0) + exponent(1) + exponent(2))) as f32
    })
}

fn images(n: usize, h: usize, w: usize) -> Array4<u8> {
    Array4::from_shape_fn((n, h, w, 3), |(i, y, x, c)| ((i * 37 + y * 11 + x * 5 + c * 23) % 256) as u8)
}

#[track_caller]
fn check_close(model: &mut Model, images: &Array4<u8>) {
    let got = model.run(images.view()).expect("the images fit the model");
    let want = expected(images);
    assert_eq!(got.dim(), want.dim());
    for (g, w) in got.iter().zip(&want) {
        assert!((g - w).abs() < 1e-5, "{got} against {want}");
    }
}

#[test]
fn whole_takes_any_size_and_batch() {
    let mut model = open("tiny_whole.onnx");
    assert_eq!((model.form(), model.input_shape()), (Form::Whole, [-1, -1, -1, 3]));
    assert_eq!(model.meta().labels, ["red", "green", "blue"]);
    for (n, h, w) in [(1, 1, 1), (1, 33, 7), (3, 16, 16), (2, 5, 640)] {
        check_close(&mut model, &images(n, h, w));
    }
    assert_eq!(model.run(images(0, 9, 9).view()).unwrap().dim(), (0, 3));
}

#[test]
fn prepared_takes_its_own_size_only() {
    let bytes = std::fs::read(fixture("tiny_prepared.onnx")).unwrap();
    let mut model = Model::from_bytes(&bytes, &options()).unwrap();
    assert_eq!((model.form(), model.input_shape()), (Form::Prepared, [-1, 16, 16, 3]));
    check_close(&mut model, &images(4, 16, 16));
    for (h, w) in [(15, 16), (16, 17), (0, 16), (32, 32)] {
        let error = model.run(images(1, h, w).view()).unwrap_err();
        assert!(matches!(error, RuntimeError::Input { .. }) && error.to_string().contains("16, 16, 3"), "{error}");
    }
    check_close(&mut model, &images(1, 16, 16));
}

#[test]
fn a_view_that_is_not_contiguous_gives_the_same_answer() {
    let mut model = open("tiny_whole.onnx");
    let large = images(2, 20, 30);
    let part = large.slice(s![.., 2..15;2, 3..20, ..]);
    let got = model.run(part).unwrap();
    assert_eq!(got, model.run(part.to_owned().view()).unwrap());
}

#[test]
fn channels_other_than_three_are_refused() {
    let mut model = open("tiny_whole.onnx");
    let error = model.run(Array4::<u8>::zeros((1, 8, 8, 4)).view()).unwrap_err();
    assert!(matches!(error, RuntimeError::Input { .. }), "{error}");
}

#[test]
fn what_is_no_fovea_model_says_so() {
    let error = Model::open(&fixture("foreign.onnx"), &options()).unwrap_err();
    assert!(matches!(error, RuntimeError::NotFovea { .. }) && error.to_string().contains("'fovea'"), "{error}");
    let error = Model::open(&fixture("absent.onnx"), &options()).unwrap_err();
    assert!(matches!(error, RuntimeError::Open { .. }), "{error}");
    let whole = std::fs::read(fixture("tiny_whole.onnx")).unwrap();
    for broken in [&b""[..], b"not a model at all", &whole[..whole.len() / 2], &whole[7..]] {
        let error = Model::from_bytes(broken, &options()).unwrap_err();
        assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
    }
}

#[test]
fn metadata_that_does_not_fit_the_graph_is_refused() {
    let bytes = std::fs::read(fixture("tiny_prepared.onnx")).unwrap();
    // Same lengths, so that the protobuf stays valid.
    for (from, to, said) in [
        (&b"\"crop\":16"[..], &b"\"crop\":24"[..], "24 x 24"),
        (b"\"schema_version\":1", b"\"schema_version\":9", "schema version 9"),
        (b"prepared", b"sideways", "'sideways'"),
        (b"[\"red\",\"green\",\"blue\"]", b"[\"red\",\"green_blue_x\"]", "labels"),
    ] {
        assert_eq!(from.len(), to.len(), "{said}");
        let at = bytes.windows(from.len()).rposition(|w| w == from).unwrap();
        let mut changed = bytes.clone();
        changed[at..at + to.len()].copy_from_slice(to);
        match Model::from_bytes(&changed, &options()) {
            Err(error @ RuntimeError::NotFovea { .. }) => assert!(error.to_string().contains(said), "{error}"),
            other => panic!("{said}: {other:?}"),
        }
    }
}
