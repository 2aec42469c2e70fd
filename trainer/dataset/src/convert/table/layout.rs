//! What the columns of a table hold, once it is told.

use super::boxes::BoxColumns;

/// What the columns of a table hold.
#[derive(Debug)]
pub struct Columns {
    /// Whether the first line names them.
    pub header: bool,
    /// The image.
    pub image: usize,
    /// The part of the data set.
    pub set: Option<usize>,
    /// What says which images belong together.
    pub group: Option<usize>,
    /// What the image shows.
    pub layout: Layout,
    /// What was assumed.
    pub assumed: Vec<String>,
}

/// What tells what an image shows.
#[derive(Debug)]
pub enum Layout {
    /// A column with a label or a list of labels.
    Label(usize),
    /// A label in this column, and more in those that follow.
    LabelsFrom(usize),
    /// A column per class, with a yes or no.
    OneHot(Vec<usize>),
    /// An object per row.
    Boxes(BoxColumns),
}

impl Layout {
    /// Whether a column tells what the image shows.
    pub fn has(&self, column: usize) -> bool {
        match self {
            Self::Label(label) => *label == column,
            Self::LabelsFrom(first) => *first <= column,
            Self::OneHot(columns) => columns.contains(&column),
            Self::Boxes(boxes) => boxes.label == Some(column) || boxes.numbers.columns().contains(&column),
        }
    }
}
