//! One line of a classification JSONL file, with one label or a list of them; of a detection file, where its image is.

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
    label: Option<Value>,
}

impl Row<'_> {
    /// The class of an image that has one.
    ///
    /// # Errors
    /// What is wrong with the label.
    pub fn class(self) -> Result<LabelValue, String> {
        class(self.label.as_ref())
            .map_err(|what| format!("label is {what}; an image has one label, a string or an integer"))
    }

    /// The classes of an image that may have any number, in the order written; empty for an image that shows none.
    ///
    /// # Errors
    /// What is wrong with the label.
    pub fn classes(self) -> Result<Vec<LabelValue>, String> {
        const EXPECTED: &str = "an image has a list of labels, all strings or all integers, which may be empty";
        let Some(Value::Array(items)) = &self.label else {
            let what = match class(self.label.as_ref()) {
                Ok(LabelValue::Integer(value)) => format!("the number {value} alone"),
                Ok(LabelValue::Text(text)) => format!("the string {text:?} alone"),
                Err(what) => what,
            };
            return Err(format!("label is {what}; {EXPECTED}"));
        };
        let mut classes: Vec<LabelValue> = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let value =
                class(Some(item)).map_err(|what| format!("label {number} of the list is {what}; {EXPECTED}"))?;
            if let Some(first) = classes.first().filter(|first| first.type_name() != value.type_name()) {
                let (first, other) = (first.type_name(), value.type_name());
                return Err(format!("label 0 of the list is {first}, label {number} {other}; {EXPECTED}"));
            }
            classes.push(value);
        }
        Ok(classes)
    }
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
    Ok(Row { image_url, label: line.label })
}

/// A label, or what else there is.
fn class(value: Option<&Value>) -> Result<LabelValue, String> {
    let wrong = |what: &str| Err(what.to_owned());
    match value {
        None => wrong("missing"),
        Some(Value::String(text)) if text.trim().is_empty() => wrong("empty"),
        Some(Value::String(text)) => Ok(LabelValue::Text(text.clone())),
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
        assert_eq!(row.class(), Ok(LabelValue::Text("cat".into())));
        let row = parse(br#" {"label": -3, "image_url": "x"} "#).unwrap();
        assert_eq!(row.class().unwrap().name(), "-3");
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
            let message = parse(line.as_bytes()).unwrap().class().unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        assert!(parse(br#"{"image_url":"a"}"#).unwrap().class().unwrap_err().contains("missing"));
    }

    #[test]
    fn lists_of_labels() {
        let classes = |text: &str| {
            let line = format!(r#"{{"image_url":"a","label":{text}}}"#);
            let found = parse(line.as_bytes()).unwrap().classes();
            found.map(|all| all.iter().map(LabelValue::name).collect::<Vec<_>>())
        };
        assert_eq!(classes(r#"["b", "a", "b"]"#).unwrap(), ["b", "a", "b"]);
        assert_eq!(classes("[2, 10]").unwrap(), ["2", "10"]);
        assert!(classes("[]").unwrap().is_empty());
        for (text, part) in [
            ("\"a\"", "the string \"a\" alone; an image has a list"),
            ("7", "the number 7 alone"),
            ("null", "missing"),
            ("{}", "an object"),
            ("[\"a\", 1]", "label 0 of the list is a string, label 1 an integer"),
            ("[\"a\", \" \"]", "label 1 of the list is empty"),
            ("[[\"a\"]]", "label 0 of the list is a list"),
            ("[1.5]", "the number 1.5"),
        ] {
            let message = classes(text).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
