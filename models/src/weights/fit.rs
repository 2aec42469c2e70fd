//! Which of a file's dictionaries are the weights of a network, and what its keys begin with there.
//!
//! A training script saves the network beside its average, an optimizer's state and scores, and wrappers put their names
//! before every key: `module.`, `model.`, `backbone.`, `_orig_mod.`, one in another. Neither is told by a list of names:
//! the choice is what matches most of the network's keys, then most of its shapes.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::keymap::Spelling;
use super::origin::Origin;
use super::tensors::StateDict;
use super::wanted::Wanted;

/// What fits a network best.
pub(super) struct Fit<'a> {
    pub dict: &'a StateDict,
    pub prefix: &'a str,
    pub spelling: Spelling,
    pub origin: Origin,
}

/// Keys, and keys with the network's shape, that a choice matches.
type Score = (usize, usize);

/// The best of all choices: of equals the first dictionary, the shortest prefix, the first spelling.
///
/// # Panics
/// Never: a file has at least one dictionary, and `spellings` is not empty.
pub(super) fn best<'a>(spellings: &[Spelling], wanted: &[Wanted<'_>], dicts: &'a [StateDict]) -> Fit<'a> {
    let shapes: BTreeMap<&str, &[i64]> = wanted.iter().map(|w| (w.key, w.shape)).collect();
    let each: Vec<_> = dicts.iter().map(|dict| best_of(spellings, &shapes, dict)).collect();
    let mut chosen = 0;
    for (at, (score, ..)) in each.iter().enumerate() {
        if *score > each[chosen].0 {
            chosen = at;
        }
    }
    let (score, prefix, spelling) = each[chosen];
    let equals = dicts.iter().zip(&each).enumerate().filter(|(at, (_, (of, ..)))| *at != chosen && *of == score);
    let as_good = if score.0 == 0 { Vec::new() } else { equals.map(|(_, (dict, _))| shown(&dict.place)).collect() };
    let (dictionary, part) = (dicts[chosen].place.clone(), spelling.part().to_owned());
    let origin = Origin { dictionary, prefix: prefix.to_owned(), part, as_good };
    Fit { dict: &dicts[chosen], prefix, spelling, origin }
}

fn shown(place: &str) -> String {
    if place.is_empty() { "the outermost dictionary".to_owned() } else { place.to_owned() }
}

fn best_of<'a>(
    spellings: &[Spelling],
    shapes: &BTreeMap<&str, &[i64]>,
    dict: &'a StateDict,
) -> (Score, &'a str, Spelling) {
    let mut best = ((0, 0), "", spellings.first().copied().unwrap_or(Spelling::Own));
    for prefix in prefixes(spellings, shapes, dict) {
        for spelling in spellings {
            let found = dict.tensors().filter_map(|t| {
                let own = spelling.to_own(t.key.strip_prefix(prefix)?);
                shapes.get(&*own).map(|shape| *shape == t.shape)
            });
            let score = found.fold((0, 0), |(keys, same), fits| (keys + 1, same + usize::from(fits)));
            if score > best.0 {
                best = (score, prefix, *spelling);
            }
        }
    }
    best
}

/// What stands before the network's keys in a dictionary, the shortest and of those the first in the file first.
fn prefixes<'a>(spellings: &[Spelling], shapes: &BTreeMap<&str, &[i64]>, dict: &'a StateDict) -> Vec<&'a str> {
    let mut found = IndexMap::<&str, usize>::new();
    for tensor in dict.tensors() {
        let starts = std::iter::once(0).chain(tensor.key.match_indices('.').map(|(at, _)| at + 1));
        for at in starts {
            let (prefix, rest) = tensor.key.split_at(at);
            if spellings.iter().any(|spelling| shapes.contains_key(&*spelling.to_own(rest))) {
                *found.entry(prefix).or_default() += 1;
            }
        }
    }
    // Many blocks end alike: what stands before a few keys only is a block's name.
    let most = found.values().copied().max().unwrap_or(0);
    let likely = found.into_iter().filter(|(_, count)| *count * 2 >= most);
    let mut likely: Vec<&str> = likely.map(|(prefix, _)| prefix).collect();
    likely.sort_by_key(|prefix| prefix.len());
    likely
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
