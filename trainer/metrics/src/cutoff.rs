//! The score from which on an answer should count: the one with the best F1, or the lowest with a wanted precision.

use serde::Serialize;

/// Parts that are held back one after the other.
const FOLDS: usize = 5;
/// Fewest images that a threshold is fitted to.
const FEWEST: usize = 4 * FOLDS;

/// The answers about one image: labels of a set, or boxes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// Score of each answer, 0 to 1, and whether it is right.
    pub answers: Vec<(f32, bool)>,
    /// How many right answers there are to give.
    pub truths: u64,
}

/// What a threshold is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// The best F1.
    F1,
    /// The best recall among those with at least this precision, 0 to 1.
    Precision(f64),
}

/// A threshold and what it is worth: answers with a higher score count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cutoff {
    /// Halfway between the last score that counts and the first that does not.
    pub threshold: f64,
    /// Of each fifth of the images with the threshold of the other four, all pooled: 2 hits / (answers + truths).
    pub f1: f64,
    /// The share of right ones among those answers.
    pub precision: f64,
    /// F1 of the images with the `usual` threshold.
    pub before: f64,
}

/// The threshold of `images` beside the `usual` one. `None` of fewer than 20 images, where no threshold reaches the aim, and, for
/// [`Aim::F1`], where images that were held back gain nothing by it.
#[must_use]
pub fn cutoff(images: &[Scored], usual: f64, aim: Aim) -> Option<Cutoff> {
    if images.len() < FEWEST {
        return None;
    }
    let fold =
        |fold: usize, inside: bool| images.iter().enumerate().filter(move |(at, _)| (at % FOLDS == fold) == inside);
    let (mut before, mut after) = (Counts::default(), Counts::default());
    for held in 0..FOLDS {
        let threshold = fit(fold(held, false).map(|(_, image)| image), aim).unwrap_or(usual);
        for (_, image) in fold(held, true) {
            after.add(image, threshold);
            before.add(image, usual);
        }
    }
    let threshold = fit(images.iter(), aim)?;
    let gains = match aim {
        Aim::F1 => after.f1() > before.f1(),
        Aim::Precision(_) => true,
    };
    gains.then(|| Cutoff { threshold, f1: after.f1(), precision: after.precision(), before: before.f1() })
}

#[derive(Clone, Copy, Default)]
struct Counts {
    hits: u64,
    answers: u64,
    truths: u64,
}

impl Counts {
    fn add(&mut self, image: &Scored, threshold: f64) {
        // In single precision, as a graph compares.
        let counted = image.answers.iter().filter(|(score, _)| *score > threshold as f32);
        for &(_, right) in counted {
            self.answers += 1;
            self.hits += u64::from(right);
        }
        self.truths += image.truths;
    }

    fn f1(self) -> f64 {
        2.0 * self.hits as f64 / (self.answers + self.truths).max(1) as f64
    }

    fn precision(self) -> f64 {
        self.hits as f64 / self.answers.max(1) as f64
    }
}

fn fit<'a>(images: impl Iterator<Item = &'a Scored>, aim: Aim) -> Option<f64> {
    let (mut answers, mut counts) = (Vec::new(), Counts::default());
    for image in images {
        answers.extend(image.answers.iter().filter(|(score, _)| score.is_finite()).copied());
        counts.truths += image.truths;
    }
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best: Option<(f64, f64)> = None;
    for (place, &(score, right)) in answers.iter().enumerate() {
        counts.answers += 1;
        counts.hits += u64::from(right);
        let next = answers.get(place + 1).map_or(0.0, |next| next.0);
        // Equal scores count together. No threshold lies between neighbours in single precision.
        let threshold = (score + next) / 2.0;
        if threshold >= score || counts.hits == 0 {
            continue;
        }
        let worth = match aim {
            Aim::F1 => counts.f1(),
            Aim::Precision(wanted) if counts.precision() >= wanted => counts.hits as f64,
            Aim::Precision(_) => continue,
        };
        if best.is_none_or(|(most, _)| worth > most) {
            best = Some((worth, f64::from(threshold)));
        }
    }
    best.map(|(_, threshold)| threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images with a right answer of .3 to .5 and two wrong ones of .05 to .2: a threshold of one half finds nothing.
    fn timid(count: usize) -> Vec<Scored> {
        let one = |at: usize| {
            let shift = (at % 5) as f32 / 100.0;
            Scored { answers: vec![(0.45 - 3.0 * shift, true), (0.2 - shift, false), (0.05 + shift, false)], truths: 1 }
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_timid_model_is_believed_earlier() {
        let found = cutoff(&timid(50), 0.5, Aim::F1).unwrap();
        assert!(found.threshold > 0.2 && found.threshold < 0.33, "{found:?}");
        assert_eq!((found.f1, found.precision, found.before), (1.0, 1.0, 0.0));
        assert_eq!(cutoff(&timid(50), 0.25, Aim::F1), None, "nothing is gained");
        assert_eq!(cutoff(&timid(19), 0.5, Aim::F1), None, "too few");
        assert_eq!(cutoff(&[], 0.5, Aim::F1), None);
    }

    #[test]
    fn a_wanted_precision_is_kept_with_as_many_hits_as_possible() {
        // One false alarm for four hits above .2, then only false alarms.
        let one = |at: usize| {
            let answers = if at / 5 % 5 == 4 { vec![(0.6, false)] } else { vec![(0.4, true), (0.1, false)] };
            Scored { answers, truths: 1 }
        };
        let images: Vec<Scored> = (0..100).map(one).collect();
        let found = cutoff(&images, 0.5, Aim::Precision(0.8)).unwrap();
        assert!(found.threshold > 0.1 && found.threshold < 0.4, "{found:?}");
        assert_eq!(found.precision, 0.8);
        assert_eq!(cutoff(&images, 0.5, Aim::Precision(0.9)), None, "no threshold has it");
    }

    #[test]
    fn scores_that_are_equal_or_no_numbers_divide_nothing() {
        let one = |_| Scored { answers: vec![(0.4, true), (0.4, false), (f32::NAN, true)], truths: 1 };
        let images: Vec<Scored> = (0..20).map(one).collect();
        let found = cutoff(&images, 0.5, Aim::F1).unwrap();
        assert!((found.threshold - 0.2).abs() < 1e-7);
        assert_eq!(found.precision, 0.5);
        let silent: Vec<Scored> = (0..20).map(|_| Scored { answers: vec![], truths: 1 }).collect();
        assert_eq!(cutoff(&silent, 0.5, Aim::F1), None);
    }
}
