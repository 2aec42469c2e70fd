//! Anchors: the boxes that a dense head's offsets are relative to.

use crate::ops::{DType, Ops};

/// Ratios of height to width, as torchvision has them.
pub const RATIOS: [f32; 3] = [0.5, 1.0, 2.0];

/// What a dense head says about one level, and the anchors it speaks of. Anchors are ordered by row, column and base.
#[derive(Clone, Debug)]
pub struct Level<T> {
    /// Logits: `[N, A]` (object or not), or `[N, A, K]` for classes.
    pub logits: T,
    /// `[N, A, 4]`, as [`super::coder::decode`] takes them.
    pub deltas: T,
    /// `[A, 4]`, `xyxy` in pixels of the prepared image.
    pub anchors: T,
}

/// All levels one after the other: `logits [N, ΣA]` or `[N, ΣA, K]`, `deltas [N, ΣA, 4]`, `anchors [ΣA, 4]`.
pub fn join<B: Ops>(o: &B, levels: &[Level<B::T>]) -> Level<B::T> {
    let all = |part: fn(&Level<B::T>) -> &B::T, axis: i64| o.concat(&levels.iter().map(part).collect::<Vec<_>>(), axis);
    Level { logits: all(|l| &l.logits, 1), deltas: all(|l| &l.deltas, 1), anchors: all(|l| &l.anchors, 0) }
}

/// Anchors around the origin, ratios outside and `sizes` inside, corners rounded to whole pixels (half to even).
#[must_use]
pub fn bases(sizes: &[f32]) -> Vec<[f32; 4]> {
    let base = |ratio: f32, size: f32| {
        let stretch = ratio.sqrt();
        let (half_width, half_height) = (1.0 / stretch * size / 2.0, stretch * size / 2.0);
        let (x, y) = (half_width.round_ties_even(), half_height.round_ties_even());
        [-x, -y, x, y]
    };
    RATIOS.iter().flat_map(|ratio| sizes.iter().map(|size| base(*ratio, *size))).collect()
}

/// `bases` at every cell of `map [N, C, H, W]`: `[H * W * bases, 4]`, moved by whole strides, which are the image's
/// length over the map's, rounded down.
pub fn grid<B: Ops>(o: &B, images: &B::T, map: &B::T, bases: &[[f32; 4]]) -> B::T {
    let strides = o.div(o.lengths(images, &[3, 2]), &o.lengths(map, &[3, 2]));
    let shifts = o.mul(o.meshgrid(map), &o.cast(&strides, DType::F32));
    let shifts = o.reshape(&o.concat(&[&shifts, &shifts], 1), &[-1, 1, 4]);
    let count = i64::try_from(bases.len()).unwrap_or(i64::MAX);
    let bases = o.constant(bases.as_flattened(), &[1, count, 4]);
    o.reshape(&o.add(shifts, &bases), &[-1, 4])
}

/// The outputs of a dense head, `[N, A * last, H, W]`, one row for each anchor: `[N, H * W * A, last]`.
pub fn rows<B: Ops>(o: &B, map: &B::T, last: i64) -> B::T {
    o.reshape(&o.transpose(map, &[0, 2, 3, 1]), &[0, -1, last])
}

/// The anchors of every image of a batch as large as `like [N, ..]`: `[A, 4]` to `[N, A, 4]`.
pub fn of_each<B: Ops>(o: &B, anchors: &B::T, like: &B::T) -> B::T {
    o.repeat(&o.reshape(anchors, &[1, -1, 4]), like)
}

#[cfg(test)]
mod tests {
    use super::bases;

    #[test]
    fn bases_are_torchvisions() {
        assert_eq!(bases(&[32.0]), [[-23., -11., 23., 11.], [-16., -16., 16., 16.], [-11., -23., 11., 23.]]);
        // A side of 101: half of it, 50.5, goes to the even neighbour.
        assert_eq!(bases(&[64.0, 80.0, 101.0])[5], [-50., -50., 50., 50.]);
    }
}
