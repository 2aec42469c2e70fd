//! Providers: what the operators of a session run on, and how ONNX Runtime is asked for one.

use std::{fmt, path::Path, str::FromStr};

use ort::ep::{self, ArenaExtendStrategy, ExecutionProvider as _, cuda::ConvAlgorithmSearch};
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::SessionBuilder;
use thiserror::Error;

use crate::{RuntimeError, library};

/// Files that ONNX Runtime looks for beside its own library when it is asked for CUDA.
const CUDA_FILES: [&str; 2] = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];

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
        let Self::Cuda { device } = self else { return Ok(builder) };
        self.built_in()?;
        let search = if wishes.one_size { ConvAlgorithmSearch::Exhaustive } else { ConvAlgorithmSearch::Heuristic };
        let cuda = ep::CUDA::default()
            .with_device_id(i32::from(device))
            .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
            .with_conv_algorithm_search(search)
            // Ten bits of mantissa would not reproduce the processor's answers within the limits of `sample`.
            .with_tf32(false)
            .with_cuda_graph(wishes.graphs);
        builder.with_execution_providers([cuda.build().error_on_failure()]).map_err(|e| {
            let missing = missing_libraries();
            let missing = if missing.is_empty() {
                String::new()
            } else {
                format!(
                    "; of the libraries of CUDA 13 and cuDNN 9 these cannot be loaded: {}. Name their folders in \
                     LD_LIBRARY_PATH before the program starts",
                    missing.join(", ")
                )
            };
            self.refused(format!("{}{missing}", e.message()))
        })
    }

    /// Whether the ONNX Runtime that is loaded has CUDA at all.
    fn built_in(self) -> Result<(), RuntimeError> {
        let library = library::path().unwrap_or(Path::new("libonnxruntime.so"));
        let get =
            "use the library, and the libonnxruntime_providers_*.so beside it, of the Python package onnxruntime-gpu";
        if !ep::CUDA::is_available().unwrap_or(false) {
            let place = library.display();
            return Err(self.refused(format!("ONNX Runtime at {place} was built without CUDA; {get}")));
        }
        let folder = library.parent().unwrap_or(Path::new("."));
        match CUDA_FILES.iter().find(|name| !folder.join(name).is_file()) {
            Some(name) => {
                Err(self
                    .refused(format!("ONNX Runtime looks for {name} in {}, where it is not; {get}", folder.display())))
            }
            None => Ok(()),
        }
    }

    /// The error that says why it cannot be used.
    pub(crate) fn refused(self, reason: String) -> RuntimeError {
        RuntimeError::Provider { provider: self, reason }
    }

    /// Memory that this processor writes and the provider reads without a copy in between.
    pub(crate) fn host(self) -> ort::Result<MemoryInfo<'static>> {
        match self {
            Self::Cpu => cpu_memory(),
            Self::Cuda { device } => {
                let device = i32::from(device);
                MemoryInfo::new(AllocationDevice::CUDA_PINNED, device, AllocatorType::Device, MemoryType::CPUInput)
            }
        }
    }

    /// Its own memory.
    pub(crate) fn memory(self) -> ort::Result<MemoryInfo<'static>> {
        match self {
            Self::Cpu => cpu_memory(),
            Self::Cuda { device } => {
                let device = i32::from(device);
                MemoryInfo::new(AllocationDevice::CUDA, device, AllocatorType::Device, MemoryType::Default)
            }
        }
    }
}

/// The processor's memory, for answers.
pub(crate) fn cpu_memory() -> ort::Result<MemoryInfo<'static>> {
    MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)
}

/// Libraries that the CUDA provider needs and the loader does not find. ONNX Runtime itself tells this to its log only.
fn missing_libraries() -> Vec<&'static str> {
    let all = ep::cuda::CUDA_DYLIBS.iter().chain(ep::cuda::CUDNN_DYLIBS);
    all.copied().filter(|name| ort::util::preload_dylib(*name).is_err()).collect()
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
