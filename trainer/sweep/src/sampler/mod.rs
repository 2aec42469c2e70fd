//! What is tried next. A sampler is a pure function of its own settings, the number of the trial and what was tried before.

mod bayesian;
mod grid;
mod independent;

use serde::{Deserialize, Serialize};

use crate::space::{Point, Space, SpaceError};

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
    ///
    /// Random points depend on `seed` and `number` alone, those of a grid on `number` alone. A grid ends after its last combination.
    /// Bayesian sampling also depends on what was tried; it ends where a space has a list of all its points and all are in `tried`. What
    /// was tried may come from elsewhere: points that the space does not have are passed over.
    ///
    /// The space has to be without [errors](Self::errors); of another one there may be no points, or points of null.
    #[must_use]
    pub fn point(&self, space: &Space, seed: u64, number: u64, tried: &[Tried]) -> Option<Point> {
        match *self {
            Self::Random { sobol: false } => independent::random(space, seed, number),
            Self::Random { sobol: true } => independent::sobol(space, seed, number),
            Self::Grid => grid::point(space, number),
            Self::Bayesian => bayesian::point(space, seed, number, tried),
        }
    }

    /// What is wrong with the space, and what of it cannot be sampled in this way.
    #[must_use]
    pub fn errors(&self, space: &Space) -> Vec<SpaceError> {
        let errors = space.errors();
        match self {
            Self::Grid if errors.is_empty() => grid::errors(space),
            Self::Grid | Self::Random { .. } | Self::Bayesian => errors,
        }
    }

    /// How many points there are to be tried; `None` where there is no end.
    #[must_use]
    pub fn size(&self, space: &Space) -> Option<u64> {
        match self {
            Self::Random { .. } => None,
            Self::Grid => Some(grid::size(space)),
            Self::Bayesian => grid::finite(space).then(|| grid::size(space)),
        }
    }
}
