//! What a report is made of.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Thumbnail;
use crate::metric::MulticlassReport;

/// Everything the report shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReportData {
    /// Name of the run.
    pub run: String,
    /// The task, as users write it.
    pub task: String,
    /// The architecture, as users write it.
    pub model: String,
    /// One sentence: how the run ended, on what, how long it took.
    pub status: String,
    /// Name of the metric the best epoch was chosen by.
    pub primary_metric: String,
    /// The epoch whose weights were kept.
    pub best_epoch: Option<u64>,
    /// One record per epoch, in order.
    pub epochs: Vec<EpochRecord>,
    /// Metrics of the kept weights.
    pub metrics: BTreeMap<String, f64>,
    /// The same per class; without it the parts about classes are left out.
    pub multiclass: Option<MulticlassReport>,
    /// The most confident wrong answers.
    pub mistakes: Vec<MistakeCard>,
    /// The most frequent confusions.
    pub confused: Vec<ConfusedPair>,
    /// Some training examples after augmentation, as the network sees them.
    pub training_batch: Vec<Thumbnail>,
    /// The data.
    pub dataset: DatasetSummary,
    /// The resolved plan.
    pub settings: Vec<Setting>,
    /// The exported file.
    pub export: Option<ExportSummary>,
    /// Versions, device, precision, threads.
    pub environment: Vec<Fact>,
}

/// What happened in one epoch.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EpochRecord {
    /// Number of the epoch, as everywhere else in the run.
    pub epoch: u64,
    /// Learning rate at the end of the epoch.
    pub learning_rate: f64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Validation metrics by name; empty where the epoch was not evaluated.
    pub metrics: BTreeMap<String, f64>,
    /// Duration with evaluation.
    pub seconds: f64,
    /// Training pictures per second.
    pub images_per_second: f64,
}

/// A wrong answer as a card.
#[derive(Debug, Clone, Serialize)]
pub struct MistakeCard {
    /// The picture, captioned with its name.
    pub picture: Thumbnail,
    /// The true class.
    pub truth: String,
    /// The predicted class.
    pub predicted: String,
    /// Probability of the predicted class, 0 to 1.
    pub probability: f32,
    /// Probability of the true class, 0 to 1.
    pub truth_probability: f32,
}

/// Two classes that are taken for each other.
#[derive(Debug, Clone, Serialize)]
pub struct ConfusedPair {
    /// The true class.
    pub truth: String,
    /// What it was taken for.
    pub predicted: String,
    /// How often.
    pub count: usize,
    /// Of how many examples of `truth`.
    pub of: usize,
    /// Some of them.
    pub pictures: Vec<Thumbnail>,
}

/// The data of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DatasetSummary {
    /// Rows per class, in label order.
    pub classes: Vec<ClassCount>,
    /// How many rows were rejected.
    pub rejected: u64,
    /// The first few of them.
    pub rejected_rows: Vec<RejectedRow>,
}

/// Rows of one class.
#[derive(Debug, Clone, Serialize)]
pub struct ClassCount {
    /// The class.
    pub label: String,
    /// Rows to train on.
    pub train: u64,
    /// Rows to validate on.
    pub validation: u64,
}

/// A row that was left out.
#[derive(Debug, Clone, Serialize)]
pub struct RejectedRow {
    /// File and line.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A setting of the plan.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, as users write it.
    pub value: String,
    /// Where the value came from, as users read it.
    pub source: String,
    /// Whether nobody chose it; such settings are folded away.
    pub is_default: bool,
}

/// The exported file and how it was verified.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExportSummary {
    /// Where it lies, relative to the run.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Nodes of the graph.
    pub nodes: u64,
    /// Largest difference in probability from what the trainer recorded; `None` where nothing was compared.
    pub largest_difference: Option<f64>,
    /// More to say, such as its form and opset.
    pub facts: Vec<Fact>,
}

/// A name and a value.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}
