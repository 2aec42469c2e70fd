//! From a line to a row.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::class_name::ClassName;
use super::misspelled::misspelled;
use super::nan::without_nan;
use super::object::{Object, ObjectFault};
use super::row::{ImageDetails, Label, ObjectError, Row, RowError, RowErrorKind};
use super::shown::shown;
use crate::Labels;

/// A row before its parts are judged. Keys that are not listed are ignored, and what no one asks for is not read.
#[derive(Deserialize)]
struct RawRow<'a> {
    #[serde(borrow, alias = "imageUrl")]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    image_details: Option<&'a RawValue>,
    #[serde(borrow)]
    label: Option<&'a RawValue>,
    // The older form of detection rows: one line per box, with its corners beside the label.
    #[serde(borrow, rename = "topX")]
    top_x: Option<&'a RawValue>,
    #[serde(borrow, rename = "topY")]
    top_y: Option<&'a RawValue>,
    #[serde(borrow, rename = "bottomX")]
    bottom_x: Option<&'a RawValue>,
    #[serde(borrow, rename = "bottomY")]
    bottom_y: Option<&'a RawValue>,
    #[serde(borrow, rename = "isCrowd")]
    is_crowd: Option<&'a RawValue>,
}

/// Reads one line of a JSONL file as a row that says `labels` of its image.
///
/// `NaN` and `Infinity`, which Python writes, are read as `null`, and so refused only where they are asked for.
/// `image_url` may be called `imageUrl`. A detection row may also describe a single box with `label`, `topX`, `topY`,
/// `bottomX` and `bottomY` at the top level. Bad objects are dropped and listed in [`Row::rejected`].
///
/// ```
/// use schemas::Labels;
/// use schemas::dataset::{Label, parse_row};
///
/// let row = parse_row(Labels::Class, r#"{"image_url": "images/1.jpg", "label": "can"}"#)?;
/// assert_eq!(row.image_url, "images/1.jpg");
/// assert!(matches!(row.label, Label::Class(_)));
/// assert!(parse_row(Labels::Boxes, r#"{"image_url": "images/1.jpg", "label": "can"}"#).is_err());
/// # Ok::<(), schemas::dataset::RowError>(())
/// ```
///
/// # Errors
/// When nothing usable is left of the row, or an outline has an odd number of coordinates.
pub fn parse_row(labels: Labels, line: &str) -> Result<Row, RowError> {
    match raw(line) {
        Ok(raw) => row(labels, &raw),
        Err(error) => match finite(line) {
            None => Err(error),
            Some(line) => raw(&line)
                .and_then(|raw| row(labels, &raw))
                .map_err(|error| RowError { message: error.message + READ_AS_NULL, ..error }),
        },
    }
}

/// Why a row may be refused for a `null` that nobody wrote.
const READ_AS_NULL: &str = " (its NaN and Infinity, which JSON does not have, are read as null)";

/// A line without Python's NaN and Infinity, which may stand under keys that nobody asks for; nothing where there is none.
fn finite(line: &str) -> Option<String> {
    without_nan(line.as_bytes()).and_then(|line| String::from_utf8(line).ok())
}

fn row(labels: Labels, raw: &RawRow) -> Result<Row, RowError> {
    let image_url = image_url(raw)?.into_owned();
    let image_details = raw.image_details.and_then(details);
    match label(labels, raw) {
        Ok((label, rejected)) => Ok(Row { image_url, image_details, label, rejected }),
        Err((kind, message)) => Err(RowError { kind, message, image_url: Some(image_url) }),
    }
}

/// As [`parse_row`], of the bytes of a file.
///
/// # Errors
/// As [`parse_row`], and when the line is not UTF-8.
pub fn parse_line(labels: Labels, line: &[u8]) -> Result<Row, RowError> {
    parse_row(labels, text(line)?)
}

/// The `image_url` of a line, whatever else is in it.
///
/// # Errors
/// When the line is not UTF-8 or no row, or names no image.
pub fn parse_image_url(line: &[u8]) -> Result<Cow<'_, str>, RowError> {
    let line = text(line)?;
    match raw(line) {
        Ok(raw) => image_url(&raw),
        Err(error) => match finite(line) {
            None => Err(error),
            Some(line) => Ok(Cow::Owned(image_url(&raw(&line)?)?.into_owned())),
        },
    }
}

fn no_row(kind: RowErrorKind, message: impl Into<String>) -> RowError {
    RowError { kind, message: message.into(), image_url: None }
}

fn text(line: &[u8]) -> Result<&str, RowError> {
    std::str::from_utf8(line).map_err(|_| no_row(RowErrorKind::Json, "the line is not UTF-8"))
}

fn raw(line: &str) -> Result<RawRow<'_>, RowError> {
    let line = line.trim_start_matches('\u{feff}').trim();
    // Read as a struct, a JSON list would pass for an object.
    if !line.starts_with('{') {
        return Err(no_row(RowErrorKind::Json, "not a JSON object with image_url and label"));
    }
    serde_json::from_str(line).map_err(|error| no_row(RowErrorKind::Json, misspelled(line, &error)))
}

fn image_url<'a>(raw: &RawRow<'a>) -> Result<Cow<'a, str>, RowError> {
    let Some(found) = raw.image_url else {
        return Err(no_row(RowErrorKind::ImageUrl, "image_url is missing"));
    };
    let url = match serde_json::from_str::<&str>(found.get()) {
        Ok(plain) => Some(Cow::Borrowed(plain)),
        // Escapes have to be resolved.
        Err(_) => serde_json::from_str(found.get()).ok().map(Cow::Owned),
    };
    url.filter(|url| !url.trim().is_empty()).ok_or_else(|| {
        let found = value(found).map_or_else(|(_, message)| message, |value| shown(&value));
        no_row(RowErrorKind::ImageUrl, format!("image_url is {found}; it must be the text of a path or URL"))
    })
}

/// A part of a row. It is JSON, but may be nested too deep or hold a number out of range.
fn value(raw: &RawValue) -> Result<Value, (RowErrorKind, String)> {
    serde_json::from_str(raw.get()).map_err(|error| (RowErrorKind::Json, format!("not a row: {error}")))
}

type Judged = Result<(Label, Vec<ObjectError>), (RowErrorKind, String)>;

const ONE: &str = "an image has one label, a string or an integer";
const LIST: &str = "an image has a list of labels, all strings or all integers, which may be empty";

fn label(labels: Labels, raw: &RawRow) -> Judged {
    let Some(label) = raw.label else {
        let expected = match labels {
            Labels::Class => ONE,
            Labels::Classes => LIST,
            Labels::Boxes | Labels::Outlines => "an image has a list of objects, which may be empty",
        };
        return Err((RowErrorKind::LabelMissing, format!("there is no label, it is missing or null; {expected}")));
    };
    let label = value(label)?;
    match labels {
        Labels::Class => {
            let class = ClassName::try_from(label).map_err(|found| wrong(&unnamed(&found), ONE))?;
            Ok((Label::Class(class), Vec::new()))
        }
        Labels::Classes => Ok((Label::Classes(classes(label)?), Vec::new())),
        Labels::Boxes => {
            let (boxes, rejected) = objects(&single_box(label, raw)?)?;
            Ok((Label::Boxes(boxes), rejected))
        }
        Labels::Outlines => {
            let (outlines, rejected) = objects(&label)?;
            Ok((Label::Outlines(outlines), rejected))
        }
    }
}

fn wrong(found: &str, expected: &str) -> (RowErrorKind, String) {
    (RowErrorKind::LabelType, format!("label is {found}; {expected}"))
}

/// A value that is no class, in words.
fn unnamed(value: &Value) -> String {
    match value {
        Value::String(text) if text.trim().is_empty() => "empty".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) | Value::Null | Value::Bool(_) => shown(value),
        Value::Array(_) => format!("a list, {}", shown(value)),
        Value::Object(_) => format!("an object, {}", shown(value)),
    }
}

fn classes(label: Value) -> Result<Vec<ClassName>, (RowErrorKind, String)> {
    let Value::Array(items) = label else {
        let alone = match ClassName::try_from(label) {
            Ok(ClassName::Integer(number)) => format!("the number {number} alone"),
            Ok(ClassName::Text(text)) => format!("the string {} alone", shown(&text.into())),
            Err(other) => unnamed(&other),
        };
        return Err(wrong(&alone, LIST));
    };
    let mut classes: Vec<ClassName> = Vec::with_capacity(items.len());
    for (number, item) in items.into_iter().enumerate() {
        let of_list = |found: &str| (RowErrorKind::LabelType, format!("label {number} of the list is {found}; {LIST}"));
        let class = ClassName::try_from(item).map_err(|found| of_list(&unnamed(&found)))?;
        if let Some(first) = classes.first().filter(|first| !first.same_type(&class)) {
            let (first, other) = (first.type_name(), class.type_name());
            let message = format!("label 0 of the list is {first}, label {number} {other}; {LIST}");
            return Err((RowErrorKind::LabelType, message));
        }
        classes.push(class);
    }
    let mut seen = HashSet::with_capacity(classes.len());
    let first: Vec<bool> = classes.iter().map(|class| seen.insert(class)).collect();
    let mut first = first.into_iter();
    classes.retain(|_| first.next().unwrap_or(true));
    Ok(classes)
}

/// The label of a detection row in its list form, whichever form the row has.
fn single_box(label: Value, raw: &RawRow) -> Result<Value, (RowErrorKind, String)> {
    let corners = [("topX", raw.top_x), ("topY", raw.top_y), ("bottomX", raw.bottom_x), ("bottomY", raw.bottom_y)];
    let scalar = ClassName::from_json(&label).is_some();
    if !scalar || corners.iter().any(|(_, value)| value.is_none()) {
        return Ok(label);
    }
    let mut object = Map::new();
    object.insert("label".to_owned(), label);
    for (name, part) in corners.into_iter().chain([("isCrowd", raw.is_crowd)]) {
        if let Some(part) = part {
            object.insert(name.to_owned(), value(part)?);
        }
    }
    Ok(Value::Array(vec![Value::Object(object)]))
}

/// Judges each object of a list; the row fails only when it lists objects and none is usable.
fn objects<T: Object>(label: &Value) -> Result<(Vec<T>, Vec<ObjectError>), (RowErrorKind, String)> {
    let items = match label {
        Value::Array(items) => items,
        Value::Object(_) => {
            let message = format!(
                "label is one object, not a list of objects; write it in brackets: \"label\": [{}]",
                shown(label)
            );
            return Err((RowErrorKind::LabelType, message));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(wrong(&shown(label), "an image has a list of objects, which may be empty"));
        }
    };
    let (mut usable, mut rejected): (Vec<T>, Vec<ObjectError>) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let mut dropped = Vec::new();
        let verdict = T::parse(item, &mut dropped);
        let segments = dropped.into_iter();
        rejected.extend(segments.map(|(segment, reason)| ObjectError {
            object: index,
            segment: Some(segment),
            reason,
        }));
        match verdict {
            Ok(object) => {
                let first = usable.first().map_or(object.class(), Object::class);
                if !first.same_type(object.class()) {
                    let (first, other) = (first.type_name(), object.class().type_name());
                    let message = format!(
                        "labels of its objects are of two types: {first}, and of object {index} {other}; \
                         write all as strings, or all as integers"
                    );
                    return Err((RowErrorKind::LabelType, message));
                }
                usable.push(object);
            }
            Err(ObjectFault::Dropped(reason)) => {
                rejected.push(ObjectError { object: index, segment: None, reason });
            }
            Err(ObjectFault::Row(reason)) => {
                return Err((RowErrorKind::OddOutline, format!("object {index}: {reason}")));
            }
        }
    }
    if usable.is_empty() && !items.is_empty() {
        let reasons: Vec<String> = rejected.iter().take(3).map(ToString::to_string).collect();
        let message = format!("none of its objects is usable: {}", reasons.join("; "));
        return Err((RowErrorKind::NoObject, message));
    }
    Ok((usable, rejected))
}

#[derive(Deserialize)]
struct RawDetails<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    width: Option<&'a RawValue>,
    #[serde(borrow)]
    height: Option<&'a RawValue>,
}

/// Read part by part: most rows have them, and a map of values takes as long as the rest of the row.
fn details(raw: &RawValue) -> Option<ImageDetails> {
    let object = Some(raw.get()).filter(|text| text.starts_with('{'))?;
    let parts: RawDetails = serde_json::from_str(object).ok()?;
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let pixels = |raw: &RawValue| match serde_json::from_str::<u64>(raw.get()) {
        Ok(number) => u32::try_from(number).ok(),
        Err(_) => text(raw)?.trim().trim_end_matches("px").trim_end().parse().ok(),
    };
    Some(ImageDetails {
        format: parts.format.and_then(text),
        width: parts.width.and_then(pixels),
        height: parts.height.and_then(pixels),
    })
}
