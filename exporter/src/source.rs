//! Where the values of parameters come from.

use models::weights::CheckpointFile;
use safetensors::Dtype;

/// A parameter that cannot be had as the definition wants it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The key is not there.
    #[error("the checkpoint has no tensor {key:?}, which the model needs; it holds another model, or is incomplete")]
    Missing {
        /// Key in the state dict.
        key: String,
    },
    /// The shape is another one.
    #[error(
        "tensor {key:?} has shape {found:?}; the model needs {expected:?}; the checkpoint holds another model, or another number of classes"
    )]
    Shape {
        /// Key in the state dict.
        key: String,
        /// Shape the definition asks for.
        expected: Vec<i64>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// The element type is another one.
    #[error("tensor {key:?} has elements of type {found}; only F32 is exported; convert the checkpoint to F32")]
    Type {
        /// Key in the state dict.
        key: String,
        /// Element type in the file.
        found: String,
    },
}

/// Gives parameters by key.
pub trait ParamSource {
    /// The float parameter under `key`: its elements row-major, little-endian, `4 * product(shape)` bytes.
    ///
    /// # Errors
    /// When there is no such parameter, or its shape or element type is another one.
    fn parameter(&self, key: &str, shape: &[i64]) -> Result<Vec<u8>, ParamError>;
}

impl ParamSource for CheckpointFile {
    fn parameter(&self, key: &str, shape: &[i64]) -> Result<Vec<u8>, ParamError> {
        let tensor = self.tensor(key).ok_or_else(|| ParamError::Missing { key: key.to_owned() })?;
        if tensor.dtype != Dtype::F32 {
            return Err(ParamError::Type { key: key.to_owned(), found: format!("{:?}", tensor.dtype) });
        }
        if !tensor.shape.iter().map(|&d| i64::try_from(d).unwrap_or(-1)).eq(shape.iter().copied()) {
            let found = tensor.shape.to_vec();
            return Err(ParamError::Shape { key: key.to_owned(), expected: shape.to_vec(), found });
        }
        Ok(tensor.data.to_vec())
    }
}
