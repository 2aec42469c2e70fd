//! A YOLO data set from images and objects.

use std::collections::BTreeMap;
use std::path::Path;

use files::{Order, Scope, Target, Written};
use serde_json::Value;

use super::super::geometry::bounds;
use super::super::part::{check_labels, folder_names, labels, left_out};
use super::super::place::file_names;
use super::super::{LabelledImage, LabelledObject, Part, Placing, write_text};
use crate::DataError;
use crate::convert::List;

/// What every line of a data set describes: readers ignore or misread an image whose lines differ in this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// `class x1 y1 x2 y2 ..`.
    Outlines,
    /// `class centre_x centre_y width height`.
    Boxes,
}

/// Writes `images/PART`, `labels/PART` and `data.yaml` into the output of `order`; classes are numbered in the order of their
/// sorted names. Where every object has an outline, outlines are written, those of several segments as one line, otherwise boxes. That an object is a
/// crowd cannot be said here. A part that stands alone and has another name is called `train`. Images that lie where they belong
/// stay. `data.yaml` has no `path`, so that paths are relative to its own folder wherever a command is called. The texts are
/// what people should know of it.
///
/// # Errors
/// The layout cannot hold the name of a class, one of several parts is none of train, validation and test, a file may
/// not be written, an image cannot be copied, or any IO error.
pub fn write(order: &Order, parts: &[Part], placing: Placing) -> Result<(Vec<String>, Written), DataError> {
    let labels = labels(parts);
    check_labels(order, &labels)?;
    let names: Vec<&str> = folder_names(order.output, parts)?;
    let (lines, mut notes) = lines(parts);
    let (yaml, note) = yaml(&names, &labels, lines);
    notes.extend(note);
    let mut images: Vec<(&LabelledImage, [String; 2])> = Vec::new();
    for (part, name) in parts.iter().zip(&names) {
        let of_part: Vec<&LabelledImage> = part.images.iter().collect();
        let folder = format!("images/{name}");
        for (image, file) in of_part.iter().zip(file_names(&of_part, &order.output.join(&folder))?) {
            let file = usual_ending(&file);
            let text = Path::new(&file).with_extension("txt");
            images.push((image, [format!("{folder}/{file}"), format!("labels/{name}/{}", text.display())]));
        }
    }
    let of_image =
        |(image, [name, text]): &(&LabelledImage, [String; 2])| [Target::copy(name, &image.path), Target::new(text)];
    let mut targets: Vec<Target> = images.iter().flat_map(of_image).collect();
    targets.push(Target::new("data.yaml"));
    let left_out = List::within(left_out(parts));
    targets.extend(left_out.target());
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    for (image, [name, text]) in &images {
        placing.put(&mut writing, name, &image.path)?;
        let lines: String = image.objects.iter().map(|object| line(object, lines, &labels)).collect();
        write_text(&mut writing, text, &lines)?;
    }
    write_text(&mut writing, "data.yaml", &yaml)?;
    left_out.write(&mut writing)?;
    Ok((notes, writing.publish()?))
}

/// What lines describe, and what is lost by it.
fn lines(parts: &[Part]) -> (Lines, Vec<String>) {
    let objects = || parts.iter().flat_map(|part| &part.images).flat_map(|image| &image.objects);
    let (all, crowds) = (objects().count(), objects().filter(|object| object.is_crowd).count());
    let outlined = objects().filter(|object| !object.polygon.is_empty()).count();
    let several = objects().filter(|object| object.polygon.len() > 1).count();
    let mut notes = Vec::new();
    if crowds > 0 {
        notes.push(format!("{crowds} crowds are written as single objects: YOLO's layout has no crowds"));
    }
    if all == 0 || outlined < all {
        if outlined > 0 {
            notes.push(format!(
                "boxes are written and the outlines of {outlined} objects dropped: {} of {all} objects have no outline, and a \
                 YOLO data set has either outlines or boxes throughout",
                all - outlined
            ));
        }
        return (Lines::Boxes, notes);
    }
    notes.push("outlines are written: every object has one".to_owned());
    if several > 0 {
        notes.push(format!(
            "objects of several parts or with holes: {several}; a line of YOLO's is one outline, so their segments are joined by lines \
             there and back, which enclose nothing (readers that paint lines see them a pixel wide)"
        ));
    }
    let differs = |object: &&LabelledObject| {
        let around = bounds(&object.polygon);
        around.iter().zip(&object.corners).any(|(a, b)| (a - b).abs() > 1e-3)
    };
    let differing = objects().filter(differs).count();
    if differing > 0 {
        notes.push(format!("{differing} boxes are not those around their outlines and are dropped"));
    }
    (Lines::Outlines, notes)
}

/// `data.yaml`, and what is to be known of its parts.
fn yaml(parts: &[&str], labels: &[String], lines: Lines) -> (String, Option<String>) {
    let mut yaml = String::new();
    let has = |part: &str| parts.contains(&part);
    for (key, part) in [("train", "train"), ("val", "validation"), ("test", "test")] {
        match part {
            part if has(part) => yaml.push_str(&format!("{key}: images/{part}\n")),
            "validation" if has("train") => {
                yaml.push_str("# There is no part for validation: these are the images of train.\nval: images/train\n");
            }
            // Readers ask that these keys be there.
            "train" | "validation" => yaml.push_str(&format!("{key}:\n")),
            _ => {}
        }
    }
    let note = match (has("train"), has("validation")) {
        (true, true) => None,
        (true, false) => Some(
            "there is no part validation: `val` of data.yaml names the images of train, since readers ask for one; what is \
             measured on it says nothing of other images",
        ),
        (false, _) => {
            Some("there is no part train: `train` of data.yaml is empty, so this can be used to measure, not to train")
        }
    };
    if lines == Lines::Outlines {
        // Without it, short outlines could be boxes with key points.
        yaml.push_str("task: segment\n");
    }
    yaml.push_str(&format!("nc: {}\nnames:", labels.len()));
    yaml.push_str(if labels.is_empty() { " []\n" } else { "\n" });
    for (number, name) in labels.iter().enumerate() {
        yaml.push_str(&format!("  {number}: {}\n", quoted(name)));
    }
    (yaml, note.map(str::to_owned))
}

/// A file name with an ending that readers of this layout know: they pass over `.jfif`, `.jpe` and `.dib`.
fn usual_ending(file: &str) -> String {
    let usual = BTreeMap::from([("jfif", "jpg"), ("jpe", "jpg"), ("dib", "bmp")]);
    let ending = Path::new(file).extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.and_then(|ending| usual.get(ending.as_str()).copied()) {
        Some(usual) => Path::new(file).with_extension(usual).display().to_string(),
        None => file.to_owned(),
    }
}

fn line(object: &LabelledObject, lines: Lines, labels: &[String]) -> String {
    let class = labels.binary_search(&object.label).unwrap_or_default();
    let [x1, y1, x2, y2] = object.corners;
    let numbers = match lines {
        Lines::Outlines => joined(&object.polygon),
        Lines::Boxes => vec![(x1 + x2) / 2.0, (y1 + y2) / 2.0, x2 - x1, y2 - y1],
    };
    let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
    format!("{class} {}\n", numbers.join(" "))
}

/// Segments as one, joined by lines there and back: an odd number of segments encloses the very same.
fn joined(polygon: &[Vec<f64>]) -> Vec<f64> {
    let mut rings = polygon.iter().map(|segment| segment.as_chunks::<2>().0);
    let mut line = rings.next().unwrap_or_default().to_vec();
    for ring in rings {
        let Some(start) = ring.first() else { continue };
        let distance = |point: &[f64; 2]| (point[0] - start[0]).hypot(point[1] - start[1]);
        let nearest = (0..line.len()).min_by(|a, b| distance(&line[*a]).total_cmp(&distance(&line[*b])));
        let at = nearest.unwrap_or_default();
        let detour: Vec<[f64; 2]> = ring.iter().copied().chain([*start, line[at]]).collect();
        line.splice(at + 1..at + 1, detour);
    }
    line.concat()
}

/// A word that needs no quotes as it is, anything else as a JSON string, which YAML reads as well.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
