//! Whether a provider reproduces the processor's answers: both are given the same made images.
//!
//! A model file holds no images, so they are drawn: smooth colours with blocks on them, a function of the place alone. Detectors
//! are asked for everything they see, above a score of 0 and without suppression, because a drawn image holds no object and a
//! suppressed box would hang on a difference in the last digit of another one.
//!
//! A `whole` model is given images larger than its own side, so that it has to resize them: providers differ in that more than in
//! anything else, and at the model's own side there would be nothing to see of it.

use std::fmt;

use ndarray::Array4;
use schemas::Form;
use schemas::prediction::{Detection, Thresholds};

use crate::describe::Outputs;
use crate::model::Model;
use crate::{Overrides, RuntimeError};

/// Images that are run, as one batch. No power of two, so that a padded batch is among what is compared.
pub(crate) const IMAGES: usize = 3;
/// Largest accepted difference in a probability or a score.
pub const SCORE_LIMIT: f32 = 1e-3;
/// Largest accepted difference in a corner of a box, in pixels.
pub const CORNER_LIMIT: f32 = 0.5;
/// Share of boxes that may lack a partner: proposals that a two-stage detector suppresses inside, and boxes at the end of its list.
pub const MISSING_SHARE: f64 = 0.05;
/// Pixels along the side of a block.
const BLOCK: usize = 24;

/// How well two answers agree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Probabilities or boxes that were compared.
    pub compared: usize,
    /// Boxes that the other answer lacks.
    pub missing: usize,
    /// Largest difference in a probability or a score.
    pub score: f32,
    /// Largest difference in a corner, in pixels.
    pub corner: f32,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, missing, score, corner } = self;
        write!(
            f,
            "{compared} values compared, largest difference of a score {score:e}, of a corner {corner:e} pixels"
        )?;
        if *missing > 0 { write!(f, ", {missing} boxes without a partner") } else { Ok(()) }
    }
}

/// The made images, uint8 `[3, height, width, 3]`.
#[must_use]
pub fn images(height: usize, width: usize) -> Array4<u8> {
    let length = height.max(width).max(1);
    Array4::from_shape_fn((IMAGES, height, width, 3), |(image, y, x, channel)| {
        let slope = (x * (channel + 1) + y * (3 - channel) + image * 40) * 160 / (length * 4);
        let block = scrambled([image, y / BLOCK, x / BLOCK, channel]) % 96;
        ((slope + block) % 256) as u8
    })
}

/// Height and width of the made images for a model of this form, whose own images have this side.
fn size(form: Form, side: usize) -> [usize; 2] {
    match form {
        Form::Prepared => [side, side],
        Form::Whole => [side + side / 2 + 1, side + side / 4 + 1],
    }
}

/// A number that looks like chance, always the same for the same place.
fn scrambled(place: [usize; 4]) -> usize {
    place.iter().fold(0x9E37_79B9_usize, |state, &part| {
        let mixed = (state ^ part.wrapping_add(0x7F4A_7C15)).wrapping_mul(0x85EB_CA6B);
        mixed ^ (mixed >> 15)
    })
}

/// Whether `model` answers about the made images as `reference` does, which has been opened from the same file.
///
/// # Errors
/// [`RuntimeError::Differs`] when it does not, within [`SCORE_LIMIT`], [`CORNER_LIMIT`] and [`MISSING_SHARE`];
/// [`RuntimeError::Run`] when either does not run.
pub fn reproduces(model: &mut Model, reference: &mut Model) -> Result<Agreement, RuntimeError> {
    let side = reference.meta().preprocessing.side();
    let [height, width] = size(reference.form(), side as usize);
    let images = images(height, width);
    let agreement = match reference.outputs() {
        Outputs::Probabilities => {
            let (expected, found) = (reference.run(images.view())?, model.run(images.view())?);
            probabilities(expected.as_slice().unwrap_or_default(), found.as_slice().unwrap_or_default())
        }
        Outputs::Boxes | Outputs::Masks => {
            let sizes = [[i64::from(side); 2]; IMAGES];
            let sizes = match reference.form() {
                Form::Whole => None,
                Form::Prepared => Some(&sizes[..]),
            };
            let everything: Overrides = Thresholds { score_threshold: Some(0.0), iou_threshold: Some(1.0) };
            let expected = reference.detect(images.view(), sizes, &everything)?;
            boxes(&expected, &model.detect(images.view(), sizes, &everything)?)
        }
    };
    agreement.map_err(|reason| RuntimeError::Differs { provider: model.provider(), reason })
}

/// Compares probabilities, one by one.
fn probabilities(expected: &[f32], found: &[f32]) -> Result<Agreement, String> {
    if expected.is_empty() || expected.len() != found.len() {
        return Err(format!("{} probabilities where the processor has {}", found.len(), expected.len()));
    }
    let mut score = 0_f32;
    for (i, (&expected, &found)) in expected.iter().zip(found).enumerate() {
        let difference = (expected - found).abs();
        // So that what is no number is no agreement.
        if difference.is_nan() || difference > SCORE_LIMIT {
            return Err(format!(
                "probability {i} is {found} where the processor has {expected}; {SCORE_LIMIT} is allowed"
            ));
        }
        score = score.max(difference);
    }
    Ok(Agreement { compared: expected.len(), score, ..Agreement::default() })
}

/// Compares the boxes of each image, both ways.
fn boxes(expected: &[Vec<Detection>], found: &[Vec<Detection>]) -> Result<Agreement, String> {
    let mut all = Agreement::default();
    if expected.len() != found.len() {
        return Err(format!("answers about {} images where the processor has {}", found.len(), expected.len()));
    }
    for (expected, found) in expected.iter().zip(found) {
        for (of, among) in [(expected, found), (found, expected)] {
            matched(of, among, &mut all);
        }
    }
    if all.compared == 0 {
        return Err("neither answer has a box to compare".to_owned());
    }
    if all.missing as f64 > MISSING_SHARE * all.compared as f64 {
        let share = MISSING_SHARE * 100.0;
        return Err(format!(
            "{} of {} boxes have no partner of the same label within {CORNER_LIMIT} pixels and a score of {SCORE_LIMIT}; \
             {share} % may",
            all.missing, all.compared
        ));
    }
    Ok(all)
}

/// Looks for a partner of each box, which is then taken.
fn matched(of: &[Detection], among: &[Detection], all: &mut Agreement) {
    let mut taken = vec![false; among.len()];
    for one in of {
        all.compared += 1;
        let close = |&(i, other): &(usize, &Detection)| !taken[i] && distance(one, other).is_some();
        match among.iter().enumerate().find(close) {
            None => all.missing += 1,
            Some((i, other)) => {
                taken[i] = true;
                let (score, corner) = distance(one, other).unwrap_or_default();
                all.score = all.score.max(score);
                all.corner = all.corner.max(corner);
            }
        }
    }
}

/// How far apart two detections are, in score (or in a part of their masks, if that is more) and in pixels, if they can be the same.
fn distance(a: &Detection, b: &Detection) -> Option<(f32, f32)> {
    let masks = match (&a.mask, &b.mask) {
        (Some(a), Some(b)) => a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs()).fold(0.0, largest),
        (None, None) => 0.0,
        (Some(_), None) | (None, Some(_)) => f32::NAN,
    };
    let score = largest((a.score - b.score).abs(), masks);
    let corners = a.corners.iter().zip(&b.corners).map(|(a, b)| (a - b).abs());
    // What is no number is within no limit.
    let is_close = a.label == b.label && score <= SCORE_LIMIT && corners.clone().all(|corner| corner <= CORNER_LIMIT);
    is_close.then(|| (score, corners.fold(0.0, f32::max)))
}

/// The larger one; NaN if one is.
fn largest(a: f32, b: f32) -> f32 {
    if b.is_nan() || b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(corners: [f32; 4], score: f32, label: usize) -> Detection {
        Detection { corners, score, label, mask: None }
    }

    #[test]
    fn the_images_differ_and_are_always_the_same() {
        let made = images(64, 64);
        assert_eq!(made, images(64, 64));
        let mut pixels: Vec<Vec<u8>> = made.outer_iter().map(|image| image.iter().copied().collect()).collect();
        assert!(pixels.iter().all(|image| image.iter().collect::<std::collections::BTreeSet<_>>().len() > 50));
        pixels.dedup();
        assert_eq!(pixels.len(), IMAGES);
        assert_eq!(images(1, 1).dim(), (IMAGES, 1, 1, 3));
        assert_eq!(images(40, 33).dim(), (IMAGES, 40, 33, 3));
    }

    #[test]
    fn what_resizes_is_given_images_that_have_to_be_resized() {
        assert_eq!(size(Form::Prepared, 640), [640, 640]);
        for side in [1, 2, 32, 224, 640, 800] {
            let [height, width] = size(Form::Whole, side);
            assert!(height > side && width > side, "{side}: {height} x {width}");
        }
        // And to be turned into another shape.
        assert_ne!(size(Form::Whole, 224)[0], size(Form::Whole, 224)[1]);
    }

    #[test]
    fn a_wrong_probability_is_found() {
        let expected = [0.25, 0.5, 0.25];
        let agreement = probabilities(&expected, &[0.2504, 0.4998, 0.2498]).unwrap();
        assert!(agreement.compared == 3 && agreement.score > 3e-4 && agreement.score < 5e-4, "{agreement:?}");
        for wrong in [&[0.25, 0.498, 0.252][..], &[0.5, 0.25, 0.25], &[0.25, f32::NAN, 0.25], &[0.25, 0.5], &[]] {
            assert!(probabilities(&expected, wrong).is_err(), "{wrong:?}");
        }
        assert!(probabilities(&[], &[]).is_err());
    }

    #[test]
    fn a_wrong_box_is_found() {
        let one = || found([10.0, 10.0, 50.0, 60.0], 0.6, 1);
        let two = || found([0.0, 5.0, 20.0, 25.0], 0.4, 0);
        let expected = [vec![one(), two()], vec![two()]];
        let close = [vec![two(), found([10.2, 10.0, 50.0, 59.9], 0.6004, 1)], vec![two()]];
        let agreement = boxes(&expected, &close).unwrap();
        assert_eq!((agreement.compared, agreement.missing), (6, 0));
        assert!(agreement.corner > 0.19 && agreement.score > 3e-4, "{agreement:?}");
        for wrong in [
            found([11.0, 10.0, 50.0, 60.0], 0.6, 1),
            found([10.0, 10.0, 50.0, 60.0], 0.61, 1),
            found([10.0, 10.0, 50.0, 60.0], 0.6, 0),
            found([10.0, 10.0, f32::NAN, 60.0], 0.6, 1),
            found([10.0, 10.0, 50.0, 60.0], f32::NAN, 1),
        ] {
            assert!(boxes(&expected, &[vec![wrong.clone(), two()], vec![two()]]).is_err(), "{wrong:?}");
        }
        for lacking in [vec![vec![one(), two()]], vec![vec![one()], vec![two()]], vec![vec![one(), two()], vec![]]] {
            assert!(boxes(&expected, &lacking).is_err(), "{lacking:?}");
        }
        // The same box twice has one partner.
        assert!(boxes(&[vec![one(), two()]], &[vec![one(), one()]]).is_err());
        assert!(boxes(&[vec![]], &[vec![]]).is_err());
    }

    #[test]
    fn few_boxes_may_lack_a_partner() {
        let many = |n: usize| -> Vec<Detection> {
            (0..n).map(|i| found([i as f32 * 4.0, 0.0, i as f32 * 4.0 + 3.0, 9.0], 0.5, 0)).collect()
        };
        assert_eq!(boxes(&[many(100)], &[many(96)]).unwrap().missing, 4);
        assert!(boxes(&[many(100)], &[many(85)]).is_err());
    }
}
