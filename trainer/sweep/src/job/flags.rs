//! Studies from options of a command line.

use indexmap::IndexMap;
use serde_json::Value;

use super::data::Data;
use super::distribution;
use super::draft::{BranchDraft, Draft, Given};
use super::error::{Place, Problem};
use super::policy;
use super::tree::{Entry, Item, Log, Node, Tree};
use super::v2::{add, located, put, task};
use super::{Job, JobErrors, call};
use crate::plan::Limits;
use crate::space::Distribution;
use crate::termination::Termination;

/// What a command line says of a study. Paths are relative to the working directory.
#[derive(Clone, Debug)]
pub struct Flags<'a> {
    /// Options that every trial has, by name, as texts: `task`, `training_data`, settings.
    pub options: &'a [(String, String)],
    /// What is searched, each `NAME=DISTRIBUTION`.
    pub search: &'a [String],
    /// `random`, `sobol`, `grid` or `bayesian`.
    pub sampling: &'a str,
    /// `median_stopping`, `bandit(slack_factor=0.2)` and the like.
    pub policy: Option<&'a str>,
    /// How much is tried.
    pub limits: Limits,
    /// Seed of the sampler.
    pub seed: u64,
}

/// The study that options ask for.
///
/// # Errors
/// Everything that is wrong with them, each with its option.
pub fn job(flags: &Flags<'_>) -> Result<Job, JobErrors> {
    let (mut log, data) = (Log::default(), Data::default());
    let option = |name: &str, text: &str| {
        let place = Place::Option(format!("--{name} {text}"));
        Item { name: name.to_owned(), field: String::new(), tree: Tree::text(text, &place), place }
    };
    let (mut wanted, mut test_data) = (None, None);
    let mut fixed: IndexMap<&'static str, Given<Value>> = IndexMap::new();
    for (name, text) in flags.options {
        let item = option(name, text);
        match name.as_str() {
            "task" => wanted = task(&item, &mut log),
            "training_data" => fixed.extend(located(item, &data, &mut log).map(|given| ("training_data", given))),
            "validation_data" => fixed.extend(located(item, &data, &mut log).map(|given| ("validation_data", given))),
            "test_data" => {
                test_data = located(item, &data, &mut log).and_then(|given| given.value.as_str().map(str::to_owned))
            }
            "data_root" => {
                let given = Given { value: Value::from(text.as_str()), place: item.place, field: item.field };
                fixed.insert("data_root", given);
            }
            _ => put(item, &data, &mut fixed, &mut log),
        }
    }
    let mut branch = BranchDraft::default();
    for word in flags.search {
        let place = Place::Option(format!("--search {word}"));
        match word.split_once('=') {
            Some((name, text)) => {
                let name = name.trim().to_owned();
                let item = Item { field: name.clone(), name, tree: leaf(text, &place), place };
                add(item, &data, &mut branch, &mut log);
            }
            None => log.error_at(
                &place,
                "",
                Problem::refused("write --search NAME=DISTRIBUTION, such as learning_rate=uniform(0.001,0.1)"),
            ),
        }
    }
    let sampler = policy::sampler(option("sampling", flags.sampling), &mut log).unwrap_or_default();
    let rule = flags.policy.and_then(|text| rule(text, &Place::Option(format!("--policy {text}")), &mut log));
    let termination = rule.unwrap_or(Termination { every: 1, ..Termination::default() });
    let draft = Draft {
        task: wanted,
        fixed,
        branches: (!flags.search.is_empty()).then(|| vec![branch]),
        sampler: policy::Sampler { seed: flags.seed, ..sampler },
        termination,
        limits: flags.limits,
        test_data,
        labels: IndexMap::new(),
        fixed_wins: false,
    };
    let job = draft.finish(&mut log);
    match job {
        Some(job) if log.errors.is_empty() => Ok(job),
        Some(_) | None => Err(JobErrors { file: None, errors: log.errors }),
    }
}

/// Reads a distribution in a word: `uniform(0.001,0.1)`, `choice(sgd,adam)`, `loguniform(-9,-4)`, whose bounds are natural
/// logarithms. A word without parentheses is a choice of one.
///
/// # Errors
/// An unknown name, too few or too many arguments, an empty range.
///
/// ```
/// use sweep::job::flags::distribution;
/// use sweep::space::Distribution;
///
/// assert_eq!(distribution("uniform(0.001,0.1)")?, Distribution::Uniform { low: 0.001, high: 0.1 });
/// let error = distribution("unifrom(0,1)").unwrap_err();
/// assert_eq!(error.to_string(), "`unifrom` is no distribution; did you mean `uniform`?");
/// # Ok::<(), sweep::job::JobErrors>(())
/// ```
pub fn distribution(word: &str) -> Result<Distribution, JobErrors> {
    let mut log = Log::default();
    let item =
        Item { name: String::new(), field: String::new(), place: Place::Nowhere, tree: leaf(word, &Place::Nowhere) };
    let read = distribution::read(item, &mut log);
    read.filter(|_| log.errors.is_empty()).ok_or(JobErrors { file: None, errors: log.errors })
}

/// Reads a rule of early termination in a word: `median_stopping`, `bandit(slack_factor=0.2,evaluation_interval=2)`.
///
/// # Errors
/// An unknown rule or argument, a value outside its range.
pub fn termination(word: &str) -> Result<Termination, JobErrors> {
    let mut log = Log::default();
    let read = rule(word, &Place::Nowhere, &mut log);
    read.filter(|_| log.errors.is_empty()).ok_or(JobErrors { file: None, errors: log.errors })
}

fn rule(word: &str, place: &Place, log: &mut Log) -> Option<Termination> {
    let (name, arguments) = match call::read(word, place) {
        None => (word.to_owned(), Vec::new()),
        Some(Ok(call)) => (call.name, call.arguments),
        Some(Err(reason)) => {
            let text = format!("{word:?} cannot be read: {reason}; write it like bandit(slack_factor=0.2)");
            log.error_at(place, "", Problem::refused(text));
            return None;
        }
    };
    if arguments.iter().any(|argument| argument.name.is_empty()) {
        log.error_at(
            place,
            "",
            Problem::refused(format!("arguments of {name} have names, as in bandit(slack_factor=0.2)")),
        );
        return None;
    }
    let mut entries = vec![Entry { name: "type".to_owned(), place: place.clone(), tree: Tree::text(name, place) }];
    entries.extend(arguments);
    let tree = Tree { place: place.clone(), node: Node::Map(entries) };
    policy::termination(Item { name: "policy".to_owned(), field: "policy".to_owned(), place: place.clone(), tree }, log)
}

/// A word as a value: a number where it looks like one.
fn leaf(word: &str, place: &Place) -> Tree {
    let word = word.trim();
    let call = call::read(word, place).is_some();
    Tree { place: place.clone(), node: if call { Node::Text(word.to_owned()) } else { call::leaf(word) } }
}
