//! The `trainer` binary, run as a user runs it.

mod commands;
mod hostile;
mod pictures;
mod resume;
mod support;
