//! Classification: one class per image, or any number.

pub mod evaluate;
pub mod head;
pub mod mix;
pub mod recorded;
pub mod report;
mod task;

pub use task::{Classify, MultiLabel, Regularization, class_weights, of, positive_weights};
