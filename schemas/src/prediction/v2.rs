//! Messages of the Open Inference Protocol, version 2.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::classes::ClassCount;
use super::limits::MAX_IMAGES;
use super::object;
use super::options::{self, ModelOptions, Scalar};
use super::tensor::{Datatype, MAX_RANK, TensorData, at_most};
use crate::setting::TileGrid;
use crate::{Form, Settings, Task};

/// Longest `id` of a request, in characters.
pub const MAX_ID_LENGTH: usize = 256;
/// Most inputs of a request: images, and the sizes of the originals.
const MAX_INPUTS: usize = 2;
/// Most outputs of a model: boxes, scores, labels and masks.
const MAX_OUTPUTS: usize = 4;
/// Name of the input of images.
pub const IMAGES: &str = "images";
/// Name of the input of the original images' heights and widths.
pub const SIZES: &str = "sizes";

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerMetadata {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Extensions of the protocol that it knows, such as `binary_tensor_data`.
    pub extensions: Vec<String>,
}

/// Whether the process answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerLive {
    /// It does.
    pub live: bool,
}

/// Whether the server wants requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerReady {
    /// It does.
    pub ready: bool,
}

/// Whether a model has a worker to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelReady {
    /// Name.
    pub name: String,
    /// It has.
    pub ready: bool,
}

/// What a request to load or unload a model holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadRequest {
    /// None of them changes anything here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<LoadParameters>,
}

/// Parameters of loading and unloading, which clients of other servers know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadParameters {
    /// A configuration in place of the model's own; not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Whether models that the model needs go with it; there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unload_dependents: Option<bool>,
    /// Files in place of the model's own; not supported.
    #[serde(flatten)]
    pub files: BTreeMap<String, Value>,
}

/// One version of a model in the list of a server's models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelState {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `READY`, `LOADING`, `UNLOADING` or `UNAVAILABLE`.
    pub state: String,
    /// Why it is not ready; empty when it is.
    pub reason: String,
}

/// Name, type and shape of an input or output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TensorMetadata {
    /// Name.
    pub name: String,
    /// Element type.
    pub datatype: Datatype,
    /// Shape; -1 where it varies.
    pub shape: Vec<i64>,
}

/// What a server says about a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelMetadata {
    /// Name.
    pub name: String,
    /// Versions that are loaded.
    pub versions: Vec<String>,
    /// What runs it.
    pub platform: String,
    /// What it takes.
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    pub outputs: Vec<TensorMetadata>,
    /// Fovea's own facts about it.
    pub parameters: ModelParameters,
}

/// Fovea's own facts about a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelParameters {
    /// What it answers.
    pub task: Task,
    /// Name in the model registry, such as `resnet18`.
    pub architecture: String,
    /// How much of the preprocessing the file does.
    pub form: Form,
    /// Class names, in the order of the outputs.
    pub labels: Vec<String>,
    /// What runs it.
    pub execution: ModelExecution,
    /// Of a model that answers with any number of labels: the probability above which it means one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_threshold: Option<f64>,
    /// Of a detector: what holds where a request says nothing.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<DetectionDefaults>,
}

/// What runs a model, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelExecution {
    /// `cpu`, `cuda:` or `tensorrt:` and the number of the card, or `openvino:` and OpenVINO's name of the device.
    pub provider: String,
    /// What was asked for in place of it and could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// How many nodes of the graph each of ONNX Runtime's providers runs, by its name there; a part of the graph that a provider runs
    /// as a whole is one. Absent where it could not be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<BTreeMap<String, usize>>,
    /// Sizes that batches are padded to; empty where they are run as they come.
    pub batch_sizes: Vec<usize>,
    /// Whether the run of each size is recorded once and played again.
    pub cuda_graphs: bool,
}

/// The values of a detector's options where a request says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectionDefaults {
    /// Only boxes with a score above it are answered.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score_threshold: f64,
    /// Of two boxes of a class that overlap by more than this (intersection over union), the less certain one is left out.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub iou_threshold: f64,
    /// Tiles that images are also cut into: columns x rows, or `none`.
    #[schemars(with = "String")]
    pub tile_grid_size: TileGrid,
    /// Overlap of neighbouring tiles, as a share of their side.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub tile_overlap_ratio: f64,
    /// Boxes of a class from two tiles that overlap by more than this (intersection over union) are one object.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub tile_predictions_nms_thresh: f64,
}

impl From<&Settings> for DetectionDefaults {
    fn from(settings: &Settings) -> Self {
        Self {
            score_threshold: settings.box_score_thresh,
            iou_threshold: settings.box_nms_thresh,
            tile_grid_size: settings.tile_grid_size,
            tile_overlap_ratio: settings.tile_overlap_ratio,
            tile_predictions_nms_thresh: settings.tile_predictions_nms_thresh,
        }
    }
}

/// A request for inference. Keys that are not listed are ignored.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct InferRequest<'a> {
    /// Repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub id: Option<String>,
    /// Options that concern the whole request.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub parameters: Option<RequestParameters>,
    /// The tensors: `images`, and `sizes` with the pixels of a prepared detector.
    #[serde(borrow, deserialize_with = "object::list::<_, _, MAX_INPUTS>")]
    #[schemars(length(min = 1, max = 2), extend("allOf" = named_once()))]
    pub inputs: Vec<InferInput<'a>>,
    /// Outputs that are asked for, in the order of the answer; all when absent or empty.
    #[serde(
        default,
        borrow,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "object::optional_list::<_, _, MAX_OUTPUTS>"
    )]
    #[schemars(length(max = 4))]
    pub outputs: Option<Vec<RequestedOutput<'a>>>,
}

/// Options of a request for inference. Keys that are not listed are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct RequestParameters {
    /// Every output comes as bytes after the JSON, unless its own parameters say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_data_output: Option<bool>,
    /// Time for the answer, in microseconds, where it is less than the server's own; 0 is as good as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Detectors: only boxes with a score above it are answered. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::score_threshold")]
    pub score_threshold: Option<Scalar>,
    /// Detectors: of two boxes of a class that overlap by more than this (intersection over union), the less certain one is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::iou_threshold")]
    pub iou_threshold: Option<Scalar>,
    /// Prepared detectors, encoded images: tiles that the image is also cut into, COLUMNSxROWS, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_grid_size")]
    pub tile_grid_size: Option<Scalar>,
    /// Prepared detectors, encoded images: overlap of neighbouring tiles, as a share of their side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_overlap_ratio")]
    pub tile_overlap_ratio: Option<Scalar>,
    /// Prepared detectors, encoded images: boxes of a class from two tiles that overlap by more than this are one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::tile_predictions_nms_thresh")]
    pub tile_predictions_nms_thresh: Option<Scalar>,
    /// Prepared classifiers, encoded images: length that the shorter side of an image gets before it is cut, in pixels. The model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::valid_resize_size")]
    pub valid_resize_size: Option<Scalar>,
    /// Prepared classifiers that take images of any size, encoded images: side of the square that is cut from the middle, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "options::valid_crop_size")]
    pub valid_crop_size: Option<Scalar>,
}

impl<'a> InferRequest<'a> {
    /// Reads the JSON of a request.
    ///
    /// # Errors
    /// When it is not JSON, or not of this shape.
    pub fn from_json(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(|object::Object(request)| request)
    }
}

impl RequestParameters {
    /// What they say in place of the model's settings.
    #[must_use]
    pub fn options(self) -> ModelOptions {
        ModelOptions {
            score_threshold: self.score_threshold,
            iou_threshold: self.iou_threshold,
            tile_grid_size: self.tile_grid_size,
            tile_overlap_ratio: self.tile_overlap_ratio,
            tile_predictions_nms_thresh: self.tile_predictions_nms_thresh,
            // The tensor `masks` is what the network says; nothing is pasted.
            mask_pixel_score_threshold: None,
            max_number_of_polygon_points: None,
            valid_resize_size: self.valid_resize_size,
            valid_crop_size: self.valid_crop_size,
            // Of classes there is an extension of the protocol.
            top_k: None,
        }
    }
}

/// An input tensor: `images` as pixels (UINT8 `[N, H, W, 3]`) or as encoded images of any size (BYTES `[N]`, in JSON as
/// base64), or `sizes` (INT64 `[N, 2]`, height and width of each original image in pixels). Keys that are not listed are ignored.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true), transform = only_known_inputs)]
pub struct InferInput<'a> {
    /// Name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Element type.
    pub datatype: Datatype,
    /// Size of each dimension.
    #[serde(deserialize_with = "at_most::<_, _, MAX_RANK>")]
    pub shape: Vec<u64>,
    /// Options; `binary_data_size` says that the elements follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub parameters: Option<InputParameters>,
    /// The elements, unless they follow the JSON.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub data: Option<TensorData<'a>>,
}

/// Options of an input. Keys that are not listed are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct InputParameters {
    /// Bytes of the elements, which follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_data_size: Option<u64>,
    /// Not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory_region: Option<Unsupported>,
}

/// An output that is asked for. Keys that are not listed are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true, "anyOf" = classes_of_probabilities()))]
pub struct RequestedOutput<'a> {
    /// Name.
    #[serde(borrow)]
    #[schemars(extend("enum" = ["probabilities", "boxes", "scores", "labels", "masks"]))]
    pub name: Cow<'a, str>,
    /// Options.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub parameters: Option<OutputParameters>,
}

/// Options of an output. Keys that are not listed are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct OutputParameters {
    /// The output comes as bytes after the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_data: Option<bool>,
    /// Of `probabilities`: so many of the most probable classes, best first, as BYTES `[N, classes]` of texts VALUE:INDEX:LABEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<ClassCount>,
    /// Not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory_region: Option<Unsupported>,
}

/// An option of the protocol that would change the answer's form and is not supported. Any value stands for it; only null is
/// allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unsupported;

impl<'de> Deserialize<'de> for Unsupported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Unsupported {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Unsupported")
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "null" })
    }
}

/// Schema of a list of inputs that holds images once and sizes at most once.
fn named_once() -> Value {
    let named = |name: &str| json!({ "properties": { "name": { "const": name } }, "required": ["name"] });
    json!([
        { "contains": named(IMAGES), "minContains": 1, "maxContains": 1 },
        { "contains": named(SIZES), "minContains": 0, "maxContains": 1 },
    ])
}

/// Schemas of a requested output of which one has to hold: only `probabilities` are of classes.
fn classes_of_probabilities() -> Value {
    let none = json!({ "properties": { "classification": { "type": "null" } } });
    json!([
        { "properties": { "name": { "const": "probabilities" } } },
        { "properties": { "parameters": none } },
    ])
}

/// Schema of pixels in lists that are nested at most `depth` deep.
fn pixels(depth: usize) -> Value {
    let pixel = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
    let items = if depth > 1 { json!({ "anyOf": [pixel, pixels(depth - 1)] }) } else { pixel };
    json!({ "type": "array", "items": items })
}

/// Adds to the schema of an input which types and shapes go with which name, and where its elements are.
fn only_known_inputs(schema: &mut Schema) {
    let count = json!({ "type": "integer", "minimum": 0, "maximum": MAX_IMAGES });
    let side = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let exactly = |lengths: Value| {
        let rank = lengths.as_array().map_or(0, Vec::len);
        json!({ "type": "array", "prefixItems": lengths, "minItems": rank, "maxItems": rank })
    };
    // A list, or a column of any rank.
    let column = json!({
        "type": "array", "prefixItems": [count], "items": { "const": 1 }, "minItems": 1, "maxItems": MAX_RANK,
    });
    let input = |name: &str, datatype: Datatype, shape: Value, data: Value| {
        json!({
            "properties": {
                "name": { "const": name },
                "datatype": { "const": datatype },
                "shape": shape,
                "data": { "anyOf": [data, { "type": "null" }] },
            },
        })
    };
    let text = json!({ "type": "string" });
    let texts = json!({
        "type": "array",
        "items": { "anyOf": [text, { "type": "array", "items": text, "minItems": 1, "maxItems": 1 }] },
    });
    let pairs = json!({ "type": "array", "items": { "type": "array", "items": side, "minItems": 2, "maxItems": 2 } });
    let sizes = json!({ "anyOf": [pairs, { "type": "array", "items": side }] });
    let kinds = json!([
        input(IMAGES, Datatype::Uint8, exactly(json!([count, side, side, { "const": 3 }])), pixels(MAX_RANK)),
        input(IMAGES, Datatype::Bytes, column, texts),
        input(SIZES, Datatype::Int64, exactly(json!([count, { "const": 2 }])), sizes),
    ]);
    let in_json = json!({ "required": ["data"], "properties": { "data": { "type": "array" } } });
    let after_json = json!({
        "required": ["parameters"],
        "properties": {
            "parameters": {
                "type": "object",
                "required": ["binary_data_size"],
                "properties": { "binary_data_size": { "type": "integer" } },
            },
        },
    });
    schema.insert("allOf".to_owned(), json!([{ "oneOf": kinds }, { "oneOf": [in_json, after_json] }]));
}

/// The answer to a request for inference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InferResponse {
    /// Id of the request, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Model that answered.
    pub model_name: String,
    /// Its version.
    pub model_version: String,
    /// A classifier's `probabilities`, FP32 `[N, labels]`, or BYTES `[N, classes]` where `classification` asks for them; a detector's
    /// `boxes`, FP32 `[N, D, 4]` (x1 y1 x2 y2 in pixels), `scores`, FP32 `[N, D]`, and `labels`, INT64 `[N, D]`, -1 where an image has
    /// fewer than D objects.
    pub outputs: Vec<InferOutput>,
}

/// An output tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InferOutput {
    /// Name.
    pub name: String,
    /// Element type.
    pub datatype: Datatype,
    /// Size of each dimension.
    pub shape: Vec<u64>,
    /// How many bytes the elements are when they follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<BinarySize>,
    /// The elements in row-major order, unless they follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<OutputData>,
}

/// Bytes of a tensor's elements, which follow the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BinarySize {
    /// Bytes.
    pub binary_data_size: u64,
}

/// Elements of an output, in row-major order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutputData {
    /// Whole numbers, INT64.
    Integer(Vec<i64>),
    /// Single-precision numbers, FP32.
    Float(Vec<f32>),
    /// Texts, BYTES.
    Text(Vec<String>),
}

impl OutputData {
    /// Element type.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        match self {
            Self::Integer(_) => Datatype::Int64,
            Self::Float(_) => Datatype::Fp32,
            Self::Text(_) => Datatype::Bytes,
        }
    }

    /// How many bytes [`Self::to_bytes`] are.
    #[must_use]
    pub fn byte_length(&self) -> usize {
        match self {
            Self::Integer(values) => values.len() * size_of::<i64>(),
            Self::Float(values) => values.len() * size_of::<f32>(),
            Self::Text(values) => values.iter().map(|text| size_of::<u32>() + text.len()).sum(),
        }
    }

    /// The elements as little-endian bytes; a text is the number of its bytes, in 32 bits, and they.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Integer(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Float(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Text(values) => {
                let mut bytes = Vec::with_capacity(self.byte_length());
                for text in values {
                    // A label is part of a model file, which has less than 4 GiB.
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }
                bytes
            }
        }
    }
}
