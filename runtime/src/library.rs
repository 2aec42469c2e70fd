//! Finding and loading `libonnxruntime.so`, once per process.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use ort::{environment::Environment, logging::LogLevel};

use crate::variable::LIBRARY_VARIABLE;
use crate::{RuntimeError, telemetry};

/// The folder of `native/` in which `scripts/setup` puts ONNX Runtime.
const FOLDER: &str = "onnxruntime";

static LOADED: OnceLock<(Environment, PathBuf)> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads ONNX Runtime and returns the process's one environment.
///
/// Searched in this order: `explicit`; the variable [`LIBRARY_VARIABLE`]; `lib/` beside the executable;
/// `native/onnxruntime/` in each folder above the executable. `explicit` and the variable may name the file or its
/// folder, and whatever they name must work: there is no falling through to the next place. Only the first successful
/// call decides; later calls return the same environment whatever they name.
///
/// # Errors
/// [`RuntimeError::Telemetry`] in a process that ONNX Runtime would report from (see [`telemetry`]),
/// [`RuntimeError::LibraryNotFound`] with the places searched, [`RuntimeError::Library`] when the file is not a usable
/// ONNX Runtime (wrong version, missing dependency). A failed call may be repeated with another path.
pub fn init(explicit: Option<&Path>) -> Result<&'static Environment, RuntimeError> {
    if let Some((environment, _)) = LOADED.get() {
        return Ok(environment);
    }
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((environment, _)) = LOADED.get() {
        return Ok(environment);
    }
    if !telemetry::is_off() {
        return Err(RuntimeError::Telemetry { problem: telemetry::problem() });
    }
    let path = find(explicit)?;
    let fail = |reason: String| RuntimeError::Library { path: path.clone(), reason };
    let environment = ort::init_from(&path)
        .map_err(|e| fail(e.to_string()))?
        .with_name("fovea")
        // The variable has it off already; `ort` would ask for it again.
        .with_telemetry(false)
        .build()
        .map_err(|e| fail(e.to_string()))?;
    // Messages go through `tracing`; without this every one, down to the most verbose, is formatted and then thrown away.
    environment.set_log_level(LogLevel::Warning);
    tracing::debug!(library = %path.display(), "ONNX Runtime loaded");
    let (environment, _) = LOADED.get_or_init(|| (environment, path));
    Ok(environment)
}

/// The environment, once the library is loaded.
pub(crate) fn environment() -> Option<&'static Environment> {
    LOADED.get().map(|(environment, _)| environment)
}

/// The library's file, once it is loaded.
pub(crate) fn path() -> Option<&'static Path> {
    LOADED.get().map(|(_, path)| path.as_path())
}

fn find(explicit: Option<&Path>) -> Result<PathBuf, RuntimeError> {
    let named = explicit.map(Path::to_path_buf).or_else(|| named_in(LIBRARY_VARIABLE));
    if let Some(named) = named {
        return library_at(&named).ok_or(RuntimeError::LibraryNotFound { searched: vec![named] });
    }
    let places = places_above(&env::current_exe().unwrap_or_default(), FOLDER);
    places.iter().find_map(|place| library_at(place)).ok_or(RuntimeError::LibraryNotFound { searched: places })
}

/// What the variable of this name says; an empty one is one that is not set, as for the others.
pub(crate) fn named_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Folders to search when nothing is named, nearest first: `lib/`, and this folder of every `native/`.
pub(crate) fn places_above(executable: &Path, folder: &str) -> Vec<PathBuf> {
    let beside = executable.parent().map(|folder| folder.join("lib"));
    let above = executable.ancestors().skip(1).map(|above| above.join("native").join(folder));
    beside.into_iter().chain(above).collect()
}

/// The library at `place`: the file itself, or the one in that folder. Of several versions the last by name, so that
/// the answer does not depend on the order of the folder.
fn library_at(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        // A relative path would be looked for beside the executable first, which is not what was named.
        return fs::canonicalize(place).ok();
    }
    let mut found: Vec<PathBuf> = fs::read_dir(place)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            name.starts_with("libonnxruntime.so") && path.is_file()
        })
        .collect();
    found.sort();
    fs::canonicalize(found.pop()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_beside_the_executable_then_upwards() {
        let places = places_above(Path::new("/a/target/release/server"), FOLDER);
        let names: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        assert_eq!(
            names,
            [
                "/a/target/release/lib",
                "/a/target/release/native/onnxruntime",
                "/a/target/native/onnxruntime",
                "/a/native/onnxruntime",
                "/native/onnxruntime"
            ]
        );
    }

    #[test]
    fn finds_the_versioned_file_in_a_folder() {
        let folder = env::temp_dir().join(format!("fovea-library-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(library_at(&folder), None);
        for name in ["libonnxruntime.so.1.30.0", "libonnxruntime.so.1.31.1", "libonnxruntime_providers_shared.so"] {
            fs::write(folder.join(name), b"").unwrap();
        }
        let found = library_at(&folder).unwrap();
        assert_eq!(found.file_name().unwrap(), "libonnxruntime.so.1.31.1");
        assert_eq!(library_at(&found).unwrap(), found);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_named_place_that_is_not_there_is_an_error() {
        let error = find(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/libonnxruntime.so"), "{error}");
    }
}
