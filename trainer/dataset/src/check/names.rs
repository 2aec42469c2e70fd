//! Names of classes that are none: those of parts of the data, of folders above the classes, and of one class written
//! twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use schemas::check::FindingKind;

use super::classes::examples;
use super::{Data, Found, Said, has_one_class, showing};
use crate::convert::parts::part_named;
use crate::error::DataError;

/// Images of a class whose paths are looked at, at most and evenly: folders follow each other.
const LOOKED_AT: u64 = 100;

/// Names in a message.
const NAMED: usize = 5;

pub(super) fn check(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    similar(data, found)?;
    let mut used: BTreeSet<u32> = BTreeSet::new();
    data.sides.iter().for_each(|side| used.extend(side.rows.targets.used()));
    let folders = if has_one_class(data.task) { below(data, &used)? } else { BTreeMap::new() };
    if !parts(data, &used, &folders, found)? {
        too_high(data, &folders, found)?;
    }
    Ok(())
}

/// A name without what people write now in this way and now in another: case, spaces, dashes and underscores, a dot at
/// the end. Between digits a mark is kept, and a minus before one.
fn bare(name: &str) -> String {
    let letters: Vec<char> = name.trim().trim_end_matches('.').trim_end().to_lowercase().chars().collect();
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '-' | '_');
    let mut bare = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        if !is_mark(letter) {
            bare.push(letter);
            continue;
        }
        let next = letters[at..].iter().find(|&&c| !is_mark(c));
        let digits =
            (bare.chars().next_back().is_none_or(|c| c.is_ascii_digit()), next.is_some_and(char::is_ascii_digit));
        if digits == (true, true) {
            bare.push('-');
        }
    }
    bare
}

fn similar(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    let mut same: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (class, label) in (0..).zip(&data.labels) {
        // `a` and `A` are two letters.
        let key = if label.chars().count() == 1 { label.clone() } else { bare(label) };
        same.entry(key).or_default().push(class);
    }
    for classes in same.values_mut().filter(|classes| classes.len() > 1) {
        classes.sort_by_key(|&class| &data.labels[class as usize]);
        let names: Vec<String> = classes.iter().map(|&class| format!("{:?}", data.labels[class as usize])).collect();
        let said = Said::new(
            FindingKind::SimilarClassName,
            format!("{} differ only in how they are written", names.join(", ")),
            "write one name in all rows, unless they are different classes",
        );
        let shown = classes.iter().flat_map(|&class| examples(data, class)).collect();
        found.push(data.found(said, shown)?);
    }
    Ok(())
}

/// The folders between that of a class and its images, if any. Of classes whose images lie in a folder of their name.
type Below = BTreeMap<u32, BTreeSet<Vec<String>>>;

fn below(data: &Data, used: &BTreeSet<u32>) -> Result<Below, DataError> {
    let mut totals = vec![0; data.labels.len()];
    for side in &data.sides {
        totals.iter_mut().zip(showing(&side.rows.targets, data.labels.len())).for_each(|(total, n)| *total += n);
    }
    let mut seen = vec![0_u64; data.labels.len()];
    let mut folders = Below::new();
    let mut elsewhere = BTreeSet::new();
    for at in data.images() {
        let Some(&class) = data.sides[at.side].rows.targets.classes(at.index).first() else { continue };
        let place = class as usize;
        seen[place] += 1;
        let is_looked_at = (seen[place] - 1).is_multiple_of(totals[place].div_ceil(LOOKED_AT).max(1));
        if !is_looked_at || !used.contains(&class) {
            continue;
        }
        match data.path(at)?.as_deref().and_then(|path| folders_below(path, &data.labels[place])) {
            Some(below) => drop(folders.entry(class).or_default().insert(below)),
            None => drop(elsewhere.insert(class)),
        }
    }
    folders.retain(|class, _| !elsewhere.contains(class));
    Ok(folders)
}

/// The folders below the last one called `label` in the path of a file; `None` where there is no such folder.
fn folders_below(path: &Path, label: &str) -> Option<Vec<String>> {
    let names: Vec<&str> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    let at = names.iter().rposition(|name| *name == label).filter(|at| at + 1 < names.len())?;
    Some(names[at + 1..names.len() - 1].iter().map(|&name| name.to_owned()).collect())
}

/// The folders at a depth, where every image lies in one.
fn at_depth(below: &BTreeSet<Vec<String>>, depth: usize) -> Option<BTreeSet<String>> {
    let names: Option<BTreeSet<String>> = below.iter().map(|folders| folders.get(depth).cloned()).collect();
    names.filter(|names| !names.is_empty())
}

/// The part that a name stands for.
fn part(name: &str) -> Option<&'static str> {
    part_named(name.trim())
}

/// Names of parts that nothing else is called by; a train is a thing, as is a train set, and a ticket may be valid.
fn is_plain(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let of_things = name.starts_with("train") && !name.starts_with("training");
    part(&name).is_some() && !of_things && !matches!(name.as_str(), "valid" | "validate" | "test" | "dev")
}

/// Finds parts that were taken for classes: two different ones, or one that holds folders or is called as nothing else
/// is.
fn parts(data: &Data, used: &BTreeSet<u32>, folders: &Below, found: &mut Vec<Found>) -> Result<bool, DataError> {
    let label = |class: &u32| data.labels[*class as usize].as_str();
    let named: Vec<u32> = used.iter().copied().filter(|class| part(label(class)).is_some()).collect();
    let distinct: BTreeSet<_> = named.iter().map(|class| part(label(class))).collect();
    let holds_folders =
        |class: &&u32| folders.get(class).and_then(|below| at_depth(below, 0)).is_some_and(|names| names.len() > 1);
    let sure = distinct.len() > 1 || named.len() == used.len() || named.iter().any(|class| is_plain(label(class)));
    if named.is_empty() || !sure && !named.iter().any(|class| holds_folders(&class)) {
        return Ok(false);
    }
    let mut names: Vec<String> = named.iter().map(|class| format!("{:?}", label(class))).collect();
    names.sort_unstable();
    let said = Said::new(
        FindingKind::PartAsClass,
        format!(
            "{} of {} classes are called as parts of a data set are: {}",
            named.len(),
            used.len(),
            names.join(", ")
        ),
        "name the folder of each part by itself: --training_data, --validation_data and --test_data; `trainer convert \
         folders` makes a file of each of the folders train, validation and test",
    );
    let shown = named.iter().flat_map(|&class| examples(data, class)).collect();
    found.push(data.found(said, shown)?);
    Ok(true)
}

/// The first few of some names.
fn few(names: impl IntoIterator<Item = String>) -> String {
    let mut names = names.into_iter();
    let mut few: Vec<String> = names.by_ref().take(NAMED).collect();
    few.extend(names.next().map(|_| "...".to_owned()));
    few.join(", ")
}

/// Finds classes that hold folders of the same names, and one class alone that holds several, at once or in the only
/// folder that it holds.
fn too_high(data: &Data, folders: &Below, found: &mut Vec<Found>) -> Result<(), DataError> {
    let all = data.labels.iter().filter(|label| !label.is_empty()).count();
    if folders.len() < all {
        return Ok(());
    }
    let shared = match folders.values().collect::<Vec<_>>().as_slice() {
        // Nothing can be learnt of one class, so that these are the classes, or their parts.
        [only] => (0..).map_while(|depth| at_depth(only, depth)).find(|names| names.len() > 1).unwrap_or_default(),
        several => {
            let names = several.iter().map(|below| at_depth(below, 0).unwrap_or_default());
            let mut shared = names.reduce(|a, b| a.intersection(&b).cloned().collect()).unwrap_or_default();
            // A folder of each part within each class says nothing of the classes.
            shared.retain(|name| part(name).is_none());
            shared
        }
    };
    if shared.len() < 2 {
        return Ok(());
    }
    let are_parts = shared.iter().all(|name| part(name).is_some());
    let mut classes: Vec<&str> = folders.keys().map(|&class| data.labels[class as usize].as_str()).collect();
    classes.sort_unstable();
    let said = Said::new(
        FindingKind::FolderTooHigh,
        format!(
            "the images of each class ({}) lie in folders below it that look like the {}: {}",
            few(classes.iter().map(|name| format!("{name:?}"))),
            if are_parts { "parts of a data set" } else { "classes" },
            few(shared),
        ),
        "name the folder that holds these folders, which lies deeper",
    );
    let shown = folders.keys().flat_map(|&class| examples(data, class)).collect();
    found.push(data.found(said, shown)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_writing_are_one() {
        for (a, b) in [
            ("Milk Bottle", "milk_bottle"),
            ("can", "Can "),
            ("t-shirt", "T shirt"),
            ("longsleeve", "long sleeve"),
            ("box.", "box"),
            ("cat", "cat ."),
            ("type 1", "type1"),
            ("Äpfel", "äpfel"),
        ] {
            assert_eq!(bare(a), bare(b));
        }
        for (a, b) in
            [("1-1", "11"), ("-1", "1"), ("1_2", "12"), ("can", "cans"), ("a.b", "ab"), ("1 0", "10"), ("c++", "c")]
        {
            assert_ne!(bare(a), bare(b));
        }
    }

    #[test]
    fn the_folders_below_a_class() {
        let below = |path: &str, label: &str| folders_below(Path::new(path), label).map(|names| names.join("/"));
        assert_eq!(below("/d/pets/cat/1.jpg", "pets").as_deref(), Some("cat"));
        assert_eq!(below("/d/pets/old/cat/1.jpg", "pets").as_deref(), Some("old/cat"));
        assert_eq!(below("/d/cat/1.jpg", "cat").as_deref(), Some(""));
        assert_eq!((below("/d/1.jpg", "cat"), below("/d/cat", "cat")), (None, None));
    }

    #[test]
    fn names_of_parts_that_may_be_things_are_no_proof() {
        for name in ["training", "Val", "validation_set", "TESTING", "test-set"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["train", "Trainset", "valid", "test", "dev", "cat", ""] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
