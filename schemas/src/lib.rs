//! What the parts of Fovea agree on, as serde types. No IO, no tensors.

pub mod checkpoint;
pub mod dataset;
mod document;
pub mod error;
pub mod event;
mod finite;
pub mod plan;
pub mod prediction;
pub mod preprocessing;
pub mod setting;
pub mod task;

pub use checkpoint::{CheckpointMeta, WeightsOrigin};
pub use document::{Document, documents};
pub use error::{Coded, ErrorBody, ErrorCode};
pub use plan::{Plan, PlanRequest, Precision};
pub use preprocessing::{Fit, Interpolation, Preprocessing, STRIDE};
pub use setting::{SETTINGS, SettingError, SettingSpec, Settings, Source, Sources};
pub use task::{Labels, Task};

/// Version of everything this crate describes; written into every file, raised when an old reader would misread a new file.
pub const SCHEMA_VERSION: u32 = 1;
