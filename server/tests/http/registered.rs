//! Versions of models in a repository, as `trainer register` writes them.

use std::{collections::BTreeMap, fs, io, path::Path};

use schemas::{
    SCHEMA_VERSION, Task,
    registered::{DESCRIPTION, FILE, RegisteredModel},
};

/// What is known of a file that is registered. The server goes by the file's own metadata; the rest is for people.
pub fn description(name: &str, version: u64, bytes: &[u8]) -> RegisteredModel {
    RegisteredModel {
        schema_version: SCHEMA_VERSION,
        name: name.to_owned(),
        version,
        task: Task::ImageClassification,
        model_name: "resnet18".to_owned(),
        labels: vec!["a".to_owned()],
        sha256: files::digest::of_bytes(bytes),
        bytes: bytes.len() as u64,
        run: "runs/x".to_owned(),
        study: None,
        metrics: BTreeMap::new(),
        intervals: BTreeMap::new(),
        measured: "nothing".to_owned(),
        data: BTreeMap::new(),
        weights: None,
        versions: BTreeMap::new(),
    }
}

/// Registers a version whose description is of `described` and whose file is `bytes`: its folder gets its name when everything is in
/// it.
///
/// # Errors
/// Those of the system.
pub fn write(folder: &Path, (name, version): (&str, u64), described: &[u8], bytes: &[u8]) -> io::Result<()> {
    let parts = folder.join(name).join(format!(".partial-{version}"));
    fs::create_dir_all(&parts)?;
    fs::write(parts.join(FILE), bytes)?;
    fs::write(parts.join(DESCRIPTION), serde_json::to_vec(&description(name, version, described))?)?;
    fs::rename(parts, folder.join(name).join(version.to_string()))
}
