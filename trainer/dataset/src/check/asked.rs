//! The data of a check as a trained model is asked about them.

use std::sync::Arc;

use schemas::check::FindingPlace;

use super::{Checked, Read, Shown};
use crate::dataset::{Cache, Dataset, Labels};
use crate::error::{DataError, wrong};

impl Checked {
    /// What tells the usable images of a part apart, and from those of other lists (see [`crate::Location::key`]); one for each, in their
    /// order.
    ///
    /// # Errors
    /// A JSONL file changed.
    pub fn keys(&self, part: usize) -> Result<Vec<Vec<u8>>, DataError> {
        let Read { reader, rows, .. } = &self.parts[part];
        rows.entries.iter().map(|entry| Ok(reader.files.location(entry)?.1.key())).collect()
    }

    /// The usable images of a part at `keep`, which is strictly ascending, for a model that has these `labels`.
    ///
    /// # Errors
    /// A class of the part is none of the labels.
    pub fn dataset(&self, part: usize, labels: &[String], keep: &[u32]) -> Result<Arc<Dataset>, DataError> {
        let Read { source, reader, rows, .. } = &self.parts[part];
        let place = |name: &String| labels.iter().position(|label| label == name).map(|at| at as u32);
        let places: Vec<Option<u32>> = self.labels.iter().map(place).collect();
        let used = rows.targets.used().into_iter();
        let unknown: Vec<String> =
            used.filter(|&class| places[class as usize].is_none()).map(|class| self.label(class)).collect();
        if !unknown.is_empty() {
            let message = format!(
                "has labels that the model does not know: {}; its labels are {}. Name the model that was trained on these \
                 classes, or correct the labels",
                unknown.join(", "),
                labels.join(", ")
            );
            return Err(wrong(source, message));
        }
        let mut targets = rows.targets.clone();
        targets.retain(keep);
        targets.renumber(&places);
        let entries = keep.iter().map(|&at| rows.entries[at as usize]).collect();
        let labels = Labels { names: labels.into(), are_integers: false };
        Ok(Arc::new(Dataset::new(labels, entries, targets, Arc::clone(reader), Cache::None).checked(rows.checked)))
    }

    /// Where images and objects stand in the data, in the order of `shown`.
    ///
    /// # Errors
    /// A JSONL file changed.
    pub fn places(&self, shown: &[Shown]) -> Result<Vec<FindingPlace>, DataError> {
        let data = super::data(&self.request, &self.parts, self.labels.clone());
        shown.iter().map(|one| data.place(one)).collect()
    }
}
