//! Tables: an image and what it shows per row, as CSV and its kin. Labels, lists of labels, a column per class, and
//! boxes.
//!
//! `records` makes fields of bytes, `columns` (`names`, `headless`) says what they are, `classes` and `boxes` (`list`,
//! `onehot`, `part`) read them, and `finder` finds the images. Whatever is assumed on the way is told.

mod boxes;
mod classes;
mod columns;
mod finder;
mod headless;
mod layout;
mod list;
mod names;
mod onehot;
mod part;
mod records;
mod sight;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use self::finder::Finder;
use self::layout::{Columns, Layout};
use self::records::Record;
use self::sight::Sight;
use super::Groups;
use super::boxes::{Part, Sizes, absolute};
use super::labels::{Labelled, Place};
use crate::DataError;
use crate::error::wrong;

pub use boxes::BoxForm;

/// How a table is read. What is not said is found out, or asked for.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Name of the column with the image, or its number from 1.
    pub image_column: Option<String>,
    /// The same for the class; several, separated by commas, are columns of 0 and 1.
    pub label_column: Option<String>,
    /// The same for what says which images belong together.
    pub group_column: Option<String>,
    /// Between fields.
    pub delimiter: Option<char>,
    /// Folder that images are looked for in; without it the folder of the table.
    pub images: Option<PathBuf>,
    /// Whether an image has a list of labels.
    pub lists: bool,
    /// What the four numbers of a box are.
    pub boxes: Option<BoxForm>,
    /// What boxes are counted in where the table declares another size than an image has.
    pub sizes: Sizes,
    /// The class of every box, where no column holds one.
    pub one_class: Option<String>,
}

/// What a table holds: images that are there, by part.
#[derive(Debug)]
pub enum Table {
    /// Images with classes.
    Labels(Labelled),
    /// Images with objects.
    Boxes(Vec<Part>),
}

/// Advice where no image is there.
const ADVICE: &str = "say where the images are with --images FOLDER";

/// A table that is being read.
struct Reading<'a> {
    path: &'a Path,
    options: &'a TableOptions,
    columns: &'a Columns,
    finder: &'a Finder,
    /// What the header says; empty without one.
    names: &'a [String],
    rows: &'a [Record],
    assumed: Vec<String>,
}

impl Reading<'_> {
    fn wrong(&self, message: impl Into<String>) -> DataError {
        wrong(self.path, message)
    }

    /// The image of a row.
    fn find(&self, row: &Record) -> Result<Place, String> {
        self.finder.find(Sight::field(row, self.columns.image))
    }

    /// The part that a row belongs to; empty where the table does not say.
    fn part(&self, row: &Record) -> String {
        let word = self.columns.set.map(|column| Sight::field(row, column));
        word.and_then(names::part).unwrap_or_default().to_owned()
    }

    /// Where the groups of images go.
    fn groups(&self) -> Result<Groups, DataError> {
        let Some(column) = self.columns.group else { return Ok(Groups::default()) };
        let key = self.names.get(column).map_or("group", String::as_str);
        Groups::new(key).map_err(|message| self.wrong(message))
    }

    /// Puts the image of a row into its group.
    fn put(&self, groups: &mut Groups, image: &Place, row: &Record) -> Result<(), DataError> {
        let Some(column) = self.columns.group else { return Ok(()) };
        let group = filled(row, column, "group").map_err(|message| format!("line {}: {message}", row.line));
        group.and_then(|group| groups.put(image, group, row.line)).map_err(|message| self.wrong(message))
    }

    /// Refuses rows that are longer than the header, or whose image is not named.
    fn check(&self) -> Result<(), DataError> {
        for row in self.rows {
            let fields = row.fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last + 1);
            if self.columns.header && fields > self.names.len() {
                let (line, names) = (row.line, self.names.len());
                let message = format!("line {line}: {fields} fields, but the header has {names}; quote a field that");
                return Err(self.wrong(message + " holds the delimiter with \""));
            }
            let filled = filled(row, self.columns.image, "image");
            filled.map_err(|message| self.wrong(format!("line {}: {message}", row.line)))?;
        }
        Ok(())
    }
}

/// Reads a table.
///
/// # Errors
/// The file cannot be read as a table; it cannot be told which column holds what; a row without an image or label,
/// longer than the header, or with another class for an image than an earlier row; nothing that can be used.
pub fn read(path: &Path, options: &TableOptions) -> Result<Table, DataError> {
    let records = records::read(path, options.delimiter)?;
    let folder = options.images.as_deref().unwrap_or(path.parent().unwrap_or(Path::new("")));
    let finder = Finder::new(absolute(folder)?);
    if let Some(missing) = options.images.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(wrong(missing, "is no folder; --images names the folder of the images"));
    }
    let sight = Sight { records: &records.all, options, finder: &finder };
    let columns = sight.columns().map_err(|message| wrong(path, message))?;
    let (names, rows): (&[String], _) =
        if columns.header { (&records.all[0].fields, &records.all[1..]) } else { (&[], &records.all[..]) };
    if rows.is_empty() {
        return Err(wrong(path, "has a header but no rows"));
    }
    let assumed = [records.assumed, columns.assumed.clone()].concat();
    let mut reading = Reading { path, options, columns: &columns, finder: &finder, names, rows, assumed };
    reading.check()?;
    match &columns.layout {
        Layout::Boxes(boxes) => part::parts(&mut reading, boxes).map(Table::Boxes),
        layout @ (Layout::Label(_) | Layout::LabelsFrom(_) | Layout::OneHot(_)) => {
            classes::read(&mut reading, layout).map(Table::Labels)
        }
    }
}

/// A field that has to hold something.
fn filled<'a>(row: &'a Record, column: usize, name: &str) -> Result<&'a str, String> {
    match row.fields.get(column).map(String::as_str) {
        Some("") => Err(format!("the {name} (column {}) is empty", column + 1)),
        Some(field) => Ok(field),
        None => Err(format!("{} fields, but the {name} is column {}", row.fields.len(), column + 1)),
    }
}
