//! What is wrong with a search space as it was written.

use schemas::{Coded, ErrorCode};
use thiserror::Error;

use super::{Branch, Distribution, Space};

/// A part of a search space that cannot be searched.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{place}: {problem}")]
pub struct SpaceError {
    /// Where: the search space, a sub-space of it (counted from 1), a parameter.
    pub place: String,
    /// What.
    pub problem: Problem,
}

impl Coded for SpaceError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidSettings
    }
}

/// What is wrong there.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Problem {
    /// Nothing is searched.
    #[error("no parameter is searched; give at least one a distribution")]
    Empty,
    /// A name that stands twice, dashes and underscores being the same.
    #[error("'{first}' and '{second}' are the same parameter; keep one of them")]
    NameTwice {
        /// As it is written first.
        first: String,
        /// As it is written again.
        second: String,
    },
    /// A name that has a value elsewhere.
    #[error(
        "the parameter is given a fixed value as well; take it out of the search space or take the fixed value out"
    )]
    Fixed,
    /// A choice of nothing.
    #[error("the choice has no values; give at least one")]
    EmptyChoice,
    /// A number that is none.
    #[error("{what} is {value}; it has to be a finite number")]
    NotFinite {
        /// Which of the distribution's numbers.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// Bounds with nothing between them.
    #[error("low is {low} and high is {high}; low has to be below high{}", if *.logarithms { " or equal" } else { "" })]
    EmptyRange {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Whether they are logarithms, which may be equal.
        logarithms: bool,
    },
    /// Bounds further apart than numbers reach.
    #[error("from {low} to {high} is further than the largest number, 1.8e308; bring the bounds closer together")]
    RangeTooWide {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A step that leads nowhere.
    #[error("the step is {step}; it has to be above 0")]
    Step {
        /// Its value.
        step: f64,
    },
    /// A negative standard deviation.
    #[error("the standard deviation is {deviation}; it has to be at least 0")]
    Deviation {
        /// Its value.
        deviation: f64,
    },
    /// Whole numbers below nothing.
    #[error("the upper bound is 0, and values are below it; it has to be at least 1")]
    Upper,
    /// Values beyond the largest number.
    #[error(
        "values reach e to the power of {logarithm}; the limit is {LARGEST_LOGARITHM}. The numbers of this distribution are natural logarithms"
    )]
    TooLarge {
        /// Natural logarithm of the greatest value.
        logarithm: f64,
    },
    /// What a grid cannot go through.
    #[error(
        "grid sampling goes through every value, and this distribution has no list of them; use choice, or sampling random or bayesian"
    )]
    NotForGrid,
    /// More values than trials.
    #[error(
        "grid sampling goes through every value, and these are {values}, above the limit of {limit}; use a choice of fewer"
    )]
    TooManyForGrid {
        /// How many.
        values: f64,
        /// At most.
        limit: usize,
    },
}

/// Natural logarithm of the largest value that may be drawn; that of the largest number is 709.8.
pub const LARGEST_LOGARITHM: f64 = 700.0;
/// No draw is further from the mean than so many standard deviations: the unit numbers of samplers are at least 2^-54.
const FURTHEST: f64 = 8.5;

impl Space {
    /// Everything that is wrong with the space; nothing where it can be searched.
    #[must_use]
    pub fn errors(&self) -> Vec<SpaceError> {
        if self.branches.is_empty() {
            return vec![SpaceError { place: "search space".into(), problem: Problem::Empty }];
        }
        self.branches.iter().enumerate().flat_map(|(at, branch)| self.errors_of(at, branch)).collect()
    }

    /// The names of the space that are among `fixed` too, of options that every trial has.
    #[must_use]
    pub fn errors_beside<'a>(&self, fixed: impl IntoIterator<Item = &'a str>) -> Vec<SpaceError> {
        let fixed: Vec<String> = fixed.into_iter().map(plain).collect();
        let named = self
            .branches
            .iter()
            .enumerate()
            .flat_map(|(at, branch)| branch.parameters.keys().map(move |name| (at, name)));
        named
            .filter(|(_, name)| fixed.contains(&plain(name)))
            .map(|(at, name)| SpaceError { place: self.place(at, Some(name)), problem: Problem::Fixed })
            .collect()
    }

    fn errors_of(&self, at: usize, branch: &Branch) -> Vec<SpaceError> {
        let mut found = Vec::new();
        if branch.parameters.is_empty() {
            found.push(SpaceError { place: self.place(at, None), problem: Problem::Empty });
        }
        for (index, (name, distribution)) in branch.parameters.iter().enumerate() {
            if let Some(first) = branch.parameters.keys().take(index).find(|first| plain(first) == plain(name)) {
                let problem = Problem::NameTwice { first: first.clone(), second: name.clone() };
                found.push(SpaceError { place: self.place(at, None), problem });
            }
            let problems = distribution.problems().into_iter();
            found.extend(problems.map(|problem| SpaceError { place: self.place(at, Some(name)), problem }));
        }
        found
    }

    /// Where a fault is, in words.
    pub(crate) fn place(&self, branch: usize, name: Option<&str>) -> String {
        let sub_space = if self.branches.len() > 1 { format!(", sub-space {}", branch + 1) } else { String::new() };
        let parameter = name.map_or_else(String::new, |name| format!(", parameter '{name}'"));
        format!("search space{sub_space}{parameter}")
    }
}

/// A name as it is compared: dashes are underscores, as on the command line.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

impl Distribution {
    /// What is wrong with it.
    fn problems(&self) -> Vec<Problem> {
        match *self {
            Self::Choice(ref values) => if_so(values.is_empty(), Problem::EmptyChoice),
            Self::RandInt { upper } => if_so(upper == 0, Problem::Upper),
            Self::Uniform { low, high } => range(low, high, false),
            Self::LogUniform { low, high } => range(low, high, true),
            Self::QUniform { low, high, step } => [range(low, high, false), self::step(step)].concat(),
            Self::QLogUniform { low, high, step } => [range(low, high, true), self::step(step)].concat(),
            Self::Normal { mean, deviation } => normal(mean, deviation, false),
            Self::LogNormal { mean, deviation } => normal(mean, deviation, true),
            Self::QNormal { mean, deviation, step } => [normal(mean, deviation, false), self::step(step)].concat(),
            Self::QLogNormal { mean, deviation, step } => [normal(mean, deviation, true), self::step(step)].concat(),
        }
    }
}

fn if_so(wrong: bool, problem: Problem) -> Vec<Problem> {
    if wrong { vec![problem] } else { Vec::new() }
}

fn finite(what: &'static str, value: f64) -> Vec<Problem> {
    if_so(!value.is_finite(), Problem::NotFinite { what, value })
}

/// The specification lets bounds of logarithms be equal, others not.
fn range(low: f64, high: f64, logarithms: bool) -> Vec<Problem> {
    let found = [finite("low", low), finite("high", high)].concat();
    if !found.is_empty() {
        return found;
    }
    let empty = if logarithms { low > high } else { low >= high };
    [
        if_so(empty, Problem::EmptyRange { low, high, logarithms }),
        if_so(!(high - low).is_finite(), Problem::RangeTooWide { low, high }),
        if_so(logarithms && high > LARGEST_LOGARITHM, Problem::TooLarge { logarithm: high }),
    ]
    .concat()
}

fn normal(mean: f64, deviation: f64, logarithms: bool) -> Vec<Problem> {
    let found = [finite("the mean", mean), finite("the standard deviation", deviation)].concat();
    if !found.is_empty() {
        return found;
    }
    let logarithm = mean + FURTHEST * deviation;
    [
        if_so(deviation < 0.0, Problem::Deviation { deviation }),
        if_so(logarithms && logarithm > LARGEST_LOGARITHM, Problem::TooLarge { logarithm }),
        if_so(!logarithms && !logarithm.is_finite(), Problem::RangeTooWide { low: mean, high: logarithm }),
    ]
    .concat()
}

fn step(step: f64) -> Vec<Problem> {
    let found = finite("the step", step);
    if found.is_empty() { if_so(step <= 0.0, Problem::Step { step }) } else { found }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn space(branches: &[&[(&str, Distribution)]]) -> Space {
        let branch = |one: &&[(&str, Distribution)]| Branch {
            parameters: one.iter().map(|(name, d)| ((*name).to_owned(), d.clone())).collect(),
        };
        Space { branches: branches.iter().map(branch).collect() }
    }

    #[track_caller]
    fn check(distribution: Distribution, expected: &str) {
        let errors = space(&[&[("rate", distribution)]]).errors();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [format!("search space, parameter 'rate': {expected}")]);
        assert_eq!(errors[0].code(), ErrorCode::InvalidSettings);
    }

    #[test]
    fn each_fault_is_named_with_its_value_and_its_limit() {
        use Distribution as D;
        check(D::Choice(vec![]), "the choice has no values; give at least one");
        check(D::RandInt { upper: 0 }, "the upper bound is 0, and values are below it; it has to be at least 1");
        check(D::Uniform { low: 2.0, high: 2.0 }, "low is 2 and high is 2; low has to be below high");
        check(D::QUniform { low: 3.0, high: 2.0, step: 1.0 }, "low is 3 and high is 2; low has to be below high");
        check(D::LogUniform { low: -1.0, high: -2.0 }, "low is -1 and high is -2; low has to be below high or equal");
        check(D::QUniform { low: 1.0, high: 2.0, step: 0.0 }, "the step is 0; it has to be above 0");
        check(D::QLogUniform { low: 1.0, high: 2.0, step: -0.5 }, "the step is -0.5; it has to be above 0");
        check(
            D::QNormal { mean: 1.0, deviation: 2.0, step: f64::NAN },
            "the step is NaN; it has to be a finite number",
        );
        check(D::Normal { mean: 0.0, deviation: -1.0 }, "the standard deviation is -1; it has to be at least 0");
        check(D::LogNormal { mean: f64::INFINITY, deviation: 1.0 }, "the mean is inf; it has to be a finite number");
        check(D::Uniform { low: f64::NAN, high: 1.0 }, "low is NaN; it has to be a finite number");
        check(
            D::Uniform { low: -1.5e308, high: 1.5e308 }.clone(),
            &Problem::RangeTooWide { low: -1.5e308, high: 1.5e308 }.to_string(),
        );
        let logarithms = "The numbers of this distribution are natural logarithms";
        check(
            D::LogUniform { low: 1.0, high: 1000.0 },
            &format!("values reach e to the power of 1000; the limit is 700. {logarithms}"),
        );
        check(
            D::QLogNormal { mean: 100.0, deviation: 100.0, step: 1.0 },
            &format!("values reach e to the power of 950; the limit is 700. {logarithms}"),
        );
    }

    #[test]
    fn what_the_specification_allows_is_no_fault() {
        use Distribution as D;
        let all = [
            D::Choice(vec![json!("a")]),
            D::RandInt { upper: 1 },
            D::LogUniform { low: -1.0, high: -1.0 },
            D::Normal { mean: 0.0, deviation: 0.0 },
            D::QLogNormal { mean: 0.0, deviation: 1.0, step: 0.5 },
        ];
        for distribution in all {
            assert_eq!(space(&[&[("x", distribution)]]).errors(), []);
        }
    }

    #[test]
    fn names_and_sub_spaces_are_looked_at() {
        let one = Distribution::RandInt { upper: 2 };
        assert_eq!(
            Space::default().errors()[0].to_string(),
            "search space: no parameter is searched; give at least one a distribution"
        );
        let errors = space(&[&[("a", one.clone())], &[("b-c", one.clone()), ("b_c", one.clone())], &[]]).errors();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "search space, sub-space 2: 'b-c' and 'b_c' are the same parameter; keep one of them",
                "search space, sub-space 3: no parameter is searched; give at least one a distribution",
            ]
        );
        let beside = space(&[&[("a", one.clone()), ("b-c", one)]]).errors_beside(["b_c", "d"]);
        assert_eq!(beside, [SpaceError { place: "search space, parameter 'b-c'".into(), problem: Problem::Fixed }]);
    }
}
