//! Each operation, emitted and run, against answers worked out by hand from its definition.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use std::collections::BTreeMap;

use exporter::builder::{BuildError, Builder, Value};
use exporter::graph::Dim;
use models::ops::{Bn, BnParams, Conv, DType, Init, Ops, Padding, Pool, Role};
use ndarray::ArrayD;
use support::{Given, finished, nothing, run_f32};

const ANY: [&str; 4] = ["N", "C", "H", "W"];

fn tensor(shape: &[usize], values: &[f32]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(shape, values.to_vec()).unwrap()
}

/// `0, 1, 2, ...` in this shape.
fn counting(shape: &[usize]) -> ArrayD<f32> {
    tensor(shape, &(0..shape.iter().product()).map(|i: usize| i as f32).collect::<Vec<_>>())
}

fn params(given: &[(&str, &[f32])]) -> Given {
    Given(given.iter().map(|(k, v)| ((*k).to_owned(), v.to_vec())).collect::<BTreeMap<_, _>>())
}

/// Runs one definition on `x`, whose dimensions are all left open but the second.
fn run(source: &Given, x: &ArrayD<f32>, definition: impl Fn(&Builder, &Value) -> Value) -> ArrayD<f32> {
    let b = Builder::new(source);
    let open = |(i, &n): (usize, &usize)| if i == 1 { Dim::Fixed(n as i64) } else { Dim::Named(ANY[i]) };
    let dims: Vec<Dim> = x.shape().iter().enumerate().map(open).collect();
    let input = b.input("x", DType::F32, &dims, "");
    let y = definition(&b, &input);
    let dims: Vec<Dim> = (0..y.dims().len()).map(|i| Dim::Named(["a", "b", "c", "d"][i])).collect();
    b.output(&y, "y", &dims, "");
    run_f32(finished(b), x)
}

fn close(found: &ArrayD<f32>, shape: &[usize], values: &[f32]) {
    assert_eq!(found.shape(), shape);
    for (f, v) in found.iter().zip(values) {
        assert!((f - v).abs() <= 1e-5 || (f.is_nan() && v.is_nan()), "found {found:?}, expected {values:?}");
    }
}

fn conv(stride: i64, padding: Padding, groups: i64) -> Conv {
    Conv { stride: [stride; 2], padding, groups }
}

#[test]
fn conv2d_is_a_cross_correlation_with_onnx_padding_order() {
    let source = params(&[("c.weight", &[1.0, 2.0, 3.0, 4.0]), ("c.bias", &[0.5])]);
    let x = counting(&[1, 1, 2, 2]);
    let y = run(&source, &x, |b, x| {
        let w = b.param("c.weight", &[1, 1, 2, 2], Init::Zeros, Role::Weight);
        let bias = b.param("c.bias", &[1], Init::Zeros, Role::Bias);
        b.conv2d(x, &w, Some(&bias), &conv(1, Padding::Explicit([1, 0, 0, 0]), 1))
    });
    close(&y, &[1, 1, 2, 1], &[0.0 * 3.0 + 1.0 * 4.0 + 0.5, 1.0 * 2.0 + 2.0 * 3.0 + 3.0 * 4.0 + 0.5]);
}

#[test]
fn conv2d_groups_see_their_own_channels_only() {
    let source = params(&[("w", &[10.0, 100.0])]);
    let y = run(&source, &counting(&[2, 2, 1, 1]), |b, x| {
        let w = b.param("w", &[2, 1, 1, 1], Init::Zeros, Role::Weight);
        b.conv2d(x, &w, None, &conv(1, Padding::all(0), 2))
    });
    close(&y, &[2, 2, 1, 1], &[0.0, 100.0, 20.0, 300.0]);
}

/// TensorFlow's SAME by its definition: the total padding is split, and the odd element goes behind.
#[test]
fn same_padding_equals_explicit_padding_at_every_size() {
    let kernel = support::uniform("kernel", 9);
    let source = params(&[("w", &kernel)]);
    for (h, w, stride) in [(1, 1, 1), (1, 1, 2), (4, 5, 2), (5, 4, 2), (7, 7, 2), (6, 9, 1), (9, 2, 3)] {
        let x = tensor(&[1, 1, h, w], &support::uniform("x", h * w));
        let total = |n: usize| {
            let (n, s) = (n as i64, stride);
            (((n + s - 1) / s - 1) * s + 3 - n).max(0)
        };
        let (v, u) = (total(h), total(w));
        let explicit = Padding::Explicit([v / 2, u / 2, v - v / 2, u - u / 2]);
        let [same, expected] = [Padding::SameUpper, explicit].map(|padding| {
            run(&source, &x, |b, x| {
                let k = b.param("w", &[1, 1, 3, 3], Init::Zeros, Role::Weight);
                b.conv2d(x, &k, None, &conv(stride, padding, 1))
            })
        });
        let out = |n: usize| n.div_ceil(stride as usize);
        close(&same, &[1, 1, out(h), out(w)], expected.as_slice().unwrap());
        assert_eq!(expected.shape(), same.shape());
    }
}

#[test]
fn linear_multiplies_by_the_transposed_weight() {
    let source = params(&[("w", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), ("b", &[0.1, 0.2])]);
    for bias in [false, true] {
        let y = run(&source, &counting(&[2, 3]), |b, x| {
            let w = b.param("w", &[2, 3], Init::Zeros, Role::Weight);
            let shift = b.param("b", &[2], Init::Zeros, Role::Bias);
            b.linear(x, &w, bias.then_some(&shift))
        });
        let s = if bias { 1.0 } else { 0.0 };
        close(&y, &[2, 2], &[8.0 + 0.1 * s, 17.0 + 0.2 * s, 26.0 + 0.1 * s, 62.0 + 0.2 * s]);
    }
}

#[test]
fn batch_norm_normalises_with_running_statistics() {
    let source = params(&[("n.w", &[2.0, 3.0]), ("n.b", &[1.0, -1.0]), ("n.m", &[0.5, 2.0]), ("n.v", &[0.0, 4.0])]);
    let bn = Bn { eps: 0.25, momentum: 0.1 };
    let y = run(&source, &counting(&[1, 2, 1, 2]), |b, x| {
        let p = |key: &str, role| b.param(key, &[2], Init::Zeros, role);
        let p = BnParams {
            weight: p("n.w", Role::NormWeight),
            bias: p("n.b", Role::NormBias),
            mean: p("n.m", Role::Buffer),
            var: p("n.v", Role::Buffer),
        };
        b.batch_norm(x, &p, &bn)
    });
    let s = 4.25_f32.sqrt();
    close(&y, &[1, 2, 1, 2], &[-1.0, 3.0, -1.0, 3.0 / s - 1.0]);
}

#[test]
fn pointwise_operations() {
    let x = tensor(&[1, 5], &[-2.0, -0.0, 0.5, 7.0, f32::NAN]);
    let none = nothing();
    close(&run(&none, &x, |b, x| b.relu(x.clone())), &[1, 5], &[0.0, 0.0, 0.5, 7.0, f32::NAN]);
    let x = tensor(&[1, 4], &[-2.0, 0.5, 7.0, 6.0]);
    close(&run(&none, &x, |b, x| b.clamp(x.clone(), -1.0, 6.0)), &[1, 4], &[-1.0, 0.5, 6.0, 6.0]);
    let x = tensor(&[1, 3], &[0.0, 100.0, -100.0]);
    close(&run(&none, &x, |b, x| b.sigmoid(x)), &[1, 3], &[0.5, 1.0, 0.0]);
    close(&run(&none, &x, |b, x| b.dropout(x.clone(), 0.9)), &[1, 3], &[0.0, 100.0, -100.0]);
}

#[test]
fn softmax_survives_large_values_and_any_axis() {
    let x = tensor(&[2, 2], &[1000.0, 1000.0, 0.0, 3.0_f32.ln()]);
    close(&run(&nothing(), &x, |b, x| b.softmax(x, -1)), &[2, 2], &[0.5, 0.5, 0.25, 0.75]);
    let x = tensor(&[2, 1], &[0.0, 3.0_f32.ln()]);
    close(&run(&nothing(), &x, |b, x| b.softmax(x, 0)), &[2, 1], &[0.25, 0.75]);
}

#[test]
fn arithmetic_broadcasts() {
    let x = counting(&[2, 2]);
    let y = run(&nothing(), &x, |b, x| {
        let row = b.constant(&[10.0, 20.0], &[2]);
        let column = b.constant(&[1.0, 2.0], &[2, 1]);
        b.sub(b.mul(b.add(x.clone(), &row), &column), x)
    });
    close(&y, &[2, 2], &[10.0, 20.0, 22.0, 43.0]);
}

#[test]
fn max_pool_padding_never_wins_and_ceil_adds_a_window() {
    let x = tensor(&[1, 1, 1, 4], &[-5.0, -6.0, -7.0, -8.0]);
    let pool = |padding, ceil| Pool { kernel: [1, 3], stride: [1, 2], padding, ceil };
    let y = run(&nothing(), &x, |b, x| b.max_pool(x, &pool(Padding::Explicit([0, 1, 0, 1]), false)));
    close(&y, &[1, 1, 1, 2], &[-5.0, -6.0]);
    let y = run(&nothing(), &x, |b, x| b.max_pool(x, &pool(Padding::all(0), true)));
    close(&y, &[1, 1, 1, 2], &[-5.0, -7.0]);
    // A window that would begin in the padding behind is left out, as the Manifest and PyTorch count.
    let x = tensor(&[1, 1, 1, 3], &[-6.0, -5.0, -4.0]);
    let pool = Pool { kernel: [1, 2], stride: [1, 3], padding: Padding::Explicit([0, 0, 0, 1]), ceil: true };
    let y = run(&nothing(), &x, |b, x| b.max_pool(x, &pool));
    close(&y, &[1, 1, 1, 1], &[-5.0]);
}

#[test]
fn global_average_flatten_transpose() {
    let x = counting(&[1, 2, 2, 2]);
    let y = run(&nothing(), &x, |b, x| b.flatten(&b.global_avg_pool(x), 1));
    close(&y, &[1, 2], &[1.5, 5.5]);
    let y = run(&nothing(), &x, |b, x| b.flatten(x, -1));
    close(&y, &[4, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let y = run(&nothing(), &counting(&[2, 3]), |b, x| b.transpose(x, &[1, 0]));
    close(&y, &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn a_norm_keeps_the_axes_that_it_goes_over() {
    let x = tensor(&[1, 2, 1, 2], &[3.0, -4.0, 0.0, 0.0]);
    for axes in [&[2, 3][..], &[-1]] {
        close(&run(&nothing(), &x, |b, x| b.norm(x, axes)), &[1, 2, 1, 1], &[5.0, 0.0]);
    }
    let none = nothing();
    let b = Builder::new(&none);
    b.norm(&b.input("x", DType::F32, &[Dim::Fixed(2)], ""), &[]);
    assert!(matches!(b.finish().unwrap_err(), BuildError::Misuse { op: "ReduceL2", .. }));
}

#[test]
fn casts_truncate_towards_zero() {
    let x = tensor(&[1, 4], &[-1.9, 1.9, 254.7, 0.0]);
    let y = run(&nothing(), &x, |b, x| b.cast(&b.cast(x, DType::I64), DType::F32));
    close(&y, &[1, 4], &[-1.0, 1.0, 254.0, 0.0]);
}

#[test]
fn empty_batches_run() {
    let source = params(&[("w", &[1.0, 1.0]), ("f", &[1.0])]);
    let y = run(&source, &counting(&[0, 2, 3, 3]), |b, x| {
        let w = b.param("w", &[1, 2, 1, 1], Init::Zeros, Role::Weight);
        let f = b.param("f", &[1, 1], Init::Zeros, Role::Weight);
        let x = b.relu(b.conv2d(x, &w, None, &conv(1, Padding::all(0), 1)));
        let x = b.max_pool(&x, &Pool { kernel: [2; 2], stride: [1; 2], padding: Padding::all(0), ceil: false });
        b.softmax(&b.linear(&b.flatten(&b.global_avg_pool(&x), 1), &f, None), 1)
    });
    close(&y, &[0, 1], &[]);
}

#[test]
fn the_first_error_is_kept_with_its_place() {
    let source = params(&[("stem.w", &[1.0; 4])]);
    let b = Builder::new(&source);
    let dims = [Dim::Named("N"), Dim::Fixed(3), Dim::Named("H"), Dim::Named("W")];
    let x = b.input("x", DType::F32, &dims, "");
    let w = b.param("stem.w", &[4, 1, 1, 1], Init::Zeros, Role::Weight);
    b.conv2d(&x, &w, None, &conv(1, Padding::all(0), 1));
    b.param("head.w", &[1], Init::Zeros, Role::Weight);
    let error = b.finish().unwrap_err();
    assert!(matches!(&error, BuildError::Misuse { op: "Conv", place, .. } if place == "stem"), "{error}");
}

/// A definition that must fail.
type Misuse = fn(&Builder, &Value);

#[test]
fn misuse_is_refused() {
    let refused: [(&str, Misuse); 9] = [
        ("Clip", |b, x| drop(b.clamp(x.clone(), 2.0, 1.0))),
        ("Clip", |b, x| drop(b.clamp(x.clone(), f32::NAN, 1.0))),
        ("Softmax", |b, x| drop(b.softmax(x, 4))),
        ("Flatten", |b, x| drop(b.flatten(x, 9))),
        ("Transpose", |b, x| drop(b.transpose(x, &[0, 0, 1, 2]))),
        ("Relu", |b, x| drop(b.relu(b.cast(x, DType::U8)))),
        ("Add", |b, x| drop(b.add(x.clone(), &b.constant(&[1.0, 2.0], &[2, 1, 1])))),
        ("constant", |b, _| drop(b.constant(&[1.0], &[2]))),
        ("Dropout", |b, x| drop(b.dropout(x.clone(), 1.0))),
    ];
    for (op, definition) in refused {
        let none = nothing();
        let b = Builder::new(&none);
        let dims = [Dim::Named("N"), Dim::Fixed(3), Dim::Named("H"), Dim::Named("W")];
        let x = b.input("x", DType::F32, &dims, "");
        definition(&b, &x);
        let error = b.finish().unwrap_err();
        assert!(matches!(&error, BuildError::Misuse { op: found, .. } if *found == op), "{op}: {error}");
    }
}
