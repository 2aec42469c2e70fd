//! Where better points may be: the tree-structured Parzen estimator (Bergstra et al. 2011), with one density over all parameters of a
//! branch (Falkner et al. 2018, BOHB; Watanabe 2023, arXiv:2304.11127).
//!
//! The best tenth of what was tried is taken for good, the rest for bad. Each is a mixture of a kernel around every point and of the
//! prior, in numbers from 0 to 1; of candidates drawn from the good, the one with the largest ratio of both is taken. Trials that run
//! count as bad, so that those at the same time look elsewhere.

use dataset::KeyedRng;

use super::draw::normal_quantile as quantile;
use super::random;
use super::{TrialResult, Tried};
use crate::space::{Branch, Distribution, Point, Space};

/// Trials before the estimator is asked; they are points of a Sobol sequence.
const STARTS: usize = 10;
/// Candidates of which the best is taken.
const CANDIDATES: usize = 64;
/// Share of the trials that are taken for good, and how many at most.
const GOOD: f64 = 0.1;
const MOST_GOOD: usize = 25;
/// Bandwidth of a kernel for one point in one dimension, and the least one: a share of the range.
const BANDWIDTH: f64 = 0.2;
const LEAST_BANDWIDTH: f64 = 0.01;
/// Weight of the prior, in points.
const PRIOR: f64 = 1.0;

/// A trial in numbers from 0 to 1.
struct Known {
    branch: usize,
    units: Vec<f64>,
}

/// The point of trial `number`.
pub(super) fn point(space: &Space, seed: u64, number: u64, tried: &[Tried]) -> Point {
    let over = tried.iter().filter(|one| one.result != TrialResult::Running).count();
    if over < STARTS.min(4 + dimensions(space)) {
        return random::sobol(space, seed, number);
    }
    let (good, bad) = parted(space, tried);
    let mut rng = KeyedRng::new("tpe point", &[seed, number]);
    let mut best: Option<(f64, usize, Vec<f64>)> = None;
    for _ in 0..CANDIDATES {
        let branch = draw_branch(space, &good, &mut rng);
        let parameters: Vec<&Distribution> = space.branches[branch].parameters.values().collect();
        let (of_good, of_bad) = (Density::of(&parameters, branch, &good), Density::of(&parameters, branch, &bad));
        let units = of_good.draw(&mut rng);
        let score = share(space, &good, branch).ln() - share(space, &bad, branch).ln() + of_good.log(&units)
            - of_bad.log(&units);
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            best = Some((score, branch, units));
        }
    }
    match best {
        Some((_, branch, units)) => at(&space.branches[branch], branch, &units),
        None => random::random(space, seed, number),
    }
}

fn at(parameters: &Branch, branch: usize, units: &[f64]) -> Point {
    let values = parameters
        .parameters
        .iter()
        .zip(units)
        .map(|((name, distribution), &unit)| (name.clone(), distribution.value(unit)));
    Point { branch, values: values.collect() }
}

fn dimensions(space: &Space) -> usize {
    space.branches.iter().map(|branch| branch.parameters.len()).max().unwrap_or(0)
}

/// The good and the bad ones of what was tried, those first that ran first.
fn parted(space: &Space, tried: &[Tried]) -> (Vec<Known>, Vec<Known>) {
    let mut ranked: Vec<(f64, u64, Known)> =
        tried.iter().filter_map(|one| Some((worth(one.result), one.number, known(space, one)?))).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let over = ranked.iter().filter(|(worth, ..)| *worth > f64::NEG_INFINITY).count();
    let good = ((GOOD * over as f64).ceil() as usize).clamp(1, MOST_GOOD).min(over);
    let mut knowns: Vec<Known> = ranked.into_iter().map(|(.., known)| known).collect();
    let bad = knowns.split_off(good);
    (knowns, bad)
}

/// What running, failed and undefined trials are taken for: worse than any.
fn worth(result: TrialResult) -> f64 {
    match result {
        TrialResult::Value(value) if !value.is_nan() => value,
        TrialResult::Value(_) | TrialResult::Running | TrialResult::Failed => f64::NEG_INFINITY,
    }
}

/// Nothing of a trial that is not of this space, as one of an earlier study may not be.
fn known(space: &Space, one: &Tried) -> Option<Known> {
    let parameters = &space.branches.get(one.point.branch)?.parameters;
    let units = parameters.iter().map(|(name, distribution)| distribution.unit(one.point.values.get(name)?));
    Some(Known { branch: one.point.branch, units: units.collect::<Option<_>>()? })
}

/// How likely a branch is among these, with the prior.
fn share(space: &Space, knowns: &[Known], branch: usize) -> f64 {
    let count = knowns.iter().filter(|known| known.branch == branch).count() as f64;
    (count + PRIOR / space.branches.len() as f64) / (knowns.len() as f64 + PRIOR)
}

fn draw_branch(space: &Space, good: &[Known], rng: &mut KeyedRng) -> usize {
    let mut left = rng.unit();
    for branch in 0..space.branches.len() {
        left -= share(space, good, branch);
        if left < 0.0 {
            return branch;
        }
    }
    space.branches.len().saturating_sub(1)
}

/// A mixture of kernels around points of one branch, and of the uniform prior.
struct Density<'a> {
    parameters: &'a [&'a Distribution],
    points: Vec<&'a [f64]>,
    bandwidth: f64,
}

impl<'a> Density<'a> {
    fn of(parameters: &'a [&'a Distribution], branch: usize, knowns: &'a [Known]) -> Self {
        let points: Vec<&[f64]> =
            knowns.iter().filter(|known| known.branch == branch).map(|known| known.units.as_slice()).collect();
        // Scott's rule: the more points, the narrower; the more dimensions, the wider.
        let count = points.len().max(1) as f64;
        let bandwidth = (BANDWIDTH * count.powf(-1.0 / (parameters.len() as f64 + 4.0))).max(LEAST_BANDWIDTH);
        Self { parameters, points, bandwidth }
    }

    fn draw(&self, rng: &mut KeyedRng) -> Vec<f64> {
        let total = self.points.len() as f64 + PRIOR;
        let place = (rng.unit() * total) as usize;
        let Some(point) = self.points.get(place) else { return self.parameters.iter().map(|_| rng.unit()).collect() };
        let around = self.parameters.iter().zip(*point);
        around
            .map(|(parameter, &centre)| match parameter {
                Distribution::Choice(values) => {
                    let stays = rng.unit() >= self.bandwidth;
                    if stays { centre } else { (rng.below(values.len() as u64) as f64 + 0.5) / values.len() as f64 }
                }
                _ => {
                    let (low, high) = self.ends(centre);
                    (centre + self.bandwidth * quantile(low + (high - low) * rng.unit()))
                        .clamp(0.0, 1.0_f64.next_down())
                }
            })
            .collect()
    }

    /// Shares of the kernel around a centre that lie below 0 and below 1.
    fn ends(&self, centre: f64) -> (f64, f64) {
        (below(-centre / self.bandwidth), below((1.0 - centre) / self.bandwidth))
    }

    fn log(&self, units: &[f64]) -> f64 {
        let total = self.points.len() as f64 + PRIOR;
        let kernels = self.points.iter().map(|point| {
            let factors =
                self.parameters.iter().zip(*point).zip(units).map(|((parameter, &centre), &unit)| match parameter {
                    // Against a uniform density of 1.
                    Distribution::Choice(values) => {
                        let count = values.len() as f64;
                        let same = (centre * count).floor() == (unit * count).floor();
                        self.bandwidth + if same { (1.0 - self.bandwidth) * count } else { 0.0 }
                    }
                    _ => {
                        let (low, high) = self.ends(centre);
                        let z = (unit - centre) / self.bandwidth;
                        (-0.5 * z * z).exp()
                            / (2.0 * std::f64::consts::PI).sqrt()
                            / self.bandwidth
                            / (high - low).max(1e-12)
                    }
                });
            factors.product::<f64>()
        });
        ((kernels.sum::<f64>() + PRIOR) / total).ln()
    }
}

/// Share of a standard normal distribution below a number: the inverse of its quantile, by halving.
fn below(z: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0_f64);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if quantile(middle) < z { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}
