//! The pictures of a report: mistakes, confusions, and what the network sees.

use models::host::Rgb;

use crate::data::{Loader, Target, TrainingData};
use crate::draw::{self, Mark};
use crate::evaluate::Outcome;
use crate::report::{
    ClassCount, ConfusedPair, DatasetSummary, MistakeCard, RejectedRow, ReportError, Thumbnail, most_confused,
    worst_mistakes,
};

/// Mistakes shown, and the side of their pictures in pixels.
const MISTAKES: usize = 12;
const MISTAKE_SIDE: u32 = 240;
/// Confused pairs shown, pictures of each, and their side.
const PAIRS: usize = 6;
const PAIR_PICTURES: usize = 4;
const SIDE: u32 = 144;
/// Side of training views with boxes on them.
const VIEW_SIDE: u32 = 240;
/// Training views shown.
const VIEWS: usize = 16;

/// The most confident wrong answers.
///
/// # Errors
/// When a picture cannot be encoded.
pub fn mistakes(data: &Loader, labels: &[String], outcome: &Outcome) -> Result<Vec<MistakeCard>, ReportError> {
    let worst = worst_mistakes(labels.len(), &outcome.probabilities, &outcome.targets, MISTAKES);
    let card = |m: crate::report::Mistake| {
        let picture = picture(data, outcome.indices[m.index], MISTAKE_SIDE)?;
        Some(picture.map(|picture| MistakeCard {
            picture,
            truth: labels[m.truth].clone(),
            predicted: labels[m.predicted].clone(),
            probability: m.probability,
            truth_probability: m.truth_probability,
        }))
    };
    worst.into_iter().filter_map(card).collect()
}

/// The pairs of classes confused most often, with examples.
///
/// # Errors
/// When a picture cannot be encoded.
pub fn confused(data: &Loader, labels: &[String], outcome: &Outcome) -> Result<Vec<ConfusedPair>, ReportError> {
    let pairs = most_confused(labels.len(), &outcome.probabilities, &outcome.targets, PAIRS, PAIR_PICTURES);
    let row = |pair: crate::report::Confusion| {
        let pictures = pair.examples.iter().filter_map(|&row| picture(data, outcome.indices[row], SIDE));
        Ok(ConfusedPair {
            truth: labels[pair.truth].clone(),
            predicted: labels[pair.predicted].clone(),
            count: pair.count,
            of: pair.of,
            pictures: pictures.collect::<Result<_, _>>()?,
        })
    };
    pairs.into_iter().map(row).collect()
}

/// A thumbnail of a sample; `None` when its picture has become unreadable.
fn picture(data: &Loader, index: usize, side: u32) -> Option<Result<Thumbnail, ReportError>> {
    let image = data.images().image(index).ok()?;
    let place = data.images().name(index);
    Some(Thumbnail::new((image.width, image.height), &image.data, side, &place))
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
            let target = batch.targets.get(at).and_then(|&t| usize::try_from(t).ok());
            let label = target.and_then(|t| labels.get(t)).map_or("", String::as_str);
            return Thumbnail::new(dims, view, SIDE, label);
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

/// Counts per class, and rows that were rejected.
#[must_use]
pub fn dataset(data: &TrainingData) -> DatasetSummary {
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
        rejected: data.rejections.total(),
        rejected_rows: rejected_rows
            .map(|r| RejectedRow { place: format!("{}:{}", r.source, r.line), reason: r.reason.clone() })
            .collect(),
    }
}
