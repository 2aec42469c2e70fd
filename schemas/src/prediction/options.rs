//! What a request, or the operator of a server, says in place of a model's own settings: thresholds and tiles of a detector, sizes of a
//! classifier's images.

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

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => f.write_str(text),
            other => write!(f, "{other}"),
        }
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

/// What is said in place of a model's own settings, each part by its name; `None` leaves the model's own value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelOptions {
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
    /// Length that the shorter side of an image gets before it is cut, in pixels.
    pub valid_resize_size: Option<Scalar>,
    /// Side of the square that is cut from the middle, in pixels.
    pub valid_crop_size: Option<Scalar>,
    /// How many labels are answered, the most probable first.
    pub top_k: Option<Scalar>,
}

/// What an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionOf {
    /// Which boxes are answered.
    Boxes,
    /// Tiles, which only a file of the form `prepared` leaves to the server.
    Tiles,
    /// Masks, which only models of segmentation have.
    Masks,
    /// Sizes of a classifier's images, which only a file of the form `prepared` leaves to the server.
    Sizes,
    /// Labels of a classifier.
    Labels,
}

/// One of the [`ModelOptions`].
#[derive(Debug)]
pub struct ModelOption {
    /// Name in requests.
    pub name: &'static str,
    /// What its values are.
    values: Values,
    /// What it is about.
    pub of: OptionOf,
    value: fn(&ModelOptions) -> Option<&Scalar>,
    place: fn(&mut ModelOptions) -> &mut Option<Scalar>,
}

/// What the values of an option are.
#[derive(Debug)]
enum Values {
    /// Those of this setting, whose place in a model's settings they take.
    Setting(&'static str),
    /// Its own.
    Own(Kind),
}

impl Values {
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Setting(name) => SettingSpec::find(name).map(|spec| spec.kind),
            Self::Own(kind) => Some(*kind),
        }
    }
}

/// Declares the option that the field of this name is.
macro_rules! option {
    ($name:ident, $setting:literal, $of:ident) => {
        option!($name, Values::Setting($setting), $of)
    };
    ($name:ident, $values:expr, $of:ident) => {
        ModelOption {
            name: stringify!($name),
            values: $values,
            of: OptionOf::$of,
            value: |options| options.$name.as_ref(),
            place: |options| &mut options.$name,
        }
    };
}

/// Most labels that can be asked for; there are never as many.
const MOST_LABELS: u32 = 1_000_000;

/// Every option.
pub static MODEL_OPTIONS: [ModelOption; 10] = [
    option!(score_threshold, "box_score_thresh", Boxes),
    option!(iou_threshold, "box_nms_thresh", Boxes),
    option!(tile_grid_size, "tile_grid_size", Tiles),
    option!(tile_overlap_ratio, "tile_overlap_ratio", Tiles),
    option!(tile_predictions_nms_thresh, "tile_predictions_nms_thresh", Tiles),
    option!(mask_pixel_score_threshold, "mask_pixel_score_threshold", Masks),
    option!(max_number_of_polygon_points, "max_number_of_polygon_points", Masks),
    option!(valid_resize_size, "valid_resize_size", Sizes),
    option!(valid_crop_size, "valid_crop_size", Sizes),
    option!(top_k, Values::Own(Kind::Int { min: 1, max: MOST_LABELS }), Labels),
];

impl ModelOptions {
    /// The options that are given, with their values.
    pub fn values(&self) -> impl Iterator<Item = (&'static ModelOption, &Scalar)> {
        MODEL_OPTIONS.iter().filter_map(|option| Some((option, (option.value)(self)?)))
    }

    /// The options that are given.
    pub fn given(&self) -> impl Iterator<Item = &'static ModelOption> {
        MODEL_OPTIONS.iter().filter(|option| (option.value)(self).is_some())
    }

    /// Gives the option a value, and returns the one that it had.
    pub fn replace(&mut self, option: &ModelOption, value: Scalar) -> Option<Scalar> {
        (option.place)(self).replace(value)
    }

    /// Both together.
    ///
    /// # Errors
    /// The option that is in both.
    pub fn join(mut self, other: &Self) -> Result<Self, &'static ModelOption> {
        for option in other.given() {
            let value = (option.value)(other).cloned();
            if (option.value)(&self).is_some() {
                return Err(option);
            }
            *(option.place)(&mut self) = value;
        }
        Ok(self)
    }

    /// What is given here, and what `other` gives of the rest.
    #[must_use]
    pub fn over(mut self, other: &Self) -> Self {
        for option in &MODEL_OPTIONS {
            if (option.value)(&self).is_none() {
                *(option.place)(&mut self) = (option.value)(other).cloned();
            }
        }
        self
    }

    /// What is given of the options of a kind that `keep` says.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(OptionOf) -> bool) -> Self {
        for option in MODEL_OPTIONS.iter().filter(|option| !keep(option.of)) {
            *(option.place)(&mut self) = None;
        }
        self
    }

    /// Sets what is given in a model's settings.
    ///
    /// # Errors
    /// A value that is none of the option, or outside its range.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), SettingError> {
        for option in self.given() {
            let (Some(value), Values::Setting(setting)) = (option.read(self)?, &option.values) else { continue };
            settings.set(setting, &value)?;
        }
        Ok(())
    }

    /// How many labels are asked for, at least 1.
    ///
    /// # Errors
    /// A value that is no such number.
    pub fn most_labels(&self) -> Result<Option<usize>, SettingError> {
        let option = MODEL_OPTIONS.iter().find(|option| option.of == OptionOf::Labels);
        let value = option.map(|option| option.read(self)).transpose()?.flatten();
        Ok(value.and_then(|value| value.as_u64()).map(|k| usize::try_from(k).unwrap_or(usize::MAX)))
    }
}

impl ModelOption {
    /// Its value, if it is given one.
    fn read(&self, options: &ModelOptions) -> Result<Option<Value>, SettingError> {
        let (Some(Scalar(value)), Some(kind)) = ((self.value)(options), self.values.kind()) else { return Ok(None) };
        kind.parse(self.name, value).map(Some)
    }

    /// Schema of its value in a request: a number may also come as text, and null is as good as absent.
    fn schema(&self) -> Schema {
        let null = json!({ "type": "null" });
        let text = |pattern: &str| json!({ "type": "string", "maxLength": MAX_OPTION_LENGTH, "pattern": pattern });
        let Some(kind) = self.values.kind() else { return Schema::from(false) };
        let forms = match kind {
            Kind::Float { .. } | Kind::Int { .. } => vec![Value::Object(kind.schema()), text(NUMBER), null],
            Kind::Grid => vec![text(&TileGrid::pattern()), null],
            Kind::Bool | Kind::Choice(_) | Kind::Key => vec![Value::Object(kind.schema()), null],
        };
        schemars::json_schema!({ "anyOf": forms })
    }
}

/// Schema of the option of this name.
fn schema(name: &str) -> Schema {
    MODEL_OPTIONS.iter().find(|option| option.name == name).map_or(Schema::from(false), ModelOption::schema)
}

/// For `schema_with`, a function for each option.
macro_rules! schemas {
    ($($name:ident),*) => {
        $(pub(super) fn $name(_: &mut SchemaGenerator) -> Schema {
            schema(stringify!($name))
        })*
    };
}

schemas!(
    score_threshold,
    iou_threshold,
    tile_grid_size,
    tile_overlap_ratio,
    tile_predictions_nms_thresh,
    mask_pixel_score_threshold,
    max_number_of_polygon_points,
    valid_resize_size,
    valid_crop_size,
    top_k
);
