//! The bodies of [`Ops`] for [`Builder`]: which ONNX nodes an operation becomes, and what it refuses.

mod classify;
mod detect;
mod logic;
mod shape;

use models::ops::{Bn, BnParams, Conv, DType, Init, Nms, Ops, Padding, Pool, RoiAlign, Role, Selected};
use models::shapes;

use crate::builder::{Builder, Emit, Length, Value};
use crate::graph::{Attribute, DecisionKind};
use crate::proto::dtype_code;

/// NumPy broadcasting of two shapes, aligned at the end; `None` when they do not fit.
fn broadcast(a: &[Length], b: &[Length]) -> Option<Vec<Length>> {
    let rank = a.len().max(b.len());
    let at = |d: &[Length], i: usize| (i + d.len()).checked_sub(rank).map_or(Some(1), |j| d[j]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (Some(1), other) | (other, Some(1)) => Some(other),
            (Some(x), Some(y)) => (x == y).then_some(Some(x)),
            (None, known) | (known, None) => Some(known),
        })
        .collect()
}

/// Whether a dimension can be `wanted`.
fn can_be(length: Length, wanted: i64) -> bool {
    length.is_none_or(|n| n == wanted)
}

/// Product of dimensions, if all are known.
fn product(dims: &[Length]) -> Length {
    dims.iter().copied().try_fold(1_i64, |acc, d| Some(acc * d?))
}

fn padding(p: Padding) -> (&'static str, Attribute) {
    match p {
        Padding::Explicit(pads) => ("pads", Attribute::Ints(pads.to_vec())),
        Padding::SameUpper => ("auto_pad", Attribute::Text("SAME_UPPER")),
    }
}

/// Height and width after a window over an image; `None` when it does not fit.
fn window(x: &Value, kernel: [i64; 2], stride: [i64; 2], padding: Padding, ceil: bool) -> Option<[Length; 2]> {
    match x.dims() {
        &[_, _, Some(h), Some(w)] => Some(shapes::window_2d(&[h, w], kernel, stride, padding, ceil)?.map(Some)),
        _ => Some([None, None]),
    }
}

impl Builder<'_> {
    /// Whether every value is float; keeps an error if not.
    fn floats(&self, op: &'static str, values: &[&Value]) -> bool {
        let wrong = values.iter().find(|v| v.dtype() != DType::F32);
        if let Some(v) = wrong {
            self.misuse(op, format!("input {:?} is {:?}; the operation takes F32", v.name(), v.dtype()));
        }
        wrong.is_none()
    }

    fn pointwise(&self, op: &'static str, x: &Value) -> Value {
        self.floats(op, &[x]);
        self.same_as(op, &[Some(x)], vec![], x)
    }

    pub(crate) fn binary(&self, op: &'static str, a: &Value, b: &Value) -> Value {
        if a.dtype() != b.dtype() {
            return self.misuse(op, format!("operands are {:?} and {:?}", a.dtype(), b.dtype()));
        }
        match broadcast(a.dims(), b.dims()) {
            Some(dims) => {
                self.emit(Emit { op, inputs: &[Some(a), Some(b)], attributes: vec![], dtype: a.dtype(), dims })
            }
            None => self.misuse(op, format!("{:?} and {:?} do not broadcast", a.dims(), b.dims())),
        }
    }

    pub(crate) fn scalar(&self, value: f32) -> Value {
        self.tensor(DType::F32, &[], value.to_le_bytes().to_vec(), Some(value.to_string()))
    }
}

impl Ops for Builder<'_> {
    type T = Value;

    fn param(&self, key: &str, shape: &[i64], _: Init, role: Role) -> Value {
        self.parameter(key, shape, role == Role::Counter)
    }

    fn constant(&self, values: &[f32], shape: &[i64]) -> Value {
        if usize::try_from(shape.iter().product::<i64>()) != Ok(values.len()) {
            return self.misuse("constant", format!("{} values for shape {shape:?}", values.len()));
        }
        let text = if let &[v] = values { Some(v.to_string()) } else { None };
        self.tensor(DType::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect(), text)
    }

    fn conv2d(&self, x: &Value, w: &Value, b: Option<&Value>, c: &Conv) -> Value {
        self.at_owner(w);
        let (&[n, cin, _, _], &[Some(cout), Some(per_group), Some(kh), Some(kw)]) = (x.dims(), w.dims()) else {
            return self.misuse("Conv", format!("input {:?} or weight {:?} is not 4-D", x.dims(), w.dims()));
        };
        let divides = c.groups > 0 && cout % c.groups == 0 && can_be(cin, per_group * c.groups);
        if !divides || b.is_some_and(|b| b.dims() != [Some(cout)]) {
            let (x, w, b) = (x.dims(), w.dims(), b.map(Value::dims));
            return self.misuse("Conv", format!("input {x:?}, weight {w:?}, bias {b:?}, {} groups", c.groups));
        }
        self.floats("Conv", &[x, w]);
        let attributes = vec![
            ("kernel_shape", Attribute::Ints(vec![kh, kw])),
            ("strides", Attribute::Ints(c.stride.to_vec())),
            padding(c.padding),
            ("group", Attribute::Int(c.groups)),
        ];
        let mut inputs = vec![Some(x), Some(w)];
        inputs.extend(b.map(Some));
        let Some([oh, ow]) = window(x, [kh, kw], c.stride, c.padding, false) else {
            return self.misuse("Conv", format!("kernel {kh}x{kw} is larger than the padded input {:?}", x.dims()));
        };
        let dims = vec![n, Some(cout), oh, ow];
        self.emit(Emit { op: "Conv", inputs: &inputs, attributes, dtype: DType::F32, dims })
    }

    fn conv_transpose2d(&self, x: &Value, w: &Value, b: Option<&Value>, stride: [i64; 2]) -> Value {
        self.at_owner(w);
        self.spread(x, w, b, stride)
    }

    fn linear(&self, x: &Value, w: &Value, b: Option<&Value>) -> Value {
        self.at_owner(w);
        let (&[n, i], &[o, wi]) = (x.dims(), w.dims()) else {
            return self.misuse("Gemm", format!("input {:?} or weight {:?} is not 2-D", x.dims(), w.dims()));
        };
        if wi.is_some_and(|wi| !can_be(i, wi)) || b.is_some_and(|b| b.dims() != [o]) {
            let (x, w, b) = (x.dims(), w.dims(), b.map(Value::dims));
            return self.misuse("Gemm", format!("input {x:?}, weight {w:?}, bias {b:?}"));
        }
        self.floats("Gemm", &[x, w]);
        let mut inputs = vec![Some(x), Some(w)];
        inputs.extend(b.map(Some));
        let attributes = vec![("transB", Attribute::Int(1))];
        self.emit(Emit { op: "Gemm", inputs: &inputs, attributes, dtype: DType::F32, dims: vec![n, o] })
    }

    fn batch_norm(&self, x: &Value, p: &BnParams<Value>, bn: &Bn) -> Value {
        self.at_owner(&p.weight);
        let &[_, channels, _, _] = x.dims() else {
            return self.misuse("BatchNormalization", format!("input {:?} is not 4-D", x.dims()));
        };
        let parameters = [&p.weight, &p.bias, &p.mean, &p.var];
        for v in parameters {
            if !matches!(v.dims(), &[Some(c)] if can_be(channels, c)) {
                let problem = format!("parameter {:?} is {:?} for input {:?}", v.name(), v.dims(), x.dims());
                return self.misuse("BatchNormalization", problem);
            }
        }
        self.floats("BatchNormalization", &[x]);
        let mut inputs = vec![Some(x)];
        inputs.extend(parameters.map(Some));
        #[expect(clippy::cast_possible_truncation, reason = "ONNX attributes are float32")]
        let epsilon = bn.eps as f32;
        self.same_as("BatchNormalization", &inputs, vec![("epsilon", Attribute::Float(epsilon))], x)
    }

    fn relu(&self, x: Value) -> Value {
        self.pointwise("Relu", &x)
    }

    fn clamp(&self, x: Value, lo: f32, hi: f32) -> Value {
        if lo.is_nan() || hi.is_nan() || lo > hi {
            return self.misuse("Clip", format!("bounds {lo} and {hi} are not in order"));
        }
        self.floats("Clip", &[&x]);
        let (lo, hi) = (self.scalar(lo), self.scalar(hi));
        self.same_as("Clip", &[Some(&x), Some(&lo), Some(&hi)], vec![], &x)
    }

    fn sigmoid(&self, x: &Value) -> Value {
        self.pointwise("Sigmoid", x)
    }

    fn softmax(&self, x: &Value, axis: i64) -> Value {
        if let Err(wrong) = self.axis("Softmax", x, axis) {
            return wrong;
        }
        self.floats("Softmax", &[x]);
        self.same_as("Softmax", &[Some(x)], vec![("axis", Attribute::Int(axis))], x)
    }

    fn add(&self, a: Value, b: &Value) -> Value {
        self.binary("Add", &a, b)
    }

    fn sub(&self, a: Value, b: &Value) -> Value {
        self.binary("Sub", &a, b)
    }

    fn mul(&self, a: Value, b: &Value) -> Value {
        self.binary("Mul", &a, b)
    }

    fn max_pool(&self, x: &Value, p: &Pool) -> Value {
        let &[n, c, _, _] = x.dims() else {
            return self.misuse("MaxPool", format!("input {:?} is not 4-D", x.dims()));
        };
        let Some([oh, ow]) = window(x, p.kernel, p.stride, p.padding, p.ceil) else {
            let problem = format!("window {:?} is larger than the padded input {:?}", p.kernel, x.dims());
            return self.misuse("MaxPool", problem);
        };
        self.floats("MaxPool", &[x]);
        let attributes = vec![
            ("kernel_shape", Attribute::Ints(p.kernel.to_vec())),
            ("strides", Attribute::Ints(p.stride.to_vec())),
            padding(p.padding),
            ("ceil_mode", Attribute::Int(i64::from(p.ceil))),
        ];
        let dims = vec![n, c, oh, ow];
        self.emit(Emit { op: "MaxPool", inputs: &[Some(x)], attributes, dtype: DType::F32, dims })
    }

    fn avg_pool(&self, x: &Value, p: &Pool, count_include_pad: bool) -> Value {
        self.average(x, p, count_include_pad)
    }

    fn global_avg_pool(&self, x: &Value) -> Value {
        let &[n, c, _, _] = x.dims() else {
            return self.misuse("GlobalAveragePool", format!("input {:?} is not 4-D", x.dims()));
        };
        self.floats("GlobalAveragePool", &[x]);
        let dims = vec![n, c, Some(1), Some(1)];
        self.emit(Emit { op: "GlobalAveragePool", inputs: &[Some(x)], attributes: vec![], dtype: DType::F32, dims })
    }

    fn flatten(&self, x: &Value, axis: i64) -> Value {
        let rank = i64::try_from(x.dims().len()).unwrap_or(i64::MAX);
        let at = if axis < 0 { axis + rank } else { axis };
        let Some((first, rest)) = usize::try_from(at).ok().and_then(|at| x.dims().split_at_checked(at)) else {
            return self.misuse("Flatten", format!("axis {axis} of {:?}", x.dims()));
        };
        let dims = vec![product(first), product(rest)];
        let attributes = vec![("axis", Attribute::Int(axis))];
        self.emit(Emit { op: "Flatten", inputs: &[Some(x)], attributes, dtype: x.dtype(), dims })
    }

    fn transpose(&self, x: &Value, perm: &[i64]) -> Value {
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..i64::try_from(x.dims().len()).unwrap_or(0)) {
            return self.misuse("Transpose", format!("{perm:?} is no permutation of the axes of {:?}", x.dims()));
        }
        let dims = perm.iter().filter_map(|&p| usize::try_from(p).ok()).map(|p| x.dims()[p]).collect();
        let attributes = vec![("perm", Attribute::Ints(perm.to_vec()))];
        self.emit(Emit { op: "Transpose", inputs: &[Some(x)], attributes, dtype: x.dtype(), dims })
    }

    fn cast(&self, x: &Value, to: DType) -> Value {
        let attributes = vec![("to", Attribute::Int(i64::from(dtype_code(to))))];
        self.emit(Emit { op: "Cast", inputs: &[Some(x)], attributes, dtype: to, dims: x.dims().to_vec() })
    }

    /// Nothing is emitted: outside training the operation is the identity.
    fn dropout(&self, x: Value, p: f64) -> Value {
        if (0.0..1.0).contains(&p) { x } else { self.misuse("Dropout", format!("probability {p}")) }
    }

    fn silu(&self, x: Value) -> Value {
        let share = self.pointwise("Sigmoid", &x);
        self.binary("Mul", &x, &share)
    }

    fn gelu(&self, x: Value) -> Value {
        self.gaussian_unit(&x)
    }

    fn layer_norm(&self, x: &Value, weight: &Value, bias: &Value, eps: f64) -> Value {
        self.normalise_rows(x, [weight, bias], eps)
    }

    fn attention(&self, q: &Value, k: &Value, v: &Value) -> Value {
        self.attend(q, k, v)
    }

    fn exp(&self, x: &Value) -> Value {
        self.pointwise("Exp", x)
    }

    fn div(&self, a: Value, b: &Value) -> Value {
        self.binary("Div", &a, b)
    }

    fn max(&self, a: &Value, b: &Value) -> Value {
        self.binary("Max", a, b)
    }

    fn min(&self, a: &Value, b: &Value) -> Value {
        self.binary("Min", a, b)
    }

    fn greater_equal(&self, a: &Value, b: &Value) -> Value {
        let result = self.counted(&self.compare("GreaterOrEqual", a, b), DType::F32);
        // Whole numbers are exact everywhere; only floats can fall on either side.
        if a.dtype() == DType::F32 && b.dims().iter().all(|&d| d == Some(1)) {
            self.decide(DecisionKind::AtLeast, &[a], &[&result]);
        }
        result
    }

    fn concat(&self, parts: &[&Value], axis: i64) -> Value {
        self.joined(parts, axis)
    }

    fn split(&self, x: &Value, axis: i64, parts: i64) -> Vec<Value> {
        self.split_of(x, axis, parts)
    }

    fn reshape(&self, x: &Value, shape: &[i64]) -> Value {
        self.reshaped(x, shape)
    }

    fn unflatten(&self, x: &Value, like: &Value) -> Value {
        self.unflattened(x, like)
    }

    fn slice(&self, x: &Value, axis: i64, from: i64, to: i64) -> Value {
        self.part(x, axis, [from, to])
    }

    fn head(&self, x: &Value, count: &Value) -> Value {
        self.leading(x, count)
    }

    fn resize_nearest_like(&self, x: &Value, like: &Value) -> Value {
        let (&[n, c, _, _], &[_, _, h, w]) = (x.dims(), like.dims()) else {
            return self.misuse("Resize", format!("input {:?} or {:?} is not 4-D", x.dims(), like.dims()));
        };
        self.floats("Resize", &[x]);
        let attributes = vec![
            ("mode", Attribute::Text("nearest")),
            ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
            ("nearest_mode", Attribute::Text("floor")),
            ("axes", Attribute::Ints(vec![2, 3])),
        ];
        let sizes = self.shape_of(like, 2..4);
        let inputs = [Some(x), None, None, Some(&sizes)];
        self.emit(Emit { op: "Resize", inputs: &inputs, attributes, dtype: DType::F32, dims: vec![n, c, h, w] })
    }

    fn meshgrid(&self, x: &Value) -> Value {
        self.coordinates(x)
    }

    fn lengths(&self, x: &Value, axes: &[i64]) -> Value {
        self.lengths_of(x, axes)
    }

    fn integers(&self, values: &[i64], shape: &[i64]) -> Value {
        if usize::try_from(shape.iter().product::<i64>()) != Ok(values.len()) {
            return self.misuse("constant", format!("{} values for shape {shape:?}", values.len()));
        }
        let text = if let &[v] = values { Some(v.to_string()) } else { None };
        self.tensor(DType::I64, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect(), text)
    }

    fn repeat(&self, x: &Value, like: &Value) -> Value {
        self.repeated(x, like)
    }

    fn topk(&self, x: &Value, k: i64) -> (Value, Value) {
        let (values, indices) = self.topk_of(x, k);
        self.decide(DecisionKind::TopK, &[x], &[&values, &indices]);
        (values, indices)
    }

    fn gather(&self, x: &Value, index: &Value) -> Value {
        self.rows(x, index)
    }

    fn one_hot(&self, index: &Value, classes: i64) -> Value {
        let all: Vec<i64> = (0..classes).collect();
        let index = self.unsqueezed(index, index.dims().len());
        self.counted(&self.compare("Equal", &index, &self.ints(&all)), DType::F32)
    }

    fn sum(&self, x: &Value, axis: i64) -> Value {
        match self.axis("ReduceSum", x, axis) {
            Ok(at) => self.reduced("ReduceSum", x, at),
            Err(wrong) => wrong,
        }
    }

    fn norm(&self, x: &Value, axes: &[i64]) -> Value {
        self.length_over(x, axes)
    }

    fn nms(&self, boxes: &Value, scores: &Value, p: &Nms<Value>) -> Selected<Value> {
        let kept = self.nms_of(boxes, scores, p);
        self.decide(DecisionKind::Nms, &[boxes, scores], &[&kept.scores, &kept.classes, &kept.rows]);
        kept
    }

    fn roi_align(&self, levels: &[Value], rois: &Value, r: &RoiAlign) -> Value {
        self.pool_regions(levels, rois, r)
    }

    /// Nothing is emitted: the file has no gradients.
    fn detach(&self, x: &Value) -> Value {
        x.clone()
    }
}
