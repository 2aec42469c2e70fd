//! One shape of a LabelMe file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use models::host::mask::{Fill, Mask};
use models::host::{Limits, values};
use serde_json::Value;

use super::super::coco::number;
use super::super::crowd::{CROWD, crowd};
use super::super::draft::DraftObject;
use super::super::geometry::bounds;
use super::super::masks::whole;
use super::super::shapes::{Shape, ellipse, rectangle};

/// Largest coordinate of a mask, in pixels.
const FARTHEST: f64 = 1e6;

/// Reads a shape.
///
/// # Errors
/// Why it is no object.
pub fn read(value: &Value, place: String) -> Result<Shape, String> {
    let label = match &value["label"] {
        Value::String(label) if !label.trim().is_empty() => label.trim().to_owned(),
        Value::Number(label) => label.to_string(),
        other => return Err(format!("its label is {other}, not a text")),
    };
    let kind = value["shape_type"].as_str().unwrap_or("polygon");
    let points: Vec<[f64; 2]> = match &value["points"] {
        Value::Array(points) => points.iter().map(point).collect::<Option<_>>(),
        _ => None,
    }
    .ok_or("its points are no list of two numbers each")?;
    let mut fill = Fill::Coco;
    let segments = match (kind, points.as_slice()) {
        ("polygon" | "oriented_rectangle", points) if points.len() >= 3 => vec![points.concat()],
        ("rectangle", [a, b]) => {
            vec![rectangle([a[0].min(b[0]), a[1].min(b[1]), a[0].max(b[0]), a[1].max(b[1])], 0.0)]
        }
        ("rectangle", points) if points.len() == 4 => vec![points.concat()],
        ("circle", [centre, edge]) => {
            let radius = (edge[0] - centre[0]).hypot(edge[1] - centre[1]);
            vec![ellipse(*centre, [radius, radius], 0.0)]
        }
        ("mask", [from, _]) => {
            fill = Fill::CocoEvenOdd;
            mask(value, *from)?
        }
        ("point" | "points" | "line" | "linestrip", _) => {
            return Err(format!("it is a {kind}, which encloses nothing"));
        }
        ("polygon" | "rectangle" | "circle" | "mask" | "oriented_rectangle", points) => {
            return Err(format!("it is a {kind} of {} points", points.len()));
        }
        (other, _) => {
            return Err(format!("it is a {other:?}; polygon, rectangle, circle and mask are read"));
        }
    };
    let [x1, y1, x2, y2] = bounds(&segments);
    if x1 >= x2 || y1 >= y2 {
        return Err(format!("its {kind} has no area"));
    }
    let crowds = CROWD.map(|key| crowd(key, &value["flags"][key]));
    let is_crowd = crowds.into_iter().try_fold(false, |any, one| Ok::<_, String>(any | one?))?;
    let group = number(&value["group_id"]).filter(|group| group.fract() == 0.0).map(|group| group as i64);
    Ok(Shape { object: DraftObject { place, label, corners: None, segments, fill, is_crowd }, group })
}

fn point(value: &Value) -> Option<[f64; 2]> {
    match value.as_array()?.as_slice() {
        [x, y] => Some([number(x)?, number(y)?]),
        _ => None,
    }
}

/// The outline of a mask whose upper left pixel is at `from`.
fn mask(value: &Value, from: [f64; 2]) -> Result<Vec<Vec<f64>>, String> {
    let text = value["mask"].as_str().ok_or("it is a mask without its pixels")?;
    let bytes = STANDARD.decode(text.trim()).map_err(|error| format!("its mask is no base64: {error}"))?;
    let values = values(&bytes, &Limits::default()).map_err(|error| format!("its mask: {error}"))?;
    let (rle, _) = whole(&values)?;
    let rle = rle.ok_or("its mask has no pixel")?;
    let from = from.map(f64::round);
    if from.iter().any(|at| at.abs() > FARTHEST) {
        return Err(format!("its mask begins at {} {}, outside of any image", from[0], from[1]));
    }
    let outline = Mask::from(&rle).outline().map(|[x, y]| [x + from[0], y + from[1]]);
    Ok(outline.rings.iter().map(|ring| ring.concat()).collect())
}
