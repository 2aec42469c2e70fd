//! Names of a job that `trainer train` takes: their own names, their values, and what they are drawn from.

use models::registry;
use schemas::plan::{Device, Recipe};
use schemas::setting::{Kind, nearest};
use schemas::{Precision, SETTINGS, SettingError, SettingSpec};
use serde_json::Value;

use super::NoteKind;
use super::data::Data;
use super::distribution::{self, name};
use super::error::Problem;
use super::fields::{Item, Log};
use super::tree::{self, Node};
use crate::space::Distribution;

/// Options of `trainer train` beside the settings that a job may give among them.
const OPTIONS: [&str; 7] = ["model_name", "seed", "checkpoint_run", "pretrained", "device", "precision", "recipe"];

/// Names that are no settings here, and what happens instead. Their values are not looked at.
const INSTEAD: &[(&str, &str)] = &[
    ("deterministic", "a run can always be repeated from its seed"),
    ("distributed", "a training runs in one process, on one device"),
    ("detailed_metrics", "every metric is always measured"),
    ("enable_onnx_normalization", "the exported file always contains its preprocessing"),
    ("export_as_image", "masks are answered as polygons; `trainer predict --save` draws them"),
    ("image_type", "masks are answered as polygons; `trainer predict --save` draws them"),
    ("stream_image_files", "images are read where they lie"),
    (
        "augmentations",
        "training has the specification's augmentations; apply_automl_train_augmentations switches them off",
    ),
    ("checkpoint_run_id", EARLIER),
    ("checkpoint_dataset_id", EARLIER),
    ("checkpoint_filename", EARLIER),
    ("checkpoint_model", EARLIER),
    ("node_count_per_trial", "a trial runs on this machine"),
    ("save_mlflow", "the best model is exported as an ONNX file"),
];

const EARLIER: &str = "training starts from published weights; name a run or checkpoint on this machine by --set training_parameters.checkpoint_run=PATH";

/// Words of the specification for "not given".
const UNSET: [&str; 3] = ["optimizer", "lr_scheduler", "model_size"];

/// What a name of a job means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    Setting(&'static SettingSpec),
    Option(&'static str),
    Instead(&'static str),
}

impl Meaning {
    /// The name under which `trainer train` takes it.
    pub fn own_name(&self) -> &'static str {
        match self {
            Self::Setting(spec) => spec.name,
            Self::Option(name) => name,
            Self::Instead(_) => "",
        }
    }
}

/// What a name means; the error names the nearest one.
pub(super) fn meaning(name: &str) -> Result<Meaning, Problem> {
    let wanted = name.trim().to_ascii_lowercase().replace('-', "_");
    if let Some(spec) = SettingSpec::find(&wanted) {
        return Ok(Meaning::Setting(spec));
    }
    let wanted = if wanted == "random_seed" { "seed" } else { wanted.as_str() };
    if let Some(option) = OPTIONS.iter().find(|option| **option == wanted) {
        return Ok(Meaning::Option(option));
    }
    if let Some((_, reason)) = INSTEAD.iter().find(|(known, _)| *known == wanted) {
        return Ok(Meaning::Instead(reason));
    }
    let settings = SETTINGS.iter().flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()));
    let all =
        settings.chain(OPTIONS).chain(["random_seed", "advanced_settings"]).chain(INSTEAD.iter().map(|(n, _)| *n));
    Err(Problem::Unknown { nearest: nearest(name, all).map(str::to_owned) })
}

/// Every name that [`meaning`] knows as a setting or an option, for suggestions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|spec| spec.name).chain(OPTIONS)
}

/// An item as it is, or the parts of `advanced_settings`, which are given as an object or as its text.
pub(super) fn parts(item: Item, log: &mut Log) -> Vec<Item> {
    if item.name != "advanced_settings" {
        return vec![item];
    }
    if item.tree.node == Node::Null {
        return Vec::new();
    }
    let mut item = item;
    if let Node::Text(text) = &item.tree.node {
        match tree::yaml(text) {
            Ok(tree) => item.tree = tree.moved(&item.place),
            Err((_, problem)) => {
                log.error(&item, problem);
                return Vec::new();
            }
        }
    }
    item.fields(log).map(|mut fields| fields.rest()).unwrap_or_default()
}

/// Own name and value of what is the same in every trial; `None` where there is nothing to set, with a note or an error.
pub(super) fn fixed(item: &Item, data: &Data, log: &mut Log) -> Option<(&'static str, Value)> {
    let meaning = meaning(&item.name).map_err(|problem| log.error(item, problem)).ok()?;
    if item.tree.node == Node::Null {
        return None;
    }
    let value = match meaning {
        Meaning::Setting(spec) => {
            let unset = UNSET.contains(&spec.name)
                && matches!(&item.tree.node, Node::Text(text) if text.trim().eq_ignore_ascii_case("none"));
            if unset {
                log.note(item, NoteKind::Instead, "none stands for the default");
                return None;
            }
            parse(spec, &item.name, &item.tree.json()).map_err(|error| log.error(item, error)).ok()?
        }
        Meaning::Option(name) => option(name, &item.tree.json(), &data.at(&item.tree.place))
            .map_err(|problem| log.error(item, problem))
            .ok()?,
        Meaning::Instead(reason) => {
            log.note(item, NoteKind::Instead, reason);
            return None;
        }
    };
    Some((meaning.own_name(), value))
}

/// Reads the value of a setting. Words may have capitals for underscores (`WarmupCosine`), as the specification turns them.
fn parse(spec: &SettingSpec, name: &str, value: &Value) -> Result<Value, Problem> {
    let error = match spec.kind.parse(name, value) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let words = match (spec.kind, value) {
        (Kind::Choice(_), Value::String(text)) => spec.kind.parse(name, &Value::from(snake(text))).ok(),
        _ => None,
    };
    words.ok_or_else(|| error.into())
}

/// `ImageClassification` and `image-classification` as `image_classification`.
pub(super) fn snake(text: &str) -> String {
    let mut snake = String::new();
    let mut lower = false;
    for c in text.trim().chars() {
        if c.is_ascii_uppercase() && lower {
            snake.push('_');
        }
        lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        snake.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    snake
}

/// Reads the value of an option into the form that a plan has it in.
fn option(name: &'static str, value: &Value, data: &Data) -> Result<Value, Problem> {
    let wrong = |expected: &str| {
        let (name, value, expected) = (name.to_owned(), value.clone(), expected.to_owned());
        Problem::from(SettingError::WrongType { name, value, expected })
    };
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
    match name {
        "model_name" => {
            let text = text.ok_or_else(|| wrong("the name of a model"))?;
            let plain = text.to_ascii_lowercase().replace('-', "_");
            // One that is not there keeps its spelling, for the message.
            Ok(if registry::find(&plain).is_some() { plain.into() } else { text.into() })
        }
        "seed" => {
            let whole = value.as_f64().filter(|seed| seed.fract() == 0.0 && (0.0..9e15).contains(seed));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and inside 0..2^53")]
            let seed = value.as_u64().or_else(|| text?.parse().ok()).or(whole.map(|seed| seed as u64));
            seed.map(Value::from).ok_or_else(|| wrong("a whole number from 0 to 18446744073709551615"))
        }
        "precision" => Ok(Kind::Choice(Precision::NAMES).parse(name, value)?),
        "recipe" => Ok(Kind::Choice(Recipe::NAMES).parse(name, value)?),
        "device" => {
            let device: Option<Device> = text.and_then(|text| text.parse().ok());
            device.map(|device| device.to_string().into()).ok_or_else(|| wrong("auto, cpu, cuda or cuda:N"))
        }
        "pretrained" if matches!(text, Some("auto" | "none")) => Ok(value.clone()),
        _ => Ok(data.file(text.ok_or_else(|| wrong("a path"))?).into()),
    }
}

/// Own name and distribution of what trials differ in.
pub(super) fn searched(item: &Item, data: &Data, log: &mut Log) -> Option<(&'static str, Distribution)> {
    let meaning = meaning(&item.name).map_err(|problem| log.error(item, problem)).ok()?;
    if item.tree.node == Node::Null {
        return None;
    }
    if let Meaning::Instead(reason) = meaning {
        log.note(item, NoteKind::Instead, reason);
        return None;
    }
    let distribution = distribution::read(item.clone(), log)?;
    let settled = match (meaning, distribution) {
        (Meaning::Setting(spec), distribution) => settle(spec, distribution, item, log)?,
        (Meaning::Option(name), Distribution::Choice(values)) => {
            let data = data.at(&item.tree.place);
            let read: Result<Vec<Value>, Problem> = values.iter().map(|value| option(name, value, &data)).collect();
            Distribution::Choice(read.map_err(|problem| log.error(item, problem)).ok()?)
        }
        (Meaning::Option("seed"), distribution @ Distribution::RandInt { .. }) => distribution,
        (Meaning::Option(_) | Meaning::Instead(_), distribution) => {
            log.error(item, Problem::Unfit { kind: "words", distribution: name(&distribution), instead: "choice" });
            return None;
        }
    };
    Some((meaning.own_name(), settled))
}

/// A distribution all of whose values a setting takes, as far as that can be known: each choice, and the ends of the others. Of
/// normal ones only the middle is asked for.
fn settle(spec: &SettingSpec, distribution: Distribution, item: &Item, log: &mut Log) -> Option<Distribution> {
    let unfit = |kind, instead| Problem::Unfit { kind, distribution: name(&distribution), instead };
    let numbers = match (&spec.kind, &distribution) {
        (_, Distribution::Choice(values)) => {
            let mut read = Vec::new();
            for value in values {
                match parse(spec, &item.name, value) {
                    Ok(value) => read.push(value),
                    Err(error) => log.error(item, error),
                }
            }
            return (read.len() == values.len()).then_some(Distribution::Choice(read));
        }
        (Kind::Int { .. }, distribution) => match step(distribution) {
            Some(step) if step.fract() == 0.0 => ends(distribution),
            Some(_) | None => {
                log.error(item, unfit("whole numbers", "choice, randint, or quniform, qnormal with a whole q"));
                return None;
            }
        },
        (Kind::Float { .. }, distribution) => ends(distribution),
        (Kind::Bool | Kind::Choice(_) | Kind::Grid | Kind::Key, _) => {
            log.error(item, unfit("words", "choice"));
            return None;
        }
    };
    let mut fine = true;
    for number in numbers {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        let value = match number {
            whole if whole.fract() == 0.0 && whole.abs() < 9e15 => Value::from(whole as i64),
            finite if finite.is_finite() => Value::from(finite),
            other => Value::from(other.to_string()),
        };
        if let Err(error) = spec.kind.parse(&item.name, &value) {
            let hint = if name(&distribution).contains("log") { " (its bounds are natural logarithms)" } else { "" };
            let at = if distribution.is_unbounded() { "in its middle" } else { "at an end" };
            log.error(item, Problem::Reaches { at, error: Box::new(error), hint });
            fine = false;
            break;
        }
    }
    if fine && distribution.is_unbounded() {
        let text = format!("a value outside its range {} becomes the nearest one inside", spec.kind.range());
        log.note(item, NoteKind::Remark, text);
    }
    fine.then_some(distribution)
}

/// What the values of a distribution are multiples of; `None` of those that are not rounded.
fn step(distribution: &Distribution) -> Option<f64> {
    match distribution {
        Distribution::RandInt { .. } => Some(1.0),
        Distribution::QUniform { step, .. }
        | Distribution::QLogUniform { step, .. }
        | Distribution::QNormal { step, .. }
        | Distribution::QLogNormal { step, .. } => Some(*step),
        Distribution::Choice(_)
        | Distribution::Uniform { .. }
        | Distribution::LogUniform { .. }
        | Distribution::Normal { .. }
        | Distribution::LogNormal { .. } => None,
    }
}

/// Least and greatest value of a distribution of numbers, or the middle of one that has none.
pub(super) fn ends(distribution: &Distribution) -> Vec<f64> {
    let rounded = |value: f64, step: f64| (value / step).round_ties_even() * step;
    match *distribution {
        Distribution::Choice(_) => Vec::new(),
        #[expect(clippy::cast_precision_loss, reason = "at most 2^31")]
        Distribution::RandInt { upper } => vec![0.0, upper.saturating_sub(1) as f64],
        Distribution::Uniform { low, high } => vec![low, high],
        Distribution::QUniform { low, high, step } => vec![rounded(low, step), rounded(high, step)],
        Distribution::LogUniform { low, high } => vec![low.exp(), high.exp()],
        Distribution::QLogUniform { low, high, step } => vec![rounded(low.exp(), step), rounded(high.exp(), step)],
        Distribution::Normal { mean, .. } => vec![mean],
        Distribution::QNormal { mean, step, .. } => vec![rounded(mean, step)],
        Distribution::LogNormal { mean, .. } => vec![mean.exp()],
        Distribution::QLogNormal { mean, step, .. } => vec![rounded(mean.exp(), step)],
    }
}
