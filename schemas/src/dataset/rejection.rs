//! What a run left out of its data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of `data/rejected.jsonl`: a row, or a part of one, that a run left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The file the row is in, as given.
    pub source: String,
    /// Line in that file, from 1.
    #[schemars(range(min = 1))]
    pub line: u64,
    /// The row's `image_url`, where it could be read.
    pub image_url: Option<String>,
    /// Why it was left out, in broad terms.
    pub kind: RejectionKind,
    /// Why it was left out, exactly.
    pub reason: String,
}

/// Why a row was left out, in broad terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectionKind {
    /// The line is no JSON object with an `image_url`.
    BadJson,
    /// The label is missing, of the wrong type, or unknown to the model.
    BadLabel,
    /// One object of the label cannot be used; the rest of the row stands.
    BadObject,
    /// None of the label's objects can be used.
    NoObject,
    /// The `image_url` cannot be resolved.
    BadUrl,
    /// The file is not there or cannot be read or fetched.
    MissingFile,
    /// The file is no image that can be decoded within the limits.
    BadImage,
    /// A later row names the same image.
    Duplicate,
}
