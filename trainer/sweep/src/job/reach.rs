//! Every point that a search may reach, tried as a plan, so that no trial fails by its settings.

use indexmap::IndexMap;
use models::registry;
use schemas::{Plan, SettingError, Task};
use serde_json::Value;

use super::NoteKind;
use super::draft::{BranchDraft, Draft, usual_model};
use super::fields::Log;
use super::settings::ends;
use crate::plan::without_idle;
use crate::space::Distribution;

/// Most points of a branch that are all looked at; of more, all pairs of values are.
const ALL_POINTS: usize = 600;
/// Most values of a parameter that are looked at together with others.
const VALUES: usize = 16;

impl Draft {
    /// Every choice and every end of the branches is a plan; what has no effect anywhere is left out.
    pub fn check_branches(&mut self, task: Task, log: &mut Log) {
        let fixed = self.fixed_options(task);
        let branches = self.branches.take().unwrap_or_default();
        let mut kept = Vec::new();
        // By the name of something fixed, in how many branches it never has an effect.
        let mut without: IndexMap<String, (usize, String)> = IndexMap::new();
        for mut branch in branches.clone() {
            for (name, idle) in self.check_branch(&fixed, &branch, log) {
                match (branch.parameters.contains_key(name.as_str()), idle.always) {
                    (true, true) => {
                        let (place, field) = self.place(Some(&branch), &name);
                        log.note_at(&place, field, NoteKind::Instead, format!("is left out: {}", idle.reason));
                        branch.parameters.shift_remove(name.as_str());
                    }
                    (true, false) => {
                        let (place, field) = self.place(Some(&branch), &name);
                        log.note_at(
                            &place,
                            field,
                            NoteKind::Remark,
                            format!("is left out of some trials: {}", idle.reason),
                        );
                    }
                    (false, always) => {
                        let entry = without.entry(name).or_insert((0, idle.reason));
                        entry.0 += usize::from(always);
                    }
                }
            }
            kept.push(branch);
        }
        for (name, (count, reason)) in without {
            let (place, field) = self.place(None, &name);
            let field = field.to_owned();
            if count == branches.len() {
                self.fixed.shift_remove(name.as_str());
                log.note_at(&place, &field, NoteKind::Instead, format!("is left out: {reason}"));
            } else {
                log.note_at(&place, &field, NoteKind::Remark, format!("is left out of some trials: {reason}"));
            }
        }
        self.branches = Some(kept);
    }

    fn check_branch(
        &self,
        fixed: &IndexMap<String, Value>,
        branch: &BranchDraft,
        log: &mut Log,
    ) -> Vec<(String, Idle)> {
        let points = points(branch);
        let mut plans: Vec<Option<(IndexMap<String, Value>, Plan)>> = Vec::new();
        let mut idle: IndexMap<String, Idle> = IndexMap::new();
        let mut told: Vec<(String, String)> = Vec::new();
        for point in &points {
            let mut options = fixed.clone();
            options.extend(point.clone());
            match without_idle(&mut options) {
                Ok((plan, errors)) => {
                    for error in errors {
                        if let Some(name) = error.idle().map(str::to_owned) {
                            idle.entry(name).or_insert_with(|| Idle { always: true, reason: reason(&error) });
                        }
                    }
                    plans.push(Some((options, plan)));
                }
                Err(errors) => {
                    plans.push(None);
                    for error in errors {
                        let about = about(&error);
                        if !told.contains(&about) {
                            let (place, field) = self.place(Some(branch), &about.0);
                            log.error_at(&place, field, error);
                            told.push(about);
                        }
                    }
                }
            }
        }
        for (name, idle) in &mut idle {
            // Where it was not taken out, it has no effect if the plan without it has the same settings.
            idle.always =
                plans.iter().flatten().filter(|(options, _)| options.contains_key(name)).all(|(options, plan)| {
                    let mut less = options.clone();
                    less.shift_remove(name);
                    without_idle(&mut less).is_ok_and(|(other, _)| other.settings == plan.settings)
                });
        }
        idle.into_iter().collect()
    }

    /// Settings beside which the study chooses the model suit at least one.
    pub fn check_automatic(&self, task: Task, log: &mut Log) {
        let fixed = self.fixed_options(task);
        let tried = |model: &str| {
            let mut options = fixed.clone();
            options.entry("model_name".to_owned()).or_insert_with(|| model.into());
            without_idle(&mut options)
        };
        if registry::for_task(task).any(|spec| tried(spec.name).is_ok()) {
            return;
        }
        for error in tried(usual_model(task)).err().into_iter().flatten() {
            let (place, field) = self.place(None, &about(&error).0);
            log.error_at(&place, field, error);
        }
    }
}

/// A setting without effect in some points of a branch, or in all.
struct Idle {
    always: bool,
    reason: String,
}

fn reason(error: &SettingError) -> String {
    match error {
        SettingError::Contradiction { second, advice, .. } => {
            format!("it has no effect with {second} ({})", advice.split(';').next().unwrap_or(advice))
        }
        other => other.to_string(),
    }
}

/// The settings that an error is about.
fn about(error: &SettingError) -> (String, String) {
    let name = |text: &str| text.split(' ').next().unwrap_or(text).to_owned();
    match error {
        SettingError::Contradiction { first, second, .. } => (name(first), name(second)),
        SettingError::Unknown { name, .. }
        | SettingError::WrongType { name, .. }
        | SettingError::OutOfRange { name, .. }
        | SettingError::OtherTask { name, .. }
        | SettingError::NotOffered { name, .. }
        | SettingError::Duplicate { name, .. }
        | SettingError::Missing { name, .. } => (name.clone(), String::new()),
    }
}

/// Values that stand for all of a distribution.
fn values(distribution: &Distribution) -> Vec<Value> {
    match distribution {
        Distribution::Choice(values) if values.len() > VALUES && values.iter().all(Value::is_number) => {
            (0..VALUES).map(|at| values[at * (values.len() - 1) / (VALUES - 1)].clone()).collect()
        }
        Distribution::Choice(values) => values.clone(),
        numbers => ends(numbers).into_iter().map(Value::from).collect(),
    }
}

/// Points of a branch: all combinations of the values that stand for its distributions or, where they are many, all pairs.
pub(super) fn points(branch: &BranchDraft) -> Vec<IndexMap<String, Value>> {
    let all: Vec<(&str, Vec<Value>)> =
        branch.parameters.iter().map(|(name, given)| (*name, values(&given.value))).collect();
    let first: IndexMap<String, Value> =
        all.iter().map(|(name, values)| ((*name).to_owned(), values[0].clone())).collect();
    let size = all.iter().fold(1_usize, |size, (_, values)| size.saturating_mul(values.len()));
    if size <= ALL_POINTS {
        return all.iter().fold(vec![IndexMap::new()], |points, (name, values)| {
            let with = |point: &IndexMap<String, Value>, value: &Value| {
                let mut point = point.clone();
                point.insert((*name).to_owned(), value.clone());
                point
            };
            points.iter().flat_map(|point| values.iter().map(move |value| with(point, value))).collect()
        });
    }
    let mut points = vec![first.clone()];
    for (at, (one, values)) in all.iter().enumerate() {
        for (other, others) in &all[at + 1..] {
            for (value, second) in values.iter().flat_map(|value| others.iter().map(move |second| (value, second))) {
                let mut point = first.clone();
                point.insert((*one).to_owned(), value.clone());
                point.insert((*other).to_owned(), second.clone());
                points.push(point);
            }
        }
    }
    points
}
