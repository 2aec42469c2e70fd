//! The specification's metric, after that of PASCAL VOC: each found box is compared with one true box only, that of its
//! class which it covers best.

use super::curves::{BestF1, Judged, Kept, Verdict, area, at_thresholds, best_f1, envelope, is_kept, rank};
use super::view::View;

/// What a found box is, and which object it hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub verdict: Verdict,
    /// Index into the image's truth; only of a hit.
    pub truth: Option<usize>,
}

/// Judges the found boxes of an image, in their order, which is that of falling scores.
///
/// A box whose best overlap (the first of equals) is below `iou_threshold` is a false alarm. Otherwise it is ignored if it
/// lies in a crowd, a hit if nothing has hit that object yet, and a false alarm if something has, even where another
/// object that is still free would do.
pub(super) fn judge(image: &View, iou_threshold: f64) -> Vec<Outcome> {
    let mut hit = vec![false; image.truth.len()];
    let mut judge = |(place, class): (usize, usize)| {
        let mut best: Option<super::overlap::Overlap> = None;
        for overlap in image.overlaps.of(place) {
            let better = best.is_none_or(|best| overlap.iou > best.iou);
            if image.truth[overlap.truth].class == class && better {
                best = Some(*overlap);
            }
        }
        match best {
            Some(best) if best.iou >= iou_threshold => {
                if image.truth[best.truth].is_crowd {
                    Outcome { verdict: Verdict::Ignored, truth: None }
                } else if std::mem::replace(&mut hit[best.truth], true) {
                    Outcome { verdict: Verdict::FalseAlarm, truth: None }
                } else {
                    Outcome { verdict: Verdict::Hit, truth: Some(best.truth) }
                }
            }
            _ => Outcome { verdict: Verdict::FalseAlarm, truth: None },
        }
    };
    image.found.iter().map(|one| one.class).enumerate().map(&mut judge).collect()
}

/// The judged boxes and the number of objects of one class.
#[derive(Default)]
pub(super) struct Pool {
    pub judged: Vec<Judged>,
    /// Objects to find: crowds are not among them.
    pub truth: u64,
}

/// What one class has.
pub(super) struct ClassNumbers {
    /// Undefined without truth.
    pub average_precision: Option<f64>,
    /// The same of the boxes above the score threshold.
    pub truncated: Option<f64>,
    /// Kept at the score threshold.
    pub kept: Kept,
    pub best_f1: Option<BestF1>,
    /// Per score threshold 0.00 .. 0.99.
    pub steps: Vec<Kept>,
}

impl Pool {
    pub fn finish(&mut self, score_threshold: f64) -> ClassNumbers {
        rank(&mut self.judged);
        let kept = &self.judged[..self.judged.partition_point(|one| is_kept(one.score, score_threshold))];
        let precision = |judged: &[Judged]| area(&envelope(judged.iter().map(|one| one.verdict), 0.0), self.truth);
        let mut counts = Kept::default();
        kept.iter().for_each(|one| counts.add(one.verdict));
        ClassNumbers {
            average_precision: precision(&self.judged),
            truncated: precision(kept),
            kept: counts,
            best_f1: best_f1(&self.judged, self.truth),
            steps: at_thresholds(&self.judged),
        }
    }
}
