//! Providers: what the operators of a session run on, and how ONNX Runtime is asked for one.

use std::{fmt, str::FromStr};

use ort::ep::{self, ExecutionProvider as _};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{Session, builder::SessionBuilder};
use thiserror::Error;

use crate::{RuntimeError, cuda, openvino, plugin, tensorrt};

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
    /// Intel's OpenVINO, which brings its own kernels.
    OpenVino {
        /// What they run on.
        device: OpenVinoDevice,
    },
    /// An NVIDIA RTX card, through TensorRT for RTX.
    TensorRt {
        /// Its number, from 0, as TensorRT's library lists the cards.
        device: u16,
    },
}

/// What OpenVINO runs a model on, by its names there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OpenVinoDevice {
    /// The processor.
    #[default]
    Cpu,
    /// Intel's graphics.
    Gpu,
    /// Intel's neural processor.
    Npu,
}

impl OpenVinoDevice {
    /// OpenVINO's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Gpu => "GPU",
            Self::Npu => "NPU",
        }
    }
}

/// What is the name of no [`Provider`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "'{0}' is no provider; write cpu, cuda:N or tensorrt:N with the number of the card, such as cuda:1, or openvino:CPU, \
     openvino:GPU or openvino:NPU"
)]
pub struct UnknownProvider(
    /// What was given.
    pub String,
);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownProvider(text.to_owned());
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse().map_err(|_| unknown()),
            false => Err(unknown()),
        };
        match text.split_once(':').map_or((text, None), |(name, device)| (name, Some(device))) {
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", device) => Ok(Self::Cuda { device: number(device.unwrap_or("0"))? }),
            ("tensorrt", device) => Ok(Self::TensorRt { device: number(device.unwrap_or("0"))? }),
            ("openvino", None) => Ok(Self::OpenVino { device: OpenVinoDevice::default() }),
            ("openvino", Some("CPU")) => Ok(Self::OpenVino { device: OpenVinoDevice::Cpu }),
            ("openvino", Some("GPU")) => Ok(Self::OpenVino { device: OpenVinoDevice::Gpu }),
            ("openvino", Some("NPU")) => Ok(Self::OpenVino { device: OpenVinoDevice::Npu }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { device } => write!(f, "cuda:{device}"),
            Self::OpenVino { device } => write!(f, "openvino:{}", device.name()),
            Self::TensorRt { device } => write!(f, "tensorrt:{device}"),
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
    /// Threads that may work on one operation.
    pub threads: usize,
}

impl Provider {
    /// What ONNX Runtime calls it, as in the [`crate::Placement`] of a model.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => ep::CPU::NAME,
            Self::Cuda { .. } => ep::CUDA::NAME,
            Self::OpenVino { .. } => openvino::LIBRARY.provider,
            Self::TensorRt { .. } => tensorrt::LIBRARY.provider,
        }
    }

    /// Whether a batch of a new size costs it so much that batches are better filled up to a few sizes. A card and a neural
    /// processor choose kernels and lay memory out anew for each size. A processor does next to nothing for it, and what is filled
    /// up would have to be computed; so it is with OpenVINO's kernels, too.
    #[must_use]
    pub fn wants_few_sizes(self) -> bool {
        match self {
            Self::Cpu | Self::OpenVino { device: OpenVinoDevice::Cpu } => false,
            Self::Cuda { .. }
            | Self::OpenVino { device: OpenVinoDevice::Gpu | OpenVinoDevice::Npu }
            | Self::TensorRt { .. } => true,
        }
    }

    /// Whether runs can be recorded and played again.
    #[must_use]
    pub fn records(self) -> bool {
        match self {
            Self::Cuda { .. } => true,
            Self::Cpu | Self::OpenVino { .. } | Self::TensorRt { .. } => false,
        }
    }

    /// Whether it knows inputs that a run may leave out because the file has a value for them. OpenVINO refuses such a file; TensorRT
    /// may take the value for one that never changes.
    pub(crate) fn knows_optional_inputs(self) -> bool {
        match self {
            Self::Cpu | Self::Cuda { .. } => true,
            Self::OpenVino { .. } | Self::TensorRt { .. } => false,
        }
    }

    /// Asks for it, as the first choice for every operator; what it cannot run, the processor runs.
    pub(crate) fn register(self, builder: SessionBuilder, wishes: Wishes) -> Result<SessionBuilder, RuntimeError> {
        match self {
            Self::Cpu => on_processor(builder),
            Self::Cuda { device } => cuda::register(builder, device, wishes).map_err(|reason| self.refused(reason)),
            Self::OpenVino { device } => {
                openvino::register(builder, device, wishes).map_err(|reason| self.refused(reason))
            }
            Self::TensorRt { device } => tensorrt::register(builder, device).map_err(|reason| self.refused(reason)),
        }
    }

    /// The error that says why it cannot be used.
    pub(crate) fn refused(self, reason: String) -> RuntimeError {
        RuntimeError::Provider { provider: self, reason }
    }

    /// Memory that this processor writes and the provider reads, without a copy in between where that can be had: the memory of
    /// libraries that ONNX Runtime was not built with is known to nobody but them, and they fetch images by themselves.
    pub(crate) fn host(self, session: &Session) -> ort::Result<Allocator> {
        match self {
            Self::Cpu | Self::OpenVino { .. } | Self::TensorRt { .. } => Allocator::new(session, cpu_memory()?),
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

    /// Its own memory, where runs can be recorded in it.
    pub(crate) fn memory(self, session: &Session) -> ort::Result<Allocator> {
        let memory = match self {
            Self::Cpu | Self::OpenVino { .. } | Self::TensorRt { .. } => cpu_memory()?,
            Self::Cuda { device } => {
                let device = i32::from(device);
                MemoryInfo::new(AllocationDevice::CUDA, device, AllocatorType::Device, MemoryType::Default)?
            }
        };
        Allocator::new(session, memory)
    }
}

/// Keeps a session on the processor.
pub(crate) fn on_processor(builder: SessionBuilder) -> Result<SessionBuilder, RuntimeError> {
    match plugin::processor() {
        Some(processor) => {
            let refused = |e: ort::Error<SessionBuilder>| Provider::Cpu.refused(e.message().to_owned());
            builder.with_devices([processor], None).map_err(refused)
        }
        None => Ok(builder),
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
        let openvino = |device| Provider::OpenVino { device };
        for (text, provider, written) in [
            ("cpu", Provider::Cpu, "cpu"),
            ("cuda", Provider::Cuda { device: 0 }, "cuda:0"),
            ("cuda:0", Provider::Cuda { device: 0 }, "cuda:0"),
            ("cuda:12", Provider::Cuda { device: 12 }, "cuda:12"),
            ("openvino", openvino(OpenVinoDevice::Cpu), "openvino:CPU"),
            ("openvino:CPU", openvino(OpenVinoDevice::Cpu), "openvino:CPU"),
            ("openvino:GPU", openvino(OpenVinoDevice::Gpu), "openvino:GPU"),
            ("openvino:NPU", openvino(OpenVinoDevice::Npu), "openvino:NPU"),
            ("tensorrt", Provider::TensorRt { device: 0 }, "tensorrt:0"),
            ("tensorrt:3", Provider::TensorRt { device: 3 }, "tensorrt:3"),
        ] {
            assert_eq!(text.parse(), Ok(provider));
            assert_eq!(provider.to_string(), written);
        }
        for text in [
            "",
            "CPU",
            "cpu:0",
            "gpu",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:x",
            "cuda:65536",
            "cuda:0:0",
            "openvino:",
            "openvino:0",
            "openvino:gpu",
            "openvino:AUTO",
            "openvino:GPU:0",
            "OpenVINO",
            "tensorrt:",
            "tensorrt:CPU",
            "tensorrt:65536",
        ] {
            let error = text.parse::<Provider>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("'{text}'")), "{error}");
        }
    }
}
