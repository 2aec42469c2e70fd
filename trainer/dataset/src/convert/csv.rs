//! Tables: CSV and TSV with a header, and the specification's old form, `filename<TAB>label` without one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use files::Order;

use super::relative::image_url;
use super::{ConvertedLabel, ConvertedRow, folder_of, write_file};
use crate::DataError;

/// How a table is read.
#[derive(Clone, Debug, Default)]
pub struct CsvOptions {
    /// Name of the column with the image, or its number from 1. Without it: the first of `image_url`, `image`,
    /// `filename`, `file`, `path` in the header, or column 1 where there is no header.
    pub image_column: Option<String>,
    /// The same for the class: `label`, `class`, `category`, `target`, or column 2.
    pub label_column: Option<String>,
    /// Between fields; without it a tab where the first line has one, otherwise a semicolon or comma, whichever is there
    /// more often.
    pub delimiter: Option<char>,
    /// Folder that plain paths are relative to; without it the folder of the table.
    pub image_folder: Option<PathBuf>,
    /// Whether the label field is a list: names separated by commas, each of which may be quoted with `'` (doubled inside),
    /// and which may be empty.
    pub lists: bool,
}

const IMAGE_NAMES: [&str; 5] = ["image_url", "image", "filename", "file", "path"];
const LABEL_NAMES: [&str; 4] = ["label", "class", "category", "target"];

/// What a conversion did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CsvSummary {
    /// The written file.
    pub output: PathBuf,
    /// Classes and their rows, sorted by class.
    pub classes: Vec<(String, usize)>,
}

/// Writes a JSONL file, the output of `order`, from a table, row by row. Fields may be quoted with `"`, doubled inside (RFC 4180); URLs and absolute
/// paths stay as they are. The header is recognised by the column names of [`CsvOptions`].
///
/// # Errors
/// `file:line` of the first row that cannot be read: too few fields, an empty field, an open quote, a list that spills over
/// into further fields; a column that is not there; no row; an output that may not be written; any IO error.
pub fn csv(table: &Path, order: &Order, options: &CsvOptions) -> Result<CsvSummary, DataError> {
    let wrong = |message: String| DataError::Source { path: table.to_owned(), message };
    let bytes = fs::read(table).map_err(|source| DataError::Io { action: "read", path: table.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|e| wrong(format!("is not UTF-8: {e}; save it as UTF-8")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let delimiter = options.delimiter.unwrap_or_else(|| guess_delimiter(text.lines().next().unwrap_or_default()));
    let records =
        records(text, delimiter).map_err(|line| wrong(format!("line {line}: a quoted field is not closed")))?;
    let Some((_, first)) = records.first() else {
        return Err(wrong("has no rows".to_owned()));
    };
    let columns = Columns::find(first, options).map_err(wrong)?;
    let folder = absolute(options.image_folder.as_deref().unwrap_or(table.parent().unwrap_or(Path::new("."))))?;
    let base = folder_of(order.output)?;
    let mut rows = Vec::new();
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for (line, fields) in &records[usize::from(columns.header)..] {
        let field = |column: usize, name: &str| match fields.get(column).map(|field| field.trim()) {
            Some(field) if !field.is_empty() => Ok(field),
            Some(_) => Err(wrong(format!("line {line}: the {name} (column {}) is empty", column + 1))),
            None => {
                Err(wrong(format!("line {line}: {} fields, but the {name} is column {}", fields.len(), column + 1)))
            }
        };
        let image = field(columns.image, "image")?;
        let label = if options.lists {
            let spilled = !columns.header && fields.len() > 1 + columns.label.max(columns.image);
            let text = fields.get(columns.label).map_or("", |field| field.trim());
            let labels =
                if spilled { Err("goes on in the next fields; quote it with \"".to_owned()) } else { list(text) };
            ConvertedLabel::Classes(labels.map_err(|what| wrong(format!("line {line}: the list of labels {what}")))?)
        } else {
            ConvertedLabel::Class(field(columns.label, "label")?.to_owned())
        };
        let url = if image.contains("://") { image.to_owned() } else { image_url(&base, &folder.join(image)) };
        for class in label.classes() {
            *classes.entry(class.clone()).or_default() += 1;
        }
        rows.push(ConvertedRow { image_url: url, label });
    }
    if rows.is_empty() {
        return Err(wrong("has a header but no rows".to_owned()));
    }
    write_file(order, &rows)?;
    Ok(CsvSummary { output: order.output.to_owned(), classes: classes.into_iter().collect() })
}

struct Columns {
    header: bool,
    image: usize,
    label: usize,
}

impl Columns {
    fn find(first: &[String], options: &CsvOptions) -> Result<Self, String> {
        let named = |name: &str| first.iter().position(|field| field.trim().eq_ignore_ascii_case(name));
        let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n > 0).map(|n| n - 1);
        let asked = |wanted: &Option<String>| match wanted {
            None => Ok(None),
            Some(wanted) => match named(wanted) {
                Some(column) => Ok(Some((column, true))),
                None => match number(wanted) {
                    Some(column) => Ok(Some((column, false))),
                    None => Err(format!("has no column {wanted:?}; the first line has: {}", first.join(", "))),
                },
            },
        };
        let any = |names: &[&str]| names.iter().find_map(|name| named(name));
        let (image, label) = (asked(&options.image_column)?, asked(&options.label_column)?);
        let (known_image, known_label) = (any(&IMAGE_NAMES), any(&LABEL_NAMES));
        let by_name = |column: Option<(usize, bool)>| column.is_some_and(|(_, by_name)| by_name);
        let header = by_name(image) || by_name(label) || (known_image.is_some() && known_label.is_some());
        let place = |asked: Option<(usize, bool)>, known: Option<usize>, default: usize| match asked {
            Some((column, _)) => column,
            None => known.filter(|_| header).unwrap_or(default),
        };
        let columns = Self { header, image: place(image, known_image, 0), label: place(label, known_label, 1) };
        if columns.image == columns.label {
            return Err(format!("image and label are both column {}", columns.image + 1));
        }
        Ok(columns)
    }
}

/// The labels of a list, each once. An error says what is wrong with it.
fn list(text: &str) -> Result<Vec<String>, String> {
    let mut labels: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (label, after) = match rest.strip_prefix('\'') {
            Some(quoted) => unquoted(quoted).ok_or("has a ' that is not closed")?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        if label.trim().is_empty() {
            return Err("holds an empty label".to_owned());
        }
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) if more.trim().is_empty() => return Err("ends in a comma".to_owned()),
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(format!("has no comma after {label:?}")),
        };
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    Ok(labels)
}

/// Text up to the closing quote, whose opening one has been taken, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut label = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'')?;
        label.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                label.push('\'');
                rest = more;
            }
            None => return Some((label, after)),
        }
    }
}

fn guess_delimiter(line: &str) -> char {
    let count = |c: char| line.matches(c).count();
    if count('\t') > 0 {
        '\t'
    } else if count(';') > count(',') {
        ';'
    } else {
        ','
    }
}

/// Fields of each record with the line it begins on; blank lines are left out. An error is the line of an open quote.
fn records(text: &str, delimiter: char) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let mut records = Vec::new();
    let mut letters = text.chars().peekable();
    let mut line = 1;
    while letters.peek().is_some() {
        let start = line;
        let mut fields = vec![String::new()];
        let mut quoted = false;
        let mut fresh = true;
        loop {
            let letter = letters.next();
            let field = fields.last_mut().expect("a record has a field");
            match letter {
                None if quoted => return Err(start),
                None => break,
                Some('"') if quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
                Some('"') if quoted => quoted = false,
                Some('"') if fresh => quoted = true,
                Some('\n') if !quoted => {
                    line += 1;
                    break;
                }
                Some(other) if other == delimiter && !quoted => {
                    fields.push(String::new());
                    fresh = true;
                    continue;
                }
                Some(other) => {
                    line += usize::from(other == '\n');
                    field.push(other);
                }
            }
            fresh = false;
        }
        if let Some(last) = fields.last_mut()
            && last.ends_with('\r')
        {
            last.pop();
        }
        if fields.len() > 1 || !fields[0].trim().is_empty() {
            records.push((start, fields));
        }
    }
    Ok(records)
}

fn absolute(path: &Path) -> Result<PathBuf, DataError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).map_err(|source| DataError::Io { action: "resolve", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a test, which converts again and again.
    fn order(output: &Path) -> Order<'_> {
        Order { command: "convert csv", output, overwrite: true, reads: &[] }
    }

    fn convert(text: &str, options: &CsvOptions) -> Result<Vec<(String, String)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("t.csv");
        fs::write(&table, text).unwrap();
        let output = dir.path().join("out.jsonl");
        csv(&table, &order(&output), options).map_err(|e| e.to_string())?;
        let rows = fs::read_to_string(&output).unwrap();
        Ok(rows
            .lines()
            .map(|line| {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                (row["image_url"].as_str().unwrap().to_owned(), row["label"].as_str().unwrap().to_owned())
            })
            .collect())
    }

    fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
    }

    #[test]
    fn headers_delimiters_and_quotes() {
        let plain = CsvOptions::default();
        assert_eq!(convert("a.jpg\tcat\nb c.jpg\tdog\r\n", &plain), pairs(&[("a.jpg", "cat"), ("b c.jpg", "dog")]));
        assert_eq!(convert("\u{feff}label,id,filename\ncat,1,x/a.jpg\n\n", &plain), pairs(&[("x/a.jpg", "cat")]));
        assert_eq!(
            convert("image;label\n\"a;\"\"1\"\".jpg\";\"two\nlines\"\n", &plain),
            pairs(&[("a;\"1\".jpg", "two\nlines")])
        );
        assert_eq!(convert("http://h/a,b", &plain), pairs(&[("http://h/a", "b")]));
        assert_eq!(convert("/x/a.jpg,b", &plain), pairs(&[("/x/a.jpg", "b")]));
    }

    #[test]
    fn columns_by_name_and_number() {
        let options = CsvOptions {
            image_column: Some("photo".into()),
            label_column: Some("3".into()),
            image_folder: Some("/images".into()),
            ..CsvOptions::default()
        };
        assert_eq!(convert("id,Photo,kind\n1,a.jpg,cat", &options), pairs(&[("/images/a.jpg", "cat")]));
        let options =
            CsvOptions { image_column: Some("2".into()), label_column: Some("1".into()), ..CsvOptions::default() };
        assert_eq!(convert("cat,a.jpg", &options), pairs(&[("a.jpg", "cat")]));
    }

    #[test]
    fn errors_name_the_line() {
        let plain = CsvOptions::default();
        for (text, part) in [
            ("", "no rows"),
            ("image,label\n", "no rows"),
            ("a.jpg,cat\nb.jpg\n", "line 2: 1 fields"),
            ("a.jpg,cat\n\nb.jpg, \n", "line 3: the label (column 2) is empty"),
            ("a.jpg,\"cat\n", "line 1: a quoted field"),
        ] {
            let message = convert(text, &plain).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        let missing = CsvOptions { label_column: Some("klass".into()), ..CsvOptions::default() };
        assert!(convert("image,label\na,b", &missing).unwrap_err().contains("has: image, label"));
    }

    #[test]
    fn lists_of_labels() {
        let lists = CsvOptions { lists: true, ..CsvOptions::default() };
        let dir = tempfile::tempdir().unwrap();
        let (table, output) = (dir.path().join("t.tsv"), dir.path().join("out.jsonl"));
        let text = "a.jpg\tcan, carton ,can\nb.jpg\t'one, two','it''s'\nc.jpg\t\nd.jpg\t'x'\n";
        fs::write(&table, text).unwrap();
        let summary = csv(&table, &order(&output), &lists).unwrap();
        let rows: Vec<serde_json::Value> =
            fs::read_to_string(&output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<&serde_json::Value> = rows.iter().map(|row| &row["label"]).collect();
        let expected = serde_json::json!([["can", "carton"], ["one, two", "it's"], [], ["x"]]);
        assert_eq!(serde_json::json!(found), expected);
        assert_eq!(summary.classes.len(), 5);
        for (text, part) in [
            ("a.jpg\t'can", "line 1: the list of labels has a ' that is not closed"),
            ("a.jpg\t'can'x", "no comma after \"can\""),
            ("a.jpg\tcan,,x", "an empty label"),
            ("a.jpg\tcan,", "ends in a comma"),
            ("a.jpg,can,carton", "goes on in the next fields"),
        ] {
            let message = convert(text, &lists).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
