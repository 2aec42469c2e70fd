//! From what the user names to checked, split data sets.

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::host::Limits;

use super::dataset::{self, Cache, Dataset, Images, Reader};
use super::error::DataError;
use super::fetch::Fetcher;
use super::index::{Classes, Entry, Files, Keys, LabelRule};
use super::preflight::{self, FULL_CHECK, HEADER_CHECK, OnProgress, Totals};
use super::reject::{RejectKind, Rejections};
use super::{mltable, split, write};

/// Training with fewer images than this is pointed out.
const FEW_IMAGES: usize = 10;

/// How data is read and checked, whatever it is for.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Local folder that stands for the cloud storage in `azureml://` and `AmlDatastore://` paths.
    pub data_root: Option<PathBuf>,
    /// Leave bad rows out and list them (true), or fail on the first one (false).
    pub ignore_data_errors: bool,
    /// What one picture may cost.
    pub limits: Limits,
    /// Bytes of pictures that may be kept in memory; see [`default_cache_bytes`].
    pub cache_bytes: u64,
    /// Threads that check pictures, at least 1.
    pub threads: usize,
    /// Folder that fetched pictures are kept in; made when the first is fetched.
    pub fetch_folder: PathBuf,
    /// The rows of a run that goes on, and whether their pictures were all decoded when it began: none is removed, because
    /// the order of every epoch depends on their number.
    pub resumed: Option<bool>,
}

/// The data of a training run.
#[derive(Clone, Debug)]
pub struct TrainingRequest {
    /// JSONL file or MLTable folder.
    pub training: PathBuf,
    /// The same; without it a part of the training data is set aside.
    pub validation: Option<PathBuf>,
    /// Share of the training data set aside where there is no validation data, above 0 and below 1.
    pub split_ratio: f64,
    /// Decides which rows are set aside.
    pub seed: u64,
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

/// Rows of one part on their way to becoming a data set.
struct Part {
    entries: Vec<Entry>,
    keys: Vec<Keys>,
    cache: Cache,
    rows: u64,
    /// Every picture has been decoded in full.
    checked: bool,
}

impl Part {
    /// Keeps the rows at `keep`, which is strictly ascending.
    fn retain(&mut self, keep: &[u32]) {
        self.entries = keep.iter().map(|&at| self.entries[at as usize]).collect();
        self.keys = keep.iter().map(|&at| self.keys[at as usize]).collect();
        self.cache.retain(keep);
    }
}

/// Reads, checks and splits the data of a training run. The result depends on the data, the seed and the settings alone.
///
/// Class order is the sorted labels of the images that are left in training and validation together, integers as numbers.
/// With a single class a second, never used label `not LABEL` is added, so that a classifier can be built at all.
///
/// # Errors
/// Data that cannot be read, labels of two types, no usable image, or the first bad row when they are not ignored.
pub fn training(request: &TrainingRequest, on_progress: OnProgress) -> Result<TrainingData, DataError> {
    if request.validation.is_none() && !(request.split_ratio > 0.0 && request.split_ratio < 1.0) {
        let limit = "without validation data it must be above 0 and below 1";
        return Err(DataError::Setting { name: "split_ratio", value: request.split_ratio.to_string(), limit });
    }
    let mut warnings = Vec::new();
    let mut rejections = Rejections::new(request.read.ignore_data_errors);
    let mut classes = Classes::default();
    let mut reading =
        Reading { options: &request.read, rejections: &mut rejections, warnings: &mut warnings, on_progress };
    let budget = request.read.cache_bytes;
    let (train_reader, train) = reading.part(&request.training, &mut LabelRule::Collect(&mut classes), budget)?;
    let validation = match &request.validation {
        // Validation keeps finished views instead, which are smaller (see the loader).
        Some(path) => Some(reading.part(path, &mut LabelRule::Collect(&mut classes), 0)?),
        None => None,
    };
    if let Some((_, validation)) = &validation {
        reading.warn_overlap(&train, validation);
    }
    let was_split = validation.is_none();
    let (train, (validation_reader, validation)) = match validation {
        Some(given) => (train, given),
        None => set_aside(train, request, &train_reader, &mut warnings),
    };
    let (labels, train, validation) = number_classes(&classes, train, validation, &mut warnings);
    if train.entries.len() < FEW_IMAGES {
        warnings.push(format!(
            "{} training images; with fewer than {FEW_IMAGES} a model seldom learns anything, and 10 to 15 per label are advised",
            train.entries.len()
        ));
    }
    Ok(TrainingData {
        train: Arc::new(
            Dataset::new(Arc::clone(&labels), train.entries, train_reader, train.cache).checked(train.checked),
        ),
        validation: Arc::new(Dataset::new(labels, validation.entries, validation_reader, validation.cache)),
        rejections,
        warnings,
        was_split,
    })
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
    let mut reading = Reading { options, rejections: &mut rejections, warnings: &mut warnings, on_progress };
    let (reader, part) = reading.part(path, &mut LabelRule::Known(labels), 0)?;
    let dataset = Arc::new(Dataset::new(labels.into(), part.entries, reader, part.cache));
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

/// Reads and checks the rows of a JSONL file or MLTable folder without looking at a picture.
///
/// # Errors
/// Data that cannot be read, or labels of two types.
pub fn count_rows(path: &Path) -> Result<RowCount, DataError> {
    let mut rejections = Rejections::new(true);
    let mut classes = Classes::default();
    let files = Files::open(&mltable::open(path)?.files, None)?;
    let scan = files.scan(&mut LabelRule::Collect(&mut classes), &mut rejections)?;
    let mut part = Part { entries: scan.entries, keys: scan.keys, cache: Cache::None, rows: scan.rows, checked: false };
    let limits = Limits::default();
    let reader = Reader { files, fetcher: Fetcher::new(PathBuf::new(), limits.max_bytes), limits };
    remove_duplicates(&reader, &mut part, &mut rejections)?;
    let (names, _) = classes.sorted(|_| true);
    Ok(RowCount { rows: part.rows, classes: names.len(), rejected: rejections.total() })
}

impl TrainingData {
    /// Writes `train.jsonl` and `validation.jsonl` as used (rows as given, `image_url` absolute) and `rejected.jsonl` to
    /// `folder`, each replaced at once.
    ///
    /// # Errors
    /// Any IO error.
    pub fn write(&mut self, folder: &Path) -> Result<(), DataError> {
        for (name, part) in [("train.jsonl", &self.train), ("validation.jsonl", &self.validation)] {
            write::replace(&folder.join(name), |out| {
                for index in 0..part.len() {
                    let row = part.row(index).map_err(io::Error::other)?;
                    serde_json::to_writer(&mut *out, &row)?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            })?;
        }
        self.rejections.write(&folder.join("rejected.jsonl"))
    }
}

struct Reading<'a> {
    options: &'a ReadOptions,
    rejections: &'a mut Rejections,
    warnings: &'a mut Vec<String>,
    on_progress: OnProgress<'a>,
}

impl Reading<'_> {
    /// Scans, removes duplicates, and looks at the pictures of one part.
    fn part(&mut self, path: &Path, rule: &mut LabelRule, cache_bytes: u64) -> Result<(Arc<Reader>, Part), DataError> {
        let source = mltable::open(path)?;
        self.warnings.extend(source.warnings);
        let files = Files::open(&source.files, self.options.data_root.as_deref())?;
        let before = self.rejections.total();
        let scan = files.scan(rule, self.rejections)?;
        let limits = self.options.limits;
        let fetcher = Fetcher::new(self.options.fetch_folder.clone(), limits.max_bytes);
        let reader = Reader { files, fetcher, limits };
        let mut part =
            Part { entries: scan.entries, keys: scan.keys, cache: Cache::None, rows: scan.rows, checked: false };
        remove_duplicates(&reader, &mut part, self.rejections)?;
        self.check(&reader, &mut part, cache_bytes)?;
        if part.entries.is_empty() {
            return Err(DataError::Empty {
                what: path.display().to_string(),
                rows: part.rows,
                rejected: self.rejections.total() - before,
                examples: self.rejections.examples_text(),
            });
        }
        Ok((Arc::new(reader), part))
    }

    fn check(&mut self, reader: &Reader, part: &mut Part, cache_bytes: u64) -> Result<(), DataError> {
        let n = part.entries.len();
        if let Some(checked) = self.options.resumed {
            let totals = Totals::default();
            // What is wrong with a picture now comes out where it came out before: in the loader.
            let _ = preflight::each(n, self.options.threads, self.on_progress, |at| {
                preflight::header(reader, &part.entries[at], &totals)
            })?;
            part.cache = Cache::plan(n, totals.sizes(), cache_bytes);
            part.checked = checked;
            return Ok(());
        }
        if n > HEADER_CHECK {
            return self.reject_bad(reader, part, |part, at| preflight::presence(reader, &part.entries[at]));
        }
        let totals = Totals::default();
        self.reject_bad(reader, part, |part, at| preflight::header(reader, &part.entries[at], &totals))?;
        part.cache = Cache::plan(part.entries.len(), totals.sizes(), cache_bytes);
        if n <= FULL_CHECK {
            self.reject_bad(reader, part, |part, at| {
                dataset::image(reader, &part.cache, &part.entries[at], at).map(drop)
            })?;
            part.checked = true;
        }
        Ok(())
    }

    fn reject_bad(
        &mut self,
        reader: &Reader,
        part: &mut Part,
        check: impl Fn(&Part, usize) -> Result<(), dataset::SampleError> + Sync,
    ) -> Result<(), DataError> {
        let n = part.entries.len();
        let bad = preflight::each(n, self.options.threads, self.on_progress, |at| check(part, at))?;
        if bad.is_empty() {
            return Ok(());
        }
        let mut gone = BTreeSet::new();
        for (at, kind, reason) in bad {
            self.rejections.add(reader.rejection(&part.entries[at], kind, reason))?;
            gone.insert(at as u32);
        }
        let keep: Vec<u32> = (0..n as u32).filter(|at| !gone.contains(at)).collect();
        part.retain(&keep);
        Ok(())
    }

    fn warn_overlap(&mut self, train: &Part, validation: &Part) {
        let mut known: Vec<[u8; 16]> = train.keys.iter().map(|keys| keys.location).collect();
        known.sort_unstable();
        let shared = validation.keys.iter().filter(|keys| known.binary_search(&keys.location).is_ok()).count();
        if shared > 0 {
            self.warnings.push(format!(
                "{shared} of {} validation images are training images too; metrics on them flatter the model",
                validation.keys.len()
            ));
        }
    }
}

/// Of the rows that name one picture, the last counts.
fn remove_duplicates(reader: &Reader, part: &mut Part, rejections: &mut Rejections) -> Result<(), DataError> {
    let mut order: Vec<u32> = (0..part.keys.len() as u32).collect();
    order.sort_unstable_by_key(|&at| (part.keys[at as usize].location, at));
    let mut dropped: Vec<(u32, u32)> = Vec::new();
    for same in order.chunk_by(|&a, &b| part.keys[a as usize].location == part.keys[b as usize].location) {
        if let [earlier @ .., last] = same {
            dropped.extend(earlier.iter().map(|&at| (at, *last)));
        }
    }
    if dropped.is_empty() {
        return Ok(());
    }
    dropped.sort_unstable();
    for &(at, last) in &dropped {
        let (entry, kept) = (&part.entries[at as usize], &part.entries[last as usize]);
        let reason = if reader.files.path(entry) == reader.files.path(kept) {
            format!("duplicate of line {}, which is used", kept.line)
        } else {
            format!("duplicate of {}:{}, which is used", reader.files.path(kept).display(), kept.line)
        };
        rejections.add(reader.rejection(entry, RejectKind::Duplicate, reason))?;
    }
    let mut gone = dropped.iter().map(|&(at, _)| at).peekable();
    let keep: Vec<u32> = (0..part.entries.len() as u32).filter(|at| gone.next_if_eq(at).is_none()).collect();
    part.retain(&keep);
    Ok(())
}

/// Sets a part of the training rows aside for validation; with nothing to spare, all are used for both.
fn set_aside(
    mut train: Part,
    request: &TrainingRequest,
    reader: &Arc<Reader>,
    warnings: &mut Vec<String>,
) -> (Part, (Arc<Reader>, Part)) {
    let picks = split::split(&train.entries, &train.keys, request.split_ratio, request.seed);
    let chosen =
        |wanted: bool| -> Vec<u32> { (0..picks.len() as u32).filter(|&at| picks[at as usize] == wanted).collect() };
    let mut validation = Part {
        entries: train.entries.clone(),
        keys: train.keys.clone(),
        cache: Cache::None,
        rows: train.rows,
        checked: train.checked,
    };
    if picks.iter().any(|&pick| pick) {
        validation.retain(&chosen(true));
        train.retain(&chosen(false));
    } else {
        warnings.push("no class has an image to spare, so validation uses the training images".to_owned());
    }
    (train, (Arc::clone(reader), validation))
}

/// Sorts the labels that are left and renumbers the rows accordingly.
fn number_classes(
    classes: &Classes,
    mut train: Part,
    mut validation: Part,
    warnings: &mut Vec<String>,
) -> (Arc<[String]>, Part, Part) {
    let used = |part: &Part| part.entries.iter().map(|entry| entry.class).collect::<BTreeSet<u32>>();
    let (in_train, in_validation) = (used(&train), used(&validation));
    let (mut names, places) = classes.sorted(|class| in_train.contains(&class) || in_validation.contains(&class));
    let untrained: Vec<&str> = in_validation
        .difference(&in_train)
        .filter_map(|&class| places[class as usize].map(|place| names[place as usize].as_str()))
        .collect();
    if !untrained.is_empty() {
        warnings.push(format!("labels only in the validation data, which cannot be learnt: {}", untrained.join(", ")));
    }
    for entry in train.entries.iter_mut().chain(&mut validation.entries) {
        entry.class = places[entry.class as usize].expect("every used class has a place");
    }
    if let [only] = names.as_slice() {
        warnings.push(format!(
            "every image has the label {only:?}; a second label \"not {only}\" is added, which no image has"
        ));
        let other = format!("not {only}");
        names.push(other);
    }
    (names.into(), train, validation)
}
