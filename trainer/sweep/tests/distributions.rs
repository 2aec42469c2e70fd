//! Draws of each distribution are distributed as the specification says, at random and of a Sobol sequence, with fixed seeds.
//!
//! Continuous ones by Kolmogorov and Smirnov: the greatest distance of the share of draws below a number from the probability, which for
//! random draws is above 1.95 / √n once in a thousand times. Those of a list by chi-square, against its 99.9 % quantile by Wilson and
//! Hilferty. A Sobol sequence is more even than chance, so it is held to a tenth of either.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use serde_json::{Value, json};
use sweep::sampler::Sampling;
use sweep::space::{Branch, Distribution, Space};

const DRAWS: u64 = 16_384;

fn samplings() -> [(Sampling, f64); 2] {
    [(Sampling::Random { sobol: false }, 1.0), (Sampling::Random { sobol: true }, 0.1)]
}

fn draws(sampling: &Sampling, distribution: &Distribution, seed: u64) -> Vec<Value> {
    let branch = Branch { parameters: [("x".to_owned(), distribution.clone())].into_iter().collect() };
    let space = Space { branches: vec![branch] };
    assert_eq!(sampling.errors(&space), []);
    (0..DRAWS).map(|number| sampling.point(&space, seed, number, &[]).unwrap().values["x"].clone()).collect()
}

/// `below(x)` is the probability of less than x.
#[track_caller]
fn kolmogorov_smirnov(distribution: &Distribution, below: impl Fn(f64) -> f64) {
    for (sampling, share) in samplings() {
        let mut drawn: Vec<f64> =
            draws(&sampling, distribution, 16).iter().map(|value| value.as_f64().unwrap()).collect();
        drawn.sort_by(f64::total_cmp);
        let count = drawn.len() as f64;
        let distance = |(rank, x): (usize, &f64)| {
            (below(*x) - rank as f64 / count).abs().max((below(*x) - (rank as f64 + 1.0) / count).abs())
        };
        let greatest = drawn.iter().enumerate().map(distance).fold(0.0, f64::max);
        let limit = share * 1.95 / count.sqrt();
        assert!(greatest < limit, "{sampling:?}: {greatest} is above {limit}");
    }
}

/// `probabilities` of values; those that are expected less than 5 times are taken together.
#[track_caller]
fn chi_square(distribution: &Distribution, probabilities: &[(Value, f64)]) {
    assert!(
        (probabilities.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9,
        "the test's probabilities do not add up"
    );
    for (sampling, share) in samplings() {
        let drawn = draws(&sampling, distribution, 17);
        let (mut rest, mut sum, mut cells) = ((0.0, 0.0), 0.0, 0);
        let mut known = 0;
        for (value, probability) in probabilities {
            let count = drawn.iter().filter(|one| *one == value).count();
            known += count;
            let expected = probability * DRAWS as f64;
            if expected < 5.0 {
                rest = (rest.0 + count as f64, rest.1 + expected);
            } else {
                sum += (count as f64 - expected).powi(2) / expected;
                cells += 1;
            }
        }
        if rest.1 > 0.5 {
            sum += f64::powi(rest.0 - rest.1, 2) / rest.1;
            cells += 1;
        }
        assert_eq!(known as u64, DRAWS, "{sampling:?} draws values that the distribution does not have");
        let freedom = f64::from(cells) - 1.0;
        let spread = 2.0 / (9.0 * freedom);
        let limit = share * freedom * (1.0 - spread + 3.0902 * spread.sqrt()).powi(3);
        assert!(sum < limit, "{sampling:?}: {sum} is above {limit}");
    }
}

/// The probability that a normal number is below `x`, from the series of the error function and, in the tails, its continued fraction
/// (Abramowitz and Stegun 7.1.6 and 7.1.14): not the code that is tested.
fn normal_below(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let (density, root) = ((-z * z).exp(), std::f64::consts::PI.sqrt());
    let tail = if z < 3.0 {
        let (mut term, mut sum) = (z, z);
        for k in 1..200 {
            term *= 2.0 * z * z / f64::from(2 * k + 1);
            sum += term;
        }
        1.0 - 2.0 / root * density * sum
    } else {
        let fraction = (1..100).rev().fold(z, |below, k| z + f64::from(k) / 2.0 / below);
        density / root / fraction
    };
    if x < 0.0 { 0.5 * tail } else { 1.0 - 0.5 * tail }
}

/// Probabilities of the multiples of a step, from those of the interval that is rounded to each. `below(x)` as above.
fn rounded(multiples: std::ops::RangeInclusive<i64>, step: f64, below: impl Fn(f64) -> f64) -> Vec<(Value, f64)> {
    // One decimal is enough for the steps here; adding 0 makes 0 of -0.
    let value = |k: i64| match step.fract() {
        0.0 => json!(k * step as i64),
        _ => json!(format!("{:.1}", k as f64 * step).parse::<f64>().unwrap() + 0.0),
    };
    let end = |k: i64| (k as f64 + 0.5) * step;
    multiples.map(|k| (value(k), below(end(k)) - below(end(k - 1)))).collect()
}

#[test]
fn choices_are_each_as_likely() {
    let values = vec![json!("sgd"), json!("adam"), json!(3), json!(0.1), json!([1, 2]), json!(null), json!("x")];
    let expected: Vec<(Value, f64)> = values.iter().map(|value| (value.clone(), 1.0 / 7.0)).collect();
    chi_square(&Distribution::Choice(values), &expected);
}

#[test]
fn whole_numbers_are_each_as_likely() {
    let expected: Vec<(Value, f64)> = (0..23).map(|k| (json!(k), 1.0 / 23.0)).collect();
    chi_square(&Distribution::RandInt { upper: 23 }, &expected);
}

#[test]
fn uniform() {
    kolmogorov_smirnov(&Distribution::Uniform { low: -3.0, high: 5.0 }, |x| (x + 3.0) / 8.0);
}

#[test]
fn log_uniform() {
    kolmogorov_smirnov(&Distribution::LogUniform { low: -11.0, high: -2.0 }, |x| (x.ln() + 11.0) / 9.0);
}

#[test]
fn normal() {
    kolmogorov_smirnov(&Distribution::Normal { mean: 2.0, deviation: 3.0 }, |x| normal_below((x - 2.0) / 3.0));
}

#[test]
fn log_normal() {
    kolmogorov_smirnov(&Distribution::LogNormal { mean: -6.0, deviation: 1.5 }, |x| normal_below((x.ln() + 6.0) / 1.5));
}

#[test]
fn uniform_with_steps() {
    // The first and the last are half as likely as those between them.
    let ones = Distribution::QUniform { low: 1.0, high: 10.0, step: 1.0 };
    chi_square(&ones, &rounded(1..=10, 1.0, |x| ((x - 1.0) / 9.0).clamp(0.0, 1.0)));
    let tenths = Distribution::QUniform { low: -0.3, high: 1.0, step: 0.1 };
    chi_square(&tenths, &rounded(-3..=10, 0.1, |x| ((x + 0.3) / 1.3).clamp(0.0, 1.0)));
}

#[test]
fn log_uniform_with_steps() {
    let below = |x: f64| if x <= 0.0 { 0.0 } else { (x.ln() / 4.0).clamp(0.0, 1.0) };
    chi_square(&Distribution::QLogUniform { low: 0.0, high: 4.0, step: 2.0 }, &rounded(0..=28, 2.0, below));
}

#[test]
fn normal_with_steps() {
    let below = |x: f64| normal_below((x - 1.0) / 2.0);
    chi_square(&Distribution::QNormal { mean: 1.0, deviation: 2.0, step: 0.5 }, &rounded(-40..=40, 0.5, below));
}

#[test]
fn log_normal_with_steps() {
    let below = |x: f64| if x <= 0.0 { 0.0 } else { normal_below(x.ln() - 1.0) };
    chi_square(&Distribution::QLogNormal { mean: 1.0, deviation: 1.0, step: 1.0 }, &rounded(0..=2000, 1.0, below));
}

#[test]
fn branches_are_each_as_likely() {
    let one = Branch { parameters: [("x".to_owned(), Distribution::RandInt { upper: 2 })].into_iter().collect() };
    let space = Space { branches: vec![one; 5] };
    for (sampling, share) in samplings() {
        let mut counts = [0.0_f64; 5];
        for number in 0..DRAWS {
            counts[sampling.point(&space, 18, number, &[]).unwrap().branch] += 1.0;
        }
        let expected = DRAWS as f64 / 5.0;
        let sum: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
        // The 99.9 % quantile of chi-square with 4 degrees of freedom.
        assert!(sum < share * 18.467, "{sampling:?}: {sum}");
    }
}
