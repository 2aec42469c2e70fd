//! The contract between the parts of Fovea, and with the outside: every type that crosses a process, a file or a socket, as serde
//! types. No IO, no tensors. The published JSON Schemas (`json/`) are made from these types.
//!
//! Unknown keys: in requests of other systems' protocols they are ignored, in our own files and settings they are errors; see
//! [`prediction`].

pub mod check;
pub mod checkpoint;
pub mod dataset;
mod document;
pub mod error;
pub mod event;
mod finite;
mod form;
pub mod plan;
pub mod prediction;
pub mod preprocessing;
pub mod registered;
pub mod setting;
pub mod task;
mod version;

pub use checkpoint::{CheckpointMeta, WeightsOrigin};
pub use document::{Document, documents};
pub use error::{Coded, ErrorBody, ErrorCode};
pub use form::{Form, UnknownForm};
pub use plan::{Plan, PlanRequest, Precision};
pub use preprocessing::{Fit, Interpolation, Preprocessing, STRIDE};
pub use registered::RegisteredModel;
pub use setting::{SETTINGS, SettingError, SettingSpec, Settings, Source, Sources};
pub use task::{Labels, Task};
pub use version::SCHEMA_VERSION;
