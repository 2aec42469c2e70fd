//! Comparing a model file with what the trainer recorded beside the checkpoint.

pub mod boxes;
pub mod classes;
pub mod decisions;
pub mod recorded;

use std::path::{Path, PathBuf};

use models::weights::{CheckpointError, CheckpointFile};
use ndarray::ArrayView4;
use runtime::{Data, Form, Model, Options, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use schemas::{Coded, ErrorCode, Task};
use serde::Serialize;

use crate::graph::Graph;
use crate::proto::{self, Header};

/// File name of the recorded inputs and outputs, beside the weights.
pub const FILE: &str = "verification.safetensors";

/// Most levels by which a pixel resized in the graph may differ from the host's.
const PIXEL_LEVELS: u8 = 8;
/// Most levels by which such pixels may differ on average.
const MEAN_LEVELS: f64 = 1.0;

/// Why a file was not found to be the checkpoint it was made from.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing was recorded.
    #[error("{path:?} is missing: it holds the outputs that the export is compared with; {}", remedy(.checkpoint))]
    Missing {
        /// File.
        path: PathBuf,
        /// Weights it belongs to.
        checkpoint: PathBuf,
    },
    /// It was recorded for other weights.
    #[error(
        "{path:?} was recorded for other weights (sha256 {recorded}; {checkpoint:?} has {actual}); {}", remedy(.checkpoint)
    )]
    Stale {
        /// File.
        path: PathBuf,
        /// Weights beside it.
        checkpoint: PathBuf,
        /// Checksum it was recorded for.
        recorded: String,
        /// Checksum of the weights.
        actual: String,
    },
    /// The file is not what it should be.
    #[error("{path:?}: {problem}; {}", remedy(.checkpoint))]
    Unusable {
        /// File.
        path: PathBuf,
        /// Weights beside it.
        checkpoint: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] CheckpointError),
    /// The model did not run.
    #[error("the exported model does not run ({check}, image {image}): {problem}; nothing was written")]
    Run {
        /// Which comparison.
        check: String,
        /// Number of the recorded image, from 0.
        image: usize,
        /// What the runtime says.
        problem: String,
    },
    /// The model ran and answered something else.
    #[error(
        "the exported model disagrees with the checkpoint ({check}, image {image}): class {label:?} has probability {found}, recorded was {recorded}, and at most {limit} of difference is accepted; nothing was written; please report this with the checkpoint"
    )]
    Mismatch {
        /// Which comparison.
        check: String,
        /// Number of the recorded image, from 0.
        image: usize,
        /// Class with the largest difference.
        label: String,
        /// What the exported model says.
        found: f32,
        /// What was recorded.
        recorded: f32,
        /// Largest accepted difference.
        limit: f32,
    },
    /// The file gives features, and none were recorded to compare them with.
    #[error("{path:?} was recorded by an older version and holds no features; delete it, then {}", remedy(.checkpoint))]
    NoFeatures {
        /// File.
        path: PathBuf,
        /// Weights beside it.
        checkpoint: PathBuf,
    },
    /// The features cannot be had, or are others.
    #[error(
        "the exported model disagrees with the checkpoint (features): {problem}; nothing was written; please report this with the checkpoint"
    )]
    Features {
        /// What does not fit.
        problem: String,
    },
    /// The model ran and found something else.
    #[error(
        "the exported model disagrees with the checkpoint ({check}, image {image}): {problem}; nothing was written; please report this with the checkpoint"
    )]
    Boxes {
        /// Which comparison.
        check: String,
        /// Number of the recorded image, from 0.
        image: usize,
        /// What does not fit.
        problem: String,
    },
}

impl Coded for VerifyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } | Self::Stale { .. } | Self::Unusable { .. } => ErrorCode::InvalidCheckpoint,
            Self::Read(error) => error.code(),
            Self::NoFeatures { .. } => ErrorCode::InvalidArguments,
            Self::Run { .. } | Self::Mismatch { .. } | Self::Features { .. } | Self::Boxes { .. } => {
                ErrorCode::VerificationFailed
            }
        }
    }
}

fn remedy(checkpoint: &Path) -> String {
    let folder = checkpoint.parent().unwrap_or(checkpoint).display();
    format!("record it again with: trainer evaluate --checkpoint {folder} --data test.jsonl")
}

/// What the trainer recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// Of a classifier.
    Classes(classes::Recording),
    /// Of a detector.
    Boxes(recorded::Recording),
}

/// Result of one comparison that passed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was compared.
    pub name: String,
    /// Images in each run.
    pub batch: usize,
    /// Recorded images compared.
    pub images: usize,
    /// Largest difference in a probability or score, or in a feature as a share of the largest.
    pub largest_difference: f32,
    /// Largest accepted one.
    pub limit: f32,
    /// Images whose most probable class is another one. Within the limits that happens only where the two classes are
    /// as probable as each other, to within twice the limit.
    pub labels_differ: usize,
    /// Of a detector, more about its boxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<BoxCheck>,
}

/// Boxes that were compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BoxCheck {
    /// How many there were.
    pub compared: usize,
    /// Decisions between them that were too close to call, see [`decisions`].
    pub excused: usize,
    /// Largest difference in a corner, in pixels.
    pub largest_difference: f32,
    /// Largest accepted one for an image that is not shrunk.
    pub limit: f32,
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
        Task::ImageObjectDetection => recorded::read(&file, meta).map(Recording::Boxes),
        task @ Task::ImageInstanceSegmentation => Err(format!("its task is {task}, which is not verified yet")),
    };
    recording.map_err(unusable)
}

/// A file that has been written under a temporary name.
pub struct Subject<'a> {
    /// What it was made from.
    pub checkpoint: &'a CheckpointFile,
    /// Its graph.
    pub graph: &'a Graph,
    /// Its form.
    pub form: Form,
    /// Where and how ONNX Runtime is run.
    pub options: &'a Options,
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

/// Opens a graph that is no file.
fn open(graph: Graph, options: &Options, check: &str) -> Result<runtime::Probe, VerifyError> {
    let refuse = |problem: String| VerifyError::Run { check: check.to_owned(), image: 0, problem };
    let header = Header { graph: "probe", doc: "", metadata: &[] };
    let bytes = proto::bytes(graph, &header).map_err(|error| refuse(error.to_string()))?;
    runtime::Probe::open(&bytes, options).map_err(|error| refuse(error.to_string()))
}

/// Images as a tensor.
fn bytes(images: &ArrayView4<u8>) -> Tensor {
    Tensor { shape: images.shape().to_vec(), data: Data::U8(images.iter().copied().collect()) }
}

/// Whether the graph resizes as the host does, but for rounding: the graph computes in floats, the host in whole numbers.
fn same_pixels(own: &Tensor, host: &ArrayView4<u8>) -> Result<(), String> {
    let found = own.bytes().filter(|_| own.shape == host.shape());
    let found = found.ok_or_else(|| format!("it resizes to {:?}; the host to {:?}", own.shape, host.shape()))?;
    let differences = || found.iter().zip(*host).map(|(a, b)| a.abs_diff(*b));
    let largest = differences().max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let mean = differences().map(f64::from).sum::<f64>() / found.len().max(1) as f64;
    if largest > PIXEL_LEVELS || mean > MEAN_LEVELS {
        return Err(format!(
            "its resized pixels differ from the host's by up to {largest} levels, {mean:.2} on average; {PIXEL_LEVELS} and \
             {MEAN_LEVELS} are accepted"
        ));
    }
    Ok(())
}

/// A tensor of this type and rank.
fn tensor<'a>(file: &'a SafeTensors, key: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, String> {
    let t = file.tensor(key).map_err(|_| format!("there is no tensor '{key}'"))?;
    if t.dtype() != dtype || t.shape().len() != rank {
        return Err(format!("'{key}' is {:?} {:?}; {dtype:?} of rank {rank} is needed", t.dtype(), t.shape()));
    }
    Ok(t)
}

fn floats(t: &TensorView) -> Vec<f32> {
    t.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn integers(t: &TensorView) -> Vec<i64> {
    t.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
}
