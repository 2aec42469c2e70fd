//! The specification's scoring JSON.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::XaiParameters;
use crate::dataset::Corners;

/// Most images that a request is read with; a server may allow fewer.
pub const MAX_IMAGES: usize = 1024;

/// Body of a scoring request: `{"input_data": {"columns": ["image"], "data": [..]}}`.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreRequest<'a> {
    /// A table of one column.
    #[serde(borrow)]
    pub input_data: InputData<'a>,
}

/// A table with one column, `image`, and a row per image.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputData<'a> {
    /// Names of the columns: exactly `["image"]`.
    #[serde(deserialize_with = "one_column")]
    #[schemars(length(min = 1, max = 1), inner(regex(pattern = "^image$")))]
    pub columns: Vec<String>,
    /// The images.
    #[serde(borrow, deserialize_with = "bounded_cells")]
    #[schemars(length(max = 1024))]
    pub data: Vec<ScoreCell<'a>>,
    /// Row labels, which some clients send; ignored.
    #[serde(default, skip_serializing)]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    pub index: serde::de::IgnoredAny,
}

/// One cell: base64 of an image file, or the text of a JSON object that holds it. A cell may stand in a list of its own.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ScoreCell<'a>(pub Cow<'a, str>);

/// An image with wishes: what the text of a cell may hold, and the older request of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest<'a> {
    /// Base64 of an image file.
    #[serde(borrow, alias = "image")]
    pub image_base64: Cow<'a, str>,
    /// The answer is to be explained.
    #[serde(default)]
    pub model_explainability: bool,
    /// How.
    #[serde(default)]
    pub xai_parameters: XaiParameters,
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
            "description": "Base64 of an image file, or the text of a JSON object with image_base64; may stand in a list of its own.",
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

fn bounded_cells<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ScoreCell<'a>>, D::Error> {
    struct Cells;
    impl<'de> Visitor<'de> for Cells {
        type Value = Vec<ScoreCell<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_IMAGES} images")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut cells = Vec::new();
            while let Some(cell) = seq.next_element()? {
                if cells.len() == MAX_IMAGES {
                    return Err(A::Error::custom(format!(
                        "data holds more than {MAX_IMAGES} images; send several requests"
                    )));
                }
                cells.push(cell);
            }
            Ok(cells)
        }
    }
    deserializer.deserialize_seq(Cells)
}

/// Explaining pictures, base64 of PNG files.
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
pub struct ClassificationAnswer {
    /// Name of the file, where there is one.
    pub filename: Option<String>,
    /// Probability of each class, in the order of `labels`. They sum to 1 unless the model is multi-label.
    pub probs: Vec<f32>,
    /// Every class, in the order of the model's outputs.
    pub labels: Vec<String>,
    /// Explaining pictures, when asked for.
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
