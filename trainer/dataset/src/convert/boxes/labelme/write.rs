//! Writing LabelMe's files.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use files::{Order, Scope, Target, Written};
use serde_json::{Value, json};

use super::super::form::Form;
use super::super::part::{check_labels, folder_names, labels, left_out};
use super::super::place::file_names;
use super::super::{LabelledImage, LabelledObject, Part, Placing, write_text};
use crate::DataError;
use crate::convert::List;

/// Writes each image with its JSON file beside it into the output of `order`, in a folder for each of several parts. An object
/// of several segments becomes shapes of one `group_id`, one with holes a mask, and one without an outline a rectangle. A crowd has
/// the flag `isCrowd`. The texts are what people should know of it.
///
/// # Errors
/// The layout cannot hold the name of a class, one of several parts is none of train, validation and test, an image
/// cannot be read or copied, a file may not be written, or any IO error.
pub fn write(order: &Order, parts: &[Part], placing: Placing) -> Result<(Vec<String>, Written), DataError> {
    check_labels(order, &labels(parts))?;
    let mut files: Vec<(&LabelledImage, String, String)> = Vec::new();
    for (part, name) in parts.iter().zip(folder_names(order.output, parts)?) {
        let folder = if parts.len() > 1 { format!("{name}/") } else { String::new() };
        let images: Vec<&LabelledImage> = part.images.iter().collect();
        for (image, name) in images.iter().zip(file_names(&images, &order.output.join(&folder))?) {
            files.push((image, folder.clone(), name));
        }
    }
    let json = |folder: &str, name: &str| format!("{folder}{}", Path::new(name).with_extension("json").display());
    let of_image = |(image, folder, name): &(&LabelledImage, String, String)| {
        [Target::copy(format!("{folder}{name}"), &image.path), Target::new(json(folder, name))]
    };
    let left_out = List::within(left_out(parts));
    let mut targets: Vec<Target> = files.iter().flat_map(of_image).collect();
    targets.extend(left_out.target());
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    let mut masks = 0;
    for (image, folder, name) in &files {
        placing.put(&mut writing, &format!("{folder}{name}"), &image.path)?;
        let size = image.measured()?;
        let mut group = 0;
        let mut shapes: Vec<Value> = Vec::new();
        for object in &image.objects {
            shapes.extend(drawn(object, size, &mut group, &mut masks));
        }
        let document = json!({
            "version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": null,
            "imageHeight": size[1], "imageWidth": size[0],
        });
        write_text(&mut writing, &json(folder, name), &format!("{document:#}\n"))?;
    }
    left_out.write(&mut writing)?;
    let note = format!("objects with holes or segments that overlap, written as masks of whole pixels: {masks}");
    let notes = if masks > 0 { vec![note] } else { Vec::new() };
    Ok((notes, writing.publish()?))
}

/// The shapes of an object.
fn drawn(object: &LabelledObject, size: [u32; 2], group: &mut usize, masks: &mut usize) -> Vec<Value> {
    let flags = if object.is_crowd { json!({"isCrowd": true}) } else { json!({}) };
    let shape = |kind: &str, points: Value, group: Option<usize>, mask: Option<String>| {
        json!({
            "label": object.label, "points": points, "group_id": group, "description": "", "shape_type": kind,
            "flags": flags, "mask": mask,
        })
    };
    match Form::of(object, size) {
        Form::Box => {
            let [width, height] = size.map(f64::from);
            let [x1, y1, x2, y2] = object.corners;
            let points = json!([[x1 * width, y1 * height], [x2 * width, y2 * height]]);
            vec![shape("rectangle", points, None, None)]
        }
        Form::Segments(segments) => {
            let number = (segments.len() > 1).then(|| {
                *group += 1;
                *group
            });
            let polygon = |segment: Vec<f64>| shape("polygon", json!(segment.as_chunks::<2>().0), number, None);
            segments.into_iter().map(polygon).collect()
        }
        Form::Pixels(mask) => {
            *masks += 1;
            let window = mask.bounds().unwrap_or(mask.window());
            let points = json!([[window.x0, window.y0], [window.x1 - 1, window.y1 - 1]]);
            vec![shape("mask", points, None, Some(STANDARD.encode(mask.png(window))))]
        }
    }
}
