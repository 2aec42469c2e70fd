//! Which object a box answers for, by intersection over union (Ren et al., "Faster R-CNN", NeurIPS 2015, section 3.1.2).

use tch::{Kind, Tensor};

/// A box that answers for no object.
pub const BACKGROUND: i64 = -1;
/// A box that is neither near enough to an object nor far enough from all of them: it does not count.
pub const IGNORED: i64 = -2;

/// The limits of a match.
#[derive(Clone, Copy, Debug)]
pub struct Matcher {
    /// From this IoU on, a box answers for the object that it overlaps most.
    foreground: f64,
    /// Below this IoU with every object, it is background.
    background: f64,
    /// Whether the best boxes of each object answer for the object that they overlap most, however little that is.
    keeps_best: bool,
}

impl Matcher {
    /// Of a region proposal network.
    pub const RPN: Self = Self { foreground: 0.7, background: 0.3, keeps_best: true };
    /// Of regions of interest.
    pub const ROI: Self = Self { foreground: 0.5, background: 0.5, keeps_best: false };
    /// Of RetinaNet.
    pub const RETINANET: Self = Self { foreground: 0.5, background: 0.4, keeps_best: true };

    /// For each box the index of its object, [`BACKGROUND`] or [`IGNORED`]: int64 `[P]` for IoUs `[M, P]`.
    ///
    /// Of objects that a box overlaps alike the first wins. Boxes that tie for an object's best all keep it; none does
    /// when no box overlaps the object at all (torchvision then takes every box in the batch, which helps nobody).
    pub fn matches(self, iou: &Tensor) -> Tensor {
        let (objects, count) = match iou.size()[..] {
            [objects, count] => (objects, count),
            _ => (0, 0),
        };
        if objects == 0 || count == 0 {
            return Tensor::full([count], BACKGROUND, (Kind::Int64, iou.device()));
        }
        let (quality, object) = iou.max_dim(0, false);
        let mut kept = quality.ge(self.foreground);
        if self.keeps_best {
            let best = iou.amax(1, true);
            let tied = iou.eq_tensor(&best).logical_and(&best.gt(0.0));
            kept = kept.logical_or(&tied.any_dim(0, false));
        }
        // -1 below the background limit, -2 from it on.
        let unmatched = quality.ge(self.background).to_kind(Kind::Int64).neg() + BACKGROUND;
        object.where_self(&kept, &unmatched)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::tasks::detect::transfer::host;

    fn matches(matcher: Matcher, iou: &[[f64; 6]]) -> Vec<i64> {
        host(&matcher.matches(&Tensor::from_slice(iou.as_flattened()).view([-1, 6])))
    }

    #[test]
    fn limits_and_best_boxes() {
        let iou = [[0.7, 0.69, 0.3, 0.29, 0.0, 0.9], [0.8, 0.2, 0.0, 0.25, 0.25, 0.0]];
        // The second object's best box is box 0, which is far above the limit anyway.
        assert_eq!(matches(Matcher::RPN, &iou), [1, IGNORED, IGNORED, BACKGROUND, BACKGROUND, 0]);
        assert_eq!(matches(Matcher::ROI, &iou), [1, 0, BACKGROUND, BACKGROUND, BACKGROUND, 0]);
        assert_eq!(
            matches(Matcher::RETINANET, &[[0.5, 0.49, 0.4, 0.39, 0.0, 0.1]]),
            [0, IGNORED, IGNORED, BACKGROUND, BACKGROUND, BACKGROUND]
        );
    }

    #[test]
    fn an_object_that_nothing_overlaps_much_keeps_its_best_boxes() {
        // Boxes 3 and 4 tie for the second object, but box 3 overlaps the first more and answers for that.
        let iou = [[0.9, 0.0, 0.0, 0.26, 0.0, 0.0], [0.0, 0.1, 0.0, 0.25, 0.25, 0.0]];
        assert_eq!(matches(Matcher::RPN, &iou), [0, BACKGROUND, BACKGROUND, 0, 1, BACKGROUND]);
        // An object outside of every box keeps none.
        assert_eq!(matches(Matcher::RPN, &[[0.0; 6]]), [BACKGROUND; 6]);
    }

    #[test]
    fn nothing_to_match() {
        assert_eq!(matches(Matcher::RPN, &[]), [BACKGROUND; 6]);
        let no_boxes = Tensor::zeros([3, 0], (Kind::Float, Device::Cpu));
        assert_eq!(Matcher::RPN.matches(&no_boxes).size(), [0]);
    }
}
