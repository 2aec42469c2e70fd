//! Predictions of a trained model, whatever runs it: answers, measurements, explanations.

pub mod explain;
pub mod trained;
