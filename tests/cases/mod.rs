//! The ONNX standard's node tests as calls of [`Ops`] methods, generic over the interpreter. What the fixtures hold and
//! how they were made is told in `scripts/oracle/op_cases.py`.

pub mod onnx;

use models::ops::{Bn, BnParams, Conv, DType, Nms, Ops, Padding, Pool, RoiAlign, Selected};
use models::weights::{self, TensorFile};
use serde::Deserialize;

use crate::fixture;

/// Operators behind the methods of [`Ops`] that take tensors.
pub const OPERATORS: [&str; 44] = [
    "Add",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Div",
    "Dropout",
    "Exp",
    "Expand",
    "Flatten",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GreaterOrEqual",
    "Identity",
    "LayerNormalization",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "NonMaxSuppression",
    "OneHot",
    "ReduceL2",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "RoiAlign",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Sub",
    "Swish",
    "TopK",
    "Transpose",
    "cells",
    "unflatten",
];

/// Elements, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Bytes.
    U8(Vec<u8>),
    /// 64-bit integers.
    I64(Vec<i64>),
}

/// A tensor outside any interpreter.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes.
    pub shape: Vec<i64>,
    /// Elements.
    pub data: Data,
}

impl Array {
    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::U8(_) => DType::U8,
            Data::I64(_) => DType::I64,
        }
    }
}

/// Padding as the fixtures write it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Pad {
    /// Top, left, bottom, right.
    Explicit([i64; 4]),
    /// A named rule.
    Named(Rule),
}

/// The only named rule.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// ONNX `SAME_UPPER`.
    SameUpper,
}

impl From<Pad> for Padding {
    fn from(pad: Pad) -> Self {
        match pad {
            Pad::Explicit(sides) => Self::Explicit(sides),
            Pad::Named(Rule::SameUpper) => Self::SameUpper,
        }
    }
}

/// Element type as the fixtures write it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// 32-bit float.
    F32,
    /// Byte.
    U8,
    /// 64-bit integer.
    I64,
}

/// A method of [`Ops`] with its arguments; tensors apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "named after the method's own arguments")]
pub enum Call {
    Add,
    Sub,
    Mul,
    Relu,
    Sigmoid,
    Linear,
    GlobalAvgPool,
    ConvTranspose2d { stride: [i64; 2] },
    Conv2d { stride: [i64; 2], padding: Pad, groups: i64 },
    MaxPool { kernel: [i64; 2], stride: [i64; 2], padding: Pad, ceil: bool },
    AvgPool { kernel: [i64; 2], stride: [i64; 2], padding: Pad, ceil: bool, count_include_pad: bool },
    LayerNorm { eps: f64 },
    Gelu,
    Attention,
    Split { axis: i64, parts: i64 },
    BatchNorm { eps: f64 },
    Clamp { lo: Option<f32>, hi: Option<f32> },
    Softmax { axis: i64 },
    Flatten { axis: i64 },
    Transpose { perm: Vec<i64> },
    Cast { to: To },
    Dropout { p: f64 },
    Silu,
    Exp,
    Div,
    Max,
    Min,
    AtLeast,
    Concat { axis: i64 },
    Reshape { shape: Vec<i64> },
    Unflatten,
    Slice { axis: i64, from: i64, to: i64 },
    Head,
    ResizeNearestLike,
    Cells,
    Lengths { axes: Vec<i64> },
    Repeat,
    Topk { k: i64 },
    Take,
    OneHot { classes: i64 },
    Sum { axis: i64 },
    Norm { axes: Vec<i64> },
    Nms { cap: i64 },
    RoiAlign(Regions),
    Detach,
}

/// [`RoiAlign`] as the fixtures write it.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "RoiAlign", deny_unknown_fields)]
struct RegionsDef {
    output: i64,
    sampling: i64,
    scales: Vec<f64>,
    canonical_size: f64,
    canonical_level: i64,
    first_level: i64,
}

/// How [`Ops::roi_align`] is called.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Regions(#[serde(with = "RegionsDef")] pub RoiAlign);

impl Call {
    /// How many of the tensors come from the caller of a network; the rest are parameters.
    #[must_use]
    pub fn given(&self, inputs: usize) -> usize {
        match self {
            Self::Conv2d { .. }
            | Self::ConvTranspose2d { .. }
            | Self::Linear
            | Self::BatchNorm { .. }
            | Self::LayerNorm { .. } => 1,
            _ => inputs,
        }
    }

    /// The call on an interpreter, with all that it gives.
    ///
    /// # Panics
    /// When the number of tensors is not the method's.
    pub fn on<B: Ops>(&self, ops: &B, inputs: &[B::T]) -> Vec<B::T> {
        match (self, inputs) {
            (Self::Topk { k }, [x]) => {
                let (values, indices) = ops.topk(x, *k);
                vec![values, indices]
            }
            (Self::Split { axis, parts }, [x]) => ops.split(x, *axis, *parts),
            (Self::Nms { cap }, [boxes, scores, iou, least]) => {
                let p = Nms { iou_threshold: iou.clone(), score_threshold: least.clone(), cap: *cap };
                let Selected { scores, classes, rows } = ops.nms(boxes, scores, &p);
                vec![scores, classes, rows]
            }
            (call, inputs) => vec![call.one(ops, inputs)],
        }
    }

    /// A call that gives one tensor. A bound that a `Clip` leaves out is infinite.
    fn one<B: Ops>(&self, ops: &B, inputs: &[B::T]) -> B::T {
        match (self, inputs) {
            (Self::Add, [a, b]) => ops.add(a.clone(), b),
            (Self::Sub, [a, b]) => ops.sub(a.clone(), b),
            (Self::Mul, [a, b]) => ops.mul(a.clone(), b),
            (Self::Relu, [x]) => ops.relu(x.clone()),
            (Self::Sigmoid, [x]) => ops.sigmoid(x),
            (Self::Linear, [x, w, b @ ..]) => ops.linear(x, w, b.first()),
            (Self::GlobalAvgPool, [x]) => ops.global_avg_pool(x),
            (Self::Conv2d { stride, padding, groups }, [x, w, b @ ..]) => {
                ops.conv2d(x, w, b.first(), &Conv { stride: *stride, padding: (*padding).into(), groups: *groups })
            }
            (Self::ConvTranspose2d { stride }, [x, w, b @ ..]) => ops.conv_transpose2d(x, w, b.first(), *stride),
            (Self::Unflatten, [x, like]) => ops.unflatten(x, like),
            (Self::MaxPool { kernel, stride, padding, ceil }, [x]) => {
                let pool = Pool { kernel: *kernel, stride: *stride, padding: (*padding).into(), ceil: *ceil };
                ops.max_pool(x, &pool)
            }
            (Self::AvgPool { kernel, stride, padding, ceil, count_include_pad }, [x]) => {
                let pool = Pool { kernel: *kernel, stride: *stride, padding: (*padding).into(), ceil: *ceil };
                ops.avg_pool(x, &pool, *count_include_pad)
            }
            (Self::LayerNorm { eps }, [x, weight, bias]) => ops.layer_norm(x, weight, bias, *eps),
            (Self::Gelu, [x]) => ops.gelu(x.clone()),
            (Self::Attention, [q, k, v]) => ops.attention(q, k, v),
            (Self::BatchNorm { eps }, [x, weight, bias, mean, var]) => {
                let [weight, bias, mean, var] = [weight, bias, mean, var].map(Clone::clone);
                ops.batch_norm(x, &BnParams { weight, bias, mean, var }, &Bn { eps: *eps, momentum: 0.1 })
            }
            (Self::Clamp { lo, hi }, [x]) => {
                ops.clamp(x.clone(), lo.unwrap_or(f32::NEG_INFINITY), hi.unwrap_or(f32::INFINITY))
            }
            (Self::Softmax { axis }, [x]) => ops.softmax(x, *axis),
            (Self::Flatten { axis }, [x]) => ops.flatten(x, *axis),
            (Self::Transpose { perm }, [x]) => ops.transpose(x, perm),
            (Self::Cast { to }, [x]) => ops.cast(
                x,
                match to {
                    To::F32 => DType::F32,
                    To::U8 => DType::U8,
                    To::I64 => DType::I64,
                },
            ),
            (Self::Dropout { p }, [x]) => ops.dropout(x.clone(), *p),
            (Self::Silu, [x]) => ops.silu(x.clone()),
            (Self::Exp, [x]) => ops.exp(x),
            (Self::Div, [a, b]) => ops.div(a.clone(), b),
            (Self::Max, [a, b]) => ops.max(a, b),
            (Self::Min, [a, b]) => ops.min(a, b),
            (Self::AtLeast, [a, b]) => ops.greater_equal(a, b),
            (Self::Concat { axis }, parts) => ops.concat(&parts.iter().collect::<Vec<_>>(), *axis),
            (Self::Reshape { shape }, [x]) => ops.reshape(x, shape),
            (Self::Slice { axis, from, to }, [x]) => ops.slice(x, *axis, *from, *to),
            (Self::Head, [x, count]) => ops.head(x, count),
            (Self::ResizeNearestLike, [x, like]) => ops.resize_nearest_like(x, like),
            (Self::Cells, [x]) => ops.meshgrid(x),
            (Self::Lengths { axes }, [x]) => ops.lengths(x, axes),
            (Self::Repeat, [x, like]) => ops.repeat(x, like),
            (Self::Take, [x, index]) => ops.gather(x, index),
            (Self::OneHot { classes }, [index]) => ops.one_hot(index, *classes),
            (Self::Sum { axis }, [x]) => ops.sum(x, *axis),
            (Self::Norm { axes }, [x]) => ops.norm(x, axes),
            (Self::RoiAlign(regions), [levels @ .., rois]) => ops.roi_align(levels, rois, &regions.0),
            (Self::Detach, [x]) => ops.detach(x),
            (call, inputs) => panic!("{call:?} with {} tensors", inputs.len()),
        }
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The standard's name; `own_*` where the standard has none.
    pub name: String,
    /// What is called.
    pub call: Call,
    /// Its tensors.
    pub inputs: Vec<Array>,
    /// What comes out; most methods give one tensor.
    pub outputs: Vec<Array>,
    rtol: f64,
    atol: f64,
}

impl Case {
    /// Fails unless `actual` has the expected type and shape, and values within the standard's tolerance.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn check(&self, interpreter: &str, actual: &[Array]) {
        assert_eq!(actual.len(), self.outputs.len(), "{} on {interpreter}: tensors", self.name);
        for (actual, output) in actual.iter().zip(&self.outputs) {
            self.check_one(interpreter, actual, output);
        }
    }

    #[track_caller]
    fn check_one(&self, interpreter: &str, actual: &Array, output: &Array) {
        let name = &self.name;
        assert_eq!(actual.dtype(), output.dtype(), "{name} on {interpreter}: element type");
        assert_eq!(actual.shape, output.shape, "{name} on {interpreter}: shape");
        match (&actual.data, &output.data) {
            (Data::F32(actual), Data::F32(expected)) => {
                for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
                    let (a, e) = (f64::from(*a), f64::from(*e));
                    let close =
                        a == e || (a.is_nan() && e.is_nan()) || (a - e).abs() <= self.atol + self.rtol * e.abs();
                    assert!(close, "{name} on {interpreter}: value {i} is {a}, expected {e}");
                }
            }
            (actual, expected) => assert_eq!(actual, expected, "{name} on {interpreter}"),
        }
    }
}

/// The cases of one operator.
///
/// # Panics
/// When its fixtures are missing or malformed.
#[must_use]
pub fn of(operator: &str) -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        name: String,
        call: Call,
        inputs: usize,
        #[serde(default = "one")]
        outputs: usize,
        rtol: f64,
        atol: f64,
    }
    let name = format!("ops/{operator}.json");
    let file: File = serde_json::from_str(&fixture::text(&name)).unwrap_or_else(|e| panic!("fixture {name}: {e}"));
    let tensors = weights::read(&fixture::path(&format!("ops/{operator}.safetensors"))).expect("fixture tensors");
    let case = |row: Row| Case {
        inputs: (0..row.inputs).map(|i| array(&tensors, &format!("{}/input{i}", row.name))).collect(),
        outputs: (0..row.outputs).map(|i| array(&tensors, &output_key(&row.name, i))).collect(),
        name: row.name,
        call: row.call,
        rtol: row.rtol,
        atol: row.atol,
    };
    file.cases.into_iter().map(case).collect()
}

fn one() -> usize {
    1
}

fn output_key(name: &str, i: usize) -> String {
    if i == 0 { format!("{name}/output") } else { format!("{name}/output{i}") }
}

/// Every case of every operator.
pub fn all() -> impl Iterator<Item = Case> {
    OPERATORS.into_iter().flat_map(of)
}

fn array(file: &TensorFile, key: &str) -> Array {
    let tensor = file.get(key).unwrap_or_else(|| panic!("{} has no {key}", file.path().display()));
    let data = match tensor.dtype {
        weights::Dtype::F32 => Data::F32(file.to_f32(tensor)),
        weights::Dtype::I64 => Data::I64(file.to_i64(tensor)),
        weights::Dtype::U8 => {
            Data::U8(file.to_i64(tensor).into_iter().map(|v| u8::try_from(v).expect("a byte")).collect())
        }
        other => panic!("{key} has element type {}", other.name()),
    };
    Array { shape: tensor.shape.clone(), data }
}
