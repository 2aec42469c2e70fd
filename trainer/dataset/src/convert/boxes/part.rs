//! Images with their objects, whatever layout they come from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use files::Order;
use serde::Serialize;

use super::frame::StoredSize;
use super::wrong;
use crate::DataError;
use crate::convert::{Groups, LeftOut};

/// A labelled image.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledImage {
    /// Its file; absolute.
    pub path: PathBuf,
    /// Width and height in pixels, where something says so.
    pub size: Option<[u32; 2]>,
    /// What it shows; nothing for a background image.
    pub objects: Vec<LabelledObject>,
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledObject {
    /// Its class.
    pub label: String,
    /// `x1 y1 x2 y2` as fractions of width and height, each in [0, 1].
    pub corners: [f64; 4],
    /// A group of objects: trained on, but left out of metrics.
    pub is_crowd: bool,
    /// Outline as segments `x1 y1 x2 y2 ..` of fractions; empty where none is known.
    pub polygon: Vec<Vec<f64>>,
}

/// Some images, and what of their description was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Such as `train`.
    pub name: String,
    /// The images.
    pub images: Vec<LabelledImage>,
    /// What could not be used.
    pub left_out: Vec<LeftOut>,
    /// What was taken for granted while reading, for people.
    pub assumed: Vec<String>,
    /// Boxes that stuck out of their image and were cut at its edge.
    pub cut: usize,
    /// Objects among what could not be used.
    pub lost: usize,
    /// Images that were left out because none of their objects can be used.
    pub barren: usize,
    /// Which images belong together, where that is known.
    pub groups: Groups,
}

/// What a conversion did with one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoxSummary {
    /// What was written.
    pub output: PathBuf,
    /// Images.
    pub images: usize,
    /// Of these, images without an object.
    pub background: usize,
    /// Objects.
    pub objects: usize,
    /// Classes and their objects, sorted by class.
    pub classes: Vec<(String, usize)>,
    /// Boxes that stuck out of their image and were cut at its edge.
    pub cut: usize,
    /// What was taken for granted while reading, for people.
    pub assumed: Vec<String>,
    /// What could not be used.
    pub left_out: Vec<LeftOut>,
}

impl Part {
    /// Counts, for a part that was written to `output`.
    #[must_use]
    pub fn summary(&self, output: &Path) -> BoxSummary {
        let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
        let objects = self.images.iter().flat_map(|image| &image.objects);
        objects.for_each(|object| *classes.entry(&object.label).or_default() += 1);
        BoxSummary {
            output: output.to_owned(),
            images: self.images.len(),
            background: self.images.iter().filter(|image| image.objects.is_empty()).count(),
            objects: classes.values().sum(),
            classes: classes.into_iter().map(|(label, n)| (label.to_owned(), n)).collect(),
            cut: self.cut,
            assumed: self.assumed.clone(),
            left_out: self.left_out.clone(),
        }
    }

    /// The part without the images that are not there, which are left out and listed. `source`: what was read; `advice`: what
    /// to do where images are not found.
    ///
    /// # Errors
    /// Nothing of use is left: no image is there, or there were objects and none can be used. With the first three.
    pub fn usable(mut self, source: &Path, advice: &str) -> Result<Self, DataError> {
        let there = std::mem::take(&mut self.images);
        let (there, missing): (Vec<_>, Vec<_>) = there.into_iter().partition(|image| image.path.is_file());
        for image in missing {
            let reason = format!("its image {} is not there", image.path.display());
            self.leave_out_image(source, "image".to_owned(), reason, image.objects.len());
        }
        self.images = there;
        let first = || -> String {
            const SHOWN: usize = 3;
            let shown: Vec<String> = self.left_out.iter().take(SHOWN).map(|one| format!("\n  {one}")).collect();
            let more = self.left_out.len().saturating_sub(SHOWN);
            shown.concat() + &if more > 0 { format!("\n  and {more} more") } else { String::new() }
        };
        let objects = self.images.iter().map(|image| image.objects.len()).sum::<usize>();
        if self.images.is_empty() && self.barren == 0 {
            let message = format!("no image of part {:?} can be used; {advice}{}", self.name, first());
            return Err(wrong(source, message));
        }
        if objects == 0 && self.lost > 0 {
            let message = format!("no object of part {:?} can be used:{}", self.name, first());
            return Err(wrong(source, message));
        }
        Ok(self)
    }

    /// The part without the images whose size nothing says, which are left out and listed.
    #[must_use]
    pub fn sized(mut self, source: &Path) -> Self {
        let images = std::mem::take(&mut self.images);
        let has_size = |image: &LabelledImage| !image.path.is_file() || image.measured().is_ok();
        let (sized, unknown): (Vec<_>, Vec<_>) = images.into_iter().partition(has_size);
        for image in unknown {
            let reason = format!(
                "its image {} cannot be read, and its row has no image_details with width and height",
                image.path.display()
            );
            self.leave_out_image(source, "image".to_owned(), reason, image.objects.len());
        }
        self.images = sized;
        self
    }

    /// Notes that an object or a row of a file cannot be used.
    pub fn leave_out(&mut self, source: &Path, place: String, reason: impl Into<String>) {
        self.lost += 1;
        self.note(source, place, reason.into());
    }

    /// Notes that an image cannot be used, nor what it shows: so many objects.
    pub fn leave_out_image(&mut self, source: &Path, place: String, reason: impl Into<String>, objects: usize) {
        self.lost += objects;
        let mut reason = reason.into();
        match objects {
            0 => {}
            1 => reason.push_str("; its object goes with it"),
            _ => reason.push_str(&format!("; its {objects} objects go with it")),
        }
        self.note(source, place, reason);
    }

    /// Notes that something other than an image or object cannot be used.
    pub fn note(&mut self, source: &Path, place: String, reason: String) {
        self.left_out.push(LeftOut { source: source.display().to_string(), place, reason });
    }
}

/// What could not be used of all parts.
pub fn left_out(parts: &[Part]) -> impl Iterator<Item = &LeftOut> {
    parts.iter().flat_map(|part| &part.left_out)
}

/// Names of folders for the parts, by which they are known again; one that stands alone and has another name is called `train`.
///
/// # Errors
/// One of several is none of train, validation and test.
pub fn folder_names<'a>(output: &Path, parts: &'a [Part]) -> Result<Vec<&'a str>, DataError> {
    let name = |part: &'a Part| match part.name.as_str() {
        name @ ("train" | "validation" | "test") => Ok(name),
        _ if parts.len() == 1 => Ok("train"),
        other => {
            let message = format!("cannot hold a part {other:?}; name the inputs train, validation and test");
            Err(wrong(output, message))
        }
    };
    parts.iter().map(name).collect()
}

/// Refuses names of classes that a layout's readers change, whereby two of them could become one.
///
/// # Errors
/// One begins or ends with a blank, which is cut off, or holds a control character such as a line break.
pub fn check_labels(order: &Order, labels: &[String]) -> Result<(), DataError> {
    let bad = |label: &&String| label.trim().len() < label.len() || label.chars().any(char::is_control);
    match labels.iter().find(bad) {
        None => Ok(()),
        Some(label) => {
            let message = format!(
                "cannot hold the class {label:?} as it is: blanks at its ends and control characters such as line breaks \
                 are lost; rename the class"
            );
            Err(wrong(order.output, message))
        }
    }
}

/// Labels of all objects of all parts, sorted.
pub fn labels(parts: &[Part]) -> Vec<String> {
    let images = parts.iter().flat_map(|part| &part.images);
    let labels: BTreeSet<&str> = images.flat_map(|image| &image.objects).map(|object| object.label.as_str()).collect();
    labels.into_iter().map(str::to_owned).collect()
}

impl LabelledImage {
    /// Width and height of the upright image: from its file, or, where that cannot be read, as described.
    ///
    /// # Errors
    /// Neither is known.
    pub fn measured(&self) -> Result<[u32; 2], DataError> {
        let file = StoredSize::read(&self.path).map(|stored| stored.upright());
        file.or(self.size).ok_or_else(|| wrong(&self.path, "is no image that can be read, and nothing says its size"))
    }

    /// Name of its file without its ending, and the ending.
    ///
    /// # Errors
    /// The name is not UTF-8.
    pub fn names(&self) -> Result<(&str, String), DataError> {
        let wrong =
            || DataError::Source { path: self.path.clone(), message: "has no name in UTF-8; rename it".to_owned() };
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(wrong)?;
        let extension = self.path.extension().and_then(|e| e.to_str()).map_or_else(String::new, |e| format!(".{e}"));
        Ok((stem, extension))
    }
}
