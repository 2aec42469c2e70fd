//! JSON as other programs write it: with byte-order marks, as UTF-16, with Python's `NaN`.

use schemas::dataset::without_nan;
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
    Ok(without_nan(&utf8).unwrap_or(utf8))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>, String> {
    let (units, _) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect();
    text.map(String::into_bytes)
        .map_err(|_| "is not the UTF-16 that its byte-order mark says; save it as UTF-8".to_owned())
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

/// The id of a list that is meant by one that is not in it: the only one that is the same number with other zeros before it.
///
/// # Errors
/// Several are.
pub fn with_other_zeros<'a>(
    mut ids: impl Iterator<Item = &'a String>,
    wanted: &str,
) -> Result<Option<&'a String>, [&'a String; 2]> {
    let digits = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let bare = |id: &str| id.trim_start_matches('0').to_owned();
    if !digits(wanted) {
        return Ok(None);
    }
    let mut same = ids.by_ref().filter(|id| digits(id) && bare(id) == bare(wanted));
    match (same.next(), same.next()) {
        (Some(one), Some(other)) => Err([one, other]),
        (one, _) => Ok(one),
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
        let ids = ["007", "8", "08", "x7", "0"].map(str::to_owned);
        let meant = |wanted: &str| with_other_zeros(ids.iter(), wanted);
        assert_eq!(meant("7"), Ok(Some(&ids[0])));
        assert_eq!((meant("9"), meant("x07"), meant("00")), (Ok(None), Ok(None), Ok(Some(&ids[4]))));
        assert_eq!(meant("0008"), Err([&ids[1], &ids[2]]));
        for (text, wanted) in [("\"007\"", Some("007")), ("1.5", Some("1.5")), ("null", None), ("\" \"", None)] {
            assert_eq!(id(&serde_json::from_str(text).unwrap()).as_deref(), wanted, "{text}");
        }
    }
}
