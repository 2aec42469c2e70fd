//! What a classifier's answers are worth at every threshold: the counts that ROC, precision-recall, lift and gain curves are
//! readings of, and how far probabilities can be believed.

use serde::Serialize;

use super::ranking::{Step, steps};
use super::truths::Truths;

/// Thresholds of each kind.
const THRESHOLDS: u32 = 100;
/// Bins of a calibration curve.
const BINS: u32 = 10;

/// Decisions at a threshold: true positives, false positives, true negatives, false negatives.
pub type Counts = [u64; 4];

/// The specification's accuracy table, with calibration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccuracyTable {
    /// `0.00, 0.01 .. 0.99`; a class is predicted where its probability is at least the threshold.
    pub probability_thresholds: Vec<f64>,
    /// One class against the rest, in label order.
    pub classes: Vec<Sweep>,
    /// The decisions about all classes together.
    pub pooled: Sweep,
}

/// Counts of one class at all thresholds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// The class.
    pub label: String,
    /// At the probability thresholds of the table.
    pub probability_table: Vec<Counts>,
    /// The lowest score among the best 1, 2 .. 100 % of the examples (rounded up to whole examples); without examples empty.
    /// `null` in JSON where that one is not finite.
    pub percentile_thresholds: Vec<f64>,
    /// At those.
    pub percentile_table: Vec<Counts>,
    /// Bins of equal width that hold an example, from 0 up.
    pub calibration: Vec<CalibrationBin>,
}

/// Examples whose probability lies in one tenth of `[0, 1]`, as scikit-learn's `calibration_curve` has it: above the lower
/// edge, up to and with the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Examples.
    pub count: u64,
    /// Their mean probability.
    pub probability: f64,
    /// Share of them that are of the class.
    pub share: f64,
}

/// The table of `probabilities`, row-major `[N, C]`, `C` = `labels.len()`. Rows that hold a value that is not finite rank below
/// all others, and have no part in the calibration.
#[must_use]
pub fn accuracy_table(labels: &[String], probabilities: &[f32], truths: &Truths) -> AccuracyTable {
    let classes = labels.len();
    let broken: Vec<bool> =
        probabilities.chunks_exact(classes.max(1)).map(|row| row.iter().any(|value| !value.is_finite())).collect();
    let scored = |class: usize| {
        let one = |example: usize| {
            let score = if broken[example] { f32::NAN } else { probabilities[example * classes + class] };
            (score, truths.holds(example, class))
        };
        (0..broken.len()).map(one).collect::<Vec<_>>()
    };
    let probability_thresholds: Vec<f64> = (0..THRESHOLDS).map(|step| f64::from(step) / 100.0).collect();
    let sweep = |label: &str, scored: &[(f32, bool)]| Sweep::new(label, scored, &probability_thresholds);
    let each: Vec<Vec<(f32, bool)>> = (0..classes).map(scored).collect();
    AccuracyTable {
        classes: labels.iter().zip(&each).map(|(label, scored)| sweep(label, scored)).collect(),
        pooled: sweep("all", &each.concat()),
        probability_thresholds,
    }
}

impl Sweep {
    fn new(label: &str, scored: &[(f32, bool)], probability_thresholds: &[f64]) -> Self {
        let steps = steps(scored.iter().copied());
        let n = scored.len() as u64;
        let best = |percent: u32| (u64::from(percent) * n).div_ceil(u64::from(THRESHOLDS));
        let lowest = |rank: u64| steps.iter().find(|step| step.true_positives + step.false_positives >= rank);
        let percentile_thresholds: Vec<f64> =
            (1..=THRESHOLDS).filter_map(|percent| Some(f64::from(lowest(best(percent))?.threshold))).collect();
        let table = |thresholds: &[f64]| thresholds.iter().map(|&threshold| at(&steps, threshold)).collect();
        Self {
            label: label.to_owned(),
            probability_table: table(probability_thresholds),
            percentile_table: table(&percentile_thresholds),
            percentile_thresholds,
            calibration: calibration(scored),
        }
    }

    /// Examples of the class, and all examples.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let [hits, false_alarms, rest, missed] = self.probability_table.first().copied().unwrap_or_default();
        (hits + missed, hits + false_alarms + rest + missed)
    }

    /// Expected calibration error: how far probabilities are from what comes true, mean over the examples.
    #[must_use]
    pub fn calibration_error(&self) -> Option<f64> {
        let count: u64 = self.calibration.iter().map(|bin| bin.count).sum();
        let error = |bin: &CalibrationBin| (bin.probability - bin.share).abs() * bin.count as f64;
        (count > 0).then(|| self.calibration.iter().map(error).sum::<f64>() / count as f64)
    }
}

/// The counts where everything with a score of at least `threshold` is predicted.
fn at(steps: &[Step], threshold: f64) -> Counts {
    let Some(last) = steps.last() else { return [0; 4] };
    let above = steps.partition_point(|step| f64::from(step.threshold) >= threshold);
    let (hits, false_alarms) =
        above.checked_sub(1).map_or((0, 0), |place| (steps[place].true_positives, steps[place].false_positives));
    [hits, false_alarms, last.false_positives - false_alarms, last.true_positives - hits]
}

fn calibration(scored: &[(f32, bool)]) -> Vec<CalibrationBin> {
    // The edges are the doubles that NumPy's linspace gives.
    let edges: Vec<f64> = (1..BINS).map(|bin| f64::from(bin) * 0.1).collect();
    let mut bins = vec![(0_u64, 0.0, 0_u64); BINS as usize];
    for &(score, positive) in scored.iter().filter(|(score, _)| score.is_finite()) {
        let bin = &mut bins[edges.partition_point(|&edge| edge < f64::from(score))];
        *bin = (bin.0 + 1, bin.1 + f64::from(score), bin.2 + u64::from(positive));
    }
    let full = bins.into_iter().filter(|bin| bin.0 > 0);
    full.map(|(count, sum, positives)| CalibrationBin {
        count,
        probability: sum / count as f64,
        share: positives as f64 / count as f64,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(probabilities: &[f32], truths: &[usize]) -> AccuracyTable {
        let labels = ["a".to_owned(), "b".to_owned()];
        accuracy_table(&labels, probabilities, &Truths::One(truths.to_vec()))
    }

    #[test]
    fn counts_at_thresholds() {
        let table = table(&[0.9, 0.1, 0.6, 0.4, 0.3, 0.7], &[0, 1, 1]);
        let a = &table.classes[0];
        assert_eq!(a.totals(), (1, 3));
        assert_eq!(
            [a.probability_table[0], a.probability_table[61], a.probability_table[95]],
            [[1, 2, 0, 0], [1, 0, 2, 0], [0, 0, 2, 1]]
        );
        let thresholds: Vec<f32> = [32, 33, 66, 67, 99].map(|at| a.percentile_thresholds[at] as f32).into();
        assert_eq!(thresholds, [0.9, 0.6, 0.3, 0.3, 0.3], "best 33, 34, 67, 68 and 100 % of three");
        assert_eq!(a.percentile_table[99], [1, 2, 0, 0]);
        assert_eq!(table.pooled.totals(), (3, 6));
    }

    #[test]
    fn rows_without_an_answer_rank_last() {
        let table = table(&[0.9, 0.1, f32::NAN, 0.8], &[0, 0]);
        let a = &table.classes[0];
        assert_eq!((a.probability_table[0], a.percentile_table[99]), ([1, 0, 0, 1], [2, 0, 0, 0]));
        assert_eq!(a.percentile_thresholds[99], f64::NEG_INFINITY);
        assert_eq!(a.calibration.iter().map(|bin| bin.count).sum::<u64>(), 1);
        assert!(serde_json::to_string(a).unwrap().contains("null"));
    }

    #[test]
    fn believable_probabilities_have_no_calibration_error() {
        let fair = table(&[0.5, 0.5, 0.5, 0.5], &[0, 1]);
        assert_eq!(fair.classes[0].calibration_error(), Some(0.0));
        assert_eq!(fair.classes[0].calibration, [CalibrationBin { count: 2, probability: 0.5, share: 0.5 }]);
        let wrong = table(&[1.0, 0.0, 1.0, 0.0], &[1, 1]);
        assert_eq!(wrong.classes[0].calibration_error(), Some(1.0));
        assert_eq!(table(&[], &[]).pooled.calibration_error(), None);
    }
}
