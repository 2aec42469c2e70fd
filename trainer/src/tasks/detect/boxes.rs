//! Arithmetic on boxes.

use std::f64::consts::PI;

use tch::Tensor;

/// Keeps the divisions of CIoU away from 0; YOLOv5's value.
const EPSILON: f64 = 1e-7;

/// The area of boxes `[..., 4]`: `[...]`, square pixels.
pub fn area(boxes: &Tensor) -> Tensor {
    let size = boxes.narrow(-1, 2, 2) - boxes.narrow(-1, 0, 2);
    size.select(-1, 0) * size.select(-1, 1)
}

/// Intersection over union of every box of `a` `[M, 4]` with every box of `b` `[P, 4]`: `[M, P]` in [0, 1].
///
/// Not a number where both have no area. The order of operations is torchvision's, so the values are the same bits.
pub fn iou_matrix(a: &Tensor, b: &Tensor) -> Tensor {
    let along = |axis: i64| {
        let (low, high) = (axis, axis + 2);
        let end = a.select(1, high).unsqueeze(1).minimum(&b.select(1, high));
        (end - a.select(1, low).unsqueeze(1).maximum(&b.select(1, low))).clamp_min_(0.0)
    };
    let intersection = along(0) * along(1);
    let union = (area(a).unsqueeze(1) + area(b)) - &intersection;
    intersection / union
}

/// Boxes cut at the edges of an image, `[..., 4]`.
pub fn clip(boxes: &Tensor, height: f64, width: f64) -> Tensor {
    let xs = boxes.slice(-1, 0, None, 2).clamp(0.0, width);
    let ys = boxes.slice(-1, 1, None, 2).clamp(0.0, height);
    Tensor::stack(&[xs, ys], -1).flatten(-2, -1)
}

/// Boxes as centres and sizes, in any unit.
pub struct CentreSize {
    /// `[n, 2]`: x, y.
    pub centre: Tensor,
    /// `[n, 2]`: width, height; positive.
    pub size: Tensor,
}

impl CentreSize {
    /// The two corners, `[n, 2]` each.
    fn corners(&self) -> (Tensor, Tensor) {
        let half = &self.size * 0.5;
        (&self.centre - &half, &self.centre + half)
    }
}

/// Complete intersection over union of pairs of boxes: `[n]` in (-2, 1] (Zheng et al., "Distance-IoU loss", AAAI 2020,
/// equations 7 to 11): the IoU less the squared distance of the centres over that of the hull's corners, less the
/// difference of the shapes, whose weight counts as a constant in the gradient.
pub fn ciou(a: &CentreSize, b: &CentreSize) -> Tensor {
    let ((a_low, a_high), (b_low, b_high)) = (a.corners(), b.corners());
    let area = |size: &Tensor| size.select(1, 0) * size.select(1, 1);
    let intersection = area(&(a_high.minimum(&b_high) - a_low.maximum(&b_low)).clamp_min(0.0));
    let union = area(&a.size) + area(&b.size) - &intersection + EPSILON;
    let iou = intersection / union;
    let diagonal = (a_high.maximum(&b_high) - a_low.minimum(&b_low)).square().sum_dim_intlist(1, false, None) + EPSILON;
    let distance = (&b.centre - &a.centre).square().sum_dim_intlist(1, false, None);
    let angle = |size: &Tensor| (size.select(1, 0) / size.select(1, 1)).atan();
    let shape = (angle(&b.size) - angle(&a.size)).square() * (4.0 / (PI * PI));
    let weight = tch::no_grad(|| &shape / (&shape - &iou + (1.0 + EPSILON)));
    iou - (distance / diagonal + shape * weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::detect::transfer::host;

    fn boxes(values: &[[f64; 4]]) -> Tensor {
        Tensor::from_slice(values.as_flattened()).view([-1, 4])
    }

    #[test]
    fn iou_by_hand() {
        let a = boxes(&[[0.0, 0.0, 4.0, 2.0], [10.0, 10.0, 12.0, 12.0]]);
        let b = boxes(&[[0.0, 0.0, 4.0, 2.0], [2.0, 1.0, 6.0, 3.0], [4.0, 0.0, 8.0, 2.0], [11.0, 11.0, 11.0, 11.0]]);
        assert_eq!(host::<f64>(&iou_matrix(&a, &b)), [1.0, 2.0 / 14.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(iou_matrix(&a, &b.narrow(0, 0, 0)).size(), [2, 0]);
        assert_eq!(iou_matrix(&a.narrow(0, 0, 0), &b).size(), [0, 4]);
    }

    #[test]
    fn clipping_by_hand() {
        let clipped = clip(&boxes(&[[-1.0, 2.0, 30.0, 40.0], [50.0, -5.0, 60.0, -1.0]]), 10.0, 20.0);
        assert_eq!(host::<f64>(&clipped), [0.0, 2.0, 20.0, 10.0, 20.0, 0.0, 20.0, 0.0]);
    }

    #[test]
    fn ciou_by_hand() {
        let shape = |x: f64, y: f64, w: f64, h: f64| CentreSize {
            centre: Tensor::from_slice(&[x, y]).view([1, 2]),
            size: Tensor::from_slice(&[w, h]).view([1, 2]),
        };
        let value = |a, b| host::<f64>(&ciou(&a, &b))[0];
        assert!((value(shape(3.0, 4.0, 2.0, 5.0), shape(3.0, 4.0, 2.0, 5.0)) - 1.0).abs() < 1e-6);
        // Squares of side 2, side by side: no overlap, centres 2 apart, hull 4 x 2.
        assert!((value(shape(0.0, 0.0, 2.0, 2.0), shape(2.0, 0.0, 2.0, 2.0)) + 4.0 / 20.0).abs() < 1e-6);
        // Same centre, 4 x 1 and 2 x 2: IoU 2/6; the shapes differ by v, weighted by v / (v - IoU + 1).
        let v = 4.0 / (PI * PI) * (4.0f64.atan() - 1.0f64.atan()).powi(2);
        let expected = 1.0 / 3.0 - v * v / (v - 1.0 / 3.0 + 1.0);
        assert!((value(shape(1.0, 1.0, 4.0, 1.0), shape(1.0, 1.0, 2.0, 2.0)) - expected).abs() < 1e-6);
    }
}
