//! Writing a COCO file.

use std::path::PathBuf;

use files::{Order, Scope, Target};
use serde::Serialize;

use super::super::form::{Form, pixels};
use super::super::part::{labels, left_out};
use super::super::{LabelledObject, Part};
use crate::DataError;
use crate::convert::List;
use crate::convert::folder_of;
use crate::convert::relative::image_url;
use crate::outline::area;

#[derive(Serialize)]
struct Written<'a> {
    // pycocotools wants these two.
    info: Info,
    licenses: [(); 0],
    images: Vec<WrittenImage>,
    annotations: Vec<WrittenAnnotation>,
    categories: Vec<WrittenCategory<'a>>,
}

#[derive(Serialize)]
struct Info {
    description: &'static str,
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
    segmentation: Segmentation,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f64>>),
    /// Height and width, and run lengths as text.
    Mask {
        size: [u32; 2],
        counts: String,
    },
}

#[derive(Serialize)]
struct WrittenCategory<'a> {
    id: usize,
    name: &'a str,
}

/// Writes one COCO file per part: to the output of `order` if that is a `.json` file and there is one part, else to `NAME.json` in it. Images,
/// annotations and categories are numbered from 1; the categories are the sorted labels of all parts, the same in every file.
/// `area` is that of the outline's segments added up or, without an outline, that of the box. Objects with holes or with segments that
/// overlap, and crowds, are written as run lengths, whose pixels are their area; the texts say how many.
///
/// # Errors
/// An image's size cannot be read, a file may not be written, or any IO error.
pub fn write(order: &Order, parts: &[Part]) -> Result<(Vec<String>, Vec<PathBuf>, files::Written), DataError> {
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
    let (mut masks, mut crowds) = (0, 0);
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
                let written = annotation(object, [width, height], [annotations.len() + 1, id, category]);
                if let Segmentation::Mask { .. } = written.segmentation {
                    *if object.is_crowd { &mut crowds } else { &mut masks } += 1;
                }
                annotations.push(written);
            }
        }
        let categories = labels.iter().zip(1..).map(|(name, id)| WrittenCategory { id, name }).collect();
        let info = Info { description: "Converted from JSONL" };
        let written = Written { info, licenses: [], images, annotations, categories };
        let name = path.file_name().unwrap_or_default();
        writing.write(name, |out| serde_json::to_writer(out, &written).map_err(Into::into))?;
        files.push(path);
    }
    left_out.write(&mut writing)?;
    let mut notes = Vec::new();
    if masks > 0 {
        notes.push(format!(
            "objects with holes or segments that overlap, written as run lengths (RLE), since polygons of this layout are \
             united: {masks}"
        ));
    }
    if crowds > 0 {
        notes.push(format!("crowds, written as run lengths (RLE), as this layout has it: {crowds}"));
    }
    Ok((notes, files, writing.publish()?))
}

fn annotation(object: &LabelledObject, size: [u32; 2], [id, image_id, category_id]: [usize; 3]) -> WrittenAnnotation {
    let [width, height] = size.map(f64::from);
    let [x1, y1, x2, y2] = object.corners;
    let bbox = [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height];
    let mask = match Form::of(object, size) {
        Form::Pixels(mask) => Some(mask),
        Form::Segments(_) if object.is_crowd => pixels(object, size),
        Form::Segments(_) | Form::Box => None,
    };
    let rle = mask.and_then(|mask| mask.rle(size[0], size[1]).ok());
    let (segmentation, area) = match rle {
        Some(rle) => (Segmentation::Mask { size: [size[1], size[0]], counts: rle.text() }, rle.area() as f64),
        None => {
            let pixels = |(at, value): (usize, &f64)| value * if at % 2 == 0 { width } else { height };
            let segments: Vec<Vec<f64>> =
                object.polygon.iter().map(|segment| segment.iter().enumerate().map(pixels).collect()).collect();
            let area = if segments.is_empty() {
                bbox[2] * bbox[3]
            } else {
                segments.iter().map(|s| area(s.as_chunks().0)).sum()
            };
            (Segmentation::Polygons(segments), area)
        }
    };
    WrittenAnnotation { id, image_id, category_id, bbox, area, iscrowd: object.is_crowd.into(), segmentation }
}
