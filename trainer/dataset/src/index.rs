//! Where the rows of a data set are and what they show: one streaming pass over its JSONL files that keeps 28 bytes a row (24
//! for a place in a file, 4 for a class; 32 and 4 a class where rows list classes) and 24 an object, and no text. Rows are read again from their file when they are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use schemas::dataset::{ClassName, Label, parse_image_url, parse_line};
use schemas::{Labels, Task};
use sha2::{Digest, Sha256};

use super::boxes::{self, RowBox};
use super::error::DataError;
use super::location::{Location, Resolver};
use super::reject::{Refusal, RejectKind, Rejection, Rejections, refusal};
use super::target::{Object, Targets};

/// A longer line is rejected unread.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Place of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    offset: u64,
    length: u32,
    /// Line in its file, from 1.
    pub line: u32,
    file: u32,
}

/// The open JSONL files of a data set. A row is read where it lies, so the files must not change while they are in use.
#[derive(Debug)]
pub struct Files {
    files: Vec<(PathBuf, File, Resolver)>,
}

/// What identifies a row, kept only until duplicates are found and the data is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Of the image's place: equal for two names of one file.
    pub location: [u8; 16],
    /// Of `image_url` as written: the same wherever the data set lies.
    pub url: [u8; 8],
}

/// Result of the pass.
pub struct Scan {
    /// Usable rows, in file order.
    pub entries: Vec<Entry>,
    /// One per entry.
    pub keys: Vec<Keys>,
    /// One per entry.
    pub targets: Targets,
    /// Rows seen, blank lines not counted.
    pub rows: u64,
    /// Boxes that stuck out of their image and were cut at its edge.
    pub cut: usize,
    /// What the rows hold.
    labels: Labels,
}

/// Labels met so far, numbered as they were met.
#[derive(Default)]
pub struct Classes {
    numbers: BTreeMap<ClassName, u32>,
    first: Option<(String, &'static str)>,
}

/// What a usable row shows, and what of it had to be left out.
struct Usable {
    shown: Shown,
    keys: Keys,
    image_url: String,
    left_out: Vec<String>,
    cut: usize,
}

enum Shown {
    Class(u32),
    Classes(BTreeSet<u32>),
    Objects(Vec<Object>),
}

impl Classes {
    fn number(&mut self, label: ClassName, place: impl Fn() -> String) -> Result<u32, DataError> {
        match &self.first {
            None => self.first = Some((place(), label.type_name())),
            Some((first, first_type)) if *first_type != label.type_name() => {
                return Err(DataError::MixedLabels {
                    first: first.clone(),
                    first_type,
                    second: place(),
                    second_type: label.type_name(),
                });
            }
            Some(_) => {}
        }
        let next = self.numbers.len() as u32;
        Ok(*self.numbers.entry(label).or_insert(next))
    }

    /// Whether labels are whole numbers.
    pub fn are_integers(&self) -> bool {
        self.numbers.first_key_value().is_some_and(|(label, _)| matches!(label, ClassName::Integer(_)))
    }

    /// Sorted names of the classes for which `used` holds, and the sorted place of each number that was given out.
    pub fn sorted(&self, used: impl Fn(u32) -> bool) -> (Vec<String>, Vec<Option<u32>>) {
        let mut names = Vec::new();
        let mut places = vec![None; self.numbers.len()];
        for (label, &number) in &self.numbers {
            if used(number) {
                places[number as usize] = Some(names.len() as u32);
                names.push(label.to_string());
            }
        }
        (names, places)
    }
}

/// Which labels a row may have.
pub enum LabelRule<'a> {
    /// Any; new ones are added. All must be of one type.
    Collect(&'a mut Classes),
    /// Those of a trained model, by name (`7` and `"7"` are one name); a row with another label is rejected.
    Known(&'a [String]),
}

impl LabelRule<'_> {
    /// Number of a label; the inner error says why it has none.
    fn number(&mut self, label: ClassName, place: impl Fn() -> String) -> Result<Result<u32, String>, DataError> {
        match self {
            Self::Collect(classes) => classes.number(label, place).map(Ok),
            Self::Known(names) => {
                let name = label.to_string();
                let at = names.iter().position(|known| *known == name);
                Ok(at
                    .map(|at| at as u32)
                    .ok_or_else(|| format!("label {name:?} is none of the model's {} labels", names.len())))
            }
        }
    }
}

impl Files {
    /// Opens `paths`, which are absolute. Cloud paths in them are mapped to `data_root`.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn open(paths: &[PathBuf], data_root: Option<&Path>) -> Result<Self, DataError> {
        let open = |path: &PathBuf| {
            let file = File::open(path).map_err(|e| DataError::io("open", path, e))?;
            let base = path.parent().unwrap_or(path).to_owned();
            Ok::<_, DataError>((path.clone(), file, Resolver::new(base, data_root.map(Path::to_owned))))
        };
        Ok(Self { files: paths.iter().map(open).collect::<Result<_, DataError>>()? })
    }

    /// The one pass over all files: parses every line, checks labels and `image_url`s, and looks at no image.
    ///
    /// # Errors
    /// A file cannot be read or is UTF-16, labels are of two types, or a row is bad and data errors are not ignored.
    pub fn scan(&self, task: Task, rule: &mut LabelRule, rejections: &mut Rejections) -> Result<Scan, DataError> {
        let labels = task.labels();
        let targets = Targets::new(labels);
        let mut scan = Scan { labels, entries: Vec::new(), keys: Vec::new(), targets, rows: 0, cut: 0 };
        for number in 0..self.files.len() {
            self.scan_file(number, rule, rejections, &mut scan)?;
        }
        scan.entries.shrink_to_fit();
        scan.keys.shrink_to_fit();
        scan.targets.shrink();
        Ok(scan)
    }

    fn scan_file(
        &self,
        number: usize,
        rule: &mut LabelRule,
        rejections: &mut Rejections,
        scan: &mut Scan,
    ) -> Result<(), DataError> {
        let (path, file, _) = &self.files[number];
        let mut lines = Lines::open(path, file)?;
        while let Some(line) = lines.next()? {
            scan.rows += 1;
            let parsed = if line.too_long {
                Err((RejectKind::BadJson, None, format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20)))
            } else {
                let place = || format!("{}:{}", path.display(), line.number);
                let text = lines.text.trim_ascii();
                let row = (scan.labels, text);
                match scan.labels {
                    Labels::Class | Labels::Classes => self.class_row(number, row, rule, place)?,
                    Labels::Boxes | Labels::Outlines => self.object_row(number, row, rule, place)?,
                }
            };
            let reject = |kind, image_url, reason| {
                let source = path.display().to_string();
                Rejection { source, line: line.number, image_url, kind, reason }
            };
            let row = match parsed {
                Ok(row) => row,
                Err((kind, image_url, reason)) => {
                    rejections.add(reject(kind, image_url, reason))?;
                    continue;
                }
            };
            for reason in &row.left_out {
                let image_url = Some(row.image_url.clone());
                rejections.add(reject(RejectKind::BadObject, image_url, reason.clone()))?;
            }
            let at = u32::try_from(line.number).map_err(|_| {
                let message = "has more than 4,294,967,295 lines; split it".to_owned();
                DataError::Source { path: path.clone(), message }
            })?;
            let length = lines.text.len() as u32;
            scan.add(Entry { offset: line.offset, length, line: at, file: number as u32 }, row);
        }
        Ok(())
    }

    /// A row of one class or any number of them; the inner error is why it is left out. A class written twice counts once.
    fn class_row(
        &self,
        file: usize,
        (labels, text): (Labels, &[u8]),
        rule: &mut LabelRule,
        place: impl Fn() -> String,
    ) -> Result<Result<Usable, Refusal>, DataError> {
        let row = match parse_line(labels, text) {
            Ok(row) => row,
            Err(error) => return Ok(Err(refusal(error))),
        };
        let mut number = |label| rule.number(label, &place);
        let shown = match row.label {
            Label::Class(class) => number(class)?.map(Shown::Class),
            Label::Classes(classes) => {
                let numbers = classes.into_iter().map(number).collect::<Result<Vec<_>, _>>()?;
                numbers.into_iter().collect::<Result<_, _>>().map(Shown::Classes)
            }
            Label::Boxes(_) | Label::Outlines(_) => unreachable!("a row of classes holds classes"),
        };
        Ok(match shown {
            Ok(shown) => self.usable(file, row.image_url, shown, Vec::new()),
            Err(reason) => Err((RejectKind::BadLabel, Some(row.image_url), reason)),
        })
    }

    /// A row of objects; the inner error is why it is left out.
    fn object_row(
        &self,
        file: usize,
        (labels, text): (Labels, &[u8]),
        rule: &mut LabelRule,
        place: impl Fn() -> String,
    ) -> Result<Result<Usable, Refusal>, DataError> {
        let row = match boxes::parse(labels, text) {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (listed, cut) = (row.boxes.len(), row.cut());
        let mut left_out = row.rejected;
        let mut objects = Vec::with_capacity(listed);
        for one in row.boxes {
            match rule.number(one.label, &place)? {
                Ok(class) => {
                    let RowBox { corners, is_crowd, outline, .. } = one;
                    objects.push(Object { corners, class, is_crowd, outline });
                }
                Err(reason) => left_out.push(format!("object {}: {reason}", one.number)),
            }
        }
        if objects.is_empty() && listed > 0 {
            let reason = format!("none of its objects is usable: {}", left_out.join("; "));
            return Ok(Err((RejectKind::NoObject, Some(row.image_url), reason)));
        }
        let usable = self.usable(file, row.image_url, Shown::Objects(objects), left_out);
        Ok(usable.map(|usable| Usable { cut, ..usable }))
    }

    fn usable(&self, file: usize, image_url: String, shown: Shown, left_out: Vec<String>) -> Result<Usable, Refusal> {
        match self.files[file].2.resolve(&image_url) {
            Ok(location) => {
                let keys = Keys { location: short_hash(&location.key()), url: short_hash(image_url.as_bytes()) };
                Ok(Usable { shown, keys, image_url, left_out, cut: 0 })
            }
            Err(reason) => Err((RejectKind::BadUrl, Some(image_url), reason)),
        }
    }

    /// The line of a row, without what surrounds it.
    ///
    /// # Errors
    /// The file changed or cannot be read.
    pub fn text(&self, entry: &Entry) -> Result<Vec<u8>, DataError> {
        let (path, file, _) = &self.files[entry.file as usize];
        let mut line = vec![0; entry.length as usize];
        file.read_exact_at(&mut line, entry.offset).map_err(|e| DataError::io("read", path, e))?;
        Ok(line)
    }

    /// `image_url` as written, and where it leads.
    ///
    /// # Errors
    /// The file changed since it was scanned, or cannot be read.
    pub fn location(&self, entry: &Entry) -> Result<(String, Location), DataError> {
        let (path, _, resolver) = &self.files[entry.file as usize];
        let line = self.text(entry)?;
        let changed = |e| DataError::Source {
            path: path.clone(),
            message: format!(
                "line {} is not what it was when the run began ({e}); leave the file alone while it is in use",
                entry.line
            ),
        };
        let image_url = parse_image_url(line.trim_ascii()).map_err(|error| changed(error.message))?;
        let location = resolver.resolve(&image_url).map_err(changed)?;
        Ok((image_url.into_owned(), location))
    }

    /// The JSONL file a row is in.
    pub fn path(&self, entry: &Entry) -> &PathBuf {
        &self.files[entry.file as usize].0
    }
}

impl Scan {
    fn add(&mut self, entry: Entry, row: Usable) {
        self.entries.push(entry);
        self.keys.push(row.keys);
        self.cut += row.cut;
        match (&mut self.targets, row.shown) {
            (Targets::Classes(classes), Shown::Class(class)) => classes.push(class),
            (Targets::Sets(sets), Shown::Classes(classes)) => sets.push(classes),
            (Targets::Objects(all), Shown::Objects(objects)) => all.push(objects),
            (Targets::Classes(_) | Targets::Sets(_) | Targets::Objects(_), _) => {
                unreachable!("rows are read as what is collected")
            }
        }
    }
}

/// The lines of a file that hold anything, one after the other.
struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<&'a File>,
    offset: u64,
    number: u64,
    /// The line that was read last, with its ending.
    text: Vec<u8>,
}

/// Where the line is that was read last.
struct Line {
    offset: u64,
    number: u64,
    /// Only its beginning was read.
    too_long: bool,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path, file: &'a File) -> Result<Self, DataError> {
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut offset = 0;
        let start = reader.fill_buf().map_err(|e| DataError::io("read", path, e))?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(DataError::Source { path: path.to_owned(), message: "is UTF-16; save it as UTF-8".to_owned() });
        }
        if start.starts_with(&[0xef, 0xbb, 0xbf]) {
            reader.consume(3);
            offset = 3;
        }
        Ok(Self { path, reader, offset, number: 0, text: Vec::new() })
    }

    fn next(&mut self) -> Result<Option<Line>, DataError> {
        let failed = |e| DataError::io("read", self.path, e);
        loop {
            self.text.clear();
            let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES);
            let mut read = limited.read_until(b'\n', &mut self.text).map_err(failed)? as u64;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let too_long = read == MAX_LINE_BYTES && !self.text.ends_with(b"\n");
            if too_long {
                read += self.reader.skip_until(b'\n').map_err(failed)? as u64;
            }
            let offset = self.offset;
            self.offset += read;
            if too_long || !self.text.trim_ascii().is_empty() {
                return Ok(Some(Line { offset, number: self.number, too_long }));
            }
        }
    }
}

/// The first `N` bytes of SHA-256. With 16, one chance in 10^26 that any two of a million images agree.
fn short_hash<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let digest = Sha256::digest(bytes);
    let mut out = [0; N];
    out.copy_from_slice(&digest[..N]);
    out
}
