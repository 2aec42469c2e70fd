//! Detectors' images: resized and framed in the graph, as `models::host::prepare` does.

use models::detect::geometry;
use models::host;
use models::ops::{DType, Ops};
use schemas::{Fit, Preprocessing};

use super::pixels::{Sizes, resize};
use crate::builder::{Builder, Emit, Value};

/// `uint8 [N, H, W, 3]` to `uint8 [N, h, w, 3]`: the network's input for images of one size, resized and framed as
/// [`models::host::Placement`] says.
pub fn frame(b: &Builder, images: &Value, p: &Preprocessing) -> Value {
    let s = Sizes { b };
    b.at("frame");
    let place = geometry::placement(b, &size(b, images), &p.fit);
    let multiple = i64::from(schemas::STRIDE);
    let (up, multiple) = (s.number(multiple - 1), s.number(multiple));
    let outer = b.binary("Mul", &b.binary("Div", &b.binary("Add", &place.inner, &up), &multiple), &multiple);
    let behind = b.binary("Sub", &b.binary("Sub", &outer, &place.inner), &place.offset);
    let side = |pair: &Value, axis: i64| b.reshape(&b.slice(pair, 1, axis, axis + 1), &[1]);

    let (height, width) = (side(&place.inner, 0), side(&place.inner, 1));
    let mut x = resize(&s, images, &height, &width, p.interpolation);
    for axis in [0, 1] {
        let after = strip(&s, &x, axis, &side(&behind, axis), p);
        x = match p.fit {
            Fit::Letterbox { .. } => {
                let before = strip(&s, &x, axis, &side(&place.offset, axis), p);
                b.concat(&[&before, &x, &after], axis + 1)
            }
            // The image lies at the top left.
            Fit::Shorter { .. } => b.concat(&[&x, &after], axis + 1),
            Fit::Crop { .. } => {
                return b.misuse("Concat", format!("a detector's images are framed; {:?} cuts", p.fit));
            }
        };
    }
    x
}

/// I64 `[1, 2]`: height and width of `images`.
pub(super) fn size(b: &Builder, images: &Value) -> Value {
    b.reshape(&b.lengths(images, &[1, 2]), &[1, 2])
}

/// What lies beside `x` along one axis (0: below and above, 1: at the sides), this long, in the colour of the frame.
fn strip(s: &Sizes, x: &Value, axis: i64, length: &Value, p: &Preprocessing) -> Value {
    let colour = s.b.tensor(DType::U8, &[1, 1, 1, 3], host::fill(p).to_vec(), None);
    let (n, three) = (s.dim(x, 0), s.number(3));
    let shape = if axis == 0 {
        s.join(&[&n, length, &s.dim(x, 2), &three])
    } else {
        s.join(&[&n, &s.dim(x, 1), length, &three])
    };
    let dims = vec![x.dims()[0], None, None, Some(3)];
    s.b.emit(Emit { op: "Expand", inputs: &[Some(&colour), Some(&shape)], attributes: vec![], dtype: DType::U8, dims })
}
