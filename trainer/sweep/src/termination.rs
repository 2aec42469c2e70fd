//! Which trials are ended early. Pure functions of what trials have reported.

use serde::{Deserialize, Serialize};

/// A rule of ending trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Termination {
    /// Which trials.
    pub rule: Rule,
    /// Reports between two looks at a trial.
    pub every: u32,
    /// Reports before the first look.
    pub delay: u32,
}

/// Which trials are ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// None.
    #[default]
    Never,
    /// Those that are further behind the best than a share or an amount.
    Bandit(Slack),
    /// Those whose best is below the median of the running averages of all.
    Median,
    /// The lowest share of all.
    Truncation {
        /// Per cent, 1 to 99.
        percentage: u32,
        /// Whether trials that ended are left out of the comparison.
        exclude_finished: bool,
    },
    /// Asynchronous successive halving: those that are not among the best 1 / `reduction` at a rung.
    Asha {
        /// Reports before the first rung.
        least: u32,
        /// Factor between rungs, and of trials that go on.
        reduction: u32,
    },
}

/// How far behind the best a trial may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slack {
    /// Ended below best / (1 + factor).
    Factor(f64),
    /// Ended below best - amount.
    Amount(f64),
}

/// What a trial has reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Number of the trial, from 0.
    pub trial: u64,
    /// The primary metric, report by report; larger is better, NaN is an undefined one.
    pub values: Vec<f64>,
    /// Whether it reports no more.
    pub ended: bool,
}

impl Termination {
    /// Whether `trial` is to be ended after its last report, by what all, itself among them, have reported.
    #[must_use]
    pub fn ends(&self, trial: &Curve, all: &[Curve]) -> bool {
        let _ = (trial, all);
        false
    }
}
