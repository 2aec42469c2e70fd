//! The Eager interpreter: [`Ops`] on libtorch, with autograd.

mod decisions;
mod tape;
#[cfg(test)]
mod tests;

use exporter::graph::DecisionKind;
use models::ops::{Bn, BnParams, Conv, DType, Init, Nms, Ops, Padding, Pool, RoiAlign, Role, Selected};
use models::shapes;
use tch::{Device, Kind, Tensor};

use crate::nn::params::Params;
use crate::nn::transfer::upload;

pub use decisions::{Decision, Decisions};
pub use tape::{Guided, Tape};

/// Whether batch normalisation uses and updates batch statistics and dropout drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, dropout on.
    Train,
    /// Running statistics, dropout off.
    Evaluate,
}

/// A tensor on the way through a network.
pub struct T(Tensor);

impl T {
    /// Somebody else's tensor; it is never overwritten, because this is a second handle of it.
    pub fn borrowed(tensor: &Tensor) -> Self {
        Self(tensor.shallow_clone())
    }

    /// The tensor itself.
    pub fn into_tensor(self) -> Tensor {
        self.0
    }

    /// Whether nobody else can see this memory: no other handle, no view, and no backward formula that saved it.
    fn may_overwrite(&self) -> bool {
        bridge::use_count(&self.0) == 1 && bridge::storage_use_count(&self.0) == 1
    }
}

impl Clone for T {
    fn clone(&self) -> Self {
        Self(self.0.shallow_clone())
    }
}

/// Interpreter over a parameter store. A batch normalisation whose weight is frozen keeps its statistics in training, unless
/// the store says otherwise ([`Params::updates_statistics`]).
pub struct Eager<'a> {
    params: &'a Params,
    mode: Mode,
    tape: Option<&'a Tape>,
    decisions: Option<&'a Decisions>,
}

impl<'a> Eager<'a> {
    /// An interpreter of these parameters.
    #[must_use]
    pub fn new(params: &'a Params, mode: Mode) -> Self {
        Self { params, mode, tape: None, decisions: None }
    }

    /// An interpreter in evaluation mode that records rectifiers and global pooling on `tape`. Parameters get no gradient.
    #[must_use]
    pub fn recording(params: &'a Params, tape: &'a Tape) -> Self {
        Self { params, mode: Mode::Evaluate, tape: Some(tape), decisions: None }
    }

    /// An interpreter in evaluation mode that keeps every decision.
    #[must_use]
    pub fn deciding(params: &'a Params, decisions: &'a Decisions) -> Self {
        Self { params, mode: Mode::Evaluate, tape: None, decisions: Some(decisions) }
    }

    /// Keeps a decision where that was asked for.
    fn decide(&self, decision: impl FnOnce() -> Decision) {
        if let Some(decisions) = self.decisions {
            decisions.push(decision());
        }
    }
}

fn kind(t: DType) -> Kind {
    match t {
        DType::F32 => Kind::Float,
        DType::F64 => Kind::Double,
        DType::U8 => Kind::Uint8,
        DType::I64 => Kind::Int64,
    }
}

/// Padding of one axis for SAME: the odd element goes last.
fn same(size: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let total = ((size + stride - 1) / stride - 1).max(0) * stride + kernel - size;
    let total = total.max(0);
    (total / 2, total - total / 2)
}

/// Symmetric padding that libtorch's kernels take themselves, and the input, padded with `fill` where it is not
/// symmetric.
fn pad(x: &Tensor, padding: Padding, kernel: [i64; 2], stride: [i64; 2], fill: f64) -> (Tensor, [i64; 2]) {
    let [top, left, bottom, right] = match padding {
        Padding::Explicit(sides) => sides,
        Padding::SameUpper => {
            let size = x.size();
            let (top, bottom) = same(size[2], kernel[0], stride[0]);
            let (left, right) = same(size[3], kernel[1], stride[1]);
            [top, left, bottom, right]
        }
    };
    if top == bottom && left == right && (fill == 0.0 || (2 * top <= kernel[0] && 2 * left <= kernel[1])) {
        (x.shallow_clone(), [top, left])
    } else {
        (x.pad([left, right, top, bottom], "constant", fill), [0, 0])
    }
}

impl Ops for Eager<'_> {
    type T = T;

    fn param(&self, key: &str, shape: &[i64], _: Init, _: Role) -> T {
        let tensor = self.params.tensor(key, shape);
        T(if self.tape.is_some() { tensor.detach() } else { tensor })
    }

    fn constant(&self, values: &[f32], shape: &[i64]) -> T {
        T(upload(values, shape, self.params.device()))
    }

    fn conv2d(&self, x: &T, w: &T, b: Option<&T>, c: &Conv) -> T {
        let size = w.0.size();
        let (x, padding) = pad(&x.0, c.padding, [size[2], size[3]], c.stride, 0.0);
        T(x.conv2d(&w.0, b.map(|b| &b.0), c.stride, padding, [1, 1], c.groups))
    }

    fn conv_transpose2d(&self, x: &T, w: &T, b: Option<&T>, stride: [i64; 2]) -> T {
        T(x.0.conv_transpose2d(&w.0, b.map(|b| &b.0), stride, [0, 0], [0, 0], 1, [1, 1]))
    }

    fn linear(&self, x: &T, w: &T, b: Option<&T>) -> T {
        T(x.0.linear(&w.0, b.map(|b| &b.0)))
    }

    fn batch_norm(&self, x: &T, p: &BnParams<T>, bn: &Bn) -> T {
        let training = self.mode == Mode::Train && self.params.updates_statistics(&p.weight.0);
        T(x.0.batch_norm(
            Some(&p.weight.0),
            Some(&p.bias.0),
            Some(&p.mean.0),
            Some(&p.var.0),
            training,
            bn.momentum,
            bn.eps,
            true,
        ))
    }

    fn relu(&self, mut x: T) -> T {
        if let Some(tape) = self.tape {
            return T(tape.rectify(&x.0, 0.0, f64::INFINITY));
        }
        T(if x.may_overwrite() { x.0.relu_() } else { x.0.relu() })
    }

    fn clamp(&self, mut x: T, lo: f32, hi: f32) -> T {
        if let Some(tape) = self.tape {
            return T(tape.rectify(&x.0, f64::from(lo), f64::from(hi)));
        }
        // ReLU6 has a kernel whose backward pass needs only its result, so that it can work in place.
        if lo != 0.0 || hi != 6.0 {
            return T(x.0.clamp(f64::from(lo), f64::from(hi)));
        }
        T(if x.may_overwrite() { x.0.relu6_() } else { x.0.relu6() })
    }

    fn sigmoid(&self, x: &T) -> T {
        T(x.0.sigmoid())
    }

    fn softmax(&self, x: &T, axis: i64) -> T {
        // bfloat16 is summed in float32 inside; a result in float32 would take what follows out of bfloat16.
        T(x.0.softmax(axis, x.0.kind()))
    }

    fn add(&self, mut a: T, b: &T) -> T {
        if fits_in_place(&a, b) { T(a.0.g_add_(&b.0)) } else { T(&a.0 + &b.0) }
    }

    fn sub(&self, mut a: T, b: &T) -> T {
        if fits_in_place(&a, b) { T(a.0.g_sub_(&b.0)) } else { T(&a.0 - &b.0) }
    }

    fn mul(&self, mut a: T, b: &T) -> T {
        if fits_in_place(&a, b) && !b.0.requires_grad() { T(a.0.g_mul_(&b.0)) } else { T(&a.0 * &b.0) }
    }

    fn max_pool(&self, x: &T, p: &Pool) -> T {
        let (x, padding) = pad(&x.0, p.padding, p.kernel, p.stride, f64::NEG_INFINITY);
        T(x.max_pool2d(p.kernel, p.stride, padding, [1, 1], p.ceil))
    }

    fn avg_pool(&self, x: &T, p: &Pool, count_include_pad: bool) -> T {
        // The manifest has refused every other padding.
        let padding = match p.padding {
            Padding::Explicit([top, left, ..]) => [top, left],
            Padding::SameUpper => [0, 0],
        };
        T(x.0.avg_pool2d(p.kernel, p.stride, padding, p.ceil, count_include_pad, None::<i64>))
    }

    fn global_avg_pool(&self, x: &T) -> T {
        let x = self.tape.map_or_else(|| x.0.shallow_clone(), |tape| tape.pool(&x.0));
        T(x.adaptive_avg_pool2d([1, 1]))
    }

    fn flatten(&self, x: &T, axis: i64) -> T {
        let size = x.0.size();
        let axis = usize::try_from(if axis < 0 { axis + x.0.dim() as i64 } else { axis }).unwrap_or(0);
        T(x.0.reshape([size[..axis].iter().product::<i64>(), size[axis..].iter().product()]))
    }

    fn transpose(&self, x: &T, perm: &[i64]) -> T {
        T(x.0.permute(perm))
    }

    fn cast(&self, x: &T, to: DType) -> T {
        T(x.0.to_kind(kind(to)))
    }

    fn dropout(&self, x: T, p: f64) -> T {
        match self.mode {
            Mode::Train => T(x.0.dropout(p, true)),
            Mode::Evaluate => x,
        }
    }

    fn silu(&self, mut x: T) -> T {
        // Backward needs the input, so that working in place would only add a copy of it.
        T(if x.may_overwrite() && !x.0.requires_grad() { x.0.silu_() } else { x.0.silu() })
    }

    fn gelu(&self, x: T) -> T {
        T(x.0.gelu("none"))
    }

    fn layer_norm(&self, x: &T, weight: &T, bias: &T, eps: f64) -> T {
        T(x.0.layer_norm(weight.0.size(), Some(&weight.0), Some(&bias.0), eps, true))
    }

    fn attention(&self, q: &T, k: &T, v: &T) -> T {
        T(Tensor::scaled_dot_product_attention(&q.0, &k.0, &v.0, None::<&Tensor>, 0.0, false, None, false))
    }

    fn exp(&self, x: &T) -> T {
        T(x.0.exp())
    }

    fn div(&self, mut a: T, b: &T) -> T {
        if a.0.kind() == Kind::Int64 {
            return T(a.0.divide_tensor_mode(&b.0, "trunc"));
        }
        if fits_in_place(&a, b) && !b.0.requires_grad() { T(a.0.g_div_(&b.0)) } else { T(&a.0 / &b.0) }
    }

    fn max(&self, a: &T, b: &T) -> T {
        T(a.0.maximum(&b.0))
    }

    fn min(&self, a: &T, b: &T) -> T {
        T(a.0.minimum(&b.0))
    }

    fn greater_equal(&self, a: &T, b: &T) -> T {
        let result = a.0.ge_tensor(&b.0).to_kind(Kind::Float);
        // Whole numbers are exact everywhere; only floats can fall on either side.
        if a.0.kind() == Kind::Float && b.0.numel() == 1 {
            self.decide(|| Decision {
                kind: DecisionKind::AtLeast,
                inputs: vec![a.0.shallow_clone()],
                limits: vec![b.0.reshape([-1]).double_value(&[0]) as f32],
                outputs: vec![result.shallow_clone()],
            });
        }
        T(result)
    }

    fn concat(&self, parts: &[&T], axis: i64) -> T {
        let parts: Vec<&Tensor> = parts.iter().map(|p| &p.0).collect();
        T(Tensor::cat(&parts, axis))
    }

    fn split(&self, x: &T, axis: i64, parts: i64) -> Vec<T> {
        x.0.chunk(parts, axis).into_iter().map(T).collect()
    }

    fn reshape(&self, x: &T, shape: &[i64]) -> T {
        // The manifest has refused every shape that does not fit; libtorch refuses what is left as it is.
        let shape = shapes::reshape(&x.0.size(), shape).unwrap_or_else(|_| shape.to_vec());
        T(x.0.reshape(shape))
    }

    fn unflatten(&self, x: &T, like: &T) -> T {
        let mut size = x.0.size();
        size.splice(..1, like.0.size()[..2].iter().copied());
        T(x.0.reshape(size))
    }

    fn slice(&self, x: &T, axis: i64, from: i64, to: i64) -> T {
        T(x.0.slice(axis, from, to, 1))
    }

    fn head(&self, x: &T, count: &T) -> T {
        T(x.0.slice(1, 0, count.0.int64_value(&[0]), 1))
    }

    fn resize_nearest_like(&self, x: &T, like: &T) -> T {
        T(x.0.upsample_nearest2d(&like.0.size()[2..4], None, None))
    }

    fn meshgrid(&self, x: &T) -> T {
        let size = x.0.size();
        let (h, w) = (size[2], size[3]);
        let count = |n| Tensor::arange(n, (Kind::Float, x.0.device()));
        let column = count(w).view([1, w]).expand([h, w], false);
        let row = count(h).view([h, 1]).expand([h, w], false);
        T(Tensor::stack(&[column, row], 2).reshape([h * w, 2]))
    }

    fn lengths(&self, x: &T, axes: &[i64]) -> T {
        let size = x.0.size();
        let length = |&axis| shapes::axis(&size, axis).map_or(0, |at| size[at]);
        let lengths: Vec<i64> = axes.iter().map(length).collect();
        self.integers(&lengths, &[axes.len() as i64])
    }

    fn integers(&self, values: &[i64], shape: &[i64]) -> T {
        T(upload(values, shape, self.params.device()))
    }

    fn repeat(&self, x: &T, like: &T) -> T {
        let mut size = x.0.size();
        size[0] = like.0.size()[0];
        T(x.0.expand(size, false))
    }

    fn topk(&self, x: &T, k: i64) -> (T, T) {
        let k = k.min(x.0.size()[1]);
        let (values, indices) = if x.0.device() == Device::Cpu {
            let indices = largest(&x.0, k);
            (x.0.gather(1, &indices, false), indices)
        } else {
            // libtorch's own topk leaves the order of equal values open.
            let (values, indices) = x.0.sort_stable(true, 1, true);
            (values.narrow(1, 0, k), indices.narrow(1, 0, k))
        };
        self.decide(|| Decision {
            kind: DecisionKind::TopK,
            inputs: vec![x.0.shallow_clone()],
            limits: vec![],
            outputs: vec![values.shallow_clone(), indices.shallow_clone()],
        });
        (T(values), T(indices))
    }

    fn gather(&self, x: &T, index: &T) -> T {
        let mut size = x.0.size();
        size[1] = index.0.size()[1];
        let mut ones = vec![1; size.len()];
        ones[..2].copy_from_slice(&size[..2]);
        T(x.0.gather(1, &index.0.reshape(ones).expand(size, false), false))
    }

    fn one_hot(&self, index: &T, classes: i64) -> T {
        let classes = Tensor::arange(classes, (Kind::Int64, index.0.device()));
        T(index.0.unsqueeze(-1).eq_tensor(&classes).to_kind(Kind::Float))
    }

    fn sum(&self, x: &T, axis: i64) -> T {
        T(x.0.sum_dim_intlist(axis, false, None::<Kind>))
    }

    fn norm(&self, x: &T, axes: &[i64]) -> T {
        // bfloat16 is summed in float32 inside.
        T(x.0.norm_scalaropt_dim(2.0, axes, true))
    }

    fn nms(&self, boxes: &T, scores: &T, p: &Nms<T>) -> Selected<T> {
        let within =
            bridge::NmsWithin { iou_threshold: &p.iou_threshold.0, score_threshold: &p.score_threshold.0, cap: p.cap };
        let [boxes, scores] = [boxes, scores].map(|t| t.0.to_kind(Kind::Float));
        let kept = sound(bridge::nms_within(&boxes, &scores, &within));
        self.decide(|| Decision {
            kind: DecisionKind::Nms,
            limits: [&p.iou_threshold, &p.score_threshold].map(|t| t.0.double_value(&[0]) as f32).into(),
            outputs: kept.each_ref().map(Tensor::shallow_clone).into(),
            inputs: vec![boxes, scores],
        });
        let [scores, classes, rows] = kept.map(T);
        Selected { scores, classes, rows }
    }

    fn roi_align(&self, levels: &[T], rois: &T, r: &RoiAlign) -> T {
        let (images, each) = (rois.0.size()[0], rois.0.size()[1]);
        let image = Tensor::arange(images, (Kind::Float, rois.0.device())).view([images, 1, 1]);
        let rois = rois.0.detach().to_kind(Kind::Float);
        let rois = Tensor::cat(&[image.expand([images, each, 1], false), rois], 2).view([images * each, 5]);
        self.roi_align_each(levels, &rois, r)
    }

    fn detach(&self, x: &T) -> T {
        T(x.0.detach())
    }
}

impl Eager<'_> {
    /// [`Ops::roi_align`] of regions whose number differs from image to image: float `[K, 5]`, the index of the image and
    /// `xyxy`. Gives `[K, C, output, output]`.
    pub fn roi_align_each(&self, levels: &[T], rois: &Tensor, r: &RoiAlign) -> T {
        let p = bridge::RoiAlign {
            output: r.output,
            sampling: r.sampling,
            scales: &r.scales,
            canonical_size: r.canonical_size,
            canonical_level: r.canonical_level,
            first_level: r.first_level,
        };
        let levels: Vec<&Tensor> = levels.iter().map(|l| &l.0).collect();
        T(sound(bridge::roi_align(&levels, &rois.to_kind(Kind::Float), &p)))
    }
}

/// Where the `k` largest of each row of `x [N, M]` are, largest first, of equal ones the lower index first; k <= M. Only
/// what is selected is sorted: the best 2000 of 160,000 anchors of two images took 0.7 ms on two cores, a stable sort 76 ms,
/// and libtorch's topk, which leaves ties open, 8 ms.
fn largest(x: &Tensor, k: i64) -> Tensor {
    let (rows, length) = (x.size()[0], x.size()[1]);
    let mut values = vec![0.0_f32; x.numel()];
    x.detach().to_kind(Kind::Float).contiguous().copy_data(&mut values, x.numel());
    let k = k as usize;
    let mut indices = Vec::with_capacity(rows as usize * k);
    for row in values.chunks(length.max(1) as usize) {
        // Ascending keys are descending values, then ascending indices.
        let mut keys: Vec<u64> = row.iter().zip(0..).map(|(v, i)| u64::from(!ordered(*v)) << 32 | i).collect();
        if k < keys.len() {
            keys.select_nth_unstable(k);
            keys.truncate(k);
        }
        keys.sort_unstable();
        indices.extend(keys.into_iter().map(|key| (key & 0xffff_ffff) as i64));
    }
    Tensor::from_slice(&indices).view([rows, k as i64])
}

/// Bits that order as the values do, with -0.0 equal to 0.0.
fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// What a kernel made of its input. It refuses only what the manifest refuses too, and then, like libtorch, panics.
fn sound<R>(result: Result<R, bridge::BridgeError>) -> R {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Whether the result of an elementwise operation of `a` and `b` can lie where `a` lies.
fn fits_in_place(a: &T, b: &T) -> bool {
    let (large, small) = (a.0.size(), b.0.size());
    let broadcasts =
        small.len() <= large.len() && small.iter().rev().zip(large.iter().rev()).all(|(s, l)| *s == 1 || s == l);
    broadcasts && a.0.kind() == b.0.kind() && a.may_overwrite()
}
