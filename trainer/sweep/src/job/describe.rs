//! The plan of a study, for people.

use serde_json::Value;

use super::{Note, NoteKind};
use crate::plan::StudyPlan;
use crate::sampler::Sampling;
use crate::space::Distribution;
use crate::termination::{Rule, Slack, Termination};

/// The plan of a study and what to know of it, as `--dry_run` prints it: sections of lines, in the order in which a study goes.
#[must_use]
pub fn describe(plan: &StudyPlan, notes: &[Note]) -> String {
    let mut sections = vec![("study".to_owned(), study(plan)), ("every trial".to_owned(), fixed(plan))];
    match &plan.space {
        None => sections
            .push(("searched".to_owned(), vec!["models and ranges that the study chooses (AutoMode)".to_owned()])),
        Some(space) => {
            let count = space.branches.len();
            for (index, branch) in space.branches.iter().enumerate().filter(|(_, branch)| !branch.parameters.is_empty())
            {
                let title =
                    if count == 1 { "searched".to_owned() } else { format!("searched, {} of {count}", index + 1) };
                let parameters = branch.parameters.iter().map(|(name, from)| (name.as_str(), drawn(from)));
                sections.push((title, table(parameters)));
            }
        }
    }
    if !plan.labels.is_empty() {
        let labels = plan.labels.iter().map(|(name, value)| (name.as_str(), word(value)));
        sections.push(("labels".to_owned(), table(labels)));
    }
    // Labels are listed already.
    let notes: Vec<String> = notes.iter().filter(|note| note.kind != NoteKind::Label).map(line).collect();
    if !notes.is_empty() {
        sections.push(("notes".to_owned(), notes));
    }
    let section = |(title, lines): (String, Vec<String>)| {
        let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        format!("{title}\n{lines}")
    };
    sections.into_iter().map(section).collect::<Vec<_>>().join("\n")
}

fn line(note: &Note) -> String {
    let place = note.line.map_or_else(String::new, |line| format!("line {line}: "));
    format!("{place}{}: {}", note.field, note.text)
}

/// Two columns.
fn table<'a>(rows: impl Iterator<Item = (&'a str, String)>) -> Vec<String> {
    let rows: Vec<(&str, String)> = rows.collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.into_iter().map(|(name, text)| format!("{name:width$}  {text}")).collect()
}

/// A value as it is written on a command line.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn study(plan: &StudyPlan) -> Vec<String> {
    let limits = plan.limits;
    let minutes =
        |minutes: Option<f64>| minutes.map_or_else(|| "no limit".to_owned(), |minutes| format!("{minutes} minutes"));
    let mut rows = vec![
        ("trials", limits.trials.to_string()),
        ("at once", limits.at_once.to_string()),
        ("time of all", minutes(limits.minutes)),
        ("time of a trial", minutes(limits.trial_minutes)),
    ];
    let single =
        plan.space.as_ref().is_some_and(|space| matches!(&space.branches[..], [one] if one.parameters.is_empty()));
    if !single {
        let sampler = match plan.sampling {
            Sampling::Random { sobol: false } => "random",
            Sampling::Random { sobol: true } => "random, by a Sobol sequence",
            Sampling::Grid => "grid: every combination once",
            Sampling::Bayesian => "Bayesian",
        };
        rows.push(("sampler", format!("{sampler}; seed {}", plan.seed)));
    }
    rows.push(("ended early", ended(plan.termination)));
    if let Some(path) = &plan.test_data {
        rows.push(("test data", path.clone()));
    }
    table(rows.into_iter())
}

fn fixed(plan: &StudyPlan) -> Vec<String> {
    table(plan.fixed.iter().map(|(name, value)| (name.as_str(), word(value))))
}

fn ended(termination: Termination) -> String {
    let what = match termination.rule {
        Rule::Never => return "none".to_owned(),
        Rule::Bandit(Slack::Factor(factor)) => format!("those below the best divided by {}", 1.0 + factor),
        Rule::Bandit(Slack::Amount(amount)) => format!("those more than {amount} below the best"),
        Rule::Median => "those below the median of the averages of all".to_owned(),
        Rule::Truncation { percentage, exclude_finished } => {
            let finished = if exclude_finished { ", ended ones left out" } else { "" };
            format!("the lowest {percentage} % of all{finished}")
        }
        Rule::Asha { least, reduction } => {
            format!("all but the best 1 in {reduction} after {least} reports, and after each {reduction} times as many")
        }
    };
    let every = match termination.every {
        0 | 1 => "after every report".to_owned(),
        every => format!("after every {every} reports"),
    };
    format!("{what}; looked at {every}, from report {} on", termination.delay.max(termination.every).max(1))
}

/// A distribution, in a sentence.
fn drawn(from: &Distribution) -> String {
    let steps = |step: f64| format!(", in steps of {step}");
    match from {
        Distribution::Choice(values) => match &values[..] {
            [one] => word(one),
            [..] => format!("one of {}", values.iter().map(word).collect::<Vec<_>>().join(", ")),
        },
        Distribution::RandInt { upper } => format!("a whole number from 0 to {}", upper.saturating_sub(1)),
        Distribution::Uniform { low, high } => format!("uniform from {low} to {high}"),
        Distribution::QUniform { low, high, step } => format!("uniform from {low} to {high}{}", steps(*step)),
        Distribution::LogUniform { low, high } => format!("{}, uniform in the logarithm", powers(*low, *high)),
        Distribution::QLogUniform { low, high, step } => {
            format!("{}, uniform in the logarithm{}", powers(*low, *high), steps(*step))
        }
        Distribution::Normal { mean, deviation } => format!("normal around {mean}, deviation {deviation}"),
        Distribution::QNormal { mean, deviation, step } => {
            format!("normal around {mean}, deviation {deviation}{}", steps(*step))
        }
        Distribution::LogNormal { mean, deviation } => {
            format!("normal in the logarithm around {}, deviation {deviation} of the logarithm", power(*mean))
        }
        Distribution::QLogNormal { mean, deviation, step } => {
            let middle = mean.exp();
            format!(
                "normal in the logarithm around {middle:.3e}, deviation {deviation} of the logarithm{}",
                steps(*step)
            )
        }
    }
}

fn powers(low: f64, high: f64) -> String {
    format!("from {} to {}", power(low), power(high))
}

/// e to the power of a number, in four digits.
fn power(logarithm: f64) -> String {
    let short = format!("{:.3e}", logarithm.exp());
    short.parse::<f64>().map_or(short, |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{ReadOptions, v2};

    #[test]
    fn a_plan_reads_from_top_to_bottom() {
        let text = "type: automl\ntask: image_object_detection\ncompute: gpus\n\
            training_data: {path: train}\nlimits: {max_trials: 6, timeout_minutes: 30}\n\
            training_parameters: {distributed: true}\n\
            sweep: {sampling_algorithm: {type: random, rule: sobol, seed: 2}, \
            early_termination: {type: bandit, slack_factor: 0.25, evaluation_interval: 3}}\n\
            search_space:\n\x20 - {model_name: yolov5, learning_rate: 'loguniform(-9, -4)'}\n\
            \x20 - {model_name: retinanet_resnet50_fpn, min_size: 'quniform(400, 600, 50)'}\n";
        let job = v2::read(text, &ReadOptions::default()).unwrap();
        let expected = "study
  trials           6
  at once          1
  time of all      30 minutes
  time of a trial  no limit
  sampler          random, by a Sobol sequence; seed 2
  ended early      those below the best divided by 1.25; looked at after every 3 reports, from report 3 on

every trial
  task           image-object-detection
  training_data  train
  recipe         specification

searched, 1 of 2
  model_name     yolov5
  learning_rate  from 0.0001234 to 0.01832, uniform in the logarithm

searched, 2 of 2
  model_name  retinanet_resnet50_fpn
  min_size    uniform from 400 to 600, in steps of 50

labels
  compute  gpus

notes
  line 6: training_parameters.distributed: a training runs in one process, on one device
";
        assert_eq!(describe(&job.plan, &job.notes), expected);
    }
}
