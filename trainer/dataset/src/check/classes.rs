//! How many images there are, of all and of each class.

use schemas::check::{DataPart, FindingKind};

use super::{At, Data, Found, Said, Shown, showing};
use crate::error::DataError;

/// Fewest training images of a class: of fewer, a fifth for validation is less than one.
const FEWEST: u64 = 5;
/// Images that a finding about a class shows.
const SHOWN: usize = 4;

pub(super) fn check(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    for (number, side) in data.sides.iter().enumerate() {
        if side.rows.entries.is_empty() {
            let message = format!("none of {} {} rows has a usable image", side.rows.rows, side.part.as_str());
            let advice =
                "correct the rows, of which each is listed, too, or name what they are labelled for with --task";
            found.push(data.of_side(Said::new(FindingKind::EmptyPart, message, advice), number));
        }
    }
    let counts: Vec<Vec<u64>> = data.sides.iter().map(|side| showing(&side.rows.targets, data.labels.len())).collect();
    let Some(training) = data.sides.iter().position(|side| side.part == DataPart::Training) else { return Ok(()) };
    if data.sides[training].rows.entries.is_empty() {
        return Ok(());
    }
    for (class, label) in data.labels.iter().enumerate() {
        let all: u64 = counts.iter().map(|side| side[class]).sum();
        let said = match counts[training][class] {
            _ if all == 0 => continue,
            0 => Said::new(
                FindingKind::UntrainedClass,
                format!("{label:?} is on {all} images, none of them for training"),
                "a model cannot learn it; put images of it into the training data, or correct the label",
            ),
            few if few < FEWEST => Said::new(
                FindingKind::FewImages,
                format!(
                    "{label:?} is on {few} of {} training images, fewer than {FEWEST}",
                    data.sides[training].rows.entries.len()
                ),
                "add images of it, or leave the class out; with so few it is hardly learnt, and its metric says little",
            ),
            _ => continue,
        };
        found.push(data.found(said, examples(data, class as u32))?);
    }
    Ok(())
}

/// The first images that show a class, with its objects.
pub(super) fn examples(data: &Data, class: u32) -> Vec<Shown> {
    let shows = |at: &At| data.sides[at.side].rows.targets.shown(at.index).contains(&class);
    let shown = |at| data.with_objects(at, |object| object.class == class);
    data.images().filter(shows).take(SHOWN).map(shown).collect()
}
