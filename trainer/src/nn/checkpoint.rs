//! Checkpoints: one safetensors file each, written atomically, model tensors under their published keys.
//!
//! `checkpoints/best/model.safetensors` is what exports and loads anywhere. `checkpoints/last/model.safetensors` holds in
//! addition the optimizer's tensors under `fovea.` keys and the loop's state, which is all an exact resume needs; being
//! one file, it cannot be half of one epoch and half of another.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use models::weights::checkpoint::{CheckpointTensor, META_KEY};
use models::weights::{CheckpointFile, sha256_hex};
use safetensors::tensor::{Dtype, TensorView};
use schemas::{CheckpointMeta, Coded, ErrorCode};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::nn::params::Params;

/// Prefix of every tensor that is not the model's.
pub const PRIVATE: &str = "fovea.";
/// The loop's state as JSON text.
const STATE: &str = "fovea.state";

/// What can go wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is no checkpoint that this version reads.
    #[error(transparent)]
    File(#[from] models::weights::CheckpointError),
    /// The file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is not a checkpoint of this model.
    #[error("{path}: {problem}")]
    Invalid {
        /// File.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl Coded for CheckpointError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::File(error) => error.code(),
            Self::Io { .. } => ErrorCode::Io,
            Self::Invalid { .. } => ErrorCode::InvalidCheckpoint,
        }
    }
}

/// A tensor as safetensors wants it.
struct Packed {
    key: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn pack(key: &str, tensor: &Tensor) -> Packed {
    let shape = tensor.size().iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    let flat = tensor.detach().to_device(Device::Cpu).contiguous().reshape([-1]);
    let (dtype, bytes) = match flat.kind() {
        Kind::Int64 => {
            (Dtype::I64, Vec::<i64>::try_from(&flat).map(|v| v.iter().flat_map(|x| x.to_le_bytes()).collect()))
        }
        Kind::Uint8 => (Dtype::U8, Vec::<u8>::try_from(&flat)),
        _ => {
            let floats = flat.to_kind(Kind::Float);
            (Dtype::F32, Vec::<f32>::try_from(&floats).map(|v| v.iter().flat_map(|x| x.to_le_bytes()).collect()))
        }
    };
    Packed { key: key.to_owned(), dtype, shape, bytes: bytes.expect("a flat CPU tensor converts") }
}

fn unpack(tensor: &CheckpointTensor) -> Option<Tensor> {
    let shape: Vec<i64> = tensor.shape.iter().map(|&d| i64::try_from(d).unwrap_or(0)).collect();
    let kind = match tensor.dtype {
        Dtype::F32 => Kind::Float,
        Dtype::I64 => Kind::Int64,
        Dtype::U8 => Kind::Uint8,
        _ => return None,
    };
    Tensor::f_from_data_size(tensor.data, &shape, kind).ok()
}

/// Tensors and metadata as the bytes of a safetensors file; `path` is where they will go, for errors.
///
/// # Errors
/// When they cannot be told in that format.
pub fn bytes(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, CheckpointError> {
    let packed: Vec<Packed> = tensors.iter().map(|(key, tensor)| pack(key, tensor)).collect();
    let invalid =
        |e: safetensors::SafeTensorError| CheckpointError::Invalid { path: path.into(), problem: e.to_string() };
    let views = packed
        .iter()
        .map(|p| Ok((p.key.as_str(), TensorView::new(p.dtype, p.shape.clone(), &p.bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(invalid)?;
    safetensors::serialize(views, Some(metadata)).map_err(invalid)
}

/// Serialises tensors and metadata into one safetensors file of ours, atomically. Returns the SHA-256 of the file.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: HashMap<String, String>,
) -> Result<String, CheckpointError> {
    let bytes = bytes(path, tensors, metadata)?;
    files::write_atomic(path, &bytes).map_err(|source| CheckpointError::Io { path: path.into(), source })?;
    Ok(sha256_hex(&bytes))
}

/// Writes the model alone. Returns the SHA-256 of the file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_model(path: &Path, params: &Params, meta: &CheckpointMeta) -> Result<String, CheckpointError> {
    write(path, &model_tensors(params), describe(meta))
}

/// Writes the model, the optimizer's tensors and the loop's state.
///
/// # Errors
/// When the file cannot be written.
pub fn write_resumable(
    path: &Path,
    params: &Params,
    optimizer: &[(String, Tensor)],
    meta: &CheckpointMeta,
    state: &impl Serialize,
) -> Result<(), CheckpointError> {
    let private = optimizer.iter().map(|(key, t)| (format!("{PRIVATE}{key}"), t.shallow_clone()));
    // Not in the metadata: a map of two keys would be written in an order that differs from process to process.
    let state = Tensor::from_slice(json(state).as_bytes());
    let private = private.chain(std::iter::once((STATE.to_owned(), state)));
    let tensors: Vec<_> = model_tensors(params).into_iter().chain(private).collect();
    write(path, &tensors, describe(meta)).map(drop)
}

fn model_tensors(params: &Params) -> Vec<(String, Tensor)> {
    params.iter().map(|(key, p)| (key.to_owned(), p.tensor.shallow_clone())).collect()
}

fn describe(meta: &CheckpointMeta) -> HashMap<String, String> {
    HashMap::from([(META_KEY.to_owned(), json(meta))])
}

fn json<S: Serialize>(value: &S) -> String {
    serde_json::to_string(value).expect("plain data serialises")
}

/// A checkpoint read from disk.
pub struct Checkpoint {
    /// What it says about itself.
    pub meta: CheckpointMeta,
    /// The loop's state as JSON text, in a last checkpoint.
    pub state: Option<Vec<u8>>,
    /// Every tensor by key, in file order.
    pub tensors: Vec<(String, Tensor)>,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl Checkpoint {
    /// Reads a checkpoint from a run folder (its best), a checkpoint folder, or the file itself.
    ///
    /// # Errors
    /// When there is none, or it is damaged or of a newer schema.
    pub fn read(place: &Path) -> Result<Self, CheckpointError> {
        let file = CheckpointFile::open(place)?;
        let invalid = |problem: String| CheckpointError::Invalid { path: file.path().to_owned(), problem };
        let tensors = file
            .keys()
            .into_iter()
            .map(|key| {
                let tensor = file.tensor(&key);
                let unpacked = tensor.as_ref().and_then(unpack).ok_or_else(|| {
                    invalid(format!("tensor {key:?} has type {:?}", tensor.map(|tensor| tensor.dtype)))
                })?;
                Ok((key, unpacked))
            })
            .collect::<Result<Vec<_>, CheckpointError>>()?;
        let state = file.tensor(STATE).map(|tensor| tensor.data.to_vec());
        let (meta, path, sha256) = (file.meta().clone(), file.path().to_owned(), file.sha256());
        Ok(Self { meta, state, tensors, path, sha256 })
    }

    /// Copies the model's tensors into the store.
    ///
    /// # Errors
    /// When a key is missing, unknown, or of another shape.
    pub fn restore(&self, params: &mut Params) -> Result<(), CheckpointError> {
        let invalid = |problem: String| CheckpointError::Invalid { path: self.path.clone(), problem };
        let wanted: Vec<(String, Vec<i64>)> = params.iter().map(|(k, p)| (k.to_owned(), p.tensor.size())).collect();
        let mut file: HashMap<&str, &Tensor> =
            self.tensors.iter().filter(|(k, _)| !k.starts_with(PRIVATE)).map(|(k, t)| (k.as_str(), t)).collect();
        for (key, shape) in wanted {
            match file.remove(key.as_str()) {
                Some(tensor) if tensor.size() == shape => params.set(&key, tensor),
                Some(tensor) => {
                    return Err(invalid(format!("{key:?} is {:?}, the model has {shape:?}", tensor.size())));
                }
                None => return Err(invalid(format!("{key:?} is missing"))),
            }
        }
        match file.keys().min() {
            Some(key) => Err(invalid(format!("{key:?} is not part of {}", self.meta.model_name))),
            None => Ok(()),
        }
    }

    /// The tensors that only a resume needs, without their prefix.
    #[must_use]
    pub fn private_tensors(&self) -> HashMap<String, Tensor> {
        let strip = |(key, t): &(String, Tensor)| Some((key.strip_prefix(PRIVATE)?.to_owned(), t.shallow_clone()));
        self.tensors.iter().filter_map(strip).collect()
    }
}
