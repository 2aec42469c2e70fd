//! What happens when training has ended: export, metrics of the exported file, report and the data behind it.

use std::path::PathBuf;

use exporter::{ExportSettings, ExportSummary};
use runtime::Form;
use schemas::Plan;
use schemas::event::{EpochRecord, PrimaryMetric};
use serde_json::{Map, json};

use crate::cli::Answer;
use crate::cli::args::ModelArgs;
use crate::log::Log;
use crate::nn::checkpoint::TrainingState;
use crate::predict::findings::Findings;
use crate::predict::trained::{Outcome, Trained};
use crate::tasks::classify::report as pictures;
use crate::tasks::detect::{evaluate as boxes, report as boxed, statistics};
use crate::train::run_folder::RunFolder;
use dataset::{Loader, TrainingData};
use metrics::detection::DetectionReport;
use report::{DetectionSection, Fact, ReportData, ReportError};

/// A run whose training has ended.
pub struct Finished<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// Its folder.
    pub folder: &'a RunFolder,
    /// Its epochs.
    pub records: &'a [EpochRecord],
    /// Where the loop ended.
    pub state: &'a TrainingState,
    /// Its data.
    pub data: &'a TrainingData,
    /// Training images.
    pub train: &'a Loader,
    /// Validation images.
    pub validation: &'a Loader,
    /// `whole`, `prepared` or `none`.
    pub export: &'a str,
    /// Facts about the machine, for the report.
    pub facts: Vec<(&'static str, String)>,
    /// Its log.
    pub log: &'a Log,
}

/// Exports the best checkpoint, measures the exported file on the validation data, and writes the report. Without an
/// export the best checkpoint itself is measured.
///
/// # Errors
/// When the export does not verify, or a file cannot be written.
pub fn run(f: &Finished) -> anyhow::Result<Answer> {
    let (exported, failure) = match export(f) {
        Ok(exported) => (exported, None),
        Err(error) => {
            f.log.line(&format!("the export failed: {error:#}"));
            (None, Some(error))
        }
    };
    let (mut model, measured) = match &exported {
        Some(summary) => (Trained::from_file(&summary.output)?, "exported file"),
        None => {
            let best = ModelArgs { checkpoint: Some(f.folder.best()), onnx: None };
            (Trained::open(&best)?, "best checkpoint")
        }
    };
    f.log.line(&format!("measuring the {measured} on the validation data"));
    let outcome = model.evaluate(f.validation, &f.plan.settings, "final validation")?;
    let labels = model.meta().labels.clone();
    let findings = Findings::of(&outcome, &labels, &f.plan.settings);
    let mut report = ReportData {
        run: f.folder.root().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        task: f.plan.task.to_string(),
        model: f.plan.model_name.clone(),
        status: match &failure {
            None => format!("finished; metrics of the {measured}"),
            Some(error) => format!("finished, but the export failed ({error:#}); metrics of the {measured}"),
        },
        primary_metric: PrimaryMetric::name_for(f.plan.task).into(),
        best_epoch: Some(u64::from(f.state.early_stopping.best_epoch)),
        epochs: f.records.iter().map(epoch_row).collect(),
        metrics: findings.scalars(),
        training_batch: pictures::training_batch(f.train, f.plan.seed, &labels)?,
        dataset: pictures::dataset(f.data, f.plan.task),
        settings: settings(f.plan),
        export: exported.as_ref().map(export_row),
        environment: environment(f),
        ..ReportData::default()
    };
    let mut data = Map::from_iter([("report".to_owned(), findings.json()?)]);
    match (&outcome, &findings) {
        (Outcome::Classes(outcome), Findings::Classes(found)) => {
            let images = &**f.validation.images();
            let suspects = ::report::suspected_label_errors(labels.len(), &outcome.probabilities, &outcome.truths);
            let section = pictures::classification(images, &labels, outcome, found.clone(), &suspects)?;
            data.insert("accuracy_table".to_owned(), serde_json::to_value(&section.table)?);
            let listed = pictures::suspects_json(images, &labels, outcome, &suspects);
            data.insert("suspected_label_errors".to_owned(), listed);
            report.classification = Some(section);
        }
        (Outcome::Boxes(outcome), Findings::Boxes(found)) => {
            report.detection = Some(detection(f, &labels, outcome, found)?);
        }
        (Outcome::Classes(_), Findings::Boxes(_)) | (Outcome::Boxes(_), Findings::Classes(_)) => {}
    }
    let html = report::render(&report)?;
    let mut results = f.folder.results()?.begin()?;
    results.write("report.json", |out| Ok(serde_json::to_writer(out, &data)?))?;
    results.write("report.html", |out| out.write_all(html.as_bytes()))?;
    results.publish()?;
    let answer = answer(f, exported.as_ref(), &findings, measured)?;
    failure.map_or(Ok(answer), Err)
}

fn detection(
    f: &Finished,
    labels: &[String],
    outcome: &boxes::Outcome,
    found: &DetectionReport,
) -> Result<DetectionSection, ReportError> {
    let images = &**f.validation.images();
    let pictures = boxed::pictures(&boxed::Seen { images, labels, outcome, options: found.options })?;
    Ok(DetectionSection {
        report: found.clone(),
        objects: statistics::statistics(&*f.data.train, images, outcome),
        colours: boxed::colours(labels),
        compared: pictures.compared,
        worst: pictures.worst,
        invented: pictures.invented,
        missed: pictures.missed,
    })
}

fn export(f: &Finished) -> anyhow::Result<Option<ExportSummary>> {
    let form = match f.export {
        "whole" => Form::Whole,
        "prepared" => Form::Prepared,
        _ => return Ok(None),
    };
    let output = f.folder.best().join("model.onnx");
    // A run that is resumed after its end exports again.
    let settings = ExportSettings { form, overwrite: true, ..ExportSettings::default() };
    let summary = exporter::export(&f.folder.best(), &output, &settings)?;
    f.log.line(&format!("exported and verified\n{summary}"));
    Ok(Some(summary))
}

fn answer(
    f: &Finished,
    exported: Option<&ExportSummary>,
    findings: &Findings,
    measured: &str,
) -> anyhow::Result<Answer> {
    let onnx: Option<PathBuf> = exported.map(|s| s.output.clone());
    let (run, page) = (f.folder.root(), f.folder.report());
    let mut text =
        format!("best epoch {} of {}; metrics of the {measured}:\n", f.state.early_stopping.best_epoch, f.state.epoch);
    text.push_str(&findings.describe());
    text.push_str(&format!(
        "\nmodel   {}\nreport  {}",
        onnx.as_deref().unwrap_or(&f.folder.best()).display(),
        page.display()
    ));
    f.log.line(&text);
    let json = json!({
        "run": run, "best_epoch": f.state.early_stopping.best_epoch, "epochs": f.state.epoch, "metrics": findings.scalars(),
        "measured": measured, "checkpoint": f.folder.best(), "onnx": onnx, "report": page, "rejected": f.data.rejections.total(),
    });
    // The log has said it already.
    Ok(Answer::done(String::new(), json))
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
    let plan = [("seed".to_owned(), f.plan.seed.to_string())];
    let facts = f.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    versions.chain(plan).chain(facts).map(|(name, value)| Fact { name, value }).collect()
}
