//! What is seen of a study while it goes: a table on a terminal, a line for each change elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use schemas::Task;
use serde_json::Value;
use sweep::plan::StudyPlan;
use sweep::study::{Observer, State, Trial};

use super::searched;
use crate::log::Log;

/// Trials in the table: the best, and those that were looked at last.
const ROWS: usize = 12;

/// Shows trials.
pub struct Watch<'a> {
    plan: StudyPlan,
    metric: &'static str,
    log: &'a Log,
    bar: Option<ProgressBar>,
    /// What was last said of each trial.
    said: BTreeMap<u64, State>,
    /// Whether it was said that the study waits.
    waits: bool,
}

impl<'a> Watch<'a> {
    /// Begins to show the trials of a study.
    pub fn new(plan: &StudyPlan, log: &'a Log) -> Self {
        let task = plan.fixed.get("task").and_then(Value::as_str).and_then(|task| task.parse::<Task>().ok());
        let metric = task.unwrap_or(Task::ALL[0]).primary_metric();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} trials, {elapsed}\n{msg}");
            let bar =
                ProgressBar::new(plan.limits.trials).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        Self { plan: plan.clone(), metric, log, bar, said: BTreeMap::new(), waits: false }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.log.line(line),
        }
    }

    fn line(&self, trial: &Trial, best: Option<&Trial>) -> String {
        let what = searched(&trial.point.values, &self.plan);
        let value = trial.best().map_or_else(
            || "nothing measured".to_owned(),
            |best| format!("{} {:.4} (epoch {})", self.metric, best.value, best.epoch),
        );
        let why =
            trial.why.lines().last().filter(|why| !why.is_empty()).map_or_else(String::new, |why| format!(": {why}"));
        match trial.state {
            State::Waiting | State::Running => format!("trial {}: {what}", trial.number),
            State::Completed | State::Stopped | State::Failed => {
                let best = best
                    .and_then(|best| Some(format!("; best is trial {} with {:.4}", best.number, best.best()?.value)));
                format!("trial {} {}{why}: {value}{}", trial.number, trial.state.as_str(), best.unwrap_or_default())
            }
        }
    }

    fn table(&self, trials: &[Trial], best: Option<&Trial>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["trial", "state", "epochs", self.metric, "what it tries"]);
        let first = best.map(|best| best.number);
        let last = trials.iter().rev().filter(|trial| Some(trial.number) != first).take(ROWS - 1);
        let mut shown: Vec<&Trial> = last.chain(best).collect();
        shown.sort_by_key(|trial| trial.number);
        for trial in shown {
            let value = trial.best().map_or_else(|| "-".to_owned(), |best| format!("{:.4}", best.value));
            table.add_row([
                format!("{}{}", trial.number, if Some(trial.number) == first { " best" } else { "" }),
                trial.state.as_str().to_owned(),
                trial.epochs.to_string(),
                value,
                searched(&trial.point.values, &self.plan),
            ]);
        }
        table.to_string()
    }
}

impl Observer for Watch<'_> {
    fn trials(&mut self, trials: &[Trial]) {
        self.waits = false;
        let best = best(trials);
        for trial in trials {
            if self.said.insert(trial.number, trial.state) == Some(trial.state) || trial.state == State::Waiting {
                continue;
            }
            let line = self.line(trial, best);
            self.say(&line);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(trials.iter().filter(|trial| trial.state.is_over()).count() as u64);
            bar.set_message(self.table(trials, best));
        }
    }

    fn waits(&mut self, why: &str) {
        if !std::mem::replace(&mut self.waits, true) {
            self.say(why);
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The trial with the best value among those that are over; of equals the first.
fn best(trials: &[Trial]) -> Option<&Trial> {
    let over = trials.iter().filter(|trial| matches!(trial.state, State::Completed | State::Stopped));
    let known = over.filter_map(|trial| Some((trial, trial.best()?.value)));
    known.reduce(|best, one| if one.1 > best.1 { one } else { best }).map(|(trial, _)| trial)
}
