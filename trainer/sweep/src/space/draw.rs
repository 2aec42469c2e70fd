//! One mapping for all samplers: from a unit number to a value of a distribution by its inverse cumulative probability, and back.

use serde_json::Value;

use super::problems::Problem;
use super::{Distribution, normal};

/// The greatest number below 1.
const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;
/// What stands for 0 where it would be infinitely far away: half of the least that a random number of 53 bits can be beside it.
const ABOVE_ZERO: f64 = f64::EPSILON / 4.0;
/// The largest whole number up to which every whole number is one of 64 bits.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A distribution, by how its values are counted.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// A list.
    List(&'a [Value]),
    /// Whole numbers from 0 to below this one.
    Whole(u64),
    /// Real numbers, which may be rounded to steps.
    Real(Real),
}

/// Real numbers of a law, or e to the power of them, which may be rounded to steps.
#[derive(Clone, Copy)]
pub(crate) struct Real {
    law: Law,
    exponential: bool,
    step: Option<f64>,
}

#[derive(Clone, Copy)]
enum Law {
    Uniform { low: f64, high: f64 },
    Normal { mean: f64, deviation: f64 },
}

impl Law {
    fn at(self, unit: f64) -> f64 {
        match self {
            Self::Uniform { low, high } => low + (high - low) * unit,
            Self::Normal { mean, deviation } => mean + deviation * normal::quantile(unit.clamp(ABOVE_ZERO, BELOW_ONE)),
        }
    }

    fn unit(self, x: f64) -> f64 {
        let unit = match self {
            Self::Uniform { low, high } => (x - low) / (high - low),
            Self::Normal { mean, deviation } => normal::below((x - mean) / deviation),
        };
        // A law of one value has 0 / 0 here.
        if unit.is_nan() { 0.5 } else { unit.clamp(0.0, BELOW_ONE) }
    }
}

impl Real {
    /// Whether values are rounded to steps.
    pub(crate) fn has_steps(self) -> bool {
        self.step.is_some()
    }

    fn at(self, unit: f64) -> Value {
        let x = self.law.at(unit);
        let x = if self.exponential { x.exp() } else { x };
        match self.step {
            Some(step) => multiple((x / step).round(), step),
            None => Value::from(x),
        }
    }

    fn unit(self, x: f64) -> f64 {
        // The logarithm of a value that was rounded to 0 is below all, as it has to be.
        self.law.unit(if self.exponential { x.max(0.0).ln() } else { x })
    }
}

/// `count` times `step`: a whole number of JSON where the step is whole, otherwise with as many decimals as the step has, so that
/// three steps of 0.1 are 0.3 and not 0.30000000000000004.
fn multiple(count: f64, step: f64) -> Value {
    let product = count * step;
    if step.fract() == 0.0 && product.abs() <= LARGEST_WHOLE {
        return Value::from(product as i64);
    }
    let decimals = step.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let rounded = format!("{product:.decimals$}").parse().unwrap_or(product);
    // 0 and not -0.
    Value::from(if rounded == 0.0 { 0.0 } else { rounded })
}

/// Whether two values are the same, numbers by what they are worth: 1 is 1.0.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a))
}

impl Distribution {
    /// The value below which the share `unit` of all draws lies, 0 <= `unit` < 1. A uniform random `unit` gives a draw of the
    /// distribution. Of a choice the values follow each other as they are written. `Null` for a choice of nothing.
    #[must_use]
    pub fn value_at(&self, unit: f64) -> Value {
        let unit = unit.clamp(0.0, BELOW_ONE);
        match self.kind() {
            Kind::List(values) => values.get(index(unit, values.len() as u64) as usize).cloned().unwrap_or(Value::Null),
            Kind::Whole(upper) => Value::from(index(unit, upper)),
            Kind::Real(real) => real.at(unit),
        }
    }

    /// A unit number that leads to `value`, in the middle of those that do where it is one of a list or a whole number below a bound;
    /// `None` where it is no value of the distribution. A number beyond a bound stands for the bound.
    #[must_use]
    pub fn unit_of(&self, value: &Value) -> Option<f64> {
        match self.kind() {
            Kind::List(values) => {
                values.iter().position(|one| same(one, value)).map(|at| (at as f64 + 0.5) / values.len() as f64)
            }
            Kind::Whole(upper) => {
                let whole = value.as_f64().filter(|x| x.fract() == 0.0 && *x >= 0.0 && *x < upper as f64)?;
                Some((whole + 0.5) / upper as f64)
            }
            Kind::Real(real) => value.as_f64().filter(|x| x.is_finite()).map(|x| real.unit(x)),
        }
    }

    /// Every value once, in ascending order or as written, where there is a list of at most `limit`: of a choice, of whole numbers below
    /// a bound, and of a uniform distribution with steps.
    ///
    /// # Errors
    ///
    /// Where there is none, or it is longer.
    pub(crate) fn values(&self, limit: usize) -> Result<Vec<Value>, Problem> {
        let count = self.count().ok_or(Problem::NotForGrid)?;
        if count > limit as f64 {
            return Err(Problem::TooManyForGrid { values: count, limit });
        }
        Ok(match *self {
            Self::Choice(ref values) => {
                let mut distinct: Vec<Value> = Vec::new();
                for value in values {
                    if !distinct.iter().any(|one| same(one, value)) {
                        distinct.push(value.clone());
                    }
                }
                distinct
            }
            Self::QUniform { low, step, .. } => {
                (0..count as u64).map(|k| multiple(first_step(low, step) + k as f64, step)).collect()
            }
            _ => (0..count as u64).map(Value::from).collect(),
        })
    }

    /// How many values there are, of a distribution whose values are counted; those of a choice as often as they are written.
    pub(crate) fn count(&self) -> Option<f64> {
        match *self {
            Self::Choice(ref values) => Some(values.len() as f64),
            Self::RandInt { upper } => Some(upper as f64),
            // Ends that are reached with probability 0 do not count.
            Self::QUniform { low, high, step } => {
                Some(((high / step - 0.5).ceil() - first_step(low, step) + 1.0).max(1.0))
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

    pub(crate) fn kind(&self) -> Kind<'_> {
        let real = |law, exponential, step| Kind::Real(Real { law, exponential, step });
        match *self {
            Self::Choice(ref values) => Kind::List(values),
            Self::RandInt { upper } => Kind::Whole(upper),
            Self::Uniform { low, high } => real(Law::Uniform { low, high }, false, None),
            Self::QUniform { low, high, step } => real(Law::Uniform { low, high }, false, Some(step)),
            Self::LogUniform { low, high } => real(Law::Uniform { low, high }, true, None),
            Self::QLogUniform { low, high, step } => real(Law::Uniform { low, high }, true, Some(step)),
            Self::Normal { mean, deviation } => real(Law::Normal { mean, deviation }, false, None),
            Self::QNormal { mean, deviation, step } => real(Law::Normal { mean, deviation }, false, Some(step)),
            Self::LogNormal { mean, deviation } => real(Law::Normal { mean, deviation }, true, None),
            Self::QLogNormal { mean, deviation, step } => real(Law::Normal { mean, deviation }, true, Some(step)),
        }
    }
}

/// Which multiple of the step the least value is.
fn first_step(low: f64, step: f64) -> f64 {
    (low / step + 0.5).floor()
}

/// Which of `count` equal parts of [0, 1) a number is in.
fn index(unit: f64, count: u64) -> u64 {
    ((unit * count as f64) as u64).min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn quniform(low: f64, high: f64, step: f64) -> Distribution {
        Distribution::QUniform { low, high, step }
    }

    #[test]
    fn whole_steps_give_whole_numbers_and_others_no_binary_noise() {
        let ones = quniform(1.0, 10.0, 1.0);
        assert_eq!(ones.value_at(0.2).to_string(), "3");
        assert_eq!(ones.value_at(0.0).to_string(), "1");
        assert_eq!(ones.value_at(0.999).to_string(), "10");
        assert_eq!(quniform(0.0, 1.0, 0.1).value_at(0.3).to_string(), "0.3");
        assert_eq!(quniform(-0.04, 1.0, 0.1).value_at(0.0).to_string(), "0.0");
        assert_eq!(quniform(-1.0, 1.0, 1.0).value_at(0.4).to_string(), "0");
        assert_eq!(quniform(0.0, 1.0, 0.25).value_at(0.8).to_string(), "0.75");
        assert_eq!(quniform(0.0, 1e-4, 1e-5).value_at(0.31).to_string(), "0.00003");
        // As the specification rounds, values may lie beyond the bounds.
        assert_eq!(quniform(1.0, 11.0, 4.0).value_at(0.99).to_string(), "12");
        let powers = Distribution::QLogUniform { low: 0.0, high: 5.0, step: 8.0 };
        assert_eq!([0.0, 0.5, 0.99].map(|unit| powers.value_at(unit)), [json!(0), json!(16), json!(144)]);
    }

    #[test]
    fn the_ends_are_finite() {
        let wide = [
            Distribution::Normal { mean: 0.0, deviation: 1.0 },
            Distribution::LogNormal { mean: 0.0, deviation: 80.0 },
            Distribution::QLogNormal { mean: 0.0, deviation: 80.0, step: 0.1 },
            Distribution::LogUniform { low: -700.0, high: 700.0 },
            Distribution::RandInt { upper: u64::MAX },
        ];
        for distribution in wide {
            for unit in [0.0, BELOW_ONE, 1.0, -1.0] {
                let value = distribution.value_at(unit);
                assert!(value.as_f64().is_some_and(f64::is_finite), "{distribution:?} at {unit}: {value}");
            }
        }
        assert_eq!(Distribution::Choice(vec![]).value_at(0.5), Value::Null);
    }

    #[test]
    fn values_lead_back_to_their_unit_numbers() {
        let exact = [
            Distribution::Choice(vec![json!("a"), json!(1), json!(null), json!([1, 2])]),
            Distribution::RandInt { upper: 7 },
            quniform(1.0, 10.0, 1.0),
            quniform(1.0, 11.0, 4.0),
            quniform(-0.3, 0.9, 0.1),
            Distribution::QLogUniform { low: -3.0, high: 5.0, step: 0.5 },
            Distribution::QNormal { mean: 2.0, deviation: 3.0, step: 0.5 },
            Distribution::QLogNormal { mean: 1.0, deviation: 1.0, step: 2.0 },
            Distribution::Normal { mean: 2.0, deviation: 0.0 },
        ];
        for distribution in exact {
            for step in 0..500 {
                let value = distribution.value_at(f64::from(step) / 500.0 + 1e-4);
                let unit = distribution.unit_of(&value).unwrap();
                assert_eq!(distribution.value_at(unit), value, "{distribution:?} at {step}: {unit}");
            }
        }
        let near = [
            Distribution::Uniform { low: -3.0, high: 5.0 },
            Distribution::LogUniform { low: -11.0, high: -2.0 },
            Distribution::Normal { mean: 1.0, deviation: 3.0 },
            Distribution::LogNormal { mean: -3.0, deviation: 2.0 },
        ];
        for distribution in near {
            for step in 0..500 {
                let unit = (f64::from(step) + 0.5) / 500.0;
                let back = distribution.unit_of(&distribution.value_at(unit)).unwrap();
                assert!((unit - back).abs() < 1e-12, "{distribution:?}: {unit} came back as {back}");
            }
        }
    }

    #[test]
    fn what_is_no_value_has_no_unit_number() {
        assert_eq!(Distribution::Choice(vec![json!("a")]).unit_of(&json!("b")), None);
        assert_eq!(Distribution::Choice(vec![json!(1)]).unit_of(&json!(1.0)), Some(0.5));
        assert_eq!(Distribution::RandInt { upper: 3 }.unit_of(&json!(3)), None);
        assert_eq!(Distribution::RandInt { upper: 3 }.unit_of(&json!(1.5)), None);
        assert_eq!(Distribution::Uniform { low: 0.0, high: 1.0 }.unit_of(&json!("x")), None);
        assert_eq!(Distribution::Uniform { low: 0.0, high: 1.0 }.unit_of(&json!(3)), Some(BELOW_ONE));
    }

    #[test]
    fn values_are_listed_where_there_is_a_list() {
        let listed = |distribution: Distribution| distribution.values(10);
        assert_eq!(
            listed(Distribution::Choice(vec![json!(1), json!("a"), json!(1.0)])),
            Ok(vec![json!(1), json!("a")])
        );
        assert_eq!(listed(Distribution::RandInt { upper: 3 }), Ok(vec![json!(0), json!(1), json!(2)]));
        assert_eq!(listed(quniform(0.1, 0.3, 0.1)), Ok(vec![json!(0.1), json!(0.2), json!(0.3)]));
        // 12 is 10 / 4 rounded up, and would be drawn with probability 0.
        assert_eq!(listed(quniform(2.0, 10.0, 4.0)), Ok(vec![json!(4), json!(8)]));
        assert_eq!(listed(quniform(1.0, 1.2, 4.0)), Ok(vec![json!(0)]));
        assert_eq!(
            listed(Distribution::RandInt { upper: 11 }),
            Err(Problem::TooManyForGrid { values: 11.0, limit: 10 })
        );
        assert_eq!(
            listed(quniform(0.0, 1e300, 1e-300)),
            Err(Problem::TooManyForGrid { values: f64::INFINITY, limit: 10 })
        );
        assert_eq!(listed(Distribution::Uniform { low: 0.0, high: 1.0 }), Err(Problem::NotForGrid));
    }
}
