//! Precision and recall along the scores of one class.

use serde::{Deserialize, Serialize};

/// What a found box turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A true object, found for the first time.
    Hit,
    /// No true object, or one that a box of a higher score found already.
    FalseAlarm,
    /// Neither for nor against: it lies in a crowd, or outside of the sizes in question.
    Ignored,
}

/// A verdict and the score of its box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    pub score: f64,
    pub verdict: Verdict,
}

/// Sorts by falling score; equals keep their order, which is that of the data set.
pub(super) fn rank(judged: &mut [Judged]) {
    judged.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// For each hit, in the order of `verdicts` (falling score), the highest precision reached with it or with any later one.
/// `epsilon` is added to every denominator; COCO's tools have 2^-52 there.
pub(super) fn envelope(verdicts: impl Iterator<Item = Verdict>, epsilon: f64) -> Vec<f64> {
    let mut precisions = Vec::new();
    let mut counted = 0_u64;
    for verdict in verdicts {
        match verdict {
            Verdict::Hit => {
                counted += 1;
                precisions.push((precisions.len() + 1) as f64 / (counted as f64 + epsilon));
            }
            Verdict::FalseAlarm => counted += 1,
            Verdict::Ignored => {}
        }
    }
    let mut highest = 0.0_f64;
    for precision in precisions.iter_mut().rev() {
        highest = highest.max(*precision);
        *precision = highest;
    }
    precisions
}

/// Area under the whole precision-recall curve (no fixed recall points): each of the `truth` objects that was hit adds
/// its precision of [`envelope`]. Undefined without truth.
pub(super) fn area(envelope: &[f64], truth: u64) -> Option<f64> {
    // `sum` of nothing is -0.
    (truth > 0).then(|| envelope.iter().fold(0.0, |sum, precision| sum + precision) / truth as f64)
}

/// Recall points of [`interpolate`]: 0, 0.01 .. 1.
pub const RECALL_POINTS: usize = 101;

/// The precision of an [`envelope`] at each of the 101 recalls, 0 where the recall is not reached; `truth` is not 0.
pub(super) fn interpolate(envelope: &[f64], truth: u64) -> Vec<f64> {
    let step = 1.0 / (RECALL_POINTS - 1) as f64;
    let mut hit = 0;
    (0..RECALL_POINTS)
        .map(|point| {
            // numpy.linspace: multiples of the step, and the end itself.
            let recall = if point + 1 == RECALL_POINTS { 1.0 } else { point as f64 * step };
            while hit < envelope.len() && ((hit + 1) as f64 / truth as f64) < recall {
                hit += 1;
            }
            envelope.get(hit).copied().unwrap_or(0.0)
        })
        .collect()
}

/// Hits and false alarms at one score threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub hits: u64,
    pub false_alarms: u64,
}

impl Kept {
    pub fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Hit => self.hits += 1,
            Verdict::FalseAlarm => self.false_alarms += 1,
            Verdict::Ignored => {}
        }
    }

    /// Undefined where nothing was found.
    pub fn precision(self) -> Option<f64> {
        ratio(self.hits, self.hits + self.false_alarms)
    }

    /// Undefined where there is nothing to find.
    pub fn recall(self, truth: u64) -> Option<f64> {
        ratio(self.hits, truth)
    }
}

pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Score thresholds of a [`Curve`]: 0.00, 0.01 .. 0.99.
pub const THRESHOLDS: usize = 100;

/// Whether a box of this score is kept at a threshold: above it, in single precision, as the graph compares.
pub(super) fn is_kept(score: f64, threshold: f64) -> bool {
    score as f32 > threshold as f32
}

/// What is kept at each of the 100 thresholds, of boxes in falling order of score.
pub(super) fn at_thresholds(ranked: &[Judged]) -> Vec<Kept> {
    let mut rest = ranked.iter().peekable();
    let mut kept = Kept::default();
    let mut all: Vec<Kept> = (0..THRESHOLDS)
        .rev()
        .map(|hundredths| {
            let threshold = hundredths as f64 / THRESHOLDS as f64;
            while let Some(one) = rest.next_if(|one| is_kept(one.score, threshold)) {
                kept.add(one.verdict);
            }
            kept
        })
        .collect();
    all.reverse();
    all
}

/// The threshold at which F1 is highest, and what holds there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestF1 {
    /// Boxes with a higher score are kept. It is the highest score that occurs among the others, 0 where there are none; of
    /// several equally good thresholds the highest.
    pub threshold: f64,
    /// 2 hits / (2 hits + false alarms + misses).
    pub f1: f64,
    /// hits / (hits + false alarms).
    pub precision: f64,
    /// hits / (hits + misses).
    pub recall: f64,
}

/// The best F1 over all scores that occur in `ranked`, boxes in falling order of score; undefined without a hit.
pub(super) fn best_f1(ranked: &[Judged], truth: u64) -> Option<BestF1> {
    let mut best: Option<BestF1> = None;
    let mut kept = Kept::default();
    for (place, one) in ranked.iter().enumerate() {
        kept.add(one.verdict);
        let next = ranked.get(place + 1).map_or(0.0, |next| next.score);
        let last_of_tie = place + 1 == ranked.len() || next < one.score;
        let f1 = 2.0 * kept.hits as f64 / (truth + kept.hits + kept.false_alarms) as f64;
        if last_of_tie && kept.hits > 0 && best.is_none_or(|best| f1 > best.f1) {
            let (Some(precision), Some(recall)) = (kept.precision(), kept.recall(truth)) else { continue };
            best = Some(BestF1 { threshold: next, f1, precision, recall });
        }
    }
    best
}

/// Precision and recall of one class, or averaged over the classes that have truth.
///
/// `precision[i]` and `recall[i]` are those of the boxes with a score above `i / 100` ([`THRESHOLDS`] of them),
/// `None` where nothing was found, or nothing is to be found. `interpolated[i]` is the highest precision at a recall of
/// at least `i / 100` by COCO's rule at IoU 0.50 ([`RECALL_POINTS`] of them, empty without truth): its mean is AP50.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// By score threshold.
    pub precision: Vec<Option<f64>>,
    /// By score threshold.
    pub recall: Vec<Option<f64>>,
    /// Precision by recall.
    pub interpolated: Vec<f64>,
}

impl Curve {
    /// Each point averaged over those of `curves` that define it.
    pub(super) fn mean(curves: &[&Self]) -> Self {
        let at = |pick: fn(&Self) -> &Vec<Option<f64>>| {
            (0..THRESHOLDS).map(|point| mean(curves.iter().map(|curve| pick(curve)[point]))).collect()
        };
        let interpolated = (0..RECALL_POINTS)
            .map_while(|point| mean(curves.iter().map(|curve| curve.interpolated.get(point).copied())))
            .collect();
        Self { precision: at(|curve| &curve.precision), recall: at(|curve| &curve.recall), interpolated }
    }
}

/// Mean of the defined values; undefined where none is.
pub(super) fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values.flatten().fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::Verdict::{FalseAlarm, Hit, Ignored};
    use super::*;

    fn judged(pairs: &[(f64, Verdict)]) -> Vec<Judged> {
        pairs.iter().map(|&(score, verdict)| Judged { score, verdict }).collect()
    }

    #[test]
    fn a_worked_curve() {
        // Precision at the hits: 1/1, 2/4, 3/5. The last is better than the second, so both count 3/5.
        let verdicts = [Hit, FalseAlarm, Ignored, FalseAlarm, Hit, Hit, FalseAlarm];
        let envelope = envelope(verdicts.into_iter(), 0.0);
        assert_eq!(envelope, [1.0, 0.6, 0.6]);
        assert_eq!(area(&envelope, 4), Some(2.2 / 4.0));
        assert_eq!(area(&[], 4).map(|area| format!("{area:.3}")).as_deref(), Some("0.000"));
        assert_eq!(area(&[], 0), None);
        // Recalls 1/4, 2/4, 3/4: 26 points at 1, 50 at 0.6, 25 never reached.
        let interpolated = interpolate(&envelope, 4);
        assert_eq!(interpolated.len(), RECALL_POINTS);
        assert_eq!(interpolated.iter().filter(|&&p| p == 1.0).count(), 26);
        assert_eq!(interpolated.iter().filter(|&&p| p == 0.6).count(), 50);
        assert_eq!(interpolated.iter().filter(|&&p| p == 0.0).count(), 25);
    }

    #[test]
    fn thresholds_leave_their_score_out() {
        let kept = at_thresholds(&judged(&[(1.5, Hit), (0.5, Hit), (0.5, FalseAlarm), (0.0, FalseAlarm), (-1.0, Hit)]));
        assert_eq!(kept.len(), THRESHOLDS);
        assert_eq!(kept[99], Kept { hits: 1, false_alarms: 0 });
        assert_eq!(kept[50], Kept { hits: 1, false_alarms: 0 });
        assert_eq!(kept[49], Kept { hits: 2, false_alarms: 1 });
        assert_eq!(kept[0], Kept { hits: 2, false_alarms: 1 });
        // 0.3 in single precision is above 0.3: the graph, which compares it with the same number, does not keep it.
        assert!(!is_kept(f64::from(0.3_f32), 0.3) && f64::from(0.3_f32) > 0.3);
    }

    #[test]
    fn the_best_f1_takes_ties_whole() {
        // Within the tie at .5 the first box alone would look perfect.
        let best =
            best_f1(&judged(&[(0.9, Hit), (0.5, Hit), (0.5, FalseAlarm), (0.5, FalseAlarm), (0.1, FalseAlarm)]), 2);
        let best = best.expect("there are hits");
        assert_eq!((best.threshold, best.precision, best.recall), (0.5, 1.0, 0.5));
        assert_eq!(best.f1, 2.0 / 3.0);
        assert_eq!(best_f1(&judged(&[(0.9, Hit)]), 1).map(|best| best.threshold), Some(0.0));
        assert_eq!(best_f1(&judged(&[(0.9, FalseAlarm)]), 2), None);
        assert_eq!(best_f1(&[], 0), None);
    }
}
