//! ONNX Runtime's CUDA provider: its files, NVIDIA's libraries that it needs, and its options.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ort::ep::{self, ArenaExtendStrategy, ExecutionProvider as _, cuda::ConvAlgorithmSearch};
use ort::session::builder::SessionBuilder;
use ort::util::preload_dylib;

use crate::library;
use crate::provider::Wishes;

/// Files that ONNX Runtime looks for beside its own library when it is asked for CUDA.
const FILES: [&str; 2] = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];
/// Where to get them.
const GET: &str = "run `scripts/setup --cuda`, or name a library in --library or FOVEA_ONNXRUNTIME that has the \
                   libonnxruntime_providers_*.so of the Python package onnxruntime-gpu beside it";

/// Asks for the card of this number.
///
/// # Errors
/// What is missing, or what ONNX Runtime said.
pub(crate) fn register(builder: SessionBuilder, device: u16, wishes: Wishes) -> Result<SessionBuilder, String> {
    let library = library::path().unwrap_or(Path::new("libonnxruntime.so"));
    if !ep::CUDA::is_available().unwrap_or(false) {
        return Err(format!("ONNX Runtime at {} was built without CUDA; {GET}", library.display()));
    }
    let folder = library.parent().unwrap_or(Path::new("."));
    if let Some(name) = FILES.iter().find(|name| !folder.join(name).is_file()) {
        return Err(format!("ONNX Runtime looks for {name} in {}, where it is not; {GET}", folder.display()));
    }
    let missing = load_libraries(&library_folders(folder));
    let search = if wishes.one_size { ConvAlgorithmSearch::Exhaustive } else { ConvAlgorithmSearch::Heuristic };
    let cuda = ep::CUDA::default()
        .with_device_id(i32::from(device))
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        .with_conv_algorithm_search(search)
        // Ten bits of mantissa would not reproduce the processor's answers within the limits of `sample`.
        .with_tf32(false)
        .with_cuda_graph(wishes.graphs);
    builder.with_execution_providers([cuda.build().error_on_failure()]).map_err(|error| {
        let reason = error.message();
        if missing.is_empty() {
            return reason.to_owned();
        }
        format!(
            "{reason}; of the libraries of CUDA 13 and cuDNN 9 these are not found: {}. Run `scripts/setup --cuda`, or name their \
             folders in LD_LIBRARY_PATH before the program starts",
            missing.join(", ")
        )
    })
}

/// Folders in which NVIDIA's libraries are looked for before the loader looks: beside the folder of ONNX Runtime where
/// `scripts/setup` puts them, and one above that, where Python packages are.
fn library_folders(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for above in folder.ancestors().skip(1).take(2) {
        let packages = fs::read_dir(above.join("nvidia")).into_iter().flatten().flatten();
        let mut packages: Vec<PathBuf> = packages.map(|package| package.path().join("lib")).collect();
        packages.sort();
        all.extend(packages);
        all.push(above.join("libtorch").join("lib"));
    }
    all
}

/// Loads NVIDIA's libraries, each before those that need it, and names those that are nowhere. ONNX Runtime, which finds the
/// loaded ones by their names, tells what it misses to its log only.
fn load_libraries(folders: &[PathBuf]) -> Vec<&'static str> {
    let is_missing = |name: &&str| {
        let file = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        match file {
            Some(file) => preload_dylib(file).is_err(),
            None => preload_dylib(*name).is_err(),
        }
    };
    ep::cuda::CUDA_DYLIBS.iter().chain(ep::cuda::CUDNN_DYLIBS).copied().filter(is_missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_looked_for_where_setup_and_python_put_them() {
        let root = tempfile::tempdir().unwrap();
        let made = |path: &str| {
            let folder = root.path().join(path);
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        let (cudnn, cublas) = (made("nvidia/cudnn/lib"), made("nvidia/cu13/lib"));
        for library in [made("onnxruntime"), made("onnxruntime/capi")] {
            let folders = library_folders(&library);
            let at = |folder: &PathBuf| folders.iter().position(|one| one == folder);
            assert!(at(&cublas) < at(&cudnn) && at(&cublas).is_some(), "{folders:?}");
        }
    }

    #[test]
    fn what_is_no_library_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("libcudart.so.13"), b"no library").unwrap();
        assert!(load_libraries(&[folder.path().to_path_buf()]).contains(&"libcudart.so.13"));
    }
}
