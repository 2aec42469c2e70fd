//! The Eager interpreter: [`Ops`] on libtorch, with autograd.

use models::ops::{Bn, BnParams, Conv, DType, Init, Ops, Padding, Pool, Role};
use tch::{Kind, Tensor};

use crate::params::Params;

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

/// Interpreter over a parameter store. A batch normalisation whose weight is frozen keeps its statistics in training.
pub struct Eager<'a> {
    params: &'a Params,
    mode: Mode,
}

impl<'a> Eager<'a> {
    /// An interpreter of these parameters.
    #[must_use]
    pub fn new(params: &'a Params, mode: Mode) -> Self {
        Self { params, mode }
    }
}

fn kind(t: DType) -> Kind {
    match t {
        DType::F32 => Kind::Float,
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
        T(self.params.tensor(key, shape))
    }

    fn constant(&self, values: &[f32], shape: &[i64]) -> T {
        T(Tensor::from_slice(values).reshape(shape).to_device(self.params.device()))
    }

    fn conv2d(&self, x: &T, w: &T, b: Option<&T>, c: &Conv) -> T {
        let size = w.0.size();
        let (x, padding) = pad(&x.0, c.padding, [size[2], size[3]], c.stride, 0.0);
        T(x.conv2d(&w.0, b.map(|b| &b.0), c.stride, padding, [1, 1], c.groups))
    }

    fn linear(&self, x: &T, w: &T, b: Option<&T>) -> T {
        T(x.0.linear(&w.0, b.map(|b| &b.0)))
    }

    fn batch_norm(&self, x: &T, p: &BnParams<T>, bn: &Bn) -> T {
        let training = self.mode == Mode::Train && p.weight.0.requires_grad();
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
        T(if x.may_overwrite() { x.0.relu_() } else { x.0.relu() })
    }

    fn clamp(&self, mut x: T, lo: f32, hi: f32) -> T {
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
        T(x.0.softmax(axis, Kind::Float))
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

    fn global_avg_pool(&self, x: &T) -> T {
        T(x.0.adaptive_avg_pool2d([1, 1]))
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
}

/// Whether the result of an elementwise operation of `a` and `b` can lie where `a` lies.
fn fits_in_place(a: &T, b: &T) -> bool {
    let (large, small) = (a.0.size(), b.0.size());
    let broadcasts =
        small.len() <= large.len() && small.iter().rev().zip(large.iter().rev()).all(|(s, l)| *s == 1 || s == l);
    broadcasts && a.0.kind() == b.0.kind() && a.may_overwrite()
}
