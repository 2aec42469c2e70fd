//! The state of the loop, which the last checkpoint holds, and what a run exports.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use runtime::Form;
use serde::{Deserialize, Serialize};

use crate::nn::checkpoint::{Checkpoint, CheckpointError};
use crate::train::early_stopping::EarlyStopping;

/// What a run exports at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Export {
    /// A file of this form.
    File(Form),
    /// Nothing.
    Nothing,
}

impl Export {
    /// The names on the command line and in a checkpoint.
    pub const NAMES: [&str; 3] = ["whole", "prepared", "none"];
}

impl Default for Export {
    fn default() -> Self {
        Self::File(Form::Whole)
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(form) => form.fmt(f),
            Self::Nothing => f.write_str("none"),
        }
    }
}

/// A word that names nothing to export.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no export; it is one of whole, prepared, none")]
pub struct UnknownExport(String);

impl FromStr for Export {
    type Err = UnknownExport;

    fn from_str(text: &str) -> Result<Self, UnknownExport> {
        match text {
            "whole" => Ok(Self::File(Form::Whole)),
            "prepared" => Ok(Self::File(Form::Prepared)),
            "none" => Ok(Self::Nothing),
            other => Err(UnknownExport(other.to_owned())),
        }
    }
}

impl TryFrom<String> for Export {
    type Error = UnknownExport;

    fn try_from(text: String) -> Result<Self, UnknownExport> {
        text.parse()
    }
}

impl From<Export> for String {
    fn from(export: Export) -> Self {
        export.to_string()
    }
}

/// Where the loop stands; with the tensors of a last checkpoint, everything a resume needs. Random numbers need no
/// state: they are functions of (seed, epoch, index).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingState {
    /// Epochs finished.
    pub epoch: u32,
    /// Threads the run computes with; a resume takes them over.
    pub threads: usize,
    /// What is exported at the end.
    pub export: Export,
    /// Whether every training image was decoded in full before training.
    #[serde(rename = "pictures_checked")]
    pub images_checked: bool,
    /// Micro-batches finished in the epoch under way.
    pub batch: usize,
    /// Optimizer steps taken.
    pub updates: u64,
    /// Those after which what is not the head began to be trained.
    #[serde(skip_serializing_if = "is_zero")]
    pub joined: u64,
    /// Sum of the training loss over the images of the epoch under way.
    pub loss_sum: f64,
    /// The same of each part of the loss, by name.
    pub part_sums: BTreeMap<String, f64>,
    /// Images of the epoch under way that were trained on.
    pub seen: u64,
    /// Best epoch and patience.
    pub early_stopping: EarlyStopping,
    /// Most images that memory has room for in one pass; 0 while every batch fitted.
    pub part: usize,
    /// Seconds of training, counted where the plan limits them and 0 elsewhere, so that equal runs write equal states.
    pub seconds: f64,
    /// Whether training ended because they were over.
    pub out_of_time: bool,
    /// Whether training has ended.
    pub finished: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl TrainingState {
    /// The state that a last checkpoint holds; `None` of another checkpoint.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn of(checkpoint: &Checkpoint) -> Result<Option<Self>, CheckpointError> {
        let Some(json) = &checkpoint.state else { return Ok(None) };
        serde_json::from_slice(json).map(Some).map_err(|error| CheckpointError::Invalid {
            path: checkpoint.path.clone(),
            problem: format!("unreadable training state: {error}"),
        })
    }
}
