//! Places of an image's tiles: `models::host::tiles` on the graph's own values.

use models::ops::{DType, Ops};
use schemas::prediction::Tiling;

use super::pixels::Sizes;
use crate::builder::{Builder, Value};

/// I64 `[1 + tiles, 4]`: first row and column, row and column after the last, of the whole of images `[N, H, W, 3]` and of
/// each of their tiles, column by column, as `models::host::tiles` has them. The same arithmetic in float64, so exactly equal.
pub fn places(b: &Builder, images: &Value, tiling: &Tiling) -> Value {
    b.at("tiles");
    let s = Sizes { b };
    let (height, width) = (s.dim(images, 1), s.dim(images, 2));
    let (columns, rows) = (i64::from(tiling.grid.columns), i64::from(tiling.grid.rows));
    let (left, right) = stretches(&s, &width, columns, tiling.overlap);
    let (top, bottom) = stretches(&s, &height, rows, tiling.overlap);
    let each = |number: fn(i64, i64) -> i64| -> Vec<i64> { (0..columns * rows).map(|i| number(i, rows)).collect() };
    let (column, row) = (b.ints(&each(|i, rows| i / rows)), b.ints(&each(|i, rows| i % rows)));
    let of = |stretch: &Value, index: &Value| b.reshape(&b.gathered(stretch, index), &[-1, 1]);
    let tiles = b.concat(&[&of(&top, &row), &of(&left, &column), &of(&bottom, &row), &of(&right, &column)], 1);
    let zero = s.number(0);
    let whole = b.reshape(&s.join(&[&zero, &zero, &height, &width]), &[1, 4]);
    b.concat(&[&whole, &tiles], 0)
}

/// First pixel, and pixel after the last, of each of `n` tiles along an axis of `length` pixels (I64 `[1]`): I64 `[n]` each.
fn stretches(s: &Sizes, length: &Value, n: i64, overlap: f64) -> (Value, Value) {
    let b = s.b;
    let doubles = |values: &[f64]| {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        b.tensor(DType::F64, &[i64::try_from(values.len()).unwrap_or(0)], data, None)
    };
    #[expect(clippy::cast_precision_loss, reason = "a grid has few tiles")]
    let (count, begins): (f64, Vec<f64>) = (n as f64, (0..n).map(|i| i as f64 * (1.0 - overlap)).collect());
    let side = b.div(b.cast(length, DType::F64), &doubles(&[overlap + (1.0 - overlap) * count]));
    let start = b.mul(doubles(&begins), &side);
    let end = b.add(start.clone(), &side);
    // ONNX `Round` takes the even one of two neighbours, too.
    let whole = |x: &Value| b.cast(&b.same_as("Round", &[Some(x)], vec![], x), DType::I64);
    let one = s.number(1);
    let from = b.min(&whole(&start), &b.sub(length.clone(), &one));
    let to = b.min(&b.max(&whole(&end), &b.add(from.clone(), &one)), length);
    (from, to)
}
