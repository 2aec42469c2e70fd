//! Providers: what the operators of a session run on, and how ONNX Runtime is asked for one.

use std::{fmt, str::FromStr};

use ort::ep::{self, ExecutionProvider as _};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{Session, builder::SessionBuilder};
use thiserror::Error;

use crate::{RuntimeError, cuda};

/// What runs a model's operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The processor. It is always there.
    #[default]
    Cpu,
    /// An NVIDIA card.
    Cuda {
        /// Its number, from 0, as the driver counts the cards that the process may see.
        device: u16,
    },
}

/// What is the name of no [`Provider`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is no provider; write cpu, cuda, or cuda:N with the number of the card, such as cuda:1")]
pub struct UnknownProvider(
    /// What was given.
    pub String,
);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownProvider(text.to_owned());
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda { device: 0 }),
            Some(("cuda", number)) if number.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self::Cuda { device: number.parse().map_err(|_| unknown())? })
            }
            None | Some(_) => Err(unknown()),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { device } => write!(f, "cuda:{device}"),
        }
    }
}

/// What a provider has to know of the model before it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    /// Whether kernels are recorded and played again: CUDA graphs.
    pub graphs: bool,
    /// Whether all images have one size, so that a long search for the fastest convolution is made only once.
    pub one_size: bool,
}

impl Provider {
    /// What ONNX Runtime calls it, as in the [`crate::Placement`] of a model.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => ep::CPU::NAME,
            Self::Cuda { .. } => ep::CUDA::NAME,
        }
    }

    /// Asks for it, as the first choice for every operator; what it cannot run, the processor runs.
    pub(crate) fn register(self, builder: SessionBuilder, wishes: Wishes) -> Result<SessionBuilder, RuntimeError> {
        match self {
            Self::Cpu => Ok(builder),
            Self::Cuda { device } => cuda::register(builder, device, wishes).map_err(|reason| self.refused(reason)),
        }
    }

    /// The error that says why it cannot be used.
    pub(crate) fn refused(self, reason: String) -> RuntimeError {
        RuntimeError::Provider { provider: self, reason }
    }

    /// Memory that this processor writes and the provider reads without a copy in between.
    pub(crate) fn host(self, session: &Session) -> ort::Result<Allocator> {
        match self {
            Self::Cpu => Allocator::new(session, cpu_memory()?),
            Self::Cuda { device } => {
                let pinned = |number: i32| {
                    let (kind, use_of) = (AllocatorType::Device, MemoryType::CPUInput);
                    Allocator::new(session, MemoryInfo::new(AllocationDevice::CUDA_PINNED, number, kind, use_of)?)
                };
                // Versions of ONNX Runtime differ in whether pinned memory goes by the card's number or always by 0.
                pinned(i32::from(device)).or_else(|_| pinned(0))
            }
        }
    }

    /// Its own memory.
    pub(crate) fn memory(self, session: &Session) -> ort::Result<Allocator> {
        let memory = match self {
            Self::Cpu => cpu_memory()?,
            Self::Cuda { device } => {
                let device = i32::from(device);
                MemoryInfo::new(AllocationDevice::CUDA, device, AllocatorType::Device, MemoryType::Default)?
            }
        };
        Allocator::new(session, memory)
    }
}

/// The processor's memory, for answers.
pub(crate) fn cpu_memory() -> ort::Result<MemoryInfo<'static>> {
    MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, provider, written) in [
            ("cpu", Provider::Cpu, "cpu"),
            ("cuda", Provider::Cuda { device: 0 }, "cuda:0"),
            ("cuda:0", Provider::Cuda { device: 0 }, "cuda:0"),
            ("cuda:12", Provider::Cuda { device: 12 }, "cuda:12"),
        ] {
            assert_eq!(text.parse(), Ok(provider));
            assert_eq!(provider.to_string(), written);
        }
        for text in
            ["", "CPU", "cpu:0", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cuda:65536", "cuda:0:0", "tensorrt"]
        {
            let error = text.parse::<Provider>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("'{text}'")), "{error}");
        }
    }
}
