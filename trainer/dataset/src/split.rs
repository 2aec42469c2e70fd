//! Splits one data set into training and validation parts, by class and by seed.
//!
//! An image of several objects counts to the rarest of their classes ([`super::target::Targets::strata`]). Within a class, rows are ordered by SHA-256 of (seed, `image_url` as written) and the first few go to validation. So
//! the same images validate in every trial of a study, on every machine, in whatever order the rows come, and a
//! image added later moves few others. The specification's split is a plain unseeded shuffle.
//!
//! Where rows form groups, whole groups are set aside ([`grouped`]).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::group::Group;
use super::index::Keys;
use super::rng;

/// Which rows validate: `true` at the index of each validation row. `strata` has the class of each row.
///
/// - About `ratio` of all rows (0 to 1, rounded to a whole number, at least 1 where a class has two rows to share),
///   dealt to the classes by largest remainder;
/// - every class keeps at least one row for training, so a class with one row only trains;
/// - a single row, or no class with two rows, gives no validation row: the caller validates on the training rows.
pub fn split(strata: &[u32], keys: &[Keys], ratio: f64, seed: u64) -> Vec<bool> {
    let classes = strata.iter().map(|&class| class as usize + 1).max().unwrap_or(0);
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); classes];
    for (at, &class) in strata.iter().enumerate() {
        members[class as usize].push(at as u32);
    }
    let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
    let mut validates = vec![false; strata.len()];
    for (rows, take) in members.iter_mut().zip(quotas(&sizes, ratio)) {
        let key = |&row: &u32| {
            let key = &keys[row as usize];
            (rng::digest("split", &[seed, u64::from_le_bytes(key.url)]), key.location)
        };
        rows.sort_by_cached_key(key);
        for &row in &rows[..take] {
            validates[row as usize] = true;
        }
    }
    validates
}

/// As [`split`], but rows of one of `groups`, which has one for each row, stay together. `None` where no group can be
/// spared: there is one only, or each holds all rows of some class.
///
/// Groups are taken in the order of SHA-256 of (seed, group), each one that brings the shares of the classes, taken
/// together, nearer to `ratio` and leaves a row of each of its classes for training. Where that is none, the one that goes
/// least beyond it is taken.
pub fn grouped(strata: &[u32], groups: &[Group], ratio: f64, seed: u64) -> Option<Vec<bool>> {
    let mut members: BTreeMap<Group, BTreeMap<u32, usize>> = BTreeMap::new();
    let mut totals: BTreeMap<u32, usize> = BTreeMap::new();
    for (&class, &group) in strata.iter().zip(groups) {
        *members.entry(group).or_default().entry(class).or_default() += 1;
        *totals.entry(class).or_default() += 1;
    }
    let mut order: Vec<(&Group, &BTreeMap<u32, usize>)> = members.iter().collect();
    order.sort_by_cached_key(|(group, _)| rng::digest("split group", &[seed, u64::from_le_bytes(**group)]));
    let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
    let mut validates: Vec<Group> = Vec::new();
    let spare = |taken: &BTreeMap<u32, usize>, rows: &BTreeMap<u32, usize>| {
        rows.iter().all(|(class, n)| taken.get(class).unwrap_or(&0) + n < totals[class])
    };
    // By how much the cost of the split grows: squared distances from the wanted rows of each class, and of all.
    let change = |taken: &BTreeMap<u32, usize>, rows: &BTreeMap<u32, usize>| -> f64 {
        let grows = |have: usize, more: usize, all: usize| {
            let (have, more, all) = (have as f64, more as f64, all as f64);
            more * (2.0 * (have - ratio * all) + more) / all
        };
        let of_classes = rows.iter().map(|(class, &n)| grows(taken.get(class).copied().unwrap_or(0), n, totals[class]));
        of_classes.sum::<f64>() + grows(taken.values().sum(), rows.values().sum(), strata.len())
    };
    for (group, rows) in &order {
        if spare(&taken, rows) && change(&taken, rows) < 0.0 {
            rows.iter().for_each(|(class, n)| *taken.entry(*class).or_default() += n);
            validates.push(**group);
        }
    }
    if validates.is_empty() {
        let spared = order.iter().filter(|(_, rows)| spare(&taken, rows));
        let least = spared.min_by(|(_, a), (_, b)| change(&taken, a).total_cmp(&change(&taken, b)))?;
        validates.push(*least.0);
    }
    validates.sort_unstable();
    Some(groups.iter().map(|group| validates.binary_search(group).is_ok()).collect())
}

/// The part of each row, 0 to `count - 1`, for cross-validation. Within a class, rows are ordered as in [`split`] and dealt to the
/// parts one after the other, the next class from where the last one ended, so that no two parts differ by more than one row of a
/// class, nor by more than one row.
pub fn folds(strata: &[u32], keys: &[Keys], count: u32, seed: u64) -> Vec<u32> {
    let mut order: Vec<usize> = (0..strata.len()).collect();
    order.sort_by_cached_key(|&row| {
        let key = &keys[row];
        (strata[row], rng::digest("split", &[seed, u64::from_le_bytes(key.url)]), key.location)
    });
    let mut parts = vec![0; strata.len()];
    for (row, part) in order.into_iter().zip((0..count).cycle()) {
        parts[row] = part;
    }
    parts
}

/// As [`folds`], but rows of one of `groups`, which has one for each row, stay together. `None` where there are fewer groups than
/// parts.
///
/// The largest groups are taken first, of equals in the order of SHA-256 of (seed, group), and each goes to the part that has the
/// fewest rows of its classes, of equals to the smallest, then to the first.
pub fn grouped_folds(strata: &[u32], groups: &[Group], count: u32, seed: u64) -> Option<Vec<u32>> {
    let mut members: BTreeMap<Group, BTreeMap<u32, usize>> = BTreeMap::new();
    for (&class, &group) in strata.iter().zip(groups) {
        *members.entry(group).or_default().entry(class).or_default() += 1;
    }
    if members.len() < count as usize {
        return None;
    }
    let mut order: Vec<(&Group, &BTreeMap<u32, usize>)> = members.iter().collect();
    order.sort_by_cached_key(|(group, rows)| {
        let size: usize = rows.values().sum();
        (Reverse(size), rng::digest("split group", &[seed, u64::from_le_bytes(**group)]))
    });
    let mut have: Vec<BTreeMap<u32, usize>> = vec![BTreeMap::new(); count as usize];
    let mut part_of: BTreeMap<Group, u32> = BTreeMap::new();
    for (&group, rows) in order {
        let fullness = |part: &BTreeMap<u32, usize>| {
            let shared: usize = rows.iter().map(|(class, n)| n * part.get(class).unwrap_or(&0)).sum();
            (shared, part.values().sum::<usize>())
        };
        // A part without any row comes before all others: each has to have some.
        let emptiest = (0..count).zip(&have).min_by_key(|(part, rows)| (!rows.is_empty(), fullness(rows), *part));
        let (part, _) = emptiest?;
        rows.iter().for_each(|(class, n)| *have[part as usize].entry(*class).or_default() += n);
        part_of.insert(group, part);
    }
    Some(groups.iter().map(|group| part_of[group]).collect())
}

/// Validation rows per class.
fn quotas(sizes: &[usize], ratio: f64) -> Vec<usize> {
    let ratio = if ratio.is_finite() { ratio.clamp(0.0, 1.0) } else { 0.0 };
    let most: Vec<usize> = sizes.iter().map(|n| n.saturating_sub(1)).collect();
    let available: usize = most.iter().sum();
    let wanted = (sizes.iter().sum::<usize>() as f64 * ratio).round() as usize;
    let wanted = if ratio > 0.0 { wanted.max(1).min(available) } else { 0 };
    let exact = |class: usize| sizes[class] as f64 * ratio;
    let mut take: Vec<usize> = (0..sizes.len()).map(|class| (exact(class).floor() as usize).min(most[class])).collect();
    // Largest remainder first; ties go to the larger class, then to the earlier one.
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| {
        let remainder = |class: usize| exact(class) - exact(class).floor();
        remainder(b).total_cmp(&remainder(a)).then(Reverse(sizes[a]).cmp(&Reverse(sizes[b]))).then(a.cmp(&b))
    });
    let mut total: usize = take.iter().sum();
    while total < wanted {
        for &class in &order {
            if total < wanted && take[class] < most[class] {
                take[class] += 1;
                total += 1;
            }
        }
    }
    take
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(sizes: &[usize]) -> (Vec<u32>, Vec<Keys>) {
        let mut strata = Vec::new();
        let mut keys = Vec::new();
        for (class, &n) in sizes.iter().enumerate() {
            for i in 0..n {
                strata.push(class as u32);
                let name = rng::digest("row", &[class as u64, i as u64]);
                keys.push(Keys { location: name[..16].try_into().unwrap(), url: name[..8].try_into().unwrap() });
            }
        }
        (strata, keys)
    }

    #[test]
    fn quotas_follow_the_ratio_and_keep_one_for_training() {
        assert_eq!(quotas(&[10, 20, 30], 0.2), [2, 4, 6]);
        assert_eq!(quotas(&[3, 3, 3, 3, 3], 0.2), [1, 1, 1, 0, 0]);
        assert_eq!(quotas(&[1, 1, 8], 0.2), [0, 0, 2]);
        assert_eq!(quotas(&[2, 2], 1.0), [1, 1]);
        assert_eq!(quotas(&[4], 0.01), [1]);
        assert_eq!(quotas(&[1], 0.5), [0]);
        assert_eq!(quotas(&[5, 5], 0.0), [0, 0]);
        assert_eq!(quotas(&[], 0.5), Vec::<usize>::new());
        assert_eq!(quotas(&[5], f64::NAN), [0]);
    }

    /// So many rows of so many classes in each group.
    fn groups(sizes: &[&[usize]]) -> (Vec<u32>, Vec<Group>) {
        let mut rows = Vec::new();
        for (group, classes) in sizes.iter().enumerate() {
            for (class, &n) in classes.iter().enumerate() {
                rows.extend(std::iter::repeat_n((class as u32, (group as u64).to_le_bytes()), n));
            }
        }
        rows.into_iter().unzip()
    }

    #[test]
    fn groups_stay_whole_and_every_class_gets_its_share() {
        let sizes: Vec<[usize; 2]> = (0..60).map(|group| [3 + group % 5, (group * 7) % 4]).collect();
        let sizes: Vec<&[usize]> = sizes.iter().map(<[usize; 2]>::as_slice).collect();
        let (strata, of) = groups(&sizes);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let picks = grouped(&strata, &of, 0.2, seed).unwrap();
            for (at, group) in of.iter().enumerate() {
                assert_eq!(picks[at], picks[of.iter().position(|one| one == group).unwrap()]);
            }
            for class in 0..2 {
                let all = strata.iter().filter(|&&one| one == class).count() as f64;
                let taken = (0..of.len()).filter(|&at| picks[at] && strata[at] == class).count() as f64;
                assert!((taken / all - 0.2).abs() < 0.06, "seed {seed}, class {class}: {taken} of {all}");
            }
            let (back, back_of): (Vec<_>, Vec<_>) = strata.iter().copied().zip(of.iter().copied()).rev().unzip();
            let mut again = grouped(&back, &back_of, 0.2, seed).unwrap();
            again.reverse();
            assert_eq!(again, picks, "the order of rows does not matter");
            seen.insert(picks);
        }
        assert!(seen.len() > 15, "{} splits of 20 seeds", seen.len());
    }

    #[test]
    fn no_class_is_taken_from_training_and_large_groups_are_split_off_as_they_are() {
        // Class 1 is in the first group alone, which therefore trains.
        let (strata, of) = groups(&[&[2, 2], &[3, 0], &[3, 0]]);
        for seed in 0..8 {
            let picks = grouped(&strata, &of, 0.5, seed).unwrap();
            assert!(picks.contains(&true) && !picks[..4].contains(&true));
        }
        let (strata, of) = groups(&[&[50, 50], &[45, 50]]);
        let picks = grouped(&strata, &of, 0.1, 3).unwrap();
        assert!(picks.iter().filter(|&&pick| pick).count() == 95, "the smaller half");
        for whole in [&[&[5, 5][..]][..], &[&[4, 0], &[0, 4]]] {
            let (strata, of) = groups(whole);
            assert_eq!(grouped(&strata, &of, 0.2, 1), None);
        }
    }

    #[test]
    fn depends_on_the_seed_and_not_on_the_order() {
        let (strata, keys) = rows(&[40, 10, 2, 1]);
        let chosen = |seed| {
            let picks = split(&strata, &keys, 0.2, seed);
            let mut urls: Vec<_> = (0..strata.len()).filter(|&i| picks[i]).map(|i| keys[i].url).collect();
            urls.sort();
            urls
        };
        assert_eq!(chosen(1).len(), 11);
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
        let (back, back_keys): (Vec<_>, Vec<_>) = strata.iter().copied().zip(keys.iter().copied()).rev().unzip();
        let picks = split(&back, &back_keys, 0.2, 1);
        let mut urls: Vec<_> = (0..back.len()).filter(|&i| picks[i]).map(|i| back_keys[i].url).collect();
        urls.sort();
        assert_eq!(urls, chosen(1));
    }

    #[test]
    fn parts_are_even_in_every_class_and_independent_of_the_order() {
        let (strata, keys) = rows(&[23, 7, 5, 1]);
        let parts = folds(&strata, &keys, 5, 3);
        let count = |class: Option<u32>, part: u32| {
            strata.iter().zip(&parts).filter(|&(&c, &p)| class.is_none_or(|class| c == class) && p == part).count()
        };
        for class in [None, Some(0), Some(1), Some(2), Some(3)] {
            let counts: Vec<usize> = (0..5).map(|part| count(class, part)).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{class:?}: {counts:?}");
        }
        let backwards: Vec<usize> = (0..strata.len()).rev().collect();
        let turned = |of: &[u32]| backwards.iter().map(|&at| of[at]).collect::<Vec<_>>();
        let turned_keys: Vec<Keys> = backwards.iter().map(|&at| keys[at]).collect();
        assert_eq!(folds(&turned(&strata), &turned_keys, 5, 3), turned(&parts));
        assert_ne!(folds(&strata, &keys, 5, 4), parts, "another seed");
    }

    #[test]
    fn groups_are_not_cut_into_parts() {
        let (strata, _) = rows(&[20, 20]);
        // Ten groups, each with rows of both classes.
        let groups: Vec<Group> = (0..strata.len()).map(|at| [(at % 10) as u8; 8]).collect();
        let parts = grouped_folds(&strata, &groups, 5, 1).unwrap();
        for (at, group) in groups.iter().enumerate() {
            let first = groups.iter().position(|one| one == group).unwrap();
            assert_eq!(parts[at], parts[first]);
        }
        assert!((0..5).all(|part| parts.iter().filter(|&&one| one == part).count() == 8), "{parts:?}");
        assert_eq!(grouped_folds(&strata, &groups, 11, 1), None);
    }
}
