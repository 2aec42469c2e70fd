//! The fields of a plan that are not settings, and how their values are read.

use serde_json::Value;

use super::start::{Device, Precision, Recipe};
use crate::Task;
use crate::setting::{FIELDS, Kind, SettingError, normal, number};

/// The field called `name`, or its other name `random_seed`.
pub(super) fn find(name: &str) -> Option<&'static str> {
    let wanted = match normal(name).as_str() {
        "random_seed" => "seed".to_owned(),
        other => other.to_owned(),
    };
    FIELDS.iter().copied().find(|field| *field == wanted)
}

/// Reads the value of `field` into its canonical JSON form; `given` is the caller's spelling of the name. `null` stays
/// `null` and means "not given".
pub(super) fn parse(field: &str, given: &str, value: &Value) -> Result<Value, SettingError> {
    let wrong = |expected: &str| SettingError::WrongType {
        name: given.to_owned(),
        value: value.clone(),
        expected: expected.to_owned(),
    };
    if value.is_null() {
        return Ok(Value::Null);
    }
    match field {
        "seed" => seed(value).map(Value::from).ok_or_else(|| wrong("a whole number from 0 to 18446744073709551615")),
        "recipe" => Kind::Choice(Recipe::NAMES).parse(given, value),
        "precision" => Kind::Choice(Precision::NAMES).parse(given, value),
        "task" => {
            let known = format!("one of {}", Task::ALL.map(Task::as_str).join(", "));
            let task: Option<Task> = value.as_str().and_then(|text| text.parse().ok());
            task.map(|task| Value::from(task.as_str())).ok_or_else(|| wrong(&known))
        }
        "device" => device(value).map(Value::from).ok_or_else(|| wrong("auto, cpu, cuda or cuda:N")),
        "model_name" => text(value).map(|name| Value::from(normal(name))).ok_or_else(|| wrong("the name of a model")),
        "pretrained" => {
            let word = text(value).ok_or_else(|| wrong("auto, none or a file"))?;
            Ok(Value::from(match normal(word).as_str() {
                "auto" => "auto",
                "none" => "none",
                _ => word,
            }))
        }
        _ => text(value).map(Value::from).ok_or_else(|| wrong("a path")),
    }
}

/// Text that is not blank.
fn text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty())
}

fn seed(value: &Value) -> Option<u64> {
    if let Some(seed) = value.as_u64() {
        return Some(seed);
    }
    if let Some(seed) = value.as_str().and_then(|text| text.trim().parse().ok()) {
        return Some(seed);
    }
    // A float is exact up to 2^53.
    let number = number(value).filter(|n| n.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(n))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and inside 0..=2^53")]
    Some(number as u64)
}

fn device(value: &Value) -> Option<String> {
    let device: Device = text(value)?.parse().ok()?;
    Some(device.to_string())
}
