//! Studies from options of a command line.

use indexmap::IndexMap;
use serde_json::Value;

use super::data::Data;
use super::distribution;
use super::draft::{BranchDraft, Draft, Given};
use super::error::{Place, Problem};
use super::fields::{Item, Log};
use super::policy;
use super::tree::{Entry, Node, Tree};
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
    /// What is searched, each `NAME=DISTRIBUTION`, or `SUBSPACE:NAME=DISTRIBUTION` in one of several sub-spaces.
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
                let given = located(item, &data, &mut log);
                test_data = given.and_then(|given| given.value.as_str().map(str::to_owned));
            }
            "data_root" => {
                let given = Given { value: Value::from(text.as_str()), place: item.place, field: item.field };
                fixed.insert("data_root", given);
            }
            _ => put(item, &data, &mut fixed, &mut log),
        }
    }
    let branches = branches(flags.search, &data, &mut log);
    let sampler = policy::sampler(option("sampling", flags.sampling), &mut log).unwrap_or_default();
    let rule = flags.policy.and_then(|text| rule(text, &Place::Option(format!("--policy {text}")), &mut log));
    let termination = rule.unwrap_or(Termination { every: 1, ..Termination::default() });
    let draft = Draft {
        task: wanted,
        fixed,
        branches: (!flags.search.is_empty()).then_some(branches),
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

/// The sub-spaces that words name, in the order of their first words; what names none is in all of them.
fn branches(words: &[String], data: &Data, log: &mut Log) -> Vec<BranchDraft> {
    let mut subspaces: Vec<Option<&str>> = Vec::new();
    for (subspace, ..) in words.iter().filter_map(|word| searched(word)) {
        if !subspaces.contains(&subspace) {
            subspaces.push(subspace);
        }
    }
    if subspaces.iter().any(Option::is_some) {
        subspaces.retain(Option::is_some);
    }
    let mut drafts: Vec<BranchDraft> = subspaces.iter().map(|_| BranchDraft::default()).collect();
    for word in words {
        let place = Place::Option(format!("--search {word}"));
        let Some((subspace, name, text)) = searched(word) else {
            let advice = "write --search NAME=DISTRIBUTION, such as learning_rate=uniform(0.001,0.1)";
            log.error_at(&place, "", Problem::refused(advice));
            continue;
        };
        let before = log.errors.len();
        for (draft, known) in drafts.iter_mut().zip(&subspaces) {
            // What is wrong in all sub-spaces is told once.
            if (subspace.is_none() || subspace == *known) && log.errors.len() == before {
                let item = Item {
                    field: name.to_owned(),
                    name: name.to_owned(),
                    tree: leaf(text, &place),
                    place: place.clone(),
                };
                add(item, data, draft, log);
            }
        }
    }
    drafts
}

/// The sub-space, the name and the distribution of a word.
fn searched(word: &str) -> Option<(Option<&str>, &str, &str)> {
    let (name, text) = word.split_once('=')?;
    Some(match name.split_once(':') {
        Some((subspace, name)) => (Some(subspace.trim()), name.trim(), text),
        None => (None, name.trim(), text),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::termination::{Rule, Slack};
    use serde_json::json;

    #[test]
    fn distributions_in_a_word() {
        for (word, expected) in [
            ("uniform(0.001,0.1)", Distribution::Uniform { low: 0.001, high: 0.1 }),
            ("quniform(1, 9, 2)", Distribution::QUniform { low: 1.0, high: 9.0, step: 2.0 }),
            ("loguniform(-9,-4)", Distribution::LogUniform { low: -9.0, high: -4.0 }),
            ("qloguniform(0,3,1)", Distribution::QLogUniform { low: 0.0, high: 3.0, step: 1.0 }),
            ("normal(0.1,0.02)", Distribution::Normal { mean: 0.1, deviation: 0.02 }),
            ("qnormal(32,8,q=4)", Distribution::QNormal { mean: 32.0, deviation: 8.0, step: 4.0 }),
            ("LogNormal(mu=-9,sigma=1)", Distribution::LogNormal { mean: -9.0, deviation: 1.0 }),
            ("qlognormal(1,1,1)", Distribution::QLogNormal { mean: 1.0, deviation: 1.0, step: 1.0 }),
            ("randint(3)", Distribution::RandInt { upper: 3 }),
            (
                "choice(a,'b, c',2,0.5,true)",
                Distribution::Choice(vec![json!("a"), json!("b, c"), json!(2), json!(0.5), json!(true)]),
            ),
            ("choice(range(1,4))", Distribution::Choice(vec![json!(1), json!(2), json!(3)])),
            ("0.1", Distribution::Choice(vec![json!(0.1)])),
            ("adamw", Distribution::Choice(vec![json!("adamw")])),
        ] {
            assert_eq!(distribution(word).unwrap(), expected, "{word}");
        }
    }

    #[test]
    fn words_that_are_no_distribution() {
        for (word, part) in [
            ("uniform(0.1)", "uniform takes 2 values (min_value, max_value), not 1"),
            ("uniform(0.1,a)", "\"a\", which is not a finite number"),
            ("uniform(0.1,0.01)", "give the lower bound first"),
            ("uniform(0,1,2)", "not 3"),
            ("uniform(min_value=0,max_valeu=2)", "did you mean `max_value`?"),
            ("uniform(0.1,0.2", "')' is missing"),
            ("quniform(0,1,0)", "outside its range (0, inf)"),
            ("normal(0,-1)", "outside its range [0, inf)"),
            ("randint(2.5)", "whole number"),
            ("choice()", "choice has no values"),
            ("gauss(0,1)", "there are choice, randint,"),
            ("log_unifrom(0,1)", "did you mean `loguniform`?"),
        ] {
            let text = distribution(word).unwrap_err().to_string();
            assert!(text.contains(part), "{word}: {text}");
        }
    }

    #[test]
    fn rules_in_a_word() {
        let of = |rule, every, delay| Termination { rule, every, delay };
        for (word, expected) in [
            ("median_stopping", of(Rule::Median, 1, 0)),
            ("none", of(Rule::Never, 1, 0)),
            (
                "bandit(slack_factor=0.2,evaluation_interval=2,delay_evaluation=6)",
                of(Rule::Bandit(Slack::Factor(0.2)), 2, 6),
            ),
            ("BanditPolicy(slack_amount=0.1)", of(Rule::Bandit(Slack::Amount(0.1)), 1, 0)),
            (
                "truncation_selection(truncation_percentage=20)",
                of(Rule::Truncation { percentage: 20, exclude_finished: false }, 1, 0),
            ),
            ("asha(reduction=3)", of(Rule::Asha { least: 1, reduction: 3 }, 1, 0)),
        ] {
            assert_eq!(termination(word).unwrap(), expected, "{word}");
        }
        for (word, part) in [
            ("bandit", "slack_factor: is missing"),
            ("bandit(0.2)", "have names"),
            ("bandit(slack=0.2)", "did you mean `slack_factor`?"),
            ("bandit(slack_factor=-1)", "outside its range"),
            ("truncation_selection", "truncation_percentage: is missing"),
            ("meidan_stopping", "did you mean median_stopping?"),
        ] {
            let text = termination(word).unwrap_err().to_string();
            assert!(text.contains(part), "{word}: {text}");
        }
    }

    #[test]
    fn a_study_of_options_alone() {
        let owned =
            |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        let options = owned(&[
            ("task", "image-classification"),
            ("training_data", "data/train.jsonl"),
            ("model_name", "resnet18"),
            ("number_of_epochs", "4"),
        ]);
        let search = ["learning_rate=loguniform(-9,-4)".to_owned(), "optimizer=choice(sgd,adamw)".to_owned()];
        let limits = Limits { trials: 8, at_once: 2, minutes: None, trial_minutes: None };
        let mut flags = Flags {
            options: &options,
            search: &search,
            sampling: "sobol",
            policy: Some("median_stopping"),
            limits,
            seed: 3,
        };
        let plan = job(&flags).unwrap().plan;
        assert_eq!(plan.fixed["training_data"], "data/train.jsonl");
        assert_eq!(plan.fixed["number_of_epochs"], 4);
        assert_eq!((plan.seed, plan.termination.rule), (3, Rule::Median));
        assert_eq!(plan.space.unwrap().branches[0].parameters.len(), 2);

        let search = [
            "a:model_name=resnet18",
            "b:model_name=choice(resnet34,resnet50)",
            "learning_rate=loguniform(-9,-4)",
            "b:weight_decay=uniform(0,0.1)",
        ];
        let search = search.map(str::to_owned);
        let without_model: Vec<_> = options.iter().filter(|(name, _)| name != "model_name").cloned().collect();
        flags = Flags { options: &without_model, search: &search, ..flags };
        let branches = job(&flags).unwrap().plan.space.unwrap().branches;
        let names: Vec<Vec<&str>> =
            branches.iter().map(|branch| branch.parameters.keys().map(String::as_str).collect()).collect();
        assert_eq!(names, [vec!["model_name", "learning_rate"], vec!["model_name", "learning_rate", "weight_decay"]]);

        let search = ["learning_rate=uniform(0,2)".to_owned(), "momentun=0.8".to_owned(), "momentum".to_owned()];
        (flags.search, flags.policy) = (&search, Some("medan"));
        let lines = job(&flags).unwrap_err().lines();
        for part in [
            "--search learning_rate=uniform(0,2): learning_rate: at an end, `learning_rate` is 2",
            "--search momentun=0.8: momentun: unknown field; did you mean `momentum`?",
            "--search momentum: write --search NAME=DISTRIBUTION",
            "--policy medan: ",
        ] {
            assert!(lines.iter().any(|line| line.starts_with(part)), "{part}: {lines:?}");
        }
        assert_eq!(lines.len(), 4);
    }
}
