//! An image as the measures want it.

use super::given::{Found, ImageResult, Truth};
use super::overlap::Overlaps;

/// An image as the measures want it.
pub(super) struct View<'a> {
    pub truth: &'a [Truth],
    /// By falling score, equals in the given order; finite, and at most so many as are asked for.
    pub found: Vec<Found>,
    /// Index of each into what was given.
    pub order: Vec<usize>,
    /// Of each of `found`.
    pub overlaps: Overlaps,
    /// Boxes with a corner or score that is not finite.
    pub unusable: u64,
}

impl<'a> View<'a> {
    pub fn new(image: &'a ImageResult, max_detections: usize) -> Self {
        let finite = |one: &Found| one.score.is_finite() && one.corners.iter().all(|corner| corner.is_finite());
        // Adding zero makes one value of 0 and -0, which the order would tell apart.
        let score = |index: usize| image.found[index].score + 0.0;
        let mut order: Vec<usize> = (0..image.found.len()).filter(|&index| finite(&image.found[index])).collect();
        let unusable = (image.found.len() - order.len()) as u64;
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        order.truncate(max_detections);
        let found: Vec<Found> =
            order.iter().map(|&index| Found { score: score(index), ..image.found[index] }).collect();
        let overlaps = Overlaps::new(&image.truth, found.iter());
        Self { truth: &image.truth, found, order, overlaps, unusable }
    }
}
