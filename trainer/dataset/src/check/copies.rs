//! One image several times: byte for byte, and images that look the same, within a part and across parts.

use std::collections::{BTreeMap, BTreeSet};

use schemas::check::FindingKind;

use super::{At, Data, Found, Said, Shown};
use crate::error::DataError;
use crate::look::{Look, alike};
use crate::target::Targets;

const LEAK: &str =
    "keep all of them in one part: a model that is measured on images it was trained on looks better than it is";
/// Names in a message.
const NAMED: usize = 3;

pub(super) fn check(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    let mut same: BTreeMap<[u8; 16], Vec<At>> = BTreeMap::new();
    for at in data.images() {
        if let Some(facts) = data.facts(at) {
            same.entry(facts.digest).or_default().push(at);
        }
    }
    let mut one_each: Vec<At> = same.values().map(|copies| copies[0]).collect();
    one_each.sort_unstable();
    for copies in same.into_values().filter(|copies| copies.len() > 1) {
        exact(data, &copies, found)?;
    }
    let looks: Vec<(At, &Look)> =
        one_each.into_iter().filter_map(|at| Some((at, data.facts(at)?.look.as_ref()?))).collect();
    let only: Vec<&Look> = looks.iter().map(|(_, look)| *look).collect();
    for group in alike(&only, data.threads) {
        let images: Vec<At> = group.into_iter().map(|place| looks[place].0).collect();
        near(data, &images, found)?;
    }
    Ok(())
}

fn exact(data: &Data, copies: &[At], found: &mut Vec<Found>) -> Result<(), DataError> {
    let shown = || copies.iter().copied().map(Shown::from).collect();
    let names = names(data, copies)?;
    let parts = parts(data, copies);
    if parts.len() > 1 {
        let message = format!("{names} are one image, byte for byte, in the {} data", parts.join(" and the "));
        found.push(data.found(Said::new(FindingKind::LeakedImage, message, LEAK), shown())?);
    }
    if let Some(labels) = different_labels(data, copies) {
        let message = format!("{names} are one image, byte for byte, under {labels}");
        let advice = "decide what it shows, and keep one row for it";
        found.push(data.found(Said::new(FindingKind::ContradictingLabel, message, advice), shown())?);
    } else if parts.len() == 1 {
        let message = format!("{names} are one image, byte for byte");
        let advice = "keep one of them; a split of the data could put the others on its other side";
        found.push(data.found(Said::new(FindingKind::DuplicateImage, message, advice), shown())?);
    }
    Ok(())
}

fn near(data: &Data, images: &[At], found: &mut Vec<Found>) -> Result<(), DataError> {
    let parts = parts(data, images);
    let mut message = format!("{} look the same", names(data, images)?);
    if let Some(labels) = different_labels(data, images) {
        message = format!("{message}, under {labels}");
    }
    let said = if parts.len() > 1 {
        Said::new(FindingKind::LeakedNearDuplicate, format!("{message}, in the {} data", parts.join(" and the ")), LEAK)
    } else {
        let advice = "keep one of them, or give them one group (--group_column) so that no split comes between them";
        Said::new(FindingKind::NearDuplicate, message, advice)
    };
    found.push(data.found(said, images.iter().copied().map(Shown::from).collect())?);
    Ok(())
}

/// The first few of some images, by name.
fn names(data: &Data, images: &[At]) -> Result<String, DataError> {
    Ok(listed(&data.names(&images[..images.len().min(NAMED)])?, images.len()))
}

/// The first few of `all` names, for people.
fn listed(names: &[String], all: usize) -> String {
    let named = &names[..names.len().min(NAMED)];
    match (named.split_last(), all - named.len()) {
        (None, _) => String::new(),
        (Some((last, [])), 0) => last.clone(),
        (Some((last, first)), 0) => format!("{} and {last}", first.join(", ")),
        (Some(_), more) => format!("{} and {more} more", named.join(", ")),
    }
}

/// The parts that images are in, each once.
fn parts(data: &Data, images: &[At]) -> Vec<&'static str> {
    let sides: BTreeSet<usize> = images.iter().map(|at| at.side).collect();
    sides.into_iter().map(|side| data.sides[side].part.as_str()).collect()
}

/// What images of classes are labelled, where that is not the same.
fn different_labels(data: &Data, images: &[At]) -> Option<String> {
    let of = |at: &At| {
        let targets = &data.sides[at.side].rows.targets;
        match targets {
            Targets::Classes(_) | Targets::Sets(_) => Some(targets.classes(at.index)),
            Targets::Objects(_) => None,
        }
    };
    let sets: BTreeSet<BTreeSet<u32>> = images.iter().filter_map(of).map(|set| set.iter().copied().collect()).collect();
    let name = |set: &BTreeSet<u32>| {
        let names: Vec<&str> = set.iter().map(|&class| data.labels[class as usize].as_str()).collect();
        if names.is_empty() { "no label".to_owned() } else { format!("{:?}", names.join(", ")) }
    };
    let mut names: Vec<String> = sets.iter().map(name).collect();
    names.sort_unstable();
    (names.len() > 1).then(|| listed(&names, names.len()))
}
