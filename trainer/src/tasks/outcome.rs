//! Predictions of a whole data set, and their metrics as every command tells them: numbers by name, a table for a terminal, JSON.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use rand::Rng;
use schemas::Settings;
use serde_json::Value;

use super::{classify, detect};
use crate::nn::params::keyed_rng;
use metrics::detection::DetectionReport;
use metrics::{Aim, ClassificationReport, Cutoff};

/// Predictions of a whole data set, beside what is true.
pub enum Outcome {
    /// Probabilities of each class of each image.
    Classes(classify::evaluate::Outcome),
    /// Boxes in each image.
    Boxes(detect::evaluate::Outcome),
}

/// Intervals of metrics by name: 95 % of resampled data sets lie within.
pub type Intervals = BTreeMap<String, [f64; 2]>;

impl Outcome {
    /// How far the main metrics may be from those of many more images; the same for the same predictions.
    #[must_use]
    pub fn intervals(&self, classes: usize, settings: &Settings) -> Intervals {
        let mut rng = keyed_rng(0, "bootstrap");
        let draw = |n: usize| ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize;
        match self {
            Self::Classes(outcome) => {
                metrics::intervals(&metrics::examples(classes, &outcome.probabilities, &outcome.truths), draw)
            }
            Self::Boxes(outcome) => outcome.intervals(classes, settings, draw),
        }
    }

    /// The setting whose threshold may be fitted, and what it would be; nothing where images have one class each, or nothing is gained.
    #[must_use]
    pub fn cutoff(&self, classes: usize, settings: &Settings, aim: Aim) -> Option<(&'static str, Cutoff)> {
        match self {
            Self::Classes(outcome) => outcome.cutoff(classes, settings.label_threshold, aim),
            Self::Boxes(outcome) => outcome.cutoff(settings, aim),
        }
    }

    /// The same, of label sets whose labels are answered as the settings say.
    #[must_use]
    pub fn answering(self, settings: &Settings) -> Self {
        match self {
            Self::Classes(outcome) => Self::Classes(outcome.above(settings.label_threshold)),
            Self::Boxes(outcome) => Self::Boxes(outcome),
        }
    }

    /// What several models say of different parts of a data set, as if one had said it; nothing without parts. Places of images are
    /// those in each part.
    #[must_use]
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        parts.into_iter().reduce(|all, part| match (all, part) {
            (Self::Classes(mut all), Self::Classes(part)) => {
                all.probabilities.extend(part.probabilities);
                all.truths.extend(part.truths);
                all.indices.extend(part.indices);
                Self::Classes(all)
            }
            (Self::Boxes(mut all), Self::Boxes(part)) => {
                all.results.extend(part.results);
                all.indices.extend(part.indices);
                all.masks.extend(part.masks);
                Self::Boxes(all)
            }
            // Parts of one data set are of one task.
            (all, _) => all,
        })
    }
}

/// Metrics of a model on a data set.
pub enum Metrics {
    /// Of a classifier.
    Classes(ClassificationReport),
    /// Of a detector.
    Boxes(DetectionReport),
}

impl Metrics {
    /// Measures predictions.
    #[must_use]
    pub fn of(outcome: &Outcome, labels: &[String], settings: &Settings) -> Self {
        match outcome {
            Outcome::Classes(outcome) => Self::Classes(outcome.report(labels)),
            Outcome::Boxes(outcome) => Self::Boxes(outcome.report(labels, settings)),
        }
    }

    /// Metrics by name; undefined ones are left out.
    #[must_use]
    pub fn scalars(&self) -> BTreeMap<String, f64> {
        match self {
            Self::Classes(report) => report.scalars(),
            Self::Boxes(report) => report.scalars(),
        }
    }

    /// Images that were measured.
    #[must_use]
    pub fn images(&self) -> u64 {
        match self {
            Self::Classes(report) => report.samples,
            Self::Boxes(report) => report.counts.images,
        }
    }

    /// Everything, as JSON.
    ///
    /// # Errors
    /// Never for what a metric computes.
    pub fn json(&self) -> serde_json::Result<Value> {
        match self {
            Self::Classes(report) => serde_json::to_value(report),
            Self::Boxes(report) => serde_json::to_value(report),
        }
    }

    /// The headline and the table per class, for a terminal.
    #[must_use]
    pub fn describe(&self, intervals: &Intervals) -> String {
        match self {
            Self::Classes(report) => classes(report, intervals),
            Self::Boxes(report) => boxes(report, intervals),
        }
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"))
}

/// A metric with its interval, if it has one.
fn within(intervals: &Intervals, name: &str, value: Option<f64>) -> String {
    match intervals.get(name) {
        Some([low, high]) => format!("{} ({low:.3} to {high:.3})", number(value)),
        None => number(value),
    }
}

fn table(header: [&str; 6]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

fn classes(report: &ClassificationReport, intervals: &Intervals) -> String {
    let sets = report.iou.is_some();
    let mut table = table(["class", "precision", "recall", "f1", if sets { "IoU" } else { "AUC" }, "images"]);
    for row in report.classes.iter().chain(&report.average_rows()) {
        table.add_row([
            row.label.clone(),
            number(row.precision),
            number(row.recall),
            number(row.f1),
            number(if sets { row.iou } else { row.auc }),
            row.support.to_string(),
        ]);
    }
    let accuracy = within(intervals, "accuracy", report.accuracy);
    let loss = within(intervals, "log_loss", report.log_loss);
    let headline = match report.iou {
        Some(iou) => format!("iou {}, exact match {accuracy}", within(intervals, "iou", iou.samples)),
        None => format!("accuracy {accuracy}"),
    };
    format!("{headline} on {} images, log loss {loss}\n{table}", report.samples)
}

fn boxes(report: &DetectionReport, intervals: &Intervals) -> String {
    let mut table = table(["class", "AP50", "AP50:95", "precision", "recall", "objects"]);
    for row in &report.classes {
        table.add_row([
            row.label.clone(),
            number(row.ap50),
            number(row.ap50_95),
            number(row.precision),
            number(row.recall),
            row.support.to_string(),
        ]);
    }
    let threshold = report.options.score_threshold;
    format!(
        "AP50 {}, AP50:95 {} on {} images (COCO, over all scores)\n\
         mean average precision ({}) {}; of boxes with a score above {threshold} only, as the specification has it: {}\n\
         precision and recall at a score of {threshold}:\n{table}",
        within(intervals, "ap50", report.coco.ap50),
        within(intervals, "ap50_95", report.coco.ap50_95),
        report.counts.images,
        report.options.metric_type,
        within(intervals, "mean_average_precision", report.primary()),
        within(intervals, "mean_average_precision_truncated", report.truncated()),
    )
}
