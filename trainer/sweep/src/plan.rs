//! What a study was asked to do.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sampler::Sampling;
use crate::space::Space;
use crate::termination::Termination;

/// Everything that was decided before a study started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyPlan {
    /// Options of `trainer train` that every trial has, by the specification's names: task, training_data, settings.
    pub fixed: IndexMap<String, Value>,
    /// What is searched; `None` where the study chooses it (AutoMode).
    pub space: Option<Space>,
    /// How points are chosen.
    pub sampling: Sampling,
    /// Which trials are ended early.
    pub termination: Termination,
    /// How much is tried.
    pub limits: Limits,
    /// Seed of the sampler. (That of the trainings is one of the fixed options.)
    pub seed: u64,
    /// Labelled images that the best model's file is measured on at the end.
    pub test_data: Option<String>,
    /// What a job file says beside, kept as it is: compute, experiment_name, tags.
    #[serde(default)]
    pub labels: IndexMap<String, Value>,
}

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Trials, 1 to 1000.
    pub trials: u64,
    /// Trials at the same time, 1 to 100.
    pub at_once: u64,
    /// Minutes for all of them; none is no limit.
    pub minutes: Option<f64>,
    /// Minutes for a trial; none is no limit.
    pub trial_minutes: Option<f64>,
}
