//! Images and objects from what `data.yaml` describes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::draft::{Draft, Unit, settle};
use super::super::locate::{endings, files_below};
use super::super::{Part, absolute, text, wrong};
use super::description::{Description, Place};
use super::labels::{LineCounts, Lines};
use super::layout::{Layout, shared};
use super::shape::{Shape, YoloRows, told};
use crate::DataError;
use crate::convert::LeftOut;
use crate::convert::find::{Finder, Found, has_image_ending};
use crate::convert::parts::is_litter;

/// A part whose images are known and whose labels are still to be read.
struct Gathered {
    part: Part,
    images: Vec<PathBuf>,
}

/// Reads what `data.yaml` (or darknet's `obj.data`) describes: a part for each of `train`, `val` (as `validation`) and `test`,
/// each a folder of images, a text file that lists them, or several of these. Paths are relative to `path` and to the file's
/// own folder. Label files are looked for in `labels` beside `images`, and, where there are none, beside the images. An
/// image without one shows nothing; lines that cannot be used, images that are not there and parts of which nothing is there
/// are left out and listed. What the numbers of a line are is what `rows` says, or else `kpt_shape` or `task: segment`, or else all lines together.
///
/// # Errors
/// It cannot be told what lines are, the file is no description, no part has an image, no image has a label file, or nothing of a part can be used.
pub fn read(file: &Path, rows: Option<YoloRows>) -> Result<Vec<Part>, DataError> {
    let description = Description::read(absolute(file)?)?;
    let file = &description.file;
    let mut sets: Vec<Gathered> = Vec::new();
    let mut gone: Vec<LeftOut> = Vec::new();
    for (name, sources) in &description.parts {
        let mut set = gathered(&description, name, sources)?;
        if set.images.is_empty() {
            gone.append(&mut set.part.left_out);
            continue;
        }
        if let Some(same) = sets.iter().find(|other| other.images == set.images) {
            set.part.assumed.push(format!("these are the same images as those of {}", same.part.name));
        }
        sets.push(set);
    }
    if sets.is_empty() {
        let shown: Vec<String> = gone.iter().take(3).map(|one| format!("{}: {}", one.place, one.reason)).collect();
        let message = match shown.is_empty() {
            true => "names none of train, val and test".to_owned(),
            false => shown.join("\n  "),
        };
        return Err(wrong(file, message));
    }
    let layouts: Vec<Option<(Layout, usize)>> = sets.iter().map(|set| Layout::of(&set.images)).collect();
    if layouts.iter().all(Option::is_none) {
        let first = &sets[0].images[0];
        let message = format!(
            "no image has a label file, so nothing says what they show; for {} these were looked for: {}",
            first.display(),
            Layout::places(first)
        );
        return Err(wrong(file, message));
    }
    let mut labelled = Vec::with_capacity(sets.len());
    for (Gathered { mut part, images }, layout) in sets.into_iter().zip(layouts) {
        tell_layout(&mut part, &images, layout);
        labelled.push((part, texts(images, layout)?));
    }
    let (shape, note) = shape(&description, rows, &labelled)?;
    let lines = Lines { names: &description.names, shape };
    let mut counts = LineCounts::default();
    let mut parts = Vec::new();
    for (mut part, texts) in labelled {
        let drafts = drafts(&lines, &mut part, texts, &mut counts);
        settle(&mut part, drafts, Unit::Fractions);
        parts.push(part.usable(file, "check `path` and the folders that the file names:")?);
    }
    let first = &mut parts[0];
    first.assumed.splice(0..0, description.assumed.iter().cloned().chain(note).chain(counts.notes(&description.names)));
    first.left_out.append(&mut gone);
    Ok(parts)
}

/// The images of a part, each once; what is not there is left out.
fn gathered(description: &Description, name: &str, sources: &[String]) -> Result<Gathered, DataError> {
    let mut part = Part { name: name.to_owned(), ..Part::default() };
    let mut images: Vec<PathBuf> = Vec::new();
    let file = &description.file;
    for source in sources {
        let place = match description.find(source) {
            Some(Place::Named(place)) => place,
            Some(Place::Elsewhere(place)) => {
                part.assumed.push(format!("{source:?} is not there; {} is taken", place.display()));
                place
            }
            None => {
                let reason = format!("there is no {source:?} below {}", description.bases[0].display());
                part.leave_out(file, name.to_owned(), reason);
                continue;
            }
        };
        if place.is_dir() {
            images.extend(files_below(&place, has_image_ending));
        } else if has_image_ending(&place) {
            images.push(place);
        } else {
            images.extend(listed(description, &place, &mut part)?);
        }
    }
    let mut known = BTreeSet::new();
    let before = images.len();
    images.retain(|path| known.insert(path.clone()));
    if images.len() < before {
        part.assumed.push(format!("{} images are named twice and taken once", before - images.len()));
    }
    if images.is_empty() && part.left_out.is_empty() {
        part.leave_out(file, name.to_owned(), format!("{} holds no image", sources.join(", ")));
    }
    Ok(Gathered { part, images })
}

/// The images that a list names: relative to its own folder, to `path` or to the description, or by the end of a path of
/// another machine.
fn listed(description: &Description, list: &Path, part: &mut Part) -> Result<Vec<PathBuf>, DataError> {
    let own = list.parent().unwrap_or(Path::new("/")).to_owned();
    let folders: Vec<PathBuf> = std::iter::once(own).chain(description.bases.iter().take(2).cloned()).collect();
    let finder = Finder::new(folders.clone());
    let text = text::read_lossy(list)?;
    let mut elsewhere = 0;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line = line.trim();
        let plain = folders.iter().map(|folder| folder.join(line.strip_prefix("./").unwrap_or(line)));
        if let Some(path) = plain.into_iter().find(|path| path.is_file() && !is_litter(path)) {
            found.push(path);
            continue;
        }
        let by_ending = || {
            let endings = endings(line);
            let paths = endings.iter().flat_map(|path| folders.iter().map(move |folder| folder.join(path)));
            paths.into_iter().find(|path| path.is_file() && !is_litter(path))
        };
        match by_ending().map_or_else(|| finder.find(line), Found::Elsewhere).file() {
            Ok(path) => {
                elsewhere += 1;
                found.push(path);
            }
            Err(reason) => part.leave_out(list, format!("line {}", number + 1), reason),
        }
    }
    if elsewhere > 0 {
        part.assumed.push(format!("{elsewhere} images of {} stand elsewhere than it says", list.display()));
    }
    Ok(found)
}

/// An image, and its label file with what is in it.
struct Labelled {
    image: PathBuf,
    labels: Option<(PathBuf, String)>,
}

/// Says by which rule label files are found, where it is not the usual one.
fn tell_layout(part: &mut Part, images: &[PathBuf], layout: Option<(Layout, usize)>) {
    let Some((layout, others)) = layout else {
        part.assumed.push(format!(
            "none of its {} images has a label file, so all are taken for images without objects; for the first, these were \
             looked for: {}",
            images.len(),
            Layout::places(&images[0])
        ));
        return;
    };
    let usual = Layout::Swapped.label_file(&images[0]).or_else(|| Layout::Beside.label_file(&images[0]));
    if layout.label_file(&images[0]) != usual {
        part.assumed.push(format!("label files are read {}", layout.words()));
    }
    if others > 0 {
        part.assumed.push(format!(
            "{others} images have no label file {}, where others have theirs, but one elsewhere, which is not read",
            layout.words()
        ));
    }
    if let Some([one, other]) = shared(images, layout) {
        let (one, other) = (one.display(), other.display());
        part.assumed.push(format!("{one} and {other}, and maybe others, share a label file: both have its objects"));
    }
}

/// The images of a part with their label files.
fn texts(images: Vec<PathBuf>, layout: Option<(Layout, usize)>) -> Result<Vec<Labelled>, DataError> {
    let labelled = |image: PathBuf| {
        let file = layout.and_then(|(layout, _)| layout.label_file(&image)).filter(|file| file.is_file());
        let labels = file.map(|file| text::read_lossy(&file).map(|text| (file, text))).transpose()?;
        Ok(Labelled { image, labels })
    };
    images.into_iter().map(labelled).collect()
}

/// What lines are, and what is to be said of it.
fn shape(
    description: &Description,
    rows: Option<YoloRows>,
    parts: &[(Part, Vec<Labelled>)],
) -> Result<(Shape, Option<String>), DataError> {
    let described = description.key_points.map(Shape::KeyPoints).or(description.outlines.then_some(Shape::ByCount));
    if let Some(shape) = rows.map(Into::into).or(described) {
        return Ok((shape, None));
    }
    let labels = parts.iter().flat_map(|(_, images)| images).filter_map(|image| image.labels.as_ref());
    let shape = told(labels.map(|(_, text)| text.as_str())).map_err(|reason| wrong(&description.file, reason))?;
    let note = match shape {
        Shape::KeyPoints(points) => Some(format!(
            "lines are taken for boxes with {points} numbers of key points, which lie in them, though kpt_shape is not there \
             (--rows outlines takes them for outlines)"
        )),
        Shape::ByCount | Shape::Boxes => None,
    };
    Ok((shape, note))
}

/// What label files say of the images of a part.
fn drafts(lines: &Lines, part: &mut Part, images: Vec<Labelled>, counts: &mut LineCounts) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(images.len());
    for Labelled { image: path, labels } in images {
        let source = labels.as_ref().map_or_else(|| path.clone(), |(file, _)| file.clone());
        let (place, objects) = ("image".to_owned(), Vec::new());
        let mut draft = Draft { source, place, path, declared: None, objects, lost: 0 };
        let text = labels.as_ref().map_or("", |(_, text)| text.as_str());
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("line {}", number + 1);
            match lines.object(line, place.clone(), counts) {
                Ok(object) => draft.objects.push(object),
                Err(reason) => {
                    draft.lost += 1;
                    part.leave_out(&draft.source, place, reason);
                }
            }
        }
        drafts.push(draft);
    }
    drafts
}
