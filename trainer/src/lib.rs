//! Trains, evaluates and applies vision models on libtorch.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod failure;
pub mod log;
pub mod nn;
pub mod predict;
pub mod progress;
pub mod tasks;
pub mod train;
