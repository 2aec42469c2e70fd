//! Masks become pixels of the image: `models::host::mask::Paste` on the graph's own values, for callers that have nothing but
//! ONNX Runtime.

use models::detect::mask_rcnn::SIDE;
use models::host::mask::FARTHEST;
use models::ops::{DType, Ops};

use crate::builder::{Builder, Emit, Value};
use crate::graph::Dim;

/// Parts of a mask with its border of zeros, along an axis.
const BORDERED: i64 = SIDE + 2;

/// What masks are pasted into.
pub struct Canvas {
    /// I64 `[1]`: rows of the images.
    pub height: Value,
    /// I64 `[1]`: pixels of a row.
    pub width: Value,
    /// F32 `[1]`: a pixel is the object's if its probability is above it.
    pub threshold: Value,
}

/// U8 `[N, D, height, width]`: 1 where a pixel is the object's; all 0 where the label is -1. `boxes` is F32 `[N, D, 4]`, `xyxy` in
/// pixels, finite; `labels` I64 `[N, D]`; `masks` F32 `[N, D, 28, 28]`.
///
/// Objects are pasted one after the other, so that no more than one is held as real numbers. A pixel mixes the parts next to it
/// as on the host, but columns and rows in one sum; probabilities differ by less than 1e-6.
pub fn paste(b: &Builder, boxes: &Value, labels: &Value, masks: &Value, canvas: &Canvas) -> Value {
    b.at("paste");
    let all_boxes = b.reshape(boxes, &[-1, 4]);
    let all_masks = b.reshape(masks, &[-1, SIDE, SIDE]);
    let all_labels = b.reshape(labels, &[-1]);
    let count = b.reshape(&b.lengths(&all_labels, &[0]), &[]);
    let objects = b.counting(&count);
    let pasted = b.scan(&objects, |object| {
        b.at("paste/object");
        let corners = b.gathered(&all_boxes, object);
        let corner = |at: i64| b.slice(&corners, 0, at, at + 1);
        let rows = shares(b, [&corner(1), &corner(3)], &canvas.height);
        let columns = shares(b, [&corner(0), &corner(2)], &canvas.width);
        let mask = b.gathered(&all_masks, object);
        let probabilities = product(b, &product(b, &rows, &mask), &b.transpose(&columns, &[1, 0]));
        let inside = b.counted(&b.compare("Greater", &probabilities, &canvas.threshold), DType::U8);
        let label = b.gathered(&all_labels, object);
        let real = b.counted(&b.compare("GreaterOrEqual", &label, &b.integer(0)), DType::U8);
        let inside = b.binary("Mul", &inside, &real);
        vec![(inside, "pasted", vec![Dim::Named("H"), Dim::Named("W")])]
    });
    b.at("paste");
    match pasted.first() {
        Some(pasted) => b.unflatten(pasted, boxes),
        None => b.misuse("Scan", "yields nothing".to_owned()),
    }
}

/// F32 `[length, 28]`: what each pixel of an axis takes of each part of a mask in a box from `from` to `to`, F32 `[1]` each. The
/// border of zeros around the mask needs no column.
fn shares(b: &Builder, [from, to]: [&Value; 2], length: &Value) -> Value {
    let number = |value: f32| b.constant(&[value], &[1]);
    let (zero, one, half) = (number(0.0), number(1.0), number(0.5));
    let larger = number(BORDERED as f32 / SIDE as f32);
    let reach = b.mul(b.mul(b.sub(to.clone(), from), &half), &larger);
    let middle = b.mul(b.add(to.clone(), from), &half);
    // A cast cuts off towards 0.
    let whole = |x: Value| b.cast(&b.clamp(x, -FARTHEST, FARTHEST), DType::I64);
    let (first, last) = (whole(b.sub(middle.clone(), &reach)), whole(b.add(middle, &reach)));
    let unit = b.integers(&[1], &[1]);
    let pixels = b.max(&b.add(b.sub(last.clone(), &first), &unit), &unit);
    let scale = b.div(number(BORDERED as f32), &b.cast(&pixels, DType::F32));

    let pixel = b.counting(&b.reshape(length, &[]));
    let place = b.cast(&b.sub(pixel.clone(), &first), DType::F32);
    let at = b.sub(b.mul(b.add(place, &half), &scale), &half);
    let at = b.min(&b.max(&at, &zero), &number((BORDERED - 1) as f32));
    let parts: Vec<f32> = (1..=SIDE).map(|part| part as f32).collect();
    let apart = b.sub(b.reshape(&at, &[-1, 1]), &b.constant(&parts, &[1, SIDE]));
    let apart = b.same_as("Abs", &[Some(&apart)], vec![], &apart);
    let near = b.max(&b.sub(one, &apart), &zero);
    let bound = |op, end: &Value| b.counted(&b.compare(op, &pixel, end), DType::F32);
    let reached = b.mul(bound("GreaterOrEqual", &first), &bound("LessOrEqual", &last));
    b.mul(near, &b.reshape(&reached, &[-1, 1]))
}

/// `a` times `b`, two matrices.
fn product(b: &Builder, left: &Value, right: &Value) -> Value {
    let dims = vec![left.dims().first().copied().flatten(), right.dims().last().copied().flatten()];
    b.emit(Emit { op: "MatMul", inputs: &[Some(left), Some(right)], attributes: vec![], dtype: DType::F32, dims })
}
