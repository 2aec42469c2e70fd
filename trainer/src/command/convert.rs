//! `trainer convert` and `trainer sample-data`: labelled images as JSONL.

use std::path::{Path, PathBuf};

use schemas::Task;
use schemas::error::ErrorCode;
use serde_json::json;

use super::Answer;
use crate::cli::{BoxLayout, ConvertArgs, ConvertFrom, SampleDataArgs};
use crate::convert::boxes::{BoxSummary, LeftOut, Part, coco, rows, voc, yolo};
use crate::convert::{self, CsvOptions, FolderSummary};
use crate::failure::fail;
use crate::sample_data as generator;

/// Converts a folder per class, a table, or a set of boxes.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn run(args: &ConvertArgs) -> anyhow::Result<Answer> {
    match &args.from {
        ConvertFrom::Folders { input, output } => folders(input, output),
        ConvertFrom::Csv { input, output, image_column, label_column, multilabel } => {
            let options = CsvOptions {
                image_column: image_column.clone(),
                label_column: label_column.clone(),
                lists: *multilabel,
                ..CsvOptions::default()
            };
            let summary = convert::csv(input, output, &options)?;
            let text = format!("{}: {}", summary.output.display(), counts(&summary.classes));
            Ok(Answer::done(text, json!(summary)))
        }
        ConvertFrom::Coco { inputs, images, output } => {
            let parts = inputs.iter().map(|input| coco::read(input, images.as_deref()));
            to_rows(&parts.collect::<Result<Vec<_>, _>>()?, output)
        }
        ConvertFrom::Voc { input, images, pixels, output } => {
            to_rows(&voc::read(input, images.as_deref(), *pixels)?, output)
        }
        ConvertFrom::Yolo { input, output } => to_rows(&yolo::read(input)?, output),
        ConvertFrom::Jsonl { inputs, to, data_root, pixels, output } => {
            let parts = inputs.iter().map(|input| rows::read(input, data_root.as_deref()));
            let parts: Vec<Part> = parts.collect::<Result<_, _>>()?;
            distinct(&parts)?;
            let written = match to {
                BoxLayout::Coco => coco::write(output, &parts)?,
                BoxLayout::Voc => voc::write(output, &parts, *pixels).map(|()| vec![output.clone(); parts.len()])?,
                BoxLayout::Yolo => yolo::write(output, &parts).map(|()| vec![output.clone(); parts.len()])?,
            };
            Ok(box_answer(&parts, &written))
        }
    }
}

/// Writes one JSONL file per part: to `output` if it is named as one, else into it.
fn to_rows(parts: &[Part], output: &Path) -> anyhow::Result<Answer> {
    distinct(parts)?;
    let single = output.extension().is_some_and(|e| e.eq_ignore_ascii_case("jsonl"));
    if single && parts.len() > 1 {
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let message =
            format!("--output is a file, but there are {} parts ({}); name a folder", parts.len(), names.join(", "));
        return Err(fail(ErrorCode::InvalidArguments, message));
    }
    let file = |part: &Part| if single { output.to_owned() } else { output.join(format!("{}.jsonl", part.name)) };
    let files: Vec<PathBuf> = parts.iter().map(file).collect();
    parts.iter().zip(&files).try_for_each(|(part, file)| rows::write(file, &part.pictures))?;
    Ok(box_answer(parts, &files))
}

/// Parts are files or folders of the output, named after those of the input.
fn distinct(parts: &[Part]) -> anyhow::Result<()> {
    let mut names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            Err(fail(ErrorCode::InvalidArguments, format!("two inputs would both be called {:?}; rename one", pair[0])))
        }
    }
}

fn box_answer(parts: &[Part], outputs: &[PathBuf]) -> Answer {
    let summaries: Vec<BoxSummary> = parts.iter().zip(outputs).map(|(part, output)| part.summary(output)).collect();
    let line = |s: &BoxSummary, part: &Part| {
        let classes: Vec<String> = s.classes.iter().map(|(label, n)| format!("{label} {n}")).collect();
        let mut text = format!(
            "{}: {} {} images, {} objects, {} classes ({})",
            s.output.display(),
            part.name,
            s.images,
            s.objects,
            s.classes.len(),
            classes.join(", ")
        );
        if s.background > 0 {
            text.push_str(&format!("; {} without objects", s.background));
        }
        if s.missing > 0 {
            text.push_str(&format!("; {} images are not there", s.missing));
        }
        text + &left_out(&s.left_out)
    };
    let text: Vec<String> = summaries.iter().zip(parts).map(|(summary, part)| line(summary, part)).collect();
    Answer::done(text.join("\n"), json!({ "written": summaries }))
}

/// The first few of what was left out, each on its line.
fn left_out(all: &[LeftOut]) -> String {
    const SHOWN: usize = 10;
    let mut text = if all.is_empty() { String::new() } else { format!("; {} left out:", all.len()) };
    for one in all.iter().take(SHOWN) {
        text.push_str(&format!("\n  {}, {}: {}", one.source, one.place, one.reason));
    }
    if all.len() > SHOWN {
        text.push_str("\n  ...");
    }
    text
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
