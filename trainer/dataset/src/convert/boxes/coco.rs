//! COCO's detection JSON: `images`, `annotations` with `bbox` (`x y width height` in pixels, from the left upper corner, not
//! rounded), `iscrowd`, `segmentation`, and `categories`.
//!
//! Polygons are kept as outlines; run-length masks, which COCO uses for crowds, are not, but their boxes are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::find::Finder;
use super::super::folder_of;
use super::super::relative::image_url;
use super::draft::{Draft, DraftObject, Unit, settle};
use super::part::{labels, left_out};
use super::{LabelledObject, Part, Sizes, absolute, io_error, part_name, wrong};
use crate::DataError;
use crate::convert::List;

/// Most files number; some name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: Id,
    file_name: String,
    width: Option<f64>,
    height: Option<f64>,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<Id>,
    image_id: Id,
    category_id: Id,
    bbox: Option<Vec<f64>>,
    #[serde(default)]
    iscrowd: Value,
    #[serde(default)]
    segmentation: Value,
}

#[derive(Deserialize)]
struct Category {
    id: Id,
    name: String,
}

/// Reads a COCO file. Images are looked for below `images`, or below the file's own folder; `sizes` says what boxes are
/// counted in where a declared size is not the file's.
///
/// # Errors
/// The file cannot be read or is no COCO file, or nothing of it can be used.
pub fn read(path: &Path, images: Option<&Path>, sizes: Sizes) -> Result<Part, DataError> {
    let file = std::fs::File::open(path).map_err(|source| io_error("open", path, source))?;
    let file: File = serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| wrong(path, format!("is no COCO file with images and annotations: {error}")))?;
    let base = match images {
        Some(folder) => absolute(folder)?,
        None => folder_of(path)?,
    };
    let finder = Finder::new(vec![base]);
    let mut part = Part { name: part_name(path), ..Part::default() };
    let names: BTreeMap<Id, String> = file.categories.into_iter().map(|one| (one.id, one.name)).collect();
    let mut numbers: BTreeMap<Id, usize> = BTreeMap::new();
    let mut drafts: Vec<Draft> = Vec::new();
    for image in file.images {
        let pixels = |side: Option<f64>| side.filter(|side| (1.0..1e9).contains(side)).map(|side| side.round() as u32);
        let declared = pixels(image.width).zip(pixels(image.height)).map(|(width, height)| [width, height]);
        let place = format!("image {}", image.id);
        match finder.find(&image.file_name).file() {
            Ok(file) => {
                numbers.insert(image.id, drafts.len());
                drafts.push(Draft { source: path.to_owned(), place, path: file, declared, objects: Vec::new() });
            }
            Err(reason) => part.leave_out(path, place, reason),
        }
    }
    for (at, annotation) in file.annotations.into_iter().enumerate() {
        let place =
            annotation.id.as_ref().map_or_else(|| format!("annotations[{at}]"), |id| format!("annotation {id}"));
        let found = numbers.get(&annotation.image_id).copied();
        match (found, names.get(&annotation.category_id)) {
            (None, _) => part.leave_out(path, place, format!("there is no image {}", annotation.image_id)),
            (_, None) => part.leave_out(path, place, format!("there is no category {}", annotation.category_id)),
            (Some(at), Some(name)) => match object(name, place.clone(), annotation) {
                Ok(object) => drafts[at].objects.push(object),
                Err(reason) => part.leave_out(path, place, reason),
            },
        }
    }
    let unit = unit(&drafts, sizes).map_err(|message| wrong(path, message))?;
    if unit == Unit::Fractions(sizes) {
        part.assumed.push("boxes are fractions of the image, not pixels: all numbers are between 0 and 1".to_owned());
    }
    settle(&mut part, drafts, unit);
    part.usable(path, "say where the images are with --images FOLDER:")
}

/// What the boxes of a file are counted in: fractions where all numbers are at most 1, as in files of Azure's tools.
///
/// # Errors
/// Some boxes are fractions and others are not.
fn unit(drafts: &[Draft], sizes: Sizes) -> Result<Unit, String> {
    // Written with few digits, a corner may lie a little beyond 1.
    const MOST: f64 = 1.01;
    let objects = || drafts.iter().flat_map(|draft| &draft.objects);
    let is_fraction =
        |object: &&DraftObject| object.corners.is_some_and(|corners| corners.iter().all(|one| *one <= MOST));
    let fraction = objects().find(is_fraction);
    let pixels = objects().find(|object| object.corners.is_some() && !is_fraction(object));
    match (fraction, pixels) {
        (None, _) => Ok(Unit::Pixels(sizes)),
        (Some(_), None) => Ok(Unit::Fractions(sizes)),
        (Some(one), Some(other)) => Err(format!(
            "some boxes are fractions of the image ({}) and others are pixels ({}); write all of them in pixels",
            one.place, other.place
        )),
    }
}

fn object(name: &str, place: String, annotation: Annotation) -> Result<DraftObject, String> {
    let segments = match annotation.segmentation {
        Value::Array(segments) => segments.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect(),
        // A run-length mask, or nothing.
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let corners = match annotation.bbox.as_deref() {
        Some(&[x, y, width, height]) => Some([x, y, x + width, y + height]),
        Some(other) => return Err(format!("its bbox has {} numbers, not x, y, width and height", other.len())),
        None => None,
    };
    let is_crowd = annotation.iscrowd.as_i64() == Some(1) || annotation.iscrowd == Value::Bool(true);
    Ok(DraftObject { place, label: name.to_owned(), corners, segments, is_crowd })
}

#[derive(Serialize)]
struct Written<'a> {
    images: Vec<WrittenImage>,
    annotations: Vec<WrittenAnnotation>,
    categories: Vec<WrittenCategory<'a>>,
}

#[derive(Serialize)]
struct WrittenImage {
    id: usize,
    file_name: String,
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct WrittenAnnotation {
    id: usize,
    image_id: usize,
    category_id: usize,
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    segmentation: Vec<Vec<f64>>,
}

#[derive(Serialize)]
struct WrittenCategory<'a> {
    id: usize,
    name: &'a str,
}

/// Writes one COCO file per part: to the output of `order` if that is a `.json` file and there is one part, else to `NAME.json` in it. Images,
/// annotations and categories are numbered from 1; the categories are the sorted labels of all parts, the same in every file.
/// `area` is that of the outline's segments added up or, without an outline, that of the box.
///
/// # Errors
/// An image's size cannot be read, a file may not be written, or any IO error.
pub fn write(order: &Order, parts: &[Part]) -> Result<(Vec<PathBuf>, files::Written), DataError> {
    let (labels, output) = (labels(parts), order.output);
    let single = parts.len() == 1 && output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let names: Vec<PathBuf> = parts.iter().map(|part| format!("{}.json", part.name).into()).collect();
    let left_out = match single {
        true => List::beside(output, left_out(parts)),
        false => List::within(left_out(parts)),
    };
    let checked = match single {
        true => order.file_with(&Vec::from_iter(left_out.target()))?,
        false => {
            order.folder(Scope::Parts, &names.iter().map(Target::new).chain(left_out.target()).collect::<Vec<_>>())?
        }
    };
    let mut writing = checked.begin()?;
    let mut files = Vec::with_capacity(parts.len());
    for (part, name) in parts.iter().zip(&names) {
        let path = if single { output.to_owned() } else { output.join(name) };
        let base = folder_of(&path)?;
        let mut images = Vec::with_capacity(part.images.len());
        let mut annotations = Vec::new();
        for (image, id) in part.images.iter().zip(1..) {
            let [width, height] = image.measured()?;
            images.push(WrittenImage { id, file_name: image_url(&base, &image.path), width, height });
            for object in &image.objects {
                let category = labels.binary_search(&object.label).unwrap_or_default() + 1;
                annotations.push(annotation(object, [width, height], [annotations.len() + 1, id, category]));
            }
        }
        let categories = labels.iter().zip(1..).map(|(name, id)| WrittenCategory { id, name }).collect();
        let written = Written { images, annotations, categories };
        let name = path.file_name().unwrap_or_default();
        writing.write(name, |out| serde_json::to_writer(out, &written).map_err(Into::into))?;
        files.push(path);
    }
    left_out.write(&mut writing)?;
    Ok((files, writing.publish()?))
}

fn annotation(object: &LabelledObject, size: [u32; 2], [id, image_id, category_id]: [usize; 3]) -> WrittenAnnotation {
    let [width, height] = size.map(f64::from);
    let [x1, y1, x2, y2] = object.corners;
    let bbox = [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height];
    let pixels = |(at, value): (usize, &f64)| value * if at % 2 == 0 { width } else { height };
    let segmentation: Vec<Vec<f64>> =
        object.polygon.iter().map(|segment| segment.iter().enumerate().map(pixels).collect()).collect();
    let area = if segmentation.is_empty() { bbox[2] * bbox[3] } else { segmentation.iter().map(|s| area(s)).sum() };
    WrittenAnnotation { id, image_id, category_id, bbox, area, iscrowd: object.is_crowd.into(), segmentation }
}

/// Area of a polygon `x1 y1 x2 y2 ..`, by the shoelace formula.
fn area(segment: &[f64]) -> f64 {
    let (points, _) = segment.as_chunks::<2>();
    let next = points.iter().cycle().skip(1);
    let twice: f64 = points.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
    twice.abs() / 2.0
}
