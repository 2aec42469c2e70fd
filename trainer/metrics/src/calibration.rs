//! A temperature for probabilities (Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599): the number that
//! logits are divided by so that probabilities are as likely as they say.

use serde::Serialize;

use super::truths::Truths;

/// Parts that are held back one after the other.
const FOLDS: usize = 5;
/// Fewest examples that a temperature is fitted to.
const FEWEST: usize = 4 * FOLDS;
/// Most probabilities that are looked at: of more examples evenly spaced ones are.
const MOST: usize = 2_000_000;
/// Temperatures lie between this and its inverse.
const LOWEST: f64 = 0.05;
/// Steps of the search, each of which leaves .62 of the interval.
const STEPS: usize = 28;

/// A temperature, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// What logits are divided by: above 1 where the model was too sure.
    pub temperature: f64,
    /// Log loss of the examples as they are.
    pub before: f64,
    /// Log loss of each fifth of the examples with the temperature of the other four.
    pub after: f64,
}

/// The temperature of `probabilities`, row-major `[N, classes]`, that come from a softmax, or from a sigmoid a class where examples
/// have any number of classes. `None` where it does not lower the log loss of examples that were held back, and of fewer than 20
/// examples, of a single class, or with values that are no probabilities.
///
/// What it is fitted to are not certainties but `(n + 1) / (n + 2)` for what is true, as Platt (1999) has it, so that a few examples
/// without a mistake do not make the model certain.
///
/// # Panics
/// Where `probabilities` are not `[N, classes]`.
#[must_use]
pub fn calibration(classes: usize, probabilities: &[f32], truths: &Truths) -> Option<Calibration> {
    assert_eq!(probabilities.len(), truths.len() * classes, "probabilities must be [{}, {classes}]", truths.len());
    let usable = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
    if truths.len() < FEWEST || classes == 0 || classes == 1 && matches!(truths, Truths::One(_)) || !usable {
        return None;
    }
    let step = (probabilities.len() / MOST).max(1);
    let chosen: Vec<usize> = (0..truths.len()).step_by(step).collect();
    let examples = Examples { classes, probabilities, truths };
    let part = |inside: &dyn Fn(usize) -> bool| -> Vec<usize> {
        chosen.iter().enumerate().filter(|(at, _)| inside(at % FOLDS)).map(|(_, &example)| example).collect()
    };
    let (mut before, mut after) = (0.0, 0.0);
    for fold in 0..FOLDS {
        let (held, rest) = (part(&|at| at == fold), part(&|at| at != fold));
        let temperature = examples.fit(&rest);
        before += examples.loss(&held, 1.0, 1.0) * held.len() as f64;
        after += examples.loss(&held, temperature, 1.0) * held.len() as f64;
    }
    let [before, after] = [before, after].map(|sum| sum / chosen.len() as f64);
    (after < before).then(|| Calibration { temperature: examples.fit(&chosen), before, after })
}

struct Examples<'a> {
    classes: usize,
    probabilities: &'a [f32],
    truths: &'a Truths,
}

impl Examples<'_> {
    /// The temperature with the least loss, by golden section over its logarithm: the loss is convex in its inverse.
    fn fit(&self, examples: &[usize]) -> f64 {
        let sure = (examples.len() + 1) as f64 / (examples.len() + 2) as f64;
        let loss = |log: f64| self.loss(examples, log.exp(), sure);
        let ratio = 0.5 * (5.0_f64.sqrt() - 1.0);
        let (mut low, mut high) = (LOWEST.ln(), -LOWEST.ln());
        let inner = |low: f64, high: f64| (high - ratio * (high - low), low + ratio * (high - low));
        let (mut left, mut right) = inner(low, high);
        let (mut at_left, mut at_right) = (loss(left), loss(right));
        for _ in 0..STEPS {
            if at_left <= at_right {
                (high, right, at_right) = (right, left, at_left);
                left = inner(low, high).0;
                at_left = loss(left);
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = inner(low, high).1;
                at_right = loss(right);
            }
        }
        (0.5 * (low + high)).exp()
    }

    /// Mean log loss of some examples at a temperature, where what is true is only so `sure`.
    fn loss(&self, examples: &[usize], temperature: f64, sure: f64) -> f64 {
        let each = |&example: &usize| {
            let row = &self.probabilities[example * self.classes..][..self.classes];
            match self.truths {
                Truths::One(targets) => one(row, targets[example], temperature, sure),
                Truths::Any { sets, .. } => any(row, &sets[example], temperature, sure),
            }
        };
        examples.iter().map(each).sum::<f64>() / examples.len().max(1) as f64
    }
}

/// Softmax at a temperature: the logarithms of probabilities are logits but for a constant, which it does not see.
fn one(row: &[f32], target: usize, temperature: f64, sure: f64) -> f64 {
    let logit = |p: &f32| f64::from(p.max(f32::MIN_POSITIVE)).ln() / temperature;
    let total = row.iter().map(|p| logit(p).exp()).sum::<f64>().ln();
    let of = |class: usize| total - logit(&row[class]);
    let others = (1.0 - sure) / (row.len() - 1).max(1) as f64;
    if others == 0.0 {
        return of(target);
    }
    (0..row.len()).map(|class| of(class) * if class == target { sure } else { others }).sum()
}

/// A sigmoid a class at a temperature, mean over the classes.
fn any(row: &[f32], truth: &[u32], temperature: f64, sure: f64) -> f64 {
    let cost = |(class, p): (usize, &f32)| {
        let p = f64::from(*p).clamp(f64::from(f32::EPSILON) / 2.0, 1.0 - f64::from(f32::EPSILON) / 2.0);
        let logit = (p / (1.0 - p)).ln() / temperature;
        let (present, absent) = ((-logit).exp().ln_1p(), logit.exp().ln_1p());
        let is_true = truth.iter().any(|&one| one as usize == class);
        let (likely, unlikely) = if is_true { (present, absent) } else { (absent, present) };
        sure * likely + (1.0 - sure) * unlikely
    };
    row.iter().enumerate().map(cost).sum::<f64>() / row.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Softmax of logits.
    fn softmax(logits: &[f64]) -> Vec<f32> {
        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
        logits.iter().map(|l| (l.exp() / sum) as f32).collect()
    }

    /// Examples of three classes whose classes are drawn by what a model says at `temperature`.
    fn drawn(n: usize, temperature: f64) -> (Vec<f32>, Vec<usize>) {
        let wave = |i: usize, k: f64| (i as f64 * k).sin();
        let mut said = Vec::new();
        let mut targets = Vec::new();
        for i in 0..n {
            let logits = [2.0 * wave(i, 0.7), 2.0 * wave(i, 1.3), 2.0 * wave(i, 2.1)];
            let true_to = softmax(&logits);
            let draw = (i as f64 * 0.618_033_988_749_895).fract() as f32;
            targets.push(if draw < true_to[0] { 0 } else { usize::from(draw >= true_to[0] + true_to[1]) + 1 });
            said.extend(softmax(&logits.map(|l| l * temperature)));
        }
        (said, targets)
    }

    #[test]
    fn a_model_that_is_too_sure_gets_the_temperature_that_it_was_made_with() {
        for made_with in [0.5, 2.0, 4.0] {
            let (said, targets) = drawn(4000, made_with);
            let found = calibration(3, &said, &Truths::One(targets)).unwrap();
            assert!((found.temperature / made_with - 1.0).abs() < 0.06, "{made_with}: {found:?}");
            assert!(found.after < found.before);
        }
        let (said, targets) = drawn(4000, 1.0);
        let honest = calibration(3, &said, &Truths::One(targets));
        assert!(honest.is_none_or(|c| (c.temperature - 1.0).abs() < 0.06 && c.before - c.after < 1e-3), "{honest:?}");
    }

    #[test]
    fn label_sets_have_a_temperature_too() {
        let logit = |i: usize, class: usize| 2.0 * (i as f64 * (0.9 + class as f64)).sin();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let draw = |i: usize, class: usize| ((2 * i + class) as f64 * 0.618_033_988_749_895).fract();
        let sets = |i: usize| (0..2).filter(|&c| draw(i, c) < sigmoid(logit(i, c))).map(|c| c as u32).collect();
        let said: Vec<f32> = (0..4000).flat_map(|i| [0, 1].map(|c| sigmoid(3.0 * logit(i, c)) as f32)).collect();
        let found = calibration(2, &said, &Truths::sets((0..4000).map(sets).collect())).unwrap();
        assert!((found.temperature / 3.0 - 1.0).abs() < 0.06, "{found:?}");
    }

    #[test]
    fn a_few_examples_without_a_mistake_make_nothing_certain() {
        let said = [0.8_f32, 0.1, 0.1].repeat(24);
        let found = calibration(3, &said, &Truths::One(vec![0; 24])).unwrap();
        let p = softmax(&[
            0.8_f64.ln() / found.temperature,
            0.1_f64.ln() / found.temperature,
            0.1_f64.ln() / found.temperature,
        ]);
        assert!(p[0] > 0.8 && p[0] < 0.97, "{found:?} {p:?}");
    }

    #[test]
    fn what_cannot_be_calibrated_is_left_alone() {
        let none = |classes: usize, said: &[f32], truths: Truths| calibration(classes, said, &truths).is_none();
        assert!(none(3, &[], Truths::One(vec![])));
        assert!(none(2, &[0.5; 38], Truths::One(vec![0; 19])), "too few");
        assert!(none(1, &[1.0; 40], Truths::One(vec![0; 40])), "one class");
        assert!(none(2, &[f32::NAN; 80], Truths::One(vec![0; 40])));
        // Certain and right: no temperature makes that better.
        let certain = [1.0_f32, 0.0].repeat(40);
        assert!(none(2, &certain, Truths::One(vec![0; 40])));
        // Certain and wrong once in ten.
        let targets = (0..40).map(|i| usize::from(i % 10 == 0)).collect();
        assert!(calibration(2, &certain, &Truths::One(targets)).unwrap().temperature > 5.0);
    }
}
