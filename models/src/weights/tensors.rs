//! A weights file in memory: named tensors as views of the file's bytes, turned into numbers only when asked for.
//!
//! Reading allocates the file and a small table, whatever shapes the file claims; a view is checked against the bytes
//! behind it before it is listed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::digest;
use indexmap::IndexMap;
use safetensors::SafeTensors;

use super::dtype::Dtype;
use super::error::WeightsError;
use super::foreign::Foreign;
use super::torch_file;
use super::view::{NamedTensor, Strided};

/// A weights file: its bytes and its tensors in the file's order.
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// At least one; the first is the one that its name speaks for.
    dicts: Vec<StateDict>,
    metadata: BTreeMap<String, String>,
}

/// One dictionary of tensors. A checkpoint may have several: of the network, of its average, of an optimizer.
pub struct StateDict {
    /// Under which names it lies in the file, such as `state_dict` or `ema.module`; empty for the whole file. A whole module
    /// is one too.
    pub place: String,
    tensors: IndexMap<String, NamedTensor>,
}

impl StateDict {
    /// Its tensors in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &NamedTensor> {
        self.tensors.values()
    }
}

impl std::fmt::Debug for TensorFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TensorFile({}, {} tensors)", self.path.display(), self.tensors().len())
    }
}

impl TensorFile {
    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every dictionary that has tensors, those under the usual names first; at least one.
    #[must_use]
    pub fn dicts(&self) -> &[StateDict] {
        &self.dicts
    }

    /// The tensors of the first dictionary, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &NamedTensor> {
        self.dicts[0].tensors.values()
    }

    /// The tensor under `key` of the first dictionary.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&NamedTensor> {
        self.dicts[0].tensors.get(key)
    }

    /// What is wrong with the first value of a tensor that is no finite number as a 32-bit float, if there is one.
    pub(super) fn not_finite(&self, tensor: &NamedTensor) -> Option<String> {
        let is_float = matches!(tensor.dtype, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::Bf16);
        let values = if is_float { self.to_f32(tensor) } else { Vec::new() };
        not_finite(&tensor.key, &values)
    }

    /// The `__metadata__` of a safetensors file; empty for a PyTorch file.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// SHA-256 of the file, lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        digest::of_bytes(&self.bytes)
    }

    /// The values of a tensor of this file as 32-bit floats, row-major. Exact for the 16-bit floats; 64-bit values
    /// are rounded to nearest.
    #[must_use]
    pub fn to_f32(&self, tensor: &NamedTensor) -> Vec<f32> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "documented rounding")]
        match tensor.dtype {
            Dtype::F32 => self.decode(tensor, f32::from_le_bytes),
            Dtype::F64 => self.decode(tensor, |b| f64::from_le_bytes(b) as f32),
            Dtype::F16 => self.decode(tensor, |b| half_to_f32(u16::from_le_bytes(b))),
            Dtype::Bf16 => self.decode(tensor, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::I8 | Dtype::U8 | Dtype::Bool => {
                self.to_i64(tensor).into_iter().map(|v| v as f32).collect()
            }
        }
    }

    /// The values of a tensor of this file as integers, row-major; floats are truncated towards zero.
    #[must_use]
    pub fn to_i64(&self, tensor: &NamedTensor) -> Vec<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "documented truncation")]
        match tensor.dtype {
            Dtype::I64 => self.decode(tensor, i64::from_le_bytes),
            Dtype::I32 => self.decode(tensor, |b| i64::from(i32::from_le_bytes(b))),
            Dtype::I16 => self.decode(tensor, |b| i64::from(i16::from_le_bytes(b))),
            Dtype::I8 => self.decode(tensor, |b| i64::from(i8::from_le_bytes(b))),
            Dtype::U8 => self.decode(tensor, |[b]| i64::from(b)),
            Dtype::Bool => self.decode(tensor, |[b]| i64::from(b != 0)),
            Dtype::F64 => self.decode(tensor, |b| f64::from_le_bytes(b) as i64),
            Dtype::F32 | Dtype::F16 | Dtype::Bf16 => self.to_f32(tensor).into_iter().map(|v| v as i64).collect(),
        }
    }

    fn decode<const N: usize, V>(&self, tensor: &NamedTensor, convert: impl Fn([u8; N]) -> V) -> Vec<V> {
        tensor.positions().filter_map(|at| self.bytes.get(at..at + N)?.try_into().ok()).map(convert).collect()
    }
}

/// What is wrong with weights that are no finite numbers: the tensor, the first of them, and how many there are.
pub(super) fn not_finite(key: &str, values: &[f32]) -> Option<String> {
    let at = values.iter().position(|v| !v.is_finite())?;
    let count = values.iter().filter(|v| !v.is_finite()).count();
    Some(format!(
        "tensor '{key}' has {} as element {at} ({count} of its {} values are no finite numbers), as after a training that \
         diverged; take a checkpoint from before that",
        values[at],
        values.len()
    ))
}

/// IEEE 754 binary16 to binary32, exact, subnormals, infinities and NaN included.
fn half_to_f32(h: u16) -> f32 {
    let sign = u32::from(h >> 15) << 31;
    let exponent = u32::from(h >> 10) & 0x1f;
    let fraction = u32::from(h) & 0x3ff;
    match exponent {
        // 2^-24 is the unit of a half's subnormals, and a normal float.
        0 => f32::from_bits(sign | (f32::from(h & 0x3ff) * 2.0_f32.powi(-24)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

/// Reads a weights file. The kind is told by its first bytes, not by its name: a zip or a pickle is PyTorch's, anything
/// else must be safetensors. A PyTorch file may hold several dictionaries of tensors, see [`TensorFile::dicts`]; prefixes
/// that wrappers put before every key of one (`module.`, `_orig_mod.`) are removed.
///
/// # Errors
///
/// [`WeightsError::Io`] when the file cannot be read, [`WeightsError::Format`] when it is damaged, names what would act on
/// the machine of a Python that loads it (nothing is ever executed here), or holds no tensors.
pub fn read(path: &Path) -> Result<TensorFile, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
    from_bytes(path, bytes)
}

/// As [`read`], for bytes already in memory; `path` is only named in errors.
///
/// # Errors
///
/// As [`read`], without the input/output.
pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<TensorFile, WeightsError> {
    let format = |what: String| WeightsError::format(path, what);
    let (found, metadata) = if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80]) {
        (torch_file::read(&bytes).map_err(format)?, BTreeMap::new())
    } else {
        let (tensors, metadata) = read_safetensors(&bytes).map_err(format)?;
        (vec![torch_file::Found { place: String::new(), tensors }], metadata)
    };
    let dicts: Vec<StateDict> = found
        .into_iter()
        .filter(|dict| !dict.tensors.is_empty())
        .map(|torch_file::Found { place, tensors }| StateDict {
            place,
            tensors: strip_wrappers(tensors).into_iter().map(|t| (t.key.clone(), t)).collect(),
        })
        .collect();
    if dicts.is_empty() {
        return Err(format("holds no tensors; save a state dict (key -> tensor) into it".to_owned()));
    }
    Ok(TensorFile { path: path.to_owned(), bytes, dicts, metadata })
}

fn strip_wrappers(mut list: Vec<NamedTensor>) -> Vec<NamedTensor> {
    const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."]; // data-parallel and compiled modules
    while let Some(prefix) = WRAPPERS.iter().find(|p| list.iter().all(|t| t.key.starts_with(**p))) {
        for tensor in &mut list {
            tensor.key.drain(..prefix.len());
        }
    }
    list
}

fn read_safetensors(bytes: &[u8]) -> Result<(Vec<NamedTensor>, BTreeMap<String, String>), String> {
    let not_one = |e: safetensors::SafeTensorError| match Foreign::of(bytes) {
        Some(Foreign::Onnx) => {
            "is an ONNX file, whose weights are not read; give the .safetensors, .pth or .pt file it was made from"
                .to_owned()
        }
        Some(Foreign::PyTorch) | None => format!(
            "is neither a PyTorch file nor a sound safetensors file ({e}); give a .safetensors, .pth or .pt file"
        ),
    };
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(not_one)?;
    let data = 8 + header; // the header's length takes the first 8 bytes
    if metadata.data_len() > bytes.len() - data.min(bytes.len()) {
        return Err("is truncated: its header promises more bytes than there are; copy or download it again".to_owned());
    }
    let mut list = Vec::new();
    for key in metadata.offset_keys() {
        let Some(info) = metadata.info(&key) else { continue };
        let dtype = match info.dtype {
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::F64 => Dtype::F64,
            safetensors::Dtype::F16 => Dtype::F16,
            safetensors::Dtype::BF16 => Dtype::Bf16,
            safetensors::Dtype::I64 => Dtype::I64,
            safetensors::Dtype::I32 => Dtype::I32,
            safetensors::Dtype::I16 => Dtype::I16,
            safetensors::Dtype::I8 => Dtype::I8,
            safetensors::Dtype::U8 => Dtype::U8,
            safetensors::Dtype::BOOL => Dtype::Bool,
            other => {
                return Err(format!(
                    "tensor '{key}' has element type {other:?}; convert it to a float or integer type"
                ));
            }
        };
        let shape: Option<Vec<i64>> = info.shape.iter().map(|d| i64::try_from(*d).ok()).collect();
        let shape = shape.ok_or_else(|| format!("tensor '{key}' has a dimension beyond 2^63: {:?}", info.shape))?;
        let strides = contiguous(&shape).ok_or_else(|| format!("tensor '{key}' is too large: {shape:?}"))?;
        let range = data + info.data_offsets.0..data + info.data_offsets.1;
        list.push(NamedTensor::view(key, dtype, &range, Strided { offset: 0, shape, strides: &strides })?);
    }
    let pairs = metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone()));
    Ok((list, pairs.collect()))
}

/// Row-major strides; `None` on overflow.
fn contiguous(shape: &[i64]) -> Option<Vec<i64>> {
    let mut strides = vec![1_i64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].checked_mul(shape[axis].max(1))?;
    }
    Some(strides)
}

#[cfg(test)]
#[path = "tensors_tests.rs"]
mod tests;
