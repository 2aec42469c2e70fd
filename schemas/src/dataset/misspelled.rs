//! What is wrong with a line that should be a JSON object and is none, and how to write it.

use serde_json::Value;

use super::shown::cut;

/// Most bytes of a line that are searched for a better spelling.
const LIMIT: usize = 1 << 16;
/// Most characters of a row that are shown.
const SHOWN: usize = 400;

/// A message for a line that begins with `{` and is no JSON, with the line as it should be where that is known.
pub(super) fn misspelled(line: &str, error: &serde_json::Error) -> String {
    if line.len() <= LIMIT {
        if let Some(row) = line.strip_suffix(',').filter(|row| is_object(row)) {
            return format!("a comma follows the row; a line is one JSON object and nothing else: {}", cut(row, SHOWN));
        }
        let row = without_commas(line);
        if row != line && is_object(&row) {
            return format!(
                "a comma stands before a closing bracket (column {}); write {}",
                error.column(),
                cut(&row, SHOWN)
            );
        }
    }
    if error.is_eof() {
        return format!(
            "the line ends before its JSON object does; a row stands on one line, with image_url and label ({error})"
        );
    }
    format!("not a JSON object with image_url and label: {error}")
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}

/// The text without commas that stand before a closing bracket or at the end.
fn without_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    // What has been read since a comma that may have to go.
    let mut held: Option<String> = None;
    for letter in text.chars() {
        if let Some(blank) = held.as_mut().filter(|_| letter.is_whitespace()) {
            blank.push(letter);
            continue;
        }
        if let Some(blank) = held.take() {
            if !matches!(letter, '}' | ']') {
                out.push(',');
            }
            out.push_str(&blank);
        }
        if letter == ',' && !quoted {
            held = Some(String::new());
            continue;
        }
        out.push(letter);
        quoted ^= letter == '"' && !escaped;
        escaped = quoted && letter == '\\' && !escaped;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, part: &str) {
        let error = serde_json::from_str::<Value>(line).unwrap_err();
        let message = misspelled(line, &error);
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn the_row_is_shown_as_it_should_be() {
        check(r#"{"image_url": "a", "label": "b"},"#, r#"nothing else: {"image_url": "a", "label": "b"}"#);
        check(r#"{"image_url": "a,}\"", "label": ["b", ], }"#, r#"write {"image_url": "a,}\"", "label": ["b" ] }"#);
        check(r#"{"image_url": "a", "label": ["b",]},"#, r#"write {"image_url": "a", "label": ["b"]}"#);
        check(r#"{"image_url": "a","#, "ends before its JSON object does");
        check("{", "a row stands on one line");
        check(r#"{"image_url": "a" "label": "b"}"#, "not a JSON object with image_url and label: expected");
    }
}
