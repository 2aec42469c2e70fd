//! YOLOv5, the anchor-based layout of its releases 6 and 7. Keys are the original's. It builds on YOLOv3 (Redmon and
//! Farhadi 2018, arXiv:1804.02767), cross-stage partial blocks (Wang et al. 2019, arXiv:1911.11929), and a path
//! aggregation neck (Liu et al. 2018, arXiv:1803.01534).

use schemas::setting::ModelSize;

use super::found::{Detections, Selection, suppress};
use super::scalar::scalar;
use crate::ops::{Bn, BnParams, Init, Ops, Padding, Pool, Role};
use crate::scope::{ConvSpec, Norm, Scope, biased_conv, bn_params, conv_weight};

const BN: Bn = Bn { eps: 1e-3, momentum: 0.03 };
/// Anchors of a cell on each map.
pub const ANCHORS: i64 = 3;
/// Pixels a cell of each map, finest first.
pub const STRIDES: [f32; 3] = [8.0, 16.0, 32.0];
/// Width and height of the anchors, `[map][anchor][width, height]`, in cells of their map.
pub const ANCHOR_CELLS: [f32; 18] = [
    10.0 / 8.0,
    13.0 / 8.0,
    16.0 / 8.0,
    30.0 / 8.0,
    33.0 / 8.0,
    23.0 / 8.0, //
    30.0 / 16.0,
    61.0 / 16.0,
    62.0 / 16.0,
    45.0 / 16.0,
    59.0 / 16.0,
    119.0 / 16.0, //
    116.0 / 32.0,
    90.0 / 32.0,
    156.0 / 32.0,
    198.0 / 32.0,
    373.0 / 32.0,
    326.0 / 32.0,
];

/// Repeats of blocks in thirds, channels in quarters, of the large network's.
const fn multiples(size: ModelSize) -> (i64, i64) {
    match size {
        ModelSize::Nano => (1, 1),
        ModelSize::Small => (1, 2),
        ModelSize::Medium => (2, 3),
        ModelSize::Large => (3, 4),
        ModelSize::Xlarge => (4, 5),
    }
}

/// What the last layer says, and the anchors it speaks of.
#[derive(Clone, Debug)]
pub struct Heads<T> {
    /// Before any sigmoid, `[N, 3 * (5 + classes), h / stride, w / stride]` for each of [`STRIDES`]: for each anchor
    /// x, y, width, height, objectness, classes.
    pub maps: [T; 3],
    /// F32 `[3, 3, 2]`: width and height of each map's anchors, in its cells.
    pub anchors: T,
}

/// Every box that the network can speak of.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// F32 `[N, B, 4]`, `xyxy` in pixels of the prepared image; by map, anchor, row, column.
    pub boxes: T,
    /// F32 `[N, classes, B]`: probability of an object times that of the class.
    pub scores: T,
}

/// A convolution without bias, batch normalisation, SiLU. Asked for before it is used, because the published order of
/// keys is not the order of computation.
struct Layer<T> {
    weight: T,
    norm: BnParams<T>,
    spec: ConvSpec,
}

/// PyTorch's default for a convolution: uniform within `1 / sqrt(fan_in)`.
#[expect(clippy::cast_precision_loss, reason = "layer widths are far below 2^52")]
fn bound(c: ConvSpec) -> f64 {
    1.0 / ((c.cin * c.kernel * c.kernel) as f64).sqrt()
}

impl<T: Clone> Layer<T> {
    fn ask<B: Ops<T = T>>(s: &Scope<B>, spec: ConvSpec) -> Self {
        let weight = conv_weight(&s.sub("conv"), spec, Init::Uniform(bound(spec)));
        Self { weight, norm: bn_params(&s.sub("bn"), spec.cout, Norm::Batch), spec }
    }

    fn apply<B: Ops<T = T>>(&self, o: &B, x: &T) -> T {
        o.silu(o.batch_norm(&o.conv2d(x, &self.weight, None, &self.spec.conv()), &self.norm, &BN))
    }
}

fn layer<B: Ops>(s: &Scope<B>, x: &B::T, c: ConvSpec) -> B::T {
    Layer::ask(s, c).apply(s.ops(), x)
}

/// A cross-stage partial block: half of the channels pass `repeats` bottlenecks, the other half none.
#[derive(Clone, Copy)]
struct C3 {
    cin: i64,
    cout: i64,
    repeats: i64,
    shortcut: bool,
}

impl C3 {
    fn apply<B: Ops>(self, s: &Scope<B>, x: &B::T) -> B::T {
        let o = s.ops();
        let half = self.cout / 2;
        let ask = |name: &str, cin: i64, cout: i64| Layer::ask(&s.sub(name), ConvSpec::new(cin, cout, 1));
        let (first, second) = (ask("cv1", self.cin, half), ask("cv2", self.cin, half));
        let last = ask("cv3", 2 * half, self.cout);
        let mut y = first.apply(o, x);
        for index in 0..self.repeats {
            let m = s.sub("m").sub(index);
            let inside = layer(&m.sub("cv1"), &y, ConvSpec::new(half, half, 1));
            let inside = layer(&m.sub("cv2"), &inside, ConvSpec::new(half, half, 3));
            y = if self.shortcut { o.add(inside, &y) } else { inside };
        }
        last.apply(o, &o.concat(&[&y, &second.apply(o, x)], 1))
    }
}

/// Fast spatial pyramid pooling: three 5x5 maxima one after the other, beside what they start from.
fn sppf<B: Ops>(s: &Scope<B>, x: &B::T, channels: i64) -> B::T {
    let (o, half) = (s.ops(), channels / 2);
    let pool = Pool { kernel: [5, 5], stride: [1, 1], padding: Padding::all(2), ceil: false };
    let x = layer(&s.sub("cv1"), x, ConvSpec::new(channels, half, 1));
    let once = o.max_pool(&x, &pool);
    let twice = o.max_pool(&once, &pool);
    let thrice = o.max_pool(&twice, &pool);
    layer(&s.sub("cv2"), &o.concat(&[&x, &once, &twice, &thrice], 1), ConvSpec::new(4 * half, channels, 1))
}

/// What the network says about normalised `images [N, 3, h, w]`, sides multiples of 32. `s` is the detector's root.
pub fn heads<B: Ops>(s: &Scope<B>, images: &B::T, size: ModelSize, classes: i64) -> Heads<B::T> {
    let (o, m) = (s.ops(), s.sub("model"));
    let (thirds, quarters) = multiples(size);
    let channels = [64, 128, 256, 512, 1024].map(|large| large * quarters / 4);
    let [c1, c2, c3, c4, c5] = channels;
    let down =
        |index: i64, x: &B::T, cin: i64, cout: i64| layer(&m.sub(index), x, ConvSpec::new(cin, cout, 3).stride(2));
    let partial = |index: i64, x: &B::T, cin: i64, cout: i64, large: i64, shortcut: bool| {
        C3 { cin, cout, repeats: large * thirds / 3, shortcut }.apply(&m.sub(index), x)
    };
    let join = |x: &B::T, y: &B::T| o.concat(&[x, y], 1);

    let x = layer(&m.sub(0), images, ConvSpec::new(3, c1, 6).stride(2).padding(Padding::all(2)));
    let x = partial(2, &down(1, &x, c1, c2), c2, c2, 3, true);
    let fine = partial(4, &down(3, &x, c2, c3), c3, c3, 6, true);
    let middle = partial(6, &down(5, &fine, c3, c4), c4, c4, 9, true);
    let x = partial(8, &down(7, &middle, c4, c5), c5, c5, 3, true);
    let x = sppf(&m.sub(9), &x, c5);

    let coarse = layer(&m.sub(10), &x, ConvSpec::new(c5, c4, 1));
    let x = join(&o.resize_nearest_like(&coarse, &middle), &middle);
    let x = partial(13, &x, 2 * c4, c4, 3, false);
    let middle = layer(&m.sub(14), &x, ConvSpec::new(c4, c3, 1));
    let x = join(&o.resize_nearest_like(&middle, &fine), &fine);
    let p3 = partial(17, &x, 2 * c3, c3, 3, false);
    let p4 = partial(20, &join(&down(18, &p3, c3, c3), &middle), 2 * c3, c4, 3, false);
    let p5 = partial(23, &join(&down(21, &p4, c4, c4), &coarse), 2 * c4, c5, 3, false);

    let last = m.sub(24);
    let anchors = last.param("anchors", &[3, ANCHORS, 2], Init::Values(&ANCHOR_CELLS), Role::Buffer);
    let head = |index: usize, x: &B::T, cin: i64| {
        let c = ConvSpec::new(cin, ANCHORS * (5 + classes), 1);
        let bias = prior(bound(c), STRIDES[index], classes);
        biased_conv(&last.sub("m").sub(index), x, c, Init::Uniform(bound(c)), bias)
    };
    Heads { maps: [head(0, &p3, c3), head(1, &p4, c4), head(2, &p5, c5)], anchors }
}

/// Bias of the last layer: PyTorch's default, moved so that an image of 640 pixels starts with 8 objects on each map
/// (objectness) and classes with a probability of about 0.6 in all.
#[expect(clippy::cast_precision_loss, reason = "class counts are far below 2^52")]
fn prior(bound: f64, stride: f32, classes: i64) -> Init {
    let cells = (640.0 / f64::from(stride)).powi(2);
    let class = (0.6 / (classes as f64 - 0.999_99)).ln();
    Init::Detect { bound, objectness: (8.0 / cells).ln(), class, outputs: 5 + classes }
}

/// Boxes and scores of what the network said.
pub fn decode<B: Ops>(o: &B, heads: &Heads<B::T>, classes: i64) -> Decoded<B::T> {
    let (two, half) = (scalar(o, 2.0), scalar(o, 0.5));
    let mut boxes = Vec::new();
    let mut scores = Vec::new();
    for ((index, map), stride) in (0..).zip(&heads.maps).zip(STRIDES) {
        let stride = scalar(o, stride);
        // [N, anchor, output, cell]
        let p = o.sigmoid(&o.reshape(map, &[0, ANCHORS, 5 + classes, -1]));
        let cells = o.sub(o.transpose(&o.meshgrid(map), &[1, 0]), &half);
        let centre = o.mul(o.add(o.mul(o.slice(&p, 2, 0, 2), &two), &cells), &stride);
        let anchors = o.reshape(&o.slice(&heads.anchors, 0, index, index + 1), &[1, ANCHORS, 2, 1]);
        let double = o.mul(o.slice(&p, 2, 2, 4), &two);
        let sides = o.mul(o.mul(double.clone(), &double), &o.mul(anchors, &stride));
        let reach = o.mul(sides, &half);
        let corners = o.concat(&[&o.sub(centre.clone(), &reach), &o.add(centre, &reach)], 2);
        boxes.push(o.reshape(&o.transpose(&corners, &[0, 1, 3, 2]), &[0, -1, 4]));
        let score = o.mul(o.slice(&p, 2, 5, i64::MAX), &o.slice(&p, 2, 4, 5));
        scores.push(o.reshape(&o.transpose(&score, &[0, 2, 1, 3]), &[0, classes, -1]));
    }
    let join = |parts: &[B::T], axis: i64| o.concat(&parts.iter().collect::<Vec<_>>(), axis);
    Decoded { boxes: join(&boxes, 1), scores: join(&scores, 2) }
}

/// At most `cap` detections an image; see [`super::Detector::predict`]. A box is a candidate for every class whose score
/// is above the threshold. Suppression stops at `cap` boxes of a class, so no limit on candidates is needed (the original
/// looks at the best 30,000).
pub fn select<B: Ops>(o: &B, heads: &Heads<B::T>, classes: i64, t: &Selection<B::T>) -> Detections<B::T> {
    let decoded = decode(o, heads, classes);
    suppress(o, &decoded.boxes, &decoded.scores, t)
}
