//! Where the rows of a data set are: one streaming pass over its JSONL files that keeps 24 bytes a row (place and class)
//! and no text. Rows are read again from their file when they are needed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::DataError;
use super::location::{Location, Resolver};
use super::reject::{RejectKind, Rejection, Rejections};
use super::row::{self, LabelValue};

/// A longer line is rejected unread.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Place and class of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    offset: u64,
    length: u32,
    /// Line in its file, from 1.
    pub line: u32,
    file: u32,
    /// Index into the labels of whoever holds the entry.
    pub class: u32,
}

#[cfg(test)]
impl Entry {
    pub(crate) fn for_test(class: u32) -> Self {
        Self { offset: 0, length: 0, line: 1, file: 0, class }
    }
}

/// The open JSONL files of a data set. A row is read where it lies, so the files must not change while they are in use.
#[derive(Debug)]
pub struct Files {
    files: Vec<(PathBuf, File, Resolver)>,
}

/// What identifies a row, kept only until duplicates are found and the data is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Of the picture's place: equal for two names of one file.
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
    /// Rows seen, blank lines not counted.
    pub rows: u64,
}

/// Labels met so far, numbered as they were met.
#[derive(Default)]
pub struct Classes {
    numbers: BTreeMap<LabelValue, u32>,
    first: Option<(String, &'static str)>,
}

impl Classes {
    fn number(&mut self, label: LabelValue, place: impl Fn() -> String) -> Result<u32, DataError> {
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

    /// Sorted names of the classes for which `used` holds, and the sorted place of each number that was given out.
    pub fn sorted(&self, used: impl Fn(u32) -> bool) -> (Vec<String>, Vec<Option<u32>>) {
        let mut names = Vec::new();
        let mut places = vec![None; self.numbers.len()];
        for (label, &number) in &self.numbers {
            if used(number) {
                places[number as usize] = Some(names.len() as u32);
                names.push(label.name());
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

impl Files {
    /// Opens `paths`, which are absolute. Cloud paths in them are mapped to `data_root`.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn open(paths: &[PathBuf], data_root: Option<&Path>) -> Result<Self, DataError> {
        let open = |path: &PathBuf| {
            let file = File::open(path).map_err(|e| DataError::io("open", path, e))?;
            let base = path.parent().unwrap_or(path).to_owned();
            Ok((path.clone(), file, Resolver::new(base, data_root.map(Path::to_owned))))
        };
        Ok(Self { files: paths.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The one pass over all files: parses every line, checks labels and `image_url`s, and looks at no picture.
    ///
    /// # Errors
    /// A file cannot be read or is UTF-16, labels are of two types, or a row is bad and data errors are not ignored.
    pub fn scan(&self, rule: &mut LabelRule, rejections: &mut Rejections) -> Result<Scan, DataError> {
        let mut scan = Scan { entries: Vec::new(), keys: Vec::new(), rows: 0 };
        for number in 0..self.files.len() {
            self.scan_file(number, rule, rejections, &mut scan)?;
        }
        scan.entries.shrink_to_fit();
        scan.keys.shrink_to_fit();
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
        let failed = |e| DataError::io("read", path, e);
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut offset = 0u64;
        let start = reader.fill_buf().map_err(failed)?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(DataError::Source { path: path.clone(), message: "is UTF-16; save it as UTF-8".to_owned() });
        }
        if start.starts_with(&[0xef, 0xbb, 0xbf]) {
            reader.consume(3);
            offset = 3;
        }
        let mut line = Vec::new();
        for line_number in 1u64.. {
            line.clear();
            let mut read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)? as u64;
            if read == 0 {
                break;
            }
            let start = offset;
            let too_long = read == MAX_LINE_BYTES && !line.ends_with(b"\n");
            if too_long {
                read += reader.skip_until(b'\n').map_err(failed)? as u64;
            }
            offset += read;
            let text = line.trim_ascii();
            if text.is_empty() && !too_long {
                continue;
            }
            scan.rows += 1;
            let parsed = if too_long {
                Err((RejectKind::BadJson, None, format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20)))
            } else {
                self.row(number, text, rule, line_number)?
            };
            match (parsed, u32::try_from(line_number)) {
                (Ok((class, keys)), Ok(at)) => {
                    scan.entries.push(Entry {
                        offset: start,
                        length: line.len() as u32,
                        line: at,
                        file: number as u32,
                        class,
                    });
                    scan.keys.push(keys);
                }
                (Ok(_), Err(_)) => {
                    let message = "has more than 4,294,967,295 lines; split it".to_owned();
                    return Err(DataError::Source { path: path.clone(), message });
                }
                (Err((kind, image_url, reason)), _) => {
                    let source = path.display().to_string();
                    rejections.add(Rejection { source, line: line_number, image_url, kind, reason })?;
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "an outer fatal error and an inner rejection, used once")]
    fn row(
        &self,
        number: usize,
        text: &[u8],
        rule: &mut LabelRule,
        line: u64,
    ) -> Result<Result<(u32, Keys), (RejectKind, Option<String>, String)>, DataError> {
        let (path, _, resolver) = &self.files[number];
        let row = match row::parse(text) {
            Ok(row) => row,
            Err(reason) => return Ok(Err((RejectKind::BadJson, None, reason))),
        };
        let reject = |kind, reason| Ok(Err((kind, Some(row.image_url.clone().into_owned()), reason)));
        let label = match row.label {
            Ok(label) => label,
            Err(reason) => return reject(RejectKind::BadLabel, reason),
        };
        let class = match rule {
            LabelRule::Collect(classes) => classes.number(label, || format!("{}:{line}", path.display()))?,
            LabelRule::Known(names) => {
                let name = label.name();
                match names.iter().position(|known| *known == name) {
                    Some(at) => at as u32,
                    None => {
                        return reject(
                            RejectKind::BadLabel,
                            format!("label {name:?} is none of the model's {} labels", names.len()),
                        );
                    }
                }
            }
        };
        let location = match resolver.resolve(&row.image_url) {
            Ok(location) => location,
            Err(reason) => return reject(RejectKind::BadUrl, reason),
        };
        let keys = Keys { location: short_hash(&location.key()), url: short_hash(row.image_url.as_bytes()) };
        Ok(Ok((class, keys)))
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
        let row = row::parse(line.trim_ascii()).map_err(changed)?;
        let location = resolver.resolve(&row.image_url).map_err(changed)?;
        Ok((row.image_url.into_owned(), location))
    }

    /// The JSONL file a row is in.
    pub fn path(&self, entry: &Entry) -> &PathBuf {
        &self.files[entry.file as usize].0
    }
}

/// The first `N` bytes of SHA-256. With 16, one chance in 10^26 that any two of a million pictures agree.
fn short_hash<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let digest = Sha256::digest(bytes);
    let mut out = [0; N];
    out.copy_from_slice(&digest[..N]);
    out
}
