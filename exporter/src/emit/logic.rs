//! Truth values, which [`models::ops::DType`] does not have: they are made and used up inside the body of one operation.

use models::ops::DType;

use crate::builder::{Builder, Emit, Value};
use crate::emit::broadcast;
use crate::graph::Attribute;
use crate::proto::dtype_code;

/// A value of ONNX type `bool`. The element type of the value inside means nothing.
pub(crate) struct Truth(Value);

impl Builder<'_> {
    /// `Equal`, `GreaterOrEqual`, ... of two values, broadcasting.
    pub(crate) fn compare(&self, op: &'static str, a: &Value, b: &Value) -> Truth {
        Truth(self.binary(op, a, b))
    }

    /// 1 where true, 0 where false.
    pub(crate) fn counted(&self, truth: &Truth, to: DType) -> Value {
        let attributes = vec![("to", Attribute::Int(i64::from(dtype_code(to))))];
        let dims = truth.0.dims().to_vec();
        self.emit(Emit { op: "Cast", inputs: &[Some(&truth.0)], attributes, dtype: to, dims })
    }

    /// `yes` where true, `no` where false; both broadcast.
    pub(super) fn choose(&self, truth: &Truth, yes: &Value, no: &Value) -> Value {
        let dims = broadcast(yes.dims(), no.dims()).and_then(|d| broadcast(&d, truth.0.dims()));
        match dims {
            Some(dims) if yes.dtype() == no.dtype() => {
                let inputs = [Some(&truth.0), Some(yes), Some(no)];
                self.emit(Emit { op: "Where", inputs: &inputs, attributes: vec![], dtype: yes.dtype(), dims })
            }
            _ => self.misuse("Where", format!("{:?} or {:?} where {:?}", yes.dims(), no.dims(), truth.0.dims())),
        }
    }

    /// I64 `[_]`: where a vector is true, ascending.
    pub(super) fn places(&self, truth: &Truth) -> Value {
        let dims = vec![Some(1), None];
        let inputs = [Some(&truth.0)];
        let found = self.emit(Emit { op: "NonZero", inputs: &inputs, attributes: vec![], dtype: DType::I64, dims });
        self.squeezed(&found, 0)
    }
}
