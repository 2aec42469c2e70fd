//! A checkpoint of a run on disk: its tensors and what it says about itself. Everything that reads one reads it here.

use std::fs;
use std::path::{Path, PathBuf};

use files::digest;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};
use schemas::{CheckpointMeta, Coded, ErrorCode, SCHEMA_VERSION};

use super::foreign::Foreign;
use super::load::OWN_PREFIX;
use super::tensors::not_finite;

/// File name of the weights.
pub const MODEL_FILE: &str = "model.safetensors";
/// Key of the description in the file's metadata.
pub const META_KEY: &str = "fovea";

/// Why a checkpoint could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Nothing is there.
    #[error(
        "no checkpoint at {path:?}; looked for {looked}; give a run folder, a checkpoint folder or a .safetensors file"
    )]
    NotFound {
        /// What was given.
        path: PathBuf,
        /// Files that would have been taken.
        looked: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path:?}: {error}")]
    Read {
        /// File.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Not a safetensors file, or a damaged one.
    #[error(
        "{path:?} is not a whole safetensors file: {problem}; it is damaged or something else; copy or train it again"
    )]
    Damaged {
        /// File.
        path: PathBuf,
        /// What the reader says.
        problem: String,
    },
    /// A file of another kind.
    #[error("{path:?} is {kind}, and no checkpoint: {}", kind.advice())]
    OtherKind {
        /// File.
        path: PathBuf,
        /// What it is.
        kind: Foreign,
    },
    /// A safetensors file without the description.
    #[error(
        "{path:?} does not say what it holds (no \"{META_KEY}\" in its metadata): it is no checkpoint of a run; weights alone go \
         to `trainer train --pretrained`"
    )]
    NoMeta {
        /// File.
        path: PathBuf,
    },
    /// A description that does not fit.
    #[error("{path:?} describes itself wrongly: {problem}")]
    BadMeta {
        /// File.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// Weights that no training goes on from.
    #[error("{path:?}: {problem}")]
    NotFinite {
        /// File.
        path: PathBuf,
        /// The tensor, its first value that is no finite number, and what to do.
        problem: String,
    },
    /// A description from the future.
    #[error(
        "{path:?} was written with schema version {found}; this Fovea reads versions up to {SCHEMA_VERSION}; take a newer Fovea"
    )]
    TooNew {
        /// File.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

impl Coded for CheckpointError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Read { .. } => ErrorCode::Io,
            Self::NotFound { .. }
            | Self::Damaged { .. }
            | Self::OtherKind { .. }
            | Self::NoMeta { .. }
            | Self::BadMeta { .. }
            | Self::NotFinite { .. }
            | Self::TooNew { .. } => ErrorCode::InvalidCheckpoint,
        }
    }
}

/// A checkpoint in memory. The file is read, not mapped, so that somebody else cutting it short cannot end the process.
pub struct CheckpointFile {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Metadata,
    /// Where the tensors' data begin in `bytes`.
    start: usize,
    meta: CheckpointMeta,
    meta_json: String,
}

impl CheckpointFile {
    /// Opens a run folder (its best checkpoint), a checkpoint folder, or a `.safetensors` file.
    ///
    /// # Errors
    /// When there is none, it is damaged, it does not describe itself in a way this version understands, or a weight is no
    /// finite number.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let path = locate(path)?;
        let bytes = read(&path)?;
        // Checks the offsets of all tensors against the length of the file, so a file cut short is noticed here.
        let (length, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&path, &bytes, &e))?;
        let start = size_of::<u64>() + length;
        let meta_json = header.metadata().as_ref().and_then(|m| m.get(META_KEY)).cloned();
        let meta_json = meta_json.ok_or_else(|| CheckpointError::NoMeta { path: path.clone() })?;
        let meta = parse_meta(&path, &meta_json)?;
        let file = Self { path, bytes, header, start, meta, meta_json };
        match file.not_finite() {
            Some(problem) => Err(CheckpointError::NotFinite { path: file.path, problem }),
            None => Ok(file),
        }
    }

    /// What is wrong with the first of the network's tensors that has a value which is no finite number.
    fn not_finite(&self) -> Option<String> {
        self.keys().iter().filter(|key| !key.starts_with(OWN_PREFIX)).find_map(|key| {
            let tensor = self.tensor(key).filter(|tensor| tensor.dtype == Dtype::F32)?;
            let (values, _) = tensor.data.as_chunks::<4>();
            let finite = values.iter().all(|value| f32::from_le_bytes(*value).is_finite());
            let values = || values.iter().map(|value| f32::from_le_bytes(*value)).collect::<Vec<_>>();
            if finite { None } else { not_finite(key, &values()) }
        })
    }

    /// The weights file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the checkpoint says about itself.
    #[must_use]
    pub fn meta(&self) -> &CheckpointMeta {
        &self.meta
    }

    /// The same as the file has it.
    #[must_use]
    pub fn meta_json(&self) -> &str {
        &self.meta_json
    }

    /// Describes the same weights otherwise.
    ///
    /// # Errors
    /// When the description's preprocessing is none.
    pub fn describe(&mut self, meta: CheckpointMeta) -> Result<(), CheckpointError> {
        let bad = |problem: String| CheckpointError::BadMeta { path: self.path.clone(), problem };
        meta.preprocessing.check().map_err(|problem| bad(format!("preprocessing: {problem}")))?;
        self.meta_json = serde_json::to_string(&meta).map_err(|error| bad(error.to_string()))?;
        self.meta = meta;
        Ok(())
    }

    /// SHA-256 of the weights file, lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        digest::of_bytes(&self.bytes)
    }

    /// The tensor under `key`.
    #[must_use]
    pub fn tensor(&self, key: &str) -> Option<CheckpointTensor<'_>> {
        let tensor = self.header.info(key)?;
        let (from, to) = tensor.data_offsets;
        let data = self.bytes.get(self.start + from..self.start + to)?;
        Some(CheckpointTensor { dtype: tensor.dtype, shape: &tensor.shape, data })
    }

    /// Keys of all tensors, in the order of the file.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.header.offset_keys()
    }
}

/// A tensor as the file holds it.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointTensor<'a> {
    /// Type of its elements.
    pub dtype: Dtype,
    /// Sizes; empty for a scalar.
    pub shape: &'a [usize],
    /// Elements, row-major and little-endian.
    pub data: &'a [u8],
}

fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    fs::read(path).map_err(|error| CheckpointError::Read { path: path.to_owned(), error })
}

/// What is told of a file that is no whole safetensors file: which other kind it is, if its first bytes say so.
fn damaged(path: &Path, bytes: &[u8], error: &safetensors::SafeTensorError) -> CheckpointError {
    let path = path.to_owned();
    match Foreign::of(bytes) {
        Some(kind) => CheckpointError::OtherKind { path, kind },
        None => CheckpointError::Damaged { path, problem: error.to_string() },
    }
}

/// The weights file of a run folder (its best checkpoint), of a checkpoint folder, or the file itself.
///
/// # Errors
/// When there is none.
pub fn locate(path: &Path) -> Result<PathBuf, CheckpointError> {
    let candidates = if path.is_dir() {
        vec![path.join(MODEL_FILE), path.join("checkpoints").join("best").join(MODEL_FILE)]
    } else {
        vec![path.to_owned()]
    };
    candidates.iter().find(|c| c.is_file()).cloned().ok_or_else(|| {
        let looked = candidates.iter().map(|c| c.display().to_string()).collect::<Vec<_>>().join(" and ");
        CheckpointError::NotFound { path: path.to_owned(), looked }
    })
}

/// The version is looked at first: a newer description may not parse, and must not be misread if it does.
fn parse_meta(path: &Path, json: &str) -> Result<CheckpointMeta, CheckpointError> {
    let bad = |problem: String| CheckpointError::BadMeta { path: path.to_owned(), problem };
    let value: serde_json::Value = serde_json::from_str(json).map_err(|e| bad(e.to_string()))?;
    let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
    let version = version.ok_or_else(|| bad("it has no schema_version".to_owned()))?;
    if version > u64::from(SCHEMA_VERSION) {
        return Err(CheckpointError::TooNew { path: path.to_owned(), found: version });
    }
    let meta: CheckpointMeta = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    let p = &meta.preprocessing;
    if meta.labels.is_empty() {
        return Err(bad("labels: there is none; a model needs at least one class".to_owned()));
    }
    if let Err(problem) = p.check() {
        return Err(bad(format!("preprocessing: {problem}")));
    }
    let finite = p.mean.iter().chain(&p.std).all(|v| v.is_finite());
    if !finite || p.std.iter().any(|&s| s <= 0.0) {
        let problem = format!("preprocessing: mean {:?} must be finite and std {:?} above 0", p.mean, p.std);
        return Err(bad(problem));
    }
    Ok(meta)
}
