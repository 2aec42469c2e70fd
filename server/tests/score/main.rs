//! `server score`: the program from outside.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod answers;
mod end;
mod input;
mod refusals;
mod rows;
mod support;
