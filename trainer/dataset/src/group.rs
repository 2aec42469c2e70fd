//! Which rows belong together: those with one value under a key, such as a patient, a scene or a day. Rows of one group
//! are so alike that a model measured on some of them, after training on others, looks better than it is.

use std::collections::{BTreeMap, BTreeSet};

use schemas::dataset::parse_object;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::DataError;
use super::index::{Entry, Files, Keys};

/// The group of a row: a digest of its value. Equal for `7` and `"7"`.
pub type Group = [u8; 8];

/// Reads the value under `key` in a row, which is a JSON object.
///
/// # Errors
/// What there is in place of a text or a whole number.
pub fn value(line: &[u8], key: &str) -> Result<String, String> {
    let row = parse_object(line).map_err(|error| error.to_string())?;
    match row.get(key) {
        None => Err(format!("has no {key:?}")),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        Some(other) => Err(format!("has {other} as {key:?}, which is no text and no whole number")),
    }
}

/// Rows without a group.
#[derive(Debug)]
pub struct Ungrouped {
    /// Places in the list of rows.
    pub rows: Vec<usize>,
    /// Why the first has none.
    pub reason: String,
}

/// The group of each row, or those that have none.
///
/// # Errors
/// A file changed or cannot be read.
pub fn read(files: &Files, entries: &[Entry], key: &str) -> Result<Result<Vec<Group>, Ungrouped>, DataError> {
    let mut groups = Vec::with_capacity(entries.len());
    let (mut rows, mut first) = (Vec::new(), None);
    for (at, entry) in entries.iter().enumerate() {
        match value(&files.text(entry)?, key) {
            Ok(value) => groups.push(digest(&value)),
            Err(reason) => {
                rows.push(at);
                first.get_or_insert(reason);
            }
        }
    }
    Ok(match first {
        None => Ok(groups),
        Some(reason) => Err(Ungrouped { rows, reason }),
    })
}

/// As [`read`], for data that cannot be used without.
///
/// # Errors
/// As [`read`], and rows without a group.
pub fn require(files: &Files, entries: &[Entry], key: &str) -> Result<Vec<Group>, DataError> {
    read(files, entries, key)?.map_err(|Ungrouped { rows, reason }| {
        let entry = &entries[rows[0]];
        let message = format!(
            "line {} {reason}, and group_column is {key:?} ({} of {} rows are without); give every row one, or leave \
             group_column out",
            entry.line,
            rows.len(),
            entries.len()
        );
        DataError::Source { path: files.path(entry).clone(), message }
    })
}

fn digest(value: &str) -> Group {
    let mut group = Group::default();
    group.copy_from_slice(&Sha256::digest(value)[..8]);
    group
}

/// Two rows of one image that are of two groups, if there are any.
pub fn torn(keys: &[Keys], groups: &[Group]) -> Option<(usize, usize)> {
    let mut first: BTreeMap<[u8; 16], usize> = BTreeMap::new();
    keys.iter().zip(groups).enumerate().find_map(|(at, (keys, group))| {
        let earlier = *first.entry(keys.location).or_insert(at);
        (groups[earlier] != *group).then_some((earlier, at))
    })
}

/// The first row of each group in `theirs` that is in `ours` too.
pub fn shared(ours: &[Group], theirs: &[Group]) -> Vec<usize> {
    let ours: BTreeSet<&Group> = ours.iter().collect();
    let mut seen = BTreeSet::new();
    (0..theirs.len()).filter(|&at| ours.contains(&theirs[at]) && seen.insert(theirs[at])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_text_or_a_whole_number() {
        let of = |text: &str| value(format!(r#" {{"image_url":"a","p":{text}}}"#).as_bytes(), "p");
        assert_eq!(
            (of("\"x y\"").unwrap(), of("7").unwrap(), of("-3").unwrap()),
            ("x y".into(), "7".into(), "-3".into())
        );
        assert_eq!(digest(&of("7").unwrap()), digest(&of("\"7\"").unwrap()));
        for (text, part) in [("1.5", "1.5"), ("null", "null"), ("\" \"", "\" \""), ("[1]", "[1]"), ("true", "true")] {
            let reason = of(text).unwrap_err();
            assert!(reason.contains(part) && reason.contains("no whole number"), "{reason}");
        }
        assert_eq!(value("\u{feff}{\"x\":NaN,\"p\":7}".as_bytes(), "p").unwrap(), "7");
        assert_eq!(value(br#"{"image_url":"a"}"#, "p").unwrap_err(), "has no \"p\"");
    }

    #[test]
    fn shared_groups_are_named_once() {
        let group = |n: u8| [n; 8];
        assert_eq!(shared(&[group(1), group(2)], &[group(3), group(2), group(1), group(2)]), [1, 2]);
        let keys = |n: u8| Keys { location: [n; 16], url: [n; 8] };
        let same = [keys(1), keys(2), keys(1)];
        assert_eq!(torn(&same, &[group(1), group(1), group(1)]), None);
        assert_eq!(torn(&same, &[group(1), group(1), group(2)]), Some((0, 2)));
    }
}
