//! What a report is made of.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Thumbnail;
use metrics::detection::DetectionReport;
use metrics::{AccuracyTable, ClassificationReport, Verdict};

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
    /// Of the main ones: where 95 % of resampled data lie.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// What a classifier did; without it the parts about classes are left out.
    pub classification: Option<ClassificationSection>,
    /// What a detector did; without it the parts about boxes are left out.
    pub detection: Option<DetectionSection>,
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
    /// Training images per second.
    pub images_per_second: f64,
}

/// What a classifier did on the validation data.
#[derive(Debug, Clone, Serialize)]
pub struct ClassificationSection {
    /// Its metrics.
    pub report: ClassificationReport,
    /// Its decisions at every threshold; the page draws them.
    #[serde(skip)]
    pub table: AccuracyTable,
    /// Some validation images.
    pub samples: Vec<ImageCard>,
    /// The worst answers.
    pub mistakes: Vec<ImageCard>,
    /// The most frequent confusions.
    pub confused: Vec<ConfusedPair>,
    /// Labels that may be wrong.
    pub suspects: Vec<ImageCard>,
    /// How many of those there are in all.
    pub suspected: usize,
}

/// An image and what was said of it.
#[derive(Debug, Clone, Serialize)]
pub struct ImageCard {
    /// The image, captioned with its name.
    pub image: Thumbnail,
    /// What was predicted or should have been; empty where that is nothing.
    pub said: Vec<Said>,
}

/// A class that was predicted, or should have been.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    /// The class.
    pub label: String,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// Whether that is right.
    pub verdict: Verdict,
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
    pub images: Vec<Thumbnail>,
}

/// What a detector did on the validation data, and what the objects of its data are like.
#[derive(Debug, Clone, Serialize)]
pub struct DetectionSection {
    /// Its metrics.
    pub report: DetectionReport,
    /// The objects of the data.
    pub objects: ObjectStatistics,
    /// Colours of the classes in the images; empty where there are more classes than colours.
    pub colours: Vec<ClassColour>,
    /// Some validation images.
    pub compared: Vec<Comparison>,
    /// Those with the most errors, the worst first.
    pub worst: Vec<Comparison>,
    /// Boxes around nothing, the most confident first.
    pub invented: Vec<Cutout>,
    /// Objects that no box stands for, the largest first.
    pub missed: Vec<Cutout>,
    /// Objects found as another class, the most confident first.
    pub mistaken: Vec<Cutout>,
    /// Objects that were found, with the masks that fit them least, the worst first; empty for models without masks.
    pub worst_masks: Vec<MaskPair>,
}

/// A true outline and the mask that was found for it, in the same part of an image.
#[derive(Debug, Clone, Serialize)]
pub struct MaskPair {
    /// The true outline, captioned with the image's name.
    pub truth: Thumbnail,
    /// The mask.
    pub found: Thumbnail,
    /// Class of the object.
    pub label: String,
    /// Class that it was found as, if that is another one.
    pub taken_for: Option<String>,
    /// Score of what was found.
    pub score: f64,
    /// Intersection over union of their pixels, in [0, 1].
    pub iou: f64,
}

/// An image twice, and how the boxes in it pair. Each object and each box is in one of the counts.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// With the objects outlined.
    pub truth: Thumbnail,
    /// With the kept boxes outlined.
    pub found: Thumbnail,
    /// Objects, without crowds.
    pub objects: u64,
    /// Objects found as what they are.
    pub right: u64,
    /// Objects found as something else.
    pub confused: u64,
    /// Objects that no kept box stands for.
    pub missed: u64,
    /// Kept boxes around nothing.
    pub invented: u64,
}

/// What lies in and around a box.
#[derive(Debug, Clone, Serialize)]
pub struct Cutout {
    /// The part of the image, captioned with its name.
    pub image: Thumbnail,
    /// Class of the box.
    pub label: String,
    /// Class that an object was found as, where that is what the cutout is about.
    pub taken_for: Option<String>,
    /// Score of a found box.
    pub score: Option<f64>,
    /// Width and height of the box in whole pixels of the original image.
    pub size: [u64; 2],
}

/// The colour of a class in the images.
#[derive(Debug, Clone, Serialize)]
pub struct ClassColour {
    /// The class.
    pub label: String,
    /// Red, green, blue.
    pub colour: [u8; 3],
}

/// Objects of the data, crowds among them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ObjectStatistics {
    /// To train on.
    pub train: PartObjects,
    /// To validate on.
    pub validation: PartObjects,
    /// Images by their number of objects.
    pub per_image: Vec<Bin>,
    /// Objects by their size in pixels of the original image, as COCO names it.
    pub sizes: Vec<Bin>,
    /// Training images that `sizes` is about.
    pub sized_images: u64,
    /// Objects by the square root of the share of the image that they cover.
    pub relative: Vec<Bin>,
}

/// How much one part of the data holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PartObjects {
    /// Images.
    pub images: u64,
    /// Images without any object.
    pub background: u64,
    /// Objects, crowds among them.
    pub objects: u64,
    /// Objects that are crowds.
    pub crowds: u64,
}

/// One bar of a histogram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// What it counts.
    pub name: String,
    /// In the training data.
    pub train: u64,
    /// In the validation data.
    pub validation: u64,
}

/// The data of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DatasetSummary {
    /// Rows, or objects, per class, in label order.
    pub classes: Vec<ClassCount>,
    /// Images by their number of labels; empty where each has exactly one.
    pub per_image: Vec<Bin>,
    /// How many rows were rejected.
    pub rejected: u64,
    /// The first few of them.
    pub rejected_rows: Vec<RejectedRow>,
}

/// Rows of one class, or objects where rows hold objects.
#[derive(Debug, Clone, Serialize)]
pub struct ClassCount {
    /// The class.
    pub label: String,
    /// To train on.
    pub train: u64,
    /// To validate on.
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
