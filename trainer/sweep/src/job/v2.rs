//! Jobs of the newer style: YAML with `type: automl`, as Azure's command line takes it.

use indexmap::IndexMap;
use schemas::Task;
use schemas::setting::nearest;
use serde_json::Value;

use super::data::Data;
use super::draft::{BranchDraft, Draft, Given};
use super::error::{Place, Problem};
use super::fields::{Fields, Item, Log};
use super::policy::{self, Sampler};
use super::settings::{self, snake};
use super::tree::Node;
use super::{Job, JobErrors, NoteKind, ReadOptions};
use crate::plan::Limits;
use crate::termination::Termination;

/// Fields that only the cloud uses, and what happens instead where that is worth a word.
const LABELS: &[(&str, &str)] = &[
    ("$schema", ""),
    ("name", ""),
    ("display_name", ""),
    ("experiment_name", ""),
    ("description", ""),
    ("tags", ""),
    ("properties", ""),
    ("compute", "trials run on this machine"),
    ("identity", "nothing is signed in to"),
    ("resources", "trials run on this machine"),
    ("queue_settings", "trials begin at once"),
    ("environment", "nothing is installed"),
    ("environment_id", "nothing is installed"),
    ("environment_variables", "trials have the environment of the command"),
    ("outputs", "the best model is in the study's folder"),
    ("inputs", ""),
    ("services", ""),
    ("creation_context", ""),
    ("log_verbosity", "each trial writes its run.log"),
    ("log_files", ""),
    ("status", ""),
    ("id", ""),
    ("parent_job_name", ""),
    ("component_id", ""),
    ("is_archived", ""),
    ("notification_setting", "nobody is written to"),
    ("job_tier", ""),
    ("priority", ""),
    ("schedule", "trials begin at once"),
];

/// Metrics of the specification's schema, by task. (The first is ours.)
fn metrics(task: Task) -> &'static [&'static str] {
    match task {
        Task::ImageClassification => &[
            "accuracy",
            "auc_weighted",
            "average_precision_score_weighted",
            "norm_macro_recall",
            "precision_score_weighted",
        ],
        Task::ImageClassificationMultilabel => &[
            "iou",
            "accuracy",
            "auc_weighted",
            "average_precision_score_weighted",
            "norm_macro_recall",
            "precision_score_weighted",
        ],
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => &["mean_average_precision"],
    }
}

/// Reads a job file.
///
/// # Errors
/// The file cannot be read; as [`read`].
pub fn open(options: &ReadOptions) -> Result<Job, JobErrors> {
    read(&options.text()?, options)
}

/// Reads a job. Whether its data exists is not asked: [`super::check_data`] does.
///
/// # Errors
/// Everything that is wrong with it: syntax, unknown fields, values that a trial would refuse.
pub fn read(text: &str, options: &ReadOptions) -> Result<Job, JobErrors> {
    let mut log = Log::default();
    let tree = options.tree(text, &mut log)?;
    let job = Fields::of(tree, &mut log).and_then(|fields| job(fields, &options.data(), &mut log));
    options.answer(job, log)
}

fn job(mut fields: Fields, data: &Data, log: &mut Log) -> Option<Job> {
    kind(&mut fields, log)?;
    let task = fields.take("task").map(|item| task(&item, log));
    if task.is_none() {
        let hint = "give one of the four tasks, such as image_classification".to_owned();
        log.error_at(&Place::Nowhere, "task", Problem::Missing { hint });
    }
    let task = task.flatten();
    if let Some(item) = fields.take("primary_metric") {
        metric(&item, task, log);
    }
    if let Some(item) = fields.take("target_column_name") {
        column(&item, log);
    }
    let labels = labels(&mut fields, log);
    let mut fixed = IndexMap::new();
    for name in ["training_data", "validation_data"] {
        if let Some(given) = fields.take(name).and_then(|item| located(item, data, log)) {
            fixed.insert(name, given);
        }
    }
    let test_data = fields.take("test_data").and_then(|item| located(item, data, log));
    let test_data = test_data.and_then(|given| given.value.as_str().map(str::to_owned));
    if let Some(item) = fields.take("test_data_size") {
        log.note(&item, NoteKind::Instead, "nothing is set aside for a test; name labelled images by test_data");
    }
    if let Some(root) = &data.root {
        let value = Value::from(root.to_string_lossy());
        fixed.insert("data_root", Given { value, place: Place::Nowhere, field: "--data_root".to_owned() });
    }
    let recipe = Given { value: Value::from("specification"), place: Place::Nowhere, field: "recipe".to_owned() };
    fixed.insert("recipe", recipe);
    if let Some(item) = fields.take("validation_data_size") {
        put(item, data, &mut fixed, log);
    }
    let parameters = fields.take("training_parameters").and_then(|item| item.fields(log));
    for item in parameters.map(|mut fields| fields.rest()).unwrap_or_default() {
        for part in settings::parts(item, log) {
            put(part, data, &mut fixed, log);
        }
    }
    let mut numbers = Numbers::default();
    if let Some(inner) = fields.take("limits").and_then(|item| item.fields(log)) {
        numbers.take(inner, log);
    }
    let (sampler, termination) = match fields.take("sweep").and_then(|item| item.fields(log)) {
        Some(inner) => sweep(inner, &mut numbers, log),
        None => (Sampler::default(), Termination::default()),
    };
    let branches =
        fields.take("search_space").map(|item| space(item, data, log)).filter(|branches| !branches.is_empty());
    fields.finish(log);
    let draft = Draft {
        task,
        fixed,
        branches,
        sampler,
        termination: Termination { every: termination.every.max(1), ..termination },
        limits: numbers.limits(),
        test_data,
        labels,
        fixed_wins: true,
    };
    draft.finish(log)
}

fn kind(fields: &mut Fields, log: &mut Log) -> Option<()> {
    let Some(item) = fields.take("type") else {
        let hint =
            "a job file begins with `type: automl`; a file of the older style is read by `trainer sweep --config`";
        log.error_at(&Place::Nowhere, "type", Problem::Missing { hint: hint.to_owned() });
        return Some(());
    };
    let text = item.text(log)?;
    if text.eq_ignore_ascii_case("automl") {
        return Some(());
    }
    let advice = match text.as_str() {
        "pipeline" => "take the job of type automl out of the pipeline, into a file of its own",
        _ => "only jobs of type automl are read",
    };
    log.error(&item, Problem::refused(format!("`{text}` is a job of another type; {advice}")));
    None
}

pub(super) fn task(item: &Item, log: &mut Log) -> Option<Task> {
    let text = item.text(log)?;
    match snake(&text).parse() {
        Ok(task) => Some(task),
        Err(error) => {
            log.error(item, Problem::refused(error.to_string()));
            None
        }
    }
}

pub(super) fn metric(item: &Item, task: Option<Task>, log: &mut Log) {
    let (Some(text), Some(task)) = (item.text(log), task) else { return };
    let wanted = snake(&text);
    let known = metrics(task);
    if !known.contains(&wanted.as_str()) {
        let like = nearest(&wanted, known.iter().copied()).unwrap_or(known[0]);
        let text = format!("`{text}` is no metric of {task}; there are {}; did you mean {like}?", known.join(", "));
        log.error(item, Problem::refused(text));
    } else if wanted != task.primary_metric() {
        let measured =
            if wanted == "norm_macro_recall" { "is not measured" } else { "is in metrics.jsonl of each trial" };
        let text = format!("trials and epochs are compared by {}; {wanted} {measured}", task.primary_metric());
        log.note(item, NoteKind::Instead, text);
    }
}

fn column(item: &Item, log: &mut Log) {
    match item.text(log).as_deref() {
        None | Some("label") => {}
        Some(other) => {
            let text = format!("labels are read from the key `label` of each row, not from `{other}`");
            log.note(item, NoteKind::Instead, text);
        }
    }
}

fn labels(fields: &mut Fields, log: &mut Log) -> IndexMap<String, Value> {
    let mut labels = IndexMap::new();
    for (name, instead) in LABELS {
        let Some(item) = fields.take(name) else { continue };
        labels.insert((*name).to_owned(), item.tree.json());
        let text =
            if instead.is_empty() { "kept as a label".to_owned() } else { format!("kept as a label; {instead}") };
        log.note(&item, NoteKind::Label, text);
    }
    labels
}

/// Labelled images: a path, or a mapping with one.
pub(super) fn located(item: Item, data: &Data, log: &mut Log) -> Option<Given<Value>> {
    let (place, name) = (item.place.clone(), item.field.clone());
    let path = match &item.tree.node {
        Node::Text(_) => item,
        Node::Map(_) | Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) => {
            let mut inner = item.fields(log)?;
            let path = inner.take("path");
            if let Some(kind) = inner.take("type")
                && let Some(text) = kind.text(log)
                && !["mltable", "uri_file", "uri_folder"].contains(&text.as_str())
            {
                log.error(&kind, Problem::refused(format!("`{text}` is no kind of labelled images; give mltable")));
            }
            if let Some(mode) = inner.take("mode") {
                log.note(&mode, NoteKind::Instead, "images are read where they lie");
            }
            for ignored in ["description", "name", "version"] {
                inner.take(ignored);
            }
            inner.finish(log);
            let Some(path) = path else {
                let hint = "give an MLTable folder or a JSONL file".to_owned();
                log.error_at(&place, &format!("{name}.path"), Problem::Missing { hint });
                return None;
            };
            path
        }
    };
    let text = path.text(log)?;
    match data.at(&path.tree.place).locate(&text, &path.field) {
        Ok((local, remark)) => {
            if let Some(remark) = remark {
                log.note(&path, NoteKind::Instead, remark);
            }
            Some(Given { value: Value::from(local), place: path.place, field: path.field })
        }
        Err(problem) => {
            log.error(&path, problem);
            None
        }
    }
}

/// Adds a setting that every trial has; a second one of the name is an error.
pub(super) fn put(item: Item, data: &Data, fixed: &mut IndexMap<&'static str, Given<Value>>, log: &mut Log) {
    let Some((name, value)) = settings::fixed(&item, data, log) else { return };
    let unasked = |given: &Given<Value>| given.place == Place::Nowhere;
    match fixed.get(name).filter(|given| !unasked(given)) {
        Some(first) => log.error(&item, Problem::Twice { other: format!("as {}", first.field) }),
        None => {
            fixed.insert(name, Given { value, place: item.place, field: item.field });
        }
    }
}

/// Limits, of which the newer style has two places.
#[derive(Debug, Default)]
struct Numbers {
    trials: Option<Given<u32>>,
    at_once: Option<Given<u32>>,
    minutes: Option<Given<u32>>,
    trial_minutes: Option<Given<u32>>,
}

impl Numbers {
    /// Minutes of 60 days.
    const LONGEST: u32 = 60 * 24 * 60;
    /// Minutes of 7 days.
    const USUAL: u32 = 7 * 24 * 60;

    fn take(&mut self, mut fields: Fields, log: &mut Log) {
        let mut number = |name: &str, most: u32, into: &mut Option<Given<u32>>| {
            let Some(item) = fields.take(name) else { return };
            let Some(value) = item.whole((1, most), log) else { return };
            match into {
                Some(first) => log.error(&item, Problem::Twice { other: format!("as {}", first.field) }),
                None => *into = Some(Given { value, place: item.place, field: item.field }),
            }
        };
        number("max_trials", 1000, &mut self.trials);
        number("max_concurrent_trials", 100, &mut self.at_once);
        number("timeout_minutes", Self::LONGEST, &mut self.minutes);
        number("trial_timeout_minutes", Self::LONGEST, &mut self.trial_minutes);
        for name in ["max_nodes", "max_cores_per_trial", "node_count_per_trial"] {
            if let Some(item) = fields.take(name) {
                log.note(&item, NoteKind::Instead, "trials run on this machine, whose threads and devices they share");
            }
        }
        fields.finish(log);
    }

    fn limits(&self) -> Limits {
        let value = |given: &Option<Given<u32>>| given.as_ref().map(|given| given.value);
        Limits {
            trials: value(&self.trials).unwrap_or(1).into(),
            at_once: value(&self.at_once).unwrap_or(1).into(),
            minutes: Some(value(&self.minutes).unwrap_or(Self::USUAL).into()),
            trial_minutes: value(&self.trial_minutes).map(f64::from),
        }
    }
}

fn sweep(mut fields: Fields, numbers: &mut Numbers, log: &mut Log) -> (Sampler, Termination) {
    if let Some(inner) = fields.take("limits").and_then(|item| item.fields(log)) {
        numbers.take(inner, log);
    }
    let sampler = fields.take("sampling_algorithm").and_then(|item| policy::sampler(item, log));
    let termination = fields.take("early_termination").and_then(|item| policy::termination(item, log));
    fields.finish(log);
    (sampler.unwrap_or_default(), termination.unwrap_or_default())
}

/// A list of sub-spaces, or one of them.
fn space(item: Item, data: &Data, log: &mut Log) -> Vec<BranchDraft> {
    let spaces = match &item.tree.node {
        Node::List(_) => item.list(log).unwrap_or_default(),
        Node::Map(_) => vec![item],
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {
            log.error(&item, item.shape("a list of sub-spaces, or one"));
            return Vec::new();
        }
    };
    spaces.into_iter().filter_map(|item| branch(item, data, log)).collect()
}

/// A sub-space.
pub(super) fn branch(item: Item, data: &Data, log: &mut Log) -> Option<BranchDraft> {
    let mut branch = BranchDraft { place: item.place.clone(), field: item.field.clone(), ..BranchDraft::default() };
    for parameter in item.fields(log)?.rest() {
        for part in settings::parts(parameter, log) {
            add(part, data, &mut branch, log);
        }
    }
    Some(branch)
}

/// Adds a parameter to a sub-space; a second one of the name is an error.
pub(super) fn add(item: Item, data: &Data, branch: &mut BranchDraft, log: &mut Log) {
    let Some((name, value)) = settings::searched(&item, data, log) else { return };
    match branch.parameters.get(name) {
        Some(first) => log.error(&item, Problem::Twice { other: format!("as {}", first.field) }),
        None => {
            branch.parameters.insert(name, Given { value, place: item.place, field: item.field });
        }
    }
}
