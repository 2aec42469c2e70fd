//! Which images are scored: those below a folder, or those that a list of JSON lines names. The input is walked twice in one
//! order, once to count it and once to score it, so that it is never held in memory.

mod folder;
mod locate;
mod rows;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use files::Hashing;
use models::host::has_image_ending;
use serde_json::{Map, Value};

use self::{folder::Folder, rows::Rows};
use super::error::{Fault, ScoreError};

pub(super) use self::folder::{LeftOut, not_ordinary};

/// An image to score, or a row that names none.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What the answer calls it: its path as it was given.
    pub name: Option<String>,
    /// What a row calls it: an `image_url` that leads there from the output's folder.
    pub url: String,
    /// Where it lies.
    pub path: Result<PathBuf, Fault>,
    /// What else its row holds.
    pub others: Map<String, Value>,
}

impl Item {
    /// Feeds all that can be seen of it in an output into a checksum.
    pub(super) fn feed(&self, sum: &mut Hashing<io::Sink>) {
        let Self { name, url, path, others } = self;
        let fault = path.as_ref().err().map(ToString::to_string);
        let text = serde_json::json!([name, url, fault, others]).to_string();
        // A checksum takes everything.
        let _ = writeln!(sum, "{text}");
    }
}

/// Images of one input, in the order of the output.
pub(super) type Items = Box<dyn Iterator<Item = Result<Item, ScoreError>>>;

/// Folder or list.
pub(super) enum Input {
    Folder(Folder),
    Rows(Rows),
}

/// What the first walk found.
pub(super) struct Survey {
    /// Images, and rows that name none.
    pub images: u64,
    /// Checksum of the list of them.
    pub sha256: String,
    /// What of a folder is not scored.
    pub left_out: LeftOut,
}

impl Input {
    /// Opens what a path names. `output` is the folder that rows are written to.
    ///
    /// # Errors
    /// There is nothing, or nothing that could be an input.
    pub(super) fn open(path: &Path, output: &Path) -> Result<Self, ScoreError> {
        let found = path.metadata().map_err(ScoreError::io("read", path))?;
        if found.is_dir() {
            return Ok(Self::Folder(Folder::open(path)?));
        }
        if has_image_ending(path) {
            let reason = "is an image; name the folder it lies in, or a file of JSON lines with image_url";
            return Err(ScoreError::input(path, reason));
        }
        if !found.is_file() {
            let reason = "is neither a folder nor an ordinary file; it is read twice, so it cannot be a pipe";
            return Err(ScoreError::input(path, reason));
        }
        Ok(Self::Rows(Rows::open(path, output)?))
    }

    /// Its images. Where a folder or the list cannot be read, the last one is an error.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn items(&self) -> Result<Items, ScoreError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(folder.walk()?),
            Self::Rows(rows) => Box::new(rows.read()?),
        })
    }

    /// Walks through it once.
    ///
    /// # Errors
    /// It cannot be read, or names no image.
    pub(super) fn survey(&self) -> Result<Survey, ScoreError> {
        let mut sum = Hashing::new(io::sink());
        let (mut images, mut named, mut first) = (0, 0, None);
        let mut add = |item: Item| {
            item.feed(&mut sum);
            images += 1;
            named += u64::from(item.path.is_ok());
            first = first.take().or_else(|| item.path.err());
        };
        let left_out = match self {
            Self::Folder(folder) => {
                let mut walk = folder.walk()?;
                walk.by_ref().try_for_each(|item| item.map(&mut add))?;
                walk.left_out()
            }
            Self::Rows(rows) => {
                rows.read()?.try_for_each(|item| item.map(&mut add))?;
                LeftOut::default()
            }
        };
        if named == 0 {
            return Err(self.without_images(&left_out, images, first.as_ref()));
        }
        Ok(Survey { images, sha256: sum.finish(), left_out })
    }

    fn without_images(&self, left_out: &LeftOut, rows: u64, first: Option<&Fault>) -> ScoreError {
        match self {
            Self::Folder(folder) => {
                let others = left_out.text().map(|text| format!("; left out: {text}")).unwrap_or_default();
                ScoreError::input(folder.path(), format!("holds no image{others}; name a folder with images"))
            }
            Self::Rows(list) => {
                let why = first.map(|fault| format!(" ({fault})")).unwrap_or_default();
                let reason = format!(
                    "names no image of this machine in {rows} lines{why}; each line is to be an object such as \
                     {{\"image_url\": \"photos/1.jpg\"}}"
                );
                ScoreError::input(list.path(), reason)
            }
        }
    }
}
