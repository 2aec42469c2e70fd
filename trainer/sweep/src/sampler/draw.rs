//! Between values of a parameter and numbers from 0 to 1: samplers choose numbers, every distribution makes values of them in one way,
//! so that a number is as likely as any other.

use serde_json::{Number, Value, json};

use crate::space::Distribution;

impl Distribution {
    /// The value below which a share of `unit` of the draws lies; `unit` is from 0 on and below 1.
    #[must_use]
    pub fn value(&self, unit: f64) -> Value {
        let unit = unit.clamp(0.0, 1.0_f64.next_down());
        match self {
            Self::Choice(values) => values.get((unit * values.len() as f64) as usize).cloned().unwrap_or_default(),
            Self::RandInt { upper } => json!((unit * *upper as f64) as u64),
            Self::QUniform { step, .. }
            | Self::QLogUniform { step, .. }
            | Self::QNormal { step, .. }
            | Self::QLogNormal { step, .. } => stepped(self.quantile(unit), *step),
            Self::Uniform { .. } | Self::LogUniform { .. } | Self::Normal { .. } | Self::LogNormal { .. } => {
                json!(self.quantile(unit))
            }
        }
    }

    /// The number that a value stands for, in the middle of those that give it; `None` of a value that is never drawn.
    #[must_use]
    pub fn unit(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Choice(values) => {
                let place = values.iter().position(|one| one == value)?;
                Some((place as f64 + 0.5) / values.len() as f64)
            }
            Self::RandInt { upper } => value.as_u64().filter(|n| n < upper).map(|n| (n as f64 + 0.5) / *upper as f64),
            Self::QUniform { .. } | Self::QLogUniform { .. } | Self::QNormal { .. } | Self::QLogNormal { .. } => {
                Some(self.share(value.as_f64()?))
            }
            Self::Uniform { .. } | Self::LogUniform { .. } | Self::Normal { .. } | Self::LogNormal { .. } => {
                Some(self.share(value.as_f64()?))
            }
        }
    }

    /// How many values there are, where they can be counted: of choices and of whole numbers, and of steps between two ends.
    #[must_use]
    pub fn values(&self) -> Option<Vec<Value>> {
        match self {
            Self::Choice(values) => Some(values.clone()),
            Self::RandInt { upper } => Some((0..*upper).map(|n| json!(n)).collect()),
            Self::QUniform { low, high, step } => {
                let (first, last) = ((low / step).round(), (high / step).round());
                (last - first < 10_000.0)
                    .then(|| (0..=(last - first) as u64).map(|n| stepped((first + n as f64) * step, *step)).collect())
            }
            Self::Uniform { .. }
            | Self::LogUniform { .. }
            | Self::QLogUniform { .. }
            | Self::Normal { .. }
            | Self::QNormal { .. }
            | Self::LogNormal { .. }
            | Self::QLogNormal { .. } => None,
        }
    }

    /// Of a distribution of numbers, before it is rounded.
    fn quantile(&self, unit: f64) -> f64 {
        match self {
            Self::Choice(_) | Self::RandInt { .. } => unit,
            Self::Uniform { low, high } | Self::QUniform { low, high, .. } => low + (high - low) * unit,
            Self::LogUniform { low, high } | Self::QLogUniform { low, high, .. } => (low + (high - low) * unit).exp(),
            Self::Normal { mean, deviation } | Self::QNormal { mean, deviation, .. } => {
                mean + deviation * normal_quantile(unit)
            }
            Self::LogNormal { mean, deviation } | Self::QLogNormal { mean, deviation, .. } => {
                (mean + deviation * normal_quantile(unit)).exp()
            }
        }
    }

    /// The share of draws below a number: the inverse of the quantile, by halving.
    fn share(&self, value: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0_f64);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.quantile(middle) < value { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }
}

/// `round(value / step) * step`, halves to even, without the noise of binary fractions: .3, and not .30000000000000004. A whole number
/// where the step is one.
fn stepped(value: f64, step: f64) -> Value {
    let value = (value / step).round_ties_even() * step;
    if step.fract() == 0.0 && value.abs() < 9e15 {
        return json!(value as i64);
    }
    // A digit more than the step has.
    let digits = (0..17)
        .find(|&digits| ((step * 10_f64.powi(digits)).round() / 10_f64.powi(digits) - step).abs() < step * 1e-12);
    let factor = 10_f64.powi(digits.unwrap_or(17));
    let rounded = (value * factor).round() / factor;
    Number::from_f64(if rounded.is_finite() { rounded } else { value }).map_or(Value::Null, Value::Number)
}

/// The number below which a share of a standard normal distribution lies, to about 16 digits: algorithm AS 241, PPND16 (Wichura 1988,
/// "The percentage points of the normal distribution", Applied Statistics 37).
pub(super) fn normal_quantile(share: f64) -> f64 {
    const NEAR: [[f64; 8]; 2] = [
        [
            3.387_132_872_796_366_5,
            133.141_667_891_784_38,
            1_971.590_950_306_551_3,
            13_731.693_765_509_46,
            45_921.953_931_549_87,
            67_265.770_927_008_7,
            33_430.575_583_588_13,
            2_509.080_928_730_122_7,
        ],
        [
            1.0,
            42.313_330_701_600_91,
            687.187_007_492_057_9,
            5_394.196_021_424_751,
            21_213.794_301_586_597,
            39_307.895_800_092_71,
            28_729.085_735_721_943,
            5_226.495_278_852_854,
        ],
    ];
    const MIDDLE: [[f64; 8]; 2] = [
        [
            1.423_437_110_749_683_5,
            4.630_337_846_156_546,
            5.769_497_221_460_691,
            3.647_848_324_763_204_5,
            1.270_458_252_452_368_4,
            0.241_780_725_177_450_6,
            0.022_723_844_989_269_184,
            0.000_774_545_014_278_341_4,
        ],
        [
            1.0,
            2.053_191_626_637_759,
            1.676_384_830_183_803_8,
            0.689_767_334_985_1,
            0.148_103_976_427_480_08,
            0.015_198_666_563_616_457,
            0.000_547_593_808_499_534_5,
            1.050_750_071_644_416_9e-9,
        ],
    ];
    const FAR: [[f64; 8]; 2] = [
        [
            6.657_904_643_501_103,
            5.463_784_911_164_114,
            1.784_826_539_917_291_3,
            0.296_560_571_828_504_87,
            0.026_532_189_526_576_124,
            0.001_242_660_947_388_078_4,
            2.711_555_568_743_487_6e-5,
            2.010_334_399_292_288_1e-7,
        ],
        [
            1.0,
            0.599_832_206_555_887_9,
            0.136_929_880_922_735_8,
            0.014_875_361_290_850_615,
            0.000_786_869_131_145_613_3,
            1.846_318_317_510_054_8e-5,
            1.421_511_758_316_446e-7,
            2.044_263_103_389_939_8e-15,
        ],
    ];
    let ratio = |[above, below]: &[[f64; 8]; 2], x: f64| {
        let value = |of: &[f64; 8]| of.iter().rev().fold(0.0, |sum, factor| sum * x + factor);
        value(above) / value(below)
    };
    let offset = share - 0.5;
    if offset.abs() <= 0.425 {
        return offset * ratio(&NEAR, 0.180_625 - offset * offset);
    }
    let tail = if offset < 0.0 { share } else { 1.0 - share }.max(f64::MIN_POSITIVE);
    let root = (-tail.ln()).sqrt();
    let size = if root <= 5.0 { ratio(&MIDDLE, root - 1.6) } else { ratio(&FAR, root - 5.0) };
    size.copysign(offset)
}

#[cfg(test)]
mod tests {
    use dataset::KeyedRng;

    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution_are_those_of_the_tables() {
        // Python's statistics.NormalDist().inv_cdf.
        for (share, expected) in [
            (1e-300, -37.047_096_299_361_2),
            (1e-12, -7.034_483_825_301_132),
            (1e-3, -3.090_232_306_167_813),
            (0.02, -2.053_748_910_631_822_5),
            (0.3, -0.524_400_512_708_040_7),
            (0.5, 0.0),
            (0.999, 3.090_232_306_167_813),
        ] {
            let found = normal_quantile(share);
            assert!((found - expected).abs() <= 1e-13 * expected.abs().max(1.0), "{share}: {found} {expected}");
        }
    }

    fn all() -> Vec<Distribution> {
        vec![
            Distribution::Choice(vec![json!("a"), json!("b"), json!(3)]),
            Distribution::RandInt { upper: 7 },
            Distribution::Uniform { low: -2.0, high: 3.0 },
            Distribution::QUniform { low: 0.0, high: 1.0, step: 0.1 },
            Distribution::LogUniform { low: -6.0, high: -1.0 },
            Distribution::QLogUniform { low: 0.0, high: 5.0, step: 1.0 },
            Distribution::Normal { mean: 10.0, deviation: 3.0 },
            Distribution::QNormal { mean: 10.0, deviation: 3.0, step: 0.5 },
            Distribution::LogNormal { mean: 0.0, deviation: 1.0 },
            Distribution::QLogNormal { mean: 2.0, deviation: 1.0, step: 1.0 },
        ]
    }

    #[test]
    fn values_go_back_to_numbers_that_give_them() {
        for distribution in all() {
            for step in 0..100 {
                let value = distribution.value((f64::from(step) + 0.5) / 100.0);
                let again = distribution.value(distribution.unit(&value).unwrap());
                let near = match (value.as_f64(), again.as_f64()) {
                    (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                    _ => value == again,
                };
                assert!(near, "{distribution:?}: {value} {again}");
            }
        }
    }

    #[test]
    fn steps_are_whole_or_round_numbers() {
        let tenths = Distribution::QUniform { low: 0.0, high: 1.0, step: 0.1 };
        assert_eq!(tenths.value(0.3), json!(0.3));
        assert_eq!(tenths.values().unwrap().len(), 11);
        assert_eq!(Distribution::QUniform { low: 1.0, high: 10.0, step: 1.0 }.value(0.25), json!(3));
        assert_eq!(Distribution::QUniform { low: 0.0, high: 1e-3, step: 1e-4 }.value(0.3), json!(0.0003));
        assert_eq!(Distribution::QUniform { low: 32.0, high: 512.0, step: 32.0 }.value(0.99), json!(512));
        assert_eq!(Distribution::Uniform { low: 0.0, high: 1.0 }.values(), None);
    }

    /// Share of draws below `x`, by the definition of each distribution, without its quantile.
    fn below(distribution: &Distribution, x: f64) -> f64 {
        // Abramowitz and Stegun 7.1.26, to 1.5e-7.
        let normal = |z: f64| {
            let t = 1.0 / (1.0 + 0.327_591_1 * (z.abs() / 2_f64.sqrt()));
            let poly = ((((1.061_405_429 * t - 1.453_152_027) * t + 1.421_413_741) * t - 0.284_496_736) * t
                + 0.254_829_592)
                * t;
            let erf = 1.0 - poly * (-z * z / 2.0).exp();
            0.5 * (1.0 + erf.copysign(z))
        };
        match *distribution {
            Distribution::Uniform { low, high } => ((x - low) / (high - low)).clamp(0.0, 1.0),
            Distribution::LogUniform { low, high } => ((x.ln() - low) / (high - low)).clamp(0.0, 1.0),
            Distribution::Normal { mean, deviation } => normal((x - mean) / deviation),
            Distribution::LogNormal { mean, deviation } => normal((x.ln() - mean) / deviation),
            // Everything that rounds to at most x.
            Distribution::QUniform { low, high, step } => below(&Distribution::Uniform { low, high }, x + step / 2.0),
            Distribution::QLogUniform { low, high, step } => {
                below(&Distribution::LogUniform { low, high }, x + step / 2.0)
            }
            Distribution::QNormal { mean, deviation, step } => {
                below(&Distribution::Normal { mean, deviation }, x + step / 2.0)
            }
            Distribution::QLogNormal { mean, deviation, step } => {
                below(&Distribution::LogNormal { mean, deviation }, x + step / 2.0)
            }
            Distribution::RandInt { upper } => ((x + 1.0) / upper as f64).clamp(0.0, 1.0),
            Distribution::Choice(_) => unreachable!(),
        }
    }

    #[test]
    fn draws_are_distributed_as_they_say() {
        const DRAWS: usize = 20_000;
        for distribution in all() {
            let mut rng = KeyedRng::new("draws", &[1]);
            let values: Vec<Value> = (0..DRAWS).map(|_| distribution.value(rng.unit())).collect();
            if let Distribution::Choice(choices) = &distribution {
                for choice in choices {
                    let count = values.iter().filter(|value| *value == choice).count() as f64;
                    // Five standard deviations of a binomial(20000, 1/3).
                    assert!((count - DRAWS as f64 / 3.0).abs() < 5.0 * 66.7, "{choice}: {count}");
                }
                continue;
            }
            let mut numbers: Vec<f64> = values.iter().map(|value| value.as_f64().unwrap()).collect();
            numbers.sort_by(f64::total_cmp);
            // Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded by chance once in a thousand times; of rounded draws less often.
            let furthest = (0..DRAWS).filter(|&at| numbers.get(at + 1) != Some(&numbers[at]));
            let furthest = furthest
                .map(|at| ((at + 1) as f64 / DRAWS as f64 - below(&distribution, numbers[at])).abs())
                .fold(0.0, f64::max);
            assert!(furthest < 1.95 / (DRAWS as f64).sqrt(), "{distribution:?}: {furthest}");
        }
    }
}
