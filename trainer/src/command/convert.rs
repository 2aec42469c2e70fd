//! `trainer convert` and `trainer sample-data`: labelled images as JSONL.

use std::path::Path;

use schemas::Task;
use schemas::error::ErrorCode;
use serde_json::json;

use super::Answer;
use crate::cli::{ConvertArgs, ConvertFrom, SampleDataArgs};
use crate::convert::{self, CsvOptions, FolderSummary};
use crate::failure::fail;
use crate::sample_data as generator;

/// Converts a folder per class, or a table.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn run(args: &ConvertArgs) -> anyhow::Result<Answer> {
    match &args.from {
        ConvertFrom::Folders { input, output } => folders(input, output),
        ConvertFrom::Csv { input, output, image_column, label_column } => {
            let options = CsvOptions {
                image_column: image_column.clone(),
                label_column: label_column.clone(),
                ..CsvOptions::default()
            };
            let summary = convert::csv(input, output, &options)?;
            let text = format!("{}: {}", summary.output.display(), counts(&summary.classes));
            Ok(Answer::done(text, json!(summary)))
        }
    }
}

fn folders(input: &Path, output: &Path) -> anyhow::Result<Answer> {
    let is_file = output.extension().is_some_and(|e| e.eq_ignore_ascii_case("jsonl"));
    let parts = if is_file { None } else { convert::folders_split(input, output)? };
    let summaries = match parts {
        Some(parts) => parts,
        None if is_file => vec![convert::folders(input, output)?],
        None => vec![convert::folders(input, &output.join("data.jsonl"))?],
    };
    let line = |s: &FolderSummary| {
        let skipped = if s.skipped > 0 { format!("; {} files are no pictures", s.skipped) } else { String::new() };
        format!("{}: {}{skipped}", s.output.display(), counts(&s.classes))
    };
    let text = summaries.iter().map(line).collect::<Vec<_>>().join("\n");
    Ok(Answer::done(text, json!({ "written": summaries })))
}

fn counts(classes: &[(String, usize)]) -> String {
    let total: usize = classes.iter().map(|(_, n)| n).sum();
    let each: Vec<String> = classes.iter().map(|(label, n)| format!("{label} {n}")).collect();
    format!("{total} images, {} classes ({})", classes.len(), each.join(", "))
}

/// Generates a small dataset.
///
/// # Errors
/// When the task cannot be generated for, or the folder cannot be written.
pub fn sample_data(args: &SampleDataArgs) -> anyhow::Result<Answer> {
    let task: Task = args.task.parse().map_err(|_| {
        let known = Task::ALL.map(Task::as_str).join(", ");
        fail(ErrorCode::InvalidArguments, format!("task {:?} is none of {known}", args.task))
    })?;
    let made = generator::generate(task, &args.output, args.seed, args.count)?;
    let text = format!(
        "{} images of {} in {}\ntrain       {}\nvalidation  {}\ntest        {}",
        made.images,
        made.labels.join(", "),
        args.output.display(),
        made.train.display(),
        made.validation.display(),
        made.test.display()
    );
    Ok(Answer::done(text, json!(made)))
}
