//! Names of classes.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Name of a class. All of a dataset must be of one type. Integers sort by value, texts by code point; that order is the
/// order of a model's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum ClassName {
    /// A whole number.
    Integer(i64),
    /// Text, not blank.
    Text(String),
}

impl ClassName {
    /// A text that is not blank, or a whole number; anything else is no class name. `true` and `1.0` are not.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if !text.trim().is_empty() => Some(Self::Text(text.clone())),
            Value::Number(number) => number.as_i64().map(Self::Integer),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Its type, as it reads in a message.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Text(_) => "a string",
        }
    }

    /// True when both are integers or both are texts.
    #[must_use]
    pub fn same_type(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Integer(_), Self::Integer(_)) | (Self::Text(_), Self::Text(_)))
    }
}

/// As [`ClassName::from_json`], without a copy; anything else is given back.
impl TryFrom<Value> for ClassName {
    type Error = Value;

    fn try_from(value: Value) -> Result<Self, Value> {
        match value {
            Value::String(text) if !text.trim().is_empty() => Ok(Self::Text(text)),
            other => Self::from_json(&other).ok_or(other),
        }
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}
