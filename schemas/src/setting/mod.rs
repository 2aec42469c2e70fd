//! Settings (hyperparameters) of a run: what there is, what it may be, what it is by default, and what goes together.

mod elsewhere;
mod error;
mod fields;
mod kind;
mod model;
mod nearest;
mod schema;
mod set;
mod source;
mod spec;
mod table;
#[cfg(test)]
mod tests;
mod validate;

pub use error::SettingError;
pub use fields::FIELDS;
pub use kind::{BestEpochBy, GradClip, Kind, LrScheduler, MetricType, ModelSize, Optimizer, RowKey, TileGrid};
pub(crate) use kind::{choice, normal, number};
pub use model::{Foreign, ModelSettings};
pub use nearest::nearest;
pub(crate) use schema::SourcedSettings;
pub(crate) use set::parts;
pub use source::{Source, Sources};
pub use spec::SettingSpec;
pub use table::{SETTINGS, Settings};
