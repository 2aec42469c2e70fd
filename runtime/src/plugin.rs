//! Libraries that are no part of ONNX Runtime and bring it a provider: where they are, and which devices they offer.
//!
//! Such a library is opened by ONNX Runtime itself, once for the process, and stays. It is built for any version of ONNX Runtime
//! from a certain one on, so that it need not come with it.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    device::Device,
    environment::Environment,
    ep::{self, ExecutionProvider as _},
};

use crate::library;

/// A library with a provider.
pub(crate) struct Library {
    /// What people call it.
    pub name: &'static str,
    /// What ONNX Runtime calls its provider.
    pub provider: &'static str,
    /// Its file.
    pub file: &'static str,
    /// The environment variable that names the file, or the folder it lies in.
    pub variable: &'static str,
    /// The folder of `native/` in which `scripts/setup` puts it.
    pub folder: &'static str,
    /// Its folder among Python packages.
    pub package: &'static str,
    /// Where to get it, and how to name it.
    pub get: &'static str,
}

/// Names of the libraries that ONNX Runtime has opened; it refuses one that it has.
static OPENED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// The processor's own device, to be named to ONNX Runtime, which would choose for itself among all providers as soon as a library has
/// brought another one; none before that.
pub(crate) fn processor() -> Option<Device<'static>> {
    if OPENED.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
        return None;
    }
    library::environment()?.devices().find(|device| device.ep().is_ok_and(|provider| provider == ep::CPU::NAME))
}

impl Library {
    /// Has ONNX Runtime open the library, unless it has done so. `prepare` is given its folder before.
    ///
    /// # Errors
    /// Where it was looked for, what `prepare` says, or what ONNX Runtime said, and what to do.
    pub(crate) fn open(
        &self,
        prepare: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<&'static Environment, String> {
        let environment =
            library::environment().ok_or("ONNX Runtime is not open yet; open the model on the cpu first")?;
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.contains(&self.name) {
            let path = self.find(library::named_in(self.variable), || self.places())?;
            prepare(path.parent().unwrap_or(Path::new(".")))?;
            environment
                .register_ep_library(self.name, &path)
                .map_err(|e| format!("{} cannot be opened: {}; {}", path.display(), e.message(), self.get))?;
            tracing::info!(library = %path.display(), "{} opened", self.name);
            opened.push(self.name);
        }
        Ok(environment)
    }

    /// The devices that the library offers, in its own order.
    pub(crate) fn devices(&self, environment: &'static Environment) -> Vec<Device<'static>> {
        environment.devices().filter(|device| device.ep().is_ok_and(|provider| provider == self.provider)).collect()
    }

    /// Its file, at the place that is named, or else at the first of the others that has it.
    fn find(&self, named: Option<PathBuf>, others: impl FnOnce() -> Vec<PathBuf>) -> Result<PathBuf, String> {
        let places = named.map_or_else(others, |named| vec![named]);
        let at = |place: &PathBuf| {
            let file = if place.is_dir() { place.join(self.file) } else { place.clone() };
            // A library looks for others beside itself, so where it really is counts.
            file.is_file().then(|| file.canonicalize().ok()).flatten()
        };
        places.iter().find_map(at).ok_or_else(|| {
            let searched: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
            format!("{} was not found; searched: {}; {}", self.file, searched.join(", "), self.get)
        })
    }

    /// Where it is looked for when nothing is named: beside ONNX Runtime, where setup and Python put both, and where setup puts it
    /// for this program.
    fn places(&self) -> Vec<PathBuf> {
        let beside = library::path().and_then(Path::parent).map(|folder| self.places_beside(folder));
        let above = library::places_above(&env::current_exe().unwrap_or_default(), self.folder);
        beside.into_iter().flatten().chain(above).collect()
    }

    fn places_beside(&self, onnxruntime: &Path) -> Vec<PathBuf> {
        let above = onnxruntime.ancestors().skip(1).take(2);
        let others = above.flat_map(|above| [above.join(self.folder), above.join(self.package)]);
        [onnxruntime.to_path_buf()].into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LIBRARY: Library = Library {
        name: "Trial",
        provider: "TrialExecutionProvider",
        file: "libtrial.so",
        variable: "FOVEA_TRIAL",
        folder: "trial",
        package: "onnxruntime_ep_trial",
        get: "run `scripts/setup --trial`",
    };

    #[test]
    fn it_is_looked_for_where_setup_and_python_put_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for (onnxruntime, plugin) in [
            ("native/onnxruntime", "native/trial"),
            ("packages/onnxruntime/capi", "packages/onnxruntime_ep_trial"),
            ("opt/lib", "opt/lib"),
        ] {
            let (onnxruntime, plugin) = (root.join(onnxruntime), root.join(plugin));
            fs::create_dir_all(&onnxruntime).unwrap();
            fs::create_dir_all(&plugin).unwrap();
            let places = || LIBRARY.places_beside(&onnxruntime);
            assert!(LIBRARY.find(None, places).is_err());
            fs::write(plugin.join("libtrial.so"), b"").unwrap();
            assert_eq!(LIBRARY.find(None, places), Ok(plugin.join("libtrial.so")));
        }
    }

    #[test]
    fn what_is_named_must_be_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().canonicalize().unwrap();
        let others = || vec![folder.clone()];
        fs::write(folder.join("libtrial.so"), b"").unwrap();
        fs::write(folder.join("another.so"), b"").unwrap();
        for (named, found) in [(folder.clone(), "libtrial.so"), (folder.join("another.so"), "another.so")] {
            assert_eq!(LIBRARY.find(Some(named), others), Ok(folder.join(found)));
        }
        let error = LIBRARY.find(Some("/nowhere".into()), others).unwrap_err();
        assert_eq!(error, "libtrial.so was not found; searched: /nowhere; run `scripts/setup --trial`");
    }
}
