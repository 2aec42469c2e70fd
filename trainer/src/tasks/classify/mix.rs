//! Training on mixtures of two images: mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017,
//! arXiv:1710.09412) and CutMix (Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
//! Features", 2019, arXiv:1905.04899).
//!
//! The loss is linear in the targets, so the loss of mixed targets is the mixture of the losses of both. That holds for
//! one class per image and for several alike.

use schemas::Settings;
use tch::{Kind, Tensor};

use crate::tasks::task::Step;
use dataset::KeyedRng;

/// How images of a batch are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixing {
    mixup: f64,
    cutmix: f64,
}

/// A batch in which each image is a mixture with the one before it.
pub struct Mixed {
    /// `[N, h, w, 3]`, values as before.
    pub images: Tensor,
    /// Share of the image itself, 0 to 1.
    pub own: f64,
}

impl Mixing {
    /// What the settings ask for, if anything.
    #[must_use]
    pub fn of(settings: &Settings) -> Option<Self> {
        let mixing = Self { mixup: settings.mixup, cutmix: settings.cutmix };
        (mixing.mixup > 0.0 || mixing.cutmix > 0.0).then_some(mixing)
    }

    /// Mixes `images`, `[N, h, w, 3]`, in one way for all, which depends on the step alone.
    #[must_use]
    pub fn mix(&self, images: &Tensor, step: &Step) -> Mixed {
        let mut rng = KeyedRng::new("mix", &[step.seed, u64::from(step.epoch), step.batch as u64]);
        let is_cut = if self.mixup > 0.0 && self.cutmix > 0.0 { rng.chance(0.5) } else { self.cutmix > 0.0 };
        let own = rng.beta(if is_cut { self.cutmix } else { self.mixup });
        if is_cut { cut(images, own, &mut rng) } else { blend(images, own) }
    }
}

impl Mixed {
    /// The loss of the mixture, where `loss` gives that of targets; `targets` has a row for each image.
    pub fn loss(&self, targets: &Tensor, loss: impl Fn(&Tensor) -> Tensor) -> Tensor {
        loss(targets) * self.own + loss(&before(targets)) * (1.0 - self.own)
    }
}

/// Of each row the one before it, the last for the first.
fn before(rows: &Tensor) -> Tensor {
    rows.roll([1], [0])
}

fn blend(images: &Tensor, own: f64) -> Mixed {
    let images = images.to_kind(Kind::Float);
    Mixed { images: &images * own + before(&images) * (1.0 - own), own }
}

/// The rectangle has the shape of the image and lies anywhere; what of it is outside is lost, so that the share is that of
/// the pixels.
fn cut(images: &Tensor, own: f64, rng: &mut KeyedRng) -> Mixed {
    let size = images.size();
    let side = (1.0 - own).sqrt();
    let mut span = |length: i64| {
        let (centre, half) = (rng.below(length as u64) as i64, (length as f64 * side / 2.0) as i64);
        let (from, to) = ((centre - half).max(0), (centre + half).min(length));
        (from, to - from)
    };
    let ((top, high), (left, wide)) = (span(size[1]), span(size[2]));
    let part = |t: &Tensor| t.narrow(1, top, high).narrow(2, left, wide);
    let mixed = images.copy();
    part(&mixed).copy_(&part(&before(images)));
    Mixed { images: mixed, own: 1.0 - (high * wide) as f64 / (size[1] * size[2]) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::network::Arithmetic;

    fn step(batch: usize) -> Step {
        Step { arithmetic: Arithmetic::Fp32, seed: 1, epoch: 2, batch }
    }

    /// Three images of one value each: 0, 100, 200.
    fn images() -> Tensor {
        (Tensor::arange(3, (Kind::Uint8, tch::Device::Cpu)) * 100).view([3, 1, 1, 1]).repeat([1, 20, 30, 3])
    }

    fn means(images: &Tensor) -> Vec<f64> {
        Vec::try_from(images.to_kind(Kind::Double).mean_dim([1_i64, 2, 3].as_slice(), false, None::<Kind>)).unwrap()
    }

    #[test]
    fn pixels_and_losses_are_mixed_by_the_same_share() {
        for mixing in [Mixing { mixup: 0.4, cutmix: 0.0 }, Mixing { mixup: 0.0, cutmix: 1.0 }] {
            let mut shares = Vec::new();
            for batch in 0..50 {
                let mixed = mixing.mix(&images(), &step(batch));
                let expected = [200.0, 0.0, 100.0].iter().zip([0.0, 100.0, 200.0]);
                for (mean, (before, own)) in means(&mixed.images).iter().zip(expected) {
                    assert!((mean - (own * mixed.own + before * (1.0 - mixed.own))).abs() < 1e-3, "{mean}");
                }
                let loss = mixed.loss(&Tensor::from_slice(&[1_i64, 2, 4]), |t| t.to_kind(Kind::Double));
                let loss = Vec::<f64>::try_from(loss).unwrap();
                let rest = 1.0 - mixed.own;
                for (got, (own, before)) in loss.iter().zip([(1.0, 4.0), (2.0, 1.0), (4.0, 2.0)]) {
                    assert!((got - (own * mixed.own + before * rest)).abs() < 1e-9);
                }
                shares.push(mixed.own);
            }
            assert!(shares.iter().any(|&s| s < 0.4) && shares.iter().any(|&s| s > 0.6), "{shares:?}");
            assert_eq!(mixing.mix(&images(), &step(3)).own, mixing.mix(&images(), &step(3)).own);
        }
    }

    #[test]
    fn both_take_turns_and_neither_is_nothing() {
        assert_eq!(Mixing::of(&Settings::default()), None);
        let both = Mixing { mixup: 1.0, cutmix: 1.0 };
        // CutMix leaves bytes, mixup makes floats.
        let cuts = (0..100).filter(|&b| both.mix(&images(), &step(b)).images.kind() == Kind::Uint8).count();
        assert!((30..70).contains(&cuts), "{cuts} of 100");
    }
}
