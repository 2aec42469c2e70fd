//! NMS and RoIAlign of the bridge against torchvision's, on the cases of `scripts/oracle/vision_ops.py`, and against definitions.

use bridge::{Nms, RoiAlign};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use tests::{fixture, synthetic};

use crate::support::device;

const IOU: [f32; 6] = [0.1, 0.3, 0.45, 0.5, 0.7, 0.9];
const SCORE: [f32; 4] = [0.0, 0.25, 0.5, 0.9];
const CAP: [i64; 4] = [1, 5, 20, 1000];
const OUTPUT: [i64; 4] = [1, 2, 3, 7];
const SCALES: [f64; 3] = [0.25, 0.125, 0.0625];

#[derive(Deserialize)]
struct Fixture {
    /// Survivors and checksum.
    nms: Vec<[i64; 2]>,
    /// L2 norm and probe of the output and of the gradient of every level, one after the other.
    roi_align: Vec<Vec<f64>>,
}

fn fixture() -> Fixture {
    serde_json::from_str(&fixture::text("vision_ops.json")).expect("the fixture")
}

/// `floor(count * u)`.
fn below(count: i64, u: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
    let value = (count as f64 * u) as i64;
    value
}

fn usize_of(value: i64) -> usize {
    usize::try_from(value).expect("not negative")
}

fn uniform(key: &str, shape: &[i64]) -> Tensor {
    let count = usize_of(shape.iter().product());
    Tensor::from_slice(&synthetic::uniform(key, count).collect::<Vec<_>>()).reshape(shape).to_device(device())
}

fn floats(t: &Tensor) -> Tensor {
    t.to_kind(Kind::Float)
}

fn corners(start: &Tensor, length: &Tensor) -> Tensor {
    Tensor::cat(&[start, &(start + length)], -1)
}

/// The formula of the same name in the script.
fn boxes(kind: usize, u: &Tensor) -> Tensor {
    let (p, q) = (u.narrow(-1, 0, 2), u.narrow(-1, 2, 2));
    match kind {
        0 => corners(&(p * 100), &(q * 40)),
        1 => corners(&(p * 0.01), &(q * 0.001)),
        2 => corners(&((p * 2 - 1) * 1e7), &(q * 1e7)),
        3 => corners(&(p * -100), &(q * 40)),
        4 => corners(&(p * 100), &(&q * 40).masked_fill(&q.lt(0.3), 0.0)),
        5 => corners(&((p * 3).floor() * 7), &((q * 3).floor() * 5)),
        6 => corners(&((p * 6).floor() * 10), &(((q * 2).floor() + 1) * 10)),
        _ => corners(&(p * 100), &((q * 2 - 1) * 40)),
    }
}

/// The formula of the same name in the script.
fn rois(kind: usize, u: &Tensor, size: &Tensor) -> Tensor {
    let (p, q) = (u.narrow(-1, 0, 2), u.narrow(-1, 2, 2));
    match kind {
        0 => corners(&(p * 0.8 * size), &(q * 0.2 * size)),
        1 => corners(&((p * 4 - 2) * size), &(q * size)),
        2 => corners(&(p * size), &(q * 0.5)),
        3 => corners(&(p * -1000), &(q * 2000)),
        4 => corners(&((p * 3).floor() * size * 0.5), &((q * 3).floor() * size * 0.5)),
        5 => corners(&(p * size), &(&q * size).masked_fill(&q.lt(0.5), 0.0)),
        6 => corners(&(p * size), &(q * -0.5 * size)),
        _ => corners(&(p * size).floor(), &(q * size).floor()),
    }
}

struct NmsCase {
    boxes: Tensor,
    scores: Tensor,
    p: Nms,
}

fn nms_case(i: usize) -> NmsCase {
    let u: Vec<f64> = synthetic::uniform(&format!("nms/{i}"), 6).collect();
    let (n, c) = (1 + below(3, u[0]), 1 + below(4, u[1]));
    let b = below(if i.is_multiple_of(10) { 400 } else { 60 }, u[2]);
    let scores = uniform(&format!("nms/{i}/scores"), &[n, c, b]);
    let scores = if i.is_multiple_of(3) { (scores * 8).floor() / 8 } else { scores };
    let p = Nms {
        iou_threshold: IOU[usize_of(below(6, u[3]))],
        score_threshold: SCORE[usize_of(below(4, u[4]))],
        cap: CAP[usize_of(below(4, u[5]))],
    };
    let boxes = boxes(i % 8, &uniform(&format!("nms/{i}/boxes"), &[n, b, 4]));
    NmsCase { boxes: floats(&boxes), scores: floats(&scores), p }
}

#[test]
fn nms_keeps_what_torchvision_keeps() {
    let expected = fixture().nms;
    assert_eq!(expected.len(), 2000);
    let (mut kept, mut empty) = (0, 0);
    for (i, [count, checksum]) in expected.into_iter().enumerate() {
        let NmsCase { boxes, scores, p } = nms_case(i);
        let [found, classes, rows] = bridge::nms(&boxes, &scores, &p).expect("sound input");
        let b = scores.size()[2];
        let (mut survivors, mut sum) = (0, 0);
        for image in 0..found.size()[0] {
            for d in 0..found.size()[1] {
                let at = [image, d];
                let (score, class, row) = (found.double_value(&at), classes.int64_value(&at), rows.int64_value(&at));
                if class < 0 {
                    assert_eq!((score, class, row), (0.0, -1, 0), "case {i}: filling");
                    continue;
                }
                assert_eq!(score.to_bits(), scores.double_value(&[image, class, row]).to_bits(), "case {i}: score");
                survivors += 1;
                sum = (sum * 31 + class * b + row + 1) % 2_147_483_647;
            }
            sum = (sum * 31) % 2_147_483_647;
        }
        assert_eq!([survivors, sum], [count, checksum], "case {i}: survivors and their checksum");
        kept += survivors;
        empty += i32::from(survivors == 0);
    }
    println!("2000 cases, {kept} survivors, {empty} cases without any");
}

struct RoiCase {
    name: String,
    levels: Vec<Tensor>,
    rois: Tensor,
    output: i64,
    sampling: i64,
}

impl RoiCase {
    fn new(i: usize) -> Self {
        let name = format!("roi/{i}");
        let u: Vec<f64> = synthetic::uniform(&name, 8).collect();
        let (n, levels, k) = (1 + below(2, u[0]), 1 + below(3, u[1]), below(12, u[2]));
        let c = if i.is_multiple_of(20) { 67 } else { 1 + below(6, u[3]) };
        let size = [16 + 4 * below(16, u[4]), 16 + 4 * below(16, u[5])];
        let (output, sampling) = (OUTPUT[usize_of(below(4, u[6]))], 1 + below(3, u[7]));
        let v = uniform(&format!("{name}/rois"), &[k, 5]);
        let corners =
            rois(i % 8, &v.narrow(1, 1, 4), &Tensor::from_slice(&size).to_kind(Kind::Double).to_device(device()));
        let rois = floats(&Tensor::cat(&[(v.narrow(1, 0, 1) * n).floor(), corners], 1));
        let level = |l: i64| {
            let [width, height] = size.map(|side| (side + (4 << l) - 1) / (4 << l));
            let values = floats(&(uniform(&format!("{name}/level{l}"), &[n, c, height, width]) * 2 - 1));
            let values = if i % 4 == 3 { values.to_kind(Kind::Double) } else { values };
            // Every combination of orders in memory comes up.
            if (i / 8) >> l & 1 == 1 { bridge::channels_last(&values) } else { values }
        };
        let levels = (0..levels).map(level).collect();
        Self { name, levels, rois, output, sampling }
    }

    fn pool(&self, levels: &[&Tensor]) -> Tensor {
        let p = RoiAlign {
            output: self.output,
            sampling: self.sampling,
            scales: &SCALES[..levels.len()],
            canonical_size: 16.0,
            canonical_level: 3,
            first_level: 2,
        };
        bridge::roi_align(levels, &self.rois, &p).expect("sound input")
    }

    /// The output, and the gradients of the levels of its dot product with the vector of the key `weights`.
    fn output_and_gradients(&self) -> Vec<Tensor> {
        let leaves: Vec<Tensor> = self.levels.iter().map(|l| l.detach().set_requires_grad(true)).collect();
        let output = self.pool(&leaves.iter().collect::<Vec<_>>());
        let weights = uniform(&format!("{}/weights", self.name), &output.size()) * 2 - 1;
        (&output * weights.to_kind(output.kind())).sum(output.kind()).backward();
        std::iter::once(output.detach()).chain(leaves.iter().map(Tensor::grad)).collect()
    }
}

fn pair(key: &str, t: &Tensor) -> [f64; 2] {
    let values = Vec::<f64>::try_from(&t.to_kind(Kind::Double).contiguous().reshape([-1])).expect("numbers");
    synthetic::norm_and_probe(key, values.into_iter())
}

#[test]
fn roi_align_and_its_gradient_equal_torchvisions() {
    let expected = fixture().roi_align;
    assert_eq!(expected.len(), 2000);
    let (mut worst, mut zero) = (0.0_f64, 0);
    for (i, expected) in expected.into_iter().enumerate() {
        let case = RoiCase::new(i);
        let found = case.output_and_gradients();
        assert_eq!(found.len() * 2, expected.len(), "case {i}: number of tensors");
        for (t, (tensor, expected)) in found.iter().zip(expected.as_chunks::<2>().0).enumerate() {
            let key = if t == 0 { format!("roi/{i}/output") } else { format!("roi/{i}/level{}", t - 1) };
            let found = pair(&key, tensor);
            for (f, e) in found.iter().zip(expected) {
                // Nothing but zeros is nothing but zeros; nine digits are in the fixture.
                let difference = if f == e { 0.0 } else { (f - e).abs() / expected[0] };
                let tolerance = if tensor.kind() == Kind::Double { 1e-8 } else { 2e-6 };
                assert!(difference <= tolerance, "{key}: {found:?}, expected {expected:?}");
                worst = worst.max(difference);
            }
            zero += i32::from(expected[0] == 0.0);
        }
    }
    println!("2000 cases, norms and probes within {worst:.1e} of the norm; {zero} tensors of zeros");
}

/// A case in float64 with three levels, the second channels-last.
fn example() -> RoiCase {
    let case = (0..).filter(|i| i % 4 == 3 && i / 8 % 8 == 2).map(RoiCase::new);
    let full = |c: &RoiCase| c.levels.len() == 3 && c.rois.size()[0] > 6 && c.output == 3 && c.levels[0].numel() < 800;
    case.into_iter().find(full).expect("such a case")
}

#[test]
fn gradients_equal_finite_differences() {
    let case = example();
    let found = case.output_and_gradients();
    assert!(bridge::is_channels_last(&found[2]) && found[1].is_contiguous());
    let weights = uniform(&format!("{}/weights", case.name), &found[0].size()) * 2 - 1;
    let value = |levels: &[&Tensor]| (case.pool(levels) * &weights).sum(Kind::Double).double_value(&[]);
    let mut compared = 0;
    for l in 0..case.levels.len() {
        let (size, gradient) = (case.levels[l].size(), found[l + 1].contiguous().reshape([-1]));
        for k in 0..gradient.size()[0] {
            let step = Tensor::zeros_like(&gradient);
            let _ = step.get(k).fill_(0.5);
            let moved = |sign: f64| {
                let level = &case.levels[l] + step.reshape(size.as_slice()) * sign;
                let mut levels: Vec<&Tensor> = case.levels.iter().collect();
                levels[l] = &level;
                value(&levels)
            };
            // The output is linear in the levels, so that a large step is as exact as a small one.
            let (difference, expected) = (moved(1.0) - moved(-1.0), gradient.double_value(&[k]));
            assert!((difference - expected).abs() < 1e-12, "level {l}, {k}: {difference} and {expected}");
            compared += i32::from(expected != 0.0);
        }
    }
    assert!(compared > 100, "only {compared} gradients are not 0");
}

#[test]
fn one_and_two_threads_give_the_same_bits() {
    // The threads are the processor's.
    if device() != Device::Cpu {
        return;
    }
    let bits = |threads: i32| {
        tch::set_num_threads(threads);
        let mut all = Vec::new();
        for i in 0..400 {
            all.extend(RoiCase::new(i).output_and_gradients());
            let NmsCase { boxes, scores, p } = nms_case(i);
            all.extend(bridge::nms(&boxes, &scores, &p).expect("sound input"));
        }
        all
    };
    let (one, two) = (bits(1), bits(2));
    assert_eq!(one.len(), two.len());
    assert!(one.len() > 2000 && one.iter().zip(&two).all(|(a, b)| a.equal(b)));
}

#[test]
fn orders_in_memory_agree() {
    for i in (1..400).step_by(5) {
        let case = RoiCase::new(i);
        let with = |order: fn(&Tensor) -> Tensor| {
            let levels = case.levels.iter().map(order).collect();
            RoiCase {
                levels,
                name: case.name.clone(),
                rois: case.rois.shallow_clone(),
                output: case.output,
                sampling: case.sampling,
            }
            .output_and_gradients()
        };
        let tolerance = if case.levels[0].kind() == Kind::Double { 1e-13 } else { 1e-5 };
        for (a, b) in with(Tensor::contiguous).iter().zip(&with(bridge::channels_last)) {
            let difference = if a.numel() == 0 { 0.0 } else { (a - b).abs().max().double_value(&[]) };
            assert!(difference <= tolerance, "case {i}: {difference}");
        }
    }
}
