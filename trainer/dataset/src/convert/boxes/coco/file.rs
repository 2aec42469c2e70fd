//! The parts of a COCO file, each element judged by itself, so that a bad one does not end the file.

use std::fmt;
use std::marker::PhantomData;

use models::host::mask::Rle;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::crowd::crowd;
use super::super::draft::declared;
use super::super::geometry::{none_usable, segment_fault};
use super::json::{id, number, shown};
use super::rle;

/// An image as listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub id: String,
    pub name: String,
    /// Width and height in pixels, where they are numbers that can be so.
    pub declared: Option<[u32; 2]>,
}

/// An annotation as listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    pub id: Option<String>,
    pub image: String,
    pub category: String,
    /// `x1 y1 x2 y2` of its bbox, where it has one.
    pub corners: Option<[f64; 4]>,
    /// Its run lengths.
    pub mask: Option<Rle>,
    /// Why its run lengths, or its outline, are none, where its box is used in their place.
    pub fault: Option<String>,
    /// Its outline.
    pub rings: Rings,
    pub is_crowd: bool,
}

/// The segments of an outline as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rings {
    /// `x1 y1 x2 y2 ..` of each; nothing for one that is none, so that the others keep their places.
    pub segments: Vec<Vec<f64>>,
    /// Those that are no lists of numbers: place, from 0, and why.
    pub faults: Vec<(usize, String)>,
}

/// A category as listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    pub id: String,
    pub name: String,
}

/// The elements of a list, and why some are none; or what stands there instead of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Listed<T> {
    List(Vec<Result<T, Unusable>>),
    Other(Value),
}

/// An element that cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusable {
    /// Why.
    pub reason: String,
    /// The image that it belongs to, where it says so.
    pub image: Option<String>,
}

/// What the file is as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum Root {
    /// An object, as COCO files are.
    Object(Top),
    /// A list, with its first element.
    List(Value),
}

/// The keys of the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Top {
    pub images: Option<Listed<Image>>,
    pub annotations: Option<Listed<Annotation>>,
    pub categories: Option<Listed<Category>>,
    /// Names of the others, and of the first of them the value's own keys.
    pub others: Vec<String>,
}

/// An element of a list.
pub trait Judged: Sized {
    /// # Errors
    /// Why it cannot be used.
    fn judge(value: Value) -> Result<Self, String>;
}

impl Judged for Image {
    fn judge(value: Value) -> Result<Self, String> {
        let map = object(&value)?;
        let id = needed(map, "id")?;
        // Some tools write only one of the others.
        let names = ["file_name", "filename", "path", "coco_url"].map(|key| map.get(key).and_then(Value::as_str));
        let name = names.into_iter().flatten().find(|name| !name.trim().is_empty());
        let name =
            name.ok_or_else(|| format!("its file_name is {}, not a text", shown(&value["file_name"])))?.to_owned();
        Ok(Self { id, name, declared: declared(|key| number(map.get(key)?), ["width", "height"]) })
    }
}

impl Judged for Category {
    fn judge(value: Value) -> Result<Self, String> {
        let map = object(&value)?;
        let name = match map.get("name") {
            Some(Value::String(name)) => Some(name.clone()).filter(|name| !name.trim().is_empty()),
            Some(other) => id(other),
            None => None,
        };
        let id = needed(map, "id")?;
        Ok(Self { id, name: name.ok_or_else(|| format!("its name is {}, not a text", shown(&value["name"])))? })
    }
}

impl Judged for Annotation {
    fn judge(value: Value) -> Result<Self, String> {
        let map = object(&value)?;
        let (image, category) = (needed(map, "image_id")?, needed(map, "category_id")?);
        let is_crowd = crowd("iscrowd", map.get("iscrowd").unwrap_or(&Value::Null))?;
        let segmentation = unquoted(map.get("segmentation"));
        let mask = if segmentation.is_object() { rle::read(&segmentation) } else { Ok(None) };
        let (mask, fault) = mask.map_or_else(|fault| (None, Some(fault)), |mask| (mask, None));
        let bbox = bbox(&unquoted(map.get("bbox")));
        let empty = matches!(bbox, Ok(Some([x1, y1, x2, y2])) if x1 >= x2 || y1 >= y2);
        let rings = rings(&segmentation);
        let (rings, any_ring, fault) = match rings.usable() {
            Ok(any_ring) => (rings, any_ring, fault),
            Err(reason) if matches!(bbox, Ok(Some(_))) && !empty => (Rings::default(), false, Some(reason)),
            Err(reason) => return Err(reason),
        };
        let outlined = mask.is_some() || any_ring;
        let corners = match bbox {
            Ok(Some(_)) | Err(_) if outlined && (empty || bbox.is_err()) => None,
            Ok(corners) => corners,
            Err(reason) => return Err(reason),
        };
        match fault {
            Some(fault) if corners.is_none() => return Err(fault),
            Some(_) | None => {}
        }
        Ok(Self { id: map.get("id").and_then(id), image, category, corners, mask, fault, rings, is_crowd })
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("it is {}, not an object", shown(value)))
}

fn needed(map: &Map<String, Value>, key: &str) -> Result<String, String> {
    let value = map.get(key).unwrap_or(&Value::Null);
    id(value).ok_or_else(|| format!("its {key} is {}, not a number or text", shown(value)))
}

/// Tables are sometimes the way there, in which lists are texts.
fn unquoted(value: Option<&Value>) -> Value {
    match value {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

/// The corners of `x y width height`; nothing where there is none.
fn bbox(value: &Value) -> Result<Option<[f64; 4]>, String> {
    let list = match value {
        Value::Null => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Array(list) => list.as_slice(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => &[],
    };
    let numbers: Vec<f64> = list.iter().filter_map(number).collect();
    match *numbers {
        [x, y, width, height] if list.len() == 4 => Ok(Some([x, y, x + width, y + height])),
        _ => Err(format!("its bbox {} is not four numbers: x, y, width and height", shown(value))),
    }
}

impl Rings {
    /// Whether any of them can be used, where there are some.
    ///
    /// # Errors
    /// Why none can.
    fn usable(&self) -> Result<bool, String> {
        let mut faults = self.faults.clone();
        for (place, segment) in self.segments.iter().enumerate().filter(|(_, segment)| !segment.is_empty()) {
            match segment_fault(segment) {
                Some(fault) => faults.push((place, fault)),
                None => return Ok(true),
            }
        }
        faults.sort_by_key(|(place, _)| *place);
        none_usable(&faults).map_or(Ok(false), Err)
    }
}

/// Outlines as lists of coordinates, of points, or one list alone; masks and what stands for nothing have none.
fn rings(value: &Value) -> Rings {
    let list = match value {
        Value::Null | Value::Object(_) => return Rings::default(),
        Value::String(text) if text.trim().is_empty() => return Rings::default(),
        Value::Array(list) => list.as_slice(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let reason = format!("its segmentation is {}, neither polygons nor run lengths", shown(value));
            return Rings { segments: vec![Vec::new()], faults: vec![(0, reason)] };
        }
    };
    let alone = !list.is_empty() && (!list.iter().any(Value::is_array) || are_points(list));
    let mut rings = Rings::default();
    for (place, one) in if alone { std::slice::from_ref(value) } else { list }.iter().enumerate() {
        let segment = segment(one).unwrap_or_else(|reason| {
            rings.faults.push((place, reason));
            Vec::new()
        });
        rings.segments.push(segment);
    }
    rings
}

/// Whether a list is one of points, not of segments, which have more coordinates.
fn are_points(list: &[Value]) -> bool {
    list.len() >= 3 && list.iter().all(|point| point.as_array().is_some_and(|point| point.len() == 2))
}

/// The coordinates of a segment, which may be grouped into points.
fn segment(value: &Value) -> Result<Vec<f64>, String> {
    let list = value.as_array().ok_or_else(|| format!("it is {}, not a list of coordinates", shown(value)))?;
    let coordinates: Vec<&Value> = match are_points(list) {
        true => list.iter().filter_map(Value::as_array).flatten().collect(),
        false => list.iter().collect(),
    };
    let read = |value| number(value).ok_or_else(|| format!("it holds {}, which is no number", shown(value)));
    coordinates.into_iter().map(read).collect()
}

impl<'de, T: Judged> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);
        impl<'de, T: Judged> Visitor<'de> for Elements<T> {
            type Value = Listed<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                let judge = |value: Value| {
                    let image = value.get("image_id").and_then(id);
                    T::judge(value).map_err(|reason| Unusable { reason, image })
                };
                while let Some(value) = list.next_element::<Value>()? {
                    match value {
                        // Lists that were appended, not joined.
                        Value::Array(inner) => elements.extend(inner.into_iter().map(judge)),
                        other => elements.push(judge(other)),
                    }
                }
                Ok(Listed::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Map::new();
                while let Some((key, value)) = map.next_entry()? {
                    found.insert(key, value);
                }
                Ok(Listed::Other(Value::Object(found)))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Listed::Other(Value::Null))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Listed::Other(text.into()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Listed::Other(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Listed::Other(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Listed::Other(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Listed::Other(value.into()))
            }
        }
        deserializer.deserialize_any(Elements(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Root;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with images and annotations")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Root, A::Error> {
                let first = list.next_element::<Value>()?.unwrap_or_default();
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Root::List(first))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Root, A::Error> {
                let mut top = Top::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "images" => top.images = Some(map.next_value()?),
                        "annotations" => top.annotations = Some(map.next_value()?),
                        "categories" => top.categories = Some(map.next_value()?),
                        _ if top.others.is_empty() => {
                            let value: Value = map.next_value()?;
                            top.others.push(key);
                            top.others.extend(value.as_object().into_iter().flat_map(Map::keys).cloned());
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            top.others.push(key);
                        }
                    }
                }
                Ok(Root::Object(top))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn boxes_come_from_what_there_is() {
        let judge = |extra: Value| {
            let mut value = json!({"image_id": "1", "category_id": 2.0});
            value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            Annotation::judge(value)
        };
        let mask = json!({"size": [5, 4], "counts": [6, 3, 2, 3, 6]});
        let outline = json!([[0, 0, 4, 0, 4, 5]]);
        for (extra, corners, segments) in [
            (json!({"bbox": ["1", 2.0, 3, "4"]}), Some([1.0, 2.0, 4.0, 6.0]), 0),
            (json!({"bbox": "[1, 2, 3, 4]"}), Some([1.0, 2.0, 4.0, 6.0]), 0),
            (json!({"bbox": null, "segmentation": mask}), Some([1.0, 1.0, 3.0, 4.0]), 0),
            (json!({"bbox": [1], "segmentation": mask}), Some([1.0, 1.0, 3.0, 4.0]), 0),
            (json!({"bbox": null, "segmentation": outline}), None, 1),
            (json!({"bbox": [], "segmentation": [0, 0, 4, 0, 4, 5]}), None, 1),
            (json!({"bbox": [0, 0, 0, 0], "segmentation": [[0, 0], [4, 0], [4, 5]]}), None, 1),
            (json!({"bbox": [1, null, 2, 3], "segmentation": [[[0, 0], [4, 0], [4, 5]]]}), None, 1),
            (json!({"bbox": [0, 0, 0, 0], "segmentation": []}), Some([0.0; 4]), 0),
        ] {
            let found = judge(extra.clone()).unwrap();
            let around = found.mask.as_ref().and_then(Rle::bounds);
            let around = around.map(|b| [b.x0, b.y0, b.x1, b.y1].map(f64::from));
            assert_eq!((found.corners.or(around), found.rings.segments.len()), (corners, segments), "{extra}");
            assert_eq!((found.image.as_str(), found.category.as_str()), ("1", "2"));
        }
        for (extra, part) in [
            (json!({"bbox": [1, 2, 3]}), "four numbers"),
            (json!({"bbox": [1, 2, 3, null]}), "four numbers"),
            (json!({"bbox": {"x": 1}}), "four numbers"),
            (json!({"image_id": null}), "image_id is null"),
            (json!({"segmentation": {"size": [5, 4], "counts": [20]}}), "empty"),
        ] {
            let reason = judge(extra).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }
}
