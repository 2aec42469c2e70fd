//! A classifier's section of the report: samples, mistakes, confusions, and labels that may be wrong.

use serde_json::{Value, json};

use crate::tasks::classify::evaluate::Outcome;
use dataset::{Images, RejectKind};
use metrics::{ClassificationReport, Decision};
use report::{
    ClassificationSection, ConfusedPair, Confusion, ImageCard, ReportError, Said, Suspect, Thumbnail, most_confused,
    worst_mistakes,
};

/// Images shown as samples, and of mistakes and of suspected labels; the side of each in pixels, and lines below it.
const SAMPLES: usize = 12;
const CARDS: usize = 12;
const CARD_SIDE: u32 = 240;
const MOST_LINES: usize = 8;
/// Confused pairs shown, images of each, and their side.
const PAIRS: usize = 6;
const PAIR_IMAGES: usize = 4;
const SIDE: u32 = 144;

/// What a classifier's report shows, and the rows of `suspects`, which are in it as far as there is room.
///
/// # Errors
/// When an image cannot be encoded.
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

/// Validation images and what was said of them.
struct Gallery<'a> {
    images: &'a dyn Images,
    labels: &'a [String],
    outcome: &'a Outcome,
    decisions: &'a [Option<Vec<Decision>>],
}

impl Gallery<'_> {
    /// A card for each row that was answered.
    fn cards(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<ImageCard>, ReportError> {
        rows.filter_map(|row| self.card(row, self.decisions[row].as_ref()?)).collect()
    }

    fn card(&self, row: usize, decisions: &[Decision]) -> Option<Result<ImageCard, ReportError>> {
        let said = |one: &Decision| Said {
            label: self.labels[one.class].clone(),
            probability: one.probability,
            verdict: one.verdict,
        };
        let said = decisions.iter().take(MOST_LINES).map(said).collect();
        Some(self.thumbnail(row, CARD_SIDE)?.map(|image| ImageCard { image, said }))
    }

    /// The pairs of classes confused most often, with examples.
    fn confused(&self) -> Result<Vec<ConfusedPair>, ReportError> {
        let row = |pair: Confusion| {
            let images = pair.examples.iter().filter_map(|&row| self.thumbnail(row, SIDE));
            Ok(ConfusedPair {
                truth: self.labels[pair.truth].clone(),
                predicted: self.labels[pair.predicted].clone(),
                count: pair.count,
                of: pair.of,
                images: images.collect::<Result<_, _>>()?,
            })
        };
        most_confused(self.decisions, PAIRS, PAIR_IMAGES).into_iter().map(row).collect()
    }

    /// A thumbnail of a row; `None` when its image has become unreadable.
    fn thumbnail(&self, row: usize, side: u32) -> Option<Result<Thumbnail, ReportError>> {
        let index = self.outcome.indices[row];
        let image = self.images.image(index).ok()?;
        Some(Thumbnail::new((image.width, image.height), &image.data, side, &self.images.name(index)))
    }
}
