//! [`classification`] and [`accuracy_table`] against scikit-learn on the cases of `scripts/oracle/metric_fixtures.py`, and their
//! documented edges.

use serde::Deserialize;

use super::*;
use crate::accuracy_table;

/// A generated case: how to make its input (see `input`), and what scikit-learn says of it (null: undefined).
#[derive(Deserialize)]
struct Case {
    any_number: bool,
    seed: u64,
    samples: usize,
    classes: usize,
    present: usize,
    levels: u64,
    broken_every: usize,
    scalars: BTreeMap<String, Option<f64>>,
    /// Precision, recall, F1, AUC, average precision and, with any number of classes, IoU.
    per_class: Vec<Vec<Option<f64>>>,
    confusion_matrix: Vec<Vec<u64>>,
    /// Counts at [`PROBABILITIES`] and [`PERCENTILES`]; empty without examples.
    tables: Vec<Vec<[u64; 4]>>,
    /// Mean probability and share of each bin.
    calibration: Vec<Vec<[f64; 2]>>,
}

/// Thresholds of which the cases hold counts.
const PROBABILITIES: [usize; 3] = [1, 50, 99];
const PERCENTILES: [usize; 3] = [10, 50, 100];

/// The generator both languages share: x <- (x * 6364136223846793005 + 1442695040888963407) mod 2^64, output x >> 33.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// Every `broken_every`-th row ends in NaN. One class an example: per row a target below `present`, then one weight in
/// 1..=levels per class (few levels make ties), doubled for the target now and then; probabilities are weight / sum rounded to f32.
/// Any number: per class below `present` a draw whether it is true, then its probability in steps of 1 / (levels - 1), of a true
/// one the larger of two.
fn input(case: &Case) -> (Vec<f32>, Truths) {
    let mut random = Lcg(case.seed);
    let (mut probabilities, mut targets, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..case.samples {
        if case.any_number {
            let mut set = Vec::new();
            for class in 0..case.classes {
                let is_true = class < case.present && random.next().is_multiple_of(3);
                let mut level = random.next() % case.levels;
                if is_true {
                    set.push(class as u32);
                    level = level.max(random.next() % case.levels);
                }
                probabilities.push((level as f64 / (case.levels - 1) as f64) as f32);
            }
            sets.push(set);
        } else {
            let target = (random.next() % case.present as u64) as usize;
            let mut weights: Vec<u64> = (0..case.classes).map(|_| 1 + random.next() % case.levels).collect();
            if random.next().is_multiple_of(2) {
                weights[target] *= 2;
            }
            let sum: u64 = weights.iter().sum();
            probabilities.extend(weights.iter().map(|&weight| (weight as f64 / sum as f64) as f32));
            targets.push(target);
        }
        if case.broken_every > 0 && row % case.broken_every == 0 {
            let length = probabilities.len();
            probabilities[length - 1] = f32::NAN;
        }
    }
    (probabilities, if case.any_number { Truths::sets(sets) } else { Truths::One(targets) })
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
        let (probabilities, truths) = input(case);
        let report = classification(&names(case.classes), &probabilities, &truths);
        let place =
            |what: &str| format!("seed {} ({}), {what}", case.seed, if case.any_number { "any" } else { "one" });
        let mut scalars = report.scalars();
        // scikit-learn has no such number; it has its own test.
        scalars.remove("calibration_error");
        for name in scalars.keys() {
            assert!(case.scalars.contains_key(name), "{}", place(name));
        }
        for (name, &expected) in &case.scalars {
            close(&place(name), scalars.get(name).copied(), expected);
        }
        assert_eq!(report.confusion_matrix, case.confusion_matrix, "{}", place("confusion matrix"));
        assert_eq!(report.classes.len(), case.per_class.len());
        for (row, expected) in report.classes.iter().zip(&case.per_class) {
            let found = [row.precision, row.recall, row.f1, row.auc, row.average_precision, row.iou];
            for (index, (found, &expected)) in found.into_iter().zip(expected).enumerate() {
                close(&place(&format!("{} column {index}", row.label)), found, expected);
            }
        }
        let table = accuracy_table(&names(case.classes), &probabilities, &truths);
        for ((sweep, counts), bins) in table.classes.iter().zip(&case.tables).zip(&case.calibration) {
            let percentiles = PERCENTILES.iter().filter_map(|&percent| sweep.percentile_table.get(percent - 1));
            let found: Vec<_> =
                PROBABILITIES.iter().map(|&at| &sweep.probability_table[at]).chain(percentiles).collect();
            let found = if case.samples == 0 { Vec::new() } else { found };
            assert_eq!(found, counts.iter().collect::<Vec<_>>(), "{}", place("counts"));
            assert_eq!(sweep.calibration.len(), bins.len(), "{}", place("bins"));
            for (bin, [probability, share]) in sweep.calibration.iter().zip(bins) {
                close(&place("calibration"), Some(bin.probability), Some(*probability));
                close(&place("calibration"), Some(bin.share), Some(*share));
            }
        }
    }
}

#[test]
fn equals_scikit_learn() {
    let text = include_str!("../tests/fixtures/classification_metrics.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("the fixture is valid JSON");
    let sets = cases.iter().filter(|case| case.any_number).count();
    assert!(sets >= 60 && cases.len() - sets >= 60, "only {} cases", cases.len());
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
fn an_empty_answer_to_an_empty_truth_is_right() {
    let sets = Truths::sets(vec![vec![], vec![0], vec![0, 1], vec![]]);
    let report = classification(&names(2), &[0.1, 0.5, 0.6, 0.2, 0.9, 0.2, f32::NAN, 0.1], &sets);
    assert_eq!(report.accuracy, Some(0.5));
    let iou = report.iou.unwrap();
    assert_eq!(iou.samples, Some((1.0 + 1.0 + 0.5) / 4.0), "and no answer is not an empty answer");
    assert_eq!((iou.classes.micro, report.unanswered, report.classes[1].iou), (Some(2.0 / 3.0), 1, Some(0.0)));
    assert!(report.confusion_matrix.is_empty());
    let nothing = classification(&names(2), &[0.1, 0.1], &Truths::sets(vec![vec![]])).scalars();
    assert_eq!(
        (nothing["iou"], nothing["accuracy"], nothing.get("iou_micro"), nothing.get("f1_score_micro")),
        (1.0, 1.0, None, None)
    );
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
    assert_eq!(serde_json::from_str::<ClassificationReport>(&text).expect("what was written"), report);
}

#[test]
fn the_calibration_error_is_how_far_probabilities_are_from_shares() {
    // Two bins: .9 twice, of which one is right, and .6 twice, both right.
    let said = [0.9, 0.1, 0.9, 0.1, 0.6, 0.4, 0.4, 0.6];
    let report = multiclass(&names(2), &said, &[0, 1, 0, 1]);
    let expected = ((1.8_f64 - 1.0).abs() + (1.2_f64 - 2.0).abs()) / 4.0;
    assert!((report.calibration_error.unwrap() - expected).abs() < 1e-7, "{report:?}");
    let sure = multiclass(&names(2), &[1.0, 0.0], &[0]);
    assert_eq!(sure.calibration_error, Some(0.0));
    assert_eq!(multiclass(&names(2), &[], &[]).calibration_error, None);
    let sets = classification(&names(2), &[0.9, 0.1], &Truths::sets(vec![vec![0]]));
    assert_eq!(sets.calibration_error, None);
}
