//! COCO's detection JSON: `images`, `annotations` with `bbox` (`x y width height` in pixels, from the left upper corner, not
//! rounded), `iscrowd`, `segmentation`, and `categories`.
//!
//! Polygons are kept as outlines; run-length masks, which COCO uses for crowds, are not, but their boxes are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::folder_of;
use super::super::relative::image_url;
use super::{Marked, Part, Picture, SLACK, absolute, bounds, fractions, io_error, labels, outline, part_name, wrong};
use crate::DataError;

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

/// Reads a COCO file. Images are looked for below `images`, or below the file's own folder.
///
/// # Errors
/// The file cannot be read or is no COCO file, or the size of an image is neither in it nor can be read.
pub fn read(path: &Path, images: Option<&Path>) -> Result<Part, DataError> {
    let file = std::fs::File::open(path).map_err(|source| io_error("open", path, source))?;
    let file: File = serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| wrong(path, format!("is no COCO file with images and annotations: {error}")))?;
    let base = match images {
        Some(folder) => absolute(folder)?,
        None => folder_of(path)?,
    };
    let mut part = Part { name: part_name(path), ..Part::default() };
    let names: BTreeMap<Id, String> = file.categories.into_iter().map(|one| (one.id, one.name)).collect();
    let mut numbers: BTreeMap<Id, usize> = BTreeMap::new();
    for image in file.images {
        let pixels = |side: Option<f64>| side.filter(|side| (1.0..1e9).contains(side)).map(|side| side.round() as u32);
        let size = pixels(image.width).zip(pixels(image.height)).map(|(width, height)| [width, height]);
        let mut picture = Picture { path: base.join(&image.file_name), size, objects: Vec::new() };
        if picture.size.is_none() {
            picture.size = Some(picture.measured()?);
        }
        numbers.insert(image.id, part.pictures.len());
        part.pictures.push(picture);
    }
    for (at, annotation) in file.annotations.into_iter().enumerate() {
        let place =
            annotation.id.as_ref().map_or_else(|| format!("annotations[{at}]"), |id| format!("annotation {id}"));
        let found = numbers.get(&annotation.image_id).copied();
        let object = match (found, names.get(&annotation.category_id)) {
            (None, _) => Err(format!("there is no image {}", annotation.image_id)),
            (_, None) => Err(format!("there is no category {}", annotation.category_id)),
            (Some(at), Some(name)) => object(name, part.pictures[at].size, annotation).map(|object| (at, object)),
        };
        match object {
            Ok((at, object)) => part.pictures[at].objects.push(object),
            Err(reason) => part.leave_out(path, place, reason),
        }
    }
    Ok(part)
}

fn object(name: &str, size: Option<[u32; 2]>, annotation: Annotation) -> Result<Marked, String> {
    let size = size.unwrap_or([1, 1]).map(f64::from);
    let segments = match annotation.segmentation {
        Value::Array(segments) => segments.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect(),
        // A run-length mask, or nothing.
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let polygon = outline(segments, size, SLACK);
    let corners = match annotation.bbox.as_deref() {
        Some(&[x, y, width, height]) => fractions([x, y, x + width, y + height], size, SLACK)?,
        Some(other) => return Err(format!("its bbox has {} numbers, not x, y, width and height", other.len())),
        None if polygon.is_empty() => return Err("there is no bbox".to_owned()),
        None => fractions(bounds(&polygon), [1.0, 1.0], 0.0)?,
    };
    let is_crowd = annotation.iscrowd.as_i64() == Some(1) || annotation.iscrowd == Value::Bool(true);
    Ok(Marked { label: name.to_owned(), corners, is_crowd, polygon })
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
    let targets: Vec<Target> = names.iter().map(Target::new).collect();
    let mut writing = if single { order.file()? } else { order.folder(Scope::Parts, &targets)? }.begin()?;
    let mut files = Vec::with_capacity(parts.len());
    for (part, name) in parts.iter().zip(&names) {
        let path = if single { output.to_owned() } else { output.join(name) };
        let base = folder_of(&path)?;
        let mut images = Vec::with_capacity(part.pictures.len());
        let mut annotations = Vec::new();
        for (picture, id) in part.pictures.iter().zip(1..) {
            let [width, height] = picture.measured()?;
            images.push(WrittenImage { id, file_name: image_url(&base, &picture.path), width, height });
            for object in &picture.objects {
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
    Ok((files, writing.publish()?))
}

fn annotation(object: &Marked, size: [u32; 2], [id, image_id, category_id]: [usize; 3]) -> WrittenAnnotation {
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
