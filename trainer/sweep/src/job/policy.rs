//! Samplers and rules of early termination, as jobs of both styles say them.

use schemas::setting::nearest;

use super::NoteKind;
use super::error::Problem;
use super::fields::{Fields, Item, Log};
use super::tree::Node;
use crate::sampler::Sampling;
use crate::termination::{Rule, Slack, Termination};

/// How points are chosen, with which seed, and what base its logarithms are to (e where none is given).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sampler {
    pub sampling: Sampling,
    pub seed: u64,
    pub base: Option<f64>,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { sampling: Sampling::Random { sobol: false }, seed: 0, base: None }
    }
}

/// A word without case, dashes, and what the older style adds to it: `RandomParameterSampling` is `random`.
fn word(text: &str) -> String {
    let plain = text.trim().to_ascii_lowercase().replace(['_', '-', ' '], "");
    let cut = ["parametersampling", "samplingalgorithm", "sampling", "policy"];
    cut.iter().find_map(|end| plain.strip_suffix(end)).unwrap_or(&plain).to_owned()
}

fn unknown(text: &str, what: &str, names: &[&str]) -> Problem {
    let like = nearest(text, names.iter().copied()).map_or_else(String::new, |name| format!("; did you mean {name}?"));
    Problem::refused(format!("`{text}` is no {what}; there are {}{like}", names.join(", ")))
}

/// Reads a sampler: a word, or a mapping with `type`.
pub(super) fn sampler(item: Item, log: &mut Log) -> Option<Sampler> {
    match &item.tree.node {
        Node::Map(_) => {
            let at = item.clone();
            let mut fields = item.fields(log)?;
            let sampler = of_fields(&mut fields, &at, log);
            fields.finish(log);
            sampler
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::List(_) => {
            let text = item.text(log)?;
            let sampling = sampling(&item, &text, log)?;
            Some(Sampler { sampling, ..Sampler::default() })
        }
    }
}

fn sampling(item: &Item, text: &str, log: &mut Log) -> Option<Sampling> {
    match word(text).as_str() {
        "random" => Some(Sampling::Random { sobol: false }),
        "sobol" => Some(Sampling::Random { sobol: true }),
        "grid" => Some(Sampling::Grid),
        "bayesian" => Some(Sampling::Bayesian),
        _ => {
            log.error(item, unknown(text, "sampler", &["random", "sobol", "grid", "bayesian"]));
            None
        }
    }
}

/// Reads the fields of a sampler, of which `type` is needed; what else stands there is left.
pub(super) fn of_fields(fields: &mut Fields, at: &Item, log: &mut Log) -> Option<Sampler> {
    let kind = ["type", "sampling", "name"].into_iter().find_map(|name| fields.take(name));
    let seed = fields.take("seed").and_then(|item| item.whole((0, u32::MAX), log)).map_or(0, u64::from);
    let rule = fields.take("rule");
    let base = fields.take("logbase").and_then(|item| base(&item, log));
    let Some(kind) = kind else {
        log.error_at(
            &at.place,
            &format!("{}.type", at.field),
            Problem::Missing { hint: "give random, grid or bayesian".to_owned() },
        );
        return None;
    };
    let text = kind.text(log)?;
    let mut sampling = sampling(&kind, &text, log)?;
    if let Some(rule) = rule {
        let text = rule.text(log)?;
        match (word(&text).as_str(), &mut sampling) {
            ("random", _) => {}
            ("sobol", Sampling::Random { sobol }) => *sobol = true,
            ("sobol", Sampling::Grid | Sampling::Bayesian) => {
                log.error(&rule, Problem::refused("sobol is a rule of the sampler random; remove it"));
            }
            _ => log.error(&rule, unknown(&text, "rule", &["random", "sobol"])),
        }
    }
    Some(Sampler { sampling, seed, base })
}

/// The base of logarithms: a number above 1, or `e`.
fn base(item: &Item, log: &mut Log) -> Option<f64> {
    if matches!(&item.tree.node, Node::Text(text) if text.trim().eq_ignore_ascii_case("e")) {
        return None;
    }
    let base = item.number((0.0, 1e9), log)?;
    if base <= 1.0 {
        log.error(item, Problem::refused(format!("a base of {base} has no rising logarithm; give one above 1, or e")));
        return None;
    }
    log.note(
        item,
        NoteKind::Instead,
        format!("bounds of logarithmic distributions are turned from base {base} to natural logarithms"),
    );
    Some(base)
}

const RULES: &[&str] = &["bandit", "median_stopping", "truncation_selection", "asha", "none"];

/// Reads a rule of early termination: a word, or a mapping with `type`.
pub(super) fn termination(item: Item, log: &mut Log) -> Option<Termination> {
    let at = item.clone();
    let mut fields = match &item.tree.node {
        Node::Text(_) => {
            let kind = super::tree::Entry { name: "type".to_owned(), place: item.place, tree: item.tree };
            Fields::new(item.field, vec![kind])
        }
        Node::Map(_) | Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) => item.fields(log)?,
    };
    let kind = ["type", "policy", "name"].into_iter().find_map(|name| fields.take(name));
    let Some(kind) = kind else {
        log.error_at(
            &at.place,
            &format!("{}.type", at.field),
            Problem::Missing { hint: format!("give one of {}", RULES.join(", ")) },
        );
        return None;
    };
    let text = kind.text(log)?;
    let rule = match word(&text).as_str() {
        "bandit" => slack(&mut fields, &at, log).map(Rule::Bandit),
        "medianstopping" | "median" => Some(Rule::Median),
        "truncationselection" | "truncation" => truncation(&mut fields, &at, log),
        "asha" => {
            let mut count = |name: &str, usual: u32, least: u32| match fields.take(name) {
                Some(item) => item.whole((least, 1_000_000), log),
                None => Some(usual),
            };
            let (least, reduction) = (count("least", 1, 1), count("reduction", 4, 2));
            log.note(&kind, NoteKind::Beyond, "asynchronous successive halving is beyond the specification");
            least.zip(reduction).map(|(least, reduction)| Rule::Asha { least, reduction })
        }
        "none" | "notermination" | "no" => Some(Rule::Never),
        _ => {
            log.error(&kind, unknown(&text, "rule of early termination", RULES));
            return None;
        }
    };
    let every = match fields.take("evaluation_interval") {
        Some(item) => {
            let every = item.whole((0, 1_000_000), log);
            if every == Some(0) {
                log.note(&item, NoteKind::Instead, "0 is read as 1: every report is looked at");
            }
            every.map(|every| every.max(1))
        }
        None => Some(1),
    };
    let delay = fields.take("delay_evaluation").map_or(Some(0), |item| item.whole((0, 1_000_000), log));
    // The older style passes its other arguments on as properties.
    fields.take("properties");
    fields.finish(log);
    Some(Termination { rule: rule?, every: every?, delay: delay? })
}

/// A factor or an amount; 0 is the newer style's word for "not given" beside the other.
fn slack(fields: &mut Fields, at: &Item, log: &mut Log) -> Option<Slack> {
    let before = log.errors.len();
    let mut value = |name: &str| {
        let item = fields.take(name)?;
        let value = item.number((0.0, 1e6), log)?;
        Some((item, value))
    };
    let (factor, amount) = (value("slack_factor"), value("slack_amount"));
    if log.errors.len() > before {
        return None;
    }
    match (factor, amount) {
        (Some((item, factor)), Some((_, amount))) if factor > 0.0 && amount > 0.0 => {
            log.error(&item, Problem::Twice { other: "as slack_amount".to_owned() });
            None
        }
        (Some((_, factor)), Some((_, amount))) if factor == 0.0 && amount > 0.0 => Some(Slack::Amount(amount)),
        (Some((_, factor)), _) => Some(Slack::Factor(factor)),
        (None, Some((_, amount))) => Some(Slack::Amount(amount)),
        (None, None) => {
            let hint = "bandit needs it, or slack_amount; 0.2 ends trials below the best divided by 1.2".to_owned();
            log.error_at(&at.place, &format!("{}.slack_factor", at.field), Problem::Missing { hint });
            None
        }
    }
}

fn truncation(fields: &mut Fields, at: &Item, log: &mut Log) -> Option<Rule> {
    let exclude = ["exclude_finished_jobs", "exclude_finished_runs"].into_iter().find_map(|name| fields.take(name));
    let exclude_finished = exclude.map_or(Some(false), |item| item.truth(log));
    let Some(item) = fields.take("truncation_percentage") else {
        let hint = "give the share of trials to end, 1 to 99 per cent".to_owned();
        log.error_at(&at.place, &format!("{}.truncation_percentage", at.field), Problem::Missing { hint });
        return None;
    };
    let percentage = item.whole((1, 99), log);
    Some(Rule::Truncation { percentage: percentage?, exclude_finished: exclude_finished? })
}
