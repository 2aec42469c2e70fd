//! `trainer runs`: what runs there are, how they differ, and which checkpoints may go.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::HumanBytes;
use schemas::error::ErrorCode;
use serde_json::{Value, json};

use super::Answer;
use crate::cli::args::{RunsAction, RunsArgs};
use crate::failure::{self, fail};
use crate::train::run_folder::RunFolder;
use crate::train::survey::{self, Seen};

/// Lists, compares or prunes runs.
///
/// # Errors
/// When a folder is not there, or a run that was named cannot be read.
pub fn run(args: &RunsArgs) -> anyhow::Result<Answer> {
    match &args.action {
        RunsAction::List { folder } => list(folder),
        RunsAction::Compare { runs } => compare(runs),
        RunsAction::Prune { folder, yes } => prune(folder, *yes),
    }
}

fn found(folder: &Path) -> anyhow::Result<(Vec<Seen>, Vec<Value>)> {
    if !folder.is_dir() {
        return Err(fail(
            ErrorCode::FileNotFound,
            format!("there is no folder {}; name that of your runs", folder.display()),
        ));
    }
    let (mut seen, mut unreadable) = (Vec::new(), Vec::new());
    for (root, run) in survey::runs(folder) {
        match run {
            Ok(run) => seen.push(run),
            Err(error) => unreadable.push(json!({ "run": root, "error": failure::text(&error) })),
        }
    }
    Ok((seen, unreadable))
}

fn list(folder: &Path) -> anyhow::Result<Answer> {
    let (seen, unreadable) = found(folder)?;
    let mut table = table(&["run", "task", "model", "state", "epochs", "best", "at epoch", "exported", "size"]);
    for run in &seen {
        let best = run.best.as_ref();
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(run.root.strip_prefix(folder).unwrap_or(&run.root).display()),
            Cell::new(run.plan.task),
            Cell::new(&run.plan.model_name),
            Cell::new(run.state.as_str()),
            right(format!("{}/{}", run.epochs, run.plan.settings.number_of_epochs)),
            Cell::new(best.map_or_else(|| "-".to_owned(), |best| format!("{} {:.4}", best.name, best.value))),
            right(best.map_or_else(|| "-".to_owned(), |best| best.epoch.to_string())),
            Cell::new(if run.exported { "yes" } else { "no" }),
            right(HumanBytes(run.bytes).to_string()),
        ]);
    }
    let mut text = if seen.is_empty() { format!("{}: no runs", folder.display()) } else { table.to_string() };
    for one in &unreadable {
        text.push_str(&format!("\n{}", one["error"].as_str().unwrap_or_default()));
    }
    let rows: Vec<Value> = seen.iter().map(row).collect();
    Ok(Answer::done(text, json!({ "runs": rows, "unreadable": unreadable })).done_but(unreadable.len()))
}

fn row(run: &Seen) -> Value {
    json!({
        "run": run.root, "task": run.plan.task, "model_name": run.plan.model_name, "state": run.state.as_str(), "epochs": run.epochs,
        "number_of_epochs": run.plan.settings.number_of_epochs, "best": run.best, "exported": run.exported, "bytes": run.bytes,
    })
}

fn compare(roots: &[PathBuf]) -> anyhow::Result<Answer> {
    let runs: Vec<Seen> = roots.iter().map(|root| Seen::of(root)).collect::<anyhow::Result<_>>()?;
    let names: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    let settings = differing(&runs);
    let metrics: Vec<BTreeMap<String, f64>> = runs.iter().map(measured).collect();
    let all: std::collections::BTreeSet<&String> = metrics.iter().flat_map(BTreeMap::keys).collect();
    let header: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
    let mut table = table(&header);
    table.add_row(std::iter::once("state".to_owned()).chain(runs.iter().map(|run| run.state.as_str().to_owned())));
    let epochs = runs.iter().map(|run| format!("{}/{}", run.epochs, run.plan.settings.number_of_epochs));
    table.add_row(std::iter::once("epochs".to_owned()).chain(epochs));
    for (name, values) in &settings {
        let shown = values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        table.add_row(std::iter::once(name.clone()).chain(shown));
    }
    for name in &all {
        let shown =
            metrics.iter().map(|of| of.get(*name).map_or_else(|| "-".to_owned(), |value| format!("{value:.4}")));
        table.add_row(std::iter::once((*name).clone()).chain(shown));
    }
    let rows: Vec<Value> = runs
        .iter()
        .zip(&metrics)
        .map(|(run, metrics)| {
            let mut row = row(run);
            row["metrics"] = json!(metrics);
            row
        })
        .collect();
    let json = json!({ "runs": rows, "settings": settings });
    Ok(Answer::done(format!("settings that differ, and metrics of the exported files\n{table}"), json))
}

/// Fields and settings that not all runs share, with the value of each run.
fn differing(runs: &[Seen]) -> BTreeMap<String, Vec<Value>> {
    let values: Vec<_> = runs.iter().map(|run| run.plan.values()).collect();
    let Some(first) = values.first() else { return BTreeMap::new() };
    let of_all = |name: &String| values.iter().map(|of| of.get(name).cloned().unwrap_or_default()).collect::<Vec<_>>();
    let named = first.keys().map(|name| (name.clone(), of_all(name)));
    named.filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect()
}

/// Metrics of a run's file; of a run that has not ended, or did not write them down, the best of its primary metric.
fn measured(run: &Seen) -> BTreeMap<String, f64> {
    let report = fs::read_to_string(run.root.join("report.json")).ok();
    let report: Option<Value> = report.and_then(|text| serde_json::from_str(&text).ok());
    let metrics = report.and_then(|report| serde_json::from_value(report.get("metrics")?.clone()).ok());
    metrics.unwrap_or_else(|| run.best.iter().map(|best| (best.name.clone(), best.value)).collect())
}

fn prune(folder: &Path, yes: bool) -> anyhow::Result<Answer> {
    let (seen, unreadable) = found(folder)?;
    let (mut files, mut bytes, mut lines) = (Vec::new(), 0, Vec::new());
    for file in seen.iter().flat_map(survey::spare) {
        let size = fs::metadata(&file).with_context(|| format!("reading {}", file.display()))?.len();
        lines.push(format!("{} ({})", file.display(), HumanBytes(size)));
        bytes += size;
        files.push(file);
    }
    if yes {
        for run in &seen {
            // Nobody begins to resume it meanwhile.
            let spare = survey::spare(run);
            let _held = if spare.is_empty() { continue } else { RunFolder::hold(&run.root)? };
            for file in spare {
                fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
                // With something else in it, the folder stays.
                let _ = file.parent().map(fs::remove_dir);
            }
        }
    }
    let (size, count) = (HumanBytes(bytes), files.len());
    let kept = "the best checkpoint, the exported file and the report of each run stay";
    lines.push(match (count, yes) {
        (0, _) => "no run that has ended has a checkpoint to spare".to_owned(),
        (_, true) => format!("{count} checkpoints of runs that have ended are removed: {size}; {kept}"),
        (_, false) => format!(
            "{count} checkpoints of runs that have ended would be removed: {size}; {kept}. Repeat it with --yes"
        ),
    });
    let json = json!({ "removed": yes, "files": files, "bytes": bytes, "unreadable": unreadable });
    Ok(Answer::done(lines.join("\n"), json).done_but(unreadable.len()))
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header.iter().copied());
    table
}
