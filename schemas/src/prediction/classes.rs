//! The order of classes, and how many of them a request of V2 wants as texts (the protocol's extension "classification").

use std::borrow::Cow;
use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;

/// Positions of the classes, the most probable first; of equal ones the first.
#[must_use]
pub fn ranked(probabilities: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order
}

/// A number of classes as it was given: a whole number of at least 1, or something that is none, of which nothing is kept. More
/// classes than a model has are all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClassCount(Option<NonZeroUsize>);

impl ClassCount {
    /// What is no number at all.
    pub const NONE: Self = Self(None);

    /// The number of classes; `None` when what was given is no whole number of at least 1.
    #[must_use]
    pub fn get(self) -> Option<NonZeroUsize> {
        self.0
    }
}

impl From<Number> for ClassCount {
    fn from(number: Number) -> Self {
        // 3.0 is the whole number that JSON Schema takes it for. A conversion of a number with a fraction to a whole one stays at the
        // end of the range.
        let of_float = |value: f64| if value.fract() == 0.0 { value as u64 } else { 0 };
        let whole = number.as_u64().or_else(|| number.as_f64().map(of_float)).unwrap_or(0);
        Self(NonZeroUsize::new(usize::try_from(whole).unwrap_or(usize::MAX)))
    }
}

impl<'de> Deserialize<'de> for ClassCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Whatever it is, it is the server that says what is wrong with it.
        let given = <&RawValue>::deserialize(deserializer)?;
        Ok(serde_json::from_str::<Number>(given.get()).map_or(Self::NONE, Self::from))
    }
}

impl JsonSchema for ClassCount {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ClassCount")
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_at_least_one_are_counts() {
        let count = |text: &str| serde_json::from_str::<ClassCount>(text).unwrap().get().map(NonZeroUsize::get);
        for (text, wanted) in [
            ("1", 1),
            ("3", 3),
            ("3.0", 3),
            ("2e2", 200),
            ("18446744073709551615", usize::MAX),
            ("18446744073709551616", usize::MAX),
            ("1e300", usize::MAX),
        ] {
            assert_eq!(count(text), Some(wanted), "{text}");
        }
        for text in ["0", "-0", "0.0", "-1", "-3.0", "-1e300", "1.5", "0.5", "1e999", "true", "\"3\"", "[3]", "{}"] {
            assert_eq!(count(text), None, "{text}");
        }
    }
}
