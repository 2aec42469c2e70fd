//! Probe: a model of any inputs and outputs, run by name. The exporter asks it about values inside a graph.

use std::collections::BTreeMap;

use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor as OrtTensor, TensorElementType, ValueType};

use crate::RuntimeError;
use crate::model::{Options, failed, session_of};

/// Elements of a [`Tensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Bytes.
    U8(Vec<u8>),
}

/// A tensor in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// As many elements as the lengths multiplied.
    pub data: Data,
}

impl Tensor {
    /// The floats, if these are floats.
    #[must_use]
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            Data::I64(_) | Data::U8(_) => None,
        }
    }

    /// The integers, if these are integers.
    #[must_use]
    pub fn integers(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(values) => Some(values),
            Data::F32(_) | Data::U8(_) => None,
        }
    }

    /// The bytes, if these are bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::U8(values) => Some(values),
            Data::F32(_) | Data::I64(_) => None,
        }
    }

    fn to_value(&self) -> Result<SessionInputValue<'static>, ort::Error> {
        let shape = self.shape.clone();
        Ok(match &self.data {
            Data::F32(values) => OrtTensor::from_array((shape, values.clone()))?.into(),
            Data::I64(values) => OrtTensor::from_array((shape, values.clone()))?.into(),
            Data::U8(values) => OrtTensor::from_array((shape, values.clone()))?.into(),
        })
    }
}

/// A model opened for its values. It need not be a file of Fovea.
pub struct Probe {
    session: Session,
}

impl Probe {
    /// Opens a model held in memory.
    ///
    /// # Errors
    /// When ONNX Runtime is not there, or the bytes are no model that it opens.
    pub fn open(bytes: &[u8], options: &Options) -> Result<Self, RuntimeError> {
        Ok(Self { session: session_of(bytes, "probe", options)? })
    }

    /// Every output by name, for these inputs by name.
    ///
    /// # Errors
    /// When the inputs do not fit the model, ONNX Runtime fails, or an output is of a type that [`Data`] does not have.
    pub fn run(&mut self, inputs: &[(String, Tensor)]) -> Result<BTreeMap<String, Tensor>, RuntimeError> {
        let values = inputs.iter().map(|(name, tensor)| Ok((name.as_str(), tensor.to_value()?)));
        let values = values.collect::<Result<Vec<_>, ort::Error>>().map_err(|e| failed(&e))?;
        let outputs = self.session.run(values).map_err(|e| failed(&e))?;
        let mut all = BTreeMap::new();
        for (name, value) in &outputs {
            let other = |found: String| RuntimeError::Run { reason: format!("output {name:?} is {found}") };
            let ValueType::Tensor { ty, .. } = value.dtype() else { return Err(other(value.dtype().to_string())) };
            let tensor = match ty {
                TensorElementType::Float32 => {
                    let (shape, values) = value.try_extract_tensor::<f32>().map_err(|e| failed(&e))?;
                    (shape.to_vec(), Data::F32(values.to_vec()))
                }
                TensorElementType::Int64 => {
                    let (shape, values) = value.try_extract_tensor::<i64>().map_err(|e| failed(&e))?;
                    (shape.to_vec(), Data::I64(values.to_vec()))
                }
                TensorElementType::Uint8 => {
                    let (shape, values) = value.try_extract_tensor::<u8>().map_err(|e| failed(&e))?;
                    (shape.to_vec(), Data::U8(values.to_vec()))
                }
                other_type => return Err(other(other_type.to_string())),
            };
            let shape = tensor.0.iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
            all.insert(name.to_owned(), Tensor { shape, data: tensor.1 });
        }
        Ok(all)
    }
}
