//! Where better points may be, by a Gaussian process of all that was tried and the expected improvement over the best of it.
//!
//! D. R. Jones, M. Schonlau and W. J. Welch, "Efficient Global Optimization of Expensive Black-Box Functions" (1998). One process spans
//! all branches ([`encode`]), so the branch is chosen with everything else. Trials that failed or gave no number count as the worst that
//! was seen, running ones as what is believed of them. The first trials are points of a Sobol sequence.

mod acquire;
mod cholesky;
mod encode;
mod gaussian;

use dataset::KeyedRng;

use self::acquire::Search;
use self::encode::{Encoding, Place, same_place};
use self::gaussian::{Lengths, Process, fit};
use super::{TrialResult, Tried, grid, independent};
use crate::space::{Point, Space};

/// Trials before the model is asked.
const FIRST: usize = 10;
/// Random points that are drawn to find one that was not tried.
const ATTEMPTS: u64 = 100;
/// Of so many trials one is suggested by a model with one length scale for all dimensions: another one can come to believe, by chance of
/// a few values, that a parameter does not matter, and then stays where it is.
const CAUTIOUS: u64 = 3;
/// Trials with a result that the model learns of: time grows with the cube of it.
const MOST: usize = 128;
/// Trials of which its parameters are fitted.
const MOST_FITTED: usize = 80;

/// Point `number`, by what was tried in any order; `None` where every point of a space was tried.
pub(super) fn point(space: &Space, seed: u64, number: u64, tried: &[Tried]) -> Option<Point> {
    let encoding = Encoding::new(space);
    let known = Known::new(&encoding, tried);
    if grid::finite(space) && known.distinct() >= grid::size(space) {
        return None;
    }
    let rng = KeyedRng::new("sweep bayesian", &[seed, number]);
    match suggest(&encoding, &known, number, rng) {
        Some(place) => Some(encoding.point(&place)),
        None => independent(space, seed, number, |point| known.is_new(&encoding, point)),
    }
}

/// A point that does not depend on results: of the Sobol sequence, and where that was tried a random one, or, of a space that has a list
/// of its points, one that is left.
fn independent(space: &Space, seed: u64, number: u64, is_new: impl Fn(&Point) -> bool) -> Option<Point> {
    let first = independent::sobol(space, seed, number)?;
    let random = (1..=ATTEMPTS).filter_map(|attempt| independent::random(space, seed, number + (attempt << 32)));
    let listed =
        (0..if grid::finite(space) { grid::size(space) } else { 0 }).map_while(|number| grid::point(space, number));
    let found = std::iter::once(first.clone()).chain(random).chain(listed).find(is_new);
    found.or(Some(first))
}

/// Where the expected improvement is greatest; `None` where too little is known, or all that was looked at was tried.
fn suggest(encoding: &Encoding, known: &Known, number: u64, rng: KeyedRng) -> Option<Place> {
    if known.running.len() + known.ended.len() < FIRST {
        return None;
    }
    let results = known.results()?;
    let learned = Results::of(chosen(&results, MOST), encoding);
    let fitted = Results::of(chosen(&results, MOST_FITTED), encoding);
    let lengths = if number.is_multiple_of(CAUTIOUS) { Lengths::One } else { Lengths::Each };
    let parameters = fit(&fitted.points, &encoding.dimensions, &fitted.values, lengths);
    let running = known.running.iter().map(|place| encoding.coordinates(place));
    let points = learned.points.into_iter().chain(running).collect();
    let process = Process::new(points, &encoding.dimensions, &learned.values, &parameters)?;
    let best = results.iter().map(|(place, _)| *place).collect();
    Search { encoding, process: &process, best, tried: known.places() }.run(rng)
}

/// What is known of the space.
struct Known {
    running: Vec<Place>,
    /// With the value; `None` where there is no number.
    ended: Vec<(Place, Option<f64>)>,
}

impl Known {
    /// Sorted, so that nothing depends on the order in which trials are told of.
    fn new(encoding: &Encoding, tried: &[Tried]) -> Self {
        let value = |result: TrialResult| match result {
            TrialResult::Running => None,
            TrialResult::Value(value) => Some(Some(value).filter(|value| value.is_finite())),
            TrialResult::Failed => Some(None),
        };
        let mut all: Vec<(u64, Place, Option<Option<f64>>)> =
            tried.iter().filter_map(|one| Some((one.number, encoding.place(&one.point)?, value(one.result)))).collect();
        all.sort_by_cached_key(|(number, place, value)| {
            let units: Vec<u64> = place.units.iter().map(|unit| unit.to_bits()).collect();
            (*number, place.branch, units, value.map(|value| value.map(f64::to_bits)))
        });
        let mut known = Self { running: Vec::new(), ended: Vec::new() };
        for (_, place, value) in all {
            match value {
                None => known.running.push(place),
                Some(value) => known.ended.push((place, value)),
            }
        }
        known
    }

    fn places(&self) -> Vec<&Place> {
        self.running.iter().chain(self.ended.iter().map(|(place, _)| place)).collect()
    }

    fn is_new(&self, encoding: &Encoding, point: &Point) -> bool {
        encoding.place(point).is_some_and(|place| !self.places().into_iter().any(|tried| same_place(tried, &place)))
    }

    /// How many different places were tried.
    fn distinct(&self) -> u64 {
        let bits = |place: &Place| (place.branch, place.units.iter().map(|unit| unit.to_bits()).collect::<Vec<_>>());
        let mut all: Vec<_> = self.places().into_iter().map(bits).collect();
        all.sort_unstable();
        all.dedup();
        all.len() as u64
    }

    /// Places with values of mean 0 and variance 1, the best first; `None` where no trial gave a number.
    fn results(&self) -> Option<Vec<(&Place, f64)>> {
        let worst = self.ended.iter().filter_map(|(_, value)| *value).reduce(f64::min)?;
        let values: Vec<f64> = self.ended.iter().map(|(_, value)| value.unwrap_or(worst)).collect();
        let mut results: Vec<(&Place, f64)> =
            self.ended.iter().map(|(place, _)| place).zip(standard(&values)).collect();
        results.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Some(results)
    }
}

/// Values of mean 0 and variance 1, in their order.
fn standard(values: &[f64]) -> Vec<f64> {
    // First divided by the largest, so that no sum of squares is beyond the largest number.
    let largest = values.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let scaled = values.iter().map(|value| value / largest);
    let count = values.len() as f64;
    let mean = scaled.clone().sum::<f64>() / count;
    let deviation = (scaled.clone().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    // Differences that are rounding count as none.
    scaled.map(|value| if deviation > 1e-13 { (value - mean) / deviation } else { 0.0 }).collect()
}

/// Coordinates and values of results.
struct Results {
    points: Vec<Vec<f64>>,
    values: Vec<f64>,
}

impl Results {
    fn of<'a>(results: impl Iterator<Item = &'a (&'a Place, f64)>, encoding: &Encoding) -> Self {
        let (points, values) = results.map(|(place, value)| (encoding.coordinates(place), *value)).unzip();
        Self { points, values }
    }
}

/// At most `most` of the results, which are sorted: the better half of them all, and of the others as many as there is room for, evenly
/// spaced from good to bad.
fn chosen<'a, 'b>(results: &'a [(&'b Place, f64)], most: usize) -> impl Iterator<Item = &'a (&'b Place, f64)> {
    let best = results.len().min(if results.len() > most { most / 2 } else { most });
    let (good, others) = results.split_at(best);
    let room = (most - best).min(others.len());
    good.iter().chain((0..room).map(move |at| &others[(at * 2 + 1) * others.len() / (2 * room)]))
}
