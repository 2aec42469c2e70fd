//! One part of a data set (training, validation, test), from its files to checked rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::dataset::{self, Cache, Reader};
use super::error::DataError;
use super::facts::{self, Facts};
use super::fetch::Fetcher;
use super::group::{self, Group};
use super::index::{Entry, Files, Keys, LabelRule, Scan};
use super::kept::Kept;
use super::mltable;
use super::options::ReadOptions;
use super::preflight::{self, FULL_CHECK, HEADER_CHECK, OnProgress, Totals};
use super::reject::{RejectKind, Rejections};
use super::target::{Objects, Targets};

/// Rows of one part on their way to becoming a data set.
pub(crate) struct Part {
    /// Place of each sample's row; of several rows of one image, of the first.
    pub entries: Vec<Entry>,
    /// One per entry.
    pub keys: Vec<Keys>,
    /// One per entry.
    pub targets: Targets,
    /// One per entry, where rows have groups.
    pub groups: Option<Vec<Group>>,
    /// One slot per entry, where there are any.
    pub cache: Cache,
    /// What is known of the images, one per entry; empty where they were not decoded, or nobody asked.
    pub facts: Vec<Facts>,
    /// Rows read, blank lines not counted.
    pub rows: u64,
    /// Boxes of the files it was read from that stuck out of their image and were cut at its edge.
    pub cut: usize,
    /// Every image has been decoded in full.
    pub checked: bool,
}

impl Part {
    /// What a scan found, of whose images nothing is known yet.
    pub fn new(scan: Scan) -> Self {
        let Scan { entries, keys, targets, rows, cut, .. } = scan;
        Self { entries, keys, targets, groups: None, cache: Cache::None, facts: Vec::new(), rows, cut, checked: false }
    }

    /// Keeps the rows at `keep`, which is strictly ascending.
    pub fn retain(&mut self, keep: &[u32]) {
        self.entries = keep.iter().map(|&at| self.entries[at as usize]).collect();
        self.keys = keep.iter().map(|&at| self.keys[at as usize]).collect();
        self.targets.retain(keep);
        if let Some(groups) = &mut self.groups {
            *groups = keep.iter().map(|&at| groups[at as usize]).collect();
        }
        if !self.facts.is_empty() {
            self.facts = keep.iter().map(|&at| self.facts[at as usize].clone()).collect();
        }
        self.cache.retain(keep);
    }

    /// Drops the rows at `gone`.
    fn drop_rows(&mut self, gone: &BTreeSet<u32>) {
        let keep: Vec<u32> = (0..self.entries.len() as u32).filter(|at| !gone.contains(at)).collect();
        self.retain(&keep);
    }
}

/// How closely images are looked at, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// As [`preflight`] says, to leave out those that cannot be used.
    Sound,
    /// The same; of those that are decoded, what the checks ask for is kept.
    Facts,
    /// All are decoded, however many there are, and the same is kept.
    Everything,
}

/// Reads the parts of a data set.
pub(crate) struct Reading<'a> {
    /// How.
    pub options: &'a ReadOptions,
    /// How closely images are looked at.
    pub depth: Depth,
    /// Key of the rows that names their group.
    pub group_column: Option<&'a str>,
    /// Takes what is left out.
    pub rejections: &'a mut Rejections,
    /// Takes what the user should know.
    pub warnings: &'a mut Vec<String>,
    /// Is told how far the check of the images is.
    pub on_progress: OnProgress<'a>,
}

impl Reading<'_> {
    /// Scans, sees to rows that name one image, and looks at the images of one part.
    ///
    /// # Errors
    /// Data that cannot be read, no usable image, or the first bad row when they are not ignored.
    pub fn part(
        &mut self,
        path: &Path,
        rule: &mut LabelRule,
        cache_bytes: u64,
    ) -> Result<(Arc<Reader>, Part), DataError> {
        let before = self.rejections.total();
        let (reader, part) = self.rows(path, rule, cache_bytes)?;
        if part.entries.is_empty() {
            return Err(DataError::Empty {
                what: path.display().to_string(),
                rows: part.rows,
                rejected: self.rejections.total() - before,
                examples: self.rejections.examples_text(),
            });
        }
        Ok((reader, part))
    }

    /// The same, of a part that may have no usable image.
    ///
    /// # Errors
    /// Data that cannot be read, or the first bad row when they are not ignored.
    pub fn rows(
        &mut self,
        path: &Path,
        rule: &mut LabelRule,
        cache_bytes: u64,
    ) -> Result<(Arc<Reader>, Part), DataError> {
        let source = mltable::open(path)?;
        self.warnings.extend(source.warnings);
        let files = Files::open(&source.files, self.options.data_root.as_deref())?;
        let scan = files.scan(self.options.task, rule, self.rejections)?;
        if scan.cut > 0 {
            let (path, cut) = (path.display(), scan.cut);
            self.warnings.push(format!("{path}: boxes that stick out of their image and are cut at its edge: {cut}"));
        }
        let limits = self.options.limits;
        let fetcher = Fetcher::new(self.options.fetch_folder.clone(), limits.max_bytes);
        let kept = self.options.kept_folder.as_ref().map(|folder| Kept::new(folder, self.options.cache_bytes));
        let reader = Reader { files, fetcher, limits, data_root: self.options.data_root.clone(), kept };
        let mut part = Part::new(scan);
        if let Some(key) = self.group_column {
            let groups = group::require(&reader.files, &part.entries, key)?;
            whole_images(&reader, &part, &groups, key)?;
            part.groups = Some(groups);
        }
        let merged = unite_rows(&reader, &mut part, self.rejections)?;
        if merged > 0 {
            self.warnings.push(format!(
                "{}: {merged} rows name an image that an earlier row names; their objects are added to its",
                path.display()
            ));
        }
        self.check(&reader, &mut part, cache_bytes)?;
        Ok((Arc::new(reader), part))
    }

    fn check(&mut self, reader: &Reader, part: &mut Part, cache_bytes: u64) -> Result<(), DataError> {
        let n = part.entries.len();
        if let Some(checked) = self.options.resumed {
            let totals = Totals::default();
            // What is wrong with an image now comes out where it came out before: in the loader.
            let _ = preflight::each(n, self.options.threads, self.on_progress, |at| {
                preflight::header(reader, &part.entries[at], &totals)
            })?;
            part.cache = Cache::plan(n, totals.sizes(), cache_bytes);
            part.checked = checked;
            return Ok(());
        }
        if self.depth == Depth::Everything {
            return self.decode(reader, part);
        }
        if n > HEADER_CHECK {
            return self.reject_bad(reader, part, |part, at| preflight::presence(reader, &part.entries[at]));
        }
        let totals = Totals::default();
        self.reject_bad(reader, part, |part, at| preflight::header(reader, &part.entries[at], &totals))?;
        part.cache = Cache::plan(part.entries.len(), totals.sizes(), cache_bytes);
        if n <= FULL_CHECK {
            self.decode(reader, part)?;
        }
        Ok(())
    }

    /// Decodes every image, and keeps what is known of it where that is asked for.
    fn decode(&mut self, reader: &Reader, part: &mut Part) -> Result<(), DataError> {
        if self.depth == Depth::Sound {
            self.reject_bad(reader, part, |part, at| {
                dataset::image(reader, &part.cache, &part.entries[at], at).map(drop)
            })?;
        } else {
            let facts: Vec<OnceLock<Facts>> = part.entries.iter().map(|_| OnceLock::new()).collect();
            self.reject_bad(reader, part, |part, at| {
                let known = facts::of(reader, &part.cache, &part.entries[at], at)?;
                facts[at].get_or_init(|| known);
                Ok(())
            })?;
            // Images that were rejected have none, so that these are of those that are left.
            part.facts = facts.into_iter().filter_map(OnceLock::into_inner).collect();
        }
        part.checked = true;
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
        part.drop_rows(&gone);
        Ok(())
    }

    /// Warns of groups that are in both parts.
    pub fn warn_shared_groups(&mut self, train: &Part, validation: (&Reader, &Part)) -> Result<(), DataError> {
        let (reader, part) = validation;
        let (Some(key), Some(ours), Some(theirs)) = (self.group_column, &train.groups, &part.groups) else {
            return Ok(());
        };
        let shared = group::shared(ours, theirs);
        if let Some(&first) = shared.first() {
            let text = reader.files.text(&part.entries[first])?;
            let name = group::value(&text, key).unwrap_or_default();
            self.warnings.push(format!(
                "{} groups by {key:?} are in the training and the validation data, such as {name:?}; metrics on them \
                 flatter the model",
                shared.len()
            ));
        }
        Ok(())
    }

    /// Warns of images that are in both parts.
    pub fn warn_overlap(&mut self, train: &Part, validation: &Part) {
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

/// Refuses rows of one image that are of two groups.
fn whole_images(reader: &Reader, part: &Part, groups: &[Group], key: &str) -> Result<(), DataError> {
    let Some((first, second)) = group::torn(&part.keys, groups) else { return Ok(()) };
    let (first, second) = (&part.entries[first], &part.entries[second]);
    let message = format!(
        "line {} has another {key:?} than {}:{}, and both name one image; give them one group",
        second.line,
        reader.files.path(first).display(),
        first.line
    );
    Err(DataError::Source { path: reader.files.path(second).clone(), message })
}

/// Makes one sample of the rows that name one image: of classes the last counts and the others are rejected; objects are put
/// together in the place of the first. Returns how many rows were merged into another.
///
/// # Errors
/// The first duplicate when bad rows are not ignored.
pub(crate) fn unite_rows(reader: &Reader, part: &mut Part, rejections: &mut Rejections) -> Result<usize, DataError> {
    let mut order: Vec<u32> = (0..part.keys.len() as u32).collect();
    order.sort_unstable_by_key(|&at| (part.keys[at as usize].location, at));
    let same = |&a: &u32, &b: &u32| part.keys[a as usize].location == part.keys[b as usize].location;
    let repeated: Vec<&[u32]> = order.chunk_by(same).filter(|rows| rows.len() > 1).collect();
    if repeated.is_empty() {
        return Ok(0);
    }
    match &part.targets {
        Targets::Classes(_) | Targets::Sets(_) => keep_last(reader, part, &repeated, rejections).map(|()| 0),
        Targets::Objects(objects) => {
            let merged = merge(objects, &repeated);
            let gone: BTreeSet<u32> = repeated.iter().flat_map(|rows| &rows[1..]).copied().collect();
            part.targets = Targets::Objects(merged);
            part.drop_rows(&gone);
            Ok(gone.len())
        }
    }
}

/// The objects of every row, those of `repeated` rows all at the first of them.
fn merge(objects: &Objects, repeated: &[&[u32]]) -> Objects {
    let firsts: BTreeMap<u32, &[u32]> = repeated.iter().map(|rows| (rows[0], *rows)).collect();
    let mut all = Objects::default();
    for row in 0..objects.len() as u32 {
        match firsts.get(&row) {
            Some(rows) => all.push(rows.iter().flat_map(|&at| objects.of(at as usize)).cloned()),
            None => all.push(objects.of(row as usize).iter().cloned()),
        }
    }
    all
}

/// Of the rows that name one image, the last counts.
fn keep_last(
    reader: &Reader,
    part: &mut Part,
    repeated: &[&[u32]],
    rejections: &mut Rejections,
) -> Result<(), DataError> {
    let mut dropped: Vec<(u32, u32)> = Vec::new();
    for rows in repeated {
        if let [earlier @ .., last] = rows {
            dropped.extend(earlier.iter().map(|&at| (at, *last)));
        }
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
    part.drop_rows(&dropped.iter().map(|&(at, _)| at).collect());
    Ok(())
}
