//! The tasks: what each is taught by, measured by and reported with.

pub mod classify;
pub mod detect;
mod losses;
pub mod outcome;
mod pixels;
pub mod recorded;
pub mod report;
pub mod suspects;
mod task;

use models::registry::{Kind, ModelSpec};
use schemas::Plan;
use tch::Device;

use dataset::Dataset;

pub use losses::Losses;
pub use outcome::{Intervals, Metrics, Outcome};
pub use task::{Evaluation, Measured, Step, Task, aim};

/// The task of a plan, for training `spec`, whose tasks the plan's is one of.
#[must_use]
pub fn of(spec: &ModelSpec, plan: &Plan, data: &Dataset, device: Device) -> Box<dyn Task> {
    match spec.kind {
        Kind::Classifier(_) => classify::of(plan, data, device),
        Kind::Detector(detector) => Box::new(detect::Detect::new(detector, &plan.settings)),
    }
}
