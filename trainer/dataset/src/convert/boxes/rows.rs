//! JSONL rows of `image-object-detection`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target, Writing, Written};
use schemas::Labels;
use schemas::dataset::{BoxLabel, Corners, ImageDetails, Label, ObjectError, REACH, parse_object, parse_row};
use serde::Serialize;
use serde_json::Value;

use super::super::folder_of;
use super::super::relative::image_url;
use super::crowd::crowd;
use super::draft::{apart, box_used};
use super::geometry::{are_apart, bounds, none_usable, segment_fault};
use super::part::left_out;
use super::{LabelledImage, LabelledObject, Part, absolute, part_name, read_text};
use crate::convert::{Groups, List, Place};
use crate::{DataError, Location, data_files, resolver};

#[derive(Serialize)]
struct Row<'a> {
    image_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_details: Option<ImageDetails>,
    label: Vec<ObjectRow<'a>>,
    #[serde(flatten)]
    group: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ObjectRow<'a> {
    label: &'a str,
    #[serde(flatten)]
    corners: Corners,
    #[serde(rename = "isCrowd")]
    is_crowd: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    polygon: &'a [Vec<f64>],
}

/// Makes the file `name` in `folder` with one row per image and its group, its `image_url` relative to that file where it can be.
///
/// # Errors
/// Any IO error.
pub fn write(
    writing: &mut Writing,
    folder: &Path,
    name: &Path,
    images: &[LabelledImage],
    groups: &Groups,
) -> Result<(), DataError> {
    let base = folder_of(&folder.join(name))?;
    writing.write(name, |out| {
        for image in images {
            let object = |object: &'_ LabelledObject| {
                let [top_x, top_y, bottom_x, bottom_y] = object.corners;
                Corners { top_x, top_y, bottom_x, bottom_y }
            };
            let row = Row {
                group: groups.of(&Place::File(image.path.clone())),
                image_url: image_url(&base, &image.path),
                image_details: image.size.map(|[width, height]| ImageDetails {
                    format: None,
                    width: Some(width),
                    height: Some(height),
                }),
                label: image
                    .objects
                    .iter()
                    .map(|marked| ObjectRow {
                        label: &marked.label,
                        corners: object(marked),
                        is_crowd: marked.is_crowd,
                        polygon: &marked.polygon,
                    })
                    .collect(),
            };
            serde_json::to_writer(&mut *out, &row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Writes the rows of one part into a file, with a list of what was left out beside it.
///
/// # Errors
/// When it may not be written, or any IO error.
pub fn write_file(order: &Order, part: &Part) -> Result<Written, DataError> {
    let left_out = List::beside(order.output, &part.left_out);
    let mut writing = order.file_with(&Vec::from_iter(left_out.target()))?.begin()?;
    let (folder, name) = (order.output.parent().unwrap_or(Path::new("")), order.output.file_name().unwrap_or_default());
    write(&mut writing, folder, Path::new(name), &part.images, &part.groups)?;
    left_out.write(&mut writing)?;
    Ok(writing.publish()?)
}

/// Writes `NAME.jsonl` of each part into the folder `order.output`, with a list of what was left out.
///
/// # Errors
/// When one may not be written, or any IO error.
pub fn write_folder(order: &Order, parts: &[Part]) -> Result<(Vec<PathBuf>, Written), DataError> {
    let names: Vec<PathBuf> = parts.iter().map(|part| format!("{}.jsonl", part.name).into()).collect();
    let left_out = List::within(left_out(parts));
    let targets: Vec<Target> = names.iter().map(Target::new).chain(left_out.target()).collect();
    let mut writing = order.folder(Scope::Parts, &targets)?.begin()?;
    for (part, name) in parts.iter().zip(&names) {
        write(&mut writing, order.output, name, &part.images, &part.groups)?;
    }
    left_out.write(&mut writing)?;
    Ok((names.iter().map(|name| order.output.join(name)).collect(), writing.publish()?))
}

/// Reads a JSONL file or MLTable folder; rows of one image are put together. Where an object has both, corners are taken
/// as written and not from its outline, so that what was converted to JSONL converts back to the same. An image whose size
/// neither its file nor its row says is left out: other layouts need it.
///
/// # Errors
/// A file cannot be read, or `azureml://` paths are in it and no `data_root` is given.
pub fn read(path: &Path, data_root: Option<&Path>) -> Result<Part, DataError> {
    let mut part = Part { name: part_name(path), ..Part::default() };
    let mut places: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for file in data_files(path)? {
        let file = absolute(&file)?;
        let resolver = resolver(&file, data_root);
        for (number, line) in read_text(&file)?.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let place = format!("line {}", number + 1);
            let row = match parse_row(Labels::Boxes, line) {
                Ok(row) => row,
                Err(error) => {
                    part.leave_out(&file, place, error.message);
                    continue;
                }
            };
            let location = match resolver.resolve(&row.image_url) {
                Ok(location) => location,
                Err(reason) => {
                    part.leave_out(&file, place, reason);
                    continue;
                }
            };
            let Location::File(image) = &location else {
                part.leave_out(&file, place, format!("{} is no file of this machine; fetch it first", row.image_url));
                continue;
            };
            for ObjectError { object, segment, reason } in &row.rejected {
                match segment {
                    Some(segment) => {
                        part.note(&file, format!("{place}, object {object}, segment {segment}"), reason.clone());
                    }
                    None => part.leave_out(&file, format!("{place}, object {object}"), reason.clone()),
                }
            }
            let gone: BTreeSet<usize> = row.rejected.iter().filter(|r| r.segment.is_none()).map(|r| r.object).collect();
            let Label::Boxes(boxes) = row.label else { unreachable!("a detection row holds boxes") };
            let raw = parse_object(line.as_bytes()).map(Value::Object).unwrap_or_default();
            let numbers = (0..).filter(|number| !gone.contains(number));
            let described = boxes.len();
            let mut objects = Vec::with_capacity(described);
            for (number, one) in numbers.zip(boxes) {
                // The older form has the object beside the label.
                let written = if raw["label"].is_array() { &raw["label"][number] } else { &raw };
                let place = format!("{place}, object {number}");
                let dropped = row.rejected.iter().filter(|rejected| rejected.object == number);
                let dropped: BTreeSet<usize> = dropped.filter_map(|rejected| rejected.segment).collect();
                match marked(written, &one, &dropped) {
                    Ok(Marked { object, notes }) => {
                        for (segment, reason) in notes {
                            let segment = segment.map_or_else(String::new, |segment| format!(", segment {segment}"));
                            part.note(&file, format!("{place}{segment}"), reason);
                        }
                        part.cut += usize::from(one.cut);
                        objects.push(object);
                    }
                    Err(reason) => part.leave_out(&file, place, reason),
                }
            }
            if objects.is_empty() && described > 0 {
                // Without its objects it would teach that nothing is there.
                let reason = "none of its objects can be used, so that the row is left out too";
                part.leave_out_image(&file, place, reason, 0);
                part.barren += 1;
                continue;
            }
            let size = row.image_details.and_then(|details| Some([details.width?, details.height?]));
            let at = *places.entry(location.key()).or_insert(part.images.len());
            match part.images.get_mut(at) {
                Some(known) => known.objects.extend(objects),
                None => {
                    part.images.push(LabelledImage { path: image.clone(), size, objects });
                }
            }
        }
    }
    part.sized(path).usable(path, "check image_url, or give --data_root FOLDER:")
}

/// An object, and what is to be said of its segments, by their places from 0, and of itself.
struct Marked {
    object: LabelledObject,
    notes: Vec<(Option<usize>, String)>,
}

/// An object that was judged to be usable for its box; `raw` is how it was written, `dropped` which of its segments were
/// judged to be none.
///
/// # Errors
/// Its outline encloses nothing and it has no box, or nobody knows whether it is a crowd.
fn marked(raw: &Value, one: &BoxLabel, dropped: &BTreeSet<usize>) -> Result<Marked, String> {
    let number = |value: &Value| match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    let number = |value: &Value| number(value).filter(|value: &f64| REACH.contains(value));
    let inside = |value: f64| value.clamp(0.0, 1.0);
    let written = || -> Option<[f64; 4]> {
        let read = |key: &str| number(&raw[key]).map(inside);
        let corners = [read("topX")?, read("topY")?, read("bottomX")?, read("bottomY")?];
        (corners[0] < corners[2] && corners[1] < corners[3]).then_some(corners)
    };
    if crowd("isCrowd", &raw["isCrowd"])? != one.is_crowd {
        return Err(format!("its isCrowd is {}, which a training takes for false; write true", raw["isCrowd"]));
    }
    let Corners { top_x, top_y, bottom_x, bottom_y } = one.corners;
    let (mut polygon, mut faults): (Vec<Vec<f64>>, Vec<(usize, String)>) = Default::default();
    let segments = raw["polygon"].as_array().into_iter().flatten().enumerate();
    for (place, segment) in segments.filter(|(place, _)| !dropped.contains(place)) {
        let values = segment.as_array().map_or(&[][..], Vec::as_slice).iter();
        let values: Vec<f64> = values.filter_map(|value| number(value).map(inside)).collect();
        match segment_fault(&values) {
            None => polygon.push(values),
            Some(reason) => faults.push((place, reason)),
        }
    }
    let given = written();
    let mut notes: Vec<(Option<usize>, String)> = match none_usable(&faults).filter(|_| polygon.is_empty()) {
        Some(reason) if given.is_none() => return Err(reason),
        Some(reason) => vec![(None, box_used(&reason))],
        None => faults.into_iter().map(|(place, reason)| (Some(place), reason)).collect(),
    };
    let around = (!polygon.is_empty()).then(|| bounds(&polygon));
    let corners = match (given, around) {
        (Some(given), Some(around)) if are_apart(&given, &around) => {
            notes.push((None, apart(&given)));
            around
        }
        (Some(given), _) => given,
        (None, _) => [top_x, top_y, bottom_x, bottom_y],
    };
    let object = LabelledObject { label: one.label.to_string(), corners, is_crowd: one.is_crowd, polygon };
    Ok(Marked { object, notes })
}
