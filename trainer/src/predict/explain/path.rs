//! Where on the way an integral is sampled.

use schemas::prediction::ApproximationMethod;

/// Places in `[0, 1]` and their weights, which add up to 1. `steps` is at least 2.
pub fn path(method: ApproximationMethod, steps: u32) -> Vec<(f64, f64)> {
    let n = f64::from(steps);
    let even = |shift: f64| (0..steps).map(|i| ((f64::from(i) + shift) / n, 1.0 / n)).collect();
    match method {
        ApproximationMethod::RiemannLeft => even(0.0),
        ApproximationMethod::RiemannMiddle => even(0.5),
        ApproximationMethod::RiemannRight => even(1.0),
        ApproximationMethod::RiemannTrapezoid => {
            let weight = |i: u32| if i == 0 || i + 1 == steps { 0.5 } else { 1.0 };
            (0..steps).map(|i| (f64::from(i) / (n - 1.0), weight(i) / (n - 1.0))).collect()
        }
        ApproximationMethod::Gausslegendre => (0..steps).map(|i| gauss(i, steps)).collect(),
    }
}

/// Node `i` of Gauss-Legendre quadrature on `[0, 1]` and its weight: a root of the Legendre polynomial by Newton's method
/// (Press et al., "Numerical Recipes", section 4.6).
fn gauss(i: u32, steps: u32) -> (f64, f64) {
    let n = f64::from(steps);
    let mut x = (std::f64::consts::PI * (f64::from(i) + 0.75) / (n + 0.5)).cos();
    let mut slope = 1.0;
    for _ in 0..50 {
        let (mut value, mut before) = (1.0, 0.0);
        for k in 1..=steps {
            let k = f64::from(k);
            (value, before) = (((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k, value);
        }
        slope = n * (x * value - before) / (x * x - 1.0);
        let step = value / slope;
        x -= step;
        if step.abs() < 1e-15 {
            break;
        }
    }
    (f64::midpoint(1.0, -x), 1.0 / ((1.0 - x * x) * slope * slope))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The integral of x^4 over [0, 1] is 1/5.
    fn fifth(method: ApproximationMethod, steps: u32) -> f64 {
        path(method, steps).into_iter().map(|(x, w)| w * x.powi(4)).sum()
    }

    #[test]
    fn each_rule_is_as_exact_as_it_should_be() {
        for steps in [2, 3, 7, 50, 200] {
            for method in [
                ApproximationMethod::RiemannLeft,
                ApproximationMethod::RiemannMiddle,
                ApproximationMethod::RiemannRight,
                ApproximationMethod::RiemannTrapezoid,
                ApproximationMethod::Gausslegendre,
            ] {
                let points = path(method, steps);
                assert!(points.iter().all(|(x, _)| (0.0..=1.0).contains(x)), "{method}, {steps}");
                assert!((points.iter().map(|(_, w)| w).sum::<f64>() - 1.0).abs() < 1e-12, "{method}, {steps}");
            }
        }
        // Three nodes of Gauss are exact up to degree 5; the error of the others is known: -f'/2n, f'/2n, f'/24n², f'/12n².
        assert!((fifth(ApproximationMethod::Gausslegendre, 3) - 0.2).abs() < 1e-14);
        assert!((fifth(ApproximationMethod::RiemannLeft, 100) - 0.2 + 0.005).abs() < 1e-4);
        assert!((fifth(ApproximationMethod::RiemannRight, 100) - 0.2 - 0.005).abs() < 1e-4);
        assert!((fifth(ApproximationMethod::RiemannMiddle, 100) - 0.2 + 4.0 / 24e4).abs() < 1e-8);
        assert!((fifth(ApproximationMethod::RiemannTrapezoid, 101) - 0.2 - 4.0 / 12e4).abs() < 1e-8);
    }
}
