//! What can go wrong on the other side of the bridge, and how its words come over.

use std::ffi::{CStr, c_char};

use crate::ffi;

/// What can go wrong on the other side of the bridge.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// libtorch refused a call; its own words.
    #[error("{call}: {message}")]
    Torch {
        /// The function of this crate.
        call: &'static str,
        /// What libtorch said.
        message: String,
    },
    /// Memory ran out, as the type of libtorch's or C++'s exception says.
    #[error("{call}: out of memory: {message}")]
    OutOfMemory {
        /// The function of this crate.
        call: &'static str,
        /// What libtorch said.
        message: String,
    },
    /// Lists that go together have different lengths.
    #[error("{call}: {found} tensors of '{list}' for {parameters} parameters")]
    Length {
        /// The function of this crate.
        call: &'static str,
        /// The list that differs.
        list: &'static str,
        /// Its length.
        found: usize,
        /// The number of parameters.
        parameters: usize,
    },
    /// Tensors or numbers that a kernel cannot take.
    #[error("{call}: {problem}")]
    Input {
        /// The function of this crate.
        call: &'static str,
        /// The input, what it is and what it has to be.
        problem: String,
    },
    /// libtorch's CUDA half could not be opened.
    #[error(
        "cannot open {path}: {reason}. Run `scripts/setup --cuda` and check the NVIDIA driver, or use `--device cpu`"
    )]
    CudaLibrary {
        /// The file that was tried.
        path: String,
        /// What the dynamic linker said.
        reason: String,
    },
    /// Somebody asked libtorch about CUDA too early; it remembers its first answer for good.
    #[error("load_cuda was called after CUDA had been asked for, and libtorch keeps its first answer; call it first")]
    CudaTooLate,
}

impl BridgeError {
    /// Whether memory ran out, on the host or on a device.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::OutOfMemory { .. } => true,
            // The CPU's allocator fails with the type of any other failure.
            Self::Torch { message, .. } => is_host_memory(message),
            Self::Length { .. } | Self::Input { .. } | Self::CudaLibrary { .. } | Self::CudaTooLate => false,
        }
    }
}

/// Whether what `tch` passed on says that memory ran out. Through its C interface only the text of an exception comes, so that is
/// read here and nowhere else: a device's caching allocator, the CPU's allocator, and CUDA and its libraries where they ask the
/// device themselves.
#[must_use]
pub fn is_out_of_memory(message: &str) -> bool {
    let of_a_device = ["out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"];
    is_host_memory(message) || of_a_device.iter().any(|text| message.contains(text))
}

fn is_host_memory(message: &str) -> bool {
    message.contains("can't allocate memory")
}

/// Turns what a guarded C function returned into a result, and frees the message, whose first byte is the kind of failure.
pub(crate) fn check(call: &'static str, message: *mut c_char) -> Result<(), BridgeError> {
    match take_text(message) {
        None => Ok(()),
        Some(message) => Err(match message.strip_prefix('m') {
            Some(message) => BridgeError::OutOfMemory { call, message: message.to_owned() },
            None => BridgeError::Torch { call, message: message.chars().skip(1).collect() },
        }),
    }
}

/// Copies and frees a text that came from the C side; `None` for null.
pub(crate) fn take_text(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: every non-null text the bridge returns is a NUL-terminated string allocated for the caller, freed here exactly once.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        ffi::fovea_free_message(text);
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_memory_is_told_by_the_type_of_the_exception() {
        // SAFETY: a plain value.
        let fail = |is_memory| check("test", unsafe { ffi::fovea_fail(is_memory) }).expect_err("it fails");
        let (memory, other) = (fail(true), fail(false));
        assert!(memory.is_out_of_memory() && matches!(memory, BridgeError::OutOfMemory { .. }), "{memory}");
        assert_eq!(memory.to_string(), "test: out of memory: no room for 1 GiB");
        // Its text alone would mislead.
        assert!(!other.is_out_of_memory() && is_out_of_memory(&other.to_string()), "{other}");
        assert_eq!(other.to_string(), "test: this text names an out of memory error and is none");
    }

    #[test]
    fn what_tch_passes_on_is_told_by_its_text() {
        for text in [
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.19 GiB",
            "CUDA error: out of memory",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        ] {
            assert!(is_out_of_memory(text), "{text}");
        }
        assert!(!is_out_of_memory("The size of tensor a (3) must match the size of tensor b (4)"));
    }

    #[test]
    fn a_tensor_that_no_machine_has_room_for_is_out_of_memory() {
        let error =
            tch::Tensor::f_zeros([1 << 50], (tch::Kind::Double, tch::Device::Cpu)).expect_err("8 PiB").to_string();
        assert!(is_out_of_memory(&error), "{error}");
    }
}
