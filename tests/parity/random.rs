//! Operations of detectors on cases that a formula makes up: Builder and ONNX Runtime against Eager. Coordinates and scores
//! are coarse, so that boxes touch, overlaps lie at thresholds, and scores tie.

use models::manifest::Manifest;
use models::ops::RoiAlign;
use tests::cases::{Array, Call, Data, Regions, onnx};
use tests::{check_close, synthetic};
use trainer::nn::eager::{Eager, Mode, T};
use trainer::nn::params::{Layout, Params};

use crate::ops::{array, tensor};
use crate::support::device;

const CASES: usize = 200;

/// Numbers of one case.
struct Draw(Box<dyn Iterator<Item = f64>>);

impl Draw {
    fn new(key: &str) -> Self {
        Self(Box::new(synthetic::uniform(key, 1 << 20)))
    }

    fn unit(&mut self) -> f64 {
        self.0.next().expect("a case takes fewer than 2^20 numbers")
    }

    /// A whole number from `low` to `high`, both included.
    fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + (self.unit() * (high - low + 1) as f64) as i64
    }

    fn floats(&mut self, shape: &[i64], mut value: impl FnMut(&mut Self) -> f64) -> Array {
        let count: i64 = shape.iter().product();
        let data = (0..count).map(|_| value(self) as f32).collect();
        Array { shape: shape.to_vec(), data: Data::F32(data) }
    }

    /// `[n, count, 4]` on a grid of `step`, mostly inside a square of side `side`.
    fn boxes(&mut self, n: i64, count: i64, side: f64, step: f64) -> Array {
        let coarse = |v: f64| (v / step).floor() * step;
        let mut data = Vec::new();
        for _ in 0..n * count {
            let corner = [coarse((self.unit() * 1.2 - 0.1) * side), coarse((self.unit() * 1.2 - 0.1) * side)];
            let size = [coarse(self.unit().powi(2) * side), coarse(self.unit().powi(2) * side)];
            data.extend([corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]].map(|v| v as f32));
        }
        Array { shape: vec![n, count, 4], data: Data::F32(data) }
    }
}

/// Runs the call on both, with and without known sizes, and compares them: floats within `tolerance` (0: bit for bit).
fn compare(what: &str, call: &Call, inputs: &[Array], tolerance: f64) -> f64 {
    let params = Params::init(&Manifest::default(), 0, device(), Layout::Contiguous);
    let eager = Eager::new(&params, Mode::Evaluate);
    let tensors: Vec<T> = inputs.iter().map(|a| T::borrowed(&tensor(a))).collect();
    let expected: Vec<Array> = call.on(&eager, &tensors).into_iter().map(|t| array(&t.into_tensor())).collect();
    let mut worst = 0.0_f64;
    for known in [true, false] {
        let found = onnx::outputs(what, call, inputs, known);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.shape, expected.shape, "{what}, {call:?}");
            match (&found.data, &expected.data) {
                (Data::F32(f), Data::F32(e)) if tolerance > 0.0 => {
                    worst = worst.max(check_close(what, f, e, tolerance));
                }
                (f, e) => assert_eq!(f, e, "{what}, {call:?}"),
            }
        }
    }
    worst
}

#[test]
fn suppression_agrees_bit_for_bit() {
    let mut kept = 0;
    for i in 0..CASES {
        let what = format!("nms{i}");
        let mut draw = Draw::new(&what);
        let (n, c, b) = (draw.whole(0, 3), draw.whole(1, 5), draw.whole(0, 120));
        let step = [1.0, 5.0, 0.37][i % 3];
        let boxes = draw.boxes(n, b, 100.0, step);
        let coarse = [8.0, 100.0, 1e6][i / 3 % 3];
        let scores = draw.floats(&[n, c, b], |d| (d.unit() * coarse).floor() / coarse);
        let iou = draw.floats(&[1], |d| d.whole(0, 10) as f64 / 10.0);
        let least = draw.floats(&[1], |d| d.whole(0, 6) as f64 / 8.0);
        let cap = draw.whole(1, 150);
        let inputs = [boxes, scores, iou, least];
        compare(&what, &Call::Nms { cap }, &inputs, 0.0);
        kept += usize::from(n > 0 && b > 0);
    }
    assert!(kept > CASES / 2, "{kept} cases with boxes");
}

#[test]
fn pooled_regions_agree() {
    let mut worst = 0.0_f64;
    for i in 0..CASES {
        let what = format!("roi_align{i}");
        let mut draw = Draw::new(&what);
        let (n, c, p) = (draw.whole(0, 2), draw.whole(1, 4), draw.whole(0, 12));
        let count = draw.whole(1, 4);
        let mut inputs: Vec<Array> = (0..count)
            .map(|level| {
                let side = 32 >> level;
                draw.floats(&[n, c, side, side + level], |d| d.unit() * 2.0 - 1.0)
            })
            .collect();
        inputs.push(draw.boxes(n, p, 128.0, [1.0, 7.0, 0.37][i % 3]));
        let regions = RoiAlign {
            output: draw.whole(1, 7),
            sampling: draw.whole(1, 3),
            scales: (0..count).map(|level| 0.25 / f64::from(1 << level)).collect(),
            canonical_size: [224.0, 28.0, 50.0][i / 3 % 3],
            canonical_level: draw.whole(2, 5),
            first_level: 2,
        };
        worst = worst.max(compare(&what, &Call::RoiAlign(Regions(regions)), &inputs, 2e-5));
    }
    println!("roi_align: within {worst:.1e}");
}

#[test]
fn the_best_and_the_taken_agree_bit_for_bit() {
    for i in 0..CASES {
        let what = format!("topk{i}");
        let mut draw = Draw::new(&what);
        let (n, m) = (draw.whole(0, 4), draw.whole(0, 3000));
        let coarse = [4.0, 50.0, 1e6][i % 3];
        let x = draw.floats(&[n, m], |d| (d.unit() * coarse).floor() / coarse - 0.5);
        let k = draw.whole(0, 400);
        compare(&what, &Call::Topk { k }, &[x], 0.0);

        let what = format!("take{i}");
        let m = m.min(200);
        let rest: Vec<i64> = (0..draw.whole(0, 2)).map(|_| draw.whole(0, 5)).collect();
        let x = draw.floats(&[&[n, m], rest.as_slice()].concat(), Draw::unit);
        let k = if m == 0 { 0 } else { draw.whole(0, 50) };
        let index = (0..n * k).map(|_| draw.whole(0, m - 1)).collect();
        let index = Array { shape: vec![n, k], data: Data::I64(index) };
        compare(&what, &Call::Take, &[x.clone(), index], 0.0);

        let count = Array { shape: vec![1], data: Data::I64(vec![draw.whole(0, m + 2)]) };
        compare(&format!("head{i}"), &Call::Head, &[x, count], 0.0);
    }
}
