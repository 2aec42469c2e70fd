//! Metrics of classification, single-label and multi-label, under the names Azure's AutoML for Images uses, equal to
//! scikit-learn's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Averages;
use super::counts::{ClassCounts, predictions};
use super::ranking::{Step, area_under_roc, average_precision, steps};
use super::truths::Truths;

/// Bins of the calibration error.
const CALIBRATION_BINS: usize = 15;

/// One row of the classification report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// The class, or `macro`, `micro`, `weighted` in [`ClassificationReport::average_rows`].
    pub label: String,
    /// 0 to 1; 0 where the class was never predicted.
    pub precision: Option<f64>,
    /// 0 to 1; 0 where the class never occurred.
    pub recall: Option<f64>,
    /// 0 to 1; 0 where the class neither occurred nor was predicted.
    pub f1: Option<f64>,
    /// Jaccard index, 0 to 1; 0 where the class neither occurred nor was predicted. Multi-label only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iou: Option<f64>,
    /// Examples of the class.
    pub support: u64,
    /// Area under the ROC curve against all other examples; needs an example of the class and one without.
    pub auc: Option<f64>,
    /// Average precision against all other examples; needs an example of the class.
    pub average_precision: Option<f64>,
}

/// How predicted and true label sets overlap: the Jaccard index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Mean over the examples; 1 where none is true and none predicted. The specification's `iou`.
    pub samples: Option<f64>,
    /// The same per class instead.
    #[serde(flatten)]
    pub classes: Averages,
}

/// Everything measured on one set of classified examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// Examples, `N`.
    pub samples: u64,
    /// Rows with a value that is not finite: wrong everywhere, and in no column of the confusion matrix.
    pub unanswered: u64,
    /// Share of right answers; multi-label: of examples whose predicted labels are exactly the true ones.
    pub accuracy: Option<f64>,
    /// Mean negative natural logarithm of the probability given to what is true, clipped to `[2^-52, 1 - 2^-52]`: to the
    /// true class of each example, or, multi-label, to the presence or absence of each label of each.
    pub log_loss: Option<f64>,
    /// Expected calibration error (Naeini et al. 2015): how far the probability of the predicted class is from the share of right
    /// answers, in 15 bins of equal width, mean over the examples. Not of label sets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub calibration_error: Option<f64>,
    /// Overlap of label sets; multi-label only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iou: Option<Overlap>,
    /// Area under the ROC curve, one class against the rest.
    pub auc: Averages,
    /// Average precision, one class against the rest.
    pub average_precision: Averages,
    /// F1 of the predicted classes.
    pub f1: Averages,
    /// Precision of the predicted classes.
    pub precision: Averages,
    /// Recall of the predicted classes.
    pub recall: Averages,
    /// One row per class, in label order.
    pub classes: Vec<ClassRow>,
    /// `confusion_matrix[truth][predicted]`, `C` x `C`; empty for multi-label examples, which have no single truth.
    pub confusion_matrix: Vec<Vec<u64>>,
}

/// Metrics of `probabilities` (row-major `[N, C]`, `C` = `labels.len()`) against `truths` (`N` examples).
///
/// - No examples: every value is `None`, counts are 0. One class each: the most probable is predicted, ties go to the
///   lowest index. Any number: those above the threshold of `truths` are. Equal scores share one threshold.
/// - A row with a NaN or infinite value answers wrongly: it hits no class, has no overlap with the truth even where that is
///   empty, ranks below every finite score, and counts as probability 0 of what is true in the log loss. (scikit-learn raises.)
/// - F1, precision, recall and IoU average over the classes that occur as truth or as prediction, with 0 for 0/0, as
///   scikit-learn does by default with one class each. AUC and average precision average over the classes that have an example (AUC: and a
///   counter-example); the others are skipped, where scikit-learn gives NaN and 0 with a warning. The micro averages pool
///   all `N * C` decisions. One class, or one class present, leaves every AUC but the micro one undefined.
/// - The overlap of an example without labels of which none is predicted is 1 (`zero_division=1` of scikit-learn's
///   `jaccard_score`): the answer is exactly right.
///
/// # Panics
/// Where `probabilities.len() != N * C` or a true class is not below `C`: a bug of the caller, not of the data.
pub fn classification(labels: &[String], probabilities: &[f32], truths: &Truths) -> ClassificationReport {
    let classes = labels.len();
    let samples = truths.len();
    assert_eq!(probabilities.len(), samples * classes, "probabilities must be [{samples}, {classes}]");
    let broken = broken(classes, probabilities);
    let examples = Examples { labels, probabilities, broken: &broken, above: truths.above() };
    let mut report = match truths {
        Truths::One(truths) => examples.single(truths),
        Truths::Any { sets, .. } => examples.sets(sets),
    };
    report.unanswered = broken.iter().filter(|&&broken| broken).count() as u64;
    report
}

/// [`classification`] of examples with one class each.
pub fn multiclass(labels: &[String], probabilities: &[f32], targets: &[usize]) -> ClassificationReport {
    classification(labels, probabilities, &Truths::One(targets.to_vec()))
}

/// What the answer about one example is worth; metrics that are means over examples are means of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Example {
    /// Whether it is right; of label sets, exactly.
    pub right: bool,
    /// Its share of the log loss.
    pub cost: f64,
    /// Overlap with what is true; of label sets only.
    pub overlap: Option<f64>,
}

/// Each example by itself. Arguments, and panics, are those of [`classification`].
pub fn examples(classes: usize, probabilities: &[f32], truths: &Truths) -> Vec<Example> {
    let names = vec![String::new(); classes];
    let broken = broken(classes, probabilities);
    let all = Examples { labels: &names, probabilities, broken: &broken, above: truths.above() };
    match truths {
        Truths::One(targets) => all.each_single(targets).collect(),
        Truths::Any { .. } => (0..truths.len()).map(|at| all.each_set(at, |class| truths.holds(at, class))).collect(),
    }
}

/// Rows without an answer. One that is broken in one place is broken in all: its finite scores say nothing either.
fn broken(classes: usize, probabilities: &[f32]) -> Vec<bool> {
    // Without a class there is none.
    predictions(classes, probabilities).map(|prediction| prediction.class.is_none()).collect()
}

struct Examples<'a> {
    labels: &'a [String],
    probabilities: &'a [f32],
    /// Rows without an answer.
    broken: &'a [bool],
    /// Of label sets, the probability above which a label is predicted.
    above: f32,
}

impl Examples<'_> {
    fn classes(&self) -> usize {
        self.labels.len()
    }

    fn row(&self, example: usize) -> &[f32] {
        &self.probabilities[example * self.classes()..][..self.classes()]
    }

    /// One class each.
    fn single(&self, targets: &[usize]) -> ClassificationReport {
        let classes = self.classes();
        assert!(targets.iter().all(|&target| target < classes), "a target is not below {classes}");
        let mut matrix = vec![vec![0_u64; classes]; classes];
        let mut support = vec![0_u64; classes];
        for (prediction, &target) in predictions(classes, self.probabilities).zip(targets) {
            support[target] += 1;
            if let Some(class) = prediction.class {
                matrix[target][class] += 1;
            }
        }
        let counts: Vec<ClassCounts> = (0..classes)
            .map(|class| {
                let hits = matrix[class][class];
                let predicted: u64 = matrix.iter().map(|row| row[class]).sum();
                ClassCounts { hits, false_alarms: predicted - hits, misses: support[class] - hits }
            })
            .collect();
        let hits: u64 = counts.iter().map(|one| one.hits).sum();
        let costs = self.each_single(targets).map(|example| example.cost);
        ClassificationReport {
            accuracy: mean(std::iter::once(hits as f64), targets.len()),
            log_loss: mean(costs, targets.len()),
            calibration_error: self.calibration_error(targets),
            confusion_matrix: matrix,
            ..self.per_class(&counts, |example, class| targets[example] == class)
        }
    }

    /// Any number of classes each.
    fn sets(&self, sets: &[Vec<u32>]) -> ClassificationReport {
        let classes = self.classes();
        let mut truth = vec![false; sets.len() * classes];
        for (example, set) in sets.iter().enumerate() {
            for &class in set {
                assert!((class as usize) < classes, "class {class} is not below {classes}");
                truth[example * classes + class as usize] = true;
            }
        }
        let truth = |example: usize, class: usize| truth[example * classes + class];
        let mut counts = vec![ClassCounts::default(); classes];
        for example in 0..sets.len() {
            for (class, count) in counts.iter_mut().enumerate() {
                *count = *count + self.decided_of(example, class, truth(example, class));
            }
        }
        let each: Vec<Example> = (0..sets.len()).map(|at| self.each_set(at, |class| truth(at, class))).collect();
        let averages = self.decided(&counts, ClassCounts::iou);
        let samples = mean(each.iter().filter_map(|example| example.overlap), sets.len());
        let mut report = ClassificationReport {
            accuracy: mean(each.iter().map(|example| f64::from(u8::from(example.right))), sets.len()),
            log_loss: if classes > 0 { mean(each.iter().map(|example| example.cost), sets.len()) } else { None },
            iou: Some(Overlap { samples, classes: Averages { binary: None, ..averages } }),
            ..self.per_class(&counts, truth)
        };
        for (row, counts) in report.classes.iter_mut().zip(&counts) {
            row.iou = Some(counts.iou());
        }
        report
    }

    /// Of answers in bins of equal width.
    fn calibration_error(&self, targets: &[usize]) -> Option<f64> {
        let mut bins = [(0.0, 0.0); CALIBRATION_BINS];
        for (prediction, &target) in predictions(self.classes(), self.probabilities).zip(targets) {
            let probability = f64::from(prediction.probability);
            let bin = (probability * CALIBRATION_BINS as f64).ceil() as usize;
            let (sure, right) = &mut bins[bin.clamp(1, CALIBRATION_BINS) - 1];
            *sure += probability;
            *right += f64::from(u8::from(prediction.class == Some(target)));
        }
        mean(bins.iter().map(|(sure, right): &(f64, f64)| (sure - right).abs()), targets.len())
    }

    /// The decision about a class of an example that may have any number of them.
    fn decided_of(&self, example: usize, class: usize, is_true: bool) -> ClassCounts {
        ClassCounts::of(!self.broken[example] && self.row(example)[class] > self.above, is_true)
    }

    /// Examples with one class each, by themselves.
    fn each_single<'a>(&'a self, targets: &'a [usize]) -> impl Iterator<Item = Example> + 'a {
        let examples = predictions(self.classes(), self.probabilities).zip(targets).enumerate();
        examples.map(|(example, (prediction, &target))| Example {
            right: prediction.class == Some(target),
            cost: self.cost(example, target, true),
            overlap: None,
        })
    }

    /// An example with any number of classes, by itself.
    fn each_set(&self, example: usize, truth: impl Fn(usize) -> bool) -> Example {
        let classes = self.classes();
        let all =
            (0..classes).fold(ClassCounts::default(), |all, class| all + self.decided_of(example, class, truth(class)));
        let cost: f64 = (0..classes).map(|class| self.cost(example, class, truth(class))).sum();
        let overlap = match self.broken[example] {
            true => 0.0,
            false if all.occurs() => all.iou(),
            false => 1.0,
        };
        Example {
            right: !self.broken[example] && all.false_alarms + all.misses == 0,
            cost: cost / classes.max(1) as f64,
            overlap: Some(overlap),
        }
    }

    /// Negative logarithm of the probability that a class was given to be there, or not to be there.
    fn cost(&self, example: usize, class: usize, is_there: bool) -> f64 {
        let given = if self.broken[example] {
            0.0
        } else {
            let probability = f64::from(self.row(example)[class]);
            if is_there { probability } else { 1.0 - probability }
        };
        -given.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
    }

    /// What is measured class by class, whatever an example's classes are.
    fn per_class(&self, counts: &[ClassCounts], truth: impl Fn(usize, usize) -> bool) -> ClassificationReport {
        let classes = self.classes();
        let scored = |class: usize| {
            let truth = &truth;
            (0..self.broken.len()).map(move |example| {
                let score = if self.broken[example] { f32::NAN } else { self.row(example)[class] };
                (score, truth(example, class))
            })
        };
        let ranked: Vec<Ranked> = (0..classes).map(|class| Ranked::new(&steps(scored(class)))).collect();
        let pooled = Ranked::new(&steps((0..classes).flat_map(scored)));
        let order = |value: fn(&Ranked) -> Option<f64>| {
            let per_class = ranked.iter().zip(counts).map(|(one, counts)| (value(one), counts.support()));
            Averages::new(per_class, value(&pooled), if classes == 2 { value(&ranked[1]) } else { None })
        };
        let row = |((label, counts), ranked): ((&String, &ClassCounts), &Ranked)| ClassRow {
            label: label.clone(),
            precision: Some(counts.precision()),
            recall: Some(counts.recall()),
            f1: Some(counts.f1()),
            iou: None,
            support: counts.support(),
            auc: ranked.auc,
            average_precision: ranked.average_precision,
        };
        ClassificationReport {
            samples: self.broken.len() as u64,
            unanswered: 0,
            accuracy: None,
            log_loss: None,
            calibration_error: None,
            iou: None,
            auc: order(|one| one.auc),
            average_precision: order(|one| one.average_precision),
            f1: self.decided(counts, ClassCounts::f1),
            precision: self.decided(counts, ClassCounts::precision),
            recall: self.decided(counts, ClassCounts::recall),
            classes: self.labels.iter().zip(counts).zip(&ranked).map(row).collect(),
            confusion_matrix: Vec::new(),
        }
    }

    /// Averages of what depends on the predicted classes alone.
    fn decided(&self, counts: &[ClassCounts], value: fn(&ClassCounts) -> f64) -> Averages {
        let total = counts.iter().fold(ClassCounts::default(), |sum, &one| sum + one);
        let per_class = counts.iter().map(|one| (one.occurs().then(|| value(one)), one.support()));
        let binary = (counts.len() == 2 && !self.broken.is_empty()).then(|| value(&counts[1]));
        Averages::new(per_class, total.occurs().then(|| value(&total)), binary)
    }
}

/// Sum of `values` by `count`; undefined for none.
fn mean(values: impl Iterator<Item = f64>, count: usize) -> Option<f64> {
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// What the order of one class's scores says.
struct Ranked {
    auc: Option<f64>,
    average_precision: Option<f64>,
}

impl Ranked {
    fn new(sweep: &[Step]) -> Self {
        Self { auc: area_under_roc(sweep), average_precision: average_precision(sweep) }
    }
}

impl ClassificationReport {
    /// The defined values under Azure's names: `accuracy`, `log_loss`, `calibration_error` (not Azure's), for label sets `iou`, and `AUC`,
    /// `average_precision_score`, `f1_score`, `precision_score`, `recall_score`, `iou`, each with `_macro`, `_micro`,
    /// `_weighted` and, for two classes (not `iou`), `_binary`.
    pub fn scalars(&self) -> BTreeMap<String, f64> {
        let mut scalars = BTreeMap::new();
        let mut put = |name: String, value: Option<f64>| {
            if let Some(value) = value {
                scalars.insert(name, value);
            }
        };
        put("accuracy".to_owned(), self.accuracy);
        put("log_loss".to_owned(), self.log_loss);
        put("calibration_error".to_owned(), self.calibration_error);
        put("iou".to_owned(), self.iou.and_then(|iou| iou.samples));
        for (name, averages) in [
            ("AUC", self.auc),
            ("average_precision_score", self.average_precision),
            ("f1_score", self.f1),
            ("precision_score", self.precision),
            ("recall_score", self.recall),
            ("iou", self.iou.map(|iou| iou.classes).unwrap_or_default()),
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
            iou: self.iou.and_then(|iou| pick(&iou.classes)),
            support: self.classes.iter().map(|class| class.support).sum(),
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
