//! A table as it was read, whose columns are being told.

use super::TableOptions;
use super::finder::Finder;
use super::records::Record;

/// A table whose columns are being told.
pub struct Sight<'a> {
    /// All of its lines; at least one.
    pub records: &'a [Record],
    /// What the user said.
    pub options: &'a TableOptions,
    /// Knows which images there are.
    pub finder: &'a Finder,
}

impl Sight<'_> {
    /// A field of a record; empty where the record is too short.
    pub fn field(record: &Record, column: usize) -> &str {
        record.fields.get(column).map_or("", String::as_str)
    }

    /// An error that shows the table and says how to name its columns.
    pub fn doubt(&self, why: &str) -> String {
        let shown = |record: &Record| {
            let fields = record.fields.iter().zip(1..).map(|(field, number)| {
                let short: String = field.chars().take(40).collect();
                format!("{number} {short:?}")
            });
            format!("line {} is {}", record.line, fields.collect::<Vec<_>>().join(", "))
        };
        let lines: Vec<String> = self.records.iter().take(2).map(shown).collect();
        format!(
            "{why}: {}. Say which columns to read, by name or number: --image_column NAME --label_column NAME \
             (several columns of 0 and 1: --label_column NAME,NAME)",
            lines.join("; ")
        )
    }
}
