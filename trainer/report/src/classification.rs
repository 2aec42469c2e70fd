//! What the page says about a classifier: curves over all thresholds, the confusion matrix, the table of classes.

use std::cmp::Reverse;

use serde::Serialize;

use super::chart::{CURVES, LineChart, Series};
use super::data::ClassificationSection;
use super::figure::{Chart, Matrix};
use metrics::{ClassRow, ClassificationReport, Sweep};

/// With more classes than this beside the pooled decisions, curves of classes get charts of their own.
const BESIDE_POOLED: usize = CURVES - 1;
/// Classes that get curves: those with the most images.
const MOST_CURVES: usize = 24;
/// Place of the best tenth of the images among percentile thresholds.
const BEST_TENTH: usize = 9;

/// What the template reads.
#[derive(Serialize)]
pub struct ClassificationView<'a> {
    section: &'a ClassificationSection,
    /// Whether an image may have any number of labels.
    sets: bool,
    average_rows: Vec<ClassRow>,
    matrix: Option<Matrix>,
    curves: Vec<Chart>,
    class_curves: Vec<Chart>,
    /// Classes that have no curves.
    without_curve: usize,
}

impl<'a> ClassificationView<'a> {
    /// Derives the parts.
    pub fn new(section: &'a ClassificationSection) -> Self {
        let report = &section.report;
        let labels: Vec<String> = report.classes.iter().map(|class| class.label.clone()).collect();
        let one = |(sweep, row): (&'a Sweep, &ClassRow)| One {
            sweep,
            auc: row.auc,
            average_precision: row.average_precision,
        };
        let mut classes: Vec<One> = section.table.classes.iter().zip(&report.classes).map(one).collect();
        classes.sort_by_key(|one| Reverse(one.sweep.totals().0));
        let pooled = One {
            sweep: &section.table.pooled,
            auc: report.auc.micro,
            average_precision: report.average_precision.micro,
        };
        let (beside, apart) = if classes.len() > BESIDE_POOLED {
            (&[][..], &classes[..classes.len().min(MOST_CURVES)])
        } else {
            (&classes[..], &[][..])
        };
        // Of one class the pooled decisions are its own.
        let first = if classes.len() == 1 { Vec::new() } else { vec![pooled] };
        let first: Vec<One> = first.into_iter().chain(beside.iter().copied()).collect();
        Self {
            section,
            sets: report.iou.is_some(),
            average_rows: report.average_rows(),
            matrix: (report.iou.is_none()).then(|| Matrix::new(labels, report.confusion_matrix.clone())).flatten(),
            curves: Kind::ALL.iter().filter_map(|kind| kind.chart(&first, "all", "")).collect(),
            class_curves: Kind::ALL.iter().flat_map(|kind| grouped(kind, apart)).collect(),
            without_curve: classes.len() - beside.len() - apart.len(),
        }
    }
}

/// What a number of the headline means.
pub fn note(report: &ClassificationReport, name: &str) -> Option<String> {
    report.iou?;
    match name {
        "iou" => Some("overlap of predicted and true labels, mean over the images".to_owned()),
        "accuracy" => Some("images with exactly the true labels".to_owned()),
        _ => None,
    }
}

fn grouped(kind: &Kind, classes: &[One]) -> Vec<Chart> {
    let charts = classes.chunks(CURVES).enumerate().filter_map(|(place, group)| {
        let (first, last) = (place * CURVES + 1, place * CURVES + group.len());
        kind.chart(group, &place.to_string(), &format!(", classes {first} to {last}"))
    });
    charts.collect()
}

/// The decisions about one class, or about all.
#[derive(Clone, Copy)]
struct One<'a> {
    sweep: &'a Sweep,
    auc: Option<f64>,
    average_precision: Option<f64>,
}

/// A kind of chart.
struct Kind {
    id: &'static str,
    title: &'static str,
    /// The number in the legend.
    below: &'static str,
    x_label: &'static str,
    /// The vertical axis reaches to 1.
    to_one: bool,
    reference: [(f64, f64); 2],
    points: fn(&Sweep) -> Vec<(f64, f64)>,
    value: fn(&One) -> Option<f64>,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self {
            id: "roc",
            title: "ROC: recall by false positives",
            below: "area under the curve",
            x_label: "false positives, % of the other images",
            to_one: true,
            reference: [(0.0, 0.0), (100.0, 1.0)],
            points: roc,
            value: |one| one.auc,
        },
        Self {
            id: "precision-recall",
            title: "Precision by recall",
            below: "average precision",
            x_label: "recall, %",
            to_one: true,
            reference: [(0.0, 1.0), (100.0, 1.0)],
            points: precision_recall,
            value: |one| one.average_precision,
        },
        Self {
            id: "gain",
            title: "Cumulative gain: recall by images taken, the most probable first",
            below: "in the best tenth",
            x_label: "images taken, %",
            to_one: true,
            reference: [(0.0, 0.0), (100.0, 1.0)],
            points: gain,
            value: |one| at_tenth(one.sweep, gain),
        },
        Self {
            id: "lift",
            title: "Lift: times as many as by chance among the images taken",
            below: "in the best tenth",
            x_label: "images taken, %",
            to_one: false,
            reference: [(0.0, 1.0), (100.0, 1.0)],
            points: lift,
            value: |one| at_tenth(one.sweep, lift),
        },
        Self {
            id: "calibration",
            title: "Calibration: share that comes true by probability",
            below: "mean difference",
            x_label: "probability, %",
            to_one: true,
            reference: [(0.0, 0.0), (100.0, 1.0)],
            points: calibration,
            value: |one| one.sweep.calibration_error(),
        },
    ];

    /// A chart of some curves; those that are not defined are left out.
    fn chart(&self, curves: &[One], id: &str, of: &str) -> Option<Chart> {
        let drawn = |one: &One| {
            let points = (self.points)(one.sweep);
            (!points.is_empty()).then(|| (Series { name: one.sweep.label.clone(), points }, (self.value)(one)))
        };
        let (series, values): (Vec<Series>, Vec<Option<f64>>) = curves.iter().filter_map(drawn).unzip();
        let chart = LineChart {
            id: format!("curve-{}-{id}", self.id),
            title: format!("{}{of}; {} below", self.title, self.below),
            x_label: self.x_label,
            series,
            y_range: self.to_one.then_some((0.0, 1.0)),
            mark: None,
            reference: self.reference.into(),
            // Bins are measured; the other curves are read at every place.
            dots: self.id == "calibration",
        };
        Chart::new(chart, |place, _| values[place].map(|value| format!("{value:.3}")))
    }
}

/// `(hits, false alarms)` at every threshold of the table, each once, the highest threshold first.
fn counts(sweep: &Sweep) -> Vec<(f64, f64)> {
    let tables = sweep.probability_table.iter().chain(&sweep.percentile_table);
    let mut counts: Vec<[u64; 2]> = tables.map(|&[hits, false_alarms, ..]| [hits, false_alarms]).collect();
    counts.sort_unstable_by_key(|[hits, false_alarms]| hits + false_alarms);
    counts.dedup();
    counts.into_iter().map(|[hits, false_alarms]| (hits as f64, false_alarms as f64)).collect()
}

/// Points for which `point` has a value, where there are images of the class and others.
fn curve(sweep: &Sweep, point: impl Fn(f64, f64, f64, f64) -> Option<(f64, f64)>) -> Vec<(f64, f64)> {
    let (positives, all) = sweep.totals();
    if positives == 0 || positives == all {
        return Vec::new();
    }
    let (positives, negatives) = (positives as f64, (all - positives) as f64);
    counts(sweep)
        .into_iter()
        .filter_map(|(hits, false_alarms)| point(hits, false_alarms, positives, negatives))
        .collect()
}

fn roc(sweep: &Sweep) -> Vec<(f64, f64)> {
    let mut points = curve(sweep, |hits, false_alarms, positives, negatives| {
        Some((100.0 * false_alarms / negatives, hits / positives))
    });
    if !points.is_empty() {
        points.insert(0, (0.0, 0.0));
    }
    points
}

fn precision_recall(sweep: &Sweep) -> Vec<(f64, f64)> {
    curve(sweep, |hits, false_alarms, positives, _| {
        let taken = hits + false_alarms;
        (taken > 0.0).then(|| (100.0 * hits / positives, hits / taken))
    })
}

fn gain(sweep: &Sweep) -> Vec<(f64, f64)> {
    let mut points = curve(sweep, |hits, false_alarms, positives, negatives| {
        Some((100.0 * (hits + false_alarms) / (positives + negatives), hits / positives))
    });
    if points.first().is_some_and(|first| first.0 > 0.0) {
        points.insert(0, (0.0, 0.0));
    }
    points
}

fn lift(sweep: &Sweep) -> Vec<(f64, f64)> {
    let points = gain(sweep).into_iter().filter(|point| point.0 > 0.0);
    points.map(|(taken, recall)| (taken, 100.0 * recall / taken)).collect()
}

fn calibration(sweep: &Sweep) -> Vec<(f64, f64)> {
    sweep.calibration.iter().map(|bin| (100.0 * bin.probability, bin.share)).collect()
}

/// The value of a curve for the best tenth of the images, or as few more as are equally probable.
fn at_tenth(sweep: &Sweep, points: fn(&Sweep) -> Vec<(f64, f64)>) -> Option<f64> {
    let [hits, false_alarms, ..] = *sweep.percentile_table.get(BEST_TENTH)?;
    let share = 100.0 * (hits + false_alarms) as f64 / sweep.totals().1 as f64;
    points(sweep).into_iter().find(|point| point.0 >= share - 1e-9).map(|point| point.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{Truths, accuracy_table};

    fn sweep(scores: &[f32], positive: &[bool]) -> Sweep {
        let truths = Truths::sets(positive.iter().map(|&yes| if yes { vec![0] } else { vec![] }).collect());
        accuracy_table(&["a".to_owned()], scores, &truths).classes.remove(0)
    }

    #[test]
    fn curves_of_a_worked_example() {
        // Best first: right, wrong, right, wrong.
        let sweep = sweep(&[0.9, 0.6, 0.4, 0.1], &[true, false, true, false]);
        assert_eq!(roc(&sweep), [(0.0, 0.0), (0.0, 0.0), (0.0, 0.5), (50.0, 0.5), (50.0, 1.0), (100.0, 1.0)]);
        assert_eq!(precision_recall(&sweep), [(50.0, 1.0), (50.0, 0.5), (100.0, 2.0 / 3.0), (100.0, 0.5)]);
        assert_eq!(gain(&sweep), [(0.0, 0.0), (25.0, 0.5), (50.0, 0.5), (75.0, 1.0), (100.0, 1.0)]);
        assert_eq!(lift(&sweep), [(25.0, 2.0), (50.0, 1.0), (75.0, 100.0 / 75.0), (100.0, 1.0)]);
        assert_eq!((at_tenth(&sweep, gain), at_tenth(&sweep, lift)), (Some(0.5), Some(2.0)));
        assert_eq!(calibration(&sweep)[0].1, 0.0);
    }

    #[test]
    fn what_is_not_defined_is_not_drawn() {
        for positive in [[true, true], [false, false]] {
            let sweep = sweep(&[0.9, 0.6], &positive);
            assert!(roc(&sweep).is_empty() && precision_recall(&sweep).is_empty() && lift(&sweep).is_empty());
        }
    }
}
