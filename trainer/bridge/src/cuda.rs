//! CUDA, opened at run time, so that one binary serves machines with and without a GPU.
//!
//! Binaries link the CPU half of libtorch only. libtorch looks for its CUDA half the first time it is asked about CUDA and remembers
//! the answer for good, so [`load_cuda`] comes before anything else that mentions CUDA.

use crate::error::{BridgeError, take_text};
use crate::ffi;
use std::{
    ffi::CString,
    path::{Path, PathBuf},
    sync::Mutex,
};

const LIBRARY: &str = "libtorch_cuda.so";

#[derive(Clone, Copy, PartialEq)]
enum State {
    Untouched,
    Loaded,
    Asked,
}

static STATE: Mutex<State> = Mutex::new(State::Untouched);

/// Where libtorch's CUDA half lies, if it is installed: beside the CPU half that this process runs, or in `libtorch-cuda/lib` beside
/// its installation, where `scripts/setup --cuda` puts it.
pub fn cuda_library_folder() -> Option<PathBuf> {
    // SAFETY: takes nothing; what it returns is freed by take_text.
    let cpu = PathBuf::from(take_text(unsafe { ffi::fovea_libtorch_path() })?);
    let lib = cpu.parent()?;
    let beside = lib.parent().and_then(Path::parent).map(|folder| folder.join("libtorch-cuda/lib"));
    [Some(lib.to_path_buf()), beside].into_iter().flatten().find(|folder| folder.join(LIBRARY).is_file())
}

/// Opens libtorch's CUDA half from `folder`. Needs no GPU: afterwards [`cuda_available`] says whether there is one. Doing it again is
/// harmless.
///
/// # Errors
/// If the library or one it needs is missing, or CUDA has been asked for already.
pub fn load_cuda(folder: &Path) -> Result<(), BridgeError> {
    let mut state = STATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match *state {
        State::Loaded => return Ok(()),
        State::Asked => return Err(BridgeError::CudaTooLate),
        State::Untouched => {}
    }
    let path = folder.join(LIBRARY);
    let fail = |reason: String| BridgeError::CudaLibrary { path: path.display().to_string(), reason };
    if !path.is_file() {
        return Err(fail("there is no such file".to_owned()));
    }
    let text = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| fail(error.to_string()))?;
    // SAFETY: a NUL-terminated path. The library is libtorch's own, whose initialisers register its kernels and nothing else.
    if let Some(reason) = take_text(unsafe { ffi::fovea_open_library(text.as_ptr()) }) {
        return Err(fail(reason));
    }
    *state = State::Loaded;
    Ok(())
}

/// Whether a CUDA device can be used. Without [`load_cuda`] before, this is false and stays false.
pub fn cuda_available() -> bool {
    asked();
    tch::Cuda::is_available()
}

/// How many CUDA devices there are; 0 where [`cuda_available`] is false.
pub fn cuda_device_count() -> usize {
    if cuda_available() { usize::try_from(tch::Cuda::device_count()).unwrap_or(0) } else { 0 }
}

fn asked() {
    let mut state = STATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *state == State::Untouched {
        *state = State::Asked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because the order matters and the state is the process's.
    #[test]
    fn a_missing_library_is_named_and_asking_first_is_too_late() {
        let folder = Path::new("no/such/folder");
        let error = load_cuda(folder).expect_err("nothing there").to_string();
        assert!(error.contains("no/such/folder/libtorch_cuda.so") && error.contains("--cuda"), "{error}");
        if let Some(folder) = cuda_library_folder() {
            load_cuda(&folder).expect("scripts/setup --cuda put it there");
            assert_eq!(cuda_device_count() > 0, cuda_available());
        } else {
            assert!(!cuda_available());
            assert_eq!(cuda_device_count(), 0);
            assert!(matches!(load_cuda(folder), Err(BridgeError::CudaTooLate)));
        }
        crate::release_cached_memory().expect("without a device there is nothing to release");
    }
}
