//! What a run leaves beside an output that is not complete: what made it, and how far it is.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ScoreError;

/// The form of this file.
const VERSION: u32 = 1;

/// How far an output is. Always at the end of a batch, so that the next one holds the same images in an undisturbed run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reached {
    /// Images that are written.
    pub images: u64,
    /// Those of them that have an error in place of an answer.
    pub failed: u64,
    /// Bytes of the output.
    pub output_bytes: u64,
    /// Bytes of the list of errors, which only rows have.
    pub error_bytes: u64,
    /// Whether that is all, so that the files only want their names.
    pub complete: bool,
}

/// Everything that an output follows from, by name.
pub(super) type MadeFrom = BTreeMap<String, Value>;

/// The contents of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// What the output is made from.
    pub made_from: MadeFrom,
    /// How far it is.
    pub reached: Reached,
}

impl State {
    /// A run that begins.
    pub(super) fn new(made_from: MadeFrom) -> Self {
        Self { version: VERSION, made_from, reached: Reached::default() }
    }

    /// Reads what a run left; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or no run wrote it.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, ScoreError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ScoreError::io("read", path)(error)),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(state) if state.version == VERSION => Ok(Some(state)),
            Ok(_) | Err(_) => Err(ScoreError::in_the_way(
                path,
                "is no state of a run that can be read; choose another output, or move it away",
            )),
        }
    }

    /// Replaces the file. What was there before stays if that fails.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn write(&self, path: &Path) -> Result<(), ScoreError> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| ScoreError::io("write", path)(error.into()))?;
        files::write_atomic(path, &text).map_err(ScoreError::io("write", path))
    }

    /// Whether a run from `now` makes the same output.
    ///
    /// # Errors
    /// Each thing that differs.
    pub(super) fn check(&self, path: &Path, now: &MadeFrom) -> Result<(), ScoreError> {
        let names = self.made_from.keys().chain(now.keys().filter(|name| !self.made_from.contains_key(*name)));
        let shown = |made: &MadeFrom, name: &str| match made.get(name) {
            None | Some(Value::Null) => "not given".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let differences: Vec<String> = names
            .map(|name| (name, shown(&self.made_from, name), shown(now, name)))
            .filter(|(_, then, now)| then != now)
            .map(|(name, then, now)| format!("{name} was {then} and is {now}"))
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(ScoreError::Differs { path: PathBuf::from(path), differences })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(values: &[(&str, Value)]) -> MadeFrom {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn what_differs_is_named() {
        let then = State::new(made(&[("model", json!("ab")), ("--top-k", json!(null)), ("--memory", json!(64))]));
        assert!(then.check(Path::new("x"), &then.made_from).is_ok());
        let now = made(&[("model", json!("cd")), ("--top-k", json!(3)), ("--memory", json!(64)), ("new", json!(1))]);
        let text = then.check(Path::new("x"), &now).unwrap_err().to_string();
        for said in ["--top-k was not given and is 3", "model was ab and is cd", "new was not given and is 1"] {
            assert!(text.contains(said), "{text}");
        }
        assert!(!text.contains("--memory"), "{text}");
    }
}
