//! Images with classes, whatever layout they come from, and the JSONL files that are written of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target, Written};
use serde::Serialize;

use super::relative::image_url;
use super::{Groups, LeftOut, List, folder_of, write_rows};
use crate::DataError;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An address that is not looked up.
    Url(String),
    /// A file, absolute.
    File(PathBuf),
}

/// The labelled images of one part of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPart {
    /// Such as `train`; empty where nothing tells parts apart.
    pub name: String,
    /// Each image once.
    pub rows: Vec<(Place, ConvertedLabel)>,
}

/// Images with classes.
#[derive(Debug)]
pub struct Labelled {
    /// By part; at least one image.
    pub parts: Vec<LabelPart>,
    /// What was assumed to read them.
    pub assumed: Vec<String>,
    /// What could not be used.
    pub left_out: Vec<LeftOut>,
    /// Which images belong together, where that is known.
    pub groups: Groups,
}

/// What a conversion did with one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelSummary {
    /// The written file.
    pub output: PathBuf,
    /// Its rows.
    pub images: usize,
    /// Classes and their rows, sorted by class.
    pub classes: Vec<(String, usize)>,
}

/// One written row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConvertedRow {
    /// Path of the image.
    pub image_url: String,
    /// What it shows.
    pub label: ConvertedLabel,
    /// The group that it belongs to, by its key.
    #[serde(flatten)]
    pub group: BTreeMap<String, String>,
}

/// What an image shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ConvertedLabel {
    /// One class.
    Class(String),
    /// Any number of classes.
    Classes(Vec<String>),
}

impl ConvertedRow {
    /// A row of no group.
    #[must_use]
    pub fn new(image_url: String, label: ConvertedLabel) -> Self {
        Self { image_url, label, group: BTreeMap::new() }
    }
}

impl ConvertedLabel {
    /// The class or classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Class(class) => std::slice::from_ref(class),
            Self::Classes(classes) => classes,
        }
    }
}

/// Writes the rows of labels, and a list of what was left out: one part into the output of `order`, several into a file
/// each in it.
///
/// # Errors
/// A file may not be written, or any IO error.
pub fn write_labels(order: &Order, labelled: &Labelled) -> Result<(Vec<LabelSummary>, Written), DataError> {
    let output = order.output;
    if let [part] = labelled.parts.as_slice() {
        let left_out = List::beside(output, &labelled.left_out);
        let mut writing = order.file_with(&Vec::from_iter(left_out.target()))?.begin()?;
        write_rows(&mut writing, output.file_name().unwrap_or_default(), rows(output, part, &labelled.groups)?)?;
        left_out.write(&mut writing)?;
        return Ok((vec![part.summary(output)], writing.publish()?));
    }
    let names: Vec<String> = labelled.parts.iter().map(|part| format!("{}.jsonl", part.name)).collect();
    let left_out = List::within(&labelled.left_out);
    let targets: Vec<Target> = names.iter().map(Target::new).chain(left_out.target()).collect();
    let mut writing = order.folder(Scope::Parts, &targets)?.begin()?;
    let mut summaries = Vec::new();
    for (part, name) in labelled.parts.iter().zip(&names) {
        let output = output.join(name);
        write_rows(&mut writing, name, rows(&output, part, &labelled.groups)?)?;
        summaries.push(part.summary(&output));
    }
    left_out.write(&mut writing)?;
    Ok((summaries, writing.publish()?))
}

impl LabelPart {
    fn summary(&self, output: &Path) -> LabelSummary {
        let mut classes: BTreeMap<String, usize> = BTreeMap::new();
        for class in self.rows.iter().flat_map(|(_, label)| label.classes()) {
            *classes.entry(class.clone()).or_default() += 1;
        }
        LabelSummary { output: output.to_owned(), images: self.rows.len(), classes: classes.into_iter().collect() }
    }
}

fn rows(output: &Path, part: &LabelPart, groups: &Groups) -> Result<Vec<ConvertedRow>, DataError> {
    let base = folder_of(output)?;
    let url = |place: &Place| match place {
        Place::Url(url) => url.clone(),
        Place::File(path) => image_url(&base, path),
    };
    let row = |(place, label): &(Place, ConvertedLabel)| ConvertedRow {
        group: groups.of(place),
        ..ConvertedRow::new(url(place), label.clone())
    };
    Ok(part.rows.iter().map(row).collect())
}
