//! One object of a detection or segmentation row.

use serde_json::{Map, Value};

use super::class_name::ClassName;
use super::row::{BoxLabel, Corners, OutlineLabel};
use super::shown::shown;
use crate::setting::number;

/// Smallest number of coordinates that the specification looks at; fewer are dropped without a look at their count.
const MIN_COORDINATES: usize = 5;

/// What a bad object means for its row.
#[derive(Debug)]
pub(super) enum ObjectFault {
    /// The object is left out.
    Dropped(String),
    /// The row is left out.
    Row(String),
}

/// Segments of an outline that were dropped: place in it, from 0, and why.
pub(super) type Dropped = Vec<(usize, String)>;

/// An object of either kind.
pub(super) trait Object: Sized {
    /// Judges one entry of a label. `dropped` takes the unusable segments of its outline.
    fn parse(value: &Value, dropped: &mut Dropped) -> Result<Self, ObjectFault>;

    /// Its class.
    fn class(&self) -> &ClassName;
}

impl Object for BoxLabel {
    /// A box is given by its corners, or by an outline, which then wins.
    fn parse(value: &Value, dropped: &mut Dropped) -> Result<Self, ObjectFault> {
        let map = object(value)?;
        let label = class(map)?;
        let (corners, cut) = match outline(map) {
            Some(polygon) => {
                let polygon = segments(polygon, dropped)?;
                (bounds(&polygon.0)?, polygon.1)
            }
            None => corners(map)?,
        };
        Ok(Self { label, corners, is_crowd: is_crowd(map), cut })
    }

    fn class(&self) -> &ClassName {
        &self.label
    }
}

impl Object for OutlineLabel {
    /// Corners beside the outline are ignored.
    fn parse(value: &Value, dropped: &mut Dropped) -> Result<Self, ObjectFault> {
        let map = object(value)?;
        let label = class(map)?;
        let polygon = outline(map).ok_or_else(|| ObjectFault::Dropped("there is no polygon".to_owned()))?;
        let (polygon, cut) = segments(polygon, dropped)?;
        Ok(Self { label, corners: bounds(&polygon)?, is_crowd: is_crowd(map), polygon, cut })
    }

    fn class(&self) -> &ClassName {
        &self.label
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, ObjectFault> {
    value.as_object().ok_or_else(|| ObjectFault::Dropped(format!("{} is not an object", shown(value))))
}

fn class(map: &Map<String, Value>) -> Result<ClassName, ObjectFault> {
    let label = map.get("label").unwrap_or(&Value::Null);
    ClassName::from_json(label).ok_or_else(|| {
        ObjectFault::Dropped(format!(
            "label is {}; it must be a text that is not empty, or a whole number",
            shown(label)
        ))
    })
}

/// The outline, unless it is spelled as absent: `null`, or the text "null" that some converters write.
fn outline(map: &Map<String, Value>) -> Option<&Value> {
    map.get("polygon").filter(|value| !value.is_null() && value.as_str() != Some("null"))
}

fn is_crowd(map: &Map<String, Value>) -> bool {
    match map.get("isCrowd") {
        Some(Value::Bool(crowd)) => *crowd,
        Some(Value::Number(number)) => number.as_f64() == Some(1.0),
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "True" | "1"),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

/// How far a coordinate may lie outside of `[0, 1]`; what lies further is no fraction of an image.
pub const REACH: std::ops::RangeInclusive<f64> = -1.0..=2.0;
/// Sticking out by less is rounding.
const ROUNDING: f64 = 1e-6;

/// A number, or the text of one, in `[0, 1]` or a little outside.
fn fraction(value: &Value) -> Option<f64> {
    number(value).filter(|fraction| REACH.contains(fraction))
}

/// Coordinates cut at the edges of the image, and whether that changed any by more than rounding.
fn within<const N: usize>(coordinates: [f64; N]) -> ([f64; N], bool) {
    let within = coordinates.map(|value| value.clamp(0.0, 1.0));
    (within, coordinates.iter().zip(within).any(|(before, after)| (before - after).abs() > ROUNDING))
}

/// The corners, cut at the edges of the image, and whether they were.
fn corners(map: &Map<String, Value>) -> Result<(Corners, bool), ObjectFault> {
    let read = |name: &str| {
        let value = map.get(name).ok_or_else(|| ObjectFault::Dropped(format!("{name} is missing")))?;
        let outside = || ObjectFault::Dropped(format!("{name} is {}; it must be a number in [0, 1]", shown(value)));
        fraction(value).ok_or_else(outside)
    };
    let corners =
        Corners { top_x: read("topX")?, top_y: read("topY")?, bottom_x: read("bottomX")?, bottom_y: read("bottomY")? };
    let Corners { top_x, top_y, bottom_x, bottom_y } = not_empty(corners)?;
    let ([x1, y1, x2, y2], cut) = within([top_x, top_y, bottom_x, bottom_y]);
    if x1 >= x2 || y1 >= y2 {
        let reason = format!("its box {top_x} {top_y} {bottom_x} {bottom_y} lies outside of the image");
        return Err(ObjectFault::Dropped(reason));
    }
    Ok((Corners { top_x: x1, top_y: y1, bottom_x: x2, bottom_y: y2 }, cut))
}

fn not_empty(corners: Corners) -> Result<Corners, ObjectFault> {
    let Corners { top_x, top_y, bottom_x, bottom_y } = corners;
    if top_x >= bottom_x {
        return Err(ObjectFault::Dropped(format!("topX {top_x} must be less than bottomX {bottom_x}")));
    }
    if top_y >= bottom_y {
        return Err(ObjectFault::Dropped(format!("topY {top_y} must be less than bottomY {bottom_y}")));
    }
    Ok(corners)
}

/// The usable segments of an outline, at least one, cut at the edges of the image, and whether they were.
fn segments(polygon: &Value, dropped: &mut Dropped) -> Result<(Vec<Vec<f64>>, bool), ObjectFault> {
    let list = polygon.as_array().ok_or_else(|| {
        ObjectFault::Dropped(format!("polygon is {}; it must be a list of lists of coordinates", shown(polygon)))
    })?;
    let mut usable = Vec::with_capacity(list.len());
    let mut any_cut = false;
    for (index, segment) in list.iter().enumerate() {
        match coordinates(segment)? {
            Ok((segment, cut)) => {
                any_cut |= cut;
                usable.push(segment);
            }
            Err(reason) => dropped.push((index, reason)),
        }
    }
    if usable.is_empty() {
        return Err(ObjectFault::Dropped("its polygon has no usable segment".to_owned()));
    }
    Ok((usable, any_cut))
}

/// The outer error condemns the row, the inner one the segment.
fn coordinates(segment: &Value) -> Result<Result<(Vec<f64>, bool), String>, ObjectFault> {
    let Some(list) = segment.as_array() else {
        return Ok(Err(format!("{} is not a list of coordinates", shown(segment))));
    };
    if list.len() < MIN_COORDINATES {
        return Ok(Err(format!("{} coordinates are no area; at least three points are needed", list.len())));
    }
    if list.len() % 2 == 1 {
        let reason = format!("a polygon segment has {} coordinates; x and y must come in pairs", list.len());
        return Err(ObjectFault::Row(reason));
    }
    let read = |value| fraction(value).ok_or_else(|| format!("{} is not a number in [0, 1]", shown(value)));
    let values: Vec<f64> = match list.iter().map(read).collect() {
        Ok(values) => values,
        Err(reason) => return Ok(Err(reason)),
    };
    let (inside, cut): (Vec<f64>, Vec<bool>) =
        values.iter().map(|value| within([*value])).map(|([v], cut)| (v, cut)).unzip();
    let is_cut = cut.contains(&true);
    if is_cut && bounds(std::slice::from_ref(&inside)).is_err() {
        return Ok(Err("it lies outside of the image".to_owned()));
    }
    Ok(Ok((inside, is_cut)))
}

fn bounds(polygon: &[Vec<f64>]) -> Result<Corners, ObjectFault> {
    let start = Corners { top_x: 1.0, top_y: 1.0, bottom_x: 0.0, bottom_y: 0.0 };
    let points = polygon.iter().flat_map(|segment| segment.chunks_exact(2));
    not_empty(points.fold(start, |around, point| Corners {
        top_x: around.top_x.min(point[0]),
        top_y: around.top_y.min(point[1]),
        bottom_x: around.bottom_x.max(point[0]),
        bottom_y: around.bottom_y.max(point[1]),
    }))
}
