//! The detector as a classifier of images: is there anything to be found in this one?

use serde::{Deserialize, Serialize};

use super::curves::{Judged, Kept, Verdict, area, envelope, is_kept, rank};
use super::view::View;
use super::voc::Outcome;

/// How well the detector tells images with objects from images without.
///
/// An image with an object is positive, and it counts as recognised with the score of its best hit: a box elsewhere in it
/// is no recognition. An image without truth is negative, and raises a false alarm with its best box. Images whose only
/// truth is a crowd are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImageLevel {
    /// Images with an object.
    pub positives: u64,
    /// Images without any truth.
    pub negatives: u64,
    /// Positives recognised at the score threshold.
    pub recognised: u64,
    /// Negatives with a box at the score threshold.
    pub false_alarms: u64,
    /// recognised / (recognised + false alarms).
    pub precision: Option<f64>,
    /// recognised / positives.
    pub recall: Option<f64>,
    /// Area under the precision-recall curve over all scores; undefined without a positive.
    pub average_precision: Option<f64>,
}

/// Collects images.
#[derive(Default)]
pub(super) struct Images {
    judged: Vec<Judged>,
    positives: u64,
    negatives: u64,
}

impl Images {
    /// `outcomes` are those of the image's found boxes.
    pub fn add(&mut self, image: &View, outcomes: &[Outcome]) {
        let verdict = if image.truth.iter().any(|one| !one.is_crowd) {
            self.positives += 1;
            Verdict::Hit
        } else if image.truth.is_empty() {
            self.negatives += 1;
            Verdict::FalseAlarm
        } else {
            return;
        };
        // Scores fall, so the first is the best.
        let first = image.found.iter().zip(outcomes).find(|(_, outcome)| outcome.verdict == verdict);
        self.judged.extend(first.map(|(one, _)| Judged { score: one.score, verdict }));
    }

    pub fn finish(mut self, score_threshold: f64) -> ImageLevel {
        rank(&mut self.judged);
        let mut kept = Kept::default();
        let above = self.judged.iter().take_while(|one| is_kept(one.score, score_threshold));
        above.for_each(|one| kept.add(one.verdict));
        ImageLevel {
            positives: self.positives,
            negatives: self.negatives,
            recognised: kept.hits,
            false_alarms: kept.false_alarms,
            precision: kept.precision(),
            recall: kept.recall(self.positives),
            average_precision: area(&envelope(self.judged.iter().map(|one| one.verdict), 0.0), self.positives),
        }
    }
}
