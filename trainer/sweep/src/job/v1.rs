//! Jobs of the older style, for `trainer sweep --config`, in YAML or TOML: the arguments of `AutoMLImageConfig` by their names.
//!
//! ```yaml
//! task: image-object-detection
//! training_data: train.jsonl
//! arguments: [--early_stopping, 1, --evaluation_frequency, 2]
//! parameter_space:
//!   model:
//!     choice:
//!       - {model_name: yolov5, learning_rate: "uniform(0.0001, 0.01)"}
//!       - {model_name: fasterrcnn_resnet50_fpn, min_size: "choice(600, 800)"}
//! sampling: random
//! policy: {type: bandit, slack_factor: 0.2, evaluation_interval: 2, delay_evaluation: 6}
//! iterations: 10
//! max_concurrent_iterations: 2
//! ```

use indexmap::IndexMap;
use serde_json::Value;

use super::data::Data;
use super::draft::{BranchDraft, Draft, Given};
use super::error::{Place, Problem};
use super::fields::{Fields, Item, Log};
use super::policy::{self, Sampler};
use super::tree::{Node, Tree};
use super::v2::{add, branch, located, metric, put, task};
use super::{Job, JobErrors, NoteKind, ReadOptions};
use crate::plan::Limits;

/// Fields that only the cloud uses.
const LABELS: [&str; 9] = [
    "name",
    "display_name",
    "experiment_name",
    "description",
    "tags",
    "properties",
    "compute_target",
    "compute",
    "workspace",
];
/// Options of `trainer train` beside the settings, which stand at the top.
const OPTIONS: [&str; 7] = ["recipe", "model_name", "seed", "checkpoint_run", "pretrained", "device", "precision"];

/// Reads a file.
///
/// # Errors
/// The file cannot be read; as [`read`].
pub fn open(options: &ReadOptions) -> Result<Job, JobErrors> {
    read(&options.text()?, options)
}

/// Reads a job: as TOML where the file's name ends so, else as YAML. Whether its data exists is not asked.
///
/// # Errors
/// Everything that is wrong with it: syntax, unknown fields, values that a trial would refuse.
pub fn read(text: &str, options: &ReadOptions) -> Result<Job, JobErrors> {
    let mut log = Log::default();
    let tree = options.tree(text, &mut log)?;
    let job = Fields::of(tree, &mut log).and_then(|fields| job(fields, &options.data(), &mut log));
    options.answer(job, log)
}

/// The first field that is there of several names for the same; a second one is an error.
fn either(fields: &mut Fields, names: &[&str], log: &mut Log) -> Option<Item> {
    let mut first: Option<Item> = None;
    for name in names {
        let Some(item) = fields.take(name) else { continue };
        match &first {
            Some(first) => log.error(&item, Problem::Twice { other: format!("as {}", first.field) }),
            None => first = Some(item),
        }
    }
    first
}

fn job(mut fields: Fields, data: &Data, log: &mut Log) -> Option<Job> {
    if let Some(item) = fields.take("type") {
        log.error(&item, Problem::refused("a file with `type` is of the newer style; run it with `trainer job`"));
        return None;
    }
    let task = fields.take("task").map(|item| task(&item, log));
    if task.is_none() {
        let hint = "give one of the four tasks, such as image-classification".to_owned();
        log.error_at(&Place::Nowhere, "task", Problem::Missing { hint });
    }
    let task = task.flatten();
    if let Some(item) = fields.take("primary_metric") {
        metric(&item, task, log);
    }
    let mut labels = IndexMap::new();
    for name in LABELS {
        let Some(item) = fields.take(name) else { continue };
        labels.insert(name.to_owned(), item.tree.json());
        log.note(&item, NoteKind::Label, "kept as a label");
    }
    let root = fields.take("data_root").and_then(|item| Some((data.at(&item.tree.place).file(&item.text(log)?), item)));
    let mut data = data.clone();
    let mut fixed = IndexMap::new();
    if let Some((root, _)) = &root {
        data.root.get_or_insert_with(|| root.into());
    }
    for name in ["training_data", "validation_data"] {
        if let Some(given) = fields.take(name).and_then(|item| located(item, &data, log)) {
            fixed.insert(name, given);
        }
    }
    let test_data = fields.take("test_data").and_then(|item| located(item, &data, log));
    let test_data = test_data.and_then(|given| given.value.as_str().map(str::to_owned));
    if let Some(root) = &data.root {
        let value = Value::from(root.to_string_lossy());
        fixed.insert("data_root", Given { value, place: Place::Nowhere, field: "data_root".to_owned() });
    }
    let recipe = Given { value: Value::from("specification"), place: Place::Nowhere, field: "recipe".to_owned() };
    fixed.insert("recipe", recipe);
    for name in OPTIONS {
        if let Some(item) = fields.take(name) {
            put(item, &data, &mut fixed, log);
        }
    }
    if let Some(item) = either(&mut fields, &["validation_size", "validation_data_size", "split_ratio"], log) {
        put(Item { name: "split_ratio".to_owned(), ..item }, &data, &mut fixed, log);
    }
    if let Some(item) = fields.take("arguments") {
        for argument in arguments(item, log) {
            put(argument, &data, &mut fixed, log);
        }
    }
    let mut space = fields.take("parameter_space");
    let sampler = either(&mut fields, &["sampling", "hyperparameter_sampling"], log);
    let sampler = sampler.and_then(|item| sampling(item, &mut space, log));
    let branches = space.map(|item| branches(item, &data, log));
    if let Some(branches) = &branches {
        for branch in branches.iter().filter(|branch| !branch.parameters.contains_key("model_name")) {
            if !fixed.contains_key("model_name") {
                let hint = "give it in the parameter space, or to all by arguments".to_owned();
                log.error_at(&branch.place, &format!("{}.model_name", branch.field), Problem::Missing { hint });
            }
        }
    }
    let policy = either(&mut fields, &["policy", "early_termination_policy"], log);
    let termination = policy.and_then(|item| policy::termination(item, log)).unwrap_or_default();
    let limits = limits(&mut fields, log);
    fields.finish(log);
    let draft = Draft {
        task,
        fixed,
        branches,
        sampler: sampler.unwrap_or_default(),
        termination: crate::termination::Termination { every: termination.every.max(1), ..termination },
        limits,
        test_data,
        labels,
        fixed_wins: false,
    };
    draft.finish(log)
}

fn limits(fields: &mut Fields, log: &mut Log) -> Limits {
    let mut whole = |name: &str, most: u32| {
        let item = fields.take(name)?;
        item.whole((1, most), log)
    };
    let trials = whole("iterations", 1000).unwrap_or(1);
    let at_once = whole("max_concurrent_iterations", 100);
    let minutes = whole("experiment_timeout_minutes", 86_400).map(f64::from);
    let trial_minutes = whole("iteration_timeout_minutes", 86_400).map(f64::from);
    let hours = fields.take("experiment_timeout_hours").and_then(|item| {
        if minutes.is_some() {
            log.error(&item, Problem::Twice { other: "as experiment_timeout_minutes".to_owned() });
        }
        item.number((0.01, 1440.0), log)
    });
    if at_once.is_none() && trials > 1 {
        let text = "one trial at a time, because it is not given (the specification would run all at once)";
        log.note_at(&Place::Nowhere, "max_concurrent_iterations", NoteKind::Instead, text);
    }
    Limits {
        trials: trials.into(),
        at_once: at_once.unwrap_or(1).into(),
        minutes: Some(minutes.or(hours.map(|hours| hours * 60.0)).unwrap_or(7.0 * 24.0 * 60.0)),
        trial_minutes,
    }
}

/// A sampler, which may bring the parameter space along.
fn sampling(item: Item, space: &mut Option<Item>, log: &mut Log) -> Option<Sampler> {
    match &item.tree.node {
        Node::Map(_) => {
            let at = item.clone();
            let mut fields = item.fields(log)?;
            if let Some(inner) = fields.take("parameter_space") {
                match space {
                    Some(first) => log.error(&inner, Problem::Twice { other: format!("as {}", first.field) }),
                    None => *space = Some(inner),
                }
            }
            fields.take("properties");
            let sampler = policy::of_fields(&mut fields, &at, log);
            fields.finish(log);
            sampler
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::List(_) => policy::sampler(item, log),
    }
}

/// The branches of a parameter space: those of its key `model`, each with what stands beside it.
fn branches(item: Item, data: &Data, log: &mut Log) -> Vec<BranchDraft> {
    let (place, field) = (item.place.clone(), item.field.clone());
    let Some(mut fields) = item.fields(log) else { return Vec::new() };
    let model = fields.take("model");
    let mut common = Vec::new();
    for parameter in fields.rest() {
        if parameter.name.starts_with('-') {
            let text = format!("names of the space have no dashes; write {}", parameter.name.trim_start_matches('-'));
            log.error(&parameter, Problem::refused(text));
        } else {
            common.push(parameter);
        }
    }
    let mut branches = match model {
        None => vec![BranchDraft { place, field, ..BranchDraft::default() }],
        Some(model) => choices(model, log).into_iter().filter_map(|item| branch(item, data, log)).collect(),
    };
    for branch in &mut branches {
        for parameter in &common {
            add(parameter.clone(), data, branch, log);
        }
    }
    branches
}

/// The dictionaries of `model`: a list of them, or a choice of them in either spelling.
fn choices(item: Item, log: &mut Log) -> Vec<Item> {
    let inner = match &item.tree.node {
        Node::Map(entries) => {
            let typed = entries.iter().any(|e| e.name == "type" && e.tree.node == Node::Text("choice".to_owned()));
            let name = if typed { "values" } else { "choice" };
            entries.iter().find(|entry| entry.name == name).map(|entry| entry.tree.clone())
        }
        Node::List(_) => Some(item.tree.clone()),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => None,
    };
    match inner {
        Some(tree) => Item { tree, ..item }.list(log).unwrap_or_default(),
        None => {
            log.error(&item, item.shape("a choice of mappings, each with its model_name,"));
            Vec::new()
        }
    }
}

/// `--name value` pairs: names and values in turn, both in one text, or a mapping.
fn arguments(item: Item, log: &mut Log) -> Vec<Item> {
    if let Node::Map(_) = item.tree.node {
        let rest = item.fields(log).map(|mut fields| fields.rest()).unwrap_or_default();
        let bare = |item: Item| Item { name: item.name.trim_start_matches('-').to_owned(), ..item };
        return rest.into_iter().map(bare).collect();
    }
    let Some(items) = item.list(log) else { return Vec::new() };
    let mut found = Vec::new();
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        let text = match &item.tree.node {
            Node::Text(text) => text.trim().to_owned(),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) | Node::Map(_) => String::new(),
        };
        let Some(name) = text.strip_prefix("--") else {
            log.error(&item, item.shape("a name such as --learning_rate"));
            continue;
        };
        if let Some((name, value)) = name.split_once([' ', '=']) {
            let tree = Tree { place: item.place.clone(), node: super::call::leaf(value.trim()) };
            found.push(Item { name: name.to_owned(), tree, ..item });
            continue;
        }
        let value = items.next_if(|next| !matches!(&next.tree.node, Node::Text(text) if text.starts_with("--")));
        match value {
            Some(value) => found.push(Item { name: name.to_owned(), tree: value.tree, ..item }),
            None => log.error(&item, Problem::Missing { hint: format!("--{name} needs a value behind it") }),
        }
    }
    found
}
