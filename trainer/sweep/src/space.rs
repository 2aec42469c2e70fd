//! What is searched: parameters with their distributions, in branches of which a trial takes one.

mod draw;
mod normal;
mod problems;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use draw::{Kind, same};
pub use problems::{LARGEST_LOGARITHM, Problem, SpaceError};

/// What a parameter's values are drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// One of these, each as likely.
    Choice(Vec<Value>),
    /// A whole number from 0 to `upper` - 1.
    RandInt {
        /// One above the largest.
        upper: u64,
    },
    /// Uniform between two numbers.
    Uniform {
        /// Least.
        low: f64,
        /// Greatest.
        high: f64,
    },
    /// The same, rounded to multiples of `step`.
    QUniform {
        /// Least, before rounding.
        low: f64,
        /// Greatest, before rounding.
        high: f64,
        /// Values are multiples of it.
        step: f64,
    },
    /// e to the power of a number uniform between two.
    LogUniform {
        /// Natural logarithm of the least value.
        low: f64,
        /// Natural logarithm of the greatest value.
        high: f64,
    },
    /// The same, rounded to multiples of `step`.
    QLogUniform {
        /// Natural logarithm of the least value, before rounding.
        low: f64,
        /// Natural logarithm of the greatest value, before rounding.
        high: f64,
        /// Values are multiples of it.
        step: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        deviation: f64,
    },
    /// The same, rounded to multiples of `step`.
    QNormal {
        /// Mean, before rounding.
        mean: f64,
        /// Standard deviation, before rounding.
        deviation: f64,
        /// Values are multiples of it.
        step: f64,
    },
    /// e to the power of a normal number.
    LogNormal {
        /// Mean of the natural logarithm.
        mean: f64,
        /// Standard deviation of the natural logarithm.
        deviation: f64,
    },
    /// The same, rounded to multiples of `step`.
    QLogNormal {
        /// Mean of the natural logarithm, before rounding.
        mean: f64,
        /// Standard deviation of the natural logarithm, before rounding.
        deviation: f64,
        /// Values are multiples of it.
        step: f64,
    },
}

/// Parameters that belong together: those of one model, say. What is fixed in it is a choice of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Branch {
    /// Distributions by the name of the setting, in the order in which they were written.
    pub parameters: IndexMap<String, Distribution>,
}

/// What is searched. A trial takes one branch, each as likely, and a value for each of its parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    /// At least one; a space without conditions has one.
    pub branches: Vec<Branch>,
}

/// A point of the space: what one trial tries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Index of its branch.
    pub branch: usize,
    /// Value of each of the branch's parameters.
    pub values: IndexMap<String, Value>,
}
