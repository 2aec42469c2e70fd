//! JSON as other programs write it: with byte-order marks, as UTF-16, with Python's `NaN`.

use serde_json::Value;

/// The text of a JSON file in UTF-8, with `null` for the numbers that JSON does not have.
///
/// # Errors
/// It says that it is UTF-16 and is not.
pub fn lenient(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let utf8 = match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => bytes,
    };
    Ok(without_nan(utf8))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>, String> {
    let (units, _) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect();
    text.map(String::into_bytes)
        .map_err(|_| "is not the UTF-16 that its byte-order mark says; save it as UTF-8".to_owned())
}

/// Replaces `NaN`, `Infinity` and `-Infinity` outside of texts, which Python writes and JSON does not know.
fn without_nan(bytes: Vec<u8>) -> Vec<u8> {
    const NO_JSON: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut copied, mut in_text) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'N' | b'I' | b'-' if !in_text => {
                if let Some(token) = NO_JSON.iter().find(|token| bytes[at..].starts_with(token)) {
                    let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
                    out.extend_from_slice(&bytes[copied..at]);
                    out.extend_from_slice(b"null");
                    copied = at + token.len();
                    at = copied - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    match out {
        None => bytes,
        Some(mut out) => {
            out.extend_from_slice(&bytes[copied..]);
            out
        }
    }
}

/// A number, or the text of one; never an infinite one.
pub fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number| number.is_finite())
}

/// An identifier: `7`, `7.0` and `"7"` are one.
pub fn id(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Some(format!("{}", float as i64)),
            _ => Some(number.to_string()),
        },
        Value::String(text) => {
            let text = text.trim();
            let whole = text.strip_suffix(".0").filter(|whole| whole.bytes().all(|byte| byte.is_ascii_digit()));
            Some(whole.unwrap_or(text).to_owned()).filter(|text| !text.is_empty())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value as a message shows it: cut, since it may be long.
pub fn shown(value: &Value) -> String {
    const LIMIT: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LIMIT { text } else { text.chars().take(LIMIT).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_other_programs_become_json() {
        let text = r#"{"a NaN \"":[NaN,-Infinity, Infinity,-1,"-Infinity"]}"#;
        let wanted = r#"{"a NaN \"":[null,null, null,-1,"-Infinity"]}"#;
        let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(order).collect()
        };
        for bytes in [text.into(), format!("\u{feff}{text}").into(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
            assert_eq!(String::from_utf8(lenient(bytes).unwrap()).unwrap(), wanted);
        }
        assert!(lenient(b"\xff\xfe\x00\xd8".to_vec()).is_err());
    }

    #[test]
    fn ids_of_one_number_are_one() {
        for text in ["7", "7.0", "\"7\"", "\" 7.0 \""] {
            assert_eq!(id(&serde_json::from_str(text).unwrap()).as_deref(), Some("7"), "{text}");
        }
        for (text, wanted) in [("\"007\"", Some("007")), ("1.5", Some("1.5")), ("null", None), ("\" \"", None)] {
            assert_eq!(id(&serde_json::from_str(text).unwrap()).as_deref(), wanted, "{text}");
        }
    }
}
