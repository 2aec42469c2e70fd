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

/// Whether a message of libtorch's says that memory ran out. Its allocators' error has a type in C++ alone: through the C
/// interface of `tch` only the text comes, so it is read here and nowhere else.
#[must_use]
pub fn is_out_of_memory(message: &str) -> bool {
    message.contains("out of memory") || message.contains("can't allocate memory")
}

/// Turns what a C function returned into a result, and frees the message.
pub(crate) fn check(call: &'static str, message: *mut c_char) -> Result<(), BridgeError> {
    match take_text(message) {
        None => Ok(()),
        Some(message) => Err(BridgeError::Torch { call, message }),
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
