//! The plan of a run: everything that was decided before it started. `plan.json` in the run folder is one.

mod field;
mod file;
mod resolve;
mod resolved;
mod start;

pub use crate::setting::FIELDS;
pub use resolve::PlanRequest;
pub use resolved::{Difference, Plan};
pub use start::{Device, Precision, Pretrained, Recipe, UnknownDevice};
