//! `trainer job` and `trainer sweep`: many trainings of which the best is kept, asked for by a file or by options.

pub mod args;
mod finish;
mod mlflow;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use models::weights::published;
use schemas::Task;
use schemas::error::ErrorCode;
use schemas::plan::Device;
use serde_json::{Value, json};
use sweep::auto;
use sweep::job::{self, Job, ReadOptions, describe, flags::Flags};
use sweep::plan::{Limits, StudyPlan};
use sweep::sampler::{Sampling, Tried};
use sweep::space::{Branch, Distribution};
use sweep::study::{self, Ended, Local, Options, Study};
use sweep::termination::{Rule, Termination};

use super::Answer;
use super::train::stop_on_signals;
use crate::failure::fail;
use crate::log::Log;
use crate::nn::device;
use crate::nn::pretrained::Places;
use args::{JobArgs, StudyArgs, SweepArgs};
use watch::Watch;

/// Earlier studies that one may learn from, and their trials in all.
const EARLIER: usize = 5;
const EARLIER_TRIALS: usize = 1000;
/// How long a full disk is waited for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Folder of a study in which its trials keep decoded images.
const IMAGES: &str = "images";

/// A study as a job file says.
///
/// # Errors
/// Everything that is wrong with the file; what ends a study.
pub fn run_job(args: &JobArgs) -> anyhow::Result<Answer> {
    carry_out(&args.study, || match &args.file {
        Some(file) => Ok(job::v2::open(&read_options(file, &args.study))?),
        None => Err(fail(ErrorCode::InvalidArguments, "name a job file")),
    })
}

/// A study as options, or a file of the older style, say.
///
/// # Errors
/// Everything that is wrong with them; what ends a study.
pub fn run_sweep(args: &SweepArgs, settings: &[(String, String)]) -> anyhow::Result<Answer> {
    carry_out(&args.study, || match &args.config {
        Some(file) => Ok(job::v1::open(&read_options(file, &args.study))?),
        None => {
            let options = options(args, settings);
            let limits = Limits {
                trials: args.max_trials,
                at_once: args.max_concurrent_trials,
                minutes: args.timeout_minutes,
                trial_minutes: args.trial_timeout_minutes,
            };
            let (sampling, policy) = (args.sampling.as_str(), args.early_termination.as_deref());
            Ok(job::flags::job(&Flags {
                options: &options,
                search: &args.search,
                sampling,
                policy,
                limits,
                seed: args.seed,
            })?)
        }
    })
}

fn read_options(file: &Path, args: &StudyArgs) -> ReadOptions {
    ReadOptions { changes: args.changes.clone(), data_root: args.data_root.clone(), ..ReadOptions::of(file) }
}

/// Options of every trial, as they were given.
fn options(args: &SweepArgs, settings: &[(String, String)]) -> Vec<(String, String)> {
    let task = args.task.clone().unwrap_or_else(|| Task::ALL[0].as_str().to_owned());
    let data_root = args.study.data_root.as_ref().map(|root| root.display().to_string());
    let seed = (args.seed != 0).then(|| args.seed.to_string());
    let given = [
        ("task", Some(task)),
        ("model_name", args.model_name.clone()),
        ("training_data", args.training_data.clone()),
        ("validation_data", args.validation_data.clone()),
        ("test_data", args.test_data.clone()),
        ("data_root", data_root),
        ("pretrained", args.pretrained.clone()),
        ("recipe", args.recipe.clone()),
        ("device", args.device.clone()),
        ("precision", args.precision.clone()),
        ("seed", seed),
    ];
    let fields = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    fields.chain(settings.iter().cloned()).collect()
}

/// Runs what was asked, or goes on with what was asked before.
fn carry_out(args: &StudyArgs, asked: impl FnOnce() -> anyhow::Result<Job>) -> anyhow::Result<Answer> {
    let log = Log::default();
    let earlier = args.output.as_deref().filter(|_| args.resume && !args.dry_run);
    let mut study = match earlier {
        Some(folder) => Study::resume(folder)?,
        None => {
            let Job { mut plan, notes } = asked()?;
            job::check_data(&plan)?;
            let mut said: Vec<String> = notes.iter().map(|note| format!("{}: {}", note.field, note.text)).collect();
            refuse_folds(&plan)?;
            let chosen = if plan.space.is_none() { choose(&mut plan)? } else { Vec::new() };
            // One training, of which nothing is searched, is a study too.
            let searched =
                plan.space.as_ref().filter(|space| space.branches.iter().any(|branch| !branch.parameters.is_empty()));
            let wrong = searched.map(|space| plan.sampling.errors(space)).unwrap_or_default();
            let wrong = wrong.iter().map(ToString::to_string).chain(plan.termination.problem()).collect::<Vec<_>>();
            if !wrong.is_empty() {
                return Err(fail(ErrorCode::InvalidSettings, wrong.join("\n")));
            }
            let mut text = describe(&plan, &notes);
            chosen.iter().for_each(|reason| text.push_str(&format!("  {reason}\n")));
            said.extend(chosen);
            let Some(folder) = args.output.as_ref().filter(|_| !args.dry_run) else {
                return Ok(Answer::done(text, json!({ "plan": plan, "notes": notes })));
            };
            log.line(text.trim_end());
            have_weights(&plan)?;
            Study::begin(folder, &plan, &said)?
        }
    };
    let earlier = warm_start(&args.warm_start, study.plan(), &log)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if args.threads == 0 { cores } else { args.threads };
    let at_once = usize::try_from(study.plan().limits.at_once).unwrap_or(1).max(1);
    let mut launcher = Local::new(std::env::current_exe()?, (threads / at_once).max(1));
    launcher.cards = cards(study.plan());
    launcher.image_cache = Some(study.folder().join(IMAGES));
    let mut watch = Watch::new(study.plan(), &log);
    let options = Options { earlier: &earlier, retries: args.retries, patience: PATIENCE };
    let ended = study::run(&mut study, &mut launcher, &options, &*stop_on_signals()?, &mut watch)?;
    drop(watch);
    match ended {
        Ended::Interrupted => {
            let text = format!("interrupted; continue with --resume --output {}", study.folder().display());
            let json = json!({ "interrupted": true, "study": study.folder() });
            Ok(Answer { text, json, exit: u8::try_from(ErrorCode::Interrupted.exit_code())? })
        }
        Ended::Completed | Ended::OutOfTime => {
            // Trials that have ended need them no more.
            dataset::clear_kept(&study.folder().join(IMAGES))?;
            finish::run(&study, ended, args, &log)
        }
    }
}

/// Has the published weights of every model that is tried on this machine, fetched where they are not: a trial that cannot start
/// from them would come to nothing, and trials at the same time would fetch them twice.
fn have_weights(plan: &StudyPlan) -> anyhow::Result<()> {
    let (mut places, mut missing) = (None, Vec::new());
    for model in models_from_published(plan) {
        let places = places.get_or_insert_with(Places::of_machine);
        if let Err(error) = places.start(&model) {
            missing.push(error.to_string());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    missing.push("or leave the model out, or give it `pretrained` of its own: none, or a file".to_owned());
    Err(fail(ErrorCode::WeightsUnavailable, missing.join("\n")))
}

/// The models that trials start from published weights; of those whose weights nobody has published, none.
fn models_from_published(plan: &StudyPlan) -> Vec<String> {
    let space = plan.space.clone().unwrap_or_default();
    let branches = if space.branches.is_empty() { vec![Branch::default()] } else { space.branches };
    let mut models: Vec<String> = Vec::new();
    for branch in &branches {
        let values = |name: &str| match (branch.parameters.get(name), plan.fixed.get(name)) {
            (Some(Distribution::Choice(values)), _) => values.clone(),
            (Some(_), _) | (None, None) => Vec::new(),
            (None, Some(value)) => vec![value.clone()],
        };
        let pretrained = values("pretrained");
        if !pretrained.is_empty() && !pretrained.iter().any(|value| value == "auto") {
            continue;
        }
        for model in values("model_name").iter().filter_map(Value::as_str) {
            if published::start(model).is_some() && !models.iter().any(|known| known == model) {
                models.push(model.to_owned());
            }
        }
    }
    models
}

/// A trial is one training: the parts of a cross-validation are compared by nothing that a study could look at.
fn refuse_folds(plan: &StudyPlan) -> anyhow::Result<()> {
    let is_set = |name: &str| plan.fixed.get(name).is_some_and(|value| value.as_u64() != Some(0));
    let is_searched = |name: &str| {
        plan.space.iter().flat_map(|space| &space.branches).any(|branch| branch.parameters.contains_key(name))
    };
    if is_set("folds") || is_searched("folds") {
        let advice = "train the best settings with `trainer train --folds` afterwards";
        return Err(fail(
            ErrorCode::InvalidSettings,
            format!("folds: trials of a study are not cross-validated; {advice}"),
        ));
    }
    Ok(())
}

/// Chooses what is searched, where only a number of trials was asked. Returns the reasons.
fn choose(plan: &mut StudyPlan) -> anyhow::Result<Vec<String>> {
    let text = |name: &str| plan.fixed.get(name).and_then(Value::as_str).map(str::to_owned);
    let task: Task = text("task").unwrap_or_default().parse().map_err(anyhow::Error::msg)?;
    let wanted: Device = text("device").unwrap_or_else(|| "auto".to_owned()).parse()?;
    let on_processor = device::open(wanted)? == tch::Device::Cpu;
    let has_weights = |name: &str| published::locate(name).is_ok();
    // What the study chooses rests on the recipe of this machine, whatever the file's settings rest on.
    plan.fixed.insert("recipe".to_owned(), "auto".into());
    let situation = auto::Situation { task, trials: plan.limits.trials, on_processor, has_weights };
    let chosen = auto::choose(&situation, &plan.fixed);
    (plan.space, plan.first) = (Some(chosen.space), chosen.first);
    plan.first.truncate(usize::try_from(plan.limits.trials).unwrap_or(usize::MAX));
    plan.sampling = Sampling::Bayesian;
    let mut reasons = chosen.reasons;
    if plan.termination.rule == Rule::Never {
        plan.termination = Termination { rule: Rule::Median, every: 1, delay: 5 };
        reasons
            .push("trials whose best is below the median of the others' means are ended, from report 5 on".to_owned());
    }
    Ok(reasons.into_iter().map(|reason| format!("auto: {reason}")).collect())
}

/// Graphics cards of this machine that trials are given; none for a study on processors.
fn cards(plan: &StudyPlan) -> Vec<String> {
    let device = plan.fixed.get("device").and_then(Value::as_str).unwrap_or("auto");
    if device != "auto" || !matches!(device::open(Device::Auto), Ok(tch::Device::Cuda(_))) {
        return Vec::new();
    }
    // Those that this process was given, by the names it was given them.
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(named) if !named.is_empty() => named.split(',').map(str::to_owned).collect(),
        Ok(_) | Err(_) => (0..bridge::cuda_device_count()).map(|card| card.to_string()).collect(),
    }
}

/// The trials of earlier studies, which count as older than any of this one.
fn warm_start(folders: &[PathBuf], plan: &StudyPlan, log: &Log) -> anyhow::Result<Vec<Tried>> {
    if folders.len() > EARLIER {
        let message = format!("--warm_start is given {} times; it takes {EARLIER} studies at most", folders.len());
        return Err(fail(ErrorCode::InvalidArguments, message));
    }
    let mut earlier = Vec::new();
    for folder in folders {
        let study = Study::resume(folder)?;
        let same = study.plan().space == plan.space && study.plan().fixed.get("task") == plan.fixed.get("task");
        if !same {
            let message = format!("--warm_start {}: its task or its search space is another one", folder.display());
            return Err(fail(ErrorCode::InvalidArguments, message));
        }
        earlier.extend(study.trials()?.iter().filter(|trial| trial.state.is_over()).map(study::Trial::tried));
    }
    if earlier.len() > EARLIER_TRIALS {
        let message = format!("the earlier studies have {} trials; {EARLIER_TRIALS} are the most", earlier.len());
        return Err(fail(ErrorCode::InvalidArguments, message));
    }
    if !earlier.is_empty() {
        let use_of = match plan.sampling {
            Sampling::Bayesian => "which the sampler learns from",
            Sampling::Random { .. } | Sampling::Grid => "which only a bayesian sampler would learn from",
        };
        log.line(&format!("{} trials of earlier studies, {use_of}", earlier.len()));
    }
    Ok(earlier)
}

/// Settings of a trial that are not the same in all of them, as `name value`.
fn searched(point: &IndexMap<String, Value>, plan: &StudyPlan) -> String {
    let fixed = |name: &str, value: &Value| {
        let of = |branch: &Branch| match branch.parameters.get(name) {
            Some(Distribution::Choice(values)) => values.len() == 1 && &values[0] == value,
            Some(_) | None => false,
        };
        plan.space.as_ref().is_some_and(|space| space.branches.iter().all(of))
    };
    let shown = point.iter().filter(|(name, value)| !fixed(name, value)).map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        Value::Number(number) => match number.as_f64() {
            Some(value) if !number.is_u64() && !number.is_i64() => format!("{name} {value:.4}"),
            Some(_) | None => format!("{name} {number}"),
        },
        other => format!("{name} {other}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_wanted_of_models_that_start_from_published_ones() {
        let plan = |space: &[&str], fixed: &[(&str, &str)]| {
            let options: Vec<(String, String)> = [("task", "image-classification"), ("training_data", "t.jsonl")]
                .iter()
                .chain(fixed)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let search: Vec<String> = space.iter().map(|word| (*word).to_owned()).collect();
            let limits = Limits { trials: 2, at_once: 1, minutes: None, trial_minutes: None };
            let flags = Flags { options: &options, search: &search, sampling: "random", policy: None, limits, seed: 0 };
            job::flags::job(&flags).unwrap().plan
        };
        let two = ["a:model_name=choice(resnet18,resnet34)", "b:model_name=mobilenetv2", "b:pretrained=none"];
        assert_eq!(models_from_published(&plan(&two, &[])), ["resnet18", "resnet34"]);
        let rate = ["learning_rate=loguniform(-9,-4)"];
        assert_eq!(models_from_published(&plan(&rate, &[("model_name", "resnet18")])), ["resnet18"]);
        let fixed = [("model_name", "resnet18"), ("pretrained", "none")];
        assert!(models_from_published(&plan(&rate, &fixed)).is_empty());
        let unpublished = [("task", "image-object-detection"), ("model_name", "yolov5")];
        let found = models_from_published(&plan(&rate, &unpublished));
        assert_eq!(found.is_empty(), published::start("yolov5").is_none());
    }
}
