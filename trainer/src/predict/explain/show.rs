//! An explanation as an image and as numbers.

use models::host::{Rgb, caption};
use serde_json::{Map, Value, json};

use super::Explanation;

impl Explanation {
    /// A row per explained label, see [`models::host::Attribution::drawn`], with its name and probability below it; `None`
    /// when no label is explained.
    #[must_use]
    pub fn drawn(&self, labels: &[String], probabilities: &[f32]) -> Option<Rgb> {
        let row = |one: &super::Explained| {
            let line = caption::class(&labels[one.class], probabilities[one.class]);
            caption::below(&one.attribution.drawn(&self.image), &[line])
        };
        self.labels.iter().map(row).reduce(|mut all, next| {
            all.height += next.height;
            all.data.extend(next.data);
            all
        })
    }

    /// An object per explained label: its name, the sum of its attributions and, when they are `wanted`, all of them,
    /// `[3][crop][crop]`.
    #[must_use]
    pub fn json(&self, labels: &[String], wanted: bool) -> Value {
        let row = |one: &super::Explained| {
            let sum: f64 = one.attribution.values.iter().map(|&v| f64::from(v)).sum();
            let mut row =
                Map::from_iter([("label".to_owned(), json!(labels[one.class])), ("sum".to_owned(), json!(sum))]);
            if wanted {
                row.insert("attributions".to_owned(), json!(one.attribution.nested()));
            }
            Value::Object(row)
        };
        self.labels.iter().map(row).collect()
    }
}
