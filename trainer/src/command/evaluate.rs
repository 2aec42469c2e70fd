//! `trainer evaluate`: the metrics of a checkpoint or an exported file on labelled images.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::{Table, presets};
use models::host::Limits;
use models::weights::published::sha256_of;
use serde_json::json;

use super::Answer;
use crate::classifier::Classifier;
use crate::cli::EvaluateArgs;
use crate::data::{self, Loader, ReadOptions, default_workers};
use crate::loading;
use crate::metric::MulticlassReport;
use crate::recorder;

/// Measures the model on the data. Classes come from the model: a row with another label is rejected and listed.
///
/// # Errors
/// When the model or the data cannot be read.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<Answer> {
    let mut model = Classifier::open(&args.model)?;
    let meta = model.meta().clone();
    let fetched = tempfile::tempdir()?;
    let options = ReadOptions {
        task: meta.task,
        data_root: args.data_root.clone(),
        ignore_data_errors: args.ignore_data_errors,
        limits: Limits::default(),
        cache_bytes: 0,
        threads: default_workers(usize::MAX),
        fetch_folder: fetched.path().to_owned(),
        resumed: None,
    };
    let test = data::test(&args.data, &meta.labels, &options, &super::train::checking())?;
    for warning in &test.warnings {
        eprintln!("warning: {warning}");
    }
    let loader =
        Loader::new(test.dataset, loading::evaluation(&meta.preprocessing, args.batch_size, args.ignore_data_errors))?;
    if let Err(error) = record_answers(&model, &loader) {
        eprintln!("warning: the answers that exports are verified against could not be recorded: {error:#}");
    }
    let report = model.evaluate(&loader, "evaluating")?.report(&meta.labels);
    let scalars = report.scalars();
    let mut text = describe(&report, &scalars);
    let rejected = test.rejections.total();
    if rejected > 0 {
        text.push_str(&format!("\n{rejected} rows were rejected{}", test.rejections.examples_text()));
    }
    Ok(Answer::done(
        text,
        json!({ "images": report.samples, "rejected": rejected, "metrics": scalars, "report": report }),
    ))
}

/// Records what a checkpoint answers on a few of the pictures beside it, where that is missing or of other weights: an
/// export is verified against it.
fn record_answers(model: &Classifier, data: &Loader) -> anyhow::Result<()> {
    let Classifier::Checkpoint(network, _, origin) = model else { return Ok(()) };
    let folder = origin.path.parent().unwrap_or(Path::new("."));
    if recorder::answers_are_current(folder, &origin.sha256) {
        return Ok(());
    }
    let examples = recorder::examples(data.images().as_ref());
    // A training under way may have replaced the file since it was opened.
    if sha256_of(&origin.path).is_ok_and(|now| now == origin.sha256) {
        recorder::save_answers(folder, network, &examples, origin.sha256.clone())?;
    }
    Ok(())
}

/// Scalars and the table per class, for a terminal.
#[must_use]
pub fn describe(report: &MulticlassReport, scalars: &BTreeMap<String, f64>) -> String {
    let number = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["class", "precision", "recall", "f1", "AUC", "images"]);
    for row in report.classes.iter().chain(&report.average_rows()) {
        table.add_row([
            row.label.clone(),
            number(row.precision),
            number(row.recall),
            number(row.f1),
            number(row.auc),
            row.support.to_string(),
        ]);
    }
    let accuracy = scalars.get("accuracy").copied();
    format!(
        "accuracy {} on {} images, log loss {}\n{table}",
        number(accuracy),
        report.samples,
        number(scalars.get("log_loss").copied())
    )
}
