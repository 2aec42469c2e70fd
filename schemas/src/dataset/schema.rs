//! JSON Schemas of rows: what a row looks like from which nothing is dropped.

use schemars::{Schema, json_schema};
use serde_json::{Value, json};

use super::object::REACH;
use crate::{Labels, Task};

/// JSON Schema of the rows of `task`. It does not say what a schema cannot: that a box has its corners in order, and that
/// all class names are of one type.
#[must_use]
pub fn row_schema(task: Task) -> Schema {
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Row of {task}"),
        "type": "object",
        "properties": {
            "image_url": {
                "description": "Where the image is: a path (relative to this file, or absolute), a URL, or a datastore reference.",
                "type": "string",
                "pattern": r"\S",
            },
            "imageUrl": { "description": "Older name of image_url.", "type": "string", "pattern": r"\S" },
            "image_details": { "description": "What the file is like. Informative only: format, width, height." },
            "label": label(task.labels()),
        },
        "required": ["label"],
        "oneOf": [{ "required": ["image_url"] }, { "required": ["imageUrl"] }],
    })
}

fn class() -> Value {
    json!({
        "description": "Name of a class.",
        "oneOf": [
            { "type": "string", "pattern": r"\S" },
            { "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX },
        ],
    })
}

fn fraction() -> Value {
    json!({
        "oneOf": [
            { "type": "number", "description": "In [0, 1]; beyond it is cut.", "minimum": REACH.start(), "maximum": REACH.end() },
            { "type": "string", "description": "The text of such a number." },
        ],
    })
}

fn outline() -> Value {
    json!({
        "description": "Segments [x1, y1, x2, y2, ...] of at least three points, as fractions of the image's size; \
                        a segment within another is a hole.",
        "type": "array",
        "minItems": 1,
        "items": { "type": "array", "minItems": 6, "items": fraction() },
    })
}

fn label(labels: Labels) -> Value {
    match labels {
        Labels::Class => class(),
        Labels::Classes => {
            json!({ "description": "Every class the image shows.", "type": "array", "items": class() })
        }
        Labels::Boxes => json!({
            "description": "The objects; empty for a background image.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "label": class(),
                    "topX": fraction(), "topY": fraction(), "bottomX": fraction(), "bottomY": fraction(),
                    "isCrowd": crowd(),
                    "polygon": outline(),
                },
                "required": ["label"],
                "anyOf": [{ "required": ["topX", "topY", "bottomX", "bottomY"] }, { "required": ["polygon"] }],
            },
        }),
        Labels::Outlines => json!({
            "description": "The objects; empty for a background image.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": { "label": class(), "isCrowd": crowd(), "polygon": outline() },
                "required": ["label", "polygon"],
            },
        }),
    }
}

fn crowd() -> Value {
    json!({ "description": "A group of objects: true, 1, \"true\", \"True\" or \"1\"; anything else is false." })
}
