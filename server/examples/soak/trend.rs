//! How a reading changes with time: a line through it, by least squares.

/// A line's slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Per unit of time.
    pub slope: f64,
    /// Its standard error, as if the readings were independent of each other.
    pub error: f64,
}

impl Trend {
    /// The slope of `(time, value)` pairs; `None` of fewer than three times that differ.
    pub fn of(readings: &[(f64, f64)]) -> Option<Self> {
        let count = readings.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| readings.iter().map(of).sum::<f64>() / count;
        let (middle, level) = (mean(|one| one.0), mean(|one| one.1));
        let spread: f64 = readings.iter().map(|(time, _)| (time - middle).powi(2)).sum();
        if readings.len() < 3 || spread <= 0.0 {
            return None;
        }
        let slope = readings.iter().map(|(time, value)| (time - middle) * (value - level)).sum::<f64>() / spread;
        let rest: f64 = readings.iter().map(|(time, value)| (value - level - slope * (time - middle)).powi(2)).sum();
        Some(Self { slope, error: (rest / (count - 2.0) / spread).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_with_its_error() {
        let line: Vec<(f64, f64)> = (0..10).map(|i| (f64::from(i), 3.0 + 2.0 * f64::from(i))).collect();
        let found = Trend::of(&line).unwrap();
        assert!((found.slope - 2.0).abs() < 1e-12 && found.error < 1e-12, "{found:?}");
        // Worked out by hand: slope 0.6, residuals -0.2, 0.6, -0.6, 0.2.
        let found = Trend::of(&[(0.0, 0.0), (1.0, 1.4), (2.0, 0.8), (3.0, 2.2)]).unwrap();
        assert!((found.slope - 0.6).abs() < 1e-12, "{found:?}");
        assert!((found.error - (0.8_f64 / 2.0 / 5.0).sqrt()).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn too_few_readings_have_no_slope() {
        assert_eq!(Trend::of(&[]), None);
        assert_eq!(Trend::of(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Trend::of(&[(1.0, 1.0); 5]), None);
    }
}
