//! Which examples are worth showing: the most confident errors and the most frequent confusions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::metric::predictions;

/// One wrong answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mistake {
    /// Row in `probabilities`, and in the dataset they were computed from.
    pub index: usize,
    /// The true class.
    pub truth: usize,
    /// The predicted class.
    pub predicted: usize,
    /// Probability of the predicted class, 0 to 1.
    pub probability: f32,
    /// Probability of the true class, 0 to 1.
    pub truth_probability: f32,
}

/// Examples of class `truth` that were taken for `predicted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// The true class.
    pub truth: usize,
    /// The predicted class.
    pub predicted: usize,
    /// How many examples.
    pub count: usize,
    /// How many examples of `truth` there are in all.
    pub of: usize,
    /// Rows of some of them, the most confident error first.
    pub examples: Vec<usize>,
}

/// The `limit` wrong answers of highest probability, ties by index. Rows that hold a NaN or an infinity name no class and
/// are left out; no examples give no mistakes.
///
/// `probabilities` is row-major `[N, classes]`, `targets` holds `N` class indices.
pub fn worst_mistakes(classes: usize, probabilities: &[f32], targets: &[usize], limit: usize) -> Vec<Mistake> {
    let mut mistakes = all_mistakes(classes, probabilities, targets);
    mistakes.truncate(limit);
    mistakes
}

/// The `limit` most frequent (truth, predicted) pairs with up to `examples` rows each; ties by truth, then predicted.
/// Rows that hold a NaN or an infinity are left out, as in [`worst_mistakes`].
pub fn most_confused(
    classes: usize,
    probabilities: &[f32],
    targets: &[usize],
    limit: usize,
    examples: usize,
) -> Vec<Confusion> {
    let mut support = vec![0; classes];
    for &target in targets {
        support[target] += 1;
    }
    let mut pairs: BTreeMap<(usize, usize), Confusion> = BTreeMap::new();
    for mistake in all_mistakes(classes, probabilities, targets) {
        let Mistake { index, truth, predicted, .. } = mistake;
        let pair = pairs.entry((truth, predicted)).or_insert_with(|| Confusion {
            truth,
            predicted,
            count: 0,
            of: support[truth],
            examples: Vec::new(),
        });
        pair.count += 1;
        if pair.examples.len() < examples {
            pair.examples.push(index);
        }
    }
    let mut pairs: Vec<Confusion> = pairs.into_values().collect();
    pairs.sort_by_key(|pair| Reverse(pair.count));
    pairs.truncate(limit);
    pairs
}

/// Every wrong answer, the most confident first, ties by index.
fn all_mistakes(classes: usize, probabilities: &[f32], targets: &[usize]) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = predictions(classes, probabilities)
        .zip(targets)
        .enumerate()
        .filter_map(|(index, (prediction, &truth))| {
            let predicted = prediction.class.filter(|&class| class != truth)?;
            let truth_probability = probabilities[index * classes + truth];
            Some(Mistake { index, truth, predicted, probability: prediction.probability, truth_probability })
        })
        .collect();
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.index.cmp(&b.index)));
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBABILITIES: [f32; 18] = [
        0.1,
        0.8,
        0.1, // 0 is taken for 1
        0.9,
        0.1,
        0.0, // right
        0.1,
        0.8,
        0.1, // 0 is taken for 1, tied with the first
        0.2,
        0.1,
        0.7, // 1 is taken for 2
        f32::NAN,
        0.5,
        0.5, // no answer
        0.0,
        0.95,
        0.05, // 2 is taken for 1
    ];
    const TARGETS: [usize; 6] = [0, 0, 0, 1, 2, 2];

    #[test]
    fn confident_errors_first_and_ties_by_index() {
        let order =
            |limit| worst_mistakes(3, &PROBABILITIES, &TARGETS, limit).iter().map(|m| m.index).collect::<Vec<_>>();
        assert_eq!(order(10), [5, 0, 2, 3]);
        assert_eq!(order(2), [5, 0]);
        let first = worst_mistakes(3, &PROBABILITIES, &TARGETS, 1)[0];
        assert_eq!((first.truth, first.predicted, first.probability, first.truth_probability), (2, 1, 0.95, 0.05));
    }

    #[test]
    fn frequent_pairs_first_and_ties_by_class() {
        let pairs = most_confused(3, &PROBABILITIES, &TARGETS, 10, 1);
        let found: Vec<_> = pairs.iter().map(|p| (p.truth, p.predicted, p.count, p.of, p.examples.clone())).collect();
        assert_eq!(found, [(0, 1, 2, 3, vec![0]), (1, 2, 1, 1, vec![3]), (2, 1, 1, 2, vec![5])]);
        assert_eq!(most_confused(3, &PROBABILITIES, &TARGETS, 1, 0).len(), 1);
    }

    #[test]
    fn nothing_to_show() {
        assert!(worst_mistakes(3, &[], &[], 5).is_empty());
        assert!(most_confused(0, &[], &[], 5, 5).is_empty());
        assert!(worst_mistakes(2, &[0.9, 0.1], &[0], 5).is_empty());
    }
}
