//! Images in the graph: shape arithmetic, cutting, resizing.

use models::ops::DType;
use schemas::Interpolation;

use crate::builder::{Builder, Emit, Value};
use crate::graph::Attribute;

/// Shape arithmetic on int64 vectors of one element.
pub(super) struct Sizes<'a, 's> {
    pub b: &'a Builder<'s>,
}

impl Sizes<'_, '_> {
    /// `images.shape[axis]`.
    pub fn dim(&self, images: &Value, axis: i64) -> Value {
        let attributes = vec![("start", Attribute::Int(axis)), ("end", Attribute::Int(axis + 1))];
        let inputs = &[Some(images)];
        self.b.emit(Emit { op: "Shape", inputs, attributes, dtype: DType::I64, dims: vec![Some(1)] })
    }

    pub fn number(&self, value: i64) -> Value {
        self.b.ints(&[value])
    }

    pub fn choose(&self, condition: &Value, yes: &Value, no: &Value) -> Value {
        self.b.same_as("Where", &[Some(condition), Some(yes), Some(no)], vec![], yes)
    }

    pub fn join(&self, parts: &[&Value]) -> Value {
        let inputs: Vec<_> = parts.iter().map(|v| Some(*v)).collect();
        let dims = vec![i64::try_from(parts.len()).ok()];
        let attributes = vec![("axis", Attribute::Int(0))];
        self.b.emit(Emit { op: "Concat", inputs: &inputs, attributes, dtype: DType::I64, dims })
    }
}

/// One end of a cut: from (top, left) to (bottom, right), each an int64 vector of one element.
pub(super) struct Window<'a> {
    pub top: &'a Value,
    pub left: &'a Value,
    pub bottom: &'a Value,
    pub right: &'a Value,
}

/// `images[:, top:bottom, left:right, :]`.
pub(super) fn cut(s: &Sizes, images: &Value, w: &Window) -> Value {
    let (starts, ends) = (s.join(&[w.top, w.left]), s.join(&[w.bottom, w.right]));
    let axes = s.b.ints(&[1, 2]);
    let dims = vec![images.dims()[0], None, None, images.dims()[3]];
    let inputs = &[Some(images), Some(&starts), Some(&ends), Some(&axes)];
    s.b.emit(Emit { op: "Slice", inputs, attributes: vec![], dtype: images.dtype(), dims })
}

/// Antialiased resize of `uint8 [N, H, W, 3]` to this height and width. The sizes of all four dimensions are given, and
/// no `axes`, because graph optimizers of common runtimes mishandle `Resize` with `axes` next to a `Transpose`.
pub(super) fn resize(s: &Sizes, images: &Value, height: &Value, width: &Value, filter: Interpolation) -> Value {
    let sizes = s.join(&[&s.dim(images, 0), height, width, &s.number(3)]);
    let mut attributes = vec![
        (
            "mode",
            Attribute::Text(match filter {
                Interpolation::Bilinear => "linear",
                Interpolation::Bicubic => "cubic",
            }),
        ),
        ("coordinate_transformation_mode", Attribute::Text("half_pixel")),
        ("antialias", Attribute::Int(1)),
        // Weights outside the image are dropped and the others sum to 1, as in Pillow.
        ("exclude_outside", Attribute::Int(1)),
    ];
    if filter == Interpolation::Bicubic {
        attributes.push(("cubic_coeff_a", Attribute::Float(-0.5)));
    }
    let dims = vec![images.dims()[0], None, None, images.dims()[3]];
    let inputs = &[Some(images), None, None, Some(&sizes)];
    s.b.emit(Emit { op: "Resize", inputs, attributes, dtype: images.dtype(), dims })
}
