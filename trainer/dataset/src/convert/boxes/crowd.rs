//! Whether an object stands for a group of objects, as files say it.

use serde_json::Value;

use super::coco::shown;

/// What programs that let people name marks call that of a crowd.
pub const CROWD: [&str; 3] = ["is_crowd", "isCrowd", "iscrowd"];

/// What is written under `key`: true, 1 or yes, or false, 0 or no, as text too; nothing is false.
///
/// # Errors
/// It is something else, of which nobody knows what was meant.
pub fn crowd(key: &str, value: &Value) -> Result<bool, String> {
    let said = match value {
        Value::Null => Some(false),
        Value::Bool(yes) => Some(*yes),
        Value::Number(number) => yes_or_no(&number.to_string()),
        Value::String(text) => yes_or_no(text),
        Value::Array(_) | Value::Object(_) => None,
    };
    said.ok_or_else(|| format!("its {key} is {}; it must be true or 1, or false or 0", shown(value)))
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" => Some(true),
        "0" | "0.0" | "false" | "no" | "" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_neither_yes_nor_no_is_refused() {
        for yes in [json!(true), json!(1), json!(1.0), json!("1"), json!("True"), json!(" true "), json!("yes")] {
            assert_eq!(crowd("iscrowd", &yes), Ok(true), "{yes}");
        }
        for no in [json!(false), json!(0), json!(0.0), json!("0"), json!("False"), json!("no"), json!(""), json!(null)]
        {
            assert_eq!(crowd("iscrowd", &no), Ok(false), "{no}");
        }
        for neither in [json!(2), json!(-1), json!(0.5), json!("2"), json!("maybe"), json!([]), json!({})] {
            let reason = crowd("isCrowd", &neither).unwrap_err();
            assert!(reason.starts_with(&format!("its isCrowd is {neither}; ")), "{reason}");
        }
    }
}
