//! Support for the integration tests: fixtures, and parameters and inputs that a formula gives here and in
//! `scripts/oracle/forward.py` alike.

pub mod cases;
pub mod fixture;
pub mod synthetic;
pub mod synthetic_detect;

/// Fails with the place, the index and both values when a value is further than `tolerance * max(1, |expected|)` from
/// the expected one, or NaN. Returns the largest such difference.
///
/// # Panics
/// When the slices differ.
#[track_caller]
pub fn check_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f64) -> f64 {
    assert_eq!(actual.len(), expected.len(), "{what}: number of values");
    let mut worst = 0.0_f64;
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let (a, e) = (f64::from(*a), f64::from(*e));
        // Equal infinities have no difference that could be measured, and two NaN agree.
        let difference = if a == e || (a.is_nan() && e.is_nan()) { 0.0 } else { (a - e).abs() / e.abs().max(1.0) };
        assert!(
            difference <= tolerance,
            "{what}: value {i} is {a}, expected {e} within {tolerance:e} x max(1, |expected|)"
        );
        worst = worst.max(difference);
    }
    worst
}
