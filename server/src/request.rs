//! What a request may say about detection: thresholds and tiles in place of the model's own.

use std::fmt;

use runtime::{Form, Overrides};
use schemas::{
    Settings,
    setting::{SettingSpec, TileGrid},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use serde_json::Value;

use crate::{backend::Description, error::ServerError};

/// Each name that a request may use, and the setting that states its range and, unless the request says otherwise, its value.
pub(crate) const WISHES: [(&str, &str); 5] = [
    ("score_threshold", "box_score_thresh"),
    ("iou_threshold", "box_nms_thresh"),
    ("tile_grid_size", "tile_grid_size"),
    ("tile_overlap_ratio", "tile_overlap_ratio"),
    ("tile_predictions_nms_thresh", "tile_predictions_nms_thresh"),
];
/// The first of [`WISHES`] that are thresholds of the network itself; the others are about tiles.
const THRESHOLDS: usize = 2;
/// Longest text of a value; what is longer is none of them.
const LONGEST: usize = 32;
/// Most boxes that the parts of one picture may answer with: uniting them takes time that grows with the square.
const MOST_BOXES: u32 = 32_768;

/// How a picture is cut, and what was found in its tiles united.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tiling {
    /// Columns and rows; [`TileGrid::NONE`] cuts nothing.
    pub grid: TileGrid,
    /// Overlap of neighbours as a share of their side, in `[0, 1)`.
    pub overlap: f64,
    /// Intersection over union above which boxes of two parts are one object.
    pub threshold: f32,
    /// Most boxes in the answer about one picture.
    pub limit: u32,
}

impl From<&Settings> for Tiling {
    #[expect(clippy::cast_possible_truncation, reason = "thresholds are compared in single precision")]
    fn from(settings: &Settings) -> Self {
        Self {
            grid: settings.tile_grid_size,
            overlap: settings.tile_overlap_ratio,
            threshold: settings.tile_predictions_nms_thresh as f32,
            limit: settings.box_detections_per_img,
        }
    }
}

/// What one request is answered with: its wishes, and the model's settings for the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    pub thresholds: Overrides,
    /// Of a `whole` file its own, which the server only counts.
    pub tiling: Tiling,
}

/// A number or a short text as it was given.
pub(crate) struct Scalar(Value);

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a short text")
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
        if text.len() > LONGEST {
            return Err(E::invalid_length(text.len(), &self));
        }
        Ok(Scalar(text.into()))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    // Lists and objects are refused at their first character: nothing of them is kept.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// The wishes of a request, in the order of [`WISHES`].
#[derive(Debug, Default)]
pub(crate) struct Given([Option<Value>; WISHES.len()]);

fn bad<T>(text: String) -> Result<T, ServerError> {
    Err(ServerError::Request(text))
}

impl Given {
    pub(crate) fn new(values: [Option<Scalar>; WISHES.len()]) -> Self {
        Self(values.map(|value| value.map(|Scalar(value)| value)))
    }

    /// Adds one from a query string. False when there is no wish of that name.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> Result<bool, ServerError> {
        let Some(at) = WISHES.iter().position(|(known, _)| *known == name) else {
            return Ok(false);
        };
        if text.len() > LONGEST {
            return bad(format!("{name} has more than {LONGEST} bytes"));
        }
        match self.0[at].replace(text.into()) {
            Some(_) => bad(format!("{name} is given twice")),
            None => Ok(true),
        }
    }

    /// Both together; none may be in both.
    pub(crate) fn join(mut self, other: Self) -> Result<Self, ServerError> {
        for (((name, _), mine), theirs) in WISHES.iter().zip(&mut self.0).zip(other.0) {
            match (&mine, theirs) {
                (Some(_), Some(_)) => return bad(format!("{name} is in the query string and in the body; send one")),
                (None, Some(theirs)) => *mine = Some(theirs),
                (_, None) => {}
            }
        }
        Ok(self)
    }

    /// Whether the request says anything about tiles.
    pub(crate) fn tiles(&self) -> Option<&'static str> {
        WISHES.iter().zip(&self.0).skip(THRESHOLDS).find_map(|((name, _), value)| value.as_ref().map(|_| *name))
    }

    /// What this model answers the request with.
    ///
    /// # Errors
    /// [`ServerError::Request`]: a value outside its range, or a wish that the model cannot fulfil.
    pub(crate) fn plan(self, about: &Description) -> Result<Plan, ServerError> {
        let named = WISHES.iter().zip(&self.0).find_map(|((name, _), value)| value.as_ref().map(|_| *name));
        let classifies = about.meta.task.is_classification();
        if let Some(name) = named.filter(|_| classifies) {
            return bad(format!(
                "{name} is for models that detect objects; the task of this one is {}",
                about.meta.task
            ));
        }
        if let Some(name) = self.tiles().filter(|_| about.form == Form::Whole) {
            let text = "this model's file is of the form 'whole', which cuts its own tiles as it was exported with; \
                        export it with the form 'prepared' to choose tiles for each request";
            return bad(format!("{name} cannot be given: {text}"));
        }
        let mut settings = about.settings.clone();
        for ((name, setting), value) in WISHES.iter().zip(&self.0) {
            let (Some(value), Some(spec)) = (value, SettingSpec::find(setting)) else { continue };
            let value = spec.kind.parse(name, value).map_err(|e| ServerError::Request(e.to_string()))?;
            settings.set(setting, &value).map_err(|e| ServerError::Request(e.to_string()))?;
        }
        let [score, iou, grid, ..] = self.0.map(|value| value.is_some());
        let tiling = Tiling::from(&settings);
        let most = (MOST_BOXES / tiling.limit.max(1)).saturating_sub(1);
        if grid && !tiling.grid.is_none() && tiling.grid.count() > most {
            return bad(format!(
                "tile_grid_size is {}, which are {} tiles; this model, with up to {} boxes in each, takes {most}",
                tiling.grid,
                tiling.grid.count(),
                tiling.limit
            ));
        }
        #[expect(clippy::cast_possible_truncation, reason = "scores are single precision")]
        let thresholds = Overrides {
            score_threshold: score.then_some(settings.box_score_thresh as f32),
            iou_threshold: iou.then_some(settings.box_nms_thresh as f32),
        };
        Ok(Plan { thresholds, tiling })
    }
}
