//! Files that are named as data and are of another kind: recognised by what is in them, with the command that converts
//! them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use schemas::dataset::parse_object;
use serde_json::{Deserializer, Value};

use super::error::DataError;

/// Bytes that are looked at first.
const HEAD: u64 = 64 << 10;
/// A JSON document that is larger is not looked through.
const MOST: u64 = 256 << 20;

/// Refuses a file that is known to be no JSONL; one that cannot be read is left to who reads it.
///
/// # Errors
/// What the file is, and what to type.
pub fn check(path: &Path) -> Result<(), DataError> {
    let Ok(mut file) = File::open(path) else { return Ok(()) };
    let mut head = Vec::new();
    if file.by_ref().take(HEAD).read_to_end(&mut head).is_err() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let first = text.lines().next().unwrap_or_default().trim_end();
    let found = match first.chars().next() {
        None => None,
        Some('{') if is_row(first) => None,
        Some('{' | '[') => {
            let mut bytes = head.clone();
            match file.take(MOST).read_to_end(&mut bytes) {
                Ok(_) => json(path, &String::from_utf8_lossy(&bytes)),
                Err(_) => None,
            }
        }
        Some('<') if text.contains("<annotations") => Some(convert("is CVAT's XML", "cvat", path, "ROWS.jsonl")),
        Some('<') => text
            .contains("<annotation")
            .then(|| convert("is an annotation of Pascal VOC", "voc", path.parent().unwrap_or(path), "FOLDER")),
        Some(_) => yaml(path, text).or_else(|| table(path, text)),
    };
    match found {
        None => Ok(()),
        Some(message) => Err(DataError::Source { path: path.to_owned(), message }),
    }
}

fn is_row(line: &str) -> bool {
    let row = parse_object(line.as_bytes()).ok();
    row.is_some_and(|row| row.contains_key("image_url") || row.contains_key("imageUrl"))
}

fn convert(what: &str, from: &str, path: &Path, output: &str) -> String {
    let path = typed(path);
    format!("{what}, not a JSONL file of rows. Convert it: trainer convert {from} {path} --output {output}")
}

/// A path as it is typed in a shell.
pub fn typed(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// COCO's JSON, rows in a list, or rows over several lines.
fn json(path: &Path, text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = |text: &str| text.lines().count();
    let before = lines(&text[..text.len() - text.trim_start().len()]);
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    let first = values.next()?;
    let end = values.byte_offset();
    match first {
        Ok(Value::Object(map)) if map.get("images").is_some_and(Value::is_array) => {
            Some(convert("is COCO's JSON", "coco", path, "ROWS.jsonl"))
        }
        Ok(Value::Object(map)) if map.get("shapes").is_some_and(Value::is_array) && map.contains_key("imagePath") => {
            Some(convert("is LabelMe's JSON", "labelme", path.parent().unwrap_or(path), "ROWS.jsonl"))
        }
        Ok(Value::Array(rows)) => {
            let one = rows.first().filter(|row| row.is_object())?;
            let (count, row) = (rows.len(), shown(one));
            Some(format!(
                "is one JSON list of {count} rows. Write each row on a line of its own, without the list's brackets and \
                 commas; the first is {row}. This does it: jq -c '.[]' OLD > NEW.jsonl"
            ))
        }
        Ok(row @ Value::Object(_)) if text[..end].trim().contains('\n') => {
            let (from, to) = (before + 1, lines(&text[..end]));
            Some(format!(
                "its first row stands on lines {from} to {to}; a row is one line: {}. This writes all rows so: \
                 jq -c . OLD > NEW.jsonl",
                shown(&row)
            ))
        }
        Ok(_) => None,
        Err(error) => {
            // A row that ends on its line is judged by itself.
            let open = text.trim_start().lines().next().is_some_and(|line| matches!(line.trim_end(), "{" | "["));
            let what = if text.trim_start().starts_with('[') { "list" } else { "row" };
            open.then(|| {
                format!(
                    "holds a {what} over several lines, which is no JSON either: {error}. Write each row on one line: \
                     {{\"image_url\": \"images/1.jpg\", \"label\": ...}}"
                )
            })
        }
    }
}

fn shown(row: &Value) -> String {
    const LIMIT: usize = 400;
    let text = row.to_string();
    match text.char_indices().nth(LIMIT) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// YOLO's data.yaml.
fn yaml(path: &Path, text: &str) -> Option<String> {
    let has = |key: &str| {
        text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':')))
    };
    let parts = ["train", "val", "valid", "test"].iter().any(|key| has(key));
    (parts && (has("names") || has("nc"))).then(|| convert("is YOLO's data.yaml", "yolo", path, "FOLDER"))
}

/// A table: lines of the same number of fields.
fn table(path: &Path, text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    let named =
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv") || ending.eq_ignore_ascii_case("tsv"));
    let same = [',', '\t', ';', '|'].iter().any(|delimiter| {
        let mut counts =
            text.lines().filter(|line| !line.trim().is_empty()).take(5).map(|line| line.matches(*delimiter).count());
        counts.next().is_some_and(|first| first > 0 && counts.all(|count| count == first))
    });
    (named || same || text.to_ascii_lowercase().starts_with("sep="))
        .then(|| convert("is a table", "csv", path, "ROWS.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_recognised_by_what_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, part) in [
            ("a", "image,label\na.jpg,cat\n", "is a table, not a JSONL file of rows. Convert it: trainer convert csv "),
            ("b.csv", "image_id\n1\n", "trainer convert csv "),
            ("c", "{\"images\": [], \"annotations\": []}", "trainer convert coco "),
            ("d", "{\n \"images\": [\n ]}", "trainer convert coco "),
            ("e", "train: images/train\nval: x\nnames: [a]\n", "trainer convert yolo "),
            ("f", "<annotation>\n</annotation>", "trainer convert voc "),
            ("k", "<?xml version='1.0'?>\n<annotations>\n</annotations>", "trainer convert cvat "),
            ("l", "{\n \"shapes\": [], \"imagePath\": \"a.jpg\"}", "trainer convert labelme "),
            ("g", "[{\"image_url\": \"a\"},\n{\"image_url\": \"b\"}]", "list of 2 rows"),
            (
                "h",
                "\n{\n  \"image_url\": \"a\",\n  \"label\": \"b\"\n}\n",
                "lines 2 to 5; a row is one line: {\"image_url\":\"a\",\"label\":\"b\"}",
            ),
            (
                "i",
                "{\n  \"image_url\": \"a\",\n  \"label\": \"b\",\n}\n",
                "over several lines, which is no JSON either: trailing comma at line 4",
            ),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let message = check(&path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        for text in [
            "",
            "{\"image_url\": \"a\"}\n",
            "{\"image_url\": \"a\",}\n",
            "nonsense",
            "{\"image_url\": \"a\"},\n{\"x\":1}\n",
            "{\"a\": 1}",
        ] {
            let path = dir.path().join("j");
            std::fs::write(&path, text).unwrap();
            check(&path).unwrap();
        }
        check(&dir.path().join("none")).unwrap();
    }
}
