//! The space as the model sees it: a vector of coordinates for each point, whatever its branch.

use indexmap::IndexMap;
use serde_json::Value;

use crate::space::{Distribution, Kind, Point, Space, same};

/// How two coordinates of a dimension are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// By their difference; they are within 0 to 1.
    Ordered,
    /// By whether they are equal.
    Nominal,
}

/// What a parameter may be.
enum Values<'a> {
    /// One of a list, each once. Numbers are in ascending order.
    List(Vec<&'a Value>),
    /// A number of a distribution. `counted`: it has steps or is whole.
    Number { distribution: &'a Distribution, counted: bool },
}

impl Values<'_> {
    fn are_one(&self) -> bool {
        match self {
            Self::List(list) => list.len() == 1,
            Self::Number { .. } => false,
        }
    }
}

/// A parameter of a branch.
pub(super) struct Axis<'a> {
    name: &'a str,
    values: Values<'a>,
    /// `None` of what is fixed in the branch: it says no more than the branch does.
    dimension: Option<usize>,
    pub(super) measure: Measure,
}

/// A point by its position on each axis of its branch: the unit number of its value, or of its place in the list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) branch: usize,
    pub(super) units: Vec<f64>,
}

/// All branches in one system of coordinates. The first dimension is the branch; parameters of the same name and distribution share one,
/// so that what one branch teaches of them is known to the others. A coordinate of what a branch does not have is the same for all its
/// points.
pub(super) struct Encoding<'a> {
    pub(super) branches: Vec<Vec<Axis<'a>>>,
    pub(super) dimensions: Vec<Measure>,
}

impl<'a> Encoding<'a> {
    pub(super) fn new(space: &'a Space) -> Self {
        let mut dimensions = vec![Measure::Nominal];
        let mut known: Vec<(&str, &Distribution, usize)> = Vec::new();
        let mut branches = Vec::new();
        for branch in &space.branches {
            let mut axes = Vec::new();
            for (name, distribution) in &branch.parameters {
                let (values, measure) = values(distribution);
                if values.are_one() {
                    axes.push(Axis { name, values, dimension: None, measure });
                    continue;
                }
                let shared = known.iter().find(|(other, theirs, _)| other == name && *theirs == distribution);
                let dimension = shared.map_or(dimensions.len(), |(_, _, dimension)| *dimension);
                if shared.is_none() {
                    dimensions.push(measure);
                    known.push((name, distribution, dimension));
                }
                axes.push(Axis { name, values, dimension: Some(dimension), measure });
            }
            branches.push(axes);
        }
        Self { branches, dimensions }
    }

    /// Where a point is; `None` where the space does not have it.
    pub(super) fn place(&self, point: &Point) -> Option<Place> {
        let axes = self.branches.get(point.branch)?;
        if point.values.len() != axes.len() {
            return None;
        }
        let units = axes.iter().map(|axis| axis.unit(point.values.get(axis.name)?)).collect::<Option<_>>()?;
        Some(Place { branch: point.branch, units })
    }

    /// The point at a place.
    pub(super) fn point(&self, place: &Place) -> Point {
        let values: IndexMap<String, Value> = self.branches[place.branch]
            .iter()
            .zip(&place.units)
            .map(|(axis, unit)| (axis.name.to_owned(), axis.value(*unit)))
            .collect();
        Point { branch: place.branch, values }
    }

    /// The coordinates of a place.
    pub(super) fn coordinates(&self, place: &Place) -> Vec<f64> {
        let absent = |measure: &Measure| match measure {
            Measure::Ordered => 0.5,
            Measure::Nominal => -1.0,
        };
        let mut found: Vec<f64> = self.dimensions.iter().map(absent).collect();
        found[0] = place.branch as f64;
        for (axis, unit) in self.branches[place.branch].iter().zip(&place.units) {
            if let Some(dimension) = axis.dimension {
                found[dimension] = *unit;
            }
        }
        found
    }
}

/// Whether two places are the same but for rounding.
pub(super) fn same_place(a: &Place, b: &Place) -> bool {
    a.branch == b.branch && a.units.iter().zip(&b.units).all(|(x, y)| (x - y).abs() < 1e-9)
}

fn values(distribution: &Distribution) -> (Values<'_>, Measure) {
    match distribution.kind() {
        Kind::List(list) => {
            let mut distinct: Vec<&Value> = Vec::new();
            for value in list {
                if !distinct.iter().any(|one| same(one, value)) {
                    distinct.push(value);
                }
            }
            let numbers = distinct.iter().all(|value| value.is_number());
            if numbers {
                distinct.sort_by(|a, b| a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)));
            }
            (Values::List(distinct), if numbers { Measure::Ordered } else { Measure::Nominal })
        }
        Kind::Whole(_) => (Values::Number { distribution, counted: true }, Measure::Ordered),
        Kind::Real(real) => (Values::Number { distribution, counted: real.has_steps() }, Measure::Ordered),
    }
}

impl Axis<'_> {
    fn unit(&self, value: &Value) -> Option<f64> {
        match &self.values {
            Values::List(list) => list.iter().position(|one| same(one, value)).map(|at| middle(at, list.len())),
            Values::Number { distribution, .. } => distribution.unit_of(value),
        }
    }

    fn value(&self, unit: f64) -> Value {
        match &self.values {
            Values::List(list) => list.get(part(unit, list.len())).map_or(Value::Null, |value| (*value).clone()),
            Values::Number { distribution, .. } => distribution.value_at(unit),
        }
    }

    /// The unit number of the value that one leads to, so that the model sees what will be tried.
    pub(super) fn snap(&self, unit: f64) -> f64 {
        match &self.values {
            Values::List(list) => middle(part(unit, list.len()), list.len()),
            Values::Number { counted: false, .. } => unit,
            Values::Number { distribution, counted: true } => {
                distribution.unit_of(&distribution.value_at(unit)).unwrap_or(unit)
            }
        }
    }

    /// The unit numbers of a list without order; nothing where there is an order.
    pub(super) fn alternatives(&self) -> impl Iterator<Item = f64> + use<> {
        let count = match (&self.values, self.measure) {
            (Values::List(list), Measure::Nominal) => list.len(),
            (Values::List(_) | Values::Number { .. }, _) => 0,
        };
        (0..count).map(move |at| middle(at, count))
    }
}

fn middle(at: usize, count: usize) -> f64 {
    (at as f64 + 0.5) / count as f64
}

fn part(unit: f64, count: usize) -> usize {
    ((unit * count as f64) as usize).min(count.saturating_sub(1))
}
