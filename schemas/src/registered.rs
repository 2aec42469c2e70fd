//! The folder of registered models, which `trainer register` writes and a server reads: `NAME/VERSION/` with [`FILE`] and
//! [`DESCRIPTION`] for each version of each model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Task, WeightsOrigin};

/// Name of the model's file in the folder of a version.
pub const FILE: &str = "model.onnx";
/// Name of the [`RegisteredModel`] beside it. A version is complete when both are there: its folder gets its name last.
pub const DESCRIPTION: &str = "model.json";

/// Whether a model may have this name: 1 to 64 of the characters A-Z a-z 0-9 _ . - and no dot in front.
#[must_use]
pub fn is_model_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// The version that the folder of one stands for: a whole number from 1, written without zeros in front.
#[must_use]
pub fn version_of(folder: &str) -> Option<u64> {
    let version: u64 = folder.parse().ok()?;
    (version > 0 && version.to_string() == folder).then_some(version)
}

/// What is known of one version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisteredModel {
    /// [`crate::SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Its name.
    pub name: String,
    /// Its version; of several the highest is the newest.
    #[schemars(range(min = 1))]
    pub version: u64,
    /// What the model answers.
    pub task: Task,
    /// Name of the architecture, such as `resnet18`.
    pub model_name: String,
    /// Class names, in the order of the model's outputs.
    pub labels: Vec<String>,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// Folder of the run that trained it.
    pub run: String,
    /// Folder of the study that the run is a trial of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<String>,
    /// Metrics by name.
    #[serde(with = "crate::finite::map")]
    #[schemars(with = "crate::finite::map::Json")]
    pub metrics: BTreeMap<String, f64>,
    /// Intervals of the main ones: 95 % of resampled data lie between the two.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// What was measured, on what.
    pub measured: String,
    /// SHA-256 of the lists of images that it was trained and validated on, by part.
    pub data: BTreeMap<String, String>,
    /// The weights that training started from, with their licence; absent when it started from random ones.
    pub weights: Option<WeightsOrigin>,
    /// Versions of the software involved.
    pub versions: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names() {
        for name in ["a", "resnet18", "v1.2_x-y", &"n".repeat(64)] {
            assert!(is_model_name(name), "{name}");
        }
        for name in ["", ".hidden", "a/b", "ä", "a b", "..", &"n".repeat(65)] {
            assert!(!is_model_name(name), "{name}");
        }
    }

    #[test]
    fn versions_are_whole_numbers_as_one_writes_them() {
        assert_eq!(["1", "27"].map(version_of), [Some(1), Some(27)]);
        for folder in ["0", "01", "+1", "-1", "1.0", "", "latest", ".1.partial", "18446744073709551616"] {
            assert_eq!(version_of(folder), None, "{folder}");
        }
    }
}
