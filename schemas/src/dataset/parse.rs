//! From a line to a row.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::class_name::ClassName;
use super::object::{Object, ObjectFault};
use super::row::{ImageDetails, Label, ObjectError, Row, RowError, RowErrorKind};
use super::shown::shown;
use crate::Labels;

/// A row before its parts are judged. Keys that are not listed are ignored.
#[derive(Deserialize)]
struct RawRow {
    #[serde(alias = "imageUrl")]
    image_url: Option<Value>,
    image_details: Option<Value>,
    label: Option<Value>,
    // The older form of detection rows: one line per box, with its corners beside the label.
    #[serde(rename = "topX")]
    top_x: Option<Value>,
    #[serde(rename = "topY")]
    top_y: Option<Value>,
    #[serde(rename = "bottomX")]
    bottom_x: Option<Value>,
    #[serde(rename = "bottomY")]
    bottom_y: Option<Value>,
    #[serde(rename = "isCrowd")]
    is_crowd: Option<Value>,
}

/// Reads one line of a JSONL file as a row that says `labels` of its image.
///
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
    let bad = |kind, message| RowError { kind, message, image_url: None };
    let line = line.trim_start_matches('\u{feff}').trim_start();
    // Read as a struct, a JSON list would pass for an object.
    if !line.starts_with('{') {
        return Err(bad(RowErrorKind::Json, "not a row: not a JSON object".to_owned()));
    }
    let raw: RawRow =
        serde_json::from_str(line).map_err(|error| bad(RowErrorKind::Json, format!("not a row: {error}")))?;
    let image_url = match &raw.image_url {
        Some(Value::String(url)) if !url.trim().is_empty() => url.clone(),
        Some(other) => {
            let message = format!("image_url is {}; it must be the text of a path or URL", shown(other));
            return Err(bad(RowErrorKind::ImageUrl, message));
        }
        None => return Err(bad(RowErrorKind::ImageUrl, "there is no image_url".to_owned())),
    };
    let image_details = raw.image_details.as_ref().and_then(details);
    match label(labels, raw) {
        Ok((label, rejected)) => Ok(Row { image_url, image_details, label, rejected }),
        Err((kind, message)) => Err(RowError { kind, message, image_url: Some(image_url) }),
    }
}

type Judged = Result<(Label, Vec<ObjectError>), (RowErrorKind, String)>;

fn label(labels: Labels, raw: RawRow) -> Judged {
    let Some(label) = &raw.label else {
        return Err((RowErrorKind::LabelMissing, "there is no label".to_owned()));
    };
    match labels {
        Labels::Class => match ClassName::from_json(label) {
            Some(class) => Ok((Label::Class(class), Vec::new())),
            None => Err(wrong("the name of one class: a text that is not blank, or a whole number", label)),
        },
        Labels::Classes => Ok((Label::Classes(classes(label)?), Vec::new())),
        Labels::Boxes => {
            let listed = single_box(raw);
            let (boxes, rejected) = objects(&listed)?;
            Ok((Label::Boxes(boxes), rejected))
        }
        Labels::Outlines => {
            let (outlines, rejected) = objects(label)?;
            Ok((Label::Outlines(outlines), rejected))
        }
    }
}

fn wrong(expected: &str, label: &Value) -> (RowErrorKind, String) {
    (RowErrorKind::LabelType, format!("label is {}; this task expects {expected}", shown(label)))
}

fn classes(label: &Value) -> Result<Vec<ClassName>, (RowErrorKind, String)> {
    let expected = "a list of class names, all texts or all whole numbers";
    let Value::Array(items) = label else { return Err(wrong(expected, label)) };
    let mut classes: Vec<ClassName> = Vec::with_capacity(items.len());
    for item in items {
        let class = ClassName::from_json(item).ok_or_else(|| wrong(expected, label))?;
        if classes.first().is_some_and(|first| !first.same_type(&class)) {
            return Err(wrong(expected, label));
        }
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    Ok(classes)
}

/// The label of a detection row in its list form, whichever form the row has.
fn single_box(raw: RawRow) -> Value {
    let label = raw.label.unwrap_or(Value::Null);
    let corners = [("topX", raw.top_x), ("topY", raw.top_y), ("bottomX", raw.bottom_x), ("bottomY", raw.bottom_y)];
    let scalar = ClassName::from_json(&label).is_some();
    if !scalar || corners.iter().any(|(_, value)| value.is_none()) {
        return label;
    }
    let mut object = Map::new();
    object.insert("label".to_owned(), label);
    for (name, value) in corners.into_iter().chain([("isCrowd", raw.is_crowd)]) {
        object.extend(value.map(|value| (name.to_owned(), value)));
    }
    Value::Array(vec![Value::Object(object)])
}

/// Judges each object of a list; the row fails only when it lists objects and none is usable.
fn objects<T: Object>(label: &Value) -> Result<(Vec<T>, Vec<ObjectError>), (RowErrorKind, String)> {
    let Value::Array(items) = label else { return Err(wrong("a list of objects", label)) };
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
                    return Err(wrong("class names that are all texts or all whole numbers", label));
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
        let message = format!("none of its {} objects is usable: {}", items.len(), reasons.join("; "));
        return Err((RowErrorKind::NoObject, message));
    }
    Ok((usable, rejected))
}

fn details(value: &Value) -> Option<ImageDetails> {
    let map = value.as_object()?;
    let pixels = |key: &str| match map.get(key)? {
        Value::Number(number) => u32::try_from(number.as_u64()?).ok(),
        Value::String(text) => text.trim().trim_end_matches("px").trim_end().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let format = map.get("format").and_then(Value::as_str).map(str::to_owned);
    Some(ImageDetails { format, width: pixels("width"), height: pixels("height") })
}
