//! Operations that only classifiers use.

use std::f32::consts::FRAC_1_SQRT_2;

use models::ops::{DType, Ops, Pool};
use models::shapes;

use crate::builder::{Builder, Emit, Value};
use crate::emit::{can_be, padding, window};
use crate::graph::Attribute;

impl Builder<'_> {
    pub(super) fn average(&self, x: &Value, p: &Pool, count_include_pad: bool) -> Value {
        let &[n, c, _, _] = x.dims() else {
            return self.misuse("AveragePool", format!("input {:?} is not 4-D", x.dims()));
        };
        if let Err(problem) = shapes::averages(p, count_include_pad) {
            return self.misuse("AveragePool", problem);
        }
        let Some([oh, ow]) = window(x, p.kernel, p.stride, p.padding, p.ceil) else {
            let problem = format!("window {:?} is larger than the padded input {:?}", p.kernel, x.dims());
            return self.misuse("AveragePool", problem);
        };
        self.floats("AveragePool", &[x]);
        let attributes = vec![
            ("kernel_shape", Attribute::Ints(p.kernel.to_vec())),
            ("strides", Attribute::Ints(p.stride.to_vec())),
            padding(p.padding),
            ("ceil_mode", Attribute::Int(i64::from(p.ceil))),
            ("count_include_pad", Attribute::Int(i64::from(count_include_pad))),
        ];
        let dims = vec![n, c, oh, ow];
        self.emit(Emit { op: "AveragePool", inputs: &[Some(x)], attributes, dtype: DType::F32, dims })
    }

    /// `x * (1 + erf(x / sqrt(2))) / 2`, in the shape that runtimes recognise and replace by one kernel.
    pub(super) fn gaussian_unit(&self, x: &Value) -> Value {
        let (scale, one, half) = (self.scalar(FRAC_1_SQRT_2), self.scalar(1.0), self.scalar(0.5));
        let erf = self.pointwise("Erf", &self.binary("Mul", x, &scale));
        let share = self.binary("Add", &erf, &one);
        self.binary("Mul", &self.binary("Mul", x, &share), &half)
    }

    pub(super) fn normalise_rows(&self, x: &Value, parameters: [&Value; 2], eps: f64) -> Value {
        self.at_owner(parameters[0]);
        let fits = |p: &&Value| match (p.dims(), x.dims().last()) {
            (&[Some(c)], Some(&length)) => can_be(length, c),
            _ => false,
        };
        if !parameters.iter().all(fits) {
            let [weight, bias] = parameters.map(Value::dims);
            let problem = format!("input {:?}, weight {weight:?}, bias {bias:?}", x.dims());
            return self.misuse("LayerNormalization", problem);
        }
        let [weight, bias] = parameters;
        self.floats("LayerNormalization", &[x, weight, bias]);
        #[expect(clippy::cast_possible_truncation, reason = "ONNX attributes are float32")]
        let attributes = vec![("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(eps as f32))];
        self.same_as("LayerNormalization", &[Some(x), Some(weight), Some(bias)], attributes, x)
    }

    pub(super) fn attend(&self, q: &Value, k: &Value, v: &Value) -> Value {
        let (&[n, heads, l, c], &[_, _, m, kc], &[_, _, _, d]) = (q.dims(), k.dims(), v.dims()) else {
            let problem = format!("queries {:?}, keys {:?}, values {:?} are not 4-D", q.dims(), k.dims(), v.dims());
            return self.misuse("MatMul", problem);
        };
        let Some(width) = c.or(kc) else {
            return self.misuse("MatMul", format!("queries {:?} of unknown width", q.dims()));
        };
        self.floats("MatMul", &[q, k, v]);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a head is narrow")]
        let scale = self.scalar((1.0 / (width as f64).sqrt()) as f32);
        // The queries are smaller than the products.
        let q = self.binary("Mul", q, &scale);
        let product = |a: &Value, b: &Value, dims| {
            self.emit(Emit { op: "MatMul", inputs: &[Some(a), Some(b)], attributes: vec![], dtype: DType::F32, dims })
        };
        let scores = product(&q, &self.transpose(k, &[0, 1, 3, 2]), vec![n, heads, l, m]);
        product(&self.softmax(&scores, -1), v, vec![n, heads, l, d])
    }

    pub(super) fn length_over(&self, x: &Value, axes: &[i64]) -> Value {
        // ONNX takes no axes for all of them.
        if axes.is_empty() {
            return self.misuse("ReduceL2", format!("no axis of {:?}", x.dims()));
        }
        self.floats("ReduceL2", &[x]);
        let mut dims = x.dims().to_vec();
        for &axis in axes {
            match self.axis("ReduceL2", x, axis) {
                Ok(at) => dims[at] = Some(1),
                Err(wrong) => return wrong,
            }
        }
        let axes = self.ints(axes);
        let attributes = vec![("keepdims", Attribute::Int(1))];
        self.emit(Emit { op: "ReduceL2", inputs: &[Some(x), Some(&axes)], attributes, dtype: DType::F32, dims })
    }

    pub(super) fn split_of(&self, x: &Value, axis: i64, parts: i64) -> Vec<Value> {
        let count = usize::try_from(parts).unwrap_or(0);
        let wrong = |wrong: Value| vec![wrong; count];
        let at = match self.axis("Split", x, axis) {
            Ok(at) => at,
            Err(error) => return wrong(error),
        };
        let Some(length) = x.dims()[at].filter(|n| parts > 0 && n % parts == 0) else {
            return wrong(self.misuse("Split", format!("{parts} equal parts of axis {axis} of {:?}", x.dims())));
        };
        let mut dims = x.dims().to_vec();
        dims[at] = Some(length / parts);
        let attributes = vec![("axis", Attribute::Int(axis)), ("num_outputs", Attribute::Int(parts))];
        self.emit_alike(Emit { op: "Split", inputs: &[Some(x)], attributes, dtype: x.dtype(), dims }, count)
    }
}
