//! `trainer check`: the faults of a data set, and the labels that a model doubts, as text, JSON and a page.

use std::path::{Path, PathBuf};

use dataset::check::{CheckRequest, Checked, FoundImage, check};
use dataset::{Object, ReadOptions, data_files, default_workers};
use files::{Order, Scope, Target, console};
use models::host::draw::{self, Mark};
use models::registry::{self, ModelSpec};
use report::{CheckPage, Thumbnail};
use schemas::Task;
use schemas::check::{CheckReport, Finding, Severity};
use schemas::error::ErrorCode;

use super::Answer;
use super::marked::Marked;
use super::suspects::{self, Doubted, Judges};
use crate::cli::args::CheckArgs;
use crate::failure::fail;
use crate::progress::checking;

/// The page, and the findings for programs.
const FILES: [&str; 2] = ["check.html", "check.json"];
/// Findings of a kind that the page shows, images of one of them, and their longer side in pixels with objects marked.
const SHOWN: usize = 24;
const IMAGES: usize = 6;
const MARKED: u32 = 320;
/// Findings of a kind in the text.
const EXAMPLES: usize = 5;

/// Looks for faults; the exit code says whether there are errors.
///
/// # Errors
/// Data that cannot be read at all, a model that cannot be opened or is none for them, or a page that may not or cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<Answer> {
    let task: Task = args.task.parse().map_err(|_| {
        let known = Task::ALL.map(Task::as_str).join(", ");
        fail(ErrorCode::InvalidArguments, format!("task {:?} is none of {known}", args.task))
    })?;
    let mut judges = Judges::open(&args.doubts, task)?;
    let seen_at = match (&judges, &args.model_name) {
        (Some(judges), None) => judges.side(),
        (Some(_) | None, name) => side(task, name.as_deref())?,
    };
    let request = request(args, task, seen_at);
    let models = args.doubts.checkpoint.iter().chain(&args.doubts.onnx).cloned();
    let reads: Vec<PathBuf> = reads(&request).into_iter().chain(models).collect();
    let targets = FILES.map(Target::new);
    let order = args.output.as_deref().map(|output| Order {
        command: "check",
        output,
        overwrite: args.overwrite,
        reads: &reads,
    });
    // What is in the way is said before the work.
    let writing = order.map(|order| order.folder(Scope::Whole, &targets)).transpose()?;
    let mut checked = check(&request, &checking())?;
    for warning in &checked.warnings {
        console::say(&format!("warning: {warning}"));
    }
    let doubted = judges.as_mut().map(|judges| judges.judge(&checked)).transpose()?;
    checked.report.suspects = doubted.as_ref().map(|doubted| doubted.suspects.clone());
    let json = serde_json::to_value(&checked.report)?;
    let mut text = text(&checked.report);
    if let (Some(writing), Some(output)) = (writing, &args.output) {
        let suspects = doubted.as_ref().map(Doubted::thumbnails).transpose()?.unwrap_or_default();
        let page = report::render_check(&page(&checked, suspects)?)?;
        let mut writing = writing.begin()?;
        writing.write(FILES[0], |out| out.write_all(page.as_bytes()))?;
        writing.write(FILES[1], |out| Ok(serde_json::to_writer_pretty(out, &json)?))?;
        text.push_str(&writing.publish()?.notes());
        text.push_str(&format!("\npage: {}", output.join(FILES[0]).display()));
    }
    let exit = checked.report.exit_code();
    Ok(Answer { text, json, exit })
}

fn request(args: &CheckArgs, task: Task, side: u32) -> CheckRequest {
    let read = ReadOptions { data_root: args.data_root.clone(), ..ReadOptions::new(task, default_workers(usize::MAX)) };
    CheckRequest {
        training: args.data.clone(),
        validation: args.validation_data.clone(),
        test: args.test_data.clone(),
        group_column: args.group_column.clone(),
        side,
        read,
    }
}

/// Side in pixels that the model sees images at: the one that is named, or the one that a task is trained with
/// otherwise.
fn side(task: Task, model: Option<&str>) -> anyhow::Result<u32> {
    let spec: Option<&ModelSpec> = match model {
        None => registry::default_for(task),
        Some(name) => Some(registry::find(&name.to_lowercase().replace('-', "_")).ok_or_else(|| {
            let known: Vec<_> = registry::for_task(task).map(|model| model.name).collect();
            let message = format!("there is no model {name:?}; the models for {task} are {}", known.join(", "));
            fail(ErrorCode::UnsupportedModel, message)
        })?),
    };
    let spec = spec.ok_or_else(|| {
        let message = format!("task {task} cannot be trained yet, nor its data be checked");
        fail(ErrorCode::UnsupportedModel, message)
    })?;
    Ok(spec.preprocessing().side())
}

/// The files that are read, as far as they are lists.
fn reads(request: &CheckRequest) -> Vec<PathBuf> {
    let named = [Some(&request.training), request.validation.as_ref(), request.test.as_ref()];
    named.into_iter().flatten().filter_map(|path| data_files(path).ok()).flatten().collect()
}

/// The findings for people: worst first, the first few of each kind.
fn text(report: &CheckReport) -> String {
    let parts: Vec<String> = report
        .parts
        .iter()
        .map(|part| format!("{} {} images of {} rows", part.part.as_str(), part.images, part.rows))
        .collect();
    let counts: Vec<String> = Severity::ALL.map(|one| counted(report.count(one), one.as_str())).to_vec();
    let classes = match report.classes.len() {
        1 => "1 class".to_owned(),
        n => format!("{n} classes"),
    };
    let mut text = format!("{}; {classes}: {}", parts.join(", "), counts.join(", "));
    for of_kind in report.by_kind() {
        let Some(first) = of_kind.first() else { continue };
        let (severity, name) = (first.severity.as_str(), first.kind.as_str());
        text.push_str(&format!("\n\n{severity}: {} ({name}): {}", first.kind.title(), of_kind.len()));
        for finding in of_kind.iter().take(EXAMPLES) {
            text.push_str(&format!("\n  {}: {}", place(finding), finding.message));
        }
        if of_kind.len() > EXAMPLES {
            text.push_str(&format!("\n  ... and {} more", of_kind.len() - EXAMPLES));
        }
        text.push_str(&format!("\n  What to do: {}.", first.advice));
    }
    text.push_str(&report.suspects.as_ref().map(suspects::text).unwrap_or_default());
    text
}

fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Where a finding is: the rows of its first images, or the data as a whole.
fn place(finding: &Finding) -> String {
    const NAMED: usize = 2;
    let places: Vec<String> = finding.images.iter().take(NAMED).map(ToString::to_string).collect();
    if places.is_empty() { finding.file.clone() } else { places.join(", ") }
}

fn page(checked: &Checked, suspects: Vec<Vec<Thumbnail>>) -> anyhow::Result<CheckPage> {
    let mut images = Vec::new();
    let mut of_kind = (None, 0);
    for (at, finding) in checked.report.findings.iter().enumerate() {
        of_kind = if of_kind.0 == Some(finding.kind) { (of_kind.0, of_kind.1 + 1) } else { (Some(finding.kind), 1) };
        let most = if of_kind.1 <= SHOWN { IMAGES } else { 0 };
        let found = checked.images(at, most)?;
        images.push(found.iter().map(thumbnails).collect::<Result<Vec<_>, _>>()?.concat());
    }
    Ok(CheckPage { report: checked.report.clone(), images, shown: SHOWN, suspects })
}

/// A small image, with the objects that a finding is about drawn on it; and what lies around the first of them, where it
/// would be hard to see.
fn thumbnails(found: &FoundImage) -> Result<Vec<Thumbnail>, report::ReportError> {
    let image = &found.image;
    let [width, height] = [image.width, image.height].map(|side| side as f32);
    let mark = |(number, (label, object)): (usize, &(String, Object))| {
        let [x1, y1, x2, y2] = object.corners;
        Mark {
            corners: [x1 * width, y1 * height, x2 * width, y2 * height],
            colour: draw::colour(number),
            text: label.clone(),
            covered: None,
        }
    };
    let marks: Vec<Mark> = found.objects.iter().enumerate().map(mark).collect();
    let marked = Marked { image, marks, caption: caption(found), side: MARKED };
    marked.thumbnails(|whole| {
        for ((_, object), mark) in found.objects.iter().zip(&marked.marks) {
            if let Some(outline) = &object.outline {
                draw::outline_of(whole, outline, mark.colour);
            }
        }
    })
}

/// What to call an image: its file, its classes, its row.
fn caption(found: &FoundImage) -> String {
    let place = &found.place;
    let name = place.image_url.as_deref().map(Path::new).and_then(Path::file_name);
    let mut caption = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !found.classes.is_empty() {
        caption.push_str(&format!(" ({})", found.classes.join(", ")));
    }
    caption.push_str(&format!(", {}", place.part.as_str()));
    if let Some(line) = place.line {
        caption.push_str(&format!(" line {line}"));
    }
    caption
}
