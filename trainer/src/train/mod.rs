//! Training: the loop, its optimizer and schedule, the run folder, and what a run begins and ends with.

pub mod early_stopping;
pub mod engine;
pub mod finish;
pub mod optimizer;
pub mod parts;
pub mod recorder;
pub mod run_folder;
pub mod schedule;
pub mod start;
