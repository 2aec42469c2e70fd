//! `trainer register`: a trained model under a name and a version, where a server looks for models.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use files::{digest, write_atomic};
use models::weights::CheckpointFile;
use schemas::error::ErrorCode;
use schemas::registered::{DESCRIPTION, FILE, RegisteredModel, is_model_name, version_of};
use schemas::{CheckpointMeta, SCHEMA_VERSION};
use serde_json::{Value, json};

use super::Answer;
use crate::cli::args::RegisterArgs;
use crate::failure::fail;
use crate::train::folds::FINAL;
use crate::train::run_folder::RunFolder;

/// Copies a run's exported file and what is known of it into the folder of models, as the next version of a name.
///
/// # Errors
/// When the run has no exported file, the name is none, or the folder cannot be written.
pub fn run(args: &RegisterArgs) -> anyhow::Result<Answer> {
    if !is_model_name(&args.name) {
        let rule = "a name has 1 to 64 of A-Z a-z 0-9 _ . - and does not start with a dot";
        return Err(fail(ErrorCode::InvalidArguments, format!("--name {}: {rule}", args.name)));
    }
    let trained = Trained::of(&args.run)?;
    let registered = register(&trained, &args.models, &args.name, None)?;
    let place = args.models.join(&registered.name).join(registered.version.to_string());
    let text = format!(
        "{} version {}, {} with {} classes, {} bytes: {}\nserve it: server --model-repository {}",
        registered.name,
        registered.version,
        registered.model_name,
        registered.labels.len(),
        registered.bytes,
        place.display(),
        args.models.display(),
    );
    Ok(Answer::done(text, json!({ "folder": place, "model": registered })))
}

/// A run with an exported file.
pub struct Trained {
    root: PathBuf,
    onnx: PathBuf,
    meta: CheckpointMeta,
    measured: Option<Measured>,
}

/// What was measured, and on what.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Intervals of the main ones.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// What was measured, on what.
    pub what: String,
}

impl Trained {
    /// The run in a folder; of a cross-validation the model that was trained on everything.
    ///
    /// # Errors
    /// When the folder is no run, or its model was not exported.
    pub fn of(root: &Path) -> anyhow::Result<Self> {
        let last = root.join(FINAL);
        let root = if RunFolder::is_run(&last) { last } else { root.to_owned() };
        if !RunFolder::is_run(&root) {
            let message =
                format!("{} is no run; name the folder that `trainer train` was given as --output", root.display());
            return Err(fail(ErrorCode::FileNotFound, message));
        }
        let best = root.join("checkpoints/best");
        let onnx = best.join("model.onnx");
        if !onnx.is_file() {
            let message = format!(
                "{} has no exported file ({}): the run has not ended, or was told --export none; `trainer train --resume --output {}` ends \
                 it",
                root.display(),
                onnx.display(),
                root.display()
            );
            return Err(fail(ErrorCode::FileNotFound, message));
        }
        let meta = CheckpointFile::open(&best)?.meta().clone();
        Ok(Self { root, onnx, meta, measured: None })
    }

    /// The same, measured otherwise than its report says.
    #[must_use]
    pub fn measured_as(self, measured: Measured) -> Self {
        Self { measured: Some(measured), ..self }
    }

    /// Metrics, intervals and what was measured: of the file, or, of a run that did not write that down, of the checkpoint.
    fn measured(&self) -> anyhow::Result<Measured> {
        if let Some(measured) = &self.measured {
            return Ok(measured.clone());
        }
        let path = self.root.join("report.json");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let report: Value = serde_json::from_str(&text).with_context(|| format!("{} is broken", path.display()))?;
        let intervals = serde_json::from_value(report["intervals"].clone()).unwrap_or_default();
        Ok(match (report.get("metrics"), report["measured"].as_str()) {
            (Some(metrics), Some(what)) => {
                Measured { metrics: serde_json::from_value(metrics.clone())?, intervals, what: what.to_owned() }
            }
            _ => {
                let what = "best checkpoint on the validation data".to_owned();
                Measured { metrics: self.meta.metrics.clone(), intervals, what }
            }
        })
    }

    /// SHA-256 of the lists of images as used, by part.
    fn data(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut data = BTreeMap::new();
        for part in ["train", "validation"] {
            let list = self.root.join("data").join(part).with_extension("jsonl");
            if list.is_file() {
                let sum = digest::of_file(&list).with_context(|| format!("reading {}", list.display()))?;
                data.insert(part.to_owned(), sum);
            }
        }
        Ok(data)
    }
}

/// Writes the next version: aside, and named when it is complete.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn register(trained: &Trained, models: &Path, name: &str, study: Option<&Path>) -> anyhow::Result<RegisteredModel> {
    let of_name = models.join(name);
    fs::create_dir_all(&of_name).with_context(|| format!("creating {}", of_name.display()))?;
    let mut builder = tempfile::Builder::new();
    // A temporary folder is private by default; a model is as readable as any file its owner makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let aside = builder.prefix(".partial-").tempdir_in(&of_name);
    let aside = aside.with_context(|| format!("creating a folder in {}", of_name.display()))?;
    let file = aside.path().join(FILE);
    let bytes = fs::copy(&trained.onnx, &file).with_context(|| format!("copying {}", trained.onnx.display()))?;
    File::open(&file)?.sync_all()?;
    let Measured { metrics, intervals, what: measured } = trained.measured()?;
    let absolute = |path: &Path| fs::canonicalize(path).map(|path| path.display().to_string());
    let meta = trained.meta.clone();
    let mut registered = RegisteredModel {
        schema_version: SCHEMA_VERSION,
        name: name.to_owned(),
        version: newest(&of_name)? + 1,
        task: meta.task,
        model_name: meta.model_name,
        labels: meta.labels,
        sha256: digest::of_file(&file)?,
        bytes,
        run: absolute(&trained.root)?,
        study: study.map(absolute).transpose()?,
        metrics,
        intervals,
        measured,
        data: trained.data()?,
        weights: meta.weights,
        versions: meta.versions,
    };
    loop {
        let description = serde_json::to_vec_pretty(&registered)?;
        write_atomic(&aside.path().join(DESCRIPTION), &description)?;
        let place = of_name.join(registered.version.to_string());
        match fs::rename(aside.path(), &place) {
            Ok(()) => break,
            // Somebody else registered this version in the meantime.
            Err(error) if is_taken(&error) && place.exists() => registered.version += 1,
            Err(error) => return Err(error).with_context(|| format!("naming {}", place.display())),
        }
    }
    // What was aside has its name now, and nothing is left to remove.
    let _ = aside.keep();
    File::open(&of_name)?.sync_all()?;
    Ok(registered)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
    )
}

/// The highest version that is there, whether complete or not; 0 without any.
fn newest(of_name: &Path) -> anyhow::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(of_name).with_context(|| format!("reading {}", of_name.display()))? {
        newest = newest.max(entry?.file_name().to_str().and_then(version_of).unwrap_or(0));
    }
    Ok(newest)
}
