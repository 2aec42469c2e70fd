//! The specification's scoring JSON.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::drawing::Drawing;
use super::explain::XaiParameters;
use super::limits::MAX_IMAGES;
use super::masks::{MaskForm, MaskPng, MaskRle};
use super::object;
use super::options::{self, ModelOptions, Scalar};
use super::tensor::at_most;
use crate::dataset::Corners;

/// Body of a scoring request: `input_data`, a table of images, which is answered with a list; or `image`, one image, which is
/// answered with an object. Keys that are not listed are ignored.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true, "oneOf" = table_or_image()))]
pub struct ScoreRequest<'a> {
    /// Any number of images.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub input_data: Option<InputData<'a>>,
    /// One image.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub image: Option<ScoreCell<'a>>,
    /// Every answer is to be explained. For classifiers.
    #[serde(default, deserialize_with = "object::truth")]
    #[schemars(schema_with = "object::truth_schema")]
    pub model_explainability: bool,
    /// How.
    #[serde(default, deserialize_with = "object::object")]
    pub xai_parameters: XaiParameters,
    /// Detectors: only boxes with a score above it are answered. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::score_threshold")]
    pub score_threshold: Option<Scalar>,
    /// Detectors: of two boxes of a class that overlap by more than this (intersection over union), the less certain one is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::iou_threshold")]
    pub iou_threshold: Option<Scalar>,
    /// Prepared detectors: tiles that the image is also cut into, COLUMNSxROWS, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_grid_size")]
    pub tile_grid_size: Option<Scalar>,
    /// Prepared detectors: overlap of neighbouring tiles, as a share of their side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_overlap_ratio")]
    pub tile_overlap_ratio: Option<Scalar>,
    /// Prepared detectors: boxes of a class from two tiles that overlap by more than this are one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_predictions_nms_thresh")]
    pub tile_predictions_nms_thresh: Option<Scalar>,
    /// Segmentation: how the mask of each object is answered; a polygon when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<MaskForm>,
    /// Segmentation: a pixel is an object's if its probability is above it. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::mask_pixel_score_threshold")]
    pub mask_pixel_score_threshold: Option<Scalar>,
    /// Segmentation: most points of the polygons of one object. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::max_number_of_polygon_points")]
    pub max_number_of_polygon_points: Option<Scalar>,
    /// Prepared classifiers: length that the shorter side of an image gets before it is cut, in pixels. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::valid_resize_size")]
    pub valid_resize_size: Option<Scalar>,
    /// Prepared classifiers that take images of any size: side of the square that is cut from the middle, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::valid_crop_size")]
    pub valid_crop_size: Option<Scalar>,
    /// Classifiers: only so many labels are answered, the most probable first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::top_k")]
    pub top_k: Option<Scalar>,
    /// The answer is the one image with what was found in it drawn on it, in this form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawing>,
}

/// Schema of a request that has either a table or an image. Null is as good as absent.
fn table_or_image() -> Value {
    let absent = json!({ "type": "null" });
    json!([
        { "required": ["input_data"], "properties": { "input_data": { "type": "object" }, "image": absent } },
        { "required": ["image"], "properties": { "image": { "type": ["string", "array"] }, "input_data": absent } },
    ])
}

/// What the query string of a scoring request may hold. These names are Fovea's own, so others are errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreQuery {
    /// Name of the model; the first one when absent.
    pub model: Option<String>,
    /// Version of the model; when absent, the highest one, or the one that it is the turn of where several share the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Repeated in the answer.
    #[schemars(length(max = 255))]
    pub filename: Option<String>,
    /// Detectors: only boxes with a score above it are answered. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::score_threshold")]
    pub score_threshold: Option<Scalar>,
    /// Detectors: of two boxes of a class that overlap by more than this (intersection over union), the less certain one is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::iou_threshold")]
    pub iou_threshold: Option<Scalar>,
    /// Prepared detectors: tiles that the image is also cut into, COLUMNSxROWS, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_grid_size")]
    pub tile_grid_size: Option<Scalar>,
    /// Prepared detectors: overlap of neighbouring tiles, as a share of their side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_overlap_ratio")]
    pub tile_overlap_ratio: Option<Scalar>,
    /// Prepared detectors: boxes of a class from two tiles that overlap by more than this are one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_predictions_nms_thresh")]
    pub tile_predictions_nms_thresh: Option<Scalar>,
    /// Segmentation: how the mask of each object is answered; a polygon when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<MaskForm>,
    /// Segmentation: a pixel is an object's if its probability is above it. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::mask_pixel_score_threshold")]
    pub mask_pixel_score_threshold: Option<Scalar>,
    /// Segmentation: most points of the polygons of one object. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::max_number_of_polygon_points")]
    pub max_number_of_polygon_points: Option<Scalar>,
    /// Prepared classifiers: length that the shorter side of an image gets before it is cut, in pixels. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::valid_resize_size")]
    pub valid_resize_size: Option<Scalar>,
    /// Prepared classifiers that take images of any size: side of the square that is cut from the middle, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::valid_crop_size")]
    pub valid_crop_size: Option<Scalar>,
    /// Classifiers: only so many labels are answered, the most probable first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::top_k")]
    pub top_k: Option<Scalar>,
    /// The answer is the one image with what was found in it drawn on it, in this form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawing>,
}

/// Longest `filename` of a query string, in bytes.
pub const MAX_FILENAME: usize = 255;

/// A table with one column, `image`, and a row per image. Keys that are not listed, such as the row labels (`index`) that some
/// clients send, are ignored.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct InputData<'a> {
    /// Names of the columns: exactly `["image"]`.
    #[serde(deserialize_with = "one_column")]
    #[schemars(length(min = 1, max = 1), inner(regex(pattern = "^image$")))]
    pub columns: Vec<String>,
    /// The images.
    #[serde(borrow, deserialize_with = "at_most::<_, _, MAX_IMAGES>")]
    #[schemars(length(max = 1024))]
    pub data: Vec<ScoreCell<'a>>,
}

/// One cell: base64 of an image file, or the text of an [`ImageRequest`] in JSON. A cell may stand in a list of its own.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ScoreCell<'a>(pub Cow<'a, str>);

/// An image with options of its own: what the text of a cell may hold. `image` stands for `image_base64`, too. Keys that are not
/// listed are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true), transform = either_name)]
pub struct ImageRequest<'a> {
    /// Base64 of an image file.
    #[serde(borrow, alias = "image")]
    pub image_base64: Cow<'a, str>,
    /// The answer is to be explained.
    #[serde(default, deserialize_with = "object::truth")]
    #[schemars(schema_with = "object::truth_schema")]
    pub model_explainability: bool,
    /// How.
    #[serde(default, deserialize_with = "object::object")]
    pub xai_parameters: XaiParameters,
}

/// Adds the other name of `image_base64` to the schema; one of the two must be there.
fn either_name(schema: &mut Schema) {
    schema.remove("required");
    if let Some(Value::Object(properties)) = schema.get_mut("properties")
        && let Some(image) = properties.get("image_base64").cloned()
    {
        properties.insert("image".to_owned(), image);
    }
    schema.insert("oneOf".to_owned(), json!([{ "required": ["image_base64"] }, { "required": ["image"] }]));
}

impl<'a> ScoreRequest<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it is not JSON, or not of this shape.
    pub fn from_json(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        // Some clients put the mark of UTF-8 in front.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        serde_json::from_slice(body).map(|object::Object(request)| request)
    }

    /// Takes out what it says in place of the model's settings.
    #[must_use]
    pub fn take_options(&mut self) -> ModelOptions {
        ModelOptions {
            score_threshold: self.score_threshold.take(),
            iou_threshold: self.iou_threshold.take(),
            tile_grid_size: self.tile_grid_size.take(),
            tile_overlap_ratio: self.tile_overlap_ratio.take(),
            tile_predictions_nms_thresh: self.tile_predictions_nms_thresh.take(),
            mask_pixel_score_threshold: self.mask_pixel_score_threshold.take(),
            max_number_of_polygon_points: self.max_number_of_polygon_points.take(),
            valid_resize_size: self.valid_resize_size.take(),
            valid_crop_size: self.valid_crop_size.take(),
            top_k: self.top_k.take(),
        }
    }
}

impl ScoreCell<'_> {
    /// What the cell asks for. The base64 itself is not checked; it may contain line breaks.
    ///
    /// # Errors
    /// When the cell is the text of JSON that is not an [`ImageRequest`].
    pub fn parse(&self) -> Result<ImageRequest<'_>, serde_json::Error> {
        if self.0.trim_start().starts_with('{') {
            return serde_json::from_str(&self.0);
        }
        let image_base64 = Cow::Borrowed(self.0.as_ref());
        Ok(ImageRequest { image_base64, model_explainability: false, xai_parameters: XaiParameters::default() })
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = ScoreCell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the base64 text of an image, or the text of a JSON object with image_base64")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(ScoreCell(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(ScoreCell(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(ScoreCell(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let InnerCell(cell) = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        match seq.next_element::<serde::de::IgnoredAny>()? {
            Some(_) => Err(A::Error::custom("a row of the table has more than its one column")),
            None => Ok(ScoreCell(cell)),
        }
    }
}

/// The one cell of a row that is written as a list.
#[derive(Deserialize)]
struct InnerCell<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for ScoreCell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

impl JsonSchema for ScoreCell<'_> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ScoreCell")
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Base64 of an image file, or, with a brace first, the text of a JSON object with image_base64 \
                            (score.image.json); may stand in a list of its own.",
            "oneOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 1 },
            ],
        })
    }
}

fn one_column<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let columns: [String; 1] =
        Deserialize::deserialize(deserializer).map_err(|_| D::Error::custom("columns must be exactly [\"image\"]"))?;
    if columns[0] != "image" {
        return Err(D::Error::custom("columns must be exactly [\"image\"]"));
    }
    Ok(columns.into())
}

/// Explaining drawings, base64 of PNG files: the network's input, the map, and both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Visualizations {
    /// Of the one answer.
    One(String),
    /// Of each label that was explained, in a multi-label model.
    PerLabel(Vec<String>),
}

/// Explaining arrays, `[3, crop, crop]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Attributions {
    /// Of the one answer.
    One(Vec<Vec<Vec<f32>>>),
    /// Of each label that was explained, in a multi-label model.
    PerLabel(Vec<Vec<Vec<Vec<f32>>>>),
}

/// The answer about one image of a classification or multi-label model. A response is a list of them, in the order of the
/// request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassificationAnswer<'a> {
    /// Name of the file, where there is one.
    pub filename: Option<String>,
    /// Probability of each class, in the order of `labels`. Those of all classes sum to 1 unless the model is multi-label.
    pub probs: Cow<'a, [f32]>,
    /// Every class, in the order of the model's outputs; where `top_k` asked for some, those, the most probable first.
    pub labels: Cow<'a, [String]>,
    /// Explaining drawings, when asked for.
    pub visualizations: Option<Visualizations>,
    /// Explaining arrays, when asked for.
    pub attributions: Option<Attributions>,
}

/// A detected object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoredBox {
    /// Where, as fractions of the image's size.
    #[serde(rename = "box")]
    pub corners: Corners,
    /// Class.
    pub label: String,
    /// Confidence in `[0, 1]`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f32,
    /// Outline `[x1, y1, x2, y2, ..]` per contour, as fractions of the image's size; segmentation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polygon: Option<Vec<Vec<f32>>>,
    /// The pixels as COCO's run lengths; segmentation with `masks=rle` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rle: Option<MaskRle>,
    /// The pixels as an image; segmentation with `masks=png` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub png: Option<MaskPng>,
}

/// The answer about one image of a detection or segmentation model, best score first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetectionAnswer {
    /// Name of the file, where there is one.
    pub filename: Option<String>,
    /// The objects.
    pub boxes: Vec<ScoredBox>,
}
