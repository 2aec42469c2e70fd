//! Messages of the Open Inference Protocol, version 2.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tensor::{Datatype, MAX_RANK, TensorData};

/// A parameter of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Parameter {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

/// Parameters by name.
pub type Parameters = BTreeMap<String, Parameter>;

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

/// What a model takes or gives.
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
}

/// A request for inference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InferRequest {
    /// Repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Wishes that concern the whole request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// Tensors.
    pub inputs: Vec<InferInput>,
    /// Outputs that are wanted; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<RequestedOutput>>,
}

/// An input tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InferInput {
    /// Name.
    pub name: String,
    /// Size of each dimension.
    pub shape: Vec<u64>,
    /// Element type.
    pub datatype: Datatype,
    /// Wishes; `binary_data_size` says that the elements follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// The elements, unless they follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<TensorData>,
}

/// An output that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedOutput {
    /// Name.
    pub name: String,
    /// Wishes, such as `binary_data` or `classification`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

impl InferInput {
    /// Number of elements that the shape asks for; `None` when it has more than [`MAX_RANK`] dimensions or the number
    /// does not fit 64 bits.
    #[must_use]
    pub fn element_count(&self) -> Option<u64> {
        if self.shape.len() > MAX_RANK {
            return None;
        }
        // A zero anywhere makes the tensor empty, whatever the other dimensions multiply to.
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size))
    }

    /// True when the elements are in the JSON and are as many as the shape asks for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let given = self.data.as_ref().and_then(|data| u64::try_from(data.len()).ok());
        given.is_some() && given == self.element_count()
    }
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
    /// Tensors.
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
    /// `binary_data_size` when the elements follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// The elements in row-major order, unless they follow the JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<OutputData>,
}

/// Elements of an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutputData {
    /// Whole numbers.
    Integer(Vec<i64>),
    /// Single-precision numbers.
    Float(Vec<f32>),
    /// Texts.
    Text(Vec<String>),
}
