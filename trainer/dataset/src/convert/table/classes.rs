//! Rows with labels: one class an image, or a list.

use std::collections::BTreeMap;

use super::layout::Layout;
use super::list::Separator;
use super::names;
use super::onehot::flag;
use super::records::Record;
use super::sight::Sight;
use super::{ADVICE, Reading};
use crate::DataError;
use crate::convert::LeftOut;
use crate::convert::labels::{ConvertedLabel, LabelPart, Labelled, Place};

/// How labels are read.
enum How {
    /// From one column.
    Label(usize, Option<Separator>),
    /// From this column on.
    From { first: usize, lists: bool },
    /// From a column per class.
    OneHot { columns: Vec<(usize, String)>, lists: bool },
}

/// The parts of a table of labels, in the order in which the table names them. Images that are not there are left out.
/// Rows of one image are united.
///
/// # Errors
/// The first row whose label cannot be read, or two rows that give one image two classes.
pub fn read(reading: &mut Reading, layout: &Layout) -> Result<Labelled, DataError> {
    let how = How::of(reading, layout)?;
    let mut left_out = Vec::new();
    let mut parts: Vec<LabelPart> = Vec::new();
    let mut known: BTreeMap<(usize, Place), (usize, usize)> = BTreeMap::new();
    let mut repeated = 0;
    let mut groups = reading.groups()?;
    for row in reading.rows {
        let label = how.label(row).map_err(|message| reading.wrong(format!("line {}: {message}", row.line)))?;
        let place = match reading.find(row) {
            Ok(place) => place,
            Err(reason) => {
                let (source, place) = (reading.path.display().to_string(), format!("line {}", row.line));
                left_out.push(LeftOut { source, place, reason });
                continue;
            }
        };
        reading.put(&mut groups, &place, row)?;
        let name = reading.part(row);
        let part = parts.iter().position(|part| part.name == name).unwrap_or_else(|| {
            parts.push(LabelPart { name, rows: Vec::new() });
            parts.len() - 1
        });
        let rows = &mut parts[part].rows;
        let Some(&(at, line)) = known.get(&(part, place.clone())) else {
            known.insert((part, place.clone()), (rows.len(), row.line));
            rows.push((place, label));
            continue;
        };
        repeated += 1;
        unite(&mut rows[at].1, label).map_err(|[one, other]| {
            let image = Sight::field(row, reading.columns.image);
            reading.wrong(format!(
                "lines {line} and {}: {image} is {one:?} and {other:?}. An image has one class; add --multilabel to give it \
                 a list of both",
                row.line
            ))
        })?;
    }
    if repeated > 0 {
        reading.assumed.push(format!("{repeated} rows name an image of an earlier row, and are united with it"));
    }
    if parts.is_empty() {
        let first = left_out.iter().take(3).map(|one: &LeftOut| format!("\n  {one}")).collect::<String>();
        return Err(reading.wrong(format!("none of its images is there; {ADVICE}:{first}")));
    }
    reading.assumed.extend(reading.finder.assumed());
    Ok(Labelled { parts, assumed: std::mem::take(&mut reading.assumed), left_out, groups })
}

/// Adds a label to what is known of its image, or gives back two that exclude each other.
fn unite(known: &mut ConvertedLabel, label: ConvertedLabel) -> Result<(), [String; 2]> {
    match (known, label) {
        (ConvertedLabel::Class(known), ConvertedLabel::Class(label)) if *known != label => Err([known.clone(), label]),
        (ConvertedLabel::Classes(known), ConvertedLabel::Classes(labels)) => {
            known.extend(labels.into_iter().filter(|label| !known.contains(label)).collect::<Vec<_>>());
            Ok(())
        }
        (
            ConvertedLabel::Class(_) | ConvertedLabel::Classes(_),
            ConvertedLabel::Class(_) | ConvertedLabel::Classes(_),
        ) => Ok(()),
    }
}

impl How {
    fn of(reading: &mut Reading, layout: &Layout) -> Result<Self, DataError> {
        let lists = reading.options.lists;
        let name = |column: usize| reading.names.get(column).cloned().unwrap_or_default();
        match layout {
            Layout::Label(column) if lists => {
                let tags = names::LISTS.contains(&names::plain(&name(*column)).as_str());
                let separator = Separator::of(&reading.rows.iter().map(|row| Sight::field(row, *column)), tags);
                reading.assumed.extend(separator.unusual());
                Ok(Self::Label(*column, Some(separator)))
            }
            Layout::Label(column) => Ok(Self::Label(*column, None)),
            Layout::LabelsFrom(first) => Ok(Self::From { first: *first, lists }),
            Layout::OneHot(columns) => {
                let columns: Vec<(usize, String)> = columns.iter().map(|column| (*column, name(*column))).collect();
                let marks =
                    |row: &Record| columns.iter().filter(|(at, _)| flag(Sight::field(row, *at)) == Some(true)).count();
                let single = reading.rows.iter().all(|row| marks(row) == 1);
                let taken = match (lists, single) {
                    (true, _) => "each image has a list of classes (--multilabel)",
                    (false, true) => "every row marks one class, so each image has one class; --multilabel makes lists",
                    (false, false) => "not every row marks exactly one class, so each image has a list of classes",
                };
                reading.assumed.push(taken.to_owned());
                Ok(Self::OneHot { columns, lists: lists || !single })
            }
            Layout::Boxes(_) => Err(reading.wrong("holds boxes, not labels")),
        }
    }

    fn label(&self, row: &Record) -> Result<ConvertedLabel, String> {
        match self {
            Self::Label(column, Some(separator)) => {
                let labels = separator.labels(Sight::field(row, *column));
                labels.map(ConvertedLabel::Classes).map_err(|what| format!("the list of labels {what}"))
            }
            Self::Label(column, None) => {
                super::filled(row, *column, "label").map(|label| ConvertedLabel::Class(label.to_owned()))
            }
            Self::From { first, lists } => {
                let labels = row.fields.iter().skip(*first).filter(|field| !field.is_empty()).cloned();
                let mut labels: Vec<String> = labels.collect();
                match (lists, labels.len()) {
                    (true, _) => Ok(ConvertedLabel::Classes(labels)),
                    (false, 1) => Ok(ConvertedLabel::Class(labels.remove(0))),
                    (false, 0) => Err(format!("the label (column {}) is empty", first + 1)),
                    (false, _) => Err(format!("labels {}; add --multilabel to read lists", labels.join(", "))),
                }
            }
            Self::OneHot { columns, lists } => {
                let mut classes = Vec::new();
                for (column, class) in columns {
                    let field = Sight::field(row, *column);
                    match flag(field) {
                        Some(true) => classes.push(class.clone()),
                        Some(false) => {}
                        None => return Err(format!("{class} is {field:?}; a column of a class holds 0 or 1")),
                    }
                }
                Ok(if *lists { ConvertedLabel::Classes(classes) } else { ConvertedLabel::Class(classes.remove(0)) })
            }
        }
    }
}
