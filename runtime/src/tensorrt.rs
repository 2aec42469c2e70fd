//! TensorRT for RTX: NVIDIA's library for ONNX Runtime, and the libraries that it needs.
//!
//! ONNX Runtime's own TensorRT provider is another one: it is bound to one build of ONNX Runtime and one version of TensorRT, builds
//! an engine anew whenever images have a new size, and is called legacy by ONNX Runtime's documentation.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ort::session::builder::SessionBuilder;
use ort::util::preload_dylib;

use crate::TENSORRT_VARIABLE;
use crate::plugin::Library;

/// NVIDIA's library.
pub(crate) const LIBRARY: Library = Library {
    name: "TensorRT",
    provider: "NvTensorRTRTXExecutionProvider",
    file: "libonnxruntime_providers_nv_tensorrt_rtx.so",
    variable: TENSORRT_VARIABLE,
    folder: "tensorrt",
    package: "onnxruntime_ep_nv_tensorrt_rtx",
    get: "run `scripts/setup --tensorrt`, or name the file of the Python package onnxruntime-ep-nv-tensorrt-rtx-cu13, or its \
          folder, in FOVEA_TENSORRT",
};

/// Libraries of NVIDIA's driver.
const DRIVER: [&str; 2] = ["libcuda.so.1", "libnvidia-ml.so.1"];
/// Libraries that come with the package, each before those that need it.
const BUNDLED: [&str; 3] = ["libcudart.so.13", "libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"];

/// Asks for the card of this number.
///
/// # Errors
/// What is missing, or what ONNX Runtime said.
pub(crate) fn register(builder: SessionBuilder, device: u16) -> Result<SessionBuilder, String> {
    let environment = LIBRARY.open(load_libraries)?;
    let offered = LIBRARY.devices(environment);
    let count = offered.len();
    let chosen = offered.into_iter().nth(usize::from(device)).ok_or_else(|| {
        format!(
            "TensorRT for RTX offers {count} cards here, numbered from 0; it takes RTX cards of compute capability 8.6, 8.9, and 12.0 \
             or later. For other cards of NVIDIA there is cuda:N"
        )
    })?;
    builder.with_devices([chosen], None).map_err(|e| e.message().to_owned())
}

/// Loads what NVIDIA's library needs, because it names no folder to look in: what comes with it from its own folder, or else from
/// where the system's loader looks.
fn load_libraries(folder: &Path) -> Result<(), String> {
    let missing = |names: &[&'static str]| -> Vec<&'static str> {
        let is_missing = |name: &&str| match versioned(folder, name) {
            Some(file) => preload_dylib(file).is_err(),
            None => preload_dylib(*name).is_err(),
        };
        names.iter().copied().filter(is_missing).collect()
    };
    let driver = missing(&DRIVER);
    if !driver.is_empty() {
        return Err(format!("NVIDIA's driver is not found: {}; install it", driver.join(", ")));
    }
    let bundled = missing(&BUNDLED);
    if !bundled.is_empty() {
        let (folder, get) = (folder.display(), LIBRARY.get);
        return Err(format!(
            "these libraries cannot be loaded, neither from {folder} nor by name: {}; {get}",
            bundled.join(", ")
        ));
    }
    Ok(())
}

/// The file of this name in the folder, or of this name with more of its version, such as `libcudart.so.13.4` for `libcudart.so.13`.
fn versioned(folder: &Path, name: &str) -> Option<PathBuf> {
    let fits = |file: &str| file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut found: Vec<PathBuf> =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(fits)).map(|entry| entry.path()).collect();
    found.sort();
    found.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_under_more_of_its_version() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["libcudart.so.13.4.36", "libtensorrt_rtx.so.1", "libtensorrt_rtx.so.1.7.1", "libtensorrt_rtx.so.10"]
        {
            fs::write(folder.path().join(name), b"no library").unwrap();
        }
        let found = |name: &str| versioned(folder.path(), name).map(|path| path.file_name().unwrap().to_owned());
        assert_eq!(found("libcudart.so.13").unwrap(), "libcudart.so.13.4.36");
        assert_eq!(found("libtensorrt_rtx.so.1").unwrap(), "libtensorrt_rtx.so.1");
        assert_eq!(found("libcudart.so.1"), None);
        assert_eq!(found("libtensorrt_onnxparser_rtx.so.1"), None);
    }

    #[test]
    fn what_is_no_library_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        for name in DRIVER.iter().chain(&BUNDLED) {
            fs::write(folder.path().join(name), b"no library").unwrap();
        }
        let error = load_libraries(folder.path()).unwrap_err();
        assert!(error.contains("driver") && error.contains("libcuda.so.1"), "{error}");
    }
}
