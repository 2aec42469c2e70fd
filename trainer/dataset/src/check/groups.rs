//! Groups of rows on two sides of a split; and names of files that suggest groups where none are named.

use std::collections::BTreeMap;

use schemas::check::FindingKind;

use super::folder::plain;
use super::{At, Data, Found, Said, Shown, has_one_class};
use crate::error::DataError;
use crate::group::{self, Ungrouped};
use crate::preflight::HEADER_CHECK;

/// Fewest images, and fewest groups of at least two, that suggest anything.
const FEWEST_IMAGES: usize = 20;
const FEWEST_GROUPS: usize = 5;
/// Share of the images that have to be in groups of at least two.
const COVERED: f64 = 0.8;
/// Share of the images of groups that have the commonest class of their group, from which groups are the classes: a few
/// labels may be wrong.
const OF_ITS_CLASS: f64 = 0.9;
/// Images that a finding about a group shows.
const SHOWN: usize = 4;

pub(super) fn check(data: &Data, column: Option<&str>, found: &mut Vec<Found>) -> Result<(), DataError> {
    match column {
        Some(key) => named(data, key, found),
        // Where folders are taken for what they are not, they say nothing of groups.
        None if found.iter().any(|one| is_of_folders(one.finding.kind)) => Ok(()),
        None if data.images().count() <= HEADER_CHECK => suggested(data, found),
        None => Ok(()),
    }
}

fn is_of_folders(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::PartAsClass | FindingKind::FolderTooHigh)
}

/// Rows without a group, and groups in two parts.
fn named(data: &Data, key: &str, found: &mut Vec<Found>) -> Result<(), DataError> {
    let mut sides: BTreeMap<group::Group, BTreeMap<usize, Vec<At>>> = BTreeMap::new();
    for (side, one) in data.sides.iter().enumerate() {
        match group::read(&one.reader.files, &one.rows.entries, key)? {
            Ok(groups) => {
                for (index, group) in groups.into_iter().enumerate() {
                    sides.entry(group).or_default().entry(side).or_default().push(At { side, index });
                }
            }
            Err(Ungrouped { rows, reason }) => {
                let message = format!(
                    "{} of {} rows of {} are without a group; the first {reason}",
                    rows.len(),
                    one.rows.entries.len(),
                    one.source.display()
                );
                let advice =
                    "give every row a group, a text or a whole number; a training with --group_column refuses them";
                let shown = rows.into_iter().map(|index| At { side, index }.into()).collect();
                found.push(data.found(Said::new(FindingKind::MissingGroup, message, advice), shown)?);
            }
        }
    }
    for images in sides.values().filter(|sides| sides.len() > 1) {
        let first = images.values().next().and_then(|all| all.first()).copied().unwrap_or(At { side: 0, index: 0 });
        let rows = &data.sides[first.side];
        let text = rows.reader.files.text(&rows.rows.entries[first.index])?;
        let counts: Vec<String> =
            images.iter().map(|(&side, all)| format!("{} {}", all.len(), data.sides[side].part.as_str())).collect();
        let name = group::value(&text, key).unwrap_or_default();
        let message = format!("the group {name:?} has {} images", counts.join(" and "));
        let advice =
            "keep a group in one part: a model that is measured on a group it was trained on looks better than it is";
        let shown = images.values().flat_map(|all| all.iter().take(SHOWN / 2)).map(|&at| at.into()).collect();
        found.push(data.found(Said::new(FindingKind::SplitGroup, message, advice), shown)?);
    }
    Ok(())
}

/// What images may be grouped by.
type Grouping = BTreeMap<String, Vec<At>>;

fn suggested(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    let (mut names, mut folders) = (Grouping::new(), Grouping::new());
    let mut all = 0;
    for at in data.images() {
        let Some(path) = data.path(at)? else { continue };
        all += 1;
        if let Some(prefix) = path.file_stem().and_then(|stem| prefix(&stem.to_string_lossy())) {
            names.entry(prefix).or_default().push(at);
        }
        if let Some(folder) = path.parent() {
            folders.entry(plain(folder).display().to_string()).or_default().push(at);
        }
    }
    for (grouping, what) in [(names, "the beginnings of file names"), (folders, "folders")] {
        if let Some(groups) = telling(data, grouping, all) {
            return say(data, &groups, what, found);
        }
    }
    Ok(())
}

/// What stands before the last number of a name, where that has a digit itself: `patient12` of `patient12_001`, nothing
/// of `IMG_001`.
fn prefix(stem: &str) -> Option<String> {
    let before = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    if before.len() == stem.len() {
        return None;
    }
    // A word between, as in patient12_frame001, belongs to the number.
    let mark = |c: char| matches!(c, '_' | '-' | '.' | ' ');
    let prefix = before.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end_matches(mark);
    let cut = before.ends_with(mark) || before.len() > prefix.len() + 1;
    (cut && prefix.contains(|c: char| c.is_ascii_digit())).then(|| prefix.to_owned())
}

/// The groups, if there are enough of them that cover most of `all` images, and they are not just the classes or the
/// parts.
fn telling(data: &Data, mut groups: Grouping, all: usize) -> Option<Grouping> {
    groups.retain(|_, images| images.len() > 1);
    let covered: usize = groups.values().map(Vec::len).sum();
    let enough = all >= FEWEST_IMAGES && groups.len() >= FEWEST_GROUPS && covered as f64 >= COVERED * all as f64;
    if !enough || groups.values().any(|images| images.len() * 2 > all) || are_classes(data, &groups) {
        return None;
    }
    if data.sides.len() > 1 {
        // Parts are given: what stays within one is in order.
        groups.retain(|_, images| images.iter().any(|at| at.side != images[0].side));
    }
    (!groups.is_empty()).then_some(groups)
}

/// Whether groups have one class each, but for slips, and there are hardly more of them than classes.
fn are_classes(data: &Data, groups: &Grouping) -> bool {
    if !has_one_class(data.task) {
        return false;
    }
    let commonest = |images: &Vec<At>| {
        let mut counts: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        let class = |at: &At| data.sides[at.side].rows.targets.classes(at.index).first().copied();
        images.iter().for_each(|at| *counts.entry(class(at)).or_default() += 1);
        counts.into_values().max().unwrap_or_default()
    };
    let of_its_class: usize = groups.values().map(commonest).sum();
    let all: usize = groups.values().map(Vec::len).sum();
    // A folder of a class may be in each of three parts.
    of_its_class as f64 >= OF_ITS_CLASS * all as f64 && groups.len() <= data.labels.len() * data.sides.len().max(2)
}

fn say(data: &Data, groups: &Grouping, what: &str, found: &mut Vec<Found>) -> Result<(), DataError> {
    let Some((name, images)) = groups.iter().max_by_key(|(name, images)| (images.len(), std::cmp::Reverse(*name)))
    else {
        return Ok(());
    };
    let split = match (data.sides.len(), groups.len()) {
        (1, n) => format!("{n} groups"),
        (_, 1) => "1 group that is in more than one part".to_owned(),
        (_, n) => format!("{n} groups that are in more than one part"),
    };
    let message = format!("{what} suggest {split}, such as {name:?} with {} images", images.len());
    let advice = "where images of one patient, scene or day belong together, write that into each row under a key \
                  of its own and name it with --group_column, so that no group is on both sides of a split";
    let shown: Vec<Shown> = match images.iter().find(|at| at.side != images[0].side) {
        Some(&other) => [images[0], other].map(Shown::from).to_vec(),
        None => images.iter().take(SHOWN).map(|&at| at.into()).collect(),
    };
    found.push(data.found(Said::new(FindingKind::SuggestedGroup, message, advice), shown)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn a_prefix_has_a_number_of_its_own() {
        for (stem, expected) in [
            ("patient12_001", Some("patient12")),
            ("p3-17", Some("p3")),
            ("scene 4 frame0012", Some("scene 4")),
            ("2024-05-01_0003", Some("2024-05-01")),
            ("patient12_frame001", Some("patient12")),
            ("IMG_001", None),
            ("00012", None),
            ("cat_3", None),
            ("photo", None),
            ("BloodImage_00000", None),
            ("a1b2c3", None),
            ("img12", None),
        ] {
            assert_eq!(prefix(stem).as_deref(), expected, "{stem}");
        }
    }
}
