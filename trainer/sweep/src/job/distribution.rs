//! What a parameter is drawn from, in each spelling: a mapping with `type`, a word with parentheses, a list of choices, a constant.

use schemas::setting::nearest;
use serde_json::Value;

use super::call;
use super::error::Problem;
use super::fields::{Fields, Item, Log};
use super::tree::{Entry, Node};
use crate::space::Distribution;

/// A distribution that cannot be read, or not be drawn from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DistributionError {
    /// No distribution has this name.
    #[error("`{name}` is no distribution{}", nearest.map_or_else(list, |name| format!("; did you mean `{name}`?")))]
    Unknown {
        /// As given.
        name: String,
        /// The name that is most like it.
        nearest: Option<&'static str>,
    },
    /// Not of the form `name(value, value)`.
    #[error("{text:?} cannot be read: {reason}; write it like uniform(0.001, 0.1) or choice('sgd', 'adam')")]
    Unreadable {
        /// As given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Too few arguments, or too many.
    #[error("{name} takes {} values ({}), not {given}", arguments.len(), arguments.join(", "))]
    Count {
        /// The distribution.
        name: &'static str,
        /// What it takes.
        arguments: &'static [&'static str],
        /// How many were given.
        given: usize,
    },
    /// An argument that is not there.
    #[error("{name} needs {argument}; it takes {}", arguments.join(", "))]
    Lacks {
        /// The distribution.
        name: &'static str,
        /// What is missing.
        argument: &'static str,
        /// What it takes.
        arguments: &'static [&'static str],
    },
    /// A lower bound that is not below the upper one.
    #[error("{name} from {low} to {high} is empty; give the lower bound first")]
    Order {
        /// The distribution.
        name: &'static str,
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A step that is not above 0.
    #[error("the step q of {name} is {step}, outside its range (0, inf); give one above 0")]
    Step {
        /// The distribution.
        name: &'static str,
        /// As given.
        step: f64,
    },
    /// A standard deviation below 0.
    #[error("the deviation sigma of {name} is {deviation}, outside its range [0, inf); give one of 0 or above")]
    Deviation {
        /// The distribution.
        name: &'static str,
        /// As given.
        deviation: f64,
    },
    /// A number of values that is none.
    #[error("the upper bound of randint is {upper}, outside its range [1, 2147483648]; give a whole number inside it")]
    Upper {
        /// As given.
        upper: f64,
    },
    /// Nothing to choose from.
    #[error("choice has no values; give at least one")]
    Empty,
    /// A choice of something that no setting is.
    #[error("choice has {found} among its values; each is a number, a text, or true or false")]
    Value {
        /// What it has.
        found: String,
    },
}

fn list() -> String {
    format!("; there are {}", FORMS.map(|(name, _)| name).join(", "))
}

const BOUNDS: &[&str] = &["min_value", "max_value"];
const STEPS: &[&str] = &["min_value", "max_value", "q"];
const MOMENTS: &[&str] = &["mu", "sigma"];
const MOMENTS_STEPS: &[&str] = &["mu", "sigma", "q"];

/// Every distribution, with the names of what it takes, in order.
const FORMS: [(&str, &[&str]); 10] = [
    ("choice", &["values"]),
    ("randint", &["upper"]),
    ("uniform", BOUNDS),
    ("quniform", STEPS),
    ("loguniform", BOUNDS),
    ("qloguniform", STEPS),
    ("normal", MOMENTS),
    ("qnormal", MOMENTS_STEPS),
    ("lognormal", MOMENTS),
    ("qlognormal", MOMENTS_STEPS),
];

type Form = (&'static str, &'static [&'static str]);

fn form(name: &str) -> Result<Form, DistributionError> {
    let wanted = name.trim().to_ascii_lowercase().replace(['_', '-'], "");
    let found = FORMS.into_iter().find(|(name, _)| *name == wanted);
    found.ok_or_else(|| DistributionError::Unknown {
        name: name.trim().to_owned(),
        nearest: nearest(&wanted, FORMS.map(|(name, _)| name).into_iter()),
    })
}

/// Reads a distribution; `None`, with errors in the log, where it is none. What is fixed is a choice of one.
pub(super) fn read(item: Item, log: &mut Log) -> Option<Distribution> {
    let mut item = item;
    match std::mem::replace(&mut item.tree.node, Node::Null) {
        Node::Text(text) => match call::read(&text, &item.place) {
            None => Some(Distribution::Choice(vec![text.into()])),
            Some(Ok(call)) => match form(&call.name) {
                Ok(form) => build(form, call.arguments, &item, log),
                Err(error) => {
                    log.error(&item, error);
                    None
                }
            },
            Some(Err(reason)) => {
                log.error(&item, DistributionError::Unreadable { text, reason });
                None
            }
        },
        Node::List(values) => choice(values.iter().map(super::tree::Tree::json).collect(), &item, log),
        Node::Map(entries) => mapping(entries, &item, log),
        node @ (Node::Null | Node::Bool(_) | Node::Number(_)) => {
            item.tree.node = node;
            Some(Distribution::Choice(vec![item.tree.json()]))
        }
    }
}

/// `{type: uniform, min_value: 0, max_value: 1}`, or `{uniform: [0, 1]}`.
fn mapping(mut entries: Vec<Entry>, item: &Item, log: &mut Log) -> Option<Distribution> {
    if let Some(at) = entries.iter().position(|entry| entry.name == "type") {
        let name = entries.remove(at);
        let inner = Item { field: format!("{}.type", item.field), place: name.place, tree: name.tree, ..item.clone() };
        let found = form(&inner.text(log)?).map_err(|error| log.error(&inner, error)).ok()?;
        return build(found, entries, item, log);
    }
    match <[Entry; 1]>::try_from(entries) {
        Ok([Entry { name, place, tree }]) => {
            let found = form(&name).map_err(|error| log.error(item, error)).ok()?;
            let argument = |tree| Entry { name: String::new(), place: place.clone(), tree };
            let arguments = match tree.node {
                Node::List(items) => items.into_iter().map(argument).collect(),
                Node::Map(entries) => entries,
                node @ (Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_)) => {
                    vec![argument(super::tree::Tree { place: tree.place, node })]
                }
            };
            build(found, arguments, item, log)
        }
        Err(_) => {
            let problem = Problem::Shape {
                expected: "a value or a distribution, with `type`,".to_owned(),
                found: "a mapping without `type`".to_owned(),
            };
            log.error(item, problem);
            None
        }
    }
}

/// A distribution of its arguments, which have names, or stand in the order of the form.
fn build((name, arguments): Form, entries: Vec<Entry>, item: &Item, log: &mut Log) -> Option<Distribution> {
    if name == "choice" {
        let mut values = Vec::new();
        for entry in entries {
            if !entry.name.is_empty() && entry.name != "values" {
                let field = format!("{}.{}", item.field, entry.name);
                log.error_at(&entry.place, &field, Problem::Unknown { nearest: Some("values".to_owned()) });
                return None;
            }
            // `choice(1, 2)`, `choice([1, 2])` and `choice(range(1, 3))` are the same.
            match entry.tree.node {
                Node::List(items) => values.extend(items.iter().map(super::tree::Tree::json)),
                Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Map(_) => {
                    values.push(entry.tree.json());
                }
            }
        }
        return choice(values, item, log);
    }
    let given = entries.len();
    let positional = entries.iter().take_while(|entry| entry.name.is_empty()).count();
    if given != arguments.len() && positional > 0 {
        log.error(item, DistributionError::Count { name, arguments, given });
        return None;
    }
    let named = entries.into_iter().enumerate().map(|(index, entry)| {
        let name = if index < positional { arguments[index].to_owned() } else { entry.name };
        Entry { name, ..entry }
    });
    let mut fields = Fields::new(item.field.clone(), named.collect());
    let before = log.errors.len();
    let mut numbers = Vec::new();
    for argument in arguments {
        match fields.take(argument) {
            Some(value) => numbers.extend(value.number((f64::MIN, f64::MAX), log)),
            None => log.error(item, DistributionError::Lacks { name, argument, arguments }),
        }
    }
    fields.finish(log);
    if log.errors.len() > before {
        return None;
    }
    made(name, &numbers).map_err(|error| log.error(item, error)).ok()
}

fn choice(values: Vec<Value>, item: &Item, log: &mut Log) -> Option<Distribution> {
    let odd = values.iter().find_map(|value| match value {
        Value::Null => Some("nothing"),
        Value::Array(_) => Some("a list"),
        Value::Object(_) => Some("a mapping"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    });
    if let Some(found) = odd {
        log.error(item, DistributionError::Value { found: found.to_owned() });
        return None;
    }
    if values.is_empty() {
        log.error(item, DistributionError::Empty);
        return None;
    }
    Some(Distribution::Choice(values))
}

/// Of numbers, as many as the form has.
fn made(name: &'static str, numbers: &[f64]) -> Result<Distribution, DistributionError> {
    let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
    let (low, high, step) = (at(0), at(1), at(2));
    let (mean, deviation) = (low, high);
    let logarithmic = name.contains("log");
    match name {
        "randint" if low < 1.0 || low.fract() != 0.0 || low > 2_147_483_648.0 => Err(DistributionError::Unreadable {
            text: format!("randint({low})"),
            reason: "its upper bound is a whole number from 1 to 2147483648".to_owned(),
        }),
        _ if name.ends_with("uniform") && (low > high || (low == high && !logarithmic)) => {
            Err(DistributionError::Order { name, low, high })
        }
        _ if name.ends_with("normal") && deviation < 0.0 => Err(DistributionError::Deviation { name, deviation }),
        _ if name.starts_with('q') && step <= 0.0 => Err(DistributionError::Step { name, step }),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, from 1 to 2^31")]
        "randint" => Ok(Distribution::RandInt { upper: low as u64 }),
        "uniform" => Ok(Distribution::Uniform { low, high }),
        "quniform" => Ok(Distribution::QUniform { low, high, step }),
        "loguniform" => Ok(Distribution::LogUniform { low, high }),
        "qloguniform" => Ok(Distribution::QLogUniform { low, high, step }),
        "normal" => Ok(Distribution::Normal { mean, deviation }),
        "qnormal" => Ok(Distribution::QNormal { mean, deviation, step }),
        "lognormal" => Ok(Distribution::LogNormal { mean, deviation }),
        "qlognormal" => Ok(Distribution::QLogNormal { mean, deviation, step }),
        other => Err(DistributionError::Unknown { name: other.to_owned(), nearest: None }),
    }
}

/// The specification's name of a distribution.
pub(super) fn name(distribution: &Distribution) -> &'static str {
    match distribution {
        Distribution::Choice(_) => "choice",
        Distribution::RandInt { .. } => "randint",
        Distribution::Uniform { .. } => "uniform",
        Distribution::QUniform { .. } => "quniform",
        Distribution::LogUniform { .. } => "loguniform",
        Distribution::QLogUniform { .. } => "qloguniform",
        Distribution::Normal { .. } => "normal",
        Distribution::QNormal { .. } => "qnormal",
        Distribution::LogNormal { .. } => "lognormal",
        Distribution::QLogNormal { .. } => "qlognormal",
    }
}

/// With logarithms of another base: those of `distribution` are to it, those of what is returned are natural.
pub(super) fn natural(distribution: Distribution, base: f64) -> Distribution {
    let ln = base.ln();
    match distribution {
        Distribution::LogUniform { low, high } => Distribution::LogUniform { low: low * ln, high: high * ln },
        Distribution::QLogUniform { low, high, step } => {
            Distribution::QLogUniform { low: low * ln, high: high * ln, step }
        }
        Distribution::LogNormal { mean, deviation } => {
            Distribution::LogNormal { mean: mean * ln, deviation: deviation * ln }
        }
        Distribution::QLogNormal { mean, deviation, step } => {
            Distribution::QLogNormal { mean: mean * ln, deviation: deviation * ln, step }
        }
        other @ (Distribution::Choice(_)
        | Distribution::RandInt { .. }
        | Distribution::Uniform { .. }
        | Distribution::QUniform { .. }
        | Distribution::Normal { .. }
        | Distribution::QNormal { .. }) => other,
    }
}
