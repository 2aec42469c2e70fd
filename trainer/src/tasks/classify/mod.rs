//! Classification: one class per image, or any number.

pub mod evaluate;
pub mod mix;
pub mod recorded;
pub mod report;
mod task;

pub use task::{Classify, MultiLabel, Softening, class_weights, of, positive_weights};
