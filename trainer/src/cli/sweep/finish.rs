//! What happens when the trials of a study are over: the best model is exported, measured on its file, and registered if that was asked.

use std::path::{Path, PathBuf};

use exporter::ExportSettings;
use files::write_atomic;
use models::weights::CheckpointFile;
use report::{Fact, Searched, StudyPage, StudyTrial, render_study};
use schemas::Task;
use schemas::error::ErrorCode;
use serde_json::{Value, json};
use sweep::job::describe;
use sweep::space::Distribution;
use sweep::study::{Ended, State, Study, Trial};

use super::args::StudyArgs;
use super::mlflow::{self, Logged};
use super::searched;
use crate::cli::args::{EvaluateArgs, ModelArgs, ModelFile};
use crate::cli::{Answer, evaluate, register};
use crate::failure::{self, fail};
use crate::log::Log;
use crate::train::survey::Seen;

/// What the study came to, for programs, and for people.
const RESULT: &str = "study.json";
const PAGE: &str = "report.html";

/// Exports and measures the best model of a study.
///
/// # Errors
/// When no trial came to anything, or the best cannot be exported, measured or registered.
pub fn run(study: &Study, ended: Ended, args: &StudyArgs, log: &Log) -> anyhow::Result<Answer> {
    let trials = study.trials()?;
    let Some(Chosen { trial: best, kept, alike }) = Chosen::of(study, &trials) else {
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
            let measured = register::Measured {
                metrics: serde_json::from_value(validation.json["metrics"].clone())?,
                intervals: serde_json::from_value(validation.json["intervals"].clone())?,
                what: "exported file on the validation data, by which it was chosen".to_owned(),
            };
            let trained = register::Trained::of(&run)?.measured_as(measured);
            Some(register::register(&trained, &args.models, name, Some(study.folder()))?)
        }
        None => None,
    };
    let result = json!({
        "study": study.folder(),
        "ended": match ended { Ended::Completed => "completed", Ended::OutOfTime => "out_of_time", Ended::Interrupted => "interrupted" },
        "best": { "trial": best.number, "alike": alike, "run": run, "onnx": onnx, "point": best.point.values, "value": kept.value },
        "validation": validation.json,
        "test": test.as_ref().map(|test| &test.json),
        "registered": registered,
        "trials": trials.iter().map(|trial| row(study, trial)).collect::<Vec<_>>(),
    });
    let page = page(study, &trials, best, &facts(&onnx, &validation, test.as_ref()));
    write_atomic(&study.folder().join(PAGE), render_study(&page)?.as_bytes())?;
    write_atomic(&study.folder().join(RESULT), &serde_json::to_vec_pretty(&result)?)?;
    if let Some(address) = &args.mlflow {
        let parts = [("validation", Some(&validation)), ("test", test.as_ref())];
        let metrics = parts.into_iter().filter_map(|(part, answer)| Some((part, answer?.json["metrics"].as_object()?)));
        let metrics = metrics.flat_map(|(part, found)| {
            found.iter().filter_map(move |(name, value)| Some((format!("{part}/{name}"), value.as_f64()?)))
        });
        let (metrics, register) = (metrics.collect(), args.register.as_deref());
        let logged = Logged { study, trials: &trials, best: best.number, onnx: &onnx, metrics, register };
        tell_mlflow(address, &logged, log);
    }
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
    if alike > 0 {
        text.push_str(&format!(
            "\n\n{alike} more {} as good on the validation data, with no lower log loss",
            if alike == 1 { "model is" } else { "models are" }
        ));
    }
    if let Some(test) = &test {
        text.push_str(&format!("\n\non the test data:\n{}", test.text));
    }
    if let Some(one) = &registered {
        text.push_str(&format!("\nregistered as {} version {} in {}", one.name, one.version, args.models.display()));
    }
    text.push_str(&format!("\nmodel   {}\nreport  {}", onnx.display(), study.folder().join(PAGE).display()));
    Ok(Answer::done(text, result))
}

/// Logs a study to an MLflow server. What was trained is there, whatever a server says.
fn tell_mlflow(address: &str, logged: &Logged<'_>, log: &Log) {
    match mlflow::log(address, logged) {
        Ok(page) => log.line(&format!("logged to MLflow: {page}")),
        Err(error) => {
            log.line(&format!("warning: the study could not be logged to MLflow: {}", failure::text(&error)));
        }
    }
}

/// The trial whose model is kept.
struct Chosen<'a> {
    trial: &'a Trial,
    /// What its kept checkpoint measured on the validation data.
    kept: Kept,
    /// How many other models are as good.
    alike: usize,
}

/// What a kept checkpoint measured on the validation data. It is not always that of the epoch with the best metric: on few images the
/// recipe `auto` keeps the one with the lowest log loss.
#[derive(Clone, Copy, PartialEq)]
struct Kept {
    value: f64,
    log_loss: f64,
}

impl<'a> Chosen<'a> {
    /// That with the best model; of equal ones, as there often are on few images, that with the lowest log loss, then the first.
    fn of(study: &Study, trials: &'a [Trial]) -> Option<Self> {
        let over = trials.iter().filter(|trial| matches!(trial.state, State::Completed | State::Stopped));
        let mut over: Vec<(&Trial, f64)> = over.filter_map(|trial| Some((trial, trial.best()?.value))).collect();
        over.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.number.cmp(&b.0.number)));
        let mut chosen: Option<Self> = None;
        for (trial, most) in over {
            let Some(best) = &mut chosen else {
                chosen = kept(study, trial).map(|kept| Self { trial, kept, alike: 0 });
                continue;
            };
            // No epoch of it was as good as what is kept of another.
            if most < best.kept.value {
                break;
            }
            let Some(kept) = kept(study, trial).filter(|kept| kept.value >= best.kept.value) else { continue };
            let alike = if kept.value > best.kept.value { 0 } else { best.alike + 1 };
            let losses = kept.log_loss.total_cmp(&best.kept.log_loss).then(trial.number.cmp(&best.trial.number));
            *best = if alike == 0 || losses.is_lt() { Self { trial, kept, alike } } else { Self { alike, ..*best } };
        }
        chosen
    }
}

/// What the kept checkpoint of a trial measured; nothing where there is none, or it is damaged.
fn kept(study: &Study, trial: &Trial) -> Option<Kept> {
    let file = CheckpointFile::open(&study.trial_folder(trial.number).join("checkpoints/best")).ok()?;
    let metric = |name: &str| file.meta().metrics.get(name).copied();
    Some(Kept {
        value: metric(file.meta().task.primary_metric())?,
        log_loss: metric("log_loss").unwrap_or(f64::INFINITY),
    })
}

fn row(study: &Study, trial: &Trial) -> Value {
    json!({
        "number": trial.number, "state": trial.state, "attempts": trial.attempts, "epochs": trial.epochs, "seconds": trial.seconds,
        "why": trial.why, "point": trial.point.values, "run": study.trial_folder(trial.number),
        "value": trial.best().map(|best| best.value), "best_epoch": trial.best().map(|best| best.epoch),
    })
}

/// What stands beside the best model.
fn facts(onnx: &Path, validation: &Answer, test: Option<&Answer>) -> Vec<Fact> {
    let mut facts = vec![
        Fact { name: "file".to_owned(), value: onnx.display().to_string() },
        Fact { name: "serve it".to_owned(), value: format!("server --model best={}", onnx.display()) },
    ];
    let measured = [("validation data", Some(validation)), ("test data", test)];
    for (part, answer) in measured.into_iter().filter_map(|(part, answer)| Some((part, answer?))) {
        for name in MEASURED {
            let Some(value) = answer.json["metrics"][name].as_f64() else { continue };
            let within: Vec<f64> =
                answer.json["intervals"][name].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
            let within = match within[..] {
                [low, high] => format!(" ({low:.3} to {high:.3})"),
                _ => String::new(),
            };
            facts.push(Fact { name: format!("{name}, {part}"), value: format!("{value:.4}{within}") });
        }
    }
    facts
}

/// Metrics that are shown, where a task has them.
const MEASURED: [&str; 5] = ["accuracy", "iou", "log_loss", "ap50", "ap50_95"];

fn page(study: &Study, trials: &[Trial], best: &Trial, facts: &[Fact]) -> StudyPage {
    let plan = study.plan();
    let space = plan.space.clone().unwrap_or_default();
    let mut parameters: Vec<Searched> = Vec::new();
    for (name, distribution) in space.branches.iter().flat_map(|branch| &branch.parameters) {
        let varies = trials.iter().any(|trial| trial.point.values.get(name) != best.point.values.get(name));
        if varies && parameters.iter().all(|known| known.name != *name) {
            let is_logarithmic = match distribution {
                Distribution::LogUniform { .. }
                | Distribution::QLogUniform { .. }
                | Distribution::LogNormal { .. }
                | Distribution::QLogNormal { .. } => true,
                Distribution::Choice(_)
                | Distribution::RandInt { .. }
                | Distribution::Uniform { .. }
                | Distribution::QUniform { .. }
                | Distribution::Normal { .. }
                | Distribution::QNormal { .. } => false,
            };
            parameters.push(Searched { name: name.clone(), is_logarithmic });
        }
    }
    let task = plan.fixed.get("task").and_then(Value::as_str).unwrap_or_default().to_owned();
    StudyPage {
        name: study.folder().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        metric: task.parse::<Task>().map_or_else(|_| "metric".to_owned(), |task| task.primary_metric().to_owned()),
        task,
        status: format!("the best is trial {}: {}", best.number, searched(&best.point.values, plan)),
        trials: trials.iter().map(|trial| shown(study, trial)).collect(),
        parameters,
        best: Some(best.number),
        facts: facts.to_vec(),
        notes: study.notes().to_vec(),
        plan: describe(plan, &[]),
    }
}

fn shown(study: &Study, trial: &Trial) -> StudyTrial {
    // Of a trial that never began, its plan is not known.
    let planned = Seen::of(&study.trial_folder(trial.number)).map_or(0, |run| run.plan.settings.number_of_epochs);
    StudyTrial {
        number: trial.number,
        state: trial.state.as_str().to_owned(),
        why: trial.why.clone(),
        values: trial.point.values.clone().into_iter().collect(),
        curve: trial.reports.iter().map(|(report, _)| (f64::from(report.epoch), report.value)).collect(),
        value: trial.best().map(|best| best.value),
        epochs: [trial.epochs, planned],
        started: trial.started,
        seconds: trial.seconds,
    }
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
