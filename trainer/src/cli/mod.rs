//! The commands, each from its options to its answer.

pub mod args;
pub mod check;
pub mod convert;
pub mod embed;
pub mod evaluate;
mod marked;
pub mod models;
pub mod predict;
pub mod register;
pub mod runs;
pub mod suspects;
pub mod sweep;
pub mod telemetry;
pub mod train;

use serde_json::Value;

/// What a command did: the text for people, and the same as one JSON object.
pub struct Answer {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// Exit code: 0, 1 when a part could not be done and the rest was, 3 when a check found errors, or 75 when interrupted and
    /// resumable.
    pub exit: u8,
}

impl Answer {
    /// A command that did what it was asked.
    #[must_use]
    pub fn done(text: String, json: Value) -> Self {
        Self { text, json, exit: 0 }
    }

    /// The same, where some of it could not be done.
    #[must_use]
    pub fn done_but(self, failed: usize) -> Self {
        Self { exit: u8::from(failed > 0), ..self }
    }
}
