//! The faults of a data set, found with the code that training reads it with.
//!
//! The files each look for one sort of fault in [`Data`]. What
//! they find depends on the data alone, not on the number of threads.

mod asked;
mod boxes;
mod classes;
mod copies;
mod folder;
mod groups;
mod images;
mod names;
mod outlines;
mod rows;
mod winding;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::host::Rgb;
use schemas::check::{CheckReport, CheckedClass, CheckedPart, DataPart, Finding, FindingKind, FindingPlace, Severity};
use schemas::{Labels, Task};

use crate::boxes::RowBox;
use crate::dataset::Reader;
use crate::error::DataError;
use crate::facts::Facts;
use crate::index::{Classes, LabelRule};
use crate::location::Location;
use crate::options::ReadOptions;
use crate::part::{Depth, Part, Reading};
use crate::preflight::{FULL_CHECK, OnProgress};
use crate::reject::{Rejection, Rejections};
use crate::target::{Object, Targets};

use folder::Sources;

/// What to check.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// JSONL file, MLTable folder, or folder of class folders.
    pub training: PathBuf,
    /// JSONL file or MLTable folder.
    pub validation: Option<PathBuf>,
    /// The same.
    pub test: Option<PathBuf>,
    /// Key of the rows whose values are groups.
    pub group_column: Option<String>,
    /// Side in pixels that a model sees images at.
    pub side: u32,
    /// How it is read. Bad rows are never an error here.
    pub read: ReadOptions,
}

/// The result of a check.
pub struct Checked {
    /// What was found.
    pub report: CheckReport,
    /// What the user should know of how the data were read.
    pub warnings: Vec<String>,
    /// The images of each finding that can be shown, in the order of the report's findings.
    shown: Vec<Vec<Shown>>,
    parts: Vec<Read>,
    /// Names of the classes by their numbers.
    labels: Vec<String>,
    /// What was asked for.
    request: CheckRequest,
    /// Keeps lists that were made of folders for as long as rows are read from them.
    _sources: Sources,
}

/// A part that was read.
struct Read {
    part: DataPart,
    source: PathBuf,
    reader: Arc<Reader>,
    rows: Part,
    rejections: Vec<Rejection>,
    /// Where the data are a folder of class folders.
    folder: Option<PathBuf>,
}

/// A part, as the checks see it.
pub(crate) struct Side<'a> {
    pub part: DataPart,
    /// What the user named.
    pub source: &'a Path,
    pub reader: &'a Reader,
    pub rows: &'a Part,
    pub folder: Option<&'a Path>,
}

/// What the checks look at.
pub(crate) struct Data<'a> {
    pub task: Task,
    pub sides: Vec<Side<'a>>,
    /// Names of the classes by their numbers.
    pub labels: Vec<String>,
    /// Side in pixels that a model sees images at.
    pub side: u32,
    /// Threads to work in.
    pub threads: usize,
}

/// An image: its part, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Place of the part in the report.
    pub side: usize,
    /// Place of the image among the usable ones of the part.
    pub index: usize,
}

/// An image of a finding, or of a label that a model doubts.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The image.
    pub at: At,
    /// Places of those of its objects that matter among its usable ones, ascending.
    pub objects: Vec<usize>,
}

impl From<At> for Shown {
    fn from(at: At) -> Self {
        Self { at, objects: Vec::new() }
    }
}

/// A finding, and its images that can be shown.
pub(crate) struct Found {
    pub finding: Finding,
    pub shown: Vec<Shown>,
}

/// What is wrong, in words.
pub(crate) struct Said {
    pub kind: FindingKind,
    pub message: String,
    pub advice: String,
}

impl Said {
    pub fn new(kind: FindingKind, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: advice.into() }
    }
}

impl Data<'_> {
    /// Every image, part by part.
    pub fn images(&self) -> impl Iterator<Item = At> {
        let sides = self.sides.iter().enumerate();
        sides.flat_map(|(side, one)| (0..one.rows.entries.len()).map(move |index| At { side, index }))
    }

    /// What is known of an image, where it was decoded.
    pub fn facts(&self, at: At) -> Option<&Facts> {
        self.sides[at.side].rows.facts.get(at.index)
    }

    /// The name of an image, for people: the end of its `image_url`.
    pub fn name(&self, at: At) -> Result<String, DataError> {
        Ok(self.names(&[at])?.concat())
    }

    /// The names of some images: as much of the end of each `image_url` as tells them apart.
    pub fn names(&self, images: &[At]) -> Result<Vec<String>, DataError> {
        let url = |&at: &At| Ok(self.place(&at.into())?.image_url.unwrap_or_default());
        let urls = images.iter().map(url).collect::<Result<Vec<String>, DataError>>()?;
        let different = |names: &[String]| names.iter().collect::<BTreeSet<_>>().len();
        let deepest = urls.iter().map(|url| url.split('/').count()).max().unwrap_or(1);
        let of = |depth: usize| urls.iter().map(|url| ending(url, depth).to_owned()).collect::<Vec<String>>();
        let apart = different(&urls);
        Ok((1..=deepest).map(of).find(|names| different(names) == apart).unwrap_or(urls))
    }

    /// The absolute path of an image that has one.
    pub fn path(&self, at: At) -> Result<Option<PathBuf>, DataError> {
        let side = &self.sides[at.side];
        Ok(match side.reader.files.location(&side.rows.entries[at.index])?.1 {
            Location::File(path) => Some(path),
            Location::Http(_) => None,
        })
    }

    fn place(&self, shown: &Shown) -> Result<FindingPlace, DataError> {
        let side = &self.sides[shown.at.side];
        let entry = &side.rows.entries[shown.at.index];
        let (url, location) = side.reader.files.location(entry)?;
        let file = side.reader.files.path(entry).display().to_string();
        let rejected = Rejected { file, line: u64::from(entry.line), url: Some(url), location: Some(location) };
        let objects = self.numbers(shown)?.into_iter().flatten().collect();
        Ok(FindingPlace { objects, ..rejected.place(side.part, side.folder) })
    }

    /// The usable boxes of an image's row; those of further rows of the image are not among them.
    pub fn boxes(&self, at: At) -> Result<Vec<RowBox>, DataError> {
        let side = &self.sides[at.side];
        let text = side.reader.files.text(&side.rows.entries[at.index])?;
        let mut boxes =
            crate::boxes::parse(self.task.labels(), text.trim_ascii()).map(|row| row.boxes).unwrap_or_default();
        // Objects of classes that the model does not have are left out, too.
        boxes.retain(|one| self.labels.contains(&one.label.to_string()));
        Ok(boxes)
    }

    /// Where the objects that matter stand in the label of their row, from 0: what training leaves out before them counts,
    /// too. Nothing for objects of further rows of the image.
    pub fn numbers(&self, shown: &Shown) -> Result<Vec<Option<u64>>, DataError> {
        if shown.objects.is_empty() {
            return Ok(Vec::new());
        }
        let boxes = self.boxes(shown.at)?;
        let number = |&object: &usize| boxes.get(object).map(|one| one.number as u64);
        Ok(shown.objects.iter().map(number).collect())
    }

    /// An image with those of its objects that are meant.
    pub fn with_objects(&self, at: At, which: impl Fn(&Object) -> bool) -> Shown {
        let objects = match &self.sides[at.side].rows.targets {
            Targets::Classes(_) | Targets::Sets(_) => Vec::new(),
            Targets::Objects(all) => {
                let all = all.of(at.index).iter().enumerate();
                all.filter(|(_, object)| which(object)).map(|(place, _)| place).collect()
            }
        };
        Shown { at, objects }
    }

    /// A finding about these images, of which the first is where it is.
    pub fn found(&self, said: Said, shown: Vec<Shown>) -> Result<Found, DataError> {
        let images = shown.iter().map(|one| self.place(one)).collect::<Result<Vec<_>, _>>()?;
        let finding = match images.first() {
            Some(first) => finding(said, first.file.clone(), first.line, images.clone()),
            None => return Ok(self.of_side(said, 0)),
        };
        Ok(Found { finding, shown })
    }

    /// A finding about a part as a whole.
    pub fn of_side(&self, said: Said, side: usize) -> Found {
        let file = self.sides[side].source.display().to_string();
        Found { finding: finding(said, file, None, Vec::new()), shown: Vec::new() }
    }
}

/// The last names of a path or URL, at most so many.
fn ending(url: &str, names: usize) -> &str {
    url.rmatch_indices('/').nth(names - 1).map_or(url, |(at, _)| &url[at + 1..])
}

fn finding(said: Said, file: String, line: Option<u64>, images: Vec<FindingPlace>) -> Finding {
    let Said { kind, message, advice } = said;
    Finding { kind, severity: kind.severity(), file, line, message, advice, images }
}

/// Where a row is, on its way to a place.
struct Rejected {
    file: String,
    line: u64,
    url: Option<String>,
    location: Option<Location>,
}

impl Rejected {
    /// Rows of a folder are known by their images: the list of them is ours.
    fn place(self, part: DataPart, folder: Option<&Path>) -> FindingPlace {
        let Some(folder) = folder else {
            return FindingPlace { part, file: self.file, line: Some(self.line), image_url: self.url, objects: vec![] };
        };
        let within = match &self.location {
            Some(Location::File(path)) => Some(folder::within(folder, path).display().to_string()),
            Some(Location::Http(_)) | None => self.url,
        };
        FindingPlace { part, file: folder.display().to_string(), line: None, image_url: within, objects: vec![] }
    }
}

/// Checks a data set.
///
/// # Errors
/// Data that cannot be read at all, or labels of two types.
pub fn check(request: &CheckRequest, on_progress: OnProgress) -> Result<Checked, DataError> {
    let sources = Sources::of(request)?;
    let mut classes = Classes::default();
    let (mut parts, mut warnings) = (Vec::new(), Vec::new());
    for source in &sources.parts {
        let mut rejections = Rejections::new(true);
        let mut reading = Reading {
            options: &request.read,
            depth: Depth::Everything,
            group_column: None,
            rejections: &mut rejections,
            warnings: &mut warnings,
            on_progress,
        };
        let (reader, rows) = reading.rows(&source.list, &mut LabelRule::Collect(&mut classes), 0)?;
        let rejections = rejections.all()?;
        let (part, source, folder) = (source.part, source.named.clone(), source.folder.clone());
        parts.push(Read { part, source, reader, rows, rejections, folder });
    }
    let data = data(request, &parts, labels(&classes));
    let mut found = found_in(&data)?;
    groups::check(&data, request.group_column.as_deref(), &mut found)?;
    warnings.extend(sources.warnings.iter().cloned());
    for (side, part) in parts.iter().enumerate() {
        rows::check(&data, side, &part.rejections, &mut found)?;
    }
    sort(&mut found);
    let report = report(&data, &parts, &found, &classes);
    let shown = found.into_iter().map(|one| one.shown).collect();
    let labels = data.labels;
    Ok(Checked { report, warnings, shown, parts, labels, request: request.clone(), _sources: sources })
}

fn data<'a>(request: &CheckRequest, parts: &'a [Read], labels: Vec<String>) -> Data<'a> {
    let side = |read: &'a Read| Side {
        part: read.part,
        source: &read.source,
        reader: &read.reader,
        rows: &read.rows,
        folder: read.folder.as_deref(),
    };
    Data {
        task: request.read.task,
        sides: parts.iter().map(side).collect(),
        labels,
        side: request.side,
        threads: request.read.threads,
    }
}

/// Names of the classes by their numbers.
pub(crate) fn labels(classes: &Classes) -> Vec<String> {
    let (names, places) = classes.sorted(|_| true);
    places.into_iter().map(|place| place.map(|place| names[place as usize].clone()).unwrap_or_default()).collect()
}

/// What there is to say of data that are read for training, worst first, but for what reading them says already. Images
/// that were not decoded are not looked at.
pub(crate) fn before_training(data: &Data, group_column: Option<&str>) -> Result<Vec<Finding>, DataError> {
    let mut found = found_in(data)?;
    // Names are read from the files of rows again.
    if group_column.is_none() && data.images().count() <= FULL_CHECK {
        groups::check(data, None, &mut found)?;
    }
    found.retain(|one| one.finding.kind != FindingKind::UntrainedClass);
    sort(&mut found);
    Ok(found.into_iter().map(|one| one.finding).collect())
}

/// Runs the checks of usable rows and their images; in no order.
fn found_in(data: &Data) -> Result<Vec<Found>, DataError> {
    let mut found = Vec::new();
    names::check(data, &mut found)?;
    classes::check(data, &mut found)?;
    copies::check(data, &mut found)?;
    boxes::check(data, &mut found)?;
    outlines::check(data, &mut found)?;
    images::check(data, &mut found)?;
    Ok(found)
}

/// Worst first, and then as the rows come.
fn sort(found: &mut [Found]) {
    let place = |one: &Found| {
        (one.finding.kind, one.finding.images.first().map(|at| at.part), one.shown.first().map(|at| at.at))
    };
    found.sort_by(|a, b| {
        let key = |one: &Found| (place(one), one.finding.file.clone(), one.finding.line, one.finding.message.clone());
        key(a).cmp(&key(b))
    });
}

fn report(data: &Data, parts: &[Read], found: &[Found], classes: &Classes) -> CheckReport {
    let findings: Vec<Finding> = found.iter().map(|one| one.finding.clone()).collect();
    let count = |severity| findings.iter().filter(|one| one.severity == severity).count() as u64;
    let checked = |read: &Read| CheckedPart {
        part: read.part,
        source: read.source.display().to_string(),
        rows: read.rows.rows,
        images: read.rows.entries.len() as u64,
    };
    let (names, places) = classes.sorted(|_| true);
    let mut images = vec![vec![0; parts.len()]; names.len()];
    for (side, part) in parts.iter().enumerate() {
        for (class, n) in showing(&part.rows.targets, data.labels.len()).into_iter().enumerate() {
            if let Some(place) = places[class] {
                images[place as usize][side] = n;
            }
        }
    }
    CheckReport {
        task: data.task,
        parts: parts.iter().map(checked).collect(),
        classes: names.into_iter().zip(images).map(|(label, images)| CheckedClass { label, images }).collect(),
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        notes: count(Severity::Note),
        findings,
        suspects: None,
    }
}

/// Images that show each of `n` classes.
fn showing(targets: &Targets, n: usize) -> Vec<u64> {
    let mut counts = vec![0; n];
    for image in 0..targets.len() {
        targets.shown(image).into_iter().for_each(|class| counts[class as usize] += 1);
    }
    counts
}

/// An image of a finding, to be looked at.
pub struct FoundImage {
    /// The image, upright.
    pub image: Arc<Rgb>,
    /// What to call it.
    pub place: FindingPlace,
    /// Its classes, where it is images that have them.
    pub classes: Vec<String>,
    /// The objects that the finding is about, with their labels.
    pub objects: Vec<(String, Object)>,
}

impl Checked {
    /// The first `most` images of a finding, by its place in the report; those that can no longer be read are left out.
    ///
    /// # Errors
    /// A JSONL file changed.
    pub fn images(&self, finding: usize, most: usize) -> Result<Vec<FoundImage>, DataError> {
        let mut images = Vec::new();
        let places = &self.report.findings[finding].images;
        for (shown, place) in self.shown[finding].iter().zip(places).take(most) {
            let read = &self.parts[shown.at.side];
            let Ok(image) =
                crate::dataset::image(&read.reader, &read.rows.cache, &read.rows.entries[shown.at.index], 0)
            else {
                continue;
            };
            let object = |&object: &usize| match &read.rows.targets {
                Targets::Classes(_) | Targets::Sets(_) => None,
                Targets::Objects(all) => all.of(shown.at.index).get(object).cloned(),
            };
            let label = |class: u32| self.label(class);
            let objects = shown.objects.iter().filter_map(object).map(|one| (label(one.class), one)).collect();
            let classes = read.rows.targets.classes(shown.at.index).iter().map(|&class| label(class)).collect();
            images.push(FoundImage { image, place: place.clone(), classes, objects });
        }
        Ok(images)
    }

    fn label(&self, class: u32) -> String {
        self.labels.get(class as usize).cloned().unwrap_or_default()
    }
}

/// Whether the rows of a task have one class each.
fn has_one_class(task: Task) -> bool {
    match task.labels() {
        Labels::Class => true,
        Labels::Classes | Labels::Boxes | Labels::Outlines => false,
    }
}
