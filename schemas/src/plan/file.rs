//! The plan as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::resolved::Plan;
use super::start::{Precision, Recipe, UnknownDevice};
use crate::setting::{FIELDS, SourcedSettings};
use crate::{SCHEMA_VERSION, SettingError, Settings, Source, Sources, Task};

/// Every decision of a run, each with where it came from.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan")]
struct PlanFile {
    /// Version of the schema the file follows.
    schema_version: u32,
    /// What the model answers.
    task: Task,
    /// Name in the model registry.
    model_name: String,
    /// JSONL file or MLTable folder.
    training_data: String,
    /// JSONL file or MLTable folder; null when it is split off the training data.
    validation_data: Option<String>,
    /// Folder that remote references in the data are below.
    data_root: Option<String>,
    /// `auto`, `none`, or a file of weights.
    pretrained: String,
    /// Run folder or checkpoint whose model training starts from, in place of `pretrained`.
    #[serde(default)]
    checkpoint_run: Option<String>,
    /// Where settings that nobody chose come from; older plans took the specification's.
    #[serde(default = "specification")]
    recipe: Recipe,
    /// `auto`, `cpu` or `cuda:N`.
    #[schemars(regex(pattern = r"^(auto|cpu|cuda:[0-9]{1,3})$"))]
    device: String,
    /// Arithmetic of the forward and backward pass.
    precision: Precision,
    /// Seed of everything random.
    seed: u64,
    /// Where the fields above came from.
    sources: Sources,
    /// Every setting with its value and where that came from.
    #[schemars(with = "SourcedSettings")]
    settings: Map<String, Value>,
}

fn specification() -> Recipe {
    Recipe::Specification
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sourced {
    value: Value,
    source: Source,
}

/// Why a plan file cannot be read.
#[derive(Debug, thiserror::Error)]
enum PlanFileError {
    #[error("schema_version is {0}, and this build reads up to {SCHEMA_VERSION}; use the release that wrote the file")]
    TooNew(u32),
    #[error("settings.{0}: {1}")]
    Shape(String, serde_json::Error),
    #[error("settings: {0}")]
    Setting(#[from] SettingError),
    #[error("device: {0}")]
    Device(#[from] UnknownDevice),
}

impl TryFrom<PlanFile> for Plan {
    type Error = PlanFileError;

    fn try_from(file: PlanFile) -> Result<Self, PlanFileError> {
        if file.schema_version > SCHEMA_VERSION {
            return Err(PlanFileError::TooNew(file.schema_version));
        }
        // A setting that an older version did not know has its general default: what that version did.
        let mut settings = Settings::default();
        let mut sources = file.sources;
        for (name, entry) in file.settings {
            let entry: Sourced =
                serde_json::from_value(entry).map_err(|error| PlanFileError::Shape(name.clone(), error))?;
            settings.set(&name, &entry.value)?;
            sources.insert(name, entry.source);
        }
        Ok(Self {
            schema_version: file.schema_version,
            task: file.task,
            model_name: file.model_name,
            training_data: file.training_data,
            validation_data: file.validation_data,
            data_root: file.data_root,
            pretrained: file.pretrained.parse().unwrap_or_default(),
            checkpoint_run: file.checkpoint_run,
            recipe: file.recipe,
            device: file.device.parse()?,
            precision: file.precision,
            seed: file.seed,
            settings,
            sources,
        })
    }
}

impl From<Plan> for PlanFile {
    fn from(plan: Plan) -> Self {
        let sourced = |(name, value): (String, Value)| {
            let entry = json!({ "value": value, "source": plan.source(&name) });
            (name, entry)
        };
        let settings = plan.settings.to_map().into_iter().map(sourced).collect();
        let sources = FIELDS.iter().map(|name| ((*name).to_owned(), plan.source(name))).collect();
        Self {
            schema_version: plan.schema_version,
            task: plan.task,
            model_name: plan.model_name,
            training_data: plan.training_data,
            validation_data: plan.validation_data,
            data_root: plan.data_root,
            pretrained: plan.pretrained.to_string(),
            checkpoint_run: plan.checkpoint_run,
            recipe: plan.recipe,
            device: plan.device.to_string(),
            precision: plan.precision,
            seed: plan.seed,
            sources,
            settings,
        }
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PlanFile::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(PlanFile::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Plan {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Plan")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PlanFile::json_schema(generator)
    }
}
