//! Resolution of a request into a plan: layers, precedence, defaults, every error at once.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::field;
use super::resolved::Plan;
use super::start::{Precision, Recipe};
use crate::setting::{FIELDS, ModelSettings, SettingSpec, parts};
use crate::{SCHEMA_VERSION, SETTINGS, SettingError, Settings, Source, Sources, Task};

/// What files, the command line and the caller's own defaults ask for, in any order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PlanRequest {
    entries: Vec<(String, Value, Source)>,
}

impl PlanRequest {
    /// A request for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a value of a field of [`FIELDS`] or of a setting, under any of its names. Text is understood wherever a
    /// number or bool is. Errors come out of [`Plan::resolve`].
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>, source: Source) -> &mut Self {
        self.entries.push((name.into(), value.into(), source));
        self
    }

    /// The same, in place of whatever was asked for this name, or an alias of it.
    pub fn replace(&mut self, name: &'static str, value: impl Into<Value>, source: Source) -> &mut Self {
        self.entries
            .retain(|(known, _, _)| known != name && SettingSpec::find(known).is_none_or(|spec| spec.name != name));
        self.set(name, value, source)
    }
}

/// The value that wins for one name, with the spelling it was given under.
struct Winner {
    spelling: String,
    value: Value,
    source: Source,
}

/// Winners by the name of the field or setting.
#[derive(Default)]
struct Winners {
    by_name: BTreeMap<&'static str, Winner>,
    seen: BTreeMap<(&'static str, Source), String>,
}

impl Winners {
    fn offer(&mut self, name: &'static str, offer: Winner) -> Result<(), SettingError> {
        if let Some(first) = self.seen.insert((name, offer.source), offer.spelling.clone()) {
            return Err(SettingError::Duplicate {
                name: name.to_owned(),
                place: offer.source.as_str().to_owned(),
                first,
                second: offer.spelling,
            });
        }
        if self.by_name.get(name).is_none_or(|winner| winner.source < offer.source) {
            self.by_name.insert(name, offer);
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Value {
        self.by_name.get(name).map_or(Value::Null, |winner| winner.value.clone())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name).as_str().map(str::to_owned)
    }
}

impl Plan {
    /// Resolves a request: the command line wins over files, files over the model's defaults, those over general ones. `models`
    /// says what settings mean to a model, by its name, in a task.
    ///
    /// # Errors
    /// Everything that is wrong with the request, in the order in which it was asked, contradictions last.
    pub fn resolve(
        request: PlanRequest,
        models: impl Fn(Task, &str) -> ModelSettings,
    ) -> Result<Self, Vec<SettingError>> {
        let mut errors = Vec::new();
        let winners = collect(request, &mut errors);
        for (name, hint) in [
            ("task", "give one of the four tasks, such as image-classification"),
            ("model_name", "give the name of a model; `trainer models` lists them"),
            ("training_data", "give a JSONL file or an MLTable folder"),
        ] {
            // A value that was given and refused has its own error.
            let refused = errors.iter().any(|error| is_about(error, name));
            if winners.text(name).is_none() && !refused {
                errors.push(SettingError::Missing { name: name.to_owned(), hint: hint.to_owned() });
            }
        }
        let task = winners.text("task").and_then(|text| text.parse().ok());
        let model_name = winners.text("model_name").unwrap_or_default();
        // Without a task, the other settings are still checked, as far as they do not depend on it.
        let assumed = task.unwrap_or(Task::ALL[0]);
        let model = models(assumed, &model_name);
        let (settings, sources) = settings(&model, &winners, &mut errors);
        errors.extend(settings.validate(assumed, (&model_name, &model), &sources));
        let validation_data = winners.text("validation_data");
        if let Some(path) = validation_data.as_ref().filter(|_| explicit(&sources, "split_ratio")) {
            errors.push(SettingError::Contradiction {
                first: format!("split_ratio {}", settings.split_ratio),
                second: format!("validation_data {path}"),
                advice: "nothing is split off when validation data is given; remove one".to_owned(),
                idle: true,
            });
        }
        if let Some(path) = validation_data.as_ref().filter(|_| settings.folds > 0) {
            errors.push(SettingError::Contradiction {
                first: format!("folds {}", settings.folds),
                second: format!("validation_data {path}"),
                advice: "each part of the training data validates once; remove one".to_owned(),
                idle: false,
            });
        }
        let checkpoint_run = winners.text("checkpoint_run");
        if let Some(run) = checkpoint_run.as_ref().filter(|_| explicit(&sources, "pretrained")) {
            errors.push(SettingError::Contradiction {
                first: format!("pretrained {}", winners.text("pretrained").unwrap_or_default()),
                second: format!("checkpoint_run {run}"),
                advice: "training starts from one model; remove one".to_owned(),
                idle: false,
            });
        }
        let (Some(task), Some(training_data), true) = (task, winners.text("training_data"), errors.is_empty()) else {
            return Err(errors);
        };
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            task,
            model_name,
            training_data,
            validation_data,
            data_root: winners.text("data_root"),
            pretrained: winners.text("pretrained").and_then(|text| text.parse().ok()).unwrap_or_default(),
            checkpoint_run,
            recipe: serde_json::from_value(winners.value("recipe")).unwrap_or(Recipe::Specification),
            device: winners.text("device").and_then(|text| text.parse().ok()).unwrap_or_default(),
            precision: serde_json::from_value(winners.value("precision")).unwrap_or(Precision::Auto),
            seed: winners.value("seed").as_u64().unwrap_or(0),
            settings,
            sources,
        })
    }
}

/// Reads every entry, reports what cannot be read, and keeps the winner of each name.
fn collect(request: PlanRequest, errors: &mut Vec<SettingError>) -> Winners {
    let mut winners = Winners::default();
    for (name, value, source) in request.entries {
        let parts = match parts(&name, &value) {
            Ok(parts) => parts,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for (spelling, value) in parts {
            if let Err(error) = read(spelling, &value, source, &mut winners) {
                errors.push(error);
            }
        }
    }
    winners
}

fn read(spelling: String, value: &Value, source: Source, winners: &mut Winners) -> Result<(), SettingError> {
    if let Some(name) = field::find(&spelling) {
        let value = field::parse(name, &spelling, value)?;
        return if value.is_null() { Ok(()) } else { winners.offer(name, Winner { spelling, value, source }) };
    }
    if let Some(spec) = SettingSpec::find(&spelling) {
        let value = spec.kind.parse(&spelling, value)?;
        return winners.offer(spec.name, Winner { spelling, value, source });
    }
    // Neither a field nor a setting: `Settings::set` knows what to say, and stores nothing.
    Settings::default().set(&spelling, value)
}

fn settings(model: &ModelSettings, winners: &Winners, errors: &mut Vec<SettingError>) -> (Settings, Sources) {
    let general = Settings::default();
    let mut settings = model.defaults.clone();
    let mut sources = Sources::new();
    let names: BTreeSet<&str> = FIELDS.iter().copied().chain(SETTINGS.iter().map(|spec| spec.name)).collect();
    for name in names {
        let own = general.get(name) != settings.get(name);
        let source = match winners.by_name.get(name) {
            Some(winner) => {
                if SettingSpec::find(name).is_some()
                    && let Err(error) = settings.set(name, &winner.value)
                {
                    errors.push(error);
                }
                winner.source
            }
            None if own => Source::Model,
            None => Source::Default,
        };
        sources.insert(name.to_owned(), source);
    }
    settings.fit_defaults(model, &sources);
    (settings, sources)
}

fn explicit(sources: &Sources, name: &str) -> bool {
    sources.get(name).is_some_and(|source| source.is_explicit())
}

/// True when `error` refuses a value of the field called `name`.
fn is_about(error: &SettingError, name: &str) -> bool {
    match error {
        SettingError::WrongType { name: given, .. } | SettingError::OutOfRange { name: given, .. } => {
            field::find(given) == Some(name)
        }
        SettingError::Unknown { .. }
        | SettingError::OtherTask { .. }
        | SettingError::NotOffered { .. }
        | SettingError::Duplicate { .. }
        | SettingError::Missing { .. }
        | SettingError::Contradiction { .. } => false,
    }
}
