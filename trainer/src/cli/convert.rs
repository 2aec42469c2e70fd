//! `trainer convert` and `trainer sample-data`: labelled images as JSONL.

use std::path::{Path, PathBuf};

use files::{Order, Written};
use schemas::Task;
use schemas::error::ErrorCode;
use serde_json::json;

use super::Answer;
use crate::cli::args::{BoxLayout, ConvertArgs, ConvertFrom, SampleDataArgs};
use crate::failure::fail;
use dataset::convert::boxes::{
    BoxSummary, Part, Placing, coco, cvat, drop_stray_points, labelme, masks, rows, simplify, voc, yolo,
};
use dataset::convert::table::{self, Table};
use dataset::convert::{Folders, LabelSummary, Labelled, LeftOut, List, write_labels};
use dataset::data_files;
use dataset::sample_data as generator;

/// Converts a folder per class, a table, or a set of boxes.
///
/// # Errors
/// When the input cannot be read, or the output may not or cannot be written.
pub fn run(args: &ConvertArgs) -> anyhow::Result<Answer> {
    let order = |command: &'static str, output, reads| Order { command, output, overwrite: args.overwrite, reads };
    let outlined = |mut parts: Vec<Part>| {
        if args.drop_stray_points {
            drop_stray_points(&mut parts);
        }
        if let Some(most) = args.max_points {
            simplify(&mut parts, most as usize);
        }
        parts
    };
    match &args.from {
        ConvertFrom::Folders { input, subfolders, output } => {
            let folders = Folders::read(input)?;
            let subfolders = subfolders.map_or_else(|| folders.told(), |kind| Ok(kind.into()))?;
            let labelled = folders.labelled(subfolders)?;
            // One part has its file in a folder, too.
            let file = match labelled.parts.as_slice() {
                [part] if !is_jsonl(output) => output.join(if part.name.is_empty() {
                    "data.jsonl".to_owned()
                } else {
                    format!("{}.jsonl", part.name)
                }),
                _ => output.clone(),
            };
            labels(&labelled, &order("convert folders", &file, &[]))
        }
        ConvertFrom::Csv { input, output, table } => {
            let order = order("convert csv", output, std::slice::from_ref(input));
            match table::read(input, &table.into())? {
                Table::Labels(labelled) => labels(&labelled, &order),
                Table::Boxes(parts) => boxes(&outlined(parts), &order),
            }
        }
        ConvertFrom::Coco { inputs, images, sizes, output } => {
            let parts = inputs.iter().map(|input| coco::read(input, images.as_deref(), (*sizes).into()));
            to_rows(&outlined(parts.collect::<Result<_, _>>()?), &order("convert coco", output, inputs))
        }
        ConvertFrom::Voc { input, images, pixels, sizes, output } => to_rows(
            &outlined(voc::read(input, images.as_deref(), (*pixels).into(), (*sizes).into())?),
            &order("convert voc", output, &[]),
        ),
        ConvertFrom::Yolo { input, rows, output } => {
            let parts = yolo::read(input, rows.map(Into::into))?;
            to_rows(&outlined(parts), &order("convert yolo", output, std::slice::from_ref(input)))
        }
        ConvertFrom::Masks { input, masks, output } => {
            to_rows(&outlined(masks::read(input, &masks.into())?), &order("convert masks", output, &[]))
        }
        ConvertFrom::Labelme { input, images, sizes, output } => {
            let parts = labelme::read(input, images.as_deref(), (*sizes).into())?;
            to_rows(&outlined(parts), &order("convert labelme", output, &[]))
        }
        ConvertFrom::Cvat { input, images, sizes, output } => {
            let parts = cvat::read(input, images.as_deref(), (*sizes).into())?;
            to_rows(&outlined(parts), &order("convert cvat", output, &[]))
        }
        ConvertFrom::Jsonl { inputs, to, data_root, pixels, link, output } => {
            let parts = inputs.iter().map(|input| rows::read(input, data_root.as_deref()));
            let mut parts = outlined(parts.collect::<Result<_, _>>()?);
            distinct(&parts)?;
            let placing = if *link { Placing::Linked } else { Placing::Copied };
            let reads = inputs.iter().map(|input| data_files(input)).collect::<Result<Vec<_>, _>>()?.concat();
            let order = |command| order(command, output.as_path(), &reads);
            let count = parts.len();
            let everywhere = |(notes, written)| (notes, vec![output.clone(); count], written);
            let masks = |command, style| masks::write(&order(command), &parts, style, placing).map(everywhere);
            let (notes, files, written) = match to {
                BoxLayout::Coco | BoxLayout::Jsonl if *link => {
                    let message = "--link is for layouts with images; COCO and JSONL files name images where they are";
                    return Err(fail(ErrorCode::InvalidArguments, message));
                }
                BoxLayout::Jsonl => return to_rows(&parts, &order("convert jsonl --to jsonl")),
                BoxLayout::Coco => coco::write(&order("convert jsonl --to coco"), &parts)?,
                BoxLayout::Voc => {
                    let order = order("convert jsonl --to voc");
                    everywhere((Vec::new(), voc::write(&order, &parts, (*pixels).into(), placing)?))
                }
                BoxLayout::Yolo => everywhere(yolo::write(&order("convert jsonl --to yolo"), &parts, placing)?),
                BoxLayout::Labelme => {
                    everywhere(labelme::write(&order("convert jsonl --to labelme"), &parts, placing)?)
                }
                BoxLayout::Cvat => everywhere(cvat::write(&order("convert jsonl --to cvat"), &parts, placing)?),
                BoxLayout::VocMasks => masks("convert jsonl --to voc-masks", masks::Style::Voc)?,
                BoxLayout::InstanceMasks => masks("convert jsonl --to instance-masks", masks::Style::Instances)?,
                BoxLayout::IdMasks => masks("convert jsonl --to id-masks", masks::Style::Ids)?,
            };
            // They are about the data set as a whole.
            parts[0].assumed.extend(notes);
            Ok(box_answer(output, &parts, &files, &written))
        }
    }
}

/// Writes images with classes: a file, or one per part.
fn labels(labelled: &Labelled, order: &Order) -> anyhow::Result<Answer> {
    one_file(labelled.parts.iter().map(|part| part.name.as_str()), order)?;
    let (summaries, written) = write_labels(order, labelled)?;
    let line = |s: &LabelSummary| format!("{}: {}", s.output.display(), counts(s.images, &s.classes));
    let mut text = summaries.iter().map(line).collect::<Vec<_>>().join("\n") + &left_out(&labelled.left_out);
    text.extend(labelled.assumed.iter().map(|note| format!("\n  {note}")));
    let list = (!labelled.left_out.is_empty()).then(|| List::path(order.output));
    text.extend(list.iter().map(|list| format!("\nWhat was left out is listed in {}", list.display())));
    let text = text + &written.notes();
    let Labelled { assumed, left_out, .. } = labelled;
    let json = match summaries.as_slice() {
        [LabelSummary { output, images, classes }] => json!({
            "output": output, "images": images, "classes": classes, "assumed": assumed, "left_out": left_out,
            "left_out_list": list,
        }),
        several => json!({
            "written": several, "kept": written.kept, "assumed": assumed, "left_out": left_out, "left_out_list": list,
        }),
    };
    Ok(Answer::done(text, json))
}

/// Writes the boxes of a table: a file, or one per part.
fn boxes(parts: &[Part], order: &Order) -> anyhow::Result<Answer> {
    one_file(parts.iter().map(|part| part.name.as_str()), order)?;
    let (files, written) = match parts {
        [part] => (vec![order.output.to_owned()], rows::write_file(order, part)?),
        several => rows::write_folder(order, several)?,
    };
    Ok(box_answer(order.output, parts, &files, &written))
}

/// Refuses a file as the output of several parts.
fn one_file<'a>(names: impl Iterator<Item = &'a str>, order: &Order) -> anyhow::Result<()> {
    let names: Vec<&str> = names.collect();
    if names.len() > 1 && is_jsonl(order.output) {
        let (count, names) = (names.len(), names.join(", "));
        let message = format!("--output is a file, but there are {count} parts ({names}); name a folder");
        return Err(fail(ErrorCode::InvalidArguments, message));
    }
    Ok(())
}

fn is_jsonl(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("jsonl"))
}

/// Writes one JSONL file per part: to the output if it is named as one, else into it.
fn to_rows(parts: &[Part], order: &Order) -> anyhow::Result<Answer> {
    distinct(parts)?;
    let output = order.output;
    one_file(parts.iter().map(|part| part.name.as_str()), order)?;
    if let ([part], true) = (parts, is_jsonl(output)) {
        let written = rows::write_file(order, part)?;
        return Ok(box_answer(output, parts, &[output.to_owned()], &written));
    }
    let (files, written) = rows::write_folder(order, parts)?;
    Ok(box_answer(output, parts, &files, &written))
}

/// Parts are files or folders of the output, named after those of the input.
fn distinct(parts: &[Part]) -> anyhow::Result<()> {
    // There are file systems on which capital letters do not count.
    let mut names: Vec<String> = parts.iter().map(|part| part.name.to_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            Err(fail(ErrorCode::InvalidArguments, format!("two inputs would both be called {:?}; rename one", pair[0])))
        }
    }
}

fn box_answer(output: &Path, parts: &[Part], outputs: &[PathBuf], written: &Written) -> Answer {
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
        if s.cut > 0 {
            text.push_str(&format!("; boxes that stuck out of their image and were cut at its edge: {}", s.cut));
        }
        text.push_str(&left_out(&s.left_out));
        text.extend(s.assumed.iter().map(|note| format!("\nassumed: {note}")));
        text
    };
    let mut text: Vec<String> = summaries.iter().zip(parts).map(|(summary, part)| line(summary, part)).collect();
    let list = summaries.iter().any(|summary| !summary.left_out.is_empty()).then(|| List::path(output));
    text.extend(list.iter().map(|list| format!("What was left out is listed in {}", list.display())));
    let answer = json!({ "written": summaries, "kept": written.kept, "left_out_list": list });
    Answer::done(text.join("\n") + &written.notes(), answer)
}

/// The first few of what was left out, each on its line.
fn left_out(all: &[LeftOut]) -> String {
    const SHOWN: usize = 10;
    let mut text = if all.is_empty() { String::new() } else { format!("; {} left out:", all.len()) };
    for one in all.iter().take(SHOWN) {
        text.push_str(&format!("\n  {one}"));
    }
    if all.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", all.len() - SHOWN));
    }
    text
}

fn counts(images: usize, classes: &[(String, usize)]) -> String {
    let each: Vec<String> = classes.iter().map(|(label, n)| format!("{label} {n}")).collect();
    format!("{images} images, {} classes ({})", classes.len(), each.join(", "))
}

/// Generates a small dataset.
///
/// # Errors
/// When the task cannot be generated for, or the folder may not or cannot be written.
pub fn sample_data(args: &SampleDataArgs) -> anyhow::Result<Answer> {
    let task: Task = args.task.parse().map_err(|_| {
        let known = Task::ALL.map(Task::as_str).join(", ");
        fail(ErrorCode::InvalidArguments, format!("task {:?} is none of {known}", args.task))
    })?;
    let order = Order { command: "sample-data", output: &args.output, overwrite: args.overwrite, reads: &[] };
    let made = generator::generate(task, &order, args.seed, args.count)?;
    let mut text = format!(
        "{} images of {} in {}\ntrain       {}\nvalidation  {}\ntest        {}",
        made.images,
        made.labels.join(", "),
        args.output.display(),
        made.train.display(),
        made.validation.display(),
        made.test.display()
    );
    text.push_str(&Written { kept: made.kept.clone(), removed: Vec::new() }.notes());
    Ok(Answer::done(text, json!(made)))
}
