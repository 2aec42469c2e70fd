//! `trainer evaluate`: the metrics of a checkpoint or an exported file on labelled images.

use std::path::Path;

use files::console;
use models::weights::published::sha256_of;
use serde_json::{Value, json};

use super::Answer;
use crate::cli::args::EvaluateArgs;
use crate::failure;
use crate::predict::trained::Trained;
use crate::progress::checking;
use crate::tasks::Metrics;
use crate::tasks::recorded;
use crate::train::recorder;
use dataset::loading;
use dataset::{Loader, LoaderOptions, ReadOptions, default_workers};

/// Measures the model on the data. Classes come from the model: a row with another label is rejected and listed.
///
/// # Errors
/// When the model or the data cannot be read.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<Answer> {
    let mut model = args.model.open()?;
    let meta = model.meta().clone();
    let options = ReadOptions {
        data_root: args.data_root.clone(),
        ignore_data_errors: args.ignore_data_errors,
        ..ReadOptions::new(meta.task, default_workers(usize::MAX))
    };
    let test = dataset::test(&args.data, &meta.labels, &options, &checking())?;
    for warning in &test.warnings {
        console::say(&format!("warning: {warning}"));
    }
    let settings = model.settings_with(&[("tile_grid_size", args.tile_grid_size.clone().map(Value::from))])?;
    let options = LoaderOptions {
        ignore_data_errors: args.ignore_data_errors,
        ..loading::evaluation(meta.task, &settings, &meta.preprocessing, args.batch_size)
    };
    let loader = Loader::new(test.dataset, options)?;
    if let Err(error) = record_answers(&model, &loader) {
        let what = "warning: the answers that exports are verified against could not be recorded";
        console::say(&format!("{what}: {}", failure::text(&error)));
    }
    let outcome = model.evaluate(&loader, &settings, "evaluating")?;
    let metrics = Metrics::of(&outcome, &meta.labels, &settings);
    let intervals = outcome.intervals(meta.labels.len(), &settings);
    let mut text = metrics.describe(&intervals);
    let rejected = test.rejections.total();
    if rejected > 0 {
        text.push_str(&format!("\n{rejected} rows were rejected{}", test.rejections.examples_text()));
    }
    Ok(Answer::done(
        text,
        json!({
            "images": metrics.images(),
            "rejected": rejected,
            "metrics": metrics.scalars(),
            "intervals": intervals,
            "report": metrics.json()?,
        }),
    ))
}

/// Records what a checkpoint answers on a few of the images beside it, where that is missing or of other weights: an
/// export is verified against it.
fn record_answers(model: &Trained, data: &Loader) -> anyhow::Result<()> {
    let Trained::Checkpoint(network, meta, origin) = model else { return Ok(()) };
    let folder = origin.path.parent().unwrap_or(Path::new("."));
    if exporter::verify::is_current(folder, &origin.sha256, network.task) {
        return Ok(());
    }
    recorder::may_record(folder)?;
    let examples = recorded::examples(data.images().as_ref());
    // A training under way may have replaced the file since it was opened.
    if sha256_of(&origin.path).is_ok_and(|now| now == origin.sha256) {
        recorded::save_answers(folder, network, meta, &examples, origin.sha256.clone())?;
    }
    Ok(())
}
