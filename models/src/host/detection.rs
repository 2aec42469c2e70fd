//! What a detector answers, as tiles, metrics and servers exchange it.

/// A box that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// `x1 y1 x2 y2` in continuous pixels: 0 is the left (top) edge of the picture, its width (height) the right (bottom) one.
    pub corners: [f32; 4],
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Index into the labels.
    pub label: usize,
}

impl Detection {
    /// Area in pixels; 0 where a corner lies on the wrong side of the other.
    #[must_use]
    pub fn area(&self) -> f32 {
        let [x1, y1, x2, y2] = self.corners;
        (x2 - x1).max(0.0) * (y2 - y1).max(0.0)
    }

    /// Area in pixels that both cover.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> f32 {
        let ([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) = (self.corners, other.corners);
        (ax2.min(bx2) - ax1.max(bx1)).max(0.0) * (ay2.min(by2) - ay1.max(by1)).max(0.0)
    }

    /// Intersection over union; NaN where neither box has an area, which is above no threshold.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.intersection(other);
        shared / (self.area() + other.area() - shared)
    }
}
