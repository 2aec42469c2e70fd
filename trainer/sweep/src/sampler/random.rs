//! Points that know nothing of each other: random ones, and those of a Sobol sequence.

use dataset::KeyedRng;
use indexmap::IndexMap;
use sobol_burley::{NUM_DIMENSIONS, sample};

use crate::space::{Branch, Point, Space};

/// Points of a scrambled sequence; the next ones belong to another, with another seed.
const SEQUENCE: u64 = 1 << 16;

/// A point of the space from numbers from 0 to 1: the first chooses the branch, the others the values of its parameters, in order.
pub(super) fn point(space: &Space, mut unit: impl FnMut(usize) -> f64) -> Point {
    let branches = space.branches.len().max(1);
    let branch = ((unit(0) * branches as f64) as usize).min(branches - 1);
    let none = Branch::default();
    let parameters = &space.branches.get(branch).unwrap_or(&none).parameters;
    let values = parameters
        .iter()
        .enumerate()
        .map(|(at, (name, distribution))| (name.clone(), distribution.value(unit(at + 1))));
    Point { branch, values: values.collect::<IndexMap<_, _>>() }
}

/// The random point of a trial.
pub(super) fn random(space: &Space, seed: u64, number: u64) -> Point {
    let mut rng = KeyedRng::new("random point", &[seed, number]);
    point(space, |_| rng.unit())
}

/// The point of a trial in an Owen-scrambled Sobol sequence (Burley 2020, "Practical hash-based Owen scrambling"). Of more than 255
/// parameters, those beyond are random.
pub(super) fn sobol(space: &Space, seed: u64, number: u64) -> Point {
    let mut rng = KeyedRng::new("sobol point", &[seed, number]);
    let scramble = KeyedRng::new("sobol scramble", &[seed, number / SEQUENCE]).below(1 << 32) as u32;
    let index = (number % SEQUENCE) as u32;
    point(space, |dimension| match u32::try_from(dimension).ok().filter(|&dimension| dimension < NUM_DIMENSIONS) {
        Some(dimension) => f64::from(sample(index, dimension, scramble)),
        None => rng.unit(),
    })
}
