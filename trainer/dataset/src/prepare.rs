//! From what the user names to checked, split data sets.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use files::Writing;
use models::host::Limits;
use schemas::Task;
use schemas::check::{DataPart, Finding};

use super::check;
use super::dataset::{Cache, Dataset, Images, Labels, Reader};
use super::error::DataError;
use super::fetch::Fetcher;
use super::index::{Classes, Files, LabelRule};
use super::options::ReadOptions;
use super::part::{Depth, Part, Reading, unite_rows};
use super::preflight::OnProgress;
use super::reject::Rejections;
use super::target::Targets;
use super::{mltable, split};

/// Training with fewer images than this is pointed out.
const FEW_IMAGES: usize = 10;
/// The share of a split that groups make other than asked for is pointed out from this difference on, as a share of it.
const SHARE_OFF: f64 = 0.25;

/// What validates where there is no validation data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// A share of the training data, above 0 and below 1, which is set aside.
    Share(f64),
    /// One of `count` even parts of the training data, `index` from 0.
    Fold {
        /// Which.
        index: u32,
        /// Parts.
        count: u32,
    },
    /// The training data themselves: nothing is set aside.
    Nothing,
}

/// The data of a training run.
#[derive(Clone, Debug)]
pub struct TrainingRequest {
    /// JSONL file or MLTable folder.
    pub training: PathBuf,
    /// The same; without it a part of the training data is set aside.
    pub validation: Option<PathBuf>,
    /// What is set aside of the training data where there is no validation data.
    pub split: Split,
    /// Decides which rows are set aside.
    pub seed: u64,
    /// Key of the rows whose values are groups, of which none is in both parts.
    pub group_column: Option<String>,
    /// Side in pixels that the model sees images at.
    pub side: u32,
    /// How it is read.
    pub read: ReadOptions,
}

/// Checked data of a training run.
pub struct TrainingData {
    /// Samples to train on; labels are shared with `validation`.
    pub train: Arc<Dataset>,
    /// Samples to validate on.
    pub validation: Arc<Dataset>,
    /// Rows that were left out.
    pub rejections: Rejections,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What is wrong with the data besides, worst first. Nothing where a run goes on.
    pub findings: Vec<Finding>,
    /// Whether `validation` was set aside from the training data.
    pub was_split: bool,
}

/// Checked data for evaluation.
pub struct TestData {
    /// The samples.
    pub dataset: Arc<Dataset>,
    /// Rows that were left out.
    pub rejections: Rejections,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A quarter of the machine's memory (or of the control group's limit), at most 4 GiB.
pub fn default_cache_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let total = std::fs::File::open("/proc/meminfo").ok().and_then(|file| {
        let line = io::BufReader::new(file).lines().map_while(Result::ok).find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    let memory = total.into_iter().chain(group).min().unwrap_or(4 << 30);
    (memory / 4).min(4 << 30)
}

/// Reads, checks and splits the data of a training run. The result depends on the data, the seed and the settings alone.
///
/// Class order is the sorted labels of the images that are left in training and validation together, integers as numbers.
/// With a single class a second, never used label `not LABEL` is added, so that something can be told apart at all; where
/// an image may have no label, and for a detector, that is not needed.
///
/// Several rows of one image: for classification the last counts, for detection their objects are put together.
///
/// # Errors
/// Data that cannot be read, a row without a group where there are groups, labels of two types, no usable image, no
/// object in any of them, or the first bad row when they are not ignored.
pub fn training(request: &TrainingRequest, on_progress: OnProgress) -> Result<TrainingData, DataError> {
    if let (None, Split::Share(share)) = (&request.validation, request.split)
        && !(share > 0.0 && share < 1.0)
    {
        let limit = "without validation data it must be above 0 and below 1";
        return Err(DataError::Setting { name: "split_ratio", value: share.to_string(), limit });
    }
    let mut warnings = Vec::new();
    let mut rejections = Rejections::new(request.read.ignore_data_errors);
    let mut classes = Classes::default();
    // A run that goes on has its rows where they were.
    let group_column = request.group_column.as_deref().filter(|_| request.read.resumed.is_none());
    let mut reading = Reading {
        options: &request.read,
        depth: Depth::Facts,
        group_column,
        rejections: &mut rejections,
        warnings: &mut warnings,
        on_progress,
    };
    let budget = request.read.cache_bytes;
    let (train_reader, train) = reading.part(&request.training, &mut LabelRule::Collect(&mut classes), budget)?;
    let validation = match &request.validation {
        // Validation keeps finished views instead, which are smaller (see the loader).
        Some(path) => Some(reading.part(path, &mut LabelRule::Collect(&mut classes), 0)?),
        None => None,
    };
    if let Some((reader, validation)) = &validation {
        reading.warn_overlap(&train, validation);
        reading.warn_shared_groups(&train, (reader, validation))?;
    }
    let findings = match request.read.resumed {
        None => find(request, &classes, (&train_reader, &train), validation.as_ref())?,
        Some(_) => Vec::new(),
    };
    let was_split = validation.is_none();
    let (train, (validation_reader, validation)) = match validation {
        Some(given) => (train, given),
        None => set_aside(train, request, &classes, &train_reader, &mut warnings)?,
    };
    if let (true, Some(first)) = (train.targets.are_empty(), train.entries.first()) {
        let path = train_reader.files.path(first).clone();
        let what = if let Targets::Objects(_) = train.targets { "an object" } else { "a label" };
        let message = format!(
            "none of {} training images has {what}; label some{}",
            train.entries.len(),
            rejections.examples_text()
        );
        return Err(DataError::Source { path, message });
    }
    let (labels, train, validation) = number_classes(&classes, train, validation, &mut warnings);
    if train.entries.len() < FEW_IMAGES {
        warnings.push(format!(
            "{} training images; with fewer than {FEW_IMAGES} a model seldom learns anything, and 10 to 15 per label are advised",
            train.entries.len()
        ));
    }
    Ok(TrainingData {
        train: Arc::new(
            Dataset::new(labels.clone(), train.entries, train.targets, train_reader, train.cache)
                .checked(train.checked),
        ),
        validation: Arc::new(Dataset::new(
            labels,
            validation.entries,
            validation.targets,
            validation_reader,
            validation.cache,
        )),
        rejections,
        warnings,
        findings,
        was_split,
    })
}

/// Runs the checks that cost next to nothing beside reading the data.
fn find(
    request: &TrainingRequest,
    classes: &Classes,
    train: (&Reader, &Part),
    validation: Option<&(Arc<Reader>, Part)>,
) -> Result<Vec<Finding>, DataError> {
    let side = |part, source, reader, rows| check::Side { part, source, reader, rows, folder: None };
    let mut sides = vec![side(DataPart::Training, &request.training, train.0, train.1)];
    if let (Some((reader, rows)), Some(source)) = (validation, &request.validation) {
        sides.push(side(DataPart::Validation, source, reader, rows));
    }
    let (task, labels) = (request.read.task, check::labels(classes));
    let data = check::Data { task, sides, labels, side: request.side, threads: request.read.threads };
    check::before_training(&data, request.group_column.as_deref())
}

/// Reads and checks data for a trained model, whose `labels` decide the classes; rows with other labels are rejected.
///
/// # Errors
/// Data that cannot be read, no usable image, or the first bad row when they are not ignored.
pub fn test(
    path: &Path,
    labels: &[String],
    options: &ReadOptions,
    on_progress: OnProgress,
) -> Result<TestData, DataError> {
    let mut warnings = Vec::new();
    let mut rejections = Rejections::new(options.ignore_data_errors);
    let mut reading = Reading {
        options,
        depth: Depth::Sound,
        group_column: None,
        rejections: &mut rejections,
        warnings: &mut warnings,
        on_progress,
    };
    let (reader, part) = reading.part(path, &mut LabelRule::Known(labels), 0)?;
    let labels = Labels { names: labels.into(), are_integers: false };
    let dataset = Arc::new(Dataset::new(labels, part.entries, part.targets, reader, part.cache));
    Ok(TestData { dataset, rejections, warnings })
}

/// What [`count_rows`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCount {
    /// Rows, blank lines not counted.
    pub rows: u64,
    /// Different labels.
    pub classes: usize,
    /// Rows that cannot be used, as far as the text shows.
    pub rejected: u64,
}

/// Reads and checks the rows of a JSONL file or MLTable folder without looking at an image.
///
/// # Errors
/// Data that cannot be read, or labels of two types.
pub fn count_rows(task: Task, path: &Path) -> Result<RowCount, DataError> {
    let mut rejections = Rejections::new(true);
    let mut classes = Classes::default();
    let files = Files::open(&mltable::open(path)?.files, None)?;
    let scan = files.scan(task, &mut LabelRule::Collect(&mut classes), &mut rejections)?;
    let mut part = Part::new(scan);
    let limits = Limits::default();
    let reader = Reader { files, fetcher: Fetcher::new(None, limits.max_bytes), limits, data_root: None, kept: None };
    unite_rows(&reader, &mut part, &mut rejections)?;
    let (names, _) = classes.sorted(|_| true);
    Ok(RowCount { rows: part.rows, classes: names.len(), rejected: rejections.total() })
}

impl TrainingData {
    /// Names of the files that [`TrainingData::write`] makes.
    pub const FILES: [&str; 3] = ["train.jsonl", "validation.jsonl", "rejected.jsonl"];

    /// Makes `train.jsonl` and `validation.jsonl` as used (rows as given, but `image_url` absolute, and of objects those that
    /// are used, one row per image) and `rejected.jsonl` in the folder `within` of what is written.
    ///
    /// # Errors
    /// Any IO error.
    pub fn write(&mut self, writing: &mut Writing, within: &Path) -> Result<(), DataError> {
        let [train, validation, rejected] = Self::FILES.map(|name| within.join(name));
        for (name, part) in [(train, &self.train), (validation, &self.validation)] {
            writing.write(&name, |out| {
                for index in 0..part.len() {
                    let row = part.row(index).map_err(io::Error::other)?;
                    serde_json::to_writer(&mut *out, &row)?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            })?;
        }
        writing.write(&rejected, |out| self.rejections.write(out))?;
        Ok(())
    }
}

/// Sets a part of the training rows aside for validation; with nothing to spare, all are used for both.
fn set_aside(
    mut train: Part,
    request: &TrainingRequest,
    classes: &Classes,
    reader: &Arc<Reader>,
    warnings: &mut Vec<String>,
) -> Result<(Part, (Arc<Reader>, Part)), DataError> {
    let ranks: Vec<u32> = classes.sorted(|_| true).1.into_iter().map(Option::unwrap_or_default).collect();
    let strata = train.targets.strata(&ranks);
    let seed = request.seed;
    let picks = match (request.split, &train.groups) {
        (Split::Share(share), None) => split::split(&strata, &train.keys, share, seed),
        (Split::Share(share), Some(groups)) => {
            split::grouped(&strata, groups, share, seed).ok_or_else(|| cannot_split(request))?
        }
        (Split::Fold { index, count }, groups) => {
            let parts = match groups {
                None => Some(split::folds(&strata, &train.keys, count, seed)),
                Some(groups) => split::grouped_folds(&strata, groups, count, seed),
            };
            let parts = parts.filter(|_| strata.len() >= count as usize).ok_or_else(|| too_few(request, count))?;
            parts.into_iter().map(|part| part == index).collect()
        }
        (Split::Nothing, _) => vec![false; strata.len()],
    };
    let chosen =
        |wanted: bool| -> Vec<u32> { (0..picks.len() as u32).filter(|&at| picks[at as usize] == wanted).collect() };
    let mut validation = Part {
        entries: train.entries.clone(),
        keys: train.keys.clone(),
        targets: train.targets.clone(),
        groups: train.groups.clone(),
        cache: Cache::None,
        facts: Vec::new(),
        rows: train.rows,
        cut: train.cut,
        checked: train.checked,
    };
    if picks.iter().any(|&pick| pick) {
        validation.retain(&chosen(true));
        train.retain(&chosen(false));
        let got = validation.entries.len() as f64 / picks.len() as f64;
        if let (Split::Share(wanted), Some(_)) = (request.split, &train.groups)
            && (got - wanted).abs() > wanted * SHARE_OFF
        {
            warnings.push(format!(
                "{} of {} images validate, a share of {got:.2} where split_ratio is {wanted}: groups are not cut",
                validation.entries.len(),
                picks.len()
            ));
        }
    } else if request.split != Split::Nothing {
        warnings.push("no class has an image to spare, so validation uses the training images".to_owned());
    }
    Ok((train, (Arc::clone(reader), validation)))
}

/// That there is less to divide than there are parts.
fn too_few(request: &TrainingRequest, count: u32) -> DataError {
    let what = if request.group_column.is_some() { "groups" } else { "images" };
    let message = format!("has fewer {what} than the {count} parts of --folds {count}; ask for fewer parts");
    DataError::Source { path: request.training.clone(), message }
}

/// That no group can be spared for validation.
fn cannot_split(request: &TrainingRequest) -> DataError {
    let key = request.group_column.as_deref().unwrap_or_default();
    let message = format!(
        "no group by {key:?} can be set aside for validation: there is one group only, or each holds all images of \
         some class; name other images with --validation_data, or another group_column"
    );
    DataError::Source { path: request.training.clone(), message }
}

/// Sorts the labels that are left and renumbers the rows accordingly.
fn number_classes(
    classes: &Classes,
    mut train: Part,
    mut validation: Part,
    warnings: &mut Vec<String>,
) -> (Labels, Part, Part) {
    let (in_train, in_validation) = (train.targets.used(), validation.targets.used());
    let (mut names, places) = classes.sorted(|class| in_train.contains(&class) || in_validation.contains(&class));
    let untrained: Vec<&str> = in_validation
        .difference(&in_train)
        .filter_map(|&class| places[class as usize].map(|place| names[place as usize].as_str()))
        .collect();
    if !untrained.is_empty() {
        warnings.push(format!("labels only in the validation data, which cannot be learnt: {}", untrained.join(", ")));
    }
    train.targets.renumber(&places);
    validation.targets.renumber(&places);
    if let (Targets::Classes(_), [only]) = (&train.targets, names.as_slice()) {
        warnings.push(format!(
            "every image has the label {only:?}; a second label \"not {only}\" is added, which no image has"
        ));
        let other = format!("not {only}");
        names.push(other);
    }
    (Labels { names: names.into(), are_integers: classes.are_integers() }, train, validation)
}
