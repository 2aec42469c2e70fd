//! The detectors' losses and their gradients against torchvision and the original YOLOv5, with the raw outputs, anchors,
//! proposals and permutations of `scripts/oracle/detection_losses.py`.

use std::collections::BTreeMap;

use models::host::Tile;
use models::host::mask::Mask;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use tests::{fixture, synthetic};
use trainer::tasks::Losses;
use trainer::tasks::detect::sampler::Permutation;
use trainer::tasks::detect::{Target, mask_loss, retinanet_loss, roi_loss, rpn_loss, yolov5_loss};

use crate::support::device;

/// Numbers of boxes, as in the script.
const ANCHORS: i64 = 1500;
const PROPOSALS: i64 = 700;

/// YOLOv5's anchors, in pixels.
const YOLOV5_ANCHORS: [f64; 18] =
    [10.0, 13.0, 16.0, 30.0, 33.0, 23.0, 30.0, 61.0, 62.0, 45.0, 59.0, 119.0, 116.0, 90.0, 156.0, 198.0, 373.0, 326.0];

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    size: [i64; 2],
    classes: i64,
    label_smoothing: f64,
    images: Vec<Image>,
    families: BTreeMap<String, BTreeMap<String, Expected>>,
}

#[derive(Deserialize)]
struct Image {
    boxes: Vec<[f64; 4]>,
    labels: Vec<i64>,
}

#[derive(Deserialize)]
struct Expected {
    parts: BTreeMap<String, f64>,
    total: f64,
    gradients: BTreeMap<String, [f64; 2]>,
    sampled: Option<BTreeMap<String, [f64; 2]>>,
}

/// The stable order of the numbers `permutation/n`.
struct Given;

impl Permutation for Given {
    fn first(&mut self, n: usize, count: usize) -> Vec<usize> {
        let numbers: Vec<f64> = synthetic::uniform(&format!("permutation/{n}"), n).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
        order.truncate(count);
        order
    }
}

fn cases() -> Vec<Case> {
    let fixture: Fixture = serde_json::from_str(&fixture::text("detection_losses.json")).expect("a fixture");
    assert_eq!(fixture.cases.len(), 6);
    fixture.cases
}

/// Rounded to single precision, as the script does.
fn tensor(values: &[f64], shape: &[i64], kind: Kind) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float).to_kind(kind).reshape(shape).to_device(device())
}

fn boxes(key: &str, count: i64, [height, width]: [i64; 2], kind: Kind) -> Tensor {
    let u: Vec<f64> = synthetic::uniform(key, 4 * count as usize).collect();
    let make = |u: &[f64; 4]| {
        let (x, y) = (u[0] * 0.8 * width as f64, u[1] * 0.8 * height as f64);
        [x, y, x + 4.0 + 60.0 * u[2], y + 4.0 + 60.0 * u[3]]
    };
    let values: Vec<f64> = u.as_chunks().0.iter().flat_map(make).collect();
    tensor(&values, &[count, 4], kind)
}

fn pair(key: &str, values: &Tensor) -> [f64; 2] {
    let values = Vec::<f64>::try_from(values.to_kind(Kind::Double).contiguous().reshape([-1])).expect("numbers");
    synthetic::norm_and_probe(key, values.into_iter())
}

impl Case {
    fn targets(&self, kind: Kind) -> Vec<Target> {
        let target = |i: &Image| Target {
            boxes: Tensor::from_slice(i.boxes.as_flattened()).to_kind(kind).reshape([-1, 4]),
            labels: Tensor::from_slice(&i.labels),
        };
        self.images.iter().map(target).collect()
    }

    fn batch(&self) -> i64 {
        self.images.len() as i64
    }

    fn output(&self, family: &str, name: &str, shape: &[i64], kind: Kind) -> Tensor {
        let key = format!("{family}/{}/{name}", self.name);
        let values: Vec<f64> =
            synthetic::uniform(&key, shape.iter().product::<i64>() as usize).map(|u| 3.0 * (2.0 * u - 1.0)).collect();
        tensor(&values, shape, kind).set_requires_grad(true)
    }

    fn heads(&self, kind: Kind) -> [Tensor; 3] {
        let [height, width] = self.size;
        std::array::from_fn(|level| {
            let stride = yolov5_loss::STRIDES[level];
            let shape = [self.batch(), 3 * (5 + self.classes), height / stride, width / stride];
            self.output("yolov5", &format!("head{level}"), &shape, kind)
        })
    }

    fn yolov5(&self, heads: &[Tensor; 3], targets: &[Target]) -> Losses {
        let strides = Tensor::from_slice(&yolov5_loss::STRIDES).view([3, 1, 1]);
        let anchors = Tensor::from_slice(&YOLOV5_ANCHORS).view([3, 3, 2]) / strides;
        let hyper = yolov5_loss::Hyper { label_smoothing: self.label_smoothing, ..Default::default() };
        let side = self.size[0].max(self.size[1]);
        yolov5_loss::loss(heads, targets, &anchors, &hyper.for_run(self.classes, side))
    }

    fn check_yolov5(&self, kind: Kind) {
        let heads = self.heads(kind);
        let losses = self.yolov5(&heads, &self.targets(kind));
        let [a, b, c] = &heads;
        self.check("yolov5", kind, &losses, &[("head0", a), ("head1", b), ("head2", c)]);
    }

    fn check_rpn(&self, kind: Kind) {
        let objectness = self.output("rpn", "objectness", &[self.batch(), ANCHORS], kind);
        let deltas = self.output("rpn", "deltas", &[self.batch(), ANCHORS, 4], kind);
        let anchors = boxes("anchors", ANCHORS, self.size, kind);
        let losses = rpn_loss::loss(&objectness, &deltas, &anchors, &self.targets(kind), &mut Given);
        self.check("rpn", kind, &losses, &[("objectness", &objectness), ("deltas", &deltas)]);
    }

    fn check_roi(&self, kind: Kind) {
        let proposals: Vec<Tensor> =
            (0..self.batch()).map(|i| boxes(&format!("proposals/{i}"), PROPOSALS, self.size, kind)).collect();
        let sampled = roi_loss::sample(&proposals, &self.targets(kind), &mut Given);
        let expected = self.expected("roi", kind).sampled.as_ref().expect("what was sampled");
        let (limit, _) = tolerance(kind);
        let found = [("rois", &sampled.rois), ("labels", &sampled.labels), ("deltas", &sampled.deltas)];
        for (name, tensor) in found {
            let apart = apart(pair(&format!("sampled/{name}"), tensor), expected[name]);
            assert!(apart <= limit, "{}: {kind:?} {name} sampled: {apart:e} apart", self.name);
        }
        let count = sampled.labels.size()[0];
        let class_logits = self.output("roi", "class_logits", &[count, self.classes + 1], kind);
        let deltas = self.output("roi", "deltas", &[count, 4 * (self.classes + 1)], kind);
        let losses = roi_loss::loss(&class_logits, &deltas, &sampled);
        self.check("roi", kind, &losses, &[("class_logits", &class_logits), ("deltas", &deltas)]);
    }

    fn check_mask(&self, kind: Kind) {
        let proposals: Vec<Tensor> =
            (0..self.batch()).map(|i| boxes(&format!("proposals/{i}"), PROPOSALS, self.size, kind)).collect();
        let sampled = roi_loss::sample(&proposals, &self.targets(kind), &mut Given);
        let rows = (0..).zip(&sampled.objects).filter_map(|(row, object)| object.map(|_| row)).collect::<Vec<i64>>();
        let rows = Tensor::from_slice(&rows);
        let corners = sampled.rois.index_select(0, &rows).narrow(1, 1, 4).to_kind(Kind::Double).contiguous();
        let corners = Vec::<f64>::try_from(corners.reshape([-1])).expect("numbers");
        let size = self.size.map(|side| u32::try_from(side).expect("a side"));
        let wanted = sampled.objects.iter().flatten().zip(corners.as_chunks().0).flat_map(|([image, row], region)| {
            let pixels = ellipse(self.images[*image].boxes[*row], size);
            mask_loss::target(&mask_loss::Covered { pixels: &pixels, size }, *region)
        });
        let wanted = Tensor::from_slice(&wanted.collect::<Vec<f64>>()).to_kind(kind).view([-1, 28, 28]);
        let expected = self.expected("mask", kind).sampled.as_ref().expect("what masks are to be");
        let apart = apart(pair("sampled/masks", &wanted), expected["masks"]);
        let (of_losses, _) = tolerance(kind);
        assert!(apart <= of_losses, "{}: {kind:?} masks: {apart:e} apart", self.name);
        let count = rows.size()[0];
        let logits = self.output("mask", "mask_logits", &[count, self.classes + 1, 28, 28], kind);
        let own = sampled.labels.index_select(0, &rows).view([-1, 1, 1, 1]).expand([-1, 1, 28, 28], false);
        let losses = mask_loss::loss(&logits.gather(1, &own, false), &wanted);
        self.check("mask", kind, &losses, &[("mask_logits", &logits)]);
    }

    fn check_retinanet(&self, kind: Kind) {
        let class_logits = self.output("retinanet", "class_logits", &[self.batch(), ANCHORS, self.classes], kind);
        let deltas = self.output("retinanet", "deltas", &[self.batch(), ANCHORS, 4], kind);
        let anchors = boxes("anchors", ANCHORS, self.size, kind);
        let losses = retinanet_loss::loss(&class_logits, &deltas, &anchors, &self.targets(kind));
        self.check("retinanet", kind, &losses, &[("class_logits", &class_logits), ("deltas", &deltas)]);
    }

    fn expected(&self, family: &str, kind: Kind) -> &Expected {
        &self.families[family][if kind == Kind::Double { "float64" } else { "float32" }]
    }

    fn check(&self, family: &str, kind: Kind, losses: &Losses, outputs: &[(&str, &Tensor)]) {
        let expected = self.expected(family, kind);
        let what = format!("{} {family} {kind:?}", self.name);
        let (of_losses, of_gradients) = tolerance(kind);
        let relative =
            |found: f64, expected: f64| if found == expected { 0.0 } else { ((found - expected) / expected).abs() };
        let mut worst = relative(losses.total.double_value(&[]), expected.total);
        assert_eq!(losses.parts.len(), expected.parts.len(), "{what}: parts");
        for (name, value) in &losses.parts {
            worst = worst.max(relative(value.double_value(&[]), expected.parts[*name]));
        }
        losses.total.backward();
        assert_eq!(outputs.len(), expected.gradients.len(), "{what}: outputs");
        let gradients = outputs.iter().map(|(name, output)| {
            let gradient = output.grad();
            assert!(gradient.defined(), "{what}: no gradient of {name}");
            apart(pair(&format!("{family}/{}/{name}", self.name), &gradient), expected.gradients[*name])
        });
        let gradients = gradients.fold(0.0_f64, f64::max);
        println!("{what}: losses within {worst:.1e}, gradients within {gradients:.1e}");
        assert!(worst <= of_losses, "{what}: a loss is {worst:e} apart");
        assert!(gradients <= of_gradients, "{what}: a gradient is {gradients:e} apart");
    }
}

/// Largest relative differences of losses and of gradients. The fixture has nine digits.
fn tolerance(kind: Kind) -> (f64, f64) {
    if kind == Kind::Double { (1e-8, 1e-8) } else { (1e-5, 1e-4) }
}

/// The difference of norms and probes, relative to the norm; 0 where both are.
fn apart(found: [f64; 2], expected: [f64; 2]) -> f64 {
    let difference = (found[0] - expected[0]).abs().max((found[1] - expected[1]).abs());
    if difference == 0.0 { 0.0 } else { difference / expected[0] }
}

/// The pixels whose middles lie within the ellipse in a box.
fn ellipse([x1, y1, x2, y2]: [f64; 4], [height, width]: [u32; 2]) -> Mask {
    let away = |at: u32, from: f64, to: f64| (f64::from(at) + 0.5 - f64::midpoint(from, to)) / ((to - from) / 2.0);
    Mask::from_pixels(Tile { x0: 0, y0: 0, x1: width, y1: height }, |x, y| {
        away(x, x1, x2).powi(2) + away(y, y1, y2).powi(2) <= 1.0
    })
}

/// One test per family and precision, over all cases.
macro_rules! equals_the_oracle {
    ($($name:ident: $check:ident $kind:ident,)*) => {
        $(
            #[test]
            fn $name() {
                cases().iter().for_each(|case| case.$check(Kind::$kind));
            }
        )*
    };
}

equals_the_oracle! {
    yolov5_in_double_precision: check_yolov5 Double,
    yolov5_in_single_precision: check_yolov5 Float,
    rpn_in_double_precision: check_rpn Double,
    rpn_in_single_precision: check_rpn Float,
    roi_in_double_precision: check_roi Double,
    roi_in_single_precision: check_roi Float,
    mask_in_double_precision: check_mask Double,
    mask_in_single_precision: check_mask Float,
    retinanet_in_double_precision: check_retinanet Double,
    retinanet_in_single_precision: check_retinanet Float,
}

/// Values of the parts.
fn parts(losses: &Losses) -> Vec<f64> {
    losses.parts.iter().map(|(_, value)| value.double_value(&[])).collect()
}

#[test]
fn boxes_without_an_area_change_nothing() {
    let case = &cases()[0];
    let kind = Kind::Double;
    let sound = case.targets(kind);
    let mut hostile = case.targets(kind);
    let broken = [[5.0, 5.0, 5.0, 50.0], [60.0, 60.0, 20.0, 70.0], [f64::NAN, 0.0, 9.0, 9.0]];
    hostile[1].boxes = Tensor::cat(
        &[Tensor::from_slice(broken.as_flattened()).reshape([3, 4]).to_kind(kind), hostile[1].boxes.shallow_clone()],
        0,
    );
    hostile[1].labels = Tensor::cat(&[Tensor::from_slice(&[0i64, 1, 2]), hostile[1].labels.shallow_clone()], 0);
    let anchors = boxes("anchors", ANCHORS, case.size, kind);
    let (heads, logits) = (case.heads(kind), case.output("rpn", "objectness", &[case.batch(), ANCHORS], kind));
    let deltas = case.output("rpn", "deltas", &[case.batch(), ANCHORS, 4], kind);
    let proposals: Vec<_> = sound.iter().map(|_| boxes("proposals/0", PROPOSALS, case.size, kind)).collect();
    let all = |targets: &[Target]| {
        let sampled = roi_loss::sample(&proposals, targets, &mut Given);
        [
            parts(&case.yolov5(&heads, targets)),
            parts(&rpn_loss::loss(&logits, &deltas, &anchors, targets, &mut Given)),
            parts(&retinanet_loss::loss(&logits.unsqueeze(2).repeat([1, 1, 5]), &deltas, &anchors, targets)),
            pair("rois", &sampled.rois).into_iter().chain(pair("deltas", &sampled.deltas)).collect(),
        ]
    };
    assert_eq!(all(&hostile), all(&sound));
}

#[test]
fn memory_layout_does_not_matter_and_half_precision_is_near() {
    for case in cases() {
        let heads = case.heads(Kind::Float);
        let plain = case.yolov5(&heads, &case.targets(Kind::Float));
        let in_layout = heads.each_ref().map(|h| h.detach().permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]));
        let channels_last = case.yolov5(&in_layout, &case.targets(Kind::Float));
        let half = case.yolov5(&heads.each_ref().map(|h| h.to_kind(Kind::BFloat16)), &case.targets(Kind::Float));
        assert_eq!(half.total.kind(), Kind::Float);
        for ((a, b), c) in parts(&plain).into_iter().zip(parts(&channels_last)).zip(parts(&half)) {
            assert!((a - b).abs() <= 1e-6 * a.abs(), "{}: {a} and {b}", case.name);
            assert!((a - c).abs() <= 1e-2 * a.abs(), "{}: {a} and {c}", case.name);
        }
    }
}

#[test]
fn nothing_at_all_costs_nothing() {
    let empty = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let no_box = || Target { boxes: empty(&[0, 4]), labels: Tensor::zeros([0], (Kind::Int64, Device::Cpu)) };
    let sampled = roi_loss::sample(&[empty(&[0, 4]), empty(&[0, 4])], &[no_box(), no_box()], &mut Given);
    assert_eq!((sampled.rois.size(), sampled.labels.size()), (vec![0, 5], vec![0]));
    assert_eq!(parts(&roi_loss::loss(&empty(&[0, 6]), &empty(&[0, 24]), &sampled)), [0.0, 0.0]);
    assert_eq!(roi_loss::sample(&[], &[], &mut Given).rois.size(), [0, 5]);
    let anchors = empty(&[0, 4]);
    let found = rpn_loss::loss(&empty(&[1, 0]), &empty(&[1, 0, 4]), &anchors, &[no_box()], &mut Given);
    assert_eq!(parts(&found), [0.0, 0.0]);
    let found = retinanet_loss::loss(&empty(&[1, 0, 5]), &empty(&[1, 0, 4]), &anchors, &[no_box()]);
    assert_eq!(parts(&found), [0.0, 0.0]);
}
