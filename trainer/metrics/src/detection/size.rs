//! Sizes of objects.

use super::given::Truth;
use super::overlap::area;

/// Names of the sizes of objects.
pub const SIZES: [&str; 3] = ["small", "medium", "large"];

/// Index into [`SIZES`]: small is below 32 x 32 pixels, large from 96 x 96. A size belongs to one of them, where COCO's ranges share their limits.
pub fn size_of(truth: &Truth) -> usize {
    size_of_area(area(&truth.corners))
}

/// As [`size_of`], of an area in square pixels.
pub fn size_of_area(area: f64) -> usize {
    if area < 1024.0 {
        0
    } else if area < 9216.0 {
        1
    } else {
        2
    }
}
