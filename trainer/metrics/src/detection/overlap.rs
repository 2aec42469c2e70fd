//! How much found boxes cover true ones.

use super::given::{Found, Masks, Shared, Truth};

/// A box as COCO's tools keep it. The far edges are computed as `left + width`, which in floating point need not be the
/// corner they came from: an overlap that lies exactly on a threshold then falls on the same side as in pycocotools.
#[derive(Clone, Copy)]
struct Extent {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Extent {
    fn of(corners: &[f64; 4]) -> Self {
        let [left, top, right, bottom] = *corners;
        Self { left, top, width: right - left, height: bottom - top }
    }

    fn area(self) -> f64 {
        self.width * self.height
    }

    fn intersection(self, other: Self) -> f64 {
        let width = (self.left + self.width).min(other.left + other.width) - self.left.max(other.left);
        let height = (self.top + self.height).min(other.top + other.height) - self.top.max(other.top);
        if width > 0.0 && height > 0.0 { width * height } else { 0.0 }
    }
}

/// Area of a box in square pixels.
pub(super) fn area(corners: &[f64; 4]) -> f64 {
    Extent::of(corners).area()
}

/// Intersection over union of two boxes; 0 where they share nothing.
pub(super) fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let (a, b) = (Extent::of(a), Extent::of(b));
    let shared = a.intersection(b);
    if shared > 0.0 { shared / (a.area() + b.area() - shared) } else { 0.0 }
}

/// A true object that a found one covers in part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Overlap {
    /// Index into the image's truth.
    pub truth: usize,
    /// Above 0, at most 1: intersection over union, for a crowd intersection over the area of the found object.
    pub iou: f64,
}

/// For each found object of an image the true ones of any class that it covers in part, in the order of the truth.
pub(super) struct Overlaps {
    ends: Vec<usize>,
    all: Vec<Overlap>,
}

impl Overlaps {
    /// Of boxes.
    pub fn of_boxes<'a>(truth: &[Truth], found: impl Iterator<Item = &'a Found>) -> Self {
        let extents: Vec<Extent> = truth.iter().map(|one| Extent::of(&one.corners)).collect();
        let (mut ends, mut all) = (Vec::new(), Vec::new());
        for one in found {
            let found = Extent::of(&one.corners);
            for (index, (&extent, truth)) in extents.iter().zip(truth).enumerate() {
                let shared = found.intersection(extent);
                // `min` and `max` pass over a NaN; the area does not.
                if shared > 0.0 && extent.area().is_finite() {
                    let whole = if truth.is_crowd { found.area() } else { found.area() + extent.area() - shared };
                    all.push(Overlap { truth: index, iou: shared / whole });
                }
            }
            ends.push(all.len());
        }
        Self { ends, all }
    }

    /// Of masks; those found are looked at in this `order`.
    pub fn of_masks(truth: &[Truth], masks: &Masks, order: &[usize]) -> Self {
        let mut of_each: Vec<Vec<Overlap>> = vec![Vec::new(); masks.found.len()];
        for &Shared { found, truth: index, pixels } in &masks.shared {
            let (area, true_area) = (masks.found[found], masks.truth[index]);
            let whole = if truth[index].is_crowd { area } else { area + true_area - pixels };
            of_each[found].push(Overlap { truth: index, iou: pixels as f64 / whole as f64 });
        }
        let (mut ends, mut all) = (Vec::new(), Vec::new());
        for &found in order {
            let mut own = of_each.get(found).cloned().unwrap_or_default();
            own.sort_by_key(|overlap| overlap.truth);
            all.extend(own);
            ends.push(all.len());
        }
        Self { ends, all }
    }

    /// Those of the found object at `place`.
    pub fn of(&self, place: usize) -> &[Overlap] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.all[start..self.ends[place]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_overlaps() {
        let truth = |corners, is_crowd| Truth { corners, class: 0, is_crowd };
        let found = Found { corners: [0.0, 0.0, 10.0, 10.0], class: 0, score: 1.0 };
        let truth = [
            truth([0.0, 0.0, 10.0, 10.0], false),
            truth([5.0, 0.0, 15.0, 10.0], false),
            truth([5.0, 0.0, 15.0, 10.0], true),
            truth([10.0, 0.0, 20.0, 10.0], false), // touches
            truth([5.0, 5.0, 5.0, 5.0], false),    // no area
            truth([8.0, 8.0, 2.0, 2.0], false),    // inside out
            truth([f64::NAN, 0.0, 10.0, 10.0], false),
            truth([0.0, 0.0, f64::INFINITY, 10.0], true),
        ];
        let overlaps = Overlaps::of_boxes(&truth, [found, found].iter());
        let expected = [(0, 1.0), (1, 50.0 / 150.0), (2, 0.5)];
        for place in 0..2 {
            let pairs: Vec<_> = overlaps.of(place).iter().map(|one| (one.truth, one.iou)).collect();
            assert_eq!(pairs, expected);
        }
    }

    /// What pycocotools' `mask.iou` gives, to the bit. From the corners themselves these would be 0.75, 0.6 and 0.7: hits at
    /// thresholds at which pycocotools has none.
    #[test]
    fn falls_on_the_side_of_a_threshold_that_pycocotools_has() {
        let cases = [
            (3.0, [4.0, 393.0, 12.0, 401.0], [4.0, 393.0, 10.0, 401.0], 0.749_999_999_999_999_8),
            (7.0, [2.0, 256.0, 10.0, 264.0], [4.0, 256.0, 12.0, 264.0], 0.599_999_999_999_999_9),
            (7.0, [4.0, 543.0, 24.0, 563.0], [4.0, 543.0, 18.0, 563.0], 0.699_999_999_999_999_8),
        ];
        for (unit, truth, found, iou) in cases {
            let truth = [Truth { corners: truth.map(|edge: f64| edge / unit), class: 0, is_crowd: false }];
            let found = [Found { corners: found.map(|edge: f64| edge / unit), class: 0, score: 1.0 }];
            assert_eq!(Overlaps::of_boxes(&truth, found.iter()).of(0), [Overlap { truth: 0, iou }]);
        }
    }
}
