//! The commands, each from its options to its answer.

pub mod args;
pub mod check;
pub mod convert;
pub mod embed;
pub mod evaluate;
pub mod models;
pub mod predict;
pub mod telemetry;
pub mod train;

use serde_json::Value;

/// What a command did: the text for people, and the same as one JSON object.
pub struct Answer {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// Exit code: 0, 75 when interrupted and resumable, or 3 when a check found errors.
    pub exit: u8,
}

impl Answer {
    /// A command that did what it was asked.
    #[must_use]
    pub fn done(text: String, json: Value) -> Self {
        Self { text, json, exit: 0 }
    }
}
