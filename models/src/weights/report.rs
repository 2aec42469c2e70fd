//! What loading did.

use std::fmt;

use serde::Serialize;

use super::origin::Origin;

/// What loading did, in the network's order of entries (`unexpected`: the file's).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Keys that got values from the file.
    pub loaded: Vec<String>,
    /// Position embeddings that got values from the file, resized to the network's images.
    pub resized: Vec<String>,
    /// Head keys that start anew because the file has another number of classes, or no head.
    pub new_head: Vec<String>,
    /// Keys that keep their random values because the file is of another part of the network.
    pub random: Vec<String>,
    /// Keys that the file does not have (batch counters, which older files lack, start at 0 and are not listed).
    pub missing: Vec<String>,
    /// Keys of the file that the network does not have (batch counters, which carry no weights, are not listed).
    pub unexpected: Vec<String>,
    /// Keys whose shape differs, with what was wanted and what was found.
    pub wrong_shape: Vec<WrongShape>,
    /// Where in the file the weights were.
    pub origin: Origin,
    /// Keys of the file that do not begin as the network's do there, those of a classifier's head where its body is taken, and
    /// what only pre-training needs.
    pub left_out: Vec<String>,
}

/// A key whose shape differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongShape {
    /// The key.
    pub key: String,
    /// The network's sizes.
    pub wanted: Vec<i64>,
    /// The file's sizes.
    pub found: Vec<i64>,
}

impl fmt::Display for WrongShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} instead of {:?}", self.key, self.found, self.wanted)
    }
}

impl LoadReport {
    /// Whether every entry outside the head got its values and nothing was left over.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.wrong_shape.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::default() {
            write!(f, "{}: ", self.origin)?;
        }
        write!(f, "{} loaded", self.loaded.len())?;
        list(f, "resized", &self.resized)?;
        list(f, "new head", &self.new_head)?;
        list(f, "random", &self.random)?;
        list(f, "missing", &self.missing)?;
        list(f, "unexpected", &self.unexpected)?;
        list(f, "wrong shape", &self.wrong_shape)?;
        list(f, "not taken", &self.left_out)
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, items: &[T]) -> fmt::Result {
    if items.is_empty() { Ok(()) } else { write!(f, "; {} {title}: {}", items.len(), shown(items)) }
}

/// The first few of a list.
fn shown<T: fmt::Display>(items: &[T]) -> String {
    const SHOWN: usize = 10;
    let first: Vec<String> = items.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = items.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", first.join(", "))
}
