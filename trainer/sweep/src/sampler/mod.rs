//! What is tried next. A sampler is a pure function of its own settings, the number of the trial and what was tried before.

mod draw;
mod grid;
mod random;
mod tpe;

use serde::{Deserialize, Serialize};

use crate::space::{Point, Space};

/// How points are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "algorithm", deny_unknown_fields)]
pub enum Sampling {
    /// Independently of each other, each from its distribution.
    Random {
        /// Whether points are of an Owen-scrambled Sobol sequence, which fills the space more evenly.
        #[serde(default)]
        sobol: bool,
    },
    /// Every combination of choices once.
    Grid,
    /// Where what was tried so far says that better ones may be.
    Bayesian,
}

/// An earlier trial, as a sampler sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Its number, from 0.
    pub number: u64,
    /// What it tries.
    pub point: Point,
    /// What came of it.
    pub result: TrialResult,
}

/// What came of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrialResult {
    /// It is still running.
    Running,
    /// The best value of the primary metric, whether it ran to its end or was ended early. Larger is better. May be NaN.
    Value(f64),
    /// It ended without one.
    Failed,
}

impl Sampling {
    /// The point of trial `number`, by what was tried before in any order; `None` where there is nothing left to try.
    #[must_use]
    pub fn point(&self, space: &Space, seed: u64, number: u64, tried: &[Tried]) -> Option<Point> {
        if space.branches.is_empty() {
            return None;
        }
        match self {
            Self::Random { sobol: false } => Some(random::random(space, seed, number)),
            Self::Random { sobol: true } => Some(random::sobol(space, seed, number)),
            Self::Grid => grid::point(space, number),
            Self::Bayesian => Some(tpe::point(space, seed, number, tried)),
        }
    }
}
