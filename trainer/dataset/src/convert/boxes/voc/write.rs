//! A VOC folder from images and objects.

use std::collections::BTreeMap;
use std::path::Path;

use files::{Order, Scope, Target};
use serde::Serialize;

use super::super::part::{check_labels, labels, left_out};
use super::super::place::file_names;
use super::super::{LabelledImage, LabelledObject, Part, Placing, write_text, wrong};
use super::pixels::Pixels;
use crate::DataError;
use crate::convert::List;

#[derive(Serialize)]
struct Size {
    width: String,
    height: String,
    depth: u8,
}

#[derive(Serialize)]
struct Object {
    name: String,
    difficult: Option<String>,
    bndbox: Option<Bndbox>,
}

#[derive(Serialize)]
struct Bndbox {
    xmin: String,
    ymin: String,
    xmax: String,
    ymax: String,
}

#[derive(Serialize)]
#[serde(rename = "annotation")]
struct Written {
    folder: &'static str,
    filename: String,
    size: Size,
    segmented: u8,
    object: Vec<Object>,
}

/// Writes a VOC folder, the output of `order`: every image and its annotation once, and a list per part, `val.txt` of
/// validation. Coordinates are whole
/// where they are so to a millionth of a pixel, else written in full. Outlines are not part of this layout and are dropped.
/// Images that lie where they belong stay.
///
/// # Errors
/// The layout cannot hold the name of a class, a file may not be written, an image cannot be read or copied, or any IO
/// error.
pub fn write(order: &Order, parts: &[Part], pixels: Pixels, placing: Placing) -> Result<files::Written, DataError> {
    check_labels(order, &labels(parts))?;
    // An image may be in several parts.
    let mut numbers: BTreeMap<&Path, usize> = BTreeMap::new();
    let mut images: Vec<&LabelledImage> = Vec::new();
    for image in parts.iter().flat_map(|part| &part.images) {
        numbers.entry(&image.path).or_insert_with(|| {
            images.push(image);
            images.len() - 1
        });
    }
    let names = file_names(&images, &order.output.join("JPEGImages"))?;
    let stems: Vec<String> =
        names.iter().map(|name| Path::new(name).with_extension("").display().to_string()).collect();
    let file = |at: usize| format!("JPEGImages/{}", names[at]);
    let annotation = |at: usize| format!("Annotations/{}.xml", stems[at]);
    let list = |part: &Part| format!("ImageSets/Main/{}.txt", list_name(&part.name));
    let of_image = |at: usize| [Target::copy(file(at), &images[at].path), Target::new(annotation(at))];
    let mut targets: Vec<Target> = (0..images.len()).flat_map(of_image).collect();
    targets.extend(parts.iter().map(|part| Target::new(list(part))));
    let left_out = List::within(left_out(parts));
    targets.extend(left_out.target());
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    for (at, image) in images.iter().enumerate() {
        placing.put(&mut writing, &file(at), &image.path)?;
        write_text(&mut writing, &annotation(at), &xml(image, names[at].clone(), pixels, false)?)?;
    }
    for part in parts {
        let line = |image: &LabelledImage| format!("{}\n", stems[numbers[image.path.as_path()]]);
        write_text(&mut writing, &list(part), &part.images.iter().map(line).collect::<String>())?;
    }
    left_out.write(&mut writing)?;
    Ok(writing.publish()?)
}

/// What the layout calls a part: readers look for `val.txt`.
pub fn list_name(part: &str) -> &str {
    match part {
        "validation" => "val",
        other => other,
    }
}

/// The annotation of an image; `segmented`: masks of it are written, too.
///
/// # Errors
/// The size of the image is not known.
pub fn xml(image: &LabelledImage, filename: String, pixels: Pixels, segmented: bool) -> Result<String, DataError> {
    let size = image.measured()?;
    let object = |marked: &LabelledObject| {
        let [width, height] = size.map(f64::from);
        let [x1, y1, x2, y2] = marked.corners;
        let offset = pixels.offset();
        Object {
            name: marked.label.clone(),
            difficult: Some(u8::from(marked.is_crowd).to_string()),
            bndbox: Some(Bndbox {
                xmin: number(x1 * width + offset),
                ymin: number(y1 * height + offset),
                xmax: number(x2 * width),
                ymax: number(y2 * height),
            }),
        }
    };
    let [width, height] = size.map(|side| side.to_string());
    let written = Written {
        folder: "JPEGImages",
        filename,
        size: Size { width, height, depth: 3 },
        segmented: segmented.into(),
        object: image.objects.iter().map(object).collect(),
    };
    let mut text = String::new();
    let mut serializer = quick_xml::se::Serializer::new(&mut text);
    serializer.indent('\t', 1);
    written
        .serialize(serializer)
        .map_err(|error| wrong(&image.path, format!("cannot be described in XML: {error}")))?;
    text.push('\n');
    Ok(text)
}

fn number(value: f64) -> String {
    let whole = value.round();
    if (value - whole).abs() < 1e-6 { format!("{whole:.0}") } else { value.to_string() }
}
