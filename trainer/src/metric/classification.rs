//! Multi-class metrics under the names Azure's AutoML for Images uses, equal to scikit-learn's.
//!
//! The curves (ROC, precision-recall, gain) are further readings of [`super::ranking::steps`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::{ClassCounts, predictions};
use super::ranking::{area_under_roc, average_precision, steps};

/// One metric averaged in the usual ways; `None` where it is undefined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Plain mean over the classes for which the metric is defined.
    #[serde(rename = "macro")]
    pub macro_: Option<f64>,
    /// Over all (example, class) decisions pooled.
    pub micro: Option<f64>,
    /// Mean over the classes, weighted by how often each occurs as truth.
    pub weighted: Option<f64>,
    /// The value of the second class; only where there are exactly two.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub binary: Option<f64>,
}

/// One row of the classification report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// The class, or `macro`, `micro`, `weighted` in [`MulticlassReport::average_rows`].
    pub label: String,
    /// 0 to 1; 0 where the class was never predicted.
    pub precision: Option<f64>,
    /// 0 to 1; 0 where the class never occurred.
    pub recall: Option<f64>,
    /// 0 to 1; 0 where the class neither occurred nor was predicted.
    pub f1: Option<f64>,
    /// Examples of the class.
    pub support: u64,
    /// Area under the ROC curve against all other classes; needs an example of the class and one of another.
    pub auc: Option<f64>,
    /// Average precision against all other classes; needs an example of the class.
    pub average_precision: Option<f64>,
}

/// Everything measured on one set of single-label examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MulticlassReport {
    /// Examples, `N`.
    pub samples: u64,
    /// Rows with a value that is not finite: wrong everywhere, and in no column of the confusion matrix.
    pub unanswered: u64,
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Mean negative natural logarithm of the probability given to the true class, clipped to `[2^-52, 1 - 2^-52]`.
    pub log_loss: Option<f64>,
    /// Area under the ROC curve, one class against the rest.
    pub auc: Averages,
    /// Average precision, one class against the rest.
    pub average_precision: Averages,
    /// F1 of the predicted class.
    pub f1: Averages,
    /// Precision of the predicted class.
    pub precision: Averages,
    /// Recall of the predicted class.
    pub recall: Averages,
    /// One row per class, in label order.
    pub classes: Vec<ClassRow>,
    /// `confusion_matrix[truth][predicted]`, `C` x `C`.
    pub confusion_matrix: Vec<Vec<u64>>,
}

/// Metrics of `probabilities` (row-major `[N, C]`, `C` = `labels.len()`) against `targets` (`N` class indices).
///
/// - No examples: every value is `None`, counts are 0. Ties: the lowest index is predicted; equal scores share one
///   threshold.
/// - A row with a NaN or infinite value answers wrongly: it hits no class, ranks below every finite score, and counts as
///   probability 0 in the log loss. (scikit-learn raises.)
/// - F1, precision and recall average over the classes that occur as truth or as prediction, with 0 for 0/0, as
///   scikit-learn does by default. AUC and average precision average over the classes that have an example (AUC: and a
///   counter-example); the others are skipped, where scikit-learn gives NaN and 0 with a warning. The micro averages pool
///   all `N * C` decisions. One class, or one class present, leaves every AUC but the micro one undefined.
///
/// # Panics
/// Where `probabilities.len() != N * C` or a target is not below `C`: a bug of the caller, not of the data.
pub fn multiclass(labels: &[String], probabilities: &[f32], targets: &[usize]) -> MulticlassReport {
    let classes = labels.len();
    assert_eq!(probabilities.len(), targets.len() * classes, "probabilities must be [{}, {classes}]", targets.len());
    assert!(targets.iter().all(|&target| target < classes), "a target is not below {classes}");

    let mut matrix = vec![vec![0_u64; classes]; classes];
    let mut support = vec![0_u64; classes];
    for (prediction, &target) in predictions(classes, probabilities).zip(targets) {
        support[target] += 1;
        if let Some(class) = prediction.class {
            matrix[target][class] += 1;
        }
    }
    let samples = targets.len() as u64;
    let answered: u64 = matrix.iter().flatten().sum();
    let counts: Vec<ClassCounts> = (0..classes)
        .map(|class| {
            let hits = matrix[class][class];
            let predicted: u64 = matrix.iter().map(|row| row[class]).sum();
            ClassCounts { hits, false_alarms: predicted - hits, misses: support[class] - hits }
        })
        .collect();

    // A row that is broken in one place is broken in all: its finite scores say nothing either.
    let broken: Vec<bool> = predictions(classes, probabilities).map(|prediction| prediction.class.is_none()).collect();
    let scored = |class: usize| {
        let broken = &broken;
        targets.iter().enumerate().map(move |(row, &target)| {
            let score = if broken[row] { f32::NAN } else { probabilities[row * classes + class] };
            (score, target == class)
        })
    };
    let ranked: Vec<Ranked> = (0..classes)
        .map(|class| {
            let sweep = steps(scored(class));
            Ranked { auc: area_under_roc(&sweep), average_precision: average_precision(&sweep) }
        })
        .collect();
    let pooled = steps((0..classes).flat_map(scored));

    let rows = (0..classes).map(|class| ClassRow {
        label: labels[class].clone(),
        precision: Some(counts[class].precision()),
        recall: Some(counts[class].recall()),
        f1: Some(counts[class].f1()),
        support: support[class],
        auc: ranked[class].auc,
        average_precision: ranked[class].average_precision,
    });
    let decided = |value: fn(&ClassCounts) -> f64| {
        let total = counts.iter().fold(ClassCounts::default(), |sum, &one| sum + one);
        let per_class = counts.iter().map(|one| (one.occurs().then(|| value(one)), one.support()));
        let binary = (classes == 2 && samples > 0).then(|| value(&counts[1]));
        averages(per_class, (samples > 0).then(|| value(&total)), binary)
    };
    let order = |value: fn(&Ranked) -> Option<f64>, micro| {
        let per_class = ranked.iter().zip(&support).map(|(one, &support)| (value(one), support));
        averages(per_class, micro, if classes == 2 { value(&ranked[1]) } else { None })
    };
    MulticlassReport {
        samples,
        unanswered: samples - answered,
        accuracy: (samples > 0).then(|| counts.iter().map(|one| one.hits).sum::<u64>() as f64 / samples as f64),
        log_loss: log_loss(classes, probabilities, targets, &broken),
        auc: order(|one| one.auc, area_under_roc(&pooled)),
        average_precision: order(|one| one.average_precision, average_precision(&pooled)),
        f1: decided(ClassCounts::f1),
        precision: decided(ClassCounts::precision),
        recall: decided(ClassCounts::recall),
        classes: rows.collect(),
        confusion_matrix: matrix,
    }
}

/// What the order of one class's scores says.
struct Ranked {
    auc: Option<f64>,
    average_precision: Option<f64>,
}

/// Means of `(value, support)` pairs; pairs without a value are skipped.
fn averages(per_class: impl Iterator<Item = (Option<f64>, u64)>, micro: Option<f64>, binary: Option<f64>) -> Averages {
    let (mut sum, mut count, mut weighted, mut weight) = (0.0, 0_u64, 0.0, 0_u64);
    for (value, support) in per_class {
        let Some(value) = value else { continue };
        sum += value;
        count += 1;
        weighted += value * support as f64;
        weight += support;
    }
    Averages {
        macro_: (count > 0).then(|| sum / count as f64),
        micro,
        weighted: (weight > 0).then(|| weighted / weight as f64),
        binary,
    }
}

fn log_loss(classes: usize, probabilities: &[f32], targets: &[usize], broken: &[bool]) -> Option<f64> {
    let sum: f64 = targets
        .iter()
        .enumerate()
        .map(|(row, &target)| {
            let probability = if broken[row] { 0.0 } else { f64::from(probabilities[row * classes + target]) };
            -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
        })
        .sum();
    (!targets.is_empty()).then(|| sum / targets.len() as f64)
}

impl MulticlassReport {
    /// The defined values under Azure's names: `accuracy`, `log_loss`, and `AUC`, `average_precision_score`, `f1_score`,
    /// `precision_score`, `recall_score`, each with `_macro`, `_micro`, `_weighted` and, for two classes, `_binary`.
    pub fn scalars(&self) -> BTreeMap<String, f64> {
        let mut scalars = BTreeMap::new();
        let mut put = |name: String, value: Option<f64>| {
            if let Some(value) = value {
                scalars.insert(name, value);
            }
        };
        put("accuracy".to_owned(), self.accuracy);
        put("log_loss".to_owned(), self.log_loss);
        for (name, averages) in [
            ("AUC", &self.auc),
            ("average_precision_score", &self.average_precision),
            ("f1_score", &self.f1),
            ("precision_score", &self.precision),
            ("recall_score", &self.recall),
        ] {
            put(format!("{name}_macro"), averages.macro_);
            put(format!("{name}_micro"), averages.micro);
            put(format!("{name}_weighted"), averages.weighted);
            put(format!("{name}_binary"), averages.binary);
        }
        scalars
    }

    /// The rows under the per-class ones of a classification report: `micro`, `macro`, `weighted`, in this order.
    pub fn average_rows(&self) -> Vec<ClassRow> {
        let row = |label: &str, pick: fn(&Averages) -> Option<f64>| ClassRow {
            label: label.to_owned(),
            precision: pick(&self.precision),
            recall: pick(&self.recall),
            f1: pick(&self.f1),
            support: self.samples,
            auc: pick(&self.auc),
            average_precision: pick(&self.average_precision),
        };
        vec![
            row("micro", |averages| averages.micro),
            row("macro", |averages| averages.macro_),
            row("weighted", |averages| averages.weighted),
        ]
    }
}

#[cfg(test)]
#[path = "classification_tests.rs"]
mod tests;
