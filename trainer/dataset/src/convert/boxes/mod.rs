//! Images with boxes, between JSONL and the layouts of others: COCO, Pascal VOC and YOLO, each in both directions.
//!
//! Whatever is read becomes [`Image`]s, whose boxes are fractions of the image as in JSONL rows; whatever is written is made
//! from them. A box that sticks out of its image by no more than a pixel, as rounding makes them, is cut to it. Objects that
//! cannot be used are left out and listed with file and place.

pub mod coco;
pub mod rows;
pub mod voc;
pub mod yolo;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use files::Writing;
use models::host::{self, Limits};
use serde::Serialize;

use crate::DataError;

/// Boxes may stick out of their image by this much, in pixels.
const SLACK: f64 = 1.0;

/// A labelled image.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its file; absolute.
    pub path: PathBuf,
    /// Width and height in pixels, where something says so.
    pub size: Option<[u32; 2]>,
    /// What it shows; nothing for a background image.
    pub objects: Vec<Marked>,
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct Marked {
    /// Its class.
    pub label: String,
    /// `x1 y1 x2 y2` as fractions of width and height, each in [0, 1].
    pub corners: [f64; 4],
    /// A group of objects: trained on, but left out of metrics.
    pub is_crowd: bool,
    /// Outline as segments `x1 y1 x2 y2 ..` of fractions; empty where none is known.
    pub polygon: Vec<Vec<f64>>,
}

/// Something that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The file it is in.
    pub source: String,
    /// Its place there: line, object, annotation.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// Some images, and what of their description was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Such as `train`.
    pub name: String,
    /// The images.
    pub pictures: Vec<Picture>,
    /// What could not be used.
    pub left_out: Vec<LeftOut>,
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
    /// Images whose file is not there.
    pub missing: usize,
    /// What could not be used.
    pub left_out: Vec<LeftOut>,
}

impl Part {
    /// Counts, for a part that was written to `output`.
    #[must_use]
    pub fn summary(&self, output: &Path) -> BoxSummary {
        let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
        let objects = self.pictures.iter().flat_map(|picture| &picture.objects);
        objects.for_each(|object| *classes.entry(&object.label).or_default() += 1);
        BoxSummary {
            output: output.to_owned(),
            images: self.pictures.len(),
            background: self.pictures.iter().filter(|picture| picture.objects.is_empty()).count(),
            objects: classes.values().sum(),
            classes: classes.into_iter().map(|(label, n)| (label.to_owned(), n)).collect(),
            missing: self.pictures.iter().filter(|picture| !picture.path.is_file()).count(),
            left_out: self.left_out.clone(),
        }
    }

    fn leave_out(&mut self, source: &Path, place: String, reason: impl Into<String>) {
        self.left_out.push(LeftOut { source: source.display().to_string(), place, reason: reason.into() });
    }
}

/// Labels of all objects of all parts, sorted.
fn labels(parts: &[Part]) -> Vec<String> {
    let pictures = parts.iter().flat_map(|part| &part.pictures);
    let labels: BTreeSet<&str> =
        pictures.flat_map(|picture| &picture.objects).map(|object| object.label.as_str()).collect();
    labels.into_iter().map(str::to_owned).collect()
}

/// Corners of a box in pixels (or any unit) as fractions of an image of `size`; what sticks out by at most `slack` is cut.
fn fractions(corners: [f64; 4], [width, height]: [f64; 2], slack: f64) -> Result<[f64; 4], String> {
    let [x1, y1, x2, y2] = corners;
    let shown = || format!("its box {x1} {y1} {x2} {y2}");
    let inside = |value: f64, most: f64| (-slack..=most + slack).contains(&value);
    if !(inside(x1, width) && inside(x2, width) && inside(y1, height) && inside(y2, height)) {
        return Err(format!("{} lies outside of the image of {width} x {height}", shown()));
    }
    let within = |value: f64, most: f64| (value / most).clamp(0.0, 1.0);
    let cut = [within(x1, width), within(y1, height), within(x2, width), within(y2, height)];
    if cut[0] >= cut[2] || cut[1] >= cut[3] {
        return Err(format!("{} is empty", shown()));
    }
    Ok(cut)
}

/// Segments of an outline in pixels as fractions; those of fewer than three points, of an odd count, or out of the image
/// are dropped.
fn outline(segments: impl IntoIterator<Item = Vec<f64>>, [width, height]: [f64; 2], slack: f64) -> Vec<Vec<f64>> {
    let fraction = |(at, value): (usize, f64)| {
        let most = if at % 2 == 0 { width } else { height };
        (-slack..=most + slack).contains(&value).then(|| (value / most).clamp(0.0, 1.0))
    };
    let usable = |segment: &Vec<f64>| segment.len() >= 6 && segment.len().is_multiple_of(2);
    let segments = segments.into_iter().filter(usable);
    segments.filter_map(|segment| segment.into_iter().enumerate().map(fraction).collect()).collect()
}

/// Smallest box around an outline.
fn bounds(polygon: &[Vec<f64>]) -> [f64; 4] {
    let points = polygon.iter().flat_map(|segment| segment.chunks_exact(2));
    points.fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |[x1, y1, x2, y2], p| {
        [x1.min(p[0]), y1.min(p[1]), x2.max(p[0]), y2.max(p[1])]
    })
}

impl Picture {
    /// Width and height of the upright image: from its file, or, where that cannot be read, as described.
    fn measured(&self) -> Result<[u32; 2], DataError> {
        let mut size = None;
        let read = fs::read(&self.path).map_err(|source| io_error("read", &self.path, source)).and_then(|bytes| {
            // One row is enough where a decoder can stop there.
            let top = host::decode_top(&bytes, &Limits::default(), |width, height| {
                size = Some([width, height]);
                1
            });
            top.map_err(|error| DataError::Source { path: self.path.clone(), message: error.to_string() })
        });
        match (read, self.size) {
            (Ok(image), _) => Ok(size.unwrap_or([image.width, image.height])),
            (Err(_), Some(described)) => Ok(described),
            (Err(error), None) => Err(error),
        }
    }

    /// Name of its file without and with its ending.
    fn names(&self) -> Result<(&str, String), DataError> {
        let wrong =
            || DataError::Source { path: self.path.clone(), message: "has no name in UTF-8; rename it".to_owned() };
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(wrong)?;
        let extension = self.path.extension().and_then(|e| e.to_str()).map_or_else(String::new, |e| format!(".{e}"));
        Ok((stem, extension))
    }
}

/// How images come to the folder that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Images {
    /// As copies.
    #[default]
    Copied,
    /// As hard links, within one file system.
    Linked,
}

impl Images {
    fn put(self, writing: &mut Writing, name: &str, image: &Path) -> Result<(), DataError> {
        match self {
            Self::Copied => writing.copy(name, image)?,
            Self::Linked => writing.link(name, image)?,
        }
        Ok(())
    }
}

/// File names for images that go into `folder`: an image's own or, where another one has its stem already, one with a
/// number (annotation files are named after stems, and there are file systems on which capital letters do not count). A
/// image that lies there already keeps its name.
fn file_names(pictures: &[&Picture], folder: &Path) -> Result<Vec<String>, DataError> {
    let folder = fs::canonicalize(folder).ok();
    let lies_there =
        |picture: &Picture| folder.is_some() && picture.path.parent().and_then(|p| fs::canonicalize(p).ok()) == folder;
    let (there, elsewhere): (Vec<usize>, Vec<usize>) = (0..pictures.len()).partition(|&at| lies_there(pictures[at]));
    let mut names = vec![String::new(); pictures.len()];
    let mut taken = BTreeSet::new();
    for at in there.into_iter().chain(elsewhere) {
        let (stem, extension) = pictures[at].names()?;
        let numbered = (2..).map(|number| format!("{stem}_{number}"));
        let free = std::iter::once(stem.to_owned()).chain(numbered).find(|name| !taken.contains(&name.to_lowercase()));
        let free = free.unwrap_or_default();
        taken.insert(free.to_lowercase());
        names[at] = free + &extension;
    }
    Ok(names)
}

fn absolute(path: &Path) -> Result<PathBuf, DataError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).map_err(|source| io_error("resolve", path, source))
}

fn read_text(path: &Path) -> Result<String, DataError> {
    fs::read_to_string(path).map_err(|source| io_error("read", path, source))
}

fn write_text(writing: &mut Writing, name: &str, text: &str) -> Result<(), DataError> {
    writing.write(name, |out| out.write_all(text.as_bytes()))?;
    Ok(())
}

/// Name of a part that a file or folder is named after: `train` of `train.coco.json`, `train_annotations.jsonl` and
/// `training-mltable-folder`, `validation` of `val.txt`, otherwise the stem.
fn part_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let endings = [".coco", "_annotations", "-mltable-folder"];
    match endings.iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(&stem) {
        "training" => "train".to_owned(),
        "val" | "valid" => "validation".to_owned(),
        other => other.to_owned(),
    }
}

fn wrong(path: &Path, message: impl Into<String>) -> DataError {
    DataError::Source { path: path.to_owned(), message: message.into() }
}

fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { action, path: path.to_owned(), source }
}
