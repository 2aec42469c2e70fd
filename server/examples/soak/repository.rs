//! The folder of models that the server serves, and what is done to it while the server runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::registered;

/// A model of the repository.
pub struct Model {
    pub name: &'static str,
    /// The files of its even and its odd versions. Their answers differ, so that an answer of the wrong version is noticed.
    files: [&'static str; 2],
}

/// Models that are swapped for their next version in turn.
pub static SWAPPED: [Model; 3] = [
    Model { name: "classifier", files: ["tiny_multilabel.onnx", "tiny_prepared.onnx"] },
    Model { name: "detector", files: ["tiny_detector_tiled.onnx", "tiny_detector_prepared.onnx"] },
    Model { name: "masks", files: ["tiny_masks_whole.onnx", "tiny_masks_prepared.onnx"] },
];
/// The one that stays.
pub static STAYING: Model = Model { name: "whole", files: ["tiny_whole.onnx"; 2] };

/// Whether the file of a version is the one that its description tells of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Soundness {
    Sound,
    /// Its last byte is another one.
    Broken,
}

/// Which of a model's files a version has.
pub fn flavour(version: u64) -> usize {
    (version % 2) as usize
}

/// The path of a file of the server's tests.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The folder.
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// A folder with version 1 of every model.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create(folder: PathBuf) -> anyhow::Result<Self> {
        let repository = Self { folder };
        for model in SWAPPED.iter().chain([&STAYING]) {
            repository.register(model, 1, Soundness::Sound)?;
        }
        Ok(repository)
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Adds a version as `trainer register` does: its folder gets its name when everything is in it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn register(&self, model: &Model, version: u64, soundness: Soundness) -> anyhow::Result<()> {
        let file = fixture(model.files[flavour(version)]);
        let mut bytes = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let described = bytes.clone();
        match (soundness, bytes.last_mut()) {
            (Soundness::Broken, Some(last)) => *last ^= 1,
            (Soundness::Broken, None) | (Soundness::Sound, _) => {}
        }
        registered::write(&self.folder, (model.name, version), &described, &bytes)
            .with_context(|| format!("{} cannot be made", self.place(model, version).display()))
    }

    /// Takes a version away.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(&self, model: &Model, version: u64) -> anyhow::Result<()> {
        let place = self.place(model, version);
        fs::remove_dir_all(&place).with_context(|| format!("{} cannot be removed", place.display()))
    }

    fn place(&self, model: &Model, version: u64) -> PathBuf {
        self.folder.join(model.name).join(version.to_string())
    }
}
