//! What each sampler does with spaces of one branch and of several.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use serde_json::{Value, json};
use sweep::sampler::{Sampling, TrialResult, Tried};
use sweep::space::{Branch, Distribution, Point, Space};

const RANDOM: Sampling = Sampling::Random { sobol: false };
const SOBOL: Sampling = Sampling::Random { sobol: true };

fn space(branches: &[&[(&str, Distribution)]]) -> Space {
    let parameters = |one: &&[(&str, Distribution)]| {
        one.iter().map(|(name, distribution)| ((*name).to_owned(), distribution.clone())).collect()
    };
    Space { branches: branches.iter().map(|one| Branch { parameters: parameters(one) }).collect() }
}

/// A space of many parameters of one distribution.
fn many(count: usize, distribution: &Distribution) -> Space {
    Space {
        branches: vec![Branch { parameters: (0..count).map(|k| (format!("x{k}"), distribution.clone())).collect() }],
    }
}

fn choice(values: &[&str]) -> Distribution {
    Distribution::Choice(values.iter().map(|value| json!(value)).collect())
}

fn rate() -> Distribution {
    Distribution::LogUniform { low: -10.0, high: -1.0 }
}

fn unit() -> Distribution {
    Distribution::Uniform { low: 0.0, high: 1.0 }
}

/// Two models: one with a number of layers, one with a schedule. They share the learning rate.
fn models() -> Space {
    space(&[
        &[
            ("model", choice(&["a"])),
            ("rate", rate()),
            ("layers", Distribution::QUniform { low: 1.0, high: 6.0, step: 1.0 }),
        ],
        &[("model", choice(&["b"])), ("rate", rate()), ("schedule", choice(&["step", "cosine", "none"]))],
    ])
}

fn number(point: &Point, name: &str) -> f64 {
    point.values[name].as_f64().unwrap()
}

/// Best at branch 1, rate e^-5, schedule cosine, where it is 1.
fn quality(point: &Point) -> f64 {
    let other = match point.branch {
        0 => 0.8 - 0.05 * (number(point, "layers") - 4.0).abs(),
        _ if point.values["schedule"] == "cosine" => 1.0,
        _ => 0.7,
    };
    other - 0.02 * (number(point, "rate").ln() + 5.0).powi(2)
}

fn text(point: &Point) -> String {
    format!("{} {}", point.branch, Value::from_iter(point.values.clone()))
}

/// Bayesian trials of a function, the larger the better, so many at once.
fn study(
    space: &Space,
    seed: u64,
    [trials, at_once]: [u64; 2],
    function: impl Fn(&Point) -> TrialResult,
) -> Vec<Tried> {
    let mut tried: Vec<Tried> = Vec::new();
    for number in 0..trials {
        if let Some(ended) = tried.len().checked_sub(at_once as usize) {
            tried[ended].result = function(&tried[ended].point);
        }
        let Some(point) = Sampling::Bayesian.point(space, seed, number, &tried) else { break };
        tried.push(Tried { number, point, result: TrialResult::Running });
    }
    tried
}

fn value(point: &Point) -> TrialResult {
    TrialResult::Value(quality(point))
}

#[test]
fn random_and_sobol_points_depend_on_seed_and_number_alone() {
    let tried = study(&models(), 1, [12, 1], value);
    for sampling in [RANDOM, SOBOL] {
        let point = |seed, number| text(&sampling.point(&models(), seed, number, &[]).unwrap());
        assert_eq!(text(&sampling.point(&models(), 3, 7, &tried).unwrap()), point(3, 7));
        assert_ne!(point(3, 7), point(3, 8));
        assert_ne!(point(3, 7), point(4, 7));
        // The end of the Sobol sequence is no end.
        assert_ne!(point(3, 7), point(3, 7 + (1 << 16)));
    }
}

#[test]
fn every_point_has_the_parameters_of_its_branch_in_their_order() {
    let space = models();
    let independent = [RANDOM, SOBOL]
        .into_iter()
        .flat_map(|sampling| (0..200).map(move |number| sampling.point(&models(), 5, number, &[]).unwrap()));
    for point in independent.chain(study(&space, 5, [40, 4], value).into_iter().map(|tried| tried.point)) {
        assert!(point.values.keys().eq(space.branches[point.branch].parameters.keys()), "{point:?}");
    }
}

#[test]
fn sobol_points_fill_the_space_evenly_beyond_its_dimensions_too() {
    // Of the first 2^k points of each dimension one is in each interval of 2^-k; 300 parameters are more than a sequence has.
    let space = many(300, &Distribution::RandInt { upper: 64 });
    let points: Vec<Point> = (0..64).map(|number| SOBOL.point(&space, 9, number, &[]).unwrap()).collect();
    let column = |k: usize| points.iter().map(|point| point.values[k].as_u64().unwrap()).collect::<Vec<_>>();
    for k in 0..300 {
        let mut values = column(k);
        values.sort_unstable();
        assert_eq!(values, (0..64).collect::<Vec<_>>(), "parameter {k}");
        // No two parameters go together, as they would if a sequence were used twice.
        assert!((0..k).all(|other| column(k) != column(other)), "parameter {k}");
    }
}

#[test]
fn a_grid_is_every_combination_once_branch_by_branch() {
    let tenths = Distribution::QUniform { low: 0.1, high: 0.2, step: 0.1 };
    let space = space(&[
        &[("model", choice(&["a"])), ("size", Distribution::Choice(vec![json!(1), json!(2), json!(1)]))],
        &[("model", choice(&["b", "c"])), ("n", Distribution::RandInt { upper: 2 }), ("q", tenths)],
    ]);
    assert_eq!(Sampling::Grid.errors(&space), []);
    assert_eq!(Sampling::Grid.size(&space), Some(10));
    let points: Vec<String> =
        (0..12).map_while(|number| Sampling::Grid.point(&space, 0, number, &[])).map(|point| text(&point)).collect();
    let expected = [
        r#"0 {"model":"a","size":1}"#,
        r#"0 {"model":"a","size":2}"#,
        r#"1 {"model":"b","n":0,"q":0.1}"#,
        r#"1 {"model":"b","n":0,"q":0.2}"#,
        r#"1 {"model":"b","n":1,"q":0.1}"#,
        r#"1 {"model":"b","n":1,"q":0.2}"#,
        r#"1 {"model":"c","n":0,"q":0.1}"#,
        r#"1 {"model":"c","n":0,"q":0.2}"#,
        r#"1 {"model":"c","n":1,"q":0.1}"#,
        r#"1 {"model":"c","n":1,"q":0.2}"#,
    ];
    assert_eq!(points, expected);
}

#[test]
fn a_grid_refuses_what_has_no_list_of_values() {
    let errors = Sampling::Grid
        .errors(&space(&[&[("a", choice(&["x"]))], &[("rate", rate()), ("n", Distribution::RandInt { upper: 2000 })]]));
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "search space, sub-space 2, parameter 'rate': grid sampling goes through every value, and this distribution has no list of them; \
             use choice, or sampling random or bayesian",
            "search space, sub-space 2, parameter 'n': grid sampling goes through every value, and these are 2000, above the limit of 1000; \
             use a choice of fewer",
        ]
    );
    assert_eq!(Sampling::Grid.point(&space(&[&[("rate", rate())]]), 0, 0, &[]), None);
    // The product may be larger than any number.
    let large = many(40, &Distribution::RandInt { upper: 1000 });
    assert_eq!(Sampling::Grid.size(&large), Some(u64::MAX));
    assert_eq!(Sampling::Grid.point(&large, 0, 1001, &[]).unwrap().values["x38"], json!(1));
}

#[test]
fn bayesian_points_do_not_depend_on_the_order_in_which_trials_are_told_of() {
    let space = models();
    let mut tried = study(&space, 2, [30, 4], value);
    tried[3].result = TrialResult::Failed;
    tried[9].result = TrialResult::Value(f64::NAN);
    // Warm starts bring numbers that are there already.
    tried.push(Tried { number: 5, ..tried[6].clone() });
    let expected = Sampling::Bayesian.point(&space, 2, 30, &tried).unwrap();
    tried.reverse();
    assert_eq!(Sampling::Bayesian.point(&space, 2, 30, &tried), Some(expected.clone()));
    tried.rotate_left(11);
    assert_eq!(Sampling::Bayesian.point(&space, 2, 30, &tried), Some(expected.clone()));
    assert_ne!(Sampling::Bayesian.point(&space, 3, 30, &tried), Some(expected));
}

#[test]
fn bayesian_sampling_finds_what_random_sampling_does_not() {
    let space = models();
    let best = |points: Vec<Point>| points.iter().map(quality).fold(f64::NEG_INFINITY, f64::max);
    let by_seed = |points: &dyn Fn(u64) -> Vec<Point>| {
        let mut found: Vec<f64> = (0..5).map(|seed| best(points(seed))).collect();
        found.sort_by(f64::total_cmp);
        found
    };
    let ours = by_seed(&|seed| study(&space, seed, [40, 4], value).into_iter().map(|one| one.point).collect());
    let random = by_seed(&|seed| (0..40).filter_map(|number| RANDOM.point(&space, seed, number, &[])).collect());
    assert!(ours[2] > 0.999 && ours[2] > random[2], "{ours:?} beside {random:?}");
}

#[test]
fn running_trials_are_not_tried_again_nor_their_neighbourhood() {
    let space = space(&[&[("x", unit()), ("y", unit())]]);
    let value =
        |point: &Point| TrialResult::Value(-(number(point, "x") - 0.3).powi(2) - (number(point, "y") - 0.6).powi(2));
    let mut tried = study(&space, 4, [13, 1], value);
    tried[12].result = value(&tried[12].point);
    for number in 13..21 {
        let point = Sampling::Bayesian.point(&space, 4, number, &tried).unwrap();
        tried.push(Tried { number, point, result: TrialResult::Running });
    }
    for (index, a) in tried.iter().enumerate().skip(13) {
        for b in &tried[..index] {
            let distance = |name| number(&a.point, name) - number(&b.point, name);
            assert!(distance("x").hypot(distance("y")) > 1e-3, "{a:?} and {b:?}");
        }
    }
}

#[test]
fn what_fails_is_avoided() {
    // Large rates fail, or give no number.
    let space = space(&[&[("rate", rate()), ("x", unit())]]);
    let log = |point: &Point| number(point, "rate").ln();
    let tried = study(&space, 6, [50, 2], |point| match log(point) {
        large if large > -2.5 => TrialResult::Failed,
        large if large > -4.0 => TrialResult::Value(f64::NAN),
        log => TrialResult::Value(0.1 * log + number(point, "x")),
    });
    // A third of all would fail at random.
    let failed = tried[20..].iter().filter(|one| log(&one.point) > -4.0).count();
    // The best that does not fail is 0.6, at the edge of failing.
    let best = tried.iter().filter_map(|one| match one.result {
        TrialResult::Value(value) if value.is_finite() => Some(value),
        TrialResult::Value(_) | TrialResult::Running | TrialResult::Failed => None,
    });
    let best = best.fold(f64::NEG_INFINITY, f64::max);
    assert!(failed <= 6 && best > 0.5, "{failed} failed, and the best is {best}");
}

#[test]
fn whatever_was_tried_there_is_a_point() {
    let odd = [f64::NAN, f64::INFINITY, 1.0, f64::MAX, f64::MIN, 1e-300].map(TrialResult::Value);
    for result in odd.into_iter().chain([TrialResult::Failed, TrialResult::Running]) {
        assert_eq!(study(&models(), 7, [25, 3], |_| result).len(), 25, "{result:?}");
    }
    // Extremes beside each other, equal points with different results, and points that the space does not have.
    let mut tried = study(&models(), 7, [12, 1], value);
    tried[0].result = TrialResult::Value(f64::MAX);
    tried[1].result = TrialResult::Value(f64::MIN);
    let strange = Point { branch: 7, values: tried[0].point.values.clone() };
    let renamed = Point { branch: 0, values: [("other".to_owned(), json!(1))].into_iter().collect() };
    tried.extend([strange, renamed].map(|point| Tried { number: 12, point, result: TrialResult::Value(9.0) }));
    let equal = |number| Tried { number, point: tried[2].point.clone(), result: TrialResult::Value(number as f64) };
    tried.extend((14..30).map(equal).collect::<Vec<_>>());
    assert!(Sampling::Bayesian.point(&models(), 7, 30, &tried).is_some());
}

#[test]
fn a_space_of_choices_is_gone_through_without_trying_anything_twice() {
    let space = space(&[
        &[("model", choice(&["a"])), ("size", Distribution::Choice([8, 16, 32, 64].map(Value::from).to_vec()))],
        &[("model", choice(&["b"])), ("kind", choice(&["x", "y", "z"])), ("n", Distribution::RandInt { upper: 4 })],
    ]);
    assert_eq!(Sampling::Bayesian.size(&space), Some(16));
    let value =
        |point: &Point| if point.branch == 1 && point.values["kind"] == "y" { number(point, "n") } else { -1.0 };
    let mut found: Vec<String> = study(&space, 8, [100, 2], |point| TrialResult::Value(value(point)))
        .iter()
        .map(|one| text(&one.point))
        .collect();
    found.sort();
    assert_eq!(found.len(), 16);
    found.dedup();
    assert_eq!(found.len(), 16);
    assert_eq!(Sampling::Bayesian.size(&models()), None);
}

#[test]
fn a_thousand_trials_are_no_obstacle() {
    let space = models();
    let result =
        |number: u64, point: &Point| if number.is_multiple_of(50) { TrialResult::Running } else { value(point) };
    let random = |number| RANDOM.point(&space, 1, number, &[]).unwrap();
    let tried: Vec<Tried> = (0..1000)
        .map(|number| (number, random(number)))
        .map(|(number, point)| Tried { number, result: result(number, &point), point })
        .collect();
    let point = Sampling::Bayesian.point(&space, 1, 1000, &tried).unwrap();
    assert!(quality(&point) > 0.9, "{point:?}");
}
