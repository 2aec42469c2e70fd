//! Points that do not depend on what was tried: random ones, and those of a Sobol sequence.

use dataset::KeyedRng;
use sobol_burley::{NUM_DIMENSIONS, sample};

use crate::space::{Point, Space};

/// Numbers of a Sobol sequence that the library computes. Beyond them another sequence begins.
const LENGTH: u64 = 1 << 16;
/// Half the distance of its numbers, which have 24 bits: in the middle between two, none is 0.
const HALF_STEP: f64 = 0.5 / (1u64 << 24) as f64;

/// Point `number` of the random ones.
pub(super) fn random(space: &Space, seed: u64, number: u64) -> Option<Point> {
    let mut rng = KeyedRng::new("sweep random", &[seed, number]);
    point(space, || rng.unit())
}

/// Point `number` of an Owen-scrambled Sobol sequence (B. Burley, "Practical Hash-based Owen Scrambling", JCGT 9 (2020)).
///
/// Its first dimension chooses the branch, the others are the parameters' in their order. The sequence has 256 dimensions; a parameter
/// beyond them takes one of a second sequence, which is as even in itself and random beside the first. After 65536 points another
/// sequence begins.
pub(super) fn sobol(space: &Space, seed: u64, number: u64) -> Option<Point> {
    let mut dimension = 0;
    point(space, || {
        let unit = sobol_unit(seed, number, dimension);
        dimension += 1;
        unit
    })
}

/// Coordinate `dimension` of point `number`, within (0, 1).
fn sobol_unit(seed: u64, number: u64, dimension: u32) -> f64 {
    let sequence = KeyedRng::new("sweep sobol", &[seed, number / LENGTH, u64::from(dimension / NUM_DIMENSIONS)])
        .below(1 << 32) as u32;
    f64::from(sample((number % LENGTH) as u32, dimension % NUM_DIMENSIONS, sequence)) + HALF_STEP
}

/// The point of unit numbers: one chooses the branch, each of the others a value.
fn point(space: &Space, mut unit: impl FnMut() -> f64) -> Option<Point> {
    let last = space.branches.len().checked_sub(1)?;
    let index = ((unit() * space.branches.len() as f64) as usize).min(last);
    let parameters = space.branches[index].parameters.iter();
    Some(Point {
        branch: index,
        values: parameters.map(|(name, distribution)| (name.clone(), distribution.value_at(unit()))).collect(),
    })
}
