//! Where and how a run computes and what it starts from, as a plan says it in a word.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::choice;

choice! {
    /// Arithmetic of the forward and backward pass; parameters and optimizer state are always 32-bit.
    Precision {
        /// `bf16` where the device computes in it natively, otherwise `fp32`.
        Auto = "auto",
        /// 32-bit floats.
        Fp32 = "fp32",
        /// bfloat16 where it is safe.
        Bf16 = "bf16",
        /// 16-bit floats where it is safe, with loss scaling.
        Fp16 = "fp16",
    }
}

choice! {
    /// Where settings that nobody chose come from.
    Recipe {
        /// From what is known of the data, the weights and the device.
        Auto = "auto",
        /// From the specification, to the letter.
        Specification = "specification",
    }
}

/// Where a run computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The first CUDA device if there is one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number, from 0.
    Cuda(u8),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// A word that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no device; it is one of auto, cpu, cuda, cuda:N")]
pub struct UnknownDevice(pub String);

impl FromStr for Device {
    type Err = UnknownDevice;

    /// Case does not matter; `cuda` is `cuda:0`.
    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let word = text.trim().to_ascii_lowercase();
        match word.as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let index = other.strip_prefix("cuda:").and_then(|index| index.parse().ok());
                index.map(Self::Cuda).ok_or_else(|| UnknownDevice(text.to_owned()))
            }
        }
    }
}

/// The weights that a run starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pretrained {
    /// Published ones, where there are any.
    #[default]
    Auto,
    /// None: random weights.
    None,
    /// Those of a file.
    File(String),
}

impl fmt::Display for Pretrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::File(path) => path,
        })
    }
}

impl FromStr for Pretrained {
    type Err = Infallible;

    /// Whatever is neither `auto` nor `none`, in any case, is a path.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "auto" => Self::Auto,
            "none" => Self::None,
            _ => Self::File(text.to_owned()),
        })
    }
}
