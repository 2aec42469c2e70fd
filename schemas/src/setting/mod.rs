//! Settings (hyperparameters) of a run: what there is, what it may be, what it is by default, and what goes together.

mod elsewhere;
mod error;
mod kind;
mod model;
mod nearest;
mod schema;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod validate;

use serde_json::Value;

use crate::Task;

pub use error::SettingError;
pub use kind::{GradClip, Kind, LrScheduler, MetricType, ModelSize, Optimizer, RowKey, TileGrid};
pub(crate) use kind::{choice, normal, number};
pub use model::{Foreign, ModelSettings};
pub use nearest::nearest;
pub(crate) use schema::SourcedSettings;
pub use source::{Source, Sources};
pub use table::{SETTINGS, Settings};

/// What is known about one setting besides its value.
#[derive(Debug)]
pub struct SettingSpec {
    /// The name in files and on command lines.
    pub name: &'static str,
    /// Other names that are accepted: the specification's newer spelling.
    pub aliases: &'static [&'static str],
    /// What it holds, with limits.
    pub kind: Kind,
    /// Meaning, for people.
    pub help: &'static str,
    /// Tasks it means something to.
    pub tasks: &'static [Task],
}

impl SettingSpec {
    /// The setting with this name or alias. Case and the choice between dash and underscore do not matter.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let wanted = normal(name);
        SETTINGS.iter().find(|spec| spec.name == wanted || spec.aliases.contains(&wanted.as_str()))
    }
}

impl Settings {
    /// Sets one setting from JSON or from text in JSON (a command-line value is `Value::String`). `name` may be an alias.
    /// `advanced_settings`, a JSON object or the text of one, sets each of its parts. A name of the specification whose
    /// answer is fixed in Fovea is accepted, without effect, when the value agrees with that answer.
    ///
    /// ```
    /// use schemas::Settings;
    ///
    /// let mut settings = Settings::default();
    /// settings.set("gradient_accumulation_step", &"2".into())?; // an alias, and the text of a number
    /// assert_eq!(settings.grad_accumulation_step, 2);
    /// let error = settings.set("learning_rat", &1.into()).unwrap_err();
    /// assert_eq!(error.to_string(), "unknown setting `learning_rat`; did you mean `learning_rate`?");
    /// # Ok::<(), schemas::SettingError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown name, a setting of another task, or a value of a wrong kind or outside the range.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), SettingError> {
        for (part, value) in parts(name, value)? {
            let Some(spec) = SettingSpec::find(&part) else {
                match elsewhere::judge(&normal(&part), &part, &value) {
                    Some(verdict) => verdict?,
                    None => return Err(SettingError::Unknown { nearest: nearest_setting(&part), name: part }),
                }
                continue;
            };
            self.store(spec.name, spec.kind.parse(&part, &value)?)?;
        }
        Ok(())
    }
}

/// Splits `advanced_settings` into its parts; every other setting is its own only part.
///
/// # Errors
/// [`SettingError::WrongType`] when `advanced_settings` is not a JSON object or the text of one.
pub(crate) fn parts(name: &str, value: &Value) -> Result<Vec<(String, Value)>, SettingError> {
    if normal(name) != "advanced_settings" {
        return Ok(vec![(name.to_owned(), value.clone())]);
    }
    let object = match value {
        Value::Object(map) => Some(map.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    object.map(|map| map.into_iter().collect()).ok_or_else(|| SettingError::WrongType {
        name: name.to_owned(),
        value: value.clone(),
        expected: r#"a JSON object such as {"apply_automl_train_augmentations": true}"#.to_owned(),
    })
}

fn nearest_setting(name: &str) -> Option<String> {
    let own = SETTINGS.iter().flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()));
    nearest(name, own.chain(crate::plan::FIELDS.iter().copied()).chain(elsewhere::names())).map(str::to_owned)
}
