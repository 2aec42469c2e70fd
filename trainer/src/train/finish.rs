//! What happens when training has ended: export, metrics of the exported file, report and the data behind it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use exporter::{ExportSettings, ExportSummary};
use schemas::Plan;
use schemas::event::EpochRecord;
use schemas::setting::BestEpochBy;
use serde::Serialize;
use serde_json::Map;

use crate::failure;
use crate::log::Log;
use crate::predict::trained::Trained;
use crate::tasks::{self, Intervals, Metrics, Outcome};
use crate::train::prepare::Run;
use crate::train::recorder::Recorder;
use crate::train::state::{Export, TrainingState};
use report::{Fact, ReportData};

/// A run whose training has ended.
pub struct Finished<'a> {
    /// The run.
    pub run: &'a Run,
    /// Where the loop ended.
    pub state: &'a TrainingState,
    /// Its records and its folder.
    pub recorder: &'a Recorder,
    /// Its log.
    pub log: &'a Log,
}

/// What a finished run has come to, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The run folder.
    pub run: PathBuf,
    /// Epoch of the best checkpoint, from 1.
    pub best_epoch: u32,
    /// Epochs trained.
    pub epochs: u32,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Of the main ones: 95 % of resampled validation data lie between the two. The epoch was chosen on the same
    /// images, for which an interval makes no allowance.
    pub intervals: Intervals,
    /// What they were measured on.
    pub measured: &'static str,
    /// Folder of the best checkpoint.
    pub checkpoint: PathBuf,
    /// The exported file, if there is one.
    pub onnx: Option<PathBuf>,
    /// The report.
    pub report: PathBuf,
    /// Rows that were rejected.
    pub rejected: u64,
}

/// Exports the best checkpoint, measures the exported file on the validation data, and writes the report. Without an
/// export the best checkpoint itself is measured.
///
/// # Errors
/// When the export does not verify, or a file cannot be written.
pub fn run(f: &Finished) -> anyhow::Result<(Summary, Outcome)> {
    let (plan, folder) = (&f.run.plan, f.recorder.folder());
    let (exported, failure) = match export(f) {
        Ok(exported) => (exported, None),
        Err(error) => {
            f.log.line(&format!("the export failed: {}", failure::text(&error)));
            (None, Some(error))
        }
    };
    let (mut model, measured) = match &exported {
        Some(summary) => (Trained::from_file(&summary.output)?, "exported file"),
        None => (Trained::from_checkpoint(&folder.best(), plan.device)?, "best checkpoint"),
    };
    // After a cross-validation nothing is set aside.
    let all_trained = plan.settings.folds > 0 && plan.settings.validation_fold == 0;
    let images = if all_trained { "the images it was trained on" } else { "the validation data" };
    f.log.line(&format!("measuring the {measured} on {images}"));
    // Those of the plan, but for what was fitted to the validation data.
    let settings_of_model = model.settings()?;
    let outcome = model.evaluate(&f.run.validation, &settings_of_model, "final validation")?;
    let labels = model.meta().labels.clone();
    let metrics = Metrics::of(&outcome, &labels, &settings_of_model);
    let intervals = outcome.intervals(labels.len(), &settings_of_model);
    let mut report = ReportData {
        run: folder.root().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        task: plan.task.to_string(),
        model: plan.model_name.clone(),
        status: match &failure {
            None => format!("finished; metrics of the {measured} on {images}"),
            Some(error) => {
                let why = failure::text(error);
                format!("finished, but the export failed ({why}); metrics of the {measured} on {images}")
            }
        },
        primary_metric: decisive(plan).into(),
        best_epoch: Some(u64::from(f.state.early_stopping.best_epoch)),
        epochs: f.recorder.records().iter().map(epoch_row).collect(),
        metrics: metrics.scalars(),
        intervals: intervals.clone(),
        training_batch: tasks::report::training_batch(&f.run.train, plan.seed, &labels)?,
        dataset: tasks::report::dataset(&f.run.data, plan.task.labels()),
        settings: settings(plan),
        export: exported.as_ref().map(export_row),
        environment: environment(f),
        ..ReportData::default()
    };
    let shown =
        tasks::report::Shown { train: &*f.run.data.train, images: &**f.run.validation.images(), labels: &labels };
    let section = tasks::report::section(&shown, &outcome, &metrics)?;
    (report.classification, report.detection) = (section.classification, section.detection);
    let mut data = Map::from_iter([("report".to_owned(), metrics.json()?)]);
    data.insert("metrics".to_owned(), serde_json::to_value(metrics.scalars())?);
    data.insert("intervals".to_owned(), serde_json::to_value(&intervals)?);
    data.insert("measured".to_owned(), format!("{measured} on {images}").into());
    data.extend(section.data);
    let html = report::render(&report)?;
    let mut results = folder.results()?.begin()?;
    results.write("report.json", |out| Ok(serde_json::to_writer(out, &data)?))?;
    results.write("report.html", |out| out.write_all(html.as_bytes()))?;
    results.publish()?;
    let summary = summary(f, exported.as_ref(), &Found { metrics: &metrics, intervals, measured });
    failure.map_or(Ok((summary, outcome)), Err)
}

/// Name of the metric that the best epoch was chosen by.
fn decisive(plan: &Plan) -> &'static str {
    match plan.settings.best_epoch_by {
        BestEpochBy::Primary | BestEpochBy::Last => plan.task.primary_metric(),
        BestEpochBy::LogLoss => "log_loss",
    }
}

fn export(f: &Finished) -> anyhow::Result<Option<ExportSummary>> {
    let Export::File(form) = f.state.export else { return Ok(None) };
    let best = f.recorder.folder().best();
    let output = best.join("model.onnx");
    // A run that is resumed after its end exports again.
    let settings = ExportSettings { form, overwrite: true, ..ExportSettings::default() };
    let summary = exporter::export(&best, &output, &settings)?;
    f.log.line(&format!("exported and verified\n{summary}"));
    Ok(Some(summary))
}

/// What was measured at the end, and on what.
struct Found<'a> {
    metrics: &'a Metrics,
    intervals: Intervals,
    measured: &'static str,
}

fn summary(f: &Finished, exported: Option<&ExportSummary>, found: &Found) -> Summary {
    let Found { metrics, measured, .. } = *found;
    let folder = f.recorder.folder();
    let summary = Summary {
        run: folder.root().to_owned(),
        best_epoch: f.state.early_stopping.best_epoch,
        epochs: f.state.epoch,
        metrics: metrics.scalars(),
        intervals: found.intervals.clone(),
        measured,
        checkpoint: folder.best(),
        onnx: exported.map(|s| s.output.clone()),
        report: folder.report(),
        rejected: f.run.data.rejections.total(),
    };
    let model = summary.onnx.as_ref().unwrap_or(&summary.checkpoint);
    f.log.line(&format!(
        "best epoch {} of {}; metrics of the {measured}:\n{}\nmodel   {}\nreport  {}",
        summary.best_epoch,
        summary.epochs,
        metrics.describe(&found.intervals),
        model.display(),
        summary.report.display()
    ));
    summary
}

fn epoch_row(record: &EpochRecord) -> report::EpochRecord {
    report::EpochRecord {
        epoch: u64::from(record.epoch),
        learning_rate: record.learning_rate,
        train_loss: record.train.loss,
        metrics: record.validation.clone(),
        seconds: record.timing.seconds,
        images_per_second: record.timing.images_per_second,
    }
}

fn settings(plan: &Plan) -> Vec<report::Setting> {
    let row = |(name, value): (String, serde_json::Value)| {
        let source = plan.source(&name);
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        report::Setting { value, source: source.as_str().to_owned(), is_default: !source.is_explicit(), name }
    };
    plan.settings.to_map().into_iter().map(row).collect()
}

fn export_row(summary: &ExportSummary) -> report::ExportSummary {
    let difference = summary.checks.iter().map(|c| f64::from(c.largest_difference)).reduce(f64::max);
    let fact = |name: &str, value: String| Fact { name: name.into(), value };
    report::ExportSummary {
        path: summary.output.display().to_string(),
        bytes: summary.bytes,
        nodes: summary.graph.total_nodes as u64,
        largest_difference: difference,
        facts: vec![fact("form", summary.form.into()), fact("sha256", summary.sha256.clone())],
    }
}

fn environment(f: &Finished) -> Vec<Fact> {
    let versions = crate::train::recorder::versions().into_iter();
    let plan = [("seed".to_owned(), f.run.plan.seed.to_string())];
    let Run { device, arithmetic, threads, .. } = f.run;
    let facts = [
        ("device", format!("{device:?}")),
        ("arithmetic", format!("{arithmetic:?}")),
        ("threads", threads.to_string()),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    versions.chain(plan).chain(facts).map(|(name, value)| Fact { name, value }).collect()
}
