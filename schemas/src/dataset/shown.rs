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
    if text.chars().count() <= LIMIT { text } else { text.chars().take(LIMIT).chain("...".chars()).collect() }
}
