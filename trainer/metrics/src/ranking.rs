//! What depends only on the order of the scores: the threshold sweep, and the areas under its curves.

/// One distinct threshold of a sweep from the highest score down: how many of the examples at or above it are
/// positive and how many are negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The score; `-inf` for scores that were not finite.
    pub threshold: f32,
    /// Positives with a score at or above the threshold.
    pub true_positives: u64,
    /// Negatives with a score at or above the threshold.
    pub false_positives: u64,
}

/// The sweep over `(score, is positive)` pairs, one [`Step`] per distinct score, highest first. NaN and infinite scores
/// rank below every finite one and tie with each other; ties share one step; no pairs give no steps.
///
/// Counts only grow, and the last step holds the totals, so that ROC, precision-recall and gain curves are all readings
/// of the same list.
pub fn steps(scored: impl Iterator<Item = (f32, bool)>) -> Vec<Step> {
    // One integer per pair, ordered as its score is: a total order, so an unstable sort gives the same sweep every time.
    let mut keys: Vec<u64> = scored.map(|(score, positive)| (ordered(score) << 1) | u64::from(positive)).collect();
    keys.sort_unstable_by(|a, b| b.cmp(a));
    let mut sweep: Vec<Step> = Vec::new();
    let (mut positives, mut negatives) = (0, 0);
    for (place, key) in keys.iter().enumerate() {
        positives += key & 1;
        negatives += 1 - (key & 1);
        if keys.get(place + 1).is_none_or(|next| next >> 1 != key >> 1) {
            sweep.push(Step { threshold: score_of(key >> 1), true_positives: positives, false_positives: negatives });
        }
    }
    sweep
}

/// Maps a score to an integer in the same order; -0 and 0 are one value, everything not finite is 0.
fn ordered(score: f32) -> u64 {
    if !score.is_finite() {
        return 0;
    }
    let bits = (score + 0.0).to_bits();
    u64::from(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
}

fn score_of(key: u64) -> f32 {
    let Ok(key @ 1..) = u32::try_from(key) else { return f32::NEG_INFINITY };
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// Area under the ROC curve of a sweep, 0 to 1; undefined (`None`) without a positive or without a negative example.
/// Ties count half, as the trapezoid rule of scikit-learn's `roc_auc_score` does.
pub fn area_under_roc(sweep: &[Step]) -> Option<f64> {
    let last = sweep.last()?;
    if last.true_positives == 0 || last.false_positives == 0 {
        return None;
    }
    let mut twice_area = 0.0;
    let (mut before, mut width) = (0, 0);
    for step in sweep {
        twice_area += (step.false_positives - width) as f64 * (step.true_positives + before) as f64;
        (before, width) = (step.true_positives, step.false_positives);
    }
    Some(twice_area / 2.0 / last.true_positives as f64 / last.false_positives as f64)
}

/// Average precision of a sweep, 0 to 1: the sum over thresholds of precision times the recall gained, without
/// interpolation; undefined (`None`) without a positive example, where scikit-learn warns and says 0.
pub fn average_precision(sweep: &[Step]) -> Option<f64> {
    let positives = sweep.last()?.true_positives;
    if positives == 0 {
        return None;
    }
    let mut sum = 0.0;
    let mut before = 0;
    for step in sweep {
        let precision = step.true_positives as f64 / (step.true_positives + step.false_positives) as f64;
        sum += precision * (step.true_positives - before) as f64;
        before = step.true_positives;
    }
    Some(sum / positives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_of_scores() {
        let scores = [f32::MAX, 1.0, 0.5, f32::MIN_POSITIVE, 1e-45, 0.0, -1e-45, -0.5, -1.0, f32::MIN];
        for pair in scores.windows(2) {
            assert!(ordered(pair[0]) > ordered(pair[1]), "{pair:?}");
        }
        for score in scores {
            assert_eq!(score_of(ordered(score)), score);
            assert!(ordered(score) > ordered(f32::NAN));
        }
        assert_eq!(ordered(-0.0), ordered(0.0));
        assert_eq!(ordered(f32::INFINITY), ordered(f32::NAN));
    }

    #[test]
    fn a_tie_is_one_step() {
        let sweep = steps([(0.5, true), (0.25, false), (0.5, false), (f32::NAN, true)].into_iter());
        let expected = [(0.5, 1, 1), (0.25, 1, 2), (f32::NEG_INFINITY, 2, 2)];
        let found: Vec<_> = sweep.iter().map(|s| (s.threshold, s.true_positives, s.false_positives)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn worked_examples() {
        // Positives .9 and .4, negatives .6 and .4: of the four pairs two are in order, one is tied, one reversed.
        let sweep = steps([(0.9, true), (0.6, false), (0.4, true), (0.4, false)].into_iter());
        assert_eq!(area_under_roc(&sweep), Some(0.625));
        assert_eq!(average_precision(&sweep), Some(0.5 + 0.5 * 0.5));
    }

    #[test]
    fn undefined_without_both_kinds() {
        assert_eq!(area_under_roc(&[]), None);
        assert_eq!(average_precision(&[]), None);
        let positive = steps([(0.3, true), (0.2, true)].into_iter());
        assert_eq!(area_under_roc(&positive), None);
        assert_eq!(average_precision(&positive), Some(1.0));
        let negative = steps([(0.3, false)].into_iter());
        assert_eq!(area_under_roc(&negative), None);
        assert_eq!(average_precision(&negative), None);
    }
}
