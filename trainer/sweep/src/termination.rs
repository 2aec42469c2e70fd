//! Which trials are ended early. Pure functions of what trials have reported.

use serde::{Deserialize, Serialize};

/// A rule of ending trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Termination {
    /// Which trials.
    pub rule: Rule,
    /// Reports between two looks at a trial.
    pub every: u32,
    /// Reports before the first look.
    pub delay: u32,
}

/// Which trials are ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// None.
    #[default]
    Never,
    /// Those that are further behind the best than a share or an amount.
    Bandit(Slack),
    /// Those whose best is below the median of the running averages of all.
    Median,
    /// The lowest share of all.
    Truncation {
        /// Per cent, 1 to 99.
        percentage: u32,
        /// Whether trials that ended are left out of the comparison.
        exclude_finished: bool,
    },
    /// Asynchronous successive halving: those that are not among the best 1 / `reduction` at a rung.
    Asha {
        /// Reports before the first rung.
        least: u32,
        /// Factor between rungs, and of trials that go on.
        reduction: u32,
    },
}

/// How far behind the best a trial may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slack {
    /// Ended below best / (1 + factor).
    Factor(f64),
    /// Ended below best - amount.
    Amount(f64),
}

/// What a trial has reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Number of the trial, from 0.
    pub trial: u64,
    /// The primary metric, report by report; larger is better, NaN is an undefined one.
    pub values: Vec<f64>,
    /// Whether it reports no more.
    pub ended: bool,
}

impl Termination {
    /// What is wrong with its parameters; `None` where nothing is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self.rule {
            Rule::Never | Rule::Median => None,
            Rule::Bandit(Slack::Factor(slack) | Slack::Amount(slack)) => {
                let usable = slack.is_finite() && slack >= 0.0;
                (!usable).then(|| format!("the slack of bandit is {slack}; it must be a number from 0 on"))
            }
            Rule::Truncation { percentage, .. } => (!(1..=99).contains(&percentage))
                .then(|| format!("truncation_percentage is {percentage}; it must be from 1 to 99")),
            Rule::Asha { least, reduction } => (least == 0 || reduction < 2)
                .then(|| format!("the rungs of asha begin at {least} and grow by {reduction}; they begin at 1 at least and grow by 2 at least")),
        }
    }

    /// Whether `trial` is to be ended after its last report, by what all, itself among them, have reported.
    ///
    /// With `N` its number of reports, it is looked at when `N` is a multiple of `every` (0 counts as 1) and at least `delay`; of
    /// others, reports up to their `N`th count, so that a young trial is compared with what older ones were at its age. Undefined
    /// values count as worse than any. Nothing is ended that equals what it is compared with.
    ///
    /// - [`Rule::Bandit`]: its best is below the best of all less the slack. A factor `f` makes that `best / (1 + f)` of a best above 0,
    ///   and lies as far below one that is not.
    /// - [`Rule::Median`]: its best is below the median, over the trials with a defined report, of the mean of their reports (of an even
    ///   number of trials the mean of the middle two).
    /// - [`Rule::Truncation`]: of the trials with a report `N` (or, unless they are left out, that ended before), it is among the lowest
    ///   `percentage`, rounded down to whole trials, by their report `N` (or their last). Trials that tie for the last such place stay.
    /// - [`Rule::Asha`] (Li et al. 2018, arXiv:1810.05934): looked at where `N` is a rung, `least * reduction^k`; its best is below the
    ///   best `1 / reduction` of the trials that came as far, rounded down to whole trials, at least one.
    #[must_use]
    pub fn ends(&self, trial: &Curve, all: &[Curve]) -> bool {
        let n = trial.values.len();
        if n == 0 || !n.is_multiple_of(self.every.max(1) as usize) || n < self.delay as usize {
            return false;
        }
        let best = trial.best(n);
        match self.rule {
            Rule::Never => false,
            Rule::Bandit(slack) => {
                let top = all.iter().map(|one| one.best(n)).fold(f64::NEG_INFINITY, f64::max);
                let limit = match slack {
                    Slack::Amount(amount) => top - amount,
                    Slack::Factor(factor) => top - top.abs() * factor / (1.0 + factor),
                };
                best < limit
            }
            Rule::Median => {
                median(all.iter().filter_map(|one| one.mean(n)).collect()).is_some_and(|median| best < median)
            }
            Rule::Truncation { percentage, exclude_finished } => {
                let compared = all.iter().filter_map(|one| one.at(n, exclude_finished && one.trial != trial.trial));
                let values: Vec<f64> = compared.map(worst_if_undefined).collect();
                let own = worst_if_undefined(trial.values[n - 1]);
                let no_better = values.iter().filter(|value| **value <= own).count();
                no_better <= values.len() * percentage as usize / 100
            }
            Rule::Asha { least, reduction } => {
                if !is_rung(n, least as usize, reduction as usize) {
                    return false;
                }
                let came_as_far: Vec<f64> =
                    all.iter().filter(|one| one.values.len() >= n).map(|one| one.best(n)).collect();
                let stay = (came_as_far.len() / (reduction as usize).max(2)).max(1);
                came_as_far.iter().filter(|value| **value > best).count() >= stay
            }
        }
    }
}

impl Curve {
    /// The best of the first `n` reports; below everything without a defined one.
    fn best(&self, n: usize) -> f64 {
        self.values.iter().take(n).copied().filter(|value| !value.is_nan()).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The mean of the defined ones of the first `n` reports.
    fn mean(&self, n: usize) -> Option<f64> {
        let defined: Vec<f64> = self.values.iter().take(n).copied().filter(|value| !value.is_nan()).collect();
        (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
    }

    /// Its `n`th report, or, of a trial that ended before, its last one.
    fn at(&self, n: usize, unless_ended: bool) -> Option<f64> {
        match self.values.get(n - 1) {
            Some(_) if self.ended && unless_ended => None,
            Some(value) => Some(*value),
            None if self.ended && !unless_ended => self.values.last().copied(),
            None => None,
        }
    }
}

fn worst_if_undefined(value: f64) -> f64 {
    if value.is_nan() { f64::NEG_INFINITY } else { value }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[half]),
        _ => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

fn is_rung(n: usize, least: usize, reduction: usize) -> bool {
    let mut rung = least.max(1);
    while rung < n {
        rung = rung.saturating_mul(reduction.max(2));
    }
    rung == n
}

#[cfg(test)]
mod tests {
    use dataset::KeyedRng;

    use super::*;

    fn curve(trial: u64, values: &[f64]) -> Curve {
        Curve { trial, values: values.to_vec(), ended: false }
    }

    fn rule(rule: Rule) -> Termination {
        Termination { rule, every: 1, delay: 0 }
    }

    #[test]
    fn the_example_of_the_specification() {
        // Best .8 and a factor of .2: below .667 is ended.
        let bandit = rule(Rule::Bandit(Slack::Factor(0.2)));
        let best = curve(0, &[0.8]);
        for (value, ends) in [(0.66, true), (0.667, false), (0.8, false), (f64::NAN, true)] {
            let one = curve(1, &[value]);
            assert_eq!(bandit.ends(&one, &[best.clone(), one.clone()]), ends, "{value}");
        }
        // Of a best below 0 the limit lies below it, too: -0.5 less a sixth of it.
        let (top, near, far) = (curve(0, &[-0.5]), curve(1, &[-0.58]), curve(2, &[-0.59]));
        let all = [top.clone(), near.clone(), far.clone()];
        assert_eq!(all.each_ref().map(|one| bandit.ends(one, &all)), [false, false, true]);
    }

    #[test]
    fn trials_are_looked_at_when_it_is_their_time() {
        let bandit = Termination { rule: Rule::Bandit(Slack::Amount(0.1)), every: 2, delay: 4 };
        let good = curve(0, &[0.9; 8]);
        let ends: Vec<usize> =
            (1..8).filter(|&n| bandit.ends(&curve(1, &vec![0.1; n]), std::slice::from_ref(&good))).collect();
        assert_eq!(ends, [4, 6]);
        // A young trial is compared with what the others were at its age.
        let late = curve(0, &[0.2, 0.3, 0.9]);
        let young = curve(1, &[0.25]);
        assert!(!rule(Rule::Bandit(Slack::Amount(0.1))).ends(&young, &[late, young.clone()]));
    }

    #[test]
    fn ties_stay() {
        let all: Vec<Curve> = (0..4).map(|trial| curve(trial, &[0.5])).collect();
        for one in [
            Rule::Median,
            Rule::Bandit(Slack::Amount(0.0)),
            Rule::Truncation { percentage: 75, exclude_finished: false },
            Rule::Asha { least: 1, reduction: 2 },
        ] {
            assert!(all.iter().all(|trial| !rule(one).ends(trial, &all)), "{one:?}");
        }
    }

    #[test]
    fn finished_trials_are_left_out_where_that_is_asked() {
        let ended = |trial: u64, value: f64| Curve { ended: true, ..curve(trial, &[value]) };
        let all = [curve(0, &[0.5, 0.5]), curve(1, &[0.6, 0.6]), ended(2, 0.1), ended(3, 0.2)];
        let truncation = |percentage, exclude_finished| rule(Rule::Truncation { percentage, exclude_finished });
        assert!(!truncation(50, false).ends(&all[0], &all), "two ended ones are worse");
        assert!(truncation(50, true).ends(&all[0], &all));
    }

    /// Histories with ties, undefined values, trials of different ages, and one alone.
    fn histories() -> Vec<Vec<Curve>> {
        let one = |seed: u64| {
            let mut rng = KeyedRng::new("histories", &[seed]);
            let trials = 1 + rng.below(if seed.is_multiple_of(10) { 1 } else { 7 });
            let curve = |trial: u64| {
                let length = rng.below(9) as usize;
                // Tenths, so that many are equal; every eighth is undefined.
                let mut value = || {
                    if rng.below(8) == 0 {
                        f64::NAN
                    } else {
                        rng.below(10) as f64 / 10.0 - if seed.is_multiple_of(3) { 0.5 } else { 0.0 }
                    }
                };
                let values = (0..length).map(|_| value()).collect();
                Curve { trial, values, ended: rng.below(3) == 0 }
            };
            (0..trials).map(curve).collect()
        };
        (0..200).map(one).collect()
    }

    /// The rules once more, as one would say them, without sharing anything with the above.
    fn said(rule: Rule, mine: &[f64], all: &[Curve], me: u64) -> bool {
        let n = mine.len();
        let best_of = |values: &[f64]| {
            let mut best = None;
            for &value in values {
                if !value.is_nan() && best.is_none_or(|best| value > best) {
                    best = Some(value);
                }
            }
            best
        };
        let until = |one: &Curve| one.values[..one.values.len().min(n)].to_vec();
        let bests: Vec<f64> = all.iter().filter_map(|one| best_of(&until(one))).collect();
        let Some(top) = best_of(&bests) else { return false };
        let mine_best = best_of(mine);
        match rule {
            Rule::Never => false,
            Rule::Bandit(Slack::Amount(amount)) => mine_best.is_none_or(|best| best < top - amount),
            Rule::Bandit(Slack::Factor(factor)) => mine_best.is_none_or(|best| {
                if top > 0.0 {
                    best < top / (1.0 + factor) - 1e-15
                } else {
                    top - best > -top * (1.0 - 1.0 / (1.0 + factor)) + 1e-15
                }
            }),
            Rule::Median => {
                let mut means: Vec<f64> = vec![];
                for one in all {
                    let (mut sum, mut count) = (0.0, 0);
                    for value in until(one) {
                        if !value.is_nan() {
                            sum += value;
                            count += 1;
                        }
                    }
                    if count > 0 {
                        means.push(sum / f64::from(count));
                    }
                }
                means.sort_by(f64::total_cmp);
                let middle = (means[(means.len() - 1) / 2] + means[means.len() / 2]) / 2.0;
                mine_best.is_none_or(|best| best < middle)
            }
            Rule::Truncation { percentage, exclude_finished } => {
                let mut ranked: Vec<(f64, u64)> = vec![];
                for one in all {
                    let value = if one.values.len() >= n && !(one.ended && exclude_finished && one.trial != me) {
                        one.values[n - 1]
                    } else if one.values.len() < n && one.ended && !exclude_finished && !one.values.is_empty() {
                        one.values[one.values.len() - 1]
                    } else {
                        continue;
                    };
                    ranked.push((if value.is_nan() { -1e9 } else { value }, one.trial));
                }
                ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
                let places = ranked.len() * percentage as usize / 100;
                let own = ranked.iter().find(|(_, trial)| *trial == me).unwrap().0;
                // The last of those that equal it has to be within the places.
                ranked.iter().rposition(|(value, _)| *value == own).unwrap() < places
            }
            Rule::Asha { least, reduction } => {
                let mut rungs = vec![least as usize];
                while rungs[rungs.len() - 1] < 1000 {
                    rungs.push(rungs[rungs.len() - 1] * reduction as usize);
                }
                if !rungs.contains(&n) {
                    return false;
                }
                let mut there: Vec<f64> = all
                    .iter()
                    .filter(|one| one.values.len() >= n)
                    .map(|one| best_of(&until(one)).unwrap_or(-1e9))
                    .collect();
                there.sort_by(|a, b| b.total_cmp(a));
                let stay = (there.len() / reduction as usize).max(1);
                mine_best.unwrap_or(-1e9) < there[stay - 1]
            }
        }
    }

    #[test]
    fn each_rule_ends_exactly_what_it_says() {
        let rules = [
            Rule::Never,
            Rule::Bandit(Slack::Amount(0.15)),
            Rule::Bandit(Slack::Factor(0.25)),
            Rule::Median,
            Rule::Truncation { percentage: 40, exclude_finished: false },
            Rule::Truncation { percentage: 40, exclude_finished: true },
            Rule::Asha { least: 1, reduction: 3 },
            Rule::Asha { least: 2, reduction: 2 },
        ];
        for rule in rules {
            let (mut ended, mut looked) = (0, 0);
            for all in histories() {
                for trial in all.iter().filter(|trial| !trial.values.is_empty()) {
                    for (every, delay) in [(1, 0), (2, 3)] {
                        let ends = Termination { rule, every, delay }.ends(trial, &all);
                        let n = trial.values.len();
                        let expected = n.is_multiple_of(every as usize)
                            && n >= delay as usize
                            && said(rule, &trial.values, &all, trial.trial);
                        assert_eq!(ends, expected, "{rule:?} {trial:?} of {all:?}");
                        looked += 1;
                        ended += usize::from(ends);
                    }
                }
            }
            let some = rule == Rule::Never || (looked / 50 < ended && ended < looked * 3 / 4);
            assert!(some, "{rule:?} ended {ended} of {looked}, which shows nothing");
        }
    }
}
