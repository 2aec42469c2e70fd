//! The pictures of a report: mistakes, confusions, and what the network sees.

use models::host::Rgb;

use schemas::Task;
use serde_json::{Value, json};

use crate::tasks::classify::evaluate::Outcome;
use dataset::{Dataset, Images, Loader, RejectKind, Target, TrainingData};
use metrics::{ClassificationReport, Decision};
use report::draw::{self, Mark};
use report::{
    Bin, ClassCount, ClassificationSection, ConfusedPair, Confusion, DatasetSummary, PictureCard, RejectedRow,
    ReportError, Said, Suspect, Thumbnail, most_confused, worst_mistakes,
};

/// Pictures shown as samples, and of mistakes and of suspected labels; the side of each in pixels, and lines below it.
const SAMPLES: usize = 12;
const CARDS: usize = 12;
const CARD_SIDE: u32 = 240;
const MOST_LINES: usize = 8;
/// Confused pairs shown, pictures of each, and their side.
const PAIRS: usize = 6;
const PAIR_PICTURES: usize = 4;
const SIDE: u32 = 144;
/// Side of training views with boxes on them.
const VIEW_SIDE: u32 = 240;
/// Training views shown.
const VIEWS: usize = 16;

/// What a classifier's report shows, and the rows of `suspects`, which are in it as far as there is room.
///
/// # Errors
/// When a picture cannot be encoded.
pub fn classification(
    images: &dyn Images,
    labels: &[String],
    outcome: &Outcome,
    report: ClassificationReport,
    suspects: &[Suspect],
) -> Result<ClassificationSection, ReportError> {
    let decisions = outcome.truths.decisions(labels.len(), &outcome.probabilities);
    let gallery = Gallery { images, labels, outcome, decisions: &decisions };
    let step = (outcome.indices.len() / SAMPLES).max(1);
    let samples = (0..outcome.indices.len()).step_by(step).take(SAMPLES);
    let mistakes = worst_mistakes(&decisions).into_iter().take(CARDS);
    let doubted = suspects.iter().take(CARDS).filter_map(|one| gallery.card(one.row, &one.decisions));
    Ok(ClassificationSection {
        report,
        table: outcome.accuracy_table(labels),
        samples: gallery.cards(samples)?,
        mistakes: gallery.cards(mistakes)?,
        confused: gallery.confused()?,
        suspects: doubted.collect::<Result<_, _>>()?,
        suspected: suspects.len(),
    })
}

/// Every label that may be wrong, for programs: the row, and what the label lacks (`invented`) or has too much (`missed`).
#[must_use]
pub fn suspects_json(images: &dyn Images, labels: &[String], outcome: &Outcome, suspects: &[Suspect]) -> Value {
    let one = |suspect: &Suspect| {
        let row = images.rejection(outcome.indices[suspect.row], RejectKind::BadLabel, String::new());
        let said =
            |d: &Decision| json!({ "label": labels[d.class], "probability": d.probability, "verdict": d.verdict });
        let said: Vec<Value> = suspect.decisions.iter().map(said).collect();
        json!({ "image_url": row.image_url, "source": row.source, "line": row.line, "labels": said })
    };
    suspects.iter().map(one).collect()
}

/// Validation pictures and what was said of them.
struct Gallery<'a> {
    images: &'a dyn Images,
    labels: &'a [String],
    outcome: &'a Outcome,
    decisions: &'a [Option<Vec<Decision>>],
}

impl Gallery<'_> {
    /// A card for each row that was answered.
    fn cards(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<PictureCard>, ReportError> {
        rows.filter_map(|row| self.card(row, self.decisions[row].as_ref()?)).collect()
    }

    fn card(&self, row: usize, decisions: &[Decision]) -> Option<Result<PictureCard, ReportError>> {
        let said = |one: &Decision| Said {
            label: self.labels[one.class].clone(),
            probability: one.probability,
            verdict: one.verdict,
        };
        let said = decisions.iter().take(MOST_LINES).map(said).collect();
        Some(self.picture(row, CARD_SIDE)?.map(|picture| PictureCard { picture, said }))
    }

    /// The pairs of classes confused most often, with examples.
    fn confused(&self) -> Result<Vec<ConfusedPair>, ReportError> {
        let row = |pair: Confusion| {
            let pictures = pair.examples.iter().filter_map(|&row| self.picture(row, SIDE));
            Ok(ConfusedPair {
                truth: self.labels[pair.truth].clone(),
                predicted: self.labels[pair.predicted].clone(),
                count: pair.count,
                of: pair.of,
                pictures: pictures.collect::<Result<_, _>>()?,
            })
        };
        most_confused(self.decisions, PAIRS, PAIR_PICTURES).into_iter().map(row).collect()
    }

    /// A thumbnail of a row; `None` when its picture has become unreadable.
    fn picture(&self, row: usize, side: u32) -> Option<Result<Thumbnail, ReportError>> {
        let index = self.outcome.indices[row];
        let image = self.images.image(index).ok()?;
        Some(Thumbnail::new((image.width, image.height), &image.data, side, &self.images.name(index)))
    }
}

/// The first views of the first epoch, as the network sees them.
///
/// # Errors
/// When the data cannot be read or a picture cannot be encoded.
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
        let mark = |o: &Target| Mark { corners: o.corners, colour: draw::colour(o.class), text: String::new() };
        let drawn = draw::marked(&image, &objects.iter().map(mark).collect::<Vec<_>>());
        Thumbnail::new(dims, &drawn.data, VIEW_SIDE, &count(objects.len()))
    });
    Ok(thumbnails.collect::<Result<_, _>>()?)
}

fn count(objects: usize) -> String {
    if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") }
}

/// Counts per class, of label sets also pictures by their number of labels, and rows that were rejected.
#[must_use]
pub fn dataset(data: &TrainingData, task: Task) -> DatasetSummary {
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
        per_picture: match task {
            Task::ImageClassificationMultilabel => per_picture(&data.train, &data.validation),
            Task::ImageClassification | Task::ImageObjectDetection | Task::ImageInstanceSegmentation => Vec::new(),
        },
        rejected: data.rejections.total(),
        rejected_rows: rejected_rows
            .map(|r| RejectedRow { place: format!("{}:{}", r.source, r.line), reason: r.reason.clone() })
            .collect(),
    }
}

/// Pictures by their number of labels, from 0 up.
fn per_picture(train: &Dataset, validation: &Dataset) -> Vec<Bin> {
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
