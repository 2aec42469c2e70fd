//! Values of a row in messages.

use serde_json::Value;

/// A value as it appears in a message: cut, because a row may be megabytes long.
pub(super) fn shown(value: &Value) -> String {
    const LIMIT: usize = 80;
    let text = match value {
        // A large list need not be written out to be cut.
        Value::Array(items) if items.len() > LIMIT => return format!("a list of {} values", items.len()),
        _ => value.to_string(),
    };
    cut(&text, LIMIT)
}

/// A text of at most `limit` characters, as it appears in a message.
pub(super) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
