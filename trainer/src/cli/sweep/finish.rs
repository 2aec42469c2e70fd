//! What happens when the trials of a study are over: the best model is exported, measured on its file, and registered if that was asked.

use std::path::{Path, PathBuf};

use exporter::ExportSettings;
use files::write_atomic;
use schemas::error::ErrorCode;
use serde_json::{Value, json};
use sweep::study::{Ended, State, Study, Trial};

use super::args::StudyArgs;
use super::{searched, watch};
use crate::cli::args::{EvaluateArgs, ModelArgs, ModelFile};
use crate::cli::{Answer, evaluate, register};
use crate::failure::fail;
use crate::log::Log;

/// What the study came to, for programs.
const RESULT: &str = "study.json";

/// Exports and measures the best model of a study.
///
/// # Errors
/// When no trial came to anything, or the best cannot be exported, measured or registered.
pub fn run(study: &Study, ended: Ended, args: &StudyArgs, log: &Log) -> anyhow::Result<Answer> {
    let trials = study.trials()?;
    let Some(best) = watch::best(&trials) else {
        let why = trials.iter().rev().find(|trial| !trial.why.is_empty()).map_or("", |trial| trial.why.as_str());
        let message =
            format!("{}: no trial came to a measured model; the last of them said:\n{why}", study.folder().display());
        return Err(fail(ErrorCode::Internal, message));
    };
    let run = study.trial_folder(best.number);
    let checkpoint = run.join("checkpoints/best");
    let onnx = checkpoint.join("model.onnx");
    log.line(&format!("exporting the model of trial {}", best.number));
    // What an earlier end of the study exported is exported again.
    exporter::export(&checkpoint, &onnx, &ExportSettings { overwrite: true, ..ExportSettings::default() })?;
    let data_root = study.plan().fixed.get("data_root").and_then(Value::as_str).map(PathBuf::from);
    let validation = measured(&onnx, &run.join("data/validation.jsonl"), None)?;
    let test = study.plan().test_data.as_ref().map(|data| measured(&onnx, Path::new(data), data_root)).transpose()?;
    let registered = match &args.register {
        Some(name) => {
            let trained = register::Trained::of(&run)?;
            Some(register::register(&trained, &args.models, name, Some(study.folder()))?)
        }
        None => None,
    };
    let result = json!({
        "study": study.folder(),
        "ended": match ended { Ended::Completed => "completed", Ended::OutOfTime => "out_of_time", Ended::Interrupted => "interrupted" },
        "best": { "trial": best.number, "run": run, "onnx": onnx, "point": best.point.values, "value": best.best().map(|best| best.value) },
        "validation": validation.json,
        "test": test.as_ref().map(|test| &test.json),
        "registered": registered,
        "trials": trials.iter().map(|trial| row(study, trial)).collect::<Vec<_>>(),
    });
    write_atomic(&study.folder().join(RESULT), &serde_json::to_vec_pretty(&result)?)?;
    let count = |state: State| trials.iter().filter(|trial| trial.state == state).count();
    let mut text = format!(
        "{} trials completed, {} ended early, {} failed; the best is trial {}: {}\n\non the validation data, by which it was chosen:\n{}",
        count(State::Completed),
        count(State::Stopped),
        count(State::Failed),
        best.number,
        searched(&best.point.values, study.plan()),
        validation.text,
    );
    if let Some(test) = &test {
        text.push_str(&format!("\n\non the test data:\n{}", test.text));
    }
    if let Some(one) = &registered {
        text.push_str(&format!("\nregistered as {} version {} in {}", one.name, one.version, args.models.display()));
    }
    text.push_str(&format!("\nmodel   {}", onnx.display()));
    Ok(Answer::done(text, result))
}

fn row(study: &Study, trial: &Trial) -> Value {
    json!({
        "number": trial.number, "state": trial.state, "attempts": trial.attempts, "epochs": trial.epochs, "seconds": trial.seconds,
        "why": trial.why, "point": trial.point.values, "run": study.trial_folder(trial.number),
        "value": trial.best().map(|best| best.value), "best_epoch": trial.best().map(|best| best.epoch),
    })
}

/// Metrics of a file on labelled images.
fn measured(onnx: &Path, data: &Path, data_root: Option<PathBuf>) -> anyhow::Result<Answer> {
    let file = ModelFile { checkpoint: None, onnx: Some(onnx.to_owned()) };
    evaluate::run(&EvaluateArgs {
        model: ModelArgs { file, device: schemas::plan::Device::Cpu },
        data: data.to_owned(),
        data_root,
        batch_size: 32,
        tile_grid_size: None,
        ignore_data_errors: true,
    })
}
