//! TrivialAugment (Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", 2021,
//! arXiv:2103.10158), the wide set: one change at random, at one of 31 strengths at random.

use models::host::{self, Affine, Rgb};

use super::rng::KeyedRng;

/// Strengths from which one is drawn.
const STRENGTHS: u64 = 31;

/// A change, at a share from 0 to 1 of its greatest strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Identity,
    ShearX,
    ShearY,
    ShiftX,
    ShiftY,
    Turn,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    Autocontrast,
    Equalize,
}

const CHANGES: [Change; 14] = [
    Change::Identity,
    Change::ShearX,
    Change::ShearY,
    Change::ShiftX,
    Change::ShiftY,
    Change::Turn,
    Change::Brightness,
    Change::Saturation,
    Change::Contrast,
    Change::Sharpness,
    Change::Posterize,
    Change::Solarize,
    Change::Autocontrast,
    Change::Equalize,
];

/// Changes an image at random; what moves in from outside of it is `fill`. Three draws are taken from `rng`.
pub(crate) fn augment(image: &mut Rgb, fill: [u8; 3], rng: &mut KeyedRng) {
    let change = CHANGES[rng.below(CHANGES.len() as u64) as usize];
    let share = rng.below(STRENGTHS) as f64 / (STRENGTHS - 1) as f64;
    let sign = if rng.chance(0.5) { -1.0 } else { 1.0 };
    change.apply(image, share, sign, fill);
}

impl Change {
    /// Makes the change; `sign`, 1 or -1, says in which direction, where there are two.
    fn apply(self, image: &mut Rgb, share: f64, sign: f64, fill: [u8; 3]) {
        let moved = |image: &mut Rgb, by: Affine| *image = host::affine(image, by, fill);
        let factor = (1.0 + sign * share * 0.99) as f32;
        match self {
            Self::Identity => {}
            Self::ShearX => moved(image, Affine::shear_x(sign * share * 0.99)),
            Self::ShearY => moved(image, Affine::shear_y(sign * share * 0.99)),
            Self::ShiftX => moved(image, Affine::shift((sign * share * 32.0).trunc(), 0.0)),
            Self::ShiftY => moved(image, Affine::shift(0.0, (sign * share * 32.0).trunc())),
            Self::Turn => {
                let turn = Affine::turn(sign * share * 135.0, image.width, image.height);
                moved(image, turn);
            }
            Self::Brightness => host::brightness(image, factor),
            Self::Saturation => host::saturation(image, factor),
            Self::Contrast => host::contrast(image, factor),
            Self::Sharpness => host::sharpness(image, factor),
            // Eight bits down to two.
            Self::Posterize => host::posterize(image, 8 - (share * 6.0).round_ties_even() as u32),
            Self::Solarize => host::solarize(image, (255.0 * (1.0 - share)).ceil() as u16),
            Self::Autocontrast => host::autocontrast(image),
            Self::Equalize => host::equalize(image),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Rgb {
        let mut rng = KeyedRng::new("picture", &[1]);
        Rgb { width: 40, height: 40, data: (0..40 * 40 * 3).map(|_| 20 + rng.below(200) as u8).collect() }
    }

    #[test]
    fn every_change_but_one_changes_and_strength_zero_of_a_direction_does_not() {
        for change in CHANGES {
            let apply = |share: f64, sign: f64| {
                let mut image = image();
                change.apply(&mut image, share, sign, [0; 3]);
                image
            };
            assert_eq!(apply(1.0, 1.0) == image(), change == Change::Identity, "{change:?}");
            let has_strength = !matches!(change, Change::Autocontrast | Change::Equalize);
            assert_eq!(apply(0.0, 1.0) == image(), has_strength, "{change:?} at strength 0");
        }
    }

    #[test]
    fn all_changes_are_drawn() {
        let made: std::collections::BTreeSet<Vec<u8>> = (0..400)
            .map(|key| {
                let mut image = image();
                augment(&mut image, [0; 3], &mut KeyedRng::new("augment", &[key]));
                image.data
            })
            .collect();
        // Eleven changes have 31 strengths, most of them in two directions, the others one or none.
        assert!(made.len() > 200, "{}", made.len());
    }
}
