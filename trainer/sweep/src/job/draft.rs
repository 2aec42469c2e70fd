//! What both styles of a job come to, checked as the plans of its trials.

use indexmap::IndexMap;
use models::registry;
use schemas::setting::nearest;
use schemas::{Labels, SettingSpec, Task};
use serde_json::Value;

use super::distribution::{name, natural};
use super::error::{Place, Problem};
use super::fields::Log;
use super::policy::Sampler;
use super::reach::points;
use super::{Job, NoteKind};
use crate::plan::{Limits, StudyPlan};
use crate::sampler::Sampling;
use crate::space::{Branch, Distribution, Space};
use crate::termination::{Rule, Termination};

/// Something that is given, and where.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    pub value: T,
    pub place: Place,
    pub field: String,
}

/// Parameters that belong together, and where they stand.
#[derive(Clone, Debug, Default)]
pub(super) struct BranchDraft {
    pub place: Place,
    pub field: String,
    pub parameters: IndexMap<&'static str, Given<Distribution>>,
}

/// What a job says, before its parts are looked at together.
#[derive(Debug)]
pub(super) struct Draft {
    pub task: Option<Task>,
    /// Options of every trial beside the task, by their own names.
    pub fixed: IndexMap<&'static str, Given<Value>>,
    /// What is searched; `None` where the job says nothing of it.
    pub branches: Option<Vec<BranchDraft>>,
    pub sampler: Sampler,
    pub termination: Termination,
    pub limits: Limits,
    pub test_data: Option<String>,
    pub labels: IndexMap<String, Value>,
    /// Whether a name may be fixed and searched, in which case it is fixed.
    pub fixed_wins: bool,
}

/// The specification's model for a task.
pub(super) fn usual_model(task: Task) -> &'static str {
    match task {
        Task::ImageClassification | Task::ImageClassificationMultilabel => "vitb16r224",
        Task::ImageObjectDetection => "yolov5",
        Task::ImageInstanceSegmentation => "maskrcnn_resnet50_fpn",
    }
}

impl Draft {
    /// The job, if nothing is wrong with it.
    pub fn finish(mut self, log: &mut Log) -> Option<Job> {
        let task = self.task?;
        if !self.fixed.contains_key("training_data") {
            if !log.errors.iter().any(|error| error.field.starts_with("training_data")) {
                let hint = "give an MLTable folder or a JSONL file of labelled images".to_owned();
                log.error_at(&Place::Nowhere, "training_data", Problem::Missing { hint });
            }
            // Stands in, so that the settings are looked at all the same.
            let given = Given { value: Value::from("."), place: Place::Nowhere, field: String::new() };
            self.fixed.insert("training_data", given);
        }
        self.of_other_task(task, log);
        let base = self.sampler.base;
        if let Some(branches) = &mut self.branches {
            for given in branches.iter_mut().flat_map(|branch| branch.parameters.values_mut()) {
                if let Some(base) = base {
                    given.value = natural(given.value.clone(), base);
                }
            }
        }
        self.once(log);
        self.concurrency(log);
        let automatic = self.branches.is_none() && self.limits.trials > 1;
        if automatic {
            let text = "there is no search space: the study chooses models and ranges (AutoMode)";
            log.note_at(&Place::Nowhere, "search_space", NoteKind::Remark, text);
        } else {
            self.branches.get_or_insert_with(|| vec![BranchDraft::default()]);
            self.usual_models(task, log);
        }
        // Points are looked at where every setting could be read: what a faulty one was meant to be is not known.
        let settings = ["training_parameters", "search_space", "arguments", "parameter_space", "model_name"];
        let readable = !log.errors.iter().any(|error| {
            error.field.is_empty()
                || settings.iter().any(|name| error.field.starts_with(name))
                || matches!(error.place, Place::Option(_))
        });
        if self.models_exist(task, log) && readable {
            match self.branches.is_some() {
                true => self.check_branches(task, log),
                false => self.check_automatic(task, log),
            }
        }
        self.sampler_fits(log);
        log.errors.is_empty().then(|| self.job(task, log))
    }

    /// Leaves out settings of detection in instance segmentation and the other way round: the specification has one list for both.
    fn of_other_task(&mut self, task: Task, log: &mut Log) {
        let boxes = |task: &Task| match task.labels() {
            Labels::Boxes | Labels::Outlines => true,
            Labels::Class | Labels::Classes => false,
        };
        let other = |name: &str| {
            let tasks = SettingSpec::find(name).map_or(&Task::ALL[..], |spec| spec.tasks);
            !tasks.contains(&task) && boxes(&task) && tasks.iter().any(boxes)
        };
        let text = format!("is left out: it means nothing to {task}");
        self.fixed.retain(|name, given| {
            let other = other(name);
            if other {
                log.note_at(&given.place, &given.field, NoteKind::Instead, text.clone());
            }
            !other
        });
        for branch in self.branches.iter_mut().flatten() {
            branch.parameters.retain(|name, given| {
                let other = other(name);
                if other {
                    log.note_at(&given.place, &given.field, NoteKind::Instead, text.clone());
                }
                !other
            });
        }
    }

    /// A name stands once: among what is fixed or among what is searched.
    fn once(&mut self, log: &mut Log) {
        for branch in self.branches.iter_mut().flatten() {
            let both: Vec<&str> =
                branch.parameters.keys().copied().filter(|name| self.fixed.contains_key(name)).collect();
            for name in both {
                let (Some(fixed), Some(given)) = (self.fixed.get(name), branch.parameters.get(name)) else { continue };
                if self.fixed_wins && name != "model_name" {
                    let text = format!("is not searched, because {} fixes it", fixed.field);
                    log.note_at(&given.place, &given.field, NoteKind::Instead, text);
                    branch.parameters.shift_remove(name);
                } else {
                    log.error_at(&given.place, &given.field, Problem::Twice { other: format!("as {}", fixed.field) });
                }
            }
        }
    }

    fn concurrency(&mut self, log: &mut Log) {
        if self.limits.at_once > self.limits.trials {
            let text =
                format!("{} at once are more than there are trials; {} are", self.limits.at_once, self.limits.trials);
            log.note_at(&Place::Nowhere, "limits", NoteKind::Instead, text);
            self.limits.at_once = self.limits.trials;
        }
    }

    /// Names the specification's model where none is named.
    fn usual_models(&mut self, task: Task, log: &mut Log) {
        if self.fixed.contains_key("model_name") {
            return;
        }
        let own = self.fixed.get("recipe").is_none_or(|given| given.value != "specification");
        let model = if own { registry::default_for(task).map_or("", |spec| spec.name) } else { usual_model(task) };
        let text = format!("{model}, the usual model for {task}, because none is named");
        let all = self.branches.iter().flatten().all(|branch| !branch.parameters.contains_key("model_name"));
        if all {
            log.note_at(&Place::Nowhere, "model_name", NoteKind::Remark, text);
            let given = Given { value: Value::from(model), place: Place::Nowhere, field: "model_name".to_owned() };
            self.fixed.shift_insert(0, "model_name", given);
            return;
        }
        let mut without: Vec<&mut BranchDraft> =
            self.branches.iter_mut().flatten().filter(|b| !b.parameters.contains_key("model_name")).collect();
        for branch in &mut without {
            let field = format!("{}.model_name", branch.field);
            log.note_at(&branch.place, &field, NoteKind::Remark, text.clone());
            let value = Distribution::Choice(vec![Value::from(model)]);
            let given = Given { value, place: branch.place.clone(), field };
            branch.parameters.shift_insert(0, "model_name", given);
        }
    }

    /// Every model that is named is one of the task's.
    fn models_exist(&self, task: Task, log: &mut Log) -> bool {
        let before = log.errors.len();
        let fixed = self.fixed.get("model_name").map(|given| (vec![&given.value], given.place.clone(), &given.field));
        let searched = self.branches.iter().flatten().filter_map(|branch| {
            let given = branch.parameters.get("model_name")?;
            let Distribution::Choice(values) = &given.value else { return None };
            Some((values.iter().collect(), given.place.clone(), &given.field))
        });
        for (values, place, field) in fixed.into_iter().chain(searched) {
            for model in values.into_iter().filter_map(Value::as_str) {
                if registry::for_task(task).any(|spec| spec.name == model) {
                    continue;
                }
                let nearest = nearest(model, registry::for_task(task).map(|spec| spec.name)).map(str::to_owned);
                log.error_at(&place, field, Problem::Model { name: model.to_owned(), task, nearest });
            }
        }
        log.errors.len() == before
    }

    /// What every trial has, as options.
    pub fn fixed_options(&self, task: Task) -> IndexMap<String, Value> {
        let mut options = IndexMap::from([("task".to_owned(), Value::from(task.as_str()))]);
        options.extend(self.fixed.iter().map(|(name, given)| ((*name).to_owned(), given.value.clone())));
        options
    }

    /// Where an option was given.
    pub fn place<'a>(&'a self, branch: Option<&'a BranchDraft>, name: &str) -> (Place, &'a str) {
        if let Some(given) = branch.and_then(|branch| branch.parameters.get(name)) {
            return (given.place.clone(), &given.field);
        }
        self.fixed.get(name).map_or((Place::Nowhere, ""), |given| (given.place.clone(), given.field.as_str()))
    }

    /// What a sampler cannot do, and what ours does that the specification's cannot.
    fn sampler_fits(&self, log: &mut Log) {
        let branches = self.branches.as_deref().unwrap_or_default();
        let parameters = || branches.iter().flat_map(|branch| branch.parameters.values());
        match self.sampler.sampling {
            Sampling::Grid => {
                for given in parameters() {
                    if !matches!(given.value, Distribution::Choice(_)) {
                        let text = format!(
                            "is {}, of which a grid has no end; use choice, or another sampler",
                            name(&given.value)
                        );
                        log.error_at(&given.place, &given.field, Problem::refused(text));
                    }
                }
                let size = |branch: &BranchDraft| {
                    branch.parameters.values().fold(1_u64, |all, given| match &given.value {
                        Distribution::Choice(values) => all.saturating_mul(values.len() as u64),
                        _ => all,
                    })
                };
                let all = branches.iter().map(size).fold(0_u64, u64::saturating_add);
                if all > self.limits.trials {
                    let text = format!("the grid has {all} points, of which {} are tried", self.limits.trials);
                    log.note_at(&Place::Nowhere, "limits", NoteKind::Remark, text);
                }
            }
            Sampling::Bayesian => {
                let mut beyond = Vec::new();
                if branches.len() > 1 {
                    beyond.push("sub-spaces");
                }
                if self.termination.rule != Rule::Never {
                    beyond.push("early termination");
                }
                let usual = |d: &Distribution| {
                    matches!(d, Distribution::Choice(_) | Distribution::Uniform { .. } | Distribution::QUniform { .. })
                };
                if parameters().any(|given| !usual(&given.value)) {
                    beyond.push("distributions other than choice, uniform and quniform");
                }
                if !beyond.is_empty() {
                    let text = format!("{} with a Bayesian sampler: beyond the specification", beyond.join(", "));
                    log.note_at(&Place::Nowhere, "sampling", NoteKind::Beyond, text);
                }
            }
            Sampling::Random { .. } => {}
        }
        let several = branches.len() > 1 || branches.iter().any(|branch| points(branch).len() > 1);
        if self.limits.trials > 1 {
            self.comparable(log);
        } else if several {
            let text = "one trial: a single point of the search space is tried; raise max_trials for more";
            log.note_at(&Place::Nowhere, "limits", NoteKind::Remark, text);
        }
    }

    /// Trials without a metric cannot be compared.
    fn comparable(&self, log: &mut Log) {
        const NAME: &str = "validation_metric_type";
        let problem = || {
            Problem::refused(
                "cannot be none in a study: its trials are compared by their metric; give voc, coco or coco_voc",
            )
        };
        if let Some(given) = self.fixed.get(NAME).filter(|given| given.value == "none") {
            log.error_at(&given.place, &given.field, problem());
        }
        for given in self.branches.iter().flatten().filter_map(|branch| branch.parameters.get(NAME)) {
            if matches!(&given.value, Distribution::Choice(values) if values.iter().any(|value| value == "none")) {
                log.error_at(&given.place, &given.field, problem());
            }
        }
    }

    fn job(self, task: Task, log: &mut Log) -> Job {
        let fixed = self.fixed_options(task);
        let branch = |branch: BranchDraft| Branch {
            parameters: branch.parameters.into_iter().map(|(name, given)| (name.to_owned(), given.value)).collect(),
        };
        let space = self.branches.map(|branches| Space { branches: branches.into_iter().map(branch).collect() });
        let plan = StudyPlan {
            fixed,
            space,
            first: Vec::new(),
            sampling: self.sampler.sampling,
            termination: self.termination,
            limits: self.limits,
            seed: self.sampler.seed,
            test_data: self.test_data,
            labels: self.labels,
        };
        Job { plan, notes: std::mem::take(&mut log.notes) }
    }
}
