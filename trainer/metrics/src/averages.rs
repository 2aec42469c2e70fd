//! One metric of many classes as a few numbers.

use serde::{Deserialize, Serialize};

/// One metric averaged in the usual ways; `None` where it is undefined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Plain mean over the classes for which the metric is defined.
    #[serde(rename = "macro")]
    pub macro_: Option<f64>,
    /// Over all (example, class) decisions pooled.
    pub micro: Option<f64>,
    /// Mean over the classes, weighted by how often each occurs as truth.
    pub weighted: Option<f64>,
    /// The value of the second class; only where there are exactly two.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub binary: Option<f64>,
}

impl Averages {
    /// Means of `(value, support)` pairs, one per class; those without a value are skipped.
    pub(super) fn new(
        per_class: impl Iterator<Item = (Option<f64>, u64)>,
        micro: Option<f64>,
        binary: Option<f64>,
    ) -> Self {
        let (mut sum, mut count, mut weighted, mut weight) = (0.0, 0_u64, 0.0, 0_u64);
        for (value, support) in per_class {
            let Some(value) = value else { continue };
            sum += value;
            count += 1;
            weighted += value * support as f64;
            weight += support;
        }
        Self {
            macro_: (count > 0).then(|| sum / count as f64),
            micro,
            weighted: (weight > 0).then(|| weighted / weight as f64),
            binary,
        }
    }
}
