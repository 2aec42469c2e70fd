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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target, Written};
use serde::Serialize;

use self::finder::Finder;
use self::layout::{Columns, Layout};
use self::records::Record;
use self::sight::Sight;
use super::boxes::{Part, Sizes, absolute};
use super::relative::image_url;
use super::{ConvertedRow, LeftOut, List, folder_of, write_rows};
use crate::DataError;
use crate::error::wrong;

pub use boxes::BoxForm;
pub use classes::LabelPart;
pub use finder::Place;

/// How a table is read. What is not said is found out, or asked for.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Name of the column with the image, or its number from 1.
    pub image_column: Option<String>,
    /// The same for the class; several, separated by commas, are columns of 0 and 1.
    pub label_column: Option<String>,
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

/// Images with classes.
#[derive(Debug)]
pub struct Labelled {
    /// By part; at least one image.
    pub parts: Vec<LabelPart>,
    /// What was assumed to read them.
    pub assumed: Vec<String>,
    /// Rows whose image is not there.
    pub left_out: Vec<LeftOut>,
}

/// What a conversion did with one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// The written file.
    pub output: PathBuf,
    /// Its rows.
    pub images: usize,
    /// Classes and their rows, sorted by class.
    pub classes: Vec<(String, usize)>,
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

/// Writes the rows of labels, and a list of what was left out: one part into the output of `order`, several into a file
/// each in it.
///
/// # Errors
/// A file may not be written, or any IO error.
pub fn write(order: &Order, table: &Labelled) -> Result<(Vec<TableSummary>, Written), DataError> {
    let output = order.output;
    if let [part] = table.parts.as_slice() {
        let left_out = List::beside(output, &table.left_out);
        let mut writing = order.file_with(&Vec::from_iter(left_out.target()))?.begin()?;
        write_rows(&mut writing, output.file_name().unwrap_or_default(), rows(output, part)?)?;
        left_out.write(&mut writing)?;
        return Ok((vec![part.summary(output)], writing.publish()?));
    }
    let names: Vec<String> = table.parts.iter().map(|part| format!("{}.jsonl", part.name)).collect();
    let left_out = List::within(&table.left_out);
    let targets: Vec<Target> = names.iter().map(Target::new).chain(left_out.target()).collect();
    let mut writing = order.folder(Scope::Parts, &targets)?.begin()?;
    let mut summaries = Vec::new();
    for (part, name) in table.parts.iter().zip(&names) {
        let output = output.join(name);
        write_rows(&mut writing, name, rows(&output, part)?)?;
        summaries.push(part.summary(&output));
    }
    left_out.write(&mut writing)?;
    Ok((summaries, writing.publish()?))
}

impl LabelPart {
    fn summary(&self, output: &Path) -> TableSummary {
        let mut classes: BTreeMap<String, usize> = BTreeMap::new();
        for class in self.rows.iter().flat_map(|(_, label)| label.classes()) {
            *classes.entry(class.clone()).or_default() += 1;
        }
        TableSummary { output: output.to_owned(), images: self.rows.len(), classes: classes.into_iter().collect() }
    }
}

fn rows(output: &Path, part: &LabelPart) -> Result<Vec<ConvertedRow>, DataError> {
    let base = folder_of(output)?;
    let url = |place: &Place| match place {
        Place::Url(url) => url.clone(),
        Place::File(path) => image_url(&base, path),
    };
    Ok(part.rows.iter().map(|(place, label)| ConvertedRow { image_url: url(place), label: label.clone() }).collect())
}

/// A field that has to hold something.
fn filled<'a>(row: &'a Record, column: usize, name: &str) -> Result<&'a str, String> {
    match row.fields.get(column).map(String::as_str) {
        Some("") => Err(format!("the {name} (column {}) is empty", column + 1)),
        Some(field) => Ok(field),
        None => Err(format!("{} fields, but the {name} is column {}", row.fields.len(), column + 1)),
    }
}
