//! An image as the measures want it.

use super::given::{Found, ImageResult, Masks, Shapes, Truth};
use super::overlap::{Overlaps, area};

/// An image as the measures want it.
pub(super) struct View<'a> {
    pub truth: &'a [Truth],
    /// By falling score, equals in the given order; finite, and at most so many as are asked for.
    pub found: Vec<Found>,
    /// Index of each into what was given.
    pub order: Vec<usize>,
    /// Of each of `found`.
    pub overlaps: Overlaps,
    /// Square pixels of each of `truth`.
    pub truth_areas: Vec<f64>,
    /// Square pixels of each of `found`.
    pub found_areas: Vec<f64>,
    /// Boxes with a corner or score that is not finite.
    pub unusable: u64,
}

impl<'a> View<'a> {
    pub fn new(image: &'a ImageResult, max_detections: usize, shapes: Shapes) -> Self {
        let finite = |one: &Found| one.score.is_finite() && one.corners.iter().all(|corner| corner.is_finite());
        // Adding zero makes one value of 0 and -0, which the order would tell apart.
        let score = |index: usize| image.found[index].score + 0.0;
        let mut order: Vec<usize> = (0..image.found.len()).filter(|&index| finite(&image.found[index])).collect();
        let unusable = (image.found.len() - order.len()) as u64;
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        order.truncate(max_detections);
        let found: Vec<Found> =
            order.iter().map(|&index| Found { score: score(index), ..image.found[index] }).collect();
        let nothing = Masks::default();
        let (overlaps, truth_areas, found_areas) = match shapes {
            Shapes::Boxes => {
                let truth_areas = image.truth.iter().map(|one| area(&one.corners)).collect();
                let found_areas = found.iter().map(|one| area(&one.corners)).collect();
                (Overlaps::of_boxes(&image.truth, found.iter()), truth_areas, found_areas)
            }
            Shapes::Masks => {
                let masks = image.masks.as_ref().unwrap_or(&nothing);
                let pixels = |all: &[u64], index: usize| all.get(index).copied().unwrap_or(0) as f64;
                let truth_areas = (0..image.truth.len()).map(|index| pixels(&masks.truth, index)).collect();
                let found_areas = order.iter().map(|&index| pixels(&masks.found, index)).collect();
                (Overlaps::of_masks(&image.truth, masks, &order), truth_areas, found_areas)
            }
        };
        Self { truth: &image.truth, found, order, overlaps, truth_areas, found_areas, unusable }
    }
}
