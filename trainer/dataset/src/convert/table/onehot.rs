//! Tables with a column per class.

/// A yes or no: `1`, `0`, `1.0`, `0.0`, `true`, `false`.
pub fn flag(field: &str) -> Option<bool> {
    match field.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Some(true),
        "0" | "0.0" | "false" => Some(false),
        _ => None,
    }
}
