//! One line of a classification JSONL file; of a detection file, where its picture is.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

/// A label as written. All labels of a data set are of one type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelValue {
    /// Ordered as numbers.
    Integer(i64),
    /// Ordered by Unicode code points.
    Text(String),
}

impl LabelValue {
    /// The class name.
    pub fn name(&self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// What the type is called in messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Text(_) => "a string",
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, alias = "imageUrl")]
    image_url: Option<Cow<'a, str>>,
    label: Option<Value>,
}

/// A row, borrowed from its line where it can be.
#[derive(Debug)]
pub struct Row<'a> {
    /// As written.
    pub image_url: Cow<'a, str>,
    /// As written, or what is wrong with it.
    pub label: Result<LabelValue, String>,
}

/// Reads one line without its line ending. Keys other than `image_url` and `label` are left aside.
///
/// # Errors
/// What is wrong, where not even an `image_url` can be read.
pub fn parse(line: &[u8]) -> Result<Row<'_>, String> {
    let line = line.trim_ascii();
    if std::str::from_utf8(line).is_err() {
        return Err("the line is not UTF-8".to_owned());
    }
    // Read as a struct, a JSON list would pass for an object.
    if !line.starts_with(b"{") {
        return Err("not a JSON object with image_url and label".to_owned());
    }
    let line: Line =
        serde_json::from_slice(line).map_err(|e| format!("not a JSON object with image_url and label: {e}"))?;
    let image_url = line.image_url.ok_or("image_url is missing")?;
    Ok(Row { image_url, label: label(line.label) })
}

fn label(value: Option<Value>) -> Result<LabelValue, String> {
    let wrong = |what: &str| Err(format!("label is {what}; an image has one label, a string or an integer"));
    match value {
        None => wrong("missing"),
        Some(Value::String(text)) if text.trim().is_empty() => wrong("empty"),
        Some(Value::String(text)) => Ok(LabelValue::Text(text)),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(value) => Ok(LabelValue::Integer(value)),
            None => wrong(&format!("the number {number}")),
        },
        Some(Value::Null) => wrong("null"),
        Some(Value::Bool(value)) => wrong(&value.to_string()),
        Some(Value::Array(_)) => wrong("a list"),
        Some(Value::Object(_)) => wrong("an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_rows() {
        let row = parse(br#"{"image_url":"a\u00e4.jpg","label":"cat","image_details":{"width":"4px"}}"#).unwrap();
        assert_eq!(row.image_url, "aä.jpg");
        assert_eq!(row.label, Ok(LabelValue::Text("cat".into())));
        let row = parse(br#" {"label": -3, "image_url": "x"} "#).unwrap();
        assert_eq!(row.label.unwrap().name(), "-3");
        assert!(LabelValue::Integer(9) < LabelValue::Integer(10));
    }

    #[test]
    fn bad_rows_say_why() {
        for (line, part) in [
            (&b"{"[..], "not a JSON object"),
            (b"[]", "not a JSON object"),
            (br#"["a.jpg","cat"]"#, "not a JSON object"),
            (b"\"x\"", "not a JSON object"),
            (br#"{"label":"a"}"#, "image_url is missing"),
            (br#"{"image_url":7,"label":"a"}"#, "not a JSON object"),
            (b"{\"image_url\":\"\xff\",\"label\":\"a\"}", "not UTF-8"),
            (br#"{"image_url":"a","label":"a"} x"#, "not a JSON object"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        for (text, part) in [
            ("null", "missing"),
            ("\" \"", "empty"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("[\"a\"]", "a list"),
            ("{\"a\":1}", "an object"),
            ("99999999999999999999", "the number"),
        ] {
            let line = format!(r#"{{"image_url":"a","label":{text}}}"#);
            let message = parse(line.as_bytes()).unwrap().label.unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        assert!(parse(br#"{"image_url":"a"}"#).unwrap().label.unwrap_err().contains("missing"));
    }
}
