//! Cross-validation: the training data in even parts, each of which validates a model that was trained on the others; what all of them
//! say together is measured, and one more model is trained on everything.
//!
//! Each training is a run of its own, `fold-1`, `fold-2` and so on beside `final`, so that it resumes, and is looked at, like any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{fs, io};

use anyhow::Context;
use files::{Order, Scope, Target};
use models::registry;
use models::weights::CheckpointFile;
use schemas::error::ErrorCode;
use schemas::{CheckpointMeta, Labels, Plan, PlanRequest, Source};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::finish::Summary;
use super::prepare::Request;
use super::run_folder::RunFolder;
use super::state::Export;
use super::{Ended, One, one};
use crate::failure::fail;
use crate::log::Log;
use crate::tasks::{Intervals, Metrics, Outcome, aim};

/// What a cross-validation was asked, and what it came to.
const FILE: &str = "folds.json";
/// Folder of the model that is trained on everything.
pub const FINAL: &str = "final";

/// What a cross-validation has come to, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct CrossValidation {
    /// Its folder.
    pub run: PathBuf,
    /// Metrics of what each image was said to be by a model that had not seen it.
    pub metrics: BTreeMap<String, f64>,
    /// Of the main ones: 95 % of resampled data lie between the two.
    pub intervals: Intervals,
    /// Each part's own summary.
    pub folds: Vec<Summary>,
    /// Epochs of the model that was trained on everything: the median of the best ones.
    pub epochs: u32,
    /// What that model was given of the others, besides the epochs.
    pub fitted: BTreeMap<String, f64>,
    /// Folder of its checkpoint.
    pub checkpoint: PathBuf,
    /// The exported file, if there is one.
    pub onnx: Option<PathBuf>,
}

/// What was asked, to go on by.
#[derive(Clone, Serialize, Deserialize)]
struct Asked {
    folds: u32,
    plan: PlanRequest,
    settings: Vec<(String, String)>,
    threads: usize,
    export: Option<String>,
}

/// How many parts a training is to be done in; `None` where it is one training.
///
/// # Errors
/// When the record of an earlier start cannot be read.
pub fn asked(request: &Request) -> anyhow::Result<Option<u32>> {
    if request.resume
        && let Some(asked) = Asked::read(&request.output)?
    {
        return Ok(Some(asked.folds));
    }
    // A request that is wrong is refused where it is carried out.
    let plan = request.plan.as_ref().and_then(|asked| registry::plan(asked.clone()).ok());
    Ok(plan.map(|plan| plan.settings).filter(|s| s.folds > 0 && s.validation_fold == 0).map(|s| s.folds))
}

impl Asked {
    fn read(root: &Path) -> anyhow::Result<Option<Self>> {
        let path = root.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let content: Value =
                    serde_json::from_str(&text).with_context(|| format!("{} is broken", path.display()))?;
                let asked = content.get("asked").cloned().unwrap_or_default();
                Ok(Some(
                    serde_json::from_value(asked)
                        .with_context(|| format!("{} is no record of ours", path.display()))?,
                ))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
}

/// The runs of the parts of the cross-validation in a folder; none where it is no such folder.
///
/// # Errors
/// When its record cannot be read.
pub fn runs_of_parts(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let count = Asked::read(root)?.map_or(0, |asked| asked.folds);
    Ok((1..=count).map(|fold| root.join(part_name(fold))).collect())
}

/// What the run of a part is called; the first is 1.
fn part_name(fold: u32) -> String {
    format!("fold-{fold}")
}

/// Trains on all but each part in turn, and then on all; `stop` ends it after the step under way.
///
/// # Errors
/// As [`super::run`], and when the folder holds something else.
pub fn run(request: &Request, count: u32, stop: &Arc<AtomicBool>) -> anyhow::Result<Ended> {
    let log = Log::default();
    let asked = begin(request, count)?;
    let root = &request.output;
    let interrupted = |epoch: u32| Ok(Ended::Interrupted { epoch, run: root.clone() });
    let (mut folds, mut outcomes) = (Vec::new(), Vec::new());
    for fold in 1..=count {
        log.line(&format!("fold {fold} of {count}"));
        let part = asked.request(request, &part_name(fold), &[("validation_fold", fold.into())], Export::Nothing);
        match one(&part, Arc::clone(stop))? {
            One::Interrupted { epoch, .. } => return interrupted(epoch),
            One::Finished(done) => {
                folds.push(done.0);
                outcomes.push(done.1);
            }
        }
    }
    let pooled = Pooled::of(root, &folds, outcomes)?;
    log.line(&pooled.describe(&folds));
    log.line(&format!("training on all images for {} epochs, the median of the best", pooled.epochs));
    let export = asked.export.as_ref().and_then(|name| name.parse().ok()).unwrap_or_default();
    let last = asked.request(request, FINAL, &pooled.settings(), export);
    let summary = match one(&last, Arc::clone(stop))? {
        One::Interrupted { epoch, .. } => return interrupted(epoch),
        One::Finished(done) => done.0,
    };
    let all = CrossValidation {
        run: root.clone(),
        metrics: pooled.metrics.scalars(),
        intervals: pooled.intervals.clone(),
        epochs: pooled.epochs,
        fitted: pooled.fitted.clone(),
        checkpoint: summary.checkpoint,
        onnx: summary.onnx,
        folds,
    };
    write(root, &json!({ "asked": asked, "found": all }))?;
    log.line(&pooled.describe(&all.folds));
    log.line(&format!("model   {}", all.onnx.as_ref().unwrap_or(&all.checkpoint).display()));
    Ok(Ended::CrossValidated(Box::new(all)))
}

/// What was asked: now, or of the start that is repeated.
fn begin(request: &Request, count: u32) -> anyhow::Result<Asked> {
    let root = &request.output;
    if request.resume
        && let Some(asked) = Asked::read(root)?
    {
        return Ok(asked);
    }
    let taken = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
    if taken || root.is_file() {
        let message = format!(
            "{} is there already and not empty; a cross-validation goes into a new folder, or with --resume into its own",
            root.display()
        );
        return Err(fail(ErrorCode::OutputInUse, message));
    }
    let asked = Asked {
        folds: count,
        plan: request.plan.clone().unwrap_or_default(),
        settings: request.settings.clone(),
        threads: request.threads,
        export: request.export.map(|export| export.to_string()),
    };
    write(root, &json!({ "asked": asked }))?;
    Ok(asked)
}

fn write(root: &Path, content: &Value) -> anyhow::Result<()> {
    let order = Order { command: "train", output: root, overwrite: true, reads: &[] };
    let mut writing = order.folder(Scope::Each, &[Target::new(FILE)])?.begin()?;
    writing.write(FILE, |out| Ok(serde_json::to_writer_pretty(out, content)?))?;
    writing.publish()?;
    Ok(())
}

impl Asked {
    /// One of the trainings, with these settings in place of what was asked.
    fn request(&self, now: &Request, folder: &str, given: &[(&'static str, Value)], export: Export) -> Request {
        let output = now.output.join(folder);
        let mut plan = self.plan.clone();
        for (name, value) in given {
            plan.replace(name, value.clone(), Source::CommandLine);
        }
        let own = |name: &str| {
            given.iter().any(|(given, _)| schemas::SettingSpec::find(name).is_some_and(|spec| spec.name == *given))
        };
        Request {
            resume: now.resume && RunFolder::is_run(&output),
            plan: Some(plan),
            settings: self.settings.iter().filter(|(name, _)| !own(name)).cloned().collect(),
            threads: self.threads,
            export: Some(export),
            cache_bytes: now.cache_bytes,
            image_cache: now.image_cache.clone(),
            output,
        }
    }
}

/// What the models of all parts say together, and what a model of everything takes from them.
struct Pooled {
    images: u64,
    metrics: Metrics,
    intervals: Intervals,
    epochs: u32,
    fitted: BTreeMap<String, f64>,
    labels: Labels,
}

impl Pooled {
    fn of(root: &Path, folds: &[Summary], outcomes: Vec<Outcome>) -> anyhow::Result<Self> {
        let metas: Vec<CheckpointMeta> = (folds.iter())
            .map(|fold| Ok(CheckpointFile::open(&fold.checkpoint)?.meta().clone()))
            .collect::<anyhow::Result<_>>()?;
        let (Some(meta), Some(outcome)) = (metas.first(), Outcome::joined(outcomes)) else {
            anyhow::bail!("{}: no part was trained", root.display());
        };
        if let Some(other) = metas.iter().find(|other| other.labels != meta.labels) {
            anyhow::bail!("the parts have other labels: {} and {}", meta.labels.join(", "), other.labels.join(", "));
        }
        let path = root.join("fold-1/plan.json");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let plan: Plan = serde_json::from_str(&text).with_context(|| format!("{} is no plan", path.display()))?;
        let mut settings = plan.settings.clone();
        let mut fitted = BTreeMap::new();
        // The parts' temperatures, as factors, have a mean of this kind.
        let logarithms: f64 = metas.iter().map(|meta| meta.temperature.unwrap_or(1.0).ln()).sum();
        if metas.iter().any(|meta| meta.temperature.is_some()) {
            fitted.insert("temperature".to_owned(), (logarithms / metas.len() as f64).exp());
        }
        let found = aim(&settings).and_then(|aim| outcome.cutoff(meta.labels.len(), &settings, aim));
        if let Some((name, cutoff)) = found {
            fitted.insert(name.to_owned(), cutoff.threshold);
            settings.set(name, &cutoff.threshold.into()).map_err(|error| crate::failure::settings(&[error]))?;
        }
        let outcome = outcome.answering(&settings);
        let metrics = Metrics::of(&outcome, &meta.labels, &settings);
        let mut best: Vec<u32> = folds.iter().map(|fold| fold.best_epoch).collect();
        best.sort_unstable();
        // Phases of a training that were asked for by name stay whole.
        let warm_up = if plan.source("warmup_cosine_lr_warmup_epochs").is_explicit() {
            settings.warmup_cosine_lr_warmup_epochs
        } else {
            0
        };
        let epochs = best[best.len() / 2].max(1).max(warm_up).max(settings.head_epochs);
        let intervals = outcome.intervals(meta.labels.len(), &settings);
        Ok(Self { images: metrics.images(), metrics, intervals, epochs, fitted, labels: plan.task.labels() })
    }

    /// The metrics, for a terminal.
    fn describe(&self, folds: &[Summary]) -> String {
        let best: Vec<String> = folds.iter().map(|fold| fold.best_epoch.to_string()).collect();
        format!(
            "{} images, each judged by the one of {} models that had not seen it (best epochs {}):\n{}",
            self.images,
            folds.len(),
            best.join(", "),
            self.metrics.describe(&self.intervals)
        )
    }

    /// The settings of the model of everything: what the others found, since it has no images to find it by.
    fn settings(&self) -> Vec<(&'static str, Value)> {
        let mut given: Vec<(&'static str, Value)> = vec![
            ("validation_fold", 0.into()),
            ("number_of_epochs", self.epochs.into()),
            ("best_epoch_by", "last".into()),
        ];
        let fitted = |name: &'static str| self.fitted.get(name).map(|&value| (name, Value::from(value)));
        match self.labels {
            Labels::Class | Labels::Classes => {
                given.push(("calibrate", false.into()));
                given.extend(fitted("temperature"));
            }
            Labels::Boxes | Labels::Outlines => {}
        }
        match self.labels {
            Labels::Class => {}
            Labels::Classes | Labels::Boxes | Labels::Outlines => {
                given.extend([("fit_threshold", false.into()), ("wanted_precision", 0.0.into())]);
                given.extend(fitted("label_threshold").into_iter().chain(fitted("box_score_thresh")));
            }
        }
        given
    }
}
