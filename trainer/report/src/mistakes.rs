//! Which examples are worth showing: the worst errors, the most frequent confusions, and labels that may be wrong.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use metrics::{Decision, THRESHOLD, Truths, Verdict};

/// Examples of which one class was missed and another one invented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// The true class.
    pub truth: usize,
    /// The predicted class.
    pub predicted: usize,
    /// How many examples.
    pub count: usize,
    /// How many answered examples of `truth` there are in all.
    pub of: usize,
    /// Rows of some of them, the worst error first.
    pub examples: Vec<usize>,
}

/// The rows of wrong answers, the worst first, ties by row: those that leave a true class the least probability, or give a class
/// that is not there the most. `decisions` are those of [`Truths::decisions`]; rows without an answer are left out.
pub fn worst_mistakes(decisions: &[Option<Vec<Decision>>]) -> Vec<usize> {
    let error = |row: &Vec<Decision>| row.iter().filter_map(error).reduce(f32::max);
    let mut wrong: Vec<(usize, f32)> =
        decisions.iter().enumerate().filter_map(|(row, said)| Some((row, error(said.as_ref()?)?))).collect();
    wrong.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    wrong.into_iter().map(|(row, _)| row).collect()
}

/// How wrong a decision is, 0 to 1; `None` when it is right.
fn error(decision: &Decision) -> Option<f32> {
    match decision.verdict {
        Verdict::Right => None,
        Verdict::Invented => Some(decision.probability),
        Verdict::Missed => Some(1.0 - decision.probability),
    }
}

/// The `limit` most frequent pairs of a class that was missed and one that was invented on the same example, with up to `examples` rows
/// each; ties by truth, then predicted. Rows without an answer are left out.
pub fn most_confused(decisions: &[Option<Vec<Decision>>], limit: usize, examples: usize) -> Vec<Confusion> {
    let mut support: BTreeMap<usize, usize> = BTreeMap::new();
    for decision in decisions.iter().flatten().flatten().filter(|one| one.verdict != Verdict::Invented) {
        *support.entry(decision.class).or_default() += 1;
    }
    let mut pairs: BTreeMap<(usize, usize), Confusion> = BTreeMap::new();
    for row in worst_mistakes(decisions) {
        let said = decisions[row].iter().flatten();
        let of = |verdict: Verdict| said.clone().filter(move |one| one.verdict == verdict).map(|one| one.class);
        for (truth, predicted) in
            of(Verdict::Missed).flat_map(|missed| of(Verdict::Invented).map(move |one| (missed, one)))
        {
            let pair = pairs.entry((truth, predicted)).or_insert_with(|| Confusion {
                truth,
                predicted,
                count: 0,
                of: support[&truth],
                examples: Vec::new(),
            });
            pair.count += 1;
            if pair.examples.len() < examples {
                pair.examples.push(row);
            }
        }
    }
    let mut pairs: Vec<Confusion> = pairs.into_values().collect();
    pairs.sort_by_key(|pair| Reverse(pair.count));
    pairs.truncate(limit);
    pairs
}

/// An example whose label may be wrong, and the decisions that say so.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// The row.
    pub row: usize,
    /// What the label lacks ([`Verdict::Invented`]) and what it has too much ([`Verdict::Missed`]), if the network is right.
    pub decisions: Vec<Decision>,
}

/// Examples whose label the network doubts more than is usual, the strongest doubt first, ties by row; by the rule of confident
/// learning (Northcutt, Jiang and Chuang, 2021): another class is as probable as it is on average among the examples that are
/// labelled with it. With any number of classes each class is such a question by itself, presence against absence. What is
/// predicted must have been unseen in training for this to mean anything. Rows that hold a value that is not finite are left
/// out.
///
/// `probabilities` is row-major `[N, classes]`.
pub fn suspected_label_errors(classes: usize, probabilities: &[f32], truths: &Truths) -> Vec<Suspect> {
    let rows: Vec<&[f32]> = probabilities.chunks_exact(classes.max(1)).collect();
    let finite = |row: usize| rows[row].iter().all(|value| value.is_finite());
    let usable: Vec<usize> = (0..rows.len()).filter(|&row| finite(row)).collect();
    // How sure the network is on average of what is labelled so; `None` where nothing is.
    let usual = |class: usize, is_there: bool| {
        let sure = usable.iter().filter(|&&row| truths.holds(row, class) == is_there);
        let sure: Vec<f32> = sure.map(|&row| certainty(rows[row][class], is_there)).collect();
        (!sure.is_empty()).then(|| sure.iter().sum::<f32>() / sure.len() as f32)
    };
    let present: Vec<Option<f32>> = (0..classes).map(|class| usual(class, true)).collect();
    let absent: Vec<Option<f32>> = match truths {
        Truths::One(_) => Vec::new(),
        Truths::Any { .. } => (0..classes).map(|class| usual(class, false)).collect(),
    };
    let doubts = |row: usize| match truths {
        Truths::One(targets) => other_class(rows[row], targets[row], &present),
        Truths::Any { .. } => {
            let doubt = |class: usize| {
                let (is_there, probability) = (truths.holds(row, class), rows[row][class]);
                let usual = if is_there { absent[class] } else { present[class] }?;
                let against = certainty(probability, !is_there);
                let verdict = if is_there { Verdict::Missed } else { Verdict::Invented };
                (against > THRESHOLD && against >= usual).then_some(Decision { class, probability, verdict })
            };
            (0..classes).filter_map(doubt).collect()
        }
    };
    let suspects = usable.iter().map(|&row| Suspect { row, decisions: doubts(row) });
    let mut suspects: Vec<Suspect> = suspects.filter(|suspect| !suspect.decisions.is_empty()).collect();
    let doubt = |suspect: &Suspect| match truths {
        // Margin of the other class over the given one.
        Truths::One(_) => suspect.decisions[0].probability - suspect.decisions[1].probability,
        Truths::Any { .. } => suspect.decisions.iter().filter_map(error).fold(0.0, f32::max),
    };
    suspects.sort_by(|a, b| doubt(b).total_cmp(&doubt(a)).then(a.row.cmp(&b.row)));
    suspects
}

/// A label that a network doubts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelDoubt {
    /// The row.
    pub row: usize,
    /// What the label lacks, if the network is right.
    pub lacks: Option<Decision>,
    /// What it has too much.
    pub has: Option<Decision>,
    /// How strongly it is doubted, 0 to 1; above 0.5 where the doubt is stronger than is usual.
    pub score: f32,
}

/// Every label that the network contradicts, the strongest doubt first, ties by row: those of [`suspected_label_errors`], and after
/// them those of which it is less sure, so that there is something to look at where a network is never sure.
///
/// Where each example has one class the doubt `d` is the margin of the other class over the given one, as in confident
/// learning; of sets each label is one, and `d` is the probability that it is wrong. The score is `(1 + d) / 2` or `d` where
/// confident learning suspects it, else `d / 2`. `probabilities` is row-major `[N, classes]`; rows that hold a value that is not
/// finite are left out.
pub fn doubted_labels(classes: usize, probabilities: &[f32], truths: &Truths) -> Vec<LabelDoubt> {
    let suspects = suspected_label_errors(classes, probabilities, truths);
    let labels = suspects.iter().flat_map(|one| one.decisions.iter().map(|said| (one.row, said.class)));
    let suspected: BTreeSet<(usize, usize)> = labels.collect();
    let mut doubts: Vec<LabelDoubt> = suspects.iter().flat_map(|one| each_doubt(one, truths, true)).collect();
    for (row, said) in truths.decisions(classes, probabilities).into_iter().enumerate() {
        let mut decisions = said.unwrap_or_default();
        decisions.retain(|one| !suspected.contains(&(row, one.class)));
        doubts.extend(each_doubt(&Suspect { row, decisions }, truths, false));
    }
    doubts.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    doubts
}

/// The doubts about an example: one where it has one class, or one for each label.
fn each_doubt(suspect: &Suspect, truths: &Truths, is_sure: bool) -> Vec<LabelDoubt> {
    let row = suspect.row;
    let of = |verdict: Verdict| suspect.decisions.iter().copied().find(|one| one.verdict == verdict);
    match truths {
        Truths::One(_) => match (of(Verdict::Invented), of(Verdict::Missed)) {
            (Some(lacks), Some(has)) => {
                let margin = lacks.probability - has.probability;
                let score = if is_sure { (1.0 + margin) / 2.0 } else { margin / 2.0 };
                vec![LabelDoubt { row, lacks: Some(lacks), has: Some(has), score }]
            }
            (None, _) | (_, None) => Vec::new(),
        },
        Truths::Any { .. } => {
            let doubt = |one: &Decision| {
                let doubt = error(one)?;
                let score = if is_sure { doubt } else { doubt / 2.0 };
                let of = |verdict: Verdict| (one.verdict == verdict).then_some(*one);
                Some(LabelDoubt { row, lacks: of(Verdict::Invented), has: of(Verdict::Missed), score })
            };
            suspect.decisions.iter().filter_map(doubt).collect()
        }
    }
}

fn certainty(probability: f32, is_there: bool) -> f32 {
    if is_there { probability } else { 1.0 - probability }
}

/// The most probable of the classes that are as probable as usual, beside the class of the label; nothing where that is it.
fn other_class(row: &[f32], given: usize, usual: &[Option<f32>]) -> Vec<Decision> {
    let confident = (0..row.len()).filter(|&class| usual[class].is_some_and(|usual| row[class] >= usual));
    let best = confident.reduce(|best, class| if row[class] > row[best] { class } else { best });
    let decision = |class: usize, verdict| Decision { class, probability: row[class], verdict };
    match best {
        Some(best) if best != given && row[best] > row[given] => {
            vec![decision(best, Verdict::Invented), decision(given, Verdict::Missed)]
        }
        Some(_) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const PROBABILITIES: [f32; 18] = [
        0.1, 0.8, 0.1, // 0 is taken for 1
        0.9, 0.1, 0.0, // right
        0.1, 0.8, 0.1, // 0 is taken for 1, tied with the first
        0.2, 0.1, 0.7, // 1 is taken for 2
        f32::NAN, 0.5, 0.5, // no answer
        0.0, 0.95, 0.05, // 2 is taken for 1
    ];

    fn decisions() -> Vec<Option<Vec<Decision>>> {
        Truths::One(vec![0, 0, 0, 1, 2, 2]).decisions(3, &PROBABILITIES)
    }

    fn sets(sets: &[&[u32]]) -> Truths {
        Truths::sets(sets.iter().map(|set| set.to_vec()).collect())
    }

    #[test]
    fn the_worst_errors_first_and_ties_by_row() {
        assert_eq!(worst_mistakes(&decisions()), [5, 0, 2, 3]);
        let truths = sets(&[&[0], &[0], &[], &[1]]);
        let many = truths.decisions(2, &[0.4, 0.6, 0.9, 0.1, 0.0, 0.7, 0.0, 0.0]);
        assert_eq!(worst_mistakes(&many), [3, 2, 0], "missed for sure, invented, half and half");
    }

    #[test]
    fn frequent_pairs_first_and_ties_by_class() {
        let pairs = most_confused(&decisions(), 10, 1);
        let found: Vec<_> = pairs.iter().map(|p| (p.truth, p.predicted, p.count, p.of, p.examples.clone())).collect();
        assert_eq!(found, [(0, 1, 2, 3, vec![0]), (1, 2, 1, 1, vec![3]), (2, 1, 1, 1, vec![5])]);
        assert_eq!(most_confused(&decisions(), 1, 0).len(), 1);
        let truths = sets(&[&[0, 1]]);
        let pairs = most_confused(&truths.decisions(3, &[0.1, 0.2, 0.9]), 10, 1);
        assert_eq!(pairs.iter().map(|p| (p.truth, p.predicted)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    }

    #[test]
    fn nothing_to_show() {
        assert!(worst_mistakes(&[]).is_empty() && most_confused(&[None], 5, 5).is_empty());
        assert!(worst_mistakes(&Truths::One(vec![0]).decisions(2, &[0.9, 0.1])).is_empty());
        assert!(suspected_label_errors(0, &[], &Truths::One(vec![])).is_empty());
    }

    #[test]
    fn a_label_is_suspect_when_another_one_is_as_probable_as_usual() {
        // Class 1 is usually given 0.7: the first row calls it 0.9, the second only 0.6.
        let probabilities = [0.1, 0.9, 0.4, 0.6, 0.9, 0.1, 0.2, 0.8, 0.4, 0.6];
        let suspects = suspected_label_errors(2, &probabilities, &Truths::One(vec![0, 0, 0, 1, 1]));
        assert_eq!(suspects.iter().map(|one| one.row).collect::<Vec<_>>(), [0]);
        let said: Vec<_> = suspects[0].decisions.iter().map(|one| (one.class, one.verdict)).collect();
        assert_eq!(said, [(1, Verdict::Invented), (0, Verdict::Missed)]);
    }

    #[test]
    fn doubts_that_are_stronger_than_usual_come_before_weaker_ones() {
        let probabilities = [0.1, 0.9, 0.4, 0.6, 0.9, 0.1, 0.2, 0.8, 0.4, 0.6];
        let doubts = doubted_labels(2, &probabilities, &Truths::One(vec![0, 0, 0, 1, 1]));
        let found: Vec<_> = doubts.iter().map(|one| (one.row, (one.score * 1e3).round())).collect();
        assert_eq!(found, [(0, 900.0), (1, 100.0)], "0.9 over 0.1 is usual, 0.6 over 0.4 is not");
        let (lacks, has) = (doubts[0].lacks.unwrap(), doubts[0].has.unwrap());
        assert_eq!((lacks.class, has.class), (1, 0));

        let truths = sets(&[&[0], &[0], &[1], &[]]);
        let doubts = doubted_labels(2, &[0.9, 0.6, 0.04, 0.2, 0.1, 0.9, 0.2, 0.95], &truths);
        let said = |one: &LabelDoubt| (one.row, one.lacks.map(|d| d.class), one.has.map(|d| d.class));
        let found: Vec<_> = doubts.iter().map(said).collect();
        assert_eq!(found, [(1, None, Some(0)), (3, Some(1), None), (0, Some(1), None)]);
        assert!(doubts[1].score > 0.9 && (doubts[2].score - 0.3).abs() < 1e-6, "{doubts:?}");
        assert!(doubted_labels(0, &[], &Truths::One(vec![])).is_empty());
    }

    #[test]
    fn of_several_labels_each_is_a_question() {
        let truths = sets(&[&[0], &[0], &[1], &[]]);
        let suspects = suspected_label_errors(2, &[0.9, 0.1, 0.05, 0.2, 0.1, 0.9, 0.2, 0.95], &truths);
        let found: Vec<_> =
            suspects.iter().map(|one| (one.row, one.decisions[0].class, one.decisions[0].verdict)).collect();
        assert_eq!(found, [(1, 0, Verdict::Missed), (3, 1, Verdict::Invented)]);
    }
}
