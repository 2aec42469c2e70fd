//! Boxes as differences from reference boxes, which networks predict (Girshick et al., "Rich feature hierarchies",
//! CVPR 2014, appendix C), with the weights and the limit of torchvision.

use tch::Tensor;

/// The largest logarithm of a predicted size over a reference's: ln(1000 / 16), before `exp` overflows.
const LARGEST_LOG_RATIO: f64 = 4.135_166_556_742_356;

/// The factors on what is predicted.
#[derive(Clone, Copy, Debug)]
pub struct BoxCoder {
    /// On the centre's shift, in reference sizes.
    centre: f64,
    /// On the logarithm of the size's ratio.
    size: f64,
}

impl BoxCoder {
    /// Of anchors: RPN and RetinaNet.
    pub const ANCHOR: Self = Self { centre: 1.0, size: 1.0 };
    /// Of regions of interest.
    pub const REGION: Self = Self { centre: 10.0, size: 5.0 };

    /// What a network should predict for `references` to become `boxes`: dx, dy, dw, dh. Both `[..., 4]` with areas.
    pub fn encode(self, boxes: &Tensor, references: &Tensor) -> Tensor {
        let ((centre, size), (origin, unit)) = (centre_and_size(boxes), centre_and_size(references));
        let shift = (centre - origin) * self.centre / &unit;
        let growth = (size / unit).log() * self.size;
        Tensor::cat(&[shift, growth], -1)
    }

    /// The boxes that `deltas` make of `references`; both `[..., 4]`, broadcast against each other.
    pub fn decode(self, deltas: &Tensor, references: &Tensor) -> Tensor {
        let (origin, unit) = centre_and_size(references);
        let centre = deltas.narrow(-1, 0, 2) / self.centre * &unit + origin;
        let half = (deltas.narrow(-1, 2, 2) / self.size).clamp_max(LARGEST_LOG_RATIO).exp() * unit * 0.5;
        Tensor::cat(&[&centre - &half, centre + half], -1)
    }
}

fn centre_and_size(boxes: &Tensor) -> (Tensor, Tensor) {
    let low = boxes.narrow(-1, 0, 2);
    let size = boxes.narrow(-1, 2, 2) - &low;
    (low + &size * 0.5, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::detect::transfer::host;

    #[test]
    fn by_hand_and_back() {
        let reference = Tensor::from_slice(&[10.0, 20.0, 14.0, 28.0]).view([1, 4]);
        // Twice as wide, as high, moved by half a width to the right and a quarter of a height up.
        let object = Tensor::from_slice(&[10.0, 18.0, 18.0, 26.0]).view([1, 4]);
        let close =
            |t: &Tensor, expected: [f64; 4]| host::<f64>(t).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        let ln2 = std::f64::consts::LN_2;
        assert!(close(&BoxCoder::ANCHOR.encode(&object, &reference), [0.5, -0.25, ln2, 0.0]));
        assert!(close(&BoxCoder::REGION.encode(&object, &reference), [5.0, -2.5, 5.0 * ln2, 0.0]));
        for coder in [BoxCoder::ANCHOR, BoxCoder::REGION] {
            assert!(close(&coder.decode(&coder.encode(&object, &reference), &reference), [10.0, 18.0, 18.0, 26.0]));
        }
        let huge = BoxCoder::ANCHOR.decode(&Tensor::from_slice(&[0.0, 0.0, 99.0, 0.0]).view([1, 4]), &reference);
        assert!(close(&huge, [12.0 - 125.0, 20.0, 12.0 + 125.0, 28.0]), "4 px times 1000 / 16, around 12");
    }
}
