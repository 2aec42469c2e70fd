//! [`multiclass`] against scikit-learn on the cases of `scripts/oracle/metric_fixtures.py`, and its documented edges.

use serde::Deserialize;

use super::*;

/// A generated case: how to make its input (see `input`), and what scikit-learn says of it (null: undefined).
#[derive(Deserialize)]
struct Case {
    seed: u64,
    samples: usize,
    classes: usize,
    present: usize,
    levels: u64,
    broken_every: usize,
    scalars: BTreeMap<String, Option<f64>>,
    per_class: Vec<[Option<f64>; 5]>,
    confusion_matrix: Vec<Vec<u64>>,
}

/// The generator both languages share: x <- (x * 6364136223846793005 + 1442695040888963407) mod 2^64, output x >> 33.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// Per row: a target below `present`, then one weight in 1..=levels per class (few levels make ties), doubled for the
/// target now and then; probabilities are weight / sum rounded to f32; every `broken_every`-th row gets a NaN.
fn input(case: &Case) -> (Vec<f32>, Vec<usize>) {
    let mut random = Lcg(case.seed);
    let (mut probabilities, mut targets) = (Vec::new(), Vec::new());
    for row in 0..case.samples {
        let target = (random.next() % case.present as u64) as usize;
        let mut weights: Vec<u64> = (0..case.classes).map(|_| 1 + random.next() % case.levels).collect();
        if random.next().is_multiple_of(2) {
            weights[target] *= 2;
        }
        let sum: u64 = weights.iter().sum();
        probabilities.extend(weights.iter().map(|&weight| (weight as f64 / sum as f64) as f32));
        if case.broken_every > 0 && row % case.broken_every == 0 {
            let length = probabilities.len();
            probabilities[length - 1] = f32::NAN;
        }
        targets.push(target);
    }
    (probabilities, targets)
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("c{class}")).collect()
}

#[track_caller]
fn close(place: &str, found: Option<f64>, expected: Option<f64>) {
    match (found, expected) {
        (None, None) => {}
        (Some(found), Some(expected)) if (found - expected).abs() <= 1e-9 => {}
        _ => panic!("{place}: found {found:?}, scikit-learn says {expected:?}"),
    }
}

fn check(cases: &[Case]) {
    for case in cases {
        let (probabilities, targets) = input(case);
        let report = multiclass(&names(case.classes), &probabilities, &targets);
        let place = |what: &str| format!("seed {}, {what}", case.seed);
        let scalars = report.scalars();
        for name in scalars.keys() {
            assert!(case.scalars.contains_key(name), "{}", place(name));
        }
        for (name, &expected) in &case.scalars {
            close(&place(name), scalars.get(name).copied(), expected);
        }
        assert_eq!(report.confusion_matrix, case.confusion_matrix, "{}", place("confusion matrix"));
        assert_eq!(report.classes.len(), case.per_class.len());
        for (row, expected) in report.classes.iter().zip(&case.per_class) {
            let found = [row.precision, row.recall, row.f1, row.auc, row.average_precision];
            for (index, (found, &expected)) in found.into_iter().zip(expected).enumerate() {
                close(&place(&format!("{} column {index}", row.label)), found, expected);
            }
        }
    }
}

#[test]
fn equals_scikit_learn() {
    let text = include_str!("../../tests/fixtures/multiclass_metrics.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("the fixture is valid JSON");
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    check(&cases);
}

/// The same against a larger file that is not committed: FOVEA_METRIC_CASES=FILE, made with `--cases 1000 --output FILE`.
#[test]
fn equals_scikit_learn_on_a_file_of_your_own() {
    let Some(path) = std::env::var_os("FOVEA_METRIC_CASES") else {
        eprintln!("skipped: FOVEA_METRIC_CASES names no file");
        return;
    };
    let text = std::fs::read_to_string(path).expect("FOVEA_METRIC_CASES is readable");
    let cases: Vec<Case> = serde_json::from_str(&text).expect("it is what metric_fixtures.py writes");
    check(&cases);
    eprintln!("{} cases equal", cases.len());
}

#[test]
fn nothing_in_nothing_out() {
    for classes in [0, 1, 2, 5] {
        let report = multiclass(&names(classes), &[], &[]);
        assert!(report.scalars().is_empty(), "{classes} classes: {:?}", report.scalars());
        assert_eq!(report.confusion_matrix, vec![vec![0; classes]; classes]);
        assert_eq!(report.average_rows().len(), 3);
    }
}

#[test]
fn one_class_is_always_right_and_ranks_nothing() {
    let report = multiclass(&names(1), &[1.0, 1.0], &[0, 0]);
    assert_eq!(report.accuracy, Some(1.0));
    assert_eq!(report.auc, Averages::default());
    assert_eq!(report.average_precision.macro_, Some(1.0));
    assert!(report.log_loss.is_some_and(|loss| loss < 1e-15));
}

#[test]
fn a_network_of_nans_is_wrong_everywhere() {
    let report = multiclass(&names(3), &[f32::NAN; 12], &[0, 0, 0, 1]);
    assert_eq!((report.accuracy, report.unanswered, report.samples), (Some(0.0), 4, 4));
    assert_eq!(report.f1.macro_, Some(0.0));
    assert_eq!(report.auc.macro_, Some(0.5));
    assert!(report.scalars().values().all(|value| value.is_finite()));
    assert!(report.log_loss.is_some_and(|loss| loss > 36.0));
}

#[test]
fn perfect_and_reversed() {
    let perfect = multiclass(&names(2), &[0.9, 0.1, 0.2, 0.8], &[0, 1]).scalars();
    for name in ["accuracy", "AUC_macro", "AUC_binary", "f1_score_micro", "average_precision_score_weighted"] {
        assert_eq!(perfect[name], 1.0, "{name}");
    }
    let reversed = multiclass(&names(2), &[0.9, 0.1, 0.2, 0.8], &[1, 0]).scalars();
    assert_eq!((reversed["accuracy"], reversed["AUC_macro"]), (0.0, 0.0));
}

#[test]
fn survives_json() {
    let report = multiclass(&names(3), &[0.5, 0.3, 0.2, 0.1, 0.8, 0.1], &[0, 0]);
    let text = serde_json::to_string(&report).expect("plain data");
    assert!(text.contains(r#""macro":"#));
    assert_eq!(serde_json::from_str::<MulticlassReport>(&text).expect("what was written"), report);
}
