//! A Gaussian process over the coordinates of points: what it believes of a value nobody has measured, and how sure it is.
//!
//! C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning" (2006), chapters 2 and 5. The covariance is Matérn's
//! with 5/2 and a length scale for each dimension. Its parameters are those of the greatest posterior density, found by Rprop (M. Blum and
//! M. Riedmiller, "Optimization of Gaussian Process Hyperparameters using Rprop", 2013). That length scales are expected to grow with the
//! root of the number of dimensions is of C. Hvarfner, E. O. Hellsten and L. Nardi, "Vanilla Bayesian Optimization Performs Great in High
//! Dimensions" (2024); how long they are is chosen by experiment (docs/samplers.md).

use super::cholesky::{Square, cholesky, dot, inverse_transposed, solve_lower, transposed};
use super::encode::Measure;

/// Iterations of Rprop.
const ITERATIONS: usize = 50;
/// Least variance of the noise, of values of variance 1, so that equal points keep the matrix positive definite.
const LEAST_NOISE: f64 = 1e-6;
/// Logarithms of the parameters stay within this distance of 0: beyond, covariances are 0 or 1 to all digits.
const FURTHEST: f64 = 12.0;

/// Logarithms of the parameters of a covariance.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    /// Length scale of each dimension.
    lengths: Vec<f64>,
    /// Variance of the noise.
    noise: f64,
    /// Variance of the values.
    variance: f64,
}

/// Mean and deviation of a normal prior of a logarithm.
#[derive(Clone, Copy)]
struct Prior {
    mean: f64,
    deviation: f64,
}

impl Prior {
    /// Logarithm of the density but for a constant, and its slope.
    fn density(self, x: f64) -> (f64, f64) {
        let z = (x - self.mean) / self.deviation;
        (-0.5 * z * z, -z / self.deviation)
    }
}

struct Priors {
    length: Prior,
    noise: Prior,
    variance: Prior,
}

impl Priors {
    /// Those of a space of so many dimensions.
    fn new(dimensions: usize) -> Self {
        let length = Prior { mean: -1.0 + 0.5 * (dimensions as f64).ln(), deviation: 1.0 };
        Self { length, noise: Prior { mean: -4.0, deviation: 1.0 }, variance: Prior { mean: 0.0, deviation: 0.5 } }
    }
}

/// Squared distances of points in each dimension, which do not change while the parameters are fitted.
struct Distances {
    /// For each pair i > j, in the order of i, then j, one for each dimension.
    pairs: Vec<f64>,
    dimensions: usize,
}

impl Distances {
    fn new(points: &[Vec<f64>], measures: &[Measure]) -> Self {
        let mut pairs = Vec::with_capacity(points.len() * points.len() / 2 * measures.len());
        for (i, a) in points.iter().enumerate() {
            for b in &points[..i] {
                pairs.extend(measures.iter().zip(a.iter().zip(b)).map(|(measure, (x, y))| squared(*measure, *x, *y)));
            }
        }
        Self { pairs, dimensions: measures.len() }
    }

    fn of(&self, i: usize, j: usize) -> &[f64] {
        &self.pairs[(i * (i - 1) / 2 + j) * self.dimensions..][..self.dimensions]
    }
}

fn squared(measure: Measure, x: f64, y: f64) -> f64 {
    match measure {
        Measure::Ordered => (x - y) * (x - y),
        Measure::Nominal => f64::from(u8::from(x != y)),
    }
}

/// Matérn's correlation with 5/2 at a squared distance, and -2 times its slope by the squared distance.
fn matern(squared: f64) -> (f64, f64) {
    let root = (5.0 * squared).sqrt();
    let decay = (-root).exp();
    ((1.0 + root + 5.0 / 3.0 * squared) * decay, 5.0 / 3.0 * (1.0 + root) * decay)
}

impl Parameters {
    fn start(priors: &Priors, dimensions: usize, length: f64) -> Self {
        Self { lengths: vec![length; dimensions], noise: priors.noise.mean, variance: priors.variance.mean }
    }

    fn list(&self) -> Vec<f64> {
        self.lengths.iter().copied().chain([self.noise, self.variance]).collect()
    }

    fn of_list(list: &[f64]) -> Self {
        let dimensions = list.len() - 2;
        Self { lengths: list[..dimensions].to_vec(), noise: list[dimensions], variance: list[dimensions + 1] }
    }

    /// 1 / squared length scale of each dimension.
    fn weights(&self) -> Vec<f64> {
        self.lengths.iter().map(|length| (-2.0 * length).exp()).collect()
    }

    fn noise(&self) -> f64 {
        self.noise.exp() + LEAST_NOISE
    }
}

/// Logarithm of the posterior density of parameters, and its slope by each of them; `None` where it cannot be computed.
fn posterior(
    parameters: &Parameters,
    priors: &Priors,
    distances: &Distances,
    values: &[f64],
) -> Option<(f64, Vec<f64>)> {
    let size = values.len();
    let (weights, noise, variance) = (parameters.weights(), parameters.noise(), parameters.variance.exp());
    let mut covariance = Square::zero(size);
    let mut slopes = Vec::with_capacity(size * size / 2);
    for i in 0..size {
        for j in 0..i {
            let (correlation, slope) = matern(dot(&weights, distances.of(i, j)));
            covariance.row_mut(i)[j] = variance * correlation;
            slopes.push(variance * slope);
        }
        covariance.row_mut(i)[i] = variance + noise;
    }
    let lower = cholesky(&covariance)?;
    let half = solve_lower(&lower, values);
    let inverse_transposed = inverse_transposed(&lower);
    let solution: Vec<f64> = (0..size).map(|i| dot(&inverse_transposed.row(i)[i..], &half[i..])).collect();
    let determinant: f64 = (0..size).map(|i| lower.row(i)[i].ln()).sum();

    let mut slope = vec![0.0; weights.len() + 2];
    let (mut trace_noise, mut trace_variance, mut pair) = (0.0, 0.0, 0);
    for i in 0..size {
        let row = &inverse_transposed.row(i)[i..];
        for j in 0..i {
            let factor = solution[i] * solution[j] - dot(row, &inverse_transposed.row(j)[i..]);
            // Each pair stands twice in the matrix, and the slope of the density is half the trace.
            let by_length = factor * slopes[pair];
            for (into, (weight, distance)) in slope.iter_mut().zip(weights.iter().zip(distances.of(i, j))) {
                *into += by_length * weight * distance;
            }
            trace_variance += factor * covariance.row(i)[j];
            pair += 1;
        }
        let diagonal = 0.5 * (solution[i] * solution[i] - dot(row, row));
        trace_noise += diagonal;
        trace_variance += diagonal * variance;
    }
    let dimensions = weights.len();
    slope[dimensions] = trace_noise * parameters.noise.exp();
    slope[dimensions + 1] = trace_variance;

    let mut density = -0.5 * dot(&half, &half) - determinant;
    let lengths = parameters.lengths.iter().map(|length| (priors.length, *length));
    let others = [(priors.noise, parameters.noise), (priors.variance, parameters.variance)];
    for (into, (prior, value)) in slope.iter_mut().zip(lengths.chain(others)) {
        let (log_density, its_slope) = prior.density(value);
        density += log_density;
        *into += its_slope;
    }
    density.is_finite().then_some((density, slope))
}

/// Which length scales are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lengths {
    /// One for each dimension, which may find that some do not matter.
    Each,
    /// One for all dimensions, which never does.
    One,
}

/// Parameters of great posterior density.
pub(super) fn fit(points: &[Vec<f64>], measures: &[Measure], values: &[f64], lengths: Lengths) -> Parameters {
    let (priors, distances) = (Priors::new(measures.len()), Distances::new(points, measures));
    // From a rough and from a smooth beginning, since there may be a maximum near each.
    let climbed = [-0.7, priors.length.mean].map(|length| {
        let start = Parameters::start(&priors, measures.len(), length);
        climb(start, |parameters| {
            let (density, mut slope) = posterior(parameters, &priors, &distances, values)?;
            match lengths {
                Lengths::Each => {}
                Lengths::One => {
                    // All begin equal, and with equal slopes remain so.
                    let of_lengths = &mut slope[..measures.len()];
                    let mean = of_lengths.iter().sum::<f64>() / of_lengths.len() as f64;
                    of_lengths.fill(mean);
                }
            }
            Some((density, slope))
        })
    });
    let [rough, smooth] = climbed;
    if rough.0 > smooth.0 { rough.1 } else { smooth.1 }
}

/// Rprop without backtracking of values (iRprop-): each parameter moves by a step of its own, which grows while the slope keeps its sign
/// and shrinks when it changes. Returns the best seen with its density.
fn climb(start: Parameters, density: impl Fn(&Parameters) -> Option<(f64, Vec<f64>)>) -> (f64, Parameters) {
    let mut current = start.list();
    let mut steps = vec![0.2; current.len()];
    let mut before = vec![0.0; current.len()];
    let mut best = (f64::NEG_INFINITY, start);
    for _ in 0..ITERATIONS {
        let parameters = Parameters::of_list(&current);
        let Some((reached, mut slope)) = density(&parameters) else { break };
        if reached > best.0 {
            best = (reached, parameters);
        }
        for k in 0..current.len() {
            let turn = slope[k] * before[k];
            if turn > 0.0 {
                steps[k] = f64::min(steps[k] * 1.2, 1.0);
            } else if turn < 0.0 {
                steps[k] = f64::max(steps[k] * 0.5, 1e-3);
                slope[k] = 0.0;
            }
            if slope[k] != 0.0 {
                current[k] = (current[k] + steps[k].copysign(slope[k])).clamp(-FURTHEST, FURTHEST);
            }
        }
        before = slope;
    }
    best
}

/// The process after what was measured, and with what is being measured.
pub(super) struct Process<'a> {
    points: Vec<Vec<f64>>,
    measures: &'a [Measure],
    weights: Vec<f64>,
    variance: f64,
    noise: f64,
    /// Inverse of the factor of the covariance of all points.
    inverse: Square,
    /// What a covariance with the measured points counts for the mean.
    solution: Vec<f64>,
    /// The greatest mean at a point that is measured or being measured.
    pub(super) best: f64,
}

/// What is believed of the value at a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl<'a> Process<'a> {
    /// `points` are those with `values`, then those that are being measured. The latter are believed to have the mean that the process
    /// has there (the "kriging believer" of D. Ginsbourger, R. Le Riche and L. Carraro, 2010), which leaves the mean as it is everywhere
    /// and takes away the uncertainty. `None` where the covariance is not positive definite.
    pub(super) fn new(
        points: Vec<Vec<f64>>,
        measures: &'a [Measure],
        values: &[f64],
        parameters: &Parameters,
    ) -> Option<Self> {
        let (weights, variance, noise) = (parameters.weights(), parameters.variance.exp(), parameters.noise());
        let mut made = Self {
            points,
            measures,
            weights,
            variance,
            noise,
            inverse: Square::zero(0),
            solution: Vec::new(),
            best: 0.0,
        };
        made.inverse = transposed(&inverse_transposed(&cholesky(&made.covariance_of(values.len()))?));
        made.solution = made.solve(values);
        let means = made.points.iter().map(|point| made.mean(&made.covariances(point)));
        made.best = means.fold(f64::NEG_INFINITY, f64::max);
        if values.len() < made.points.len() {
            made.inverse = transposed(&inverse_transposed(&cholesky(&made.covariance_of(made.points.len()))?));
        }
        Some(made)
    }

    /// The covariance of the first `size` points.
    fn covariance_of(&self, size: usize) -> Square {
        let mut covariance = Square::zero(size);
        for i in 0..size {
            for j in 0..i {
                covariance.row_mut(i)[j] = self.covariance(&self.points[i], &self.points[j]);
            }
            covariance.row_mut(i)[i] = self.variance + self.noise;
        }
        covariance
    }

    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        let mut distance = 0.0;
        for (k, weight) in self.weights.iter().enumerate() {
            distance += weight * squared(self.measures[k], a[k], b[k]);
        }
        self.variance * matern(distance).0
    }

    /// The inverse of the covariance times `values`.
    fn solve(&self, values: &[f64]) -> Vec<f64> {
        let half: Vec<f64> = (0..values.len()).map(|i| dot(&self.inverse.row(i)[..=i], values)).collect();
        let mut solution = vec![0.0; values.len()];
        for (i, value) in half.iter().enumerate() {
            for (into, factor) in solution.iter_mut().zip(&self.inverse.row(i)[..=i]) {
                *into += value * factor;
            }
        }
        solution
    }

    fn covariances(&self, point: &[f64]) -> Vec<f64> {
        self.points.iter().map(|other| self.covariance(point, other)).collect()
    }

    fn mean(&self, covariances: &[f64]) -> f64 {
        dot(&self.solution, covariances)
    }

    /// What is believed of the value at a point, without noise.
    pub(super) fn at(&self, point: &[f64]) -> Belief {
        let covariances = self.covariances(point);
        let known: f64 = (0..covariances.len()).map(|i| dot(&self.inverse.row(i)[..=i], &covariances).powi(2)).sum();
        Belief { mean: self.mean(&covariances), deviation: (self.variance - known).max(1e-12 * self.variance).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use dataset::KeyedRng;

    use super::*;

    const MEASURES: [Measure; 3] = [Measure::Ordered, Measure::Nominal, Measure::Ordered];

    fn value(point: &[f64]) -> f64 {
        (6.0 * point[0]).sin() + if point[1] == 1.0 { 0.5 } else { 0.0 }
    }

    fn example(count: u64) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut rng = KeyedRng::new("test gaussian", &[count]);
        let points: Vec<Vec<f64>> = (0..count).map(|_| vec![rng.unit(), rng.below(2) as f64, rng.unit()]).collect();
        let values = points.iter().map(|point| value(point)).collect();
        (points, values)
    }

    #[test]
    fn slopes_are_those_of_finite_differences() {
        let (points, values) = example(9);
        let (priors, distances) = (Priors::new(3), Distances::new(&points, &MEASURES));
        let at = vec![-0.7, 0.3, 0.9, -3.0, 0.2];
        let density = |list: &[f64]| posterior(&Parameters::of_list(list), &priors, &distances, &values).unwrap();
        for (k, slope) in density(&at).1.into_iter().enumerate() {
            let [mut low, mut high] = [at.clone(), at.clone()];
            low[k] -= 1e-5;
            high[k] += 1e-5;
            let difference = (density(&high).0 - density(&low).0) / 2e-5;
            assert!((difference - slope).abs() < 1e-5 * slope.abs().max(1.0), "{k}: {slope} instead of {difference}");
        }
    }

    #[test]
    fn what_was_measured_is_believed_and_the_rest_is_predicted() {
        let (points, values) = example(40);
        let parameters = fit(&points, &MEASURES, &values, Lengths::Each);
        // The third coordinate has no effect, and its length scale says so.
        assert!(parameters.lengths[2] > parameters.lengths[0] + 1.0, "{parameters:?}");
        let process = Process::new(points.clone(), &MEASURES, &values, &parameters).unwrap();
        for (point, value) in points.iter().zip(&values) {
            assert!((process.at(point).mean - value).abs() < 0.05);
        }
        let (others, expected) = example(41);
        for (point, value) in others.iter().zip(expected) {
            let belief = process.at(point);
            assert!((belief.mean - value).abs() < 0.15 && belief.deviation < 0.3, "{belief:?} instead of {value}");
        }
    }

    #[test]
    fn what_is_being_measured_changes_how_sure_it_is_and_not_what_it_believes() {
        let (mut points, values) = example(10);
        let parameters = fit(&points, &MEASURES, &values, Lengths::Each);
        let without = Process::new(points.clone(), &MEASURES, &values, &parameters).unwrap();
        let running = vec![0.5, 0.0, 0.5];
        points.push(running.clone());
        let with = Process::new(points, &MEASURES, &values, &parameters).unwrap();
        let [near, far] = [vec![0.52, 0.0, 0.5], vec![0.1, 1.0, 0.9]];
        for point in [&running, &near, &far] {
            assert!((without.at(point).mean - with.at(point).mean).abs() < 1e-12);
            assert!(with.at(point).deviation <= without.at(point).deviation + 1e-12);
        }
        // What remains is the noise of one measurement.
        let [before, after] = [&without, &with].map(|process| process.at(&running).deviation.powi(2));
        let expected = before * with.noise / (before + with.noise);
        assert!(
            (after - expected).abs() < 1e-9 && after < 0.9 * before,
            "{after} instead of {expected}, {before} before"
        );
    }
}
