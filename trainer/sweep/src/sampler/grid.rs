//! Every combination once.
//!
//! The specification goes through choices only. Here whole numbers below a bound (randint) and uniform numbers with steps (quniform) are
//! gone through as well, up to [`MOST_VALUES`] each, since what they mean is a list. A log-uniform distribution with steps has one too, but
//! evenly spaced values are not what it means; it is refused with all that have none.

use crate::space::{Branch, Point, Space, SpaceError};

/// Values of one parameter: as many as a study may have trials.
const MOST_VALUES: usize = 1000;

/// What of the space cannot be gone through.
pub(super) fn errors(space: &Space) -> Vec<SpaceError> {
    let parameters = space
        .branches
        .iter()
        .enumerate()
        .flat_map(|(at, branch)| branch.parameters.iter().map(move |(name, d)| (at, name, d)));
    parameters
        .filter_map(|(at, name, distribution)| {
            let problem = distribution.values(MOST_VALUES).err()?;
            Some(SpaceError { place: space.place(at, Some(name)), problem })
        })
        .collect()
}

/// Whether there is a list of all points.
pub(super) fn finite(space: &Space) -> bool {
    space
        .branches
        .iter()
        .flat_map(|branch| branch.parameters.values())
        .all(|distribution| distribution.values(MOST_VALUES).is_ok())
}

/// How many points there are.
pub(super) fn size(space: &Space) -> u64 {
    space.branches.iter().fold(0, |sum, branch| sum.saturating_add(size_of(branch)))
}

/// Point `number`: the branches one after the other, and of each the full product, whose last parameter changes first.
pub(super) fn point(space: &Space, number: u64) -> Option<Point> {
    let mut left = number;
    for (index, branch) in space.branches.iter().enumerate() {
        let size = size_of(branch);
        if left < size {
            return Some(Point { branch: index, values: combination(branch, left)? });
        }
        left -= size;
    }
    None
}

fn combination(branch: &Branch, number: u64) -> Option<indexmap::IndexMap<String, serde_json::Value>> {
    let mut left = number;
    let mut chosen = Vec::new();
    for (name, distribution) in branch.parameters.iter().rev() {
        let values = distribution.values(MOST_VALUES).ok()?;
        let count = values.len() as u64;
        chosen.push((name.clone(), values.get((left % count) as usize)?.clone()));
        left /= count;
    }
    chosen.reverse();
    Some(chosen.into_iter().collect())
}

/// Combinations of a branch; 0 where there is no list of them.
fn size_of(branch: &Branch) -> u64 {
    let counts = branch
        .parameters
        .values()
        .map(|distribution| distribution.values(MOST_VALUES).map_or(0, |values| values.len() as u64));
    counts.fold(1, u64::saturating_mul)
}
