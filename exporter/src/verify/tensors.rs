//! Tensors of a recording.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// A tensor of this type and rank.
pub(super) fn tensor<'a>(
    file: &'a SafeTensors,
    key: &str,
    dtype: Dtype,
    rank: usize,
) -> Result<TensorView<'a>, String> {
    let t = file.tensor(key).map_err(|_| format!("there is no tensor '{key}'"))?;
    if t.dtype() != dtype || t.shape().len() != rank {
        return Err(format!("'{key}' is {:?} {:?}; {dtype:?} of rank {rank} is needed", t.dtype(), t.shape()));
    }
    Ok(t)
}

pub(super) fn floats(t: &TensorView) -> Vec<f32> {
    t.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

pub(super) fn integers(t: &TensorView) -> Vec<i64> {
    t.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
}
