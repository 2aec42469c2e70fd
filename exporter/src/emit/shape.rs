//! Operations on shapes: what is known of a length is written into the file, the rest is computed there.

use std::ops::Range;

use models::ops::DType;
use models::shapes;

use crate::builder::{Builder, Emit, Length, Value};
use crate::emit::product;
use crate::graph::Attribute;

impl Builder<'_> {
    /// Where an axis is, negative ones counted from the end; keeps an error if nowhere.
    pub(super) fn axis(&self, op: &'static str, x: &Value, axis: i64) -> Result<usize, Value> {
        let rank = i64::try_from(x.dims().len()).unwrap_or(i64::MAX);
        let at = if axis < 0 { axis + rank } else { axis };
        let at = usize::try_from(at).ok().filter(|at| *at < x.dims().len());
        at.ok_or_else(|| self.misuse(op, format!("axis {axis} of {:?}", x.dims())))
    }

    /// I64 vector of the lengths of neighbouring axes; a constant if they are known.
    pub(super) fn shape_of(&self, x: &Value, axes: Range<usize>) -> Value {
        if let Some(known) = x.dims()[axes.clone()].iter().copied().collect::<Option<Vec<i64>>>() {
            return self.ints(&known);
        }
        let attributes = vec![("start", int(axes.start)), ("end", int(axes.end))];
        let dims = vec![length(axes.len())];
        self.emit(Emit { op: "Shape", inputs: &[Some(x)], attributes, dtype: DType::I64, dims })
    }

    /// I64 `[1]`: the length of an axis to divide by, at least 1. Where the length is 0 there is nothing to divide, but
    /// ONNX Runtime looks at the divisor first.
    pub(super) fn divisor(&self, x: &Value, at: usize) -> Value {
        match x.dims()[at] {
            Some(n) => self.ints(&[n.max(1)]),
            None => self.binary("Max", &self.shape_of(x, at..at + 1), &self.ints(&[1])),
        }
    }

    pub(super) fn lengths_of(&self, x: &Value, axes: &[i64]) -> Value {
        let mut places = Vec::with_capacity(axes.len());
        for &axis in axes {
            match self.axis("Shape", x, axis) {
                Ok(at) => places.push(at),
                Err(wrong) => return wrong,
            }
        }
        self.lengths_at(x, &places)
    }

    fn lengths_at(&self, x: &Value, places: &[usize]) -> Value {
        if let Some(known) = places.iter().map(|&at| x.dims()[at]).collect::<Option<Vec<i64>>>() {
            return self.ints(&known);
        }
        let first = places[0];
        if places.iter().copied().eq(first..first + places.len()) {
            return self.shape_of(x, first..first + places.len());
        }
        let places: Vec<i64> = places.iter().filter_map(|&at| i64::try_from(at).ok()).collect();
        self.gathered(&self.shape_of(x, 0..x.dims().len()), &self.ints(&places))
    }

    /// `Gather` along the first axis with a vector of indices.
    pub(crate) fn gathered(&self, x: &Value, index: &Value) -> Value {
        let dims = [index.dims(), x.dims().get(1..).unwrap_or_default()].concat();
        let attributes = vec![("axis", Attribute::Int(0))];
        self.emit(Emit { op: "Gather", inputs: &[Some(x), Some(index)], attributes, dtype: x.dtype(), dims })
    }

    pub(super) fn unsqueezed(&self, x: &Value, at: usize) -> Value {
        let mut dims = x.dims().to_vec();
        dims.insert(at, Some(1));
        let axes = self.place(at);
        self.emit(Emit { op: "Unsqueeze", inputs: &[Some(x), Some(&axes)], attributes: vec![], dtype: x.dtype(), dims })
    }

    pub(super) fn squeezed(&self, x: &Value, at: usize) -> Value {
        let mut dims = x.dims().to_vec();
        dims.remove(at);
        let axes = self.place(at);
        self.emit(Emit { op: "Squeeze", inputs: &[Some(x), Some(&axes)], attributes: vec![], dtype: x.dtype(), dims })
    }

    /// `ReduceSum`, `ReduceProd` over one axis, which goes.
    pub(super) fn reduced(&self, op: &'static str, x: &Value, at: usize) -> Value {
        let mut dims = x.dims().to_vec();
        dims.remove(at);
        let axes = self.place(at);
        let attributes = vec![("keepdims", Attribute::Int(0))];
        self.emit(Emit { op, inputs: &[Some(x), Some(&axes)], attributes, dtype: x.dtype(), dims })
    }

    /// I64 `[n]`: 0, 1, ... below a scalar.
    pub(crate) fn counting(&self, limit: &Value) -> Value {
        let (zero, one) = (self.integer(0), self.integer(1));
        let inputs = [Some(&zero), Some(limit), Some(&one)];
        self.emit(Emit { op: "Range", inputs: &inputs, attributes: vec![], dtype: DType::I64, dims: vec![None] })
    }

    /// An I64 scalar.
    pub(crate) fn integer(&self, value: i64) -> Value {
        self.tensor(DType::I64, &[], value.to_le_bytes().to_vec(), Some(value.to_string()))
    }

    fn place(&self, at: usize) -> Value {
        self.ints(&[i64::try_from(at).unwrap_or(i64::MAX)])
    }

    pub(super) fn unflattened(&self, x: &Value, like: &Value) -> Value {
        let (&[rows, ref rest @ ..], &[n, p, ..]) = (x.dims(), like.dims()) else {
            return self.misuse("Reshape", format!("{:?} like {:?}", x.dims(), like.dims()));
        };
        if rows.zip(product(&[n, p])).is_some_and(|(rows, all)| rows != all) {
            return self.misuse("Reshape", format!("{:?} like {:?}", x.dims(), like.dims()));
        }
        let dims = [&[n, p], rest].concat();
        let shape = if rest.is_empty() {
            self.shape_of(like, 0..2)
        } else {
            self.joined(&[&self.shape_of(like, 0..2), &self.shape_of(x, 1..x.dims().len())], 0)
        };
        // A length of 0 is meant as such: without this it would copy the length of `x` at the same place.
        let attributes = vec![("allowzero", Attribute::Int(1))];
        self.emit(Emit { op: "Reshape", inputs: &[Some(x), Some(&shape)], attributes, dtype: x.dtype(), dims })
    }

    pub(super) fn joined(&self, parts: &[&Value], axis: i64) -> Value {
        let Some((first, rest)) = parts.split_first() else {
            return self.misuse("Concat", "no parts".to_owned());
        };
        let at = match self.axis("Concat", first, axis) {
            Ok(at) => at,
            Err(wrong) => return wrong,
        };
        let mut dims = first.dims().to_vec();
        for part in rest {
            if part.dims().len() != dims.len() || part.dtype() != first.dtype() {
                let problem =
                    format!("{:?} {:?} and {:?} {:?}", first.dtype(), first.dims(), part.dtype(), part.dims());
                return self.misuse("Concat", problem);
            }
            for (i, (known, new)) in dims.iter_mut().zip(part.dims()).enumerate() {
                match (*known, *new) {
                    (a, b) if i == at => *known = a.and_then(|a| Some(a + b?)),
                    (Some(a), Some(b)) if a != b => {
                        let problem = format!("{:?} and {:?} along axis {axis}", first.dims(), part.dims());
                        return self.misuse("Concat", problem);
                    }
                    (a, b) => *known = a.or(b),
                }
            }
        }
        let inputs: Vec<Option<&Value>> = parts.iter().map(|p| Some(*p)).collect();
        self.emit(Emit {
            op: "Concat",
            inputs: &inputs,
            attributes: vec![("axis", int(at))],
            dtype: first.dtype(),
            dims,
        })
    }

    pub(super) fn part(&self, x: &Value, axis: i64, [from, to]: [i64; 2]) -> Value {
        let at = match self.axis("Slice", x, axis) {
            Ok(at) => at,
            Err(wrong) => return wrong,
        };
        let mut dims = x.dims().to_vec();
        dims[at] = dims[at].map(|n| shapes::slice_length(n, from, to));
        let (from, to, axes) = (self.ints(&[from]), self.ints(&[to]), self.place(at));
        let inputs = [Some(x), Some(&from), Some(&to), Some(&axes)];
        self.emit(Emit { op: "Slice", inputs: &inputs, attributes: vec![], dtype: x.dtype(), dims })
    }

    /// The first `count` positions along axis 1.
    pub(super) fn leading(&self, x: &Value, count: &Value) -> Value {
        let mut dims = x.dims().to_vec();
        if dims.len() < 2 || count.dtype() != DType::I64 || count.dims() != [Some(1)] {
            return self.misuse("Slice", format!("the first {:?} {:?} of {dims:?}", count.dtype(), count.dims()));
        }
        dims[1] = None;
        let (from, axes) = (self.ints(&[0]), self.place(1));
        let inputs = [Some(x), Some(&from), Some(count), Some(&axes)];
        self.emit(Emit { op: "Slice", inputs: &inputs, attributes: vec![], dtype: x.dtype(), dims })
    }

    pub(super) fn reshaped(&self, x: &Value, wanted: &[i64]) -> Value {
        let problem = || self.misuse("Reshape", format!("{:?} as {wanted:?}", x.dims()));
        let known: i64 = wanted.iter().filter(|&&d| d > 0).product();
        let copied: Vec<usize> = (0..wanted.len()).filter(|&i| wanted[i] == 0).collect();
        let others: Vec<usize> = (0..x.dims().len()).filter(|i| !copied.contains(i)).collect();
        let rest = product(&others.iter().map(|&i| x.dims()[i]).collect::<Vec<_>>());
        let infers = wanted.contains(&-1);
        let fits = rest.is_none_or(|rest| if infers { rest % known == 0 } else { rest == known });
        let legal = wanted.iter().all(|&d| d >= -1) && wanted.iter().filter(|&&d| d == -1).count() < 2;
        if !fits || !legal || copied.iter().any(|&i| i >= x.dims().len()) {
            return problem();
        }
        let inferred = rest.map(|rest| rest / known);
        let dims: Vec<Length> = (wanted.iter().enumerate())
            .map(|(i, &d)| match d {
                0 => x.dims()[i],
                -1 => inferred,
                d => Some(d),
            })
            .collect();
        let reshape = |shape: &Value, attributes| {
            let inputs = [Some(x), Some(shape)];
            self.emit(Emit { op: "Reshape", inputs: &inputs, attributes, dtype: x.dtype(), dims: dims.clone() })
        };
        // ONNX cannot infer beside a length of 0; what cannot be 0, or needs no inferring, is a constant.
        let safe = copied.iter().all(|&i| x.dims()[i].is_some_and(|n| n > 0));
        match inferred {
            _ if !infers || safe => reshape(&self.ints(wanted), vec![]),
            Some(n) if n > 0 => {
                let wanted: Vec<i64> = wanted.iter().map(|&d| if d == -1 { n } else { d }).collect();
                reshape(&self.ints(&wanted), vec![])
            }
            _ => {
                let rest = self.reduced("ReduceProd", &self.lengths_at(x, &others), 0);
                let inferred = self.unsqueezed(&self.binary("Div", &rest, &self.integer(known)), 0);
                let length = |(i, &d): (usize, &i64)| match d {
                    0 => self.shape_of(x, i..i + 1),
                    -1 => inferred.clone(),
                    d => self.ints(&[d]),
                };
                let lengths: Vec<Value> = wanted.iter().enumerate().map(length).collect();
                let shape = self.joined(&lengths.iter().collect::<Vec<_>>(), 0);
                reshape(&shape, vec![("allowzero", Attribute::Int(1))])
            }
        }
    }

    pub(super) fn repeated(&self, x: &Value, like: &Value) -> Value {
        let (Some(rest), Some(&n)) = (x.dims().strip_prefix(&[Some(1)]), like.dims().first()) else {
            return self
                .misuse("Expand", format!("{:?}, whose first length is to be 1, as {:?}", x.dims(), like.dims()));
        };
        let dims = [&[n], rest].concat();
        let mut shape = self.shape_of(like, 0..1);
        if !rest.is_empty() {
            shape = self.joined(&[&shape, &self.ints(&vec![1; rest.len()])], 0);
        }
        self.emit(Emit { op: "Expand", inputs: &[Some(x), Some(&shape)], attributes: vec![], dtype: x.dtype(), dims })
    }

    pub(super) fn coordinates(&self, x: &Value) -> Value {
        let &[_, _, h, w] = x.dims() else {
            return self.misuse("Range", format!("input {:?} is not 4-D", x.dims()));
        };
        let cells = self.reduced("ReduceProd", &self.shape_of(x, 2..4), 0);
        let cells = self.counting(&cells);
        let width = self.divisor(x, 3);
        let column = self.unsqueezed(&self.binary("Mod", &cells, &width), 1);
        let row = self.unsqueezed(&self.binary("Div", &cells, &width), 1);
        let pairs = self.joined(&[&column, &row], 1);
        let attributes = vec![("to", Attribute::Int(i64::from(crate::proto::dtype_code(DType::F32))))];
        let dims = vec![product(&[h, w]), Some(2)];
        self.emit(Emit { op: "Cast", inputs: &[Some(&pairs)], attributes, dtype: DType::F32, dims })
    }
}

fn int(value: usize) -> Attribute {
    Attribute::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn length(value: usize) -> Length {
    i64::try_from(value).ok()
}
