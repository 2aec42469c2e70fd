//! Every combination once: branch after branch, the last parameter changing fastest.

use indexmap::IndexMap;

use crate::space::{Branch, Distribution, Point, Space};

/// The point of a trial; `None` behind the last one. Parameters whose values cannot be counted take the middle of their draws.
pub(super) fn point(space: &Space, number: u64) -> Option<Point> {
    let mut left = number;
    for (branch, one) in space.branches.iter().enumerate() {
        let size = size(one);
        if left < size {
            return Some(Point { branch, values: combination(one, left) });
        }
        left -= size;
    }
    None
}

/// Combinations of a branch.
fn size(branch: &Branch) -> u64 {
    branch.parameters.values().map(count).fold(1, u64::saturating_mul)
}

fn count(distribution: &Distribution) -> u64 {
    distribution.values().map_or(1, |values| values.len() as u64)
}

fn combination(branch: &Branch, mut number: u64) -> IndexMap<String, serde_json::Value> {
    let mut values: Vec<_> = branch
        .parameters
        .iter()
        .rev()
        .map(|(name, distribution)| {
            let of = distribution.values().unwrap_or_else(|| vec![distribution.value(0.5)]);
            let place = (number % of.len().max(1) as u64) as usize;
            number /= of.len().max(1) as u64;
            (name.clone(), of.get(place).cloned().unwrap_or_default())
        })
        .collect();
    values.reverse();
    values.into_iter().collect()
}
