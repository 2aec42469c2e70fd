//! Request options of detectors: thresholds and tiles that one request has in place of the model's own.

use std::fmt;

use schemars::{Schema, SchemaGenerator};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::setting::{Kind, SettingSpec, TileGrid};
use crate::{SettingError, Settings};

/// Longest text of an option's value, in characters.
pub const MAX_OPTION_LENGTH: usize = 32;
/// Texts that are read as numbers. Whether the number is in its range is not said by the pattern.
const NUMBER: &str = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$";

/// A number or a short text, as it was given.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Scalar(Value);

impl Scalar {
    /// A text, as in a query string; `None` when it has more than [`MAX_OPTION_LENGTH`] characters.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        text.chars().nth(MAX_OPTION_LENGTH).is_none().then(|| Self(text.into()))
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number, or a text of at most {MAX_OPTION_LENGTH} characters")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(number.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Scalar::from_text(text).ok_or_else(|| E::invalid_length(text.len(), &self))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    // Lists and objects are refused at their first character: nothing of them is kept.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// What a request says about detection, each part by its name; `None` leaves the model's own value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectionOptions {
    /// Only boxes with a score above it are answered.
    pub score_threshold: Option<Scalar>,
    /// Of two boxes of a class that overlap by more than this, the less certain one is not answered.
    pub iou_threshold: Option<Scalar>,
    /// Tiles that the image is also cut into.
    pub tile_grid_size: Option<Scalar>,
    /// Overlap of neighbouring tiles, as a share of their side.
    pub tile_overlap_ratio: Option<Scalar>,
    /// Boxes of a class from two tiles that overlap by more than this are one object.
    pub tile_predictions_nms_thresh: Option<Scalar>,
    /// A pixel is an object's if its probability is above it.
    pub mask_pixel_score_threshold: Option<Scalar>,
    /// Most points of the polygons of one object.
    pub max_number_of_polygon_points: Option<Scalar>,
}

/// What an option of detection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionOf {
    /// Which boxes are answered.
    Boxes,
    /// Tiles, which only a file of the form `prepared` leaves to the server.
    Tiles,
    /// Masks, which only models of segmentation have.
    Masks,
}

/// One of the [`DetectionOptions`].
#[derive(Debug)]
pub struct DetectionOption {
    /// Name in requests.
    pub name: &'static str,
    /// The setting that states its range and is the model's own value.
    pub setting: &'static str,
    /// What it is about.
    pub of: OptionOf,
    value: fn(&DetectionOptions) -> Option<&Scalar>,
    place: fn(&mut DetectionOptions) -> &mut Option<Scalar>,
}

/// Declares the option that the field of this name is.
macro_rules! option {
    ($name:ident, $setting:literal, $of:ident) => {
        DetectionOption {
            name: stringify!($name),
            setting: $setting,
            of: OptionOf::$of,
            value: |options| options.$name.as_ref(),
            place: |options| &mut options.$name,
        }
    };
}

/// Every option of detection.
pub static DETECTION_OPTIONS: [DetectionOption; 7] = [
    option!(score_threshold, "box_score_thresh", Boxes),
    option!(iou_threshold, "box_nms_thresh", Boxes),
    option!(tile_grid_size, "tile_grid_size", Tiles),
    option!(tile_overlap_ratio, "tile_overlap_ratio", Tiles),
    option!(tile_predictions_nms_thresh, "tile_predictions_nms_thresh", Tiles),
    option!(mask_pixel_score_threshold, "mask_pixel_score_threshold", Masks),
    option!(max_number_of_polygon_points, "max_number_of_polygon_points", Masks),
];

impl DetectionOptions {
    /// The options that are given.
    pub fn given(&self) -> impl Iterator<Item = &'static DetectionOption> {
        DETECTION_OPTIONS.iter().filter(|option| (option.value)(self).is_some())
    }

    /// Gives the option a value, and returns the one that it had.
    pub fn replace(&mut self, option: &DetectionOption, value: Scalar) -> Option<Scalar> {
        (option.place)(self).replace(value)
    }

    /// Both together.
    ///
    /// # Errors
    /// The option that is in both.
    pub fn join(mut self, other: &Self) -> Result<Self, &'static DetectionOption> {
        for option in other.given() {
            let value = (option.value)(other).cloned();
            if (option.value)(&self).is_some() {
                return Err(option);
            }
            *(option.place)(&mut self) = value;
        }
        Ok(self)
    }

    /// Sets what is given in a model's settings.
    ///
    /// # Errors
    /// A value that is none of the option, or outside its range.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), SettingError> {
        for option in self.given() {
            let (Some(Scalar(value)), Some(spec)) = ((option.value)(self), SettingSpec::find(option.setting)) else {
                continue;
            };
            settings.set(option.setting, &spec.kind.parse(option.name, value)?)?;
        }
        Ok(())
    }
}

/// Schema of an option's value in a request: a number may also come as text, and null is as good as absent.
fn value_schema(setting: &str) -> Schema {
    let null = json!({ "type": "null" });
    let text = |pattern: &str| json!({ "type": "string", "maxLength": MAX_OPTION_LENGTH, "pattern": pattern });
    let Some(spec) = SettingSpec::find(setting) else { return Schema::from(false) };
    let forms = match spec.kind {
        Kind::Float { .. } | Kind::Int { .. } => {
            let mut number = spec.value_schema();
            number.remove("description");
            vec![Value::Object(number), text(NUMBER), null]
        }
        Kind::Grid => vec![text(&TileGrid::pattern()), null],
        Kind::Bool | Kind::Choice(_) | Kind::Key => vec![Value::Object(spec.value_schema()), null],
    };
    schemars::json_schema!({ "anyOf": forms })
}

pub(super) fn score_threshold(_: &mut SchemaGenerator) -> Schema {
    value_schema("box_score_thresh")
}

pub(super) fn iou_threshold(_: &mut SchemaGenerator) -> Schema {
    value_schema("box_nms_thresh")
}

pub(super) fn tile_grid_size(_: &mut SchemaGenerator) -> Schema {
    value_schema("tile_grid_size")
}

pub(super) fn tile_overlap_ratio(_: &mut SchemaGenerator) -> Schema {
    value_schema("tile_overlap_ratio")
}

pub(super) fn tile_predictions_nms_thresh(_: &mut SchemaGenerator) -> Schema {
    value_schema("tile_predictions_nms_thresh")
}

pub(super) fn mask_pixel_score_threshold(_: &mut SchemaGenerator) -> Schema {
    value_schema("mask_pixel_score_threshold")
}

pub(super) fn max_number_of_polygon_points(_: &mut SchemaGenerator) -> Schema {
    value_schema("max_number_of_polygon_points")
}
