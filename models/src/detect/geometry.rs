//! Where the images of a batch lie in the network's input, and the way back: the rule of [`schemas::Fit`] in whole
//! numbers, as `host::Placement` has it for one image.

use schemas::Fit;

use super::scalar::scalar;
use crate::ops::{DType, Ops};

/// Where each image lies.
#[derive(Clone, Debug)]
pub struct Placement<T> {
    /// I64 `[N, 2]`: height and width of the resized image.
    pub inner: T,
    /// I64 `[N, 2]` or `[1, 2]`: first row and column of the resized image in the input; negative where it is cut.
    pub offset: T,
}

/// Where images of these `sizes` (I64 `[N, 2]`, height and width, at least 1) lie.
pub fn placement<B: Ops>(o: &B, sizes: &B::T, fit: &Fit) -> Placement<B::T> {
    let int = |value: u32| o.integers(&[i64::from(value)], &[1, 1]);
    let (height, width) = (o.slice(sizes, 1, 0, 1), o.slice(sizes, 1, 1, 2));
    let (short, long) = (o.min(&height, &width), o.max(&height, &width));
    let scaled = |to: &B::T| o.mul(sizes.clone(), to);
    match *fit {
        Fit::Letterbox { side } => {
            let up = o.sub(long.clone(), &int(1));
            let inner = o.max(&o.div(o.add(scaled(&int(side)), &up), &long), &int(1));
            let rest = o.sub(next_multiple(o, &inner), &inner);
            Placement { offset: o.div(rest, &int(2)), inner }
        }
        Fit::Shorter { min_size, max_size } => {
            // 1 where the shorter side decides, else 0; then `to / of` is the factor.
            let reach = |limit: u32, side: &B::T| o.mul(side.clone(), &int(limit));
            let fits = o.cast(&o.greater_equal(&reach(max_size, &short), &reach(min_size, &long)), DType::I64);
            let choose = |yes: &B::T, no: &B::T| o.add(o.mul(o.sub(yes.clone(), no), &fits), no);
            let (to, of) = (choose(&int(min_size), &int(max_size)), choose(&short, &long));
            let inner = o.max(&o.div(scaled(&to), &of), &int(1));
            Placement { inner, offset: o.integers(&[0, 0], &[1, 2]) }
        }
        Fit::Crop { resize, crop } => {
            let inner = o.div(scaled(&int(resize)), &short);
            let rest = o.sub(inner.clone(), &int(crop));
            let half = |x: &B::T| o.div(x.clone(), &int(2));
            let odd = |x: &B::T| o.sub(x.clone(), &o.mul(half(x), &int(2)));
            // Half of an odd number lies between two offsets: the even one.
            let cut = o.add(o.mul(odd(&rest), &odd(&half(&rest))), &half(&rest));
            Placement { inner, offset: o.sub(int(0), &cut) }
        }
    }
}

fn next_multiple<B: Ops>(o: &B, x: &B::T) -> B::T {
    let multiple = o.integers(&[i64::from(schemas::STRIDE)], &[1, 1]);
    let up = o.integers(&[i64::from(schemas::STRIDE) - 1], &[1, 1]);
    o.mul(o.div(o.add(x.clone(), &up), &multiple), &multiple)
}

/// Boxes F32 `[N, D, 4]` in pixels of the input as pixels of the originals, clipped to them.
pub fn to_original<B: Ops>(o: &B, boxes: &B::T, place: &Placement<B::T>, sizes: &B::T) -> B::T {
    let float = |x: &B::T| o.cast(x, DType::F32);
    let size = float(sizes);
    let shifted = o.sub(boxes.clone(), &corners(o, &float(&place.offset)));
    let scaled = o.div(o.mul(shifted, &corners(o, &size)), &corners(o, &float(&place.inner)));
    clip(o, &scaled, &size)
}

/// Boxes F32 `[N, D, 4]` cut at the edges of images of these `sizes`, F32 `[N, 2]` (height and width).
pub fn clip<B: Ops>(o: &B, boxes: &B::T, sizes: &B::T) -> B::T {
    o.max(&o.min(boxes, &corners(o, sizes)), &scalar(o, 0.0))
}

/// `[N, 2]` (vertical, horizontal) beside boxes: `[N, 1, 4]` (horizontal, vertical, horizontal, vertical).
pub fn corners<B: Ops>(o: &B, pairs: &B::T) -> B::T {
    let (y, x) = (o.slice(pairs, 1, 0, 1), o.slice(pairs, 1, 1, 2));
    o.reshape(&o.concat(&[&x, &y, &x, &y], 1), &[-1, 1, 4])
}
