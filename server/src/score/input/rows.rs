//! A list of images: JSON lines with `image_url`, as the trainer reads them. A label in them is not looked at.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use schemas::{
    ErrorCode,
    dataset::{parse_image_url, parse_object},
};
use serde_json::Map;

use super::{
    super::error::{Fault, ScoreError},
    Item, locate,
};

/// Longest line, in bytes.
const LONGEST: u64 = 16 << 20;
/// Keys of a row that say what the image shows, which is what scoring is to say, or that name the image once more.
const REPLACED: [&str; 9] =
    ["image_url", "imageUrl", "label", "label_confidence", "topX", "topY", "bottomX", "bottomY", "isCrowd"];

/// A file of rows.
pub(in crate::score) struct Rows {
    path: PathBuf,
    from: Base,
}

/// Where the `image_url`s of a list lead from.
#[derive(Clone)]
struct Base {
    /// Folder of the list.
    folder: PathBuf,
    /// Whether rows are written to the same folder, so that its `image_url`s can be kept.
    shared: bool,
}

impl Rows {
    pub(super) fn open(path: &Path, output: &Path) -> Result<Self, ScoreError> {
        let absolute = std::path::absolute(path).map_err(ScoreError::io("read", path))?;
        let folder = absolute.parent().unwrap_or(&absolute).to_owned();
        let real = |folder: &Path| folder.canonicalize().ok();
        let shared = real(&folder).is_some() && real(&folder) == real(output);
        Ok(Self { path: path.to_owned(), from: Base { folder, shared } })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> Result<Lines, ScoreError> {
        let file = File::open(&self.path).map_err(ScoreError::io("read", &self.path))?;
        Ok(Lines { path: self.path.clone(), from: self.from.clone(), file: BufReader::new(file), number: 0 })
    }
}

/// The lines of a list that are not empty.
pub(in crate::score) struct Lines {
    path: PathBuf,
    from: Base,
    file: BufReader<File>,
    /// Of the last line, from 1.
    number: u64,
}

impl Iterator for Lines {
    type Item = Result<Item, ScoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.number += 1;
            match self.file.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line) {
                Err(error) => return Some(Err(ScoreError::io("read", &self.path)(error))),
                Ok(0) => return None,
                Ok(n) if n as u64 > LONGEST => {
                    let reason = format!("is no list of images: line {} has more than {LONGEST} bytes", self.number);
                    return Some(Err(ScoreError::input(&self.path, reason)));
                }
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => return Some(Ok(self.from.item(&line, self.number))),
            }
        }
    }
}

impl Base {
    /// What a line asks for. One that is no row is an item too: its fault is answered in its place.
    fn item(&self, line: &[u8], number: u64) -> Item {
        let url = match parse_image_url(line) {
            Ok(url) => url,
            Err(error) => {
                let fault = Fault::new(ErrorCode::InvalidJson, format!("line {number}: {error}"));
                return Item { name: None, url: String::new(), path: Err(fault), others: Map::new() };
            }
        };
        let path = locate::file(&self.folder, &url);
        let mut others = parse_object(line).unwrap_or_default();
        others.retain(|key, _| !REPLACED.contains(&key.as_str()));
        let kept = match &path {
            Ok(path) if !self.shared && !locate::is_absolute(&url) => locate::text(path),
            Ok(_) | Err(_) => url.clone().into_owned(),
        };
        Item { name: Some(url.into_owned()), url: kept, path, others }
    }
}
