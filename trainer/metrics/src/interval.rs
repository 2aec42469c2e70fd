//! How far a metric may be from what many more images would give: percentiles of resampled means (Efron 1979, the bootstrap).

use std::collections::BTreeMap;

use super::classification::Example;

/// Samples that are drawn.
pub(crate) const RESAMPLES: usize = 1000;
/// Share of the samples on each side of an interval: 95 % lie within.
const TAIL: f64 = 0.025;
/// Fewest images of which an interval says something.
pub(crate) const FEWEST: usize = 5;

/// The interval that holds 95 % of the means of as many values, drawn with replacement; `None` of fewer than 5. `draw(n)` is a random
/// whole number below n.
#[must_use]
pub fn interval(values: &[f64], mut draw: impl FnMut(usize) -> usize) -> Option<[f64; 2]> {
    let n = values.len();
    if n < FEWEST {
        return None;
    }
    let means = (0..RESAMPLES).map(|_| (0..n).map(|_| values[draw(n)]).sum::<f64>() / n as f64).collect();
    Some(percentiles(means))
}

/// The two values that 95 % of `resampled`, of which there is at least one, lie between.
pub(crate) fn percentiles(mut resampled: Vec<f64>) -> [f64; 2] {
    resampled.sort_unstable_by(f64::total_cmp);
    [TAIL, 1.0 - TAIL].map(|share| resampled[((resampled.len() - 1) as f64 * share).round() as usize])
}

/// Intervals of the metrics that are means over examples, by name: `accuracy`, `log_loss` and, of label sets, `iou`. `draw` is that of
/// [`interval`].
#[must_use]
pub fn intervals(examples: &[Example], mut draw: impl FnMut(usize) -> usize) -> BTreeMap<String, [f64; 2]> {
    let mut named = BTreeMap::new();
    let mut put = |name: &str, values: Vec<f64>| {
        if let Some(found) = interval(&values, &mut draw) {
            named.insert(name.to_owned(), found);
        }
    };
    put("accuracy", examples.iter().map(|example| f64::from(u8::from(example.right))).collect());
    put("log_loss", examples.iter().map(|example| example.cost).collect());
    put("iou", examples.iter().filter_map(|example| example.overlap).collect());
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers below n that look random.
    fn draw() -> impl FnMut(usize) -> usize {
        let mut state = 1_u64;
        move |n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        }
    }

    #[test]
    fn an_interval_of_a_share_is_as_wide_as_the_binomial_says() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 10 != 0))).collect();
        let [low, high] = interval(&values, draw()).unwrap();
        // 1.96 standard errors of .015 on either side.
        assert!((low - 0.8706).abs() < 0.006 && (high - 0.9294).abs() < 0.006, "{low} {high}");
        assert_eq!(interval(&[1.0; 27], draw()), Some([1.0, 1.0]));
        assert_eq!(interval(&[1.0; 4], draw()), None);
    }

    #[test]
    fn each_metric_that_is_a_mean_has_one() {
        let one = Example { right: true, cost: 0.5, overlap: None };
        assert_eq!(intervals(&[one; 6], draw()).into_keys().collect::<Vec<_>>(), ["accuracy", "log_loss"]);
        let set = Example { overlap: Some(0.5), ..one };
        assert_eq!(intervals(&[set; 6], draw())["iou"], [0.5, 0.5]);
        assert!(intervals(&[], draw()).is_empty());
    }
}
