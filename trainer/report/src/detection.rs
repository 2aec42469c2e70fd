//! What the page says about a detector: numbers by name, precision-recall curves, the confusion matrix.

use std::cmp::Reverse;

use serde::Serialize;

use super::chart::{CURVES, LineChart, Series, short};
use super::data::{DetectionSection, Fact};
use super::figure::{Chart, Matrix};
use metrics::detection::{Curve, DetectionReport, DetectionRow};

/// With more classes than this beside the mean, curves of classes get charts of their own.
const BESIDE_MEAN: usize = CURVES - 1;
/// Classes that get a curve: those with the most objects.
const MOST_CURVES: usize = 96;

/// What the template reads.
#[derive(Serialize)]
pub struct DetectionView<'a> {
    section: &'a DetectionSection,
    /// What was found at the score threshold.
    kept: Vec<Fact>,
    /// Images with objects against images without.
    image_level: Vec<Fact>,
    coco: Vec<CocoRow>,
    curves: Vec<Chart>,
    class_curves: Vec<Chart>,
    /// Classes with objects that have no curve.
    without_curve: usize,
    matrix: Option<Matrix>,
    has_images: bool,
}

/// One of COCO's twelve numbers.
#[derive(Serialize)]
struct CocoRow {
    name: &'static str,
    meaning: &'static str,
    value: Option<f64>,
}

impl<'a> DetectionView<'a> {
    /// Derives the parts.
    pub fn new(section: &'a DetectionSection) -> Self {
        let report = &section.report;
        let mut present: Vec<&DetectionRow> = report.classes.iter().filter(|row| row.support > 0).collect();
        let class_curves = if present.len() > BESIDE_MEAN { class_charts(&mut present) } else { Vec::new() };
        let shown = if present.len() > BESIDE_MEAN { MOST_CURVES } else { BESIDE_MEAN };
        Self {
            section,
            kept: kept(report),
            image_level: image_level(report),
            coco: coco(report),
            curves: [mean_chart(report, &present), threshold_chart(report)].into_iter().flatten().collect(),
            class_curves,
            without_curve: present.len().saturating_sub(shown),
            matrix: report.confusion_matrix().and_then(|matrix| {
                let labels = report.classes.iter().map(|row| row.label.clone()).collect();
                Matrix::new(labels, matrix.dense())
            }),
            has_images: !(section.compared.is_empty()
                && section.worst.is_empty()
                && section.invented.is_empty()
                && section.missed.is_empty()
                && section.mistaken.is_empty()
                && section.worst_masks.is_empty()),
        }
    }
}

/// How a number of the headline was measured.
pub fn note(report: &DetectionReport, name: &str) -> Option<String> {
    let options = &report.options;
    match name {
        "mean_average_precision" => Some(format!("{}, over all scores", options.metric_type)),
        "mean_average_precision_truncated" => {
            let threshold = short(options.score_threshold);
            Some(format!("of boxes with a score above {threshold} only, as the specification has it"))
        }
        "ap50" | "ap50_95" => Some("COCO, over all scores".to_owned()),
        _ => None,
    }
}

fn fact(name: &str, value: &impl ToString) -> Fact {
    Fact { name: name.to_owned(), value: value.to_string() }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

fn kept(report: &DetectionReport) -> Vec<Fact> {
    let counts = &report.counts;
    let mut facts = vec![
        fact("Images", &counts.images),
        fact("Objects", &counts.objects),
        fact("Hits", &counts.hits),
        fact("Missed", &counts.missed),
        fact("False alarms", &counts.false_alarms),
        fact("Precision, mean over classes", &number(report.voc.precision)),
        fact("Recall, mean over classes", &number(report.voc.recall)),
    ];
    let in_crowds = counts.kept.saturating_sub(counts.hits + counts.false_alarms);
    if counts.crowds > 0 {
        facts.push(fact("Crowds, and boxes in them", &format!("{}, {in_crowds}", counts.crowds)));
    }
    if counts.unusable > 0 {
        facts.push(fact("Boxes that are not numbers", &counts.unusable));
    }
    facts
}

fn image_level(report: &DetectionReport) -> Vec<Fact> {
    let image = &report.image_level;
    vec![
        fact("With objects, recognised", &format!("{} of {}", image.recognised, image.positives)),
        fact("Without, yet something found", &format!("{} of {}", image.false_alarms, image.negatives)),
        fact("Precision", &number(image.precision)),
        fact("Recall", &number(image.recall)),
        fact("Average precision", &number(image.average_precision)),
    ]
}

fn coco(report: &DetectionReport) -> Vec<CocoRow> {
    let coco = &report.coco;
    let row = |(name, meaning, value)| CocoRow { name, meaning, value };
    [
        ("AP50:95", "average precision, mean over IoU 0.50, 0.55 … 0.95", coco.ap50_95),
        ("AP50", "average precision at IoU 0.50", coco.ap50),
        ("AP75", "average precision at IoU 0.75", coco.ap75),
        ("AP small", "AP50:95 of objects up to 32 × 32 pixels", coco.ap_small),
        ("AP medium", "AP50:95 of objects from 32 × 32 to 96 × 96 pixels", coco.ap_medium),
        ("AP large", "AP50:95 of objects from 96 × 96 pixels", coco.ap_large),
        ("AR 1", "recall with one box per image and class, mean over the IoU thresholds", coco.ar_1),
        ("AR 10", "recall with ten boxes per image and class", coco.ar_10),
        ("AR 100", "recall with a hundred boxes per image and class", coco.ar_100),
        ("AR small", "AR 100 of objects up to 32 × 32 pixels", coco.ar_small),
        ("AR medium", "AR 100 of objects from 32 × 32 to 96 × 96 pixels", coco.ar_medium),
        ("AR large", "AR 100 of objects from 96 × 96 pixels", coco.ar_large),
    ]
    .map(row)
    .into()
}

/// The mean curve and, if they are few, those of the classes.
fn mean_chart(report: &DetectionReport, present: &[&DetectionRow]) -> Option<Chart> {
    let mut curves = vec![(by_recall("mean over classes", &report.curve), report.coco.ap50)];
    if (2..=BESIDE_MEAN).contains(&present.len()) {
        curves.extend(present.iter().map(|row| (by_recall(&row.label, &row.curve), row.ap50)));
    }
    recall_chart("curve-recall".to_owned(), "Precision by recall at IoU 0.50, AP50 below".to_owned(), curves)
}

fn class_charts(present: &mut [&DetectionRow]) -> Vec<Chart> {
    present.sort_by_key(|row| Reverse(row.support));
    let shown = &present[..present.len().min(MOST_CURVES)];
    let charts = shown.chunks(CURVES).enumerate().filter_map(|(place, rows)| {
        let curves = rows.iter().map(|row| (by_recall(&row.label, &row.curve), row.ap50)).collect();
        let (first, last) = (place * CURVES + 1, place * CURVES + rows.len());
        recall_chart(format!("curve-classes-{place}"), format!("Classes {first} to {last}"), curves)
    });
    charts.collect()
}

fn by_recall(name: &str, curve: &Curve) -> Series {
    let points = curve.interpolated.iter().enumerate().map(|(percent, &precision)| (percent as f64, precision));
    Series { name: name.to_owned(), points: points.collect() }
}

/// The legend shows the value that comes with each curve.
fn recall_chart(id: String, title: String, curves: Vec<(Series, Option<f64>)>) -> Option<Chart> {
    let (series, values): (Vec<Series>, Vec<Option<f64>>) = curves.into_iter().unzip();
    let chart = LineChart {
        id,
        title,
        x_label: "recall, %",
        series,
        y_range: Some((0.0, 1.0)),
        mark: None,
        reference: vec![],
        dots: true,
    };
    Chart::new(chart, |place, _| values[place].map(|value| format!("{value:.3}")))
}

/// What a score threshold costs and brings.
fn threshold_chart(report: &DetectionReport) -> Option<Chart> {
    let series = |name: &str, values: &[Option<f64>]| {
        let points = values.iter().enumerate().map(|(percent, value)| (percent as f64, value.unwrap_or(f64::NAN)));
        Series { name: name.to_owned(), points: points.collect() }
    };
    let threshold = report.options.score_threshold;
    let chart = LineChart {
        id: "curve-threshold".to_owned(),
        title: format!("Precision and recall by score threshold, mean over classes; {} below", short(threshold)),
        x_label: "score threshold, %",
        series: vec![series("precision", &report.curve.precision), series("recall", &report.curve.recall)],
        y_range: Some((0.0, 1.0)),
        mark: Some((100.0 * threshold, format!("box_score_thresh: {}", short(threshold)))),
        reference: vec![],
        dots: true,
    };
    let values = [report.voc.precision, report.voc.recall];
    Chart::new(chart, |place, _| values[place].map(|value| format!("{value:.3}")))
}
