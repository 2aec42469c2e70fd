//! Metadata of checkpoints. The same JSON is in `model.safetensors` (`__metadata__["fovea"]`) and in the
//! ONNX file (`metadata_props["fovea"]`), so that neither needs a second file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Preprocessing, Task};

/// Where the weights that training started from came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightsOrigin {
    /// A URL, package or file name a person can look up.
    pub source: String,
    /// SPDX licence, or `unknown` for a file the user named.
    pub licence: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

/// Metadata of one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointMeta {
    /// [`crate::SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// What the model answers.
    pub task: Task,
    /// Name in the model registry, such as `resnet18`.
    pub model_name: String,
    /// Class names, in the order of the model's outputs.
    pub labels: Vec<String>,
    /// How the network wants its pixels.
    pub preprocessing: Preprocessing,
    /// Epochs finished when the checkpoint was written.
    pub epoch: u32,
    /// Metrics measured on the validation data at that epoch, by name; an undefined one is NaN, in JSON `null`.
    #[serde(with = "crate::finite::map")]
    #[schemars(with = "crate::finite::map::Json")]
    pub metrics: BTreeMap<String, f64>,
    /// What a classifier's logits are divided by before they become probabilities, fitted to the validation data; absent where
    /// nothing is divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Every setting of the run, by name.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The weights that training started from; absent when it started from random ones.
    pub weights: Option<WeightsOrigin>,
    /// Versions of the software involved: `fovea`, `libtorch`.
    pub versions: BTreeMap<String, String>,
}
