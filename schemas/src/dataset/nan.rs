//! Numbers that Python writes and JSON does not know.

use serde_json::{Map, Value};

/// The text with `null` in place of each `NaN`, `Infinity` and `-Infinity` that stands outside of quotes; nothing where there
/// is none.
#[must_use]
pub fn without_nan(text: &[u8]) -> Option<Vec<u8>> {
    const NO_JSON: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut copied, mut in_text) = (0, 0, false);
    while at < text.len() {
        match text[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'N' | b'I' | b'-' if !in_text => {
                if let Some(token) = NO_JSON.iter().find(|token| text[at..].starts_with(token)) {
                    let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(b"null");
                    copied = at + token.len();
                    at = copied - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    let mut out = out?;
    out.extend_from_slice(&text[copied..]);
    Some(out)
}

/// The JSON object of a line as a map, as [`super::parse_row`] reads it: without a byte-order mark, and with `null` for the
/// numbers that JSON does not know.
///
/// # Errors
/// It is none.
pub fn parse_object(line: &[u8]) -> serde_json::Result<Map<String, Value>> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line).trim_ascii();
    serde_json::from_slice(line)
        .or_else(|error| without_nan(line).map_or(Err(error), |finite| serde_json::from_slice(&finite)))
}

#[cfg(test)]
mod tests {
    use super::without_nan;

    #[test]
    fn numbers_that_are_none_become_null() {
        let replaced = |text: &str| without_nan(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        let text = r#"{"a NaN \"":[NaN,-Infinity, Infinity,-1,"-Infinity"]}"#;
        assert_eq!(replaced(text).as_deref(), Some(r#"{"a NaN \"":[null,null, null,-1,"-Infinity"]}"#));
        assert_eq!(replaced(r#"{"a":"NaN","b":-1}"#), None);
    }
}
