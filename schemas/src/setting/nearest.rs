//! "Did you mean": the valid name most like a wrong one.

use super::kind::normal;

/// The candidate nearest to `name` by edit distance (insertions, deletions, substitutions and swaps of neighbours), if
/// one is within a third of the name's length; otherwise the shortest candidate that contains `name` or is contained in
/// it. Ties go to the earlier candidate.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: String = normal(name).chars().take(64).collect();
    let candidates: Vec<&str> = candidates.collect();
    let distance = |candidate: &&&str| edit_distance(&wanted, &normal(candidate));
    let closest = candidates.iter().min_by_key(distance)?;
    if distance(&closest) <= (wanted.chars().count() / 3).clamp(1, 4) {
        return Some(closest);
    }
    let related = |candidate: &&&str| {
        let candidate = normal(candidate);
        wanted.len() >= 4 && (candidate.contains(&wanted) || wanted.contains(&candidate))
    };
    candidates.iter().filter(related).min_by_key(|candidate| candidate.len()).copied()
}

/// Optimal string alignment distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_each_kind_of_slip_once() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("abc", "abd", 1), ("abc", "acb", 1), ("abc", "xabc", 1), ("ca", "abc", 3)]
        {
            assert_eq!(edit_distance(a, b), expected, "{a} {b}");
            assert_eq!(edit_distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn far_names_have_no_neighbour() {
        let names = ["learning_rate", "number_of_epochs"];
        assert_eq!(nearest("lerning-rate", names.into_iter()), Some("learning_rate"));
        assert_eq!(nearest("epochs", names.into_iter()), Some("number_of_epochs"));
        assert_eq!(nearest("zzz", names.into_iter()), None);
        assert_eq!(nearest("anything", std::iter::empty()), None);
    }
}
