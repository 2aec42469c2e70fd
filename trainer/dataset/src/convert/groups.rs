//! Which images belong together, such as those of one patient, for `--group_column` of training.

use std::collections::BTreeMap;

use super::labels::Place;

/// Keys of rows that mean something else.
const TAKEN: [&str; 9] =
    ["image_url", "imageUrl", "image_details", "label", "topX", "topY", "bottomX", "bottomY", "isCrowd"];

/// The group of each image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    key: String,
    /// With the line that says so.
    of: BTreeMap<Place, (String, usize)>,
}

impl Groups {
    /// Groups that rows name under `key`.
    ///
    /// # Errors
    /// Rows have another value under it.
    pub fn new(key: &str) -> Result<Self, String> {
        match TAKEN.contains(&key) {
            true => {
                Err(format!("the column {key} cannot hold the group, since rows have a key of that name; rename it"))
            }
            false => Ok(Self { key: key.to_owned(), of: BTreeMap::new() }),
        }
    }

    /// Puts an image into a group.
    ///
    /// # Errors
    /// An earlier line has it in another one.
    pub fn put(&mut self, image: &Place, group: &str, line: usize) -> Result<(), String> {
        let (known, first) = self.of.entry(image.clone()).or_insert_with(|| (group.to_owned(), line));
        match known == group {
            true => Ok(()),
            false => Err(format!(
                "lines {first} and {line}: one image has two values of {}, {known:?} and {group:?}; correct one",
                self.key
            )),
        }
    }

    /// What a row of an image holds beside the rest: its group, under the key.
    #[must_use]
    pub fn of(&self, image: &Place) -> BTreeMap<String, String> {
        self.of.get(image).map(|(group, _)| (self.key.clone(), group.clone())).into_iter().collect()
    }
}
