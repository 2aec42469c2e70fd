//! What MLflow takes: names, lengths of values, sizes of batches.

use std::borrow::Cow;

use serde_json::Value;

/// Characters of a parameter's value. Older servers take less and say so.
pub(super) const LONGEST_PARAM: usize = 6000;
/// Characters of a tag's value.
pub(super) const LONGEST_TAG: usize = 5000;
/// Characters of a name.
const LONGEST_NAME: usize = 250;
/// Parameters, or tags, of one request.
pub(super) const MOST_PARAMS: usize = 100;
/// Metrics of one request.
pub(super) const MOST_METRICS: usize = 1000;
/// Bytes of one request; the limit is 1,000,000, and the frame around the batch needs some.
const MOST_BYTES: usize = 900_000;
/// Digits of the SHA-256 that tells changed names apart.
const DIGITS: usize = 8;

/// A name of a parameter, metric or tag as MLflow takes it: at most 250 letters, digits, spaces and `_ - . /`, which as a path
/// leads nowhere else.
///
/// A name of this kind stays as it is. In any other, each character that is not taken becomes `_`, what is too long is cut, and
/// the first eight digits of the SHA-256 of the name follow, so that names that differ stay different. Letters are those of Latin,
/// Greek, Cyrillic, Chinese, Japanese and Korean writing; MLflow takes more, but which depends on its Python.
#[must_use]
pub fn clean_name(name: &str) -> Cow<'_, str> {
    let mut clean: Vec<String> =
        name.split('/').map(|part| part.chars().map(|c| if is_taken(c) { c } else { '_' }).collect()).collect();
    for part in &mut clean {
        if part.is_empty() || part == "." || part == ".." {
            *part = "_".repeat(part.len().max(1));
        }
    }
    let mut clean = clean.join("/");
    if clean.starts_with("..") {
        clean.replace_range(..2, "__");
    }
    if clean == name && name.chars().count() <= LONGEST_NAME {
        return Cow::Borrowed(name);
    }
    let kept: String = clean.chars().take(LONGEST_NAME - DIGITS - 1).collect();
    Cow::Owned(format!("{kept}-{}", &files::digest::of_bytes(name.as_bytes())[..DIGITS]))
}

/// The ranges have letters, digits and marks that are none of both; [`char::is_alphanumeric`] tells.
fn is_taken(c: char) -> bool {
    match c {
        '_' | '-' | '.' | ' ' => true,
        '\0'..='\u{24f}'
        | '\u{370}'..='\u{52f}'
        | '\u{3041}'..='\u{30ff}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' => c.is_alphanumeric(),
        _ => false,
    }
}

/// A value of at most `longest` characters; a longer one is cut and ends in `...`.
pub(super) fn cut(value: &str, longest: usize) -> Cow<'_, str> {
    if value.chars().count() <= longest {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.chars().take(longest - 3).chain("...".chars()).collect())
}

/// A number as MLflow's JSON has it, which has words for what JSON has no number for.
pub(super) fn number(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        value.into()
    }
}

/// Splits entries into requests of at most `most` entries and [`MOST_BYTES`].
pub(super) fn batches(entries: impl IntoIterator<Item = Value>, most: usize) -> Vec<Vec<Value>> {
    let mut batches: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = entry.to_string().len() + 1;
        match batches.last_mut() {
            Some(batch) if batch.len() < most && bytes + size <= MOST_BYTES => {
                batch.push(entry);
                bytes += size;
            }
            Some(_) | None => {
                batches.push(vec![entry]);
                bytes = size;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mlflow_takes_stay_and_others_stay_different() {
        for name in ["lr", "validation/ap 50.x-y_z", "a..b/c", "größe/мир/猫/ネコ/고양이/µ", "...", ".hidden"]
        {
            let same = !name.starts_with("..");
            assert_eq!(clean_name(name) == name, same, "{name}");
        }
        let long = "x".repeat(251);
        for (name, begins) in [
            ("ap/a:b", "ap/a_b-"),
            ("ap/a;b", "ap/a_b-"),
            ("/a", "_/a-"),
            ("a//b", "a/_/b-"),
            ("a/./b", "a/_/b-"),
            ("..", "__-"),
            ("", "_-"),
        ] {
            let clean = clean_name(name);
            assert!(clean.starts_with(begins) && clean.len() == begins.len() + DIGITS, "{name}: {clean}");
            assert_eq!(clean_name(&clean), clean);
        }
        assert_ne!(clean_name("ap/a:b"), clean_name("ap/a;b"));
        assert_eq!(clean_name(&long).len(), LONGEST_NAME);
        assert_eq!(clean_name(&long[1..]), long[1..]);
    }

    #[test]
    fn values_are_cut_by_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        let cut = cut("äöüäöü", 5);
        assert_eq!(cut, "äö...");
    }

    #[test]
    fn batches_keep_order_count_and_bytes() {
        let entries: Vec<Value> = (0..250).map(Value::from).collect();
        let made = batches(entries.clone(), 100);
        assert_eq!(made.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        assert_eq!(made.concat(), entries);
        let wide = vec![Value::from("ä".repeat(200_000)); 5];
        assert_eq!(batches(wide, 100).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(batches([], 100).is_empty());
    }
}
