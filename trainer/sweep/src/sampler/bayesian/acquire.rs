//! Where the expected improvement is greatest.

use dataset::KeyedRng;

use super::encode::{Encoding, Place, same_place};
use super::gaussian::{Belief, Process};

/// Random places that are looked at.
const RANDOM: usize = 400;
/// Places near each of the best that were tried.
const NEAR: usize = 20;
/// How many of the best that were tried.
const BEST: usize = 5;
/// Places from which a search starts.
const STARTS: usize = 8;
/// First and last step of a search along an axis of numbers; each is half of the one before.
const STEPS: (f64, f64) = (0.25, 5e-4);
/// Alternatives of a list that are looked at.
const MOST_ALTERNATIVES: usize = 24;
/// Times that a search goes over all axes with one step.
const ROUNDS: usize = 6;

/// A search for the next place.
pub(super) struct Search<'a> {
    pub(super) encoding: &'a Encoding<'a>,
    pub(super) process: &'a Process<'a>,
    /// What was tried and has a result, the best first.
    pub(super) best: Vec<&'a Place>,
    /// All that was tried.
    pub(super) tried: Vec<&'a Place>,
}

impl Search<'_> {
    /// The best place found that was not tried; `None` where none is found.
    pub(super) fn run(&self, mut rng: KeyedRng) -> Option<Place> {
        let mut looked_at: Vec<(f64, Place)> = Vec::new();
        for _ in 0..RANDOM {
            looked_at.push(self.judged(self.random(&mut rng)));
        }
        for best in self.best.iter().take(BEST) {
            for _ in 0..NEAR {
                looked_at.push(self.judged(self.near(best, &mut rng)));
            }
        }
        looked_at.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let starts =
            looked_at.iter().take(STARTS).cloned().chain(self.best.first().map(|best| self.judged((*best).clone())));
        let mut climbed: Vec<(f64, Place)> =
            starts.collect::<Vec<_>>().into_iter().map(|start| self.climb(start)).collect();
        climbed.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        climbed.into_iter().chain(looked_at).map(|(_, place)| place).find(|place| self.is_new(place))
    }

    fn is_new(&self, place: &Place) -> bool {
        !self.tried.iter().any(|tried| same_place(tried, place))
    }

    /// A place with the logarithm of its expected improvement.
    fn judged(&self, place: Place) -> (f64, Place) {
        let belief = self.process.at(&self.encoding.coordinates(&place));
        (log_expected_improvement(belief, self.process.best), place)
    }

    fn random(&self, rng: &mut KeyedRng) -> Place {
        let branch = rng.below(self.encoding.branches.len() as u64) as usize;
        let units = self.encoding.branches[branch].iter().map(|axis| axis.snap(rng.unit())).collect();
        Place { branch, units }
    }

    /// A place that differs on one axis or more, numbers by a little.
    fn near(&self, place: &Place, rng: &mut KeyedRng) -> Place {
        let axes = &self.encoding.branches[place.branch];
        let mut near = place.clone();
        let always = rng.below(axes.len().max(1) as u64) as usize;
        for (at, axis) in axes.iter().enumerate() {
            let changed = rng.chance(0.5) || at == always;
            // The sum of two uniform numbers is near 0 more often than far.
            let (step, anywhere) = (0.1 * (rng.unit() + rng.unit() - 1.0), rng.unit());
            if changed {
                let moved = if axis.alternatives().next().is_some() { anywhere } else { near.units[at] + step };
                near.units[at] = axis.snap(moved.clamp(0.0, 1.0));
            }
        }
        near
    }

    /// Pattern search (R. Hooke and T. A. Jeeves, "Direct Search Solution of Numerical and Statistical Problems", 1961): along each axis
    /// to where it is better, with smaller and smaller steps.
    fn climb(&self, start: (f64, Place)) -> (f64, Place) {
        let mut current = start;
        let mut step = STEPS.0;
        while step >= STEPS.1 {
            for _ in 0..ROUNDS {
                let reached = current.0;
                for axis in 0..current.1.units.len() {
                    current = self.along(current, axis, step);
                }
                if current.0 <= reached {
                    break;
                }
            }
            step *= 0.5;
        }
        current
    }

    /// The best of a place and its neighbours on one axis.
    fn along(&self, current: (f64, Place), axis: usize, step: f64) -> (f64, Place) {
        let values = &self.encoding.branches[current.1.branch][axis];
        let unit = current.1.units[axis];
        let steps = [unit - step, unit + step].map(|moved| values.snap(moved.clamp(0.0, 1.0)));
        let ordered = values.alternatives().next().is_none();
        let neighbours = values.alternatives().take(MOST_ALTERNATIVES).chain(steps.into_iter().filter(|_| ordered));
        let mut best = current;
        for neighbour in neighbours.filter(|neighbour| *neighbour != unit) {
            let mut place = best.1.clone();
            place.units[axis] = neighbour;
            let judged = self.judged(place);
            if judged.0 > best.0 {
                best = judged;
            }
        }
        best
    }
}

/// Logarithm of the expected improvement over `best`, which is comparable where the improvement itself is too small for a number (S. Ament
/// and others, "Unexpected Improvements to Expected Improvement for Bayesian Optimization", 2023).
fn log_expected_improvement(belief: Belief, best: f64) -> f64 {
    belief.deviation.ln() + log_improvement((belief.mean - best) / belief.deviation)
}

/// Logarithm of the density of the standard normal distribution at `z` plus `z` times its cumulative probability.
fn log_improvement(z: f64) -> f64 {
    let log_density = -0.5 * z * z - 0.5 * (2.0 * std::f64::consts::PI).ln();
    if z > -6.0 {
        return (log_density.exp() + z * 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)).ln();
    }
    // The first terms of the asymptotic series, below 3e-4 of it from here on.
    let square = 1.0 / (z * z);
    log_density + (square * (1.0 - square * (3.0 - square * (15.0 - square * 105.0)))).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_improvement_is_that_of_the_integral_and_continuous() {
        // By numerical integration of max(z + x, 0) times the density of x.
        for z in [-7.0, -6.001, -5.999, -3.0, 0.0, 2.0] {
            let step = 1e-4;
            let integral: f64 = (0..200_000)
                .map(|k| f64::from(k).mul_add(step, 0.5 * step))
                .map(|gain| gain * (-0.5 * (gain - z) * (gain - z)).exp())
                .sum();
            let expected = (integral * step / (2.0 * std::f64::consts::PI).sqrt()).ln();
            assert!((log_improvement(z) - expected).abs() < 1e-3, "{z}: {} instead of {expected}", log_improvement(z));
        }
        assert!(log_improvement(-40.0) < log_improvement(-39.0));
        assert!(log_improvement(-1e6).is_finite());
    }
}
