//! The Manifest interpreter: keys, shapes, initialisers, roles, cost and shape errors of a definition, with no tensor in
//! sight.

mod classify;
mod detect;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use indexmap::IndexMap;

use crate::ops::{Bn, BnParams, Conv, DType, Init, Nms, Ops, Pool, RoiAlign, Role, Selected};
use crate::shapes::{self, window_2d};

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Dimensions; empty for a scalar.
    pub shape: Vec<i64>,
    /// How it starts.
    pub init: Init,
    /// What it is for.
    pub role: Role,
}

impl Entry {
    /// Number of elements.
    #[must_use]
    pub fn numel(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Whether the initialiser gives as many values as there are.
    fn fits(&self) -> Result<(), String> {
        let numel = self.numel();
        match self.init {
            Init::Values(values) if usize::try_from(numel) != Ok(values.len()) => {
                Err(format!("{} initial values for shape {:?}", values.len(), self.shape))
            }
            Init::Detect { outputs, .. } if outputs < 6 || numel % outputs != 0 => {
                Err(format!("{numel} values are no groups of 5 and at least one class; outputs is {outputs}"))
            }
            _ => Ok(()),
        }
    }
}

/// A definition that does not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{op} after parameter {after:?}: {problem}")]
pub struct ShapeError {
    /// Operation that noticed.
    pub op: &'static str,
    /// The parameter asked for last: the place in the definition.
    pub after: String,
    /// What does not fit.
    pub problem: String,
}

/// Dimensions of a value.
pub type Dims = Rc<[i64]>;

/// Interpreter state, and after [`Manifest::finish`] the result.
#[derive(Debug, Default)]
pub struct Manifest {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: IndexMap<String, Entry>,
    macs: i64,
    error: Option<ShapeError>,
}

impl Manifest {
    /// A value of this shape, to feed a definition.
    #[must_use]
    pub fn input(&self, shape: &[i64]) -> Dims {
        shape.into()
    }

    /// The manifest, if every operation fitted.
    ///
    /// # Errors
    /// The first misuse of a shape.
    pub fn finish(self) -> Result<Self, ShapeError> {
        match self.state.borrow_mut().error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }?;
        Ok(self)
    }

    /// Parameters by key, in the order of first use.
    #[must_use]
    pub fn entries(&self) -> IndexMap<String, Entry> {
        self.state.borrow().entries.clone()
    }

    /// Number of trained values (running statistics and counters left out), as papers count.
    #[must_use]
    pub fn parameters(&self) -> i64 {
        let state = self.state.borrow();
        state.entries.values().filter(|e| !matches!(e.role, Role::Buffer | Role::Counter)).map(Entry::numel).sum()
    }

    /// Multiply-accumulate operations of convolutions and matrix products; papers call this number FLOPs.
    #[must_use]
    pub fn macs(&self) -> i64 {
        self.state.borrow().macs
    }

    fn fail(&self, op: &'static str, problem: String) -> Dims {
        let mut state = self.state.borrow_mut();
        let after = state.entries.last().map_or_else(String::new, |(key, _)| key.clone());
        state.error.get_or_insert(ShapeError { op, after, problem });
        Rc::new([])
    }

    fn cost(&self, macs: i64) {
        self.state.borrow_mut().macs += macs;
    }

    fn shape(&self, op: &'static str, shape: Result<Vec<i64>, String>) -> Dims {
        match shape {
            Ok(shape) => shape.into(),
            Err(problem) => self.fail(op, problem),
        }
    }

    fn broadcast(&self, op: &'static str, a: &Dims, b: &Dims) -> Dims {
        self.shape(op, shapes::broadcast(a, b))
    }
}

fn len<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

impl Ops for Manifest {
    type T = Dims;

    fn param(&self, key: &str, shape: &[i64], init: Init, role: Role) -> Dims {
        let entry = Entry { shape: shape.to_vec(), init, role };
        if let Err(problem) = entry.fits() {
            return self.fail("param", format!("{key:?}: {problem}"));
        }
        let known = self.state.borrow().entries.get(key).cloned();
        match known {
            Some(known) if known != entry => {
                return self.fail("param", format!("{key:?} asked for as {known:?} and as {entry:?}"));
            }
            Some(_) => {}
            None => {
                self.state.borrow_mut().entries.insert(key.to_owned(), entry);
            }
        }
        shape.into()
    }

    fn constant(&self, values: &[f32], shape: &[i64]) -> Dims {
        if usize::try_from(shape.iter().product::<i64>()) != Ok(values.len()) {
            return self.fail("constant", format!("{} values for shape {shape:?}", values.len()));
        }
        shape.into()
    }

    fn conv2d(&self, x: &Dims, w: &Dims, b: Option<&Dims>, c: &Conv) -> Dims {
        let (&[n, cin, h, width], &[cout, per_group, kh, kw]) = (x.as_ref(), w.as_ref()) else {
            return self.fail("conv2d", format!("input {x:?} or weight {w:?} is not 4-D"));
        };
        if cin != per_group * c.groups || cout % c.groups != 0 || b.is_some_and(|b| b.as_ref() != [cout]) {
            return self.fail("conv2d", format!("input {x:?}, weight {w:?}, bias {b:?}, {} groups", c.groups));
        }
        let Some([oh, ow]) = window_2d(&[h, width], [kh, kw], c.stride, c.padding, false) else {
            return self.fail("conv2d", format!("kernel {kh}x{kw} is larger than the padded input {x:?}"));
        };
        self.cost(n * cout * oh * ow * per_group * kh * kw);
        [n, cout, oh, ow].into()
    }

    fn conv_transpose2d(&self, x: &Dims, w: &Dims, b: Option<&Dims>, stride: [i64; 2]) -> Dims {
        let (&[n, cin, h, width], &[wi, cout, kh, kw]) = (x.as_ref(), w.as_ref()) else {
            return self.fail("conv_transpose2d", format!("input {x:?} or weight {w:?} is not 4-D"));
        };
        if cin != wi || h < 1 || width < 1 || b.is_some_and(|b| b.as_ref() != [cout]) {
            return self.fail("conv_transpose2d", format!("input {x:?}, weight {w:?}, bias {b:?}"));
        }
        self.cost(n * cin * h * width * cout * kh * kw);
        [n, cout, (h - 1) * stride[0] + kh, (width - 1) * stride[1] + kw].into()
    }

    fn linear(&self, x: &Dims, w: &Dims, b: Option<&Dims>) -> Dims {
        match (x.as_ref(), w.as_ref()) {
            (&[n, i], &[o, wi]) if i == wi && b.is_none_or(|b| b.as_ref() == [o]) => {
                self.cost(n * i * o);
                [n, o].into()
            }
            _ => self.fail("linear", format!("input {x:?}, weight {w:?}, bias {b:?}")),
        }
    }

    fn batch_norm(&self, x: &Dims, p: &BnParams<Dims>, _: &Bn) -> Dims {
        let channels = x.get(1).copied();
        let fits = |d: &Dims| matches!(d.as_ref(), [c] if Some(*c) == channels);
        if x.len() == 4 && [&p.weight, &p.bias, &p.mean, &p.var].into_iter().all(fits) {
            x.clone()
        } else {
            self.fail("batch_norm", format!("input {x:?}, parameters {p:?}"))
        }
    }

    fn relu(&self, x: Dims) -> Dims {
        x
    }

    fn clamp(&self, x: Dims, lo: f32, hi: f32) -> Dims {
        if lo <= hi { x } else { self.fail("clamp", format!("bounds {lo} and {hi}")) }
    }

    fn sigmoid(&self, x: &Dims) -> Dims {
        x.clone()
    }

    fn softmax(&self, x: &Dims, axis: i64) -> Dims {
        self.shape("softmax", shapes::axis(x, axis).map(|_| x.to_vec()))
    }

    fn add(&self, a: Dims, b: &Dims) -> Dims {
        self.broadcast("add", &a, b)
    }

    fn sub(&self, a: Dims, b: &Dims) -> Dims {
        self.broadcast("sub", &a, b)
    }

    fn mul(&self, a: Dims, b: &Dims) -> Dims {
        self.broadcast("mul", &a, b)
    }

    fn max_pool(&self, x: &Dims, p: &Pool) -> Dims {
        let &[n, c, h, w] = x.as_ref() else { return self.fail("max_pool", format!("input {x:?} is not 4-D")) };
        match window_2d(&[h, w], p.kernel, p.stride, p.padding, p.ceil) {
            Some([oh, ow]) => [n, c, oh, ow].into(),
            None => self.fail("max_pool", format!("window {:?} is larger than the padded input {x:?}", p.kernel)),
        }
    }

    fn avg_pool(&self, x: &Dims, p: &Pool, count_include_pad: bool) -> Dims {
        self.average(x, p, count_include_pad)
    }

    fn global_avg_pool(&self, x: &Dims) -> Dims {
        match x.as_ref() {
            &[n, c, _, _] => [n, c, 1, 1].into(),
            _ => self.fail("global_avg_pool", format!("input {x:?} is not 4-D")),
        }
    }

    fn flatten(&self, x: &Dims, axis: i64) -> Dims {
        let rank = i64::try_from(x.len()).unwrap_or(i64::MAX);
        let at = if axis < 0 { axis + rank } else { axis };
        match usize::try_from(at) {
            Ok(at) if at <= x.len() => [x[..at].iter().product(), x[at..].iter().product::<i64>()].into(),
            _ => self.fail("flatten", format!("axis {axis} of {x:?}")),
        }
    }

    fn transpose(&self, x: &Dims, perm: &[i64]) -> Dims {
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..i64::try_from(x.len()).unwrap_or(0)) {
            return self.fail("transpose", format!("{perm:?} is no permutation of the axes of {x:?}"));
        }
        perm.iter().filter_map(|&p| usize::try_from(p).ok()).map(|p| x[p]).collect()
    }

    fn cast(&self, x: &Dims, _: DType) -> Dims {
        x.clone()
    }

    fn dropout(&self, x: Dims, p: f64) -> Dims {
        if (0.0..1.0).contains(&p) { x } else { self.fail("dropout", format!("probability {p}")) }
    }

    fn silu(&self, x: Dims) -> Dims {
        x
    }

    fn gelu(&self, x: Dims) -> Dims {
        x
    }

    fn layer_norm(&self, x: &Dims, weight: &Dims, bias: &Dims, _: f64) -> Dims {
        self.normalise_rows(x, weight, bias)
    }

    fn attention(&self, q: &Dims, k: &Dims, v: &Dims) -> Dims {
        self.attend(q, k, v)
    }

    fn exp(&self, x: &Dims) -> Dims {
        x.clone()
    }

    fn div(&self, a: Dims, b: &Dims) -> Dims {
        self.broadcast("div", &a, b)
    }

    fn max(&self, a: &Dims, b: &Dims) -> Dims {
        self.broadcast("max", a, b)
    }

    fn min(&self, a: &Dims, b: &Dims) -> Dims {
        self.broadcast("min", a, b)
    }

    fn greater_equal(&self, a: &Dims, b: &Dims) -> Dims {
        self.broadcast("greater_equal", a, b)
    }

    fn concat(&self, parts: &[&Dims], axis: i64) -> Dims {
        let parts: Vec<&[i64]> = parts.iter().map(|p| p.as_ref()).collect();
        self.shape("concat", shapes::concat(&parts, axis))
    }

    fn split(&self, x: &Dims, axis: i64, parts: i64) -> Vec<Dims> {
        self.split_of(x, axis, parts)
    }

    fn reshape(&self, x: &Dims, shape: &[i64]) -> Dims {
        self.shape("reshape", shapes::reshape(x, shape))
    }

    fn unflatten(&self, x: &Dims, like: &Dims) -> Dims {
        match (x.as_ref(), like.as_ref()) {
            (&[rows, ref rest @ ..], &[n, p, ..]) if rows == n * p => [&[n, p], rest].concat().into(),
            _ => self.fail("unflatten", format!("{x:?} like {like:?}")),
        }
    }

    fn slice(&self, x: &Dims, axis: i64, from: i64, to: i64) -> Dims {
        self.shape("slice", shapes::slice(x, axis, from, to))
    }

    fn head(&self, x: &Dims, count: &Dims) -> Dims {
        if x.len() > 1 && count.as_ref() == [1] { x.clone() } else { self.fail("head", format!("{count:?} of {x:?}")) }
    }

    fn resize_nearest_like(&self, x: &Dims, like: &Dims) -> Dims {
        match (x.as_ref(), like.as_ref()) {
            (&[n, c, _, _], &[_, _, h, w]) => [n, c, h, w].into(),
            _ => self.fail("resize_nearest_like", format!("{x:?} or {like:?} is not 4-D")),
        }
    }

    fn meshgrid(&self, x: &Dims) -> Dims {
        match x.as_ref() {
            &[_, _, h, w] => [h * w, 2].into(),
            _ => self.fail("meshgrid", format!("input {x:?} is not 4-D")),
        }
    }

    fn lengths(&self, x: &Dims, axes: &[i64]) -> Dims {
        self.shape(
            "lengths",
            axes.iter().map(|&a| shapes::axis(x, a)).collect::<Result<Vec<_>, _>>().map(|a| vec![len(&a)]),
        )
    }

    fn integers(&self, values: &[i64], shape: &[i64]) -> Dims {
        if shape.iter().product::<i64>() != len(values) {
            return self.fail("integers", format!("{} values for shape {shape:?}", values.len()));
        }
        shape.into()
    }

    fn repeat(&self, x: &Dims, like: &Dims) -> Dims {
        match (x.as_ref(), like.as_ref()) {
            ([1, rest @ ..], &[n, ..]) => [&[n], rest].concat().into(),
            _ => self.fail("repeat", format!("{x:?}, whose first length is to be 1, as often as {like:?} is long")),
        }
    }

    fn topk(&self, x: &Dims, k: i64) -> (Dims, Dims) {
        let out = self.topk_of(x, k);
        (out.clone(), out)
    }

    fn gather(&self, x: &Dims, index: &Dims) -> Dims {
        match (x.as_ref(), index.as_ref()) {
            (&[n, _, ref rest @ ..], &[m, k]) if n == m => [&[n, k], rest].concat().into(),
            _ => self.fail("gather", format!("rows {index:?} of {x:?}")),
        }
    }

    fn one_hot(&self, index: &Dims, classes: i64) -> Dims {
        [index, &[classes][..]].concat().into()
    }

    fn sum(&self, x: &Dims, axis: i64) -> Dims {
        let without = |at| x.iter().enumerate().filter(|&(i, _)| i != at).map(|(_, &d)| d).collect();
        self.shape("sum", shapes::axis(x, axis).map(without))
    }

    fn norm(&self, x: &Dims, axes: &[i64]) -> Dims {
        self.shape("norm", shapes::reduced(x, axes))
    }

    fn nms(&self, boxes: &Dims, scores: &Dims, p: &Nms<Dims>) -> Selected<Dims> {
        self.nms_of(boxes, scores, p)
    }

    fn roi_align(&self, levels: &[Dims], rois: &Dims, r: &RoiAlign) -> Dims {
        self.pool_regions(levels, rois, r)
    }

    fn detach(&self, x: &Dims) -> Dims {
        x.clone()
    }
}
