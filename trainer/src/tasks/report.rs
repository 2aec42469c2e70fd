//! A task's part of a report: the section about its predictions, the data set, and the views that training sees.

use metrics::detection::DetectionReport;
use models::host::Rgb;
use models::host::draw::{self, Mark};
use report::{
    Bin, ClassCount, ClassificationSection, DatasetSummary, DetectionSection, RejectedRow, ReportError, Thumbnail,
};
use schemas::Labels;
use serde_json::{Map, Value};

use super::{Metrics, Outcome, classify, detect};
use dataset::{Dataset, Images, Loader, Target, TrainingData};

/// Training views shown.
const VIEWS: usize = 16;
/// Side of a training view in pixels; of one with boxes on it.
const SIDE: u32 = 144;
const VIEW_SIDE: u32 = 240;

/// What a section is about.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Training images.
    pub train: &'a dyn Images,
    /// The images that were measured.
    pub images: &'a dyn Images,
    /// The classes.
    pub labels: &'a [String],
}

/// The section of one task; the others are empty.
#[derive(Default)]
pub struct Section {
    /// Of a classifier.
    pub classification: Option<ClassificationSection>,
    /// Of a detector.
    pub detection: Option<DetectionSection>,
    /// What programs find in `report.json` beside the metrics.
    pub data: Map<String, Value>,
}

/// The section about predictions and their metrics, which are of one task.
///
/// # Errors
/// When an image cannot be encoded.
pub fn section(shown: &Shown, outcome: &Outcome, metrics: &Metrics) -> anyhow::Result<Section> {
    let mut section = Section::default();
    match (outcome, metrics) {
        (Outcome::Classes(outcome), Metrics::Classes(found)) => {
            let Shown { images, labels, .. } = *shown;
            let suspects = report::suspected_label_errors(labels.len(), &outcome.probabilities, &outcome.truths);
            let classes = classify::report::classification(images, labels, outcome, found.clone(), &suspects)?;
            section.data.insert("accuracy_table".to_owned(), serde_json::to_value(&classes.table)?);
            let listed = classify::report::suspects_json(images, labels, outcome, &suspects);
            section.data.insert("suspected_label_errors".to_owned(), listed);
            section.classification = Some(classes);
        }
        (Outcome::Boxes(outcome), Metrics::Boxes(found)) => {
            section.detection = Some(detection(shown, outcome, found)?);
        }
        (Outcome::Classes(_), Metrics::Boxes(_)) | (Outcome::Boxes(_), Metrics::Classes(_)) => {}
    }
    Ok(section)
}

fn detection(
    shown: &Shown,
    outcome: &detect::evaluate::Outcome,
    found: &DetectionReport,
) -> Result<DetectionSection, ReportError> {
    let Shown { train, images, labels } = *shown;
    let drawn =
        detect::report::drawn(&detect::report::Predictions { images, labels, outcome, options: found.options })?;
    Ok(DetectionSection {
        report: found.clone(),
        objects: detect::statistics::statistics(train, images, outcome),
        colours: detect::report::colours(labels),
        compared: drawn.compared,
        worst: drawn.worst,
        invented: drawn.invented,
        missed: drawn.missed,
        mistaken: drawn.mistaken,
        worst_masks: drawn.worst_masks,
    })
}

/// The first views of the first epoch, as the network sees them.
///
/// # Errors
/// When the data cannot be read or an image cannot be encoded.
pub fn training_batch(data: &Loader, seed: u64, labels: &[String]) -> anyhow::Result<Vec<Thumbnail>> {
    let Some(batch) = data.train_epoch(seed, 0, 0).next().transpose()? else { return Ok(Vec::new()) };
    let size = 3 * batch.height * batch.width;
    let dims = (u32::try_from(batch.width)?, u32::try_from(batch.height)?);
    let thumbnails = batch.images.chunks_exact(size).take(VIEWS).enumerate().map(|(at, view)| {
        let Some(objects) = batch.objects.get(at) else {
            let names: Vec<&str> = batch.classes[at].iter().map(|&class| labels[class as usize].as_str()).collect();
            let caption = if names.is_empty() { "no label".to_owned() } else { names.join(", ") };
            return Thumbnail::new(dims, view, SIDE, &caption);
        };
        let image = Rgb { width: dims.0, height: dims.1, data: view.to_vec() };
        let mark = |o: &Target| {
            let (corners, colour) = (o.corners, draw::colour(o.class));
            let covered = o.outline.as_ref().map(|outline| outline.covered(dims.0, dims.1));
            Mark { corners, colour, text: String::new(), covered }
        };
        let drawn = draw::marked(&image, &objects.iter().map(mark).collect::<Vec<_>>());
        Thumbnail::new(dims, &drawn.data, VIEW_SIDE, &count(objects.len()))
    });
    Ok(thumbnails.collect::<Result<_, _>>()?)
}

fn count(objects: usize) -> String {
    if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") }
}

/// Counts per class, of label sets also images by their number of labels, and rows that were rejected.
#[must_use]
pub fn dataset(data: &TrainingData, labels: Labels) -> DatasetSummary {
    let counts = data.train.class_counts().into_iter().zip(data.validation.class_counts());
    let classes = data.train.labels().iter().zip(counts);
    let rejected_rows = data.rejections.examples().iter();
    DatasetSummary {
        classes: classes
            .map(|(label, (train, validation))| ClassCount {
                label: label.clone(),
                train: train as u64,
                validation: validation as u64,
            })
            .collect(),
        per_image: match labels {
            Labels::Classes => per_image(&data.train, &data.validation),
            Labels::Class | Labels::Boxes | Labels::Outlines => Vec::new(),
        },
        rejected: data.rejections.total(),
        rejected_rows: rejected_rows
            .map(|r| RejectedRow { place: format!("{}:{}", r.source, r.line), reason: r.reason.clone() })
            .collect(),
    }
}

/// Images by their number of labels, from 0 up.
fn per_image(train: &Dataset, validation: &Dataset) -> Vec<Bin> {
    let count =
        |data: &Dataset, labels: usize| (0..data.len()).filter(|&at| data.classes(at).len() == labels).count() as u64;
    let most = [train, validation].iter().flat_map(|data| (0..data.len()).map(|at| data.classes(at).len())).max();
    let bin = |labels: usize| Bin {
        name: labels.to_string(),
        train: count(train, labels),
        validation: count(validation, labels),
    };
    (0..=most.unwrap_or(0)).map(bin).collect()
}
