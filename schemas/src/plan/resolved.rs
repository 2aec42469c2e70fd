//! A plan, with every value decided.

use serde_json::{Map, Value};

use super::start::{Device, Precision, Pretrained, Recipe};
use crate::{SettingError, Settings, Source, Sources, Task};

/// A resolved plan. In JSON each setting stands beside where it came from, and `sources` covers the other fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// [`crate::SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// What the model answers.
    pub task: Task,
    /// Name in the model registry; not checked here.
    pub model_name: String,
    /// JSONL file or MLTable folder, as given.
    pub training_data: String,
    /// JSONL file or MLTable folder, as given; absent when it is split off the training data.
    pub validation_data: Option<String>,
    /// Folder that `azureml://.../paths/` and `AmlDatastore://` references are below.
    pub data_root: Option<String>,
    /// Weights that training starts from.
    pub pretrained: Pretrained,
    /// Run folder or checkpoint whose model training starts from, in place of `pretrained`.
    pub checkpoint_run: Option<String>,
    /// Where settings that nobody chose come from.
    pub recipe: Recipe,
    /// Where it computes.
    pub device: Device,
    /// Arithmetic.
    pub precision: Precision,
    /// Seed of everything random.
    pub seed: u64,
    /// Every setting.
    pub settings: Settings,
    /// Where each field and setting came from, by name; absent means [`Source::Default`].
    pub sources: Sources,
}

/// A value that two plans do not share.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Field or setting.
    pub name: String,
    /// Value in the plan that was asked.
    pub this: Value,
    /// Value in the plan it was compared with.
    pub other: Value,
}

impl Plan {
    /// Where the field or setting called `name` came from.
    #[must_use]
    pub fn source(&self, name: &str) -> Source {
        self.sources.get(name).copied().unwrap_or(Source::Default)
    }

    /// Takes a value for a setting from its recipe, where nobody chose one. Whether it was taken.
    ///
    /// # Errors
    /// When there is no such setting, or it has no such value.
    pub fn take(&mut self, name: &str, value: &Value) -> Result<bool, SettingError> {
        if self.source(name).is_explicit() {
            return Ok(false);
        }
        self.settings.set(name, value)?;
        self.sources.insert(name.to_owned(), Source::Recipe);
        Ok(true)
    }

    /// Every field and setting by name, without sources: fields first, both in the order to show them.
    #[must_use]
    pub fn values(&self) -> Map<String, Value> {
        let mut map = self.fields();
        map.extend(self.settings.to_map());
        map
    }

    /// What differs in value from `other`, whatever the sources are. Two plans without a difference describe the same run.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let (mine, theirs) = (self.values(), other.values());
        let pairs = mine.into_iter().map(|(name, this)| {
            let other = theirs.get(&name).cloned().unwrap_or(Value::Null);
            Difference { name, this, other }
        });
        pairs.filter(|pair| pair.this != pair.other).collect()
    }

    fn fields(&self) -> Map<String, Value> {
        let values = [
            ("task", Value::from(self.task.as_str())),
            ("model_name", Value::from(self.model_name.as_str())),
            ("training_data", Value::from(self.training_data.as_str())),
            ("validation_data", Value::from(self.validation_data.as_deref())),
            ("data_root", Value::from(self.data_root.as_deref())),
            ("pretrained", Value::from(self.pretrained.to_string())),
            ("checkpoint_run", Value::from(self.checkpoint_run.as_deref())),
            ("recipe", Value::from(self.recipe)),
            ("device", Value::from(self.device.to_string())),
            ("precision", Value::from(self.precision)),
            ("seed", Value::from(self.seed)),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
