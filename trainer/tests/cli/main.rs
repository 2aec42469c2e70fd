//! The `trainer` binary, run as a user runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod check;
mod commands;
mod convert_coco;
mod detect;
mod diverged;
mod embed;
mod explain;
mod folds;
mod hostile;
mod multilabel;
mod ownership;
mod ownership_random;
mod pictures;
mod quiet;
mod recipe;
mod resume;
mod runs;
mod start;
mod streams;
mod support;
mod suspects;
mod sweep;
mod trace;
mod wrong_calls;
