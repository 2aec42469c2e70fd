//! From [`ReportData`] to what the page prints: charts, headline, table columns, number formats.

use std::collections::BTreeSet;

use minijinja::Environment;
use serde::Serialize;

use super::chart::{LineChart, Series, short};
use super::classification::{self, ClassificationView};
use super::data::{EpochRecord, ReportData};
use super::detection::{self, DetectionView};
use super::figure::Chart;

/// Curves in one chart; more cannot be told apart.
const MOST_CURVES: usize = 4;
/// Figures in the headline.
const MOST_TILES: usize = 4;
/// Metrics people look at first, in this order.
const PREFERRED: [&str; 11] = [
    "accuracy",
    "mean_average_precision",
    "ap50",
    "ap50_95",
    "mean_average_precision_truncated",
    "iou",
    "f1_score_macro",
    "AUC_macro",
    "average_precision_score_macro",
    "precision",
    "recall",
];

/// What the template reads.
#[derive(Serialize)]
pub struct View<'a> {
    data: &'a ReportData,
    tiles: Vec<Tile<'a>>,
    charts: Vec<Chart>,
    /// Names of all validation metrics, the columns of the epoch table.
    columns: Vec<&'a str>,
    classification: Option<ClassificationView<'a>>,
    detection: Option<DetectionView<'a>>,
    most_rows: u64,
}

#[derive(Serialize)]
struct Tile<'a> {
    name: &'a str,
    value: f64,
    primary: bool,
    /// How it was measured, where its name does not say it all.
    note: Option<String>,
}

impl<'a> View<'a> {
    /// Derives the page's parts.
    pub fn new(data: &'a ReportData) -> Self {
        let names = data.epochs.iter().flat_map(|epoch| epoch.metrics.keys()).map(String::as_str);
        // What a loss is made of is for metrics.jsonl.
        let columns: BTreeSet<&str> = names.filter(|name| !name.starts_with("loss_")).collect();
        let final_names: Vec<&str> = data.metrics.keys().map(String::as_str).collect();
        let tiles = preferred(data, &final_names)
            .into_iter()
            .take(MOST_TILES)
            .map(|name| Tile {
                name,
                value: data.metrics[name],
                primary: name == data.primary_metric,
                note: note(data, name),
            })
            .collect();
        let columns: Vec<&str> = columns.into_iter().collect();
        let most_rows = data.dataset.classes.iter().map(|class| class.train.max(class.validation)).max().unwrap_or(0);
        let classification = data.classification.as_ref().map(ClassificationView::new);
        let detection = data.detection.as_ref().map(DetectionView::new);
        let charts = charts(data, &columns);
        Self { data, tiles, charts, columns, classification, detection, most_rows }
    }
}

/// What is to be known of a number of the headline: how far it may be off, and how it was measured where its name does not say it all.
fn note(data: &ReportData, name: &str) -> Option<String> {
    let [interval, how] = [interval(data, name), how(data, name)];
    let notes: Vec<String> = interval.into_iter().chain(how).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Where a metric would lie of other images like these.
fn interval(data: &ReportData, name: &str) -> Option<String> {
    let [low, high] = data.intervals.get(name)?;
    Some(format!("{low:.3} to {high:.3} in 95 % of resampled sets"))
}

fn how(data: &ReportData, name: &str) -> Option<String> {
    let of_classes = data.classification.as_ref().and_then(|section| classification::note(&section.report, name));
    of_classes.or_else(|| data.detection.as_ref().and_then(|section| detection::note(&section.report, name)))
}

/// `names` without the losses: the primary metric, the preferred ones, then the rest in order.
fn preferred<'a>(data: &'a ReportData, names: &[&'a str]) -> Vec<&'a str> {
    let rank = |name: &str| {
        let place = PREFERRED.iter().position(|&one| one == name).unwrap_or(PREFERRED.len());
        (name != data.primary_metric, place)
    };
    let mut ordered: Vec<&str> = names.iter().copied().filter(|name| !less_is_better(name)).collect();
    ordered.sort_by_key(|name| rank(name));
    ordered
}

fn less_is_better(name: &str) -> bool {
    name.contains("loss") || name == "calibration_error"
}

fn charts(data: &ReportData, columns: &[&str]) -> Vec<Chart> {
    let mut losses = vec![curve(data, "training", |epoch| Some(epoch.train_loss))];
    losses.extend(columns.iter().copied().filter(|name| less_is_better(name)).take(MOST_CURVES - 1).map(|name| {
        let shown = if ["log_loss", "loss"].contains(&name) { "validation" } else { name };
        curve(data, shown, |epoch| epoch.metrics.get(name).copied())
    }));
    let metrics = preferred(data, columns)
        .into_iter()
        .take(MOST_CURVES)
        .map(|name| curve(data, &title(name), |epoch| epoch.metrics.get(name).copied()))
        .collect();
    let drawings = [
        ("loss", "Loss", losses),
        ("metrics", "Validation metrics", metrics),
        ("rate", "Learning rate", vec![curve(data, "learning rate", |epoch| Some(epoch.learning_rate))]),
        ("speed", "Training speed", vec![curve(data, "images per second", |epoch| Some(epoch.images_per_second))]),
    ];
    drawings
        .into_iter()
        .filter_map(|(id, title, series)| {
            let mark = data.best_epoch.map(|epoch| (epoch as f64, format!("kept: epoch {epoch}")));
            let (id, title) = (id.to_owned(), title.to_owned());
            let chart =
                LineChart { id, title, x_label: "epoch", series, y_range: None, mark, reference: vec![], dots: true };
            Chart::new(chart, |_, one| value_at(&one.points, data.best_epoch))
        })
        .collect()
}

fn value_at(points: &[(f64, f64)], epoch: Option<u64>) -> Option<String> {
    let point = match epoch {
        Some(epoch) => points.iter().find(|point| point.0 == epoch as f64),
        None => points.last(),
    };
    point.map(|point| short(point.1))
}

fn curve(data: &ReportData, name: &str, value: impl Fn(&EpochRecord) -> Option<f64>) -> Series {
    let points = data.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, value(epoch)?))).collect();
    Series { name: name.to_owned(), points }
}

/// The filters the page uses.
pub fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("title", |name: &str| title(name));
    environment.add_filter("short", short);
    environment.add_filter("fixed", |value: Option<f64>, digits: usize| match value {
        Some(value) if value.is_finite() => format!("{value:.digits$}"),
        Some(value) => value.to_string(),
        None => "–".to_owned(),
    });
    environment
        .add_filter("percent", |value: Option<f64>| format!("{:.1}", 100.0 * value.unwrap_or(0.0).clamp(0.0, 1.0)));
    environment.add_filter("duration", duration);
    environment.add_filter("size", size);
}

/// A metric's name for people: `AUC_macro` is "AUC, macro".
fn title(name: &str) -> String {
    let (stem, average) = ["macro", "micro", "weighted", "binary"]
        .iter()
        .find_map(|average| Some((name.strip_suffix(average)?.strip_suffix('_')?, Some(*average))))
        .unwrap_or((name, None));
    let stem = match stem {
        "f1_score" => "F1".to_owned(),
        "iou" => "IoU".to_owned(),
        "AUC" => "AUC".to_owned(),
        "ap50_95" => "AP50:95".to_owned(),
        "voc_map" => "VOC mean average precision".to_owned(),
        "mean_average_precision_truncated" => "Mean average precision, truncated".to_owned(),
        coco if coco.starts_with("ap") && coco.len() == 4 || coco.starts_with("ap_") || coco.starts_with("ar_") => {
            let (kind, rest) = coco.split_at(2);
            format!("{}{}", kind.to_uppercase(), rest.replace('_', " "))
        }
        other => {
            let words = other.strip_suffix("_score").unwrap_or(other).replace('_', " ");
            let mut letters = words.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    };
    average.map_or(stem.clone(), |average| format!("{stem}, {average}"))
}

fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e3 => format!("{bytes} B"),
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_people() {
        for (name, shown) in [
            ("accuracy", "Accuracy"),
            ("AUC_macro", "AUC, macro"),
            ("f1_score_weighted", "F1, weighted"),
            ("average_precision_score_micro", "Average precision, micro"),
            ("log_loss", "Log loss"),
            ("ap50", "AP50"),
            ("ap50_95", "AP50:95"),
            ("ar_100", "AR 100"),
            ("ap_small", "AP small"),
            ("mean_average_precision_truncated", "Mean average precision, truncated"),
            ("mean_average_precision", "Mean average precision"),
            ("", ""),
        ] {
            assert_eq!(title(name), shown);
        }
    }

    #[test]
    fn durations_and_sizes() {
        assert_eq!(
            (duration(3.24), duration(72.0), duration(3725.0)),
            ("3.2 s".into(), "1 min 12 s".into(), "1 h 2 min".into())
        );
        assert_eq!(duration(f64::NAN), "–");
        assert_eq!((size(12), size(13_400_000)), ("12 B".into(), "13.4 MB".into()));
    }
}
