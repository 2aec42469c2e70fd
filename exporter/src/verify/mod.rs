//! Comparing a model file with what the trainer recorded beside the checkpoint.

pub mod boxes;
mod check;
pub mod classes;
pub mod decisions;
mod error;
mod pixels;
pub mod recorded;
mod subject;
mod tensors;

use std::path::Path;

use models::weights::{CheckpointError, CheckpointFile};
use ndarray::ArrayView4;
use runtime::{Form, Model};
use safetensors::SafeTensors;
use schemas::Task;

pub use check::{BoxCheck, Check};
pub use error::VerifyError;
pub use subject::Subject;

/// File name of the recorded inputs and outputs, beside the weights.
pub const FILE: &str = "verification.safetensors";

/// What the trainer recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// Of a classifier.
    Classes(classes::Recording),
    /// Of a detector.
    Boxes(recorded::Recording),
}

/// Reads what was recorded for this checkpoint.
///
/// # Errors
/// When it is missing, was recorded for other weights, or does not fit the model.
pub fn read(checkpoint: &CheckpointFile) -> Result<Recording, VerifyError> {
    let path = checkpoint.path().with_file_name(FILE);
    let owner = checkpoint.path().to_owned();
    if !path.is_file() {
        return Err(VerifyError::Missing { path, checkpoint: owner });
    }
    let bytes = std::fs::read(&path).map_err(|error| CheckpointError::Read { path: path.clone(), error })?;
    let unusable = |problem: String| VerifyError::Unusable { path: path.clone(), checkpoint: owner.clone(), problem };
    let file = SafeTensors::deserialize(&bytes).map_err(|e| unusable(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| unusable(e.to_string()))?;
    let recorded = header.metadata().as_ref().and_then(|m| m.get("model_sha256")).cloned().unwrap_or_default();
    let actual = checkpoint.sha256();
    if recorded != actual {
        return Err(VerifyError::Stale { path, checkpoint: owner, recorded, actual });
    }
    let meta = checkpoint.meta();
    let recording = match meta.task {
        Task::ImageClassification | Task::ImageClassificationMultilabel => {
            classes::read(&file, meta).map(Recording::Classes)
        }
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => {
            recorded::read(&file, meta).map(Recording::Boxes)
        }
    };
    recording.map_err(unusable)
}

/// Compares a file, opened as `model`, with the recording, at several batch sizes; its features too, where it gives them.
///
/// # Errors
/// The first image on which the model does not run or differs; when it gives features and none were recorded.
pub fn compare(recording: &Recording, subject: &Subject, model: &mut Model) -> Result<Vec<Check>, VerifyError> {
    let Subject { checkpoint, form, .. } = *subject;
    let meta = checkpoint.meta();
    match recording {
        Recording::Classes(recording) => {
            let mut run = |images: ArrayView4<u8>| model.run(images).map_err(|error| error.to_string());
            let mut checks = classes::compare(recording, meta, form, &mut run)?;
            if form == Form::Whole {
                checks.extend(classes::compare_whole(recording, subject)?);
            }
            if model.has_features() {
                let Some(features) = &recording.features else {
                    let path = checkpoint.path().with_file_name(FILE);
                    return Err(VerifyError::NoFeatures { path, checkpoint: checkpoint.path().to_owned() });
                };
                let framing = (form == Form::Whole).then_some(&meta.preprocessing);
                let mut run = |images: ArrayView4<u8>| model.features(images).map_err(|error| error.to_string());
                checks.push(classes::compare_features(&recording.prepared.images, features, framing, &mut run)?);
            }
            Ok(checks)
        }
        Recording::Boxes(recording) => boxes::compare(recording, subject, model),
    }
}

/// Whether there is a recording of these weights in the folder that this version reads.
#[must_use]
pub fn is_current(folder: &Path, sha256: &str, task: Task) -> bool {
    let Ok(bytes) = std::fs::read(folder.join(FILE)) else { return false };
    let (Ok(file), Ok((_, header))) = (SafeTensors::deserialize(&bytes), SafeTensors::read_metadata(&bytes)) else {
        return false;
    };
    let recorded = header.metadata().as_ref().and_then(|m| m.get("model_sha256"));
    let is_readable = match task {
        Task::ImageClassification | Task::ImageClassificationMultilabel => true,
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => recorded::is_current(&file),
    };
    is_readable && recorded.is_some_and(|recorded| recorded == sha256)
}
