//! [`detection`] against pycocotools and a slow reading of the specification's rule, on the cases of
//! `scripts/oracle/detection_metric_fixtures.py`.

use std::collections::BTreeMap;

use schemas::setting::MetricType;

use super::*;

/// A generated case: how to make its input (see [`input`]), and what is expected of it (null: undefined).
#[derive(Deserialize)]
struct Case {
    seed: u64,
    images: usize,
    objects: u64,
    extras: u64,
    classes: usize,
    present: u64,
    levels: u64,
    unit: i64,
    canvas: i64,
    spread: i64,
    crowds: u64,
    iou_threshold: f64,
    score_threshold: f64,
    max_detections: usize,
    scalars: BTreeMap<String, Option<f64>>,
    /// What [`columns`] picks.
    per_class: Vec<[Option<f64>; COLUMNS]>,
    /// Every tenth point of the mean curve along the recall.
    curve: Vec<f64>,
    /// Objects and hits of small, medium, large.
    sizes: Vec<[u64; 2]>,
    /// At threshold 0 and at the score threshold.
    confusion: [Vec<Vec<u64>>; 2],
}

const COLUMNS: usize = 9;

fn columns(row: &DetectionRow) -> [Option<f64>; COLUMNS] {
    [
        Some(row.support as f64),
        row.ap50,
        row.ap50_95,
        row.voc_ap,
        row.voc_ap_truncated,
        row.precision,
        row.recall,
        row.best_f1.map(|best| best.threshold),
        row.best_f1.map(|best| best.f1),
    ]
}

/// The generator both languages share: x <- (x * 6364136223846793005 + 1442695040888963407) mod 2^64, output x >> 33.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn signed(&mut self, limit: i64) -> i64 {
        self.below(limit as u64) as i64
    }

    /// Left, top, width, height over `unit`.
    fn anywhere(&mut self, case: &Case) -> [i64; 4] {
        const SIDES: [i64; 7] = [8, 16, 32, 48, 96, 128, 200];
        let mut side = || SIDES[self.below(7) as usize] * case.unit + self.signed(3) / 2;
        let (width, height) = (side(), side());
        [self.signed(case.canvas * case.unit), self.signed(case.canvas * case.unit), width, height]
    }

    fn moved(&mut self, side: i64, case: &Case) -> i64 {
        ((self.signed(2 * case.spread + 1) - case.spread) * side).div_euclid(16)
    }
}

/// What `generate` of the script makes.
fn input(case: &Case) -> Vec<ImageResult> {
    let mut random = Lcg(case.seed);
    let corners =
        |[x, y, width, height]: [i64; 4]| [x, y, x + width, y + height].map(|at| at as f64 / case.unit as f64);
    let score = |level: u64| level as f64 / case.levels as f64;
    let image = |_| {
        let mut image = ImageResult::default();
        for _ in 0..random.below(case.objects + 1) {
            let class = random.below(case.present) as usize;
            let place @ [x, y, width, height] = random.anywhere(case);
            let is_crowd = random.below(8) < case.crowds;
            image.truth.push(Truth { corners: corners(place), class, is_crowd });
            if random.below(6) == 0 {
                let class = random.below(case.present) as usize;
                image.truth.push(Truth { corners: corners(place), class, is_crowd: false });
            }
            for _ in 0..random.below(4) {
                let (x, y) = (x + random.moved(width, case), y + random.moved(height, case));
                let width = (width + random.moved(width, case)).max(0);
                let height = (height + random.moved(height, case)).max(0);
                let other = random.below(5) == 0;
                let named = random.below(case.classes as u64) as usize;
                let class = if other { named } else { class };
                let score = score(1 + random.below(case.levels));
                image.found.push(Found { corners: corners([x, y, width, height]), class, score });
            }
        }
        for _ in 0..random.below(case.extras + 1) {
            let corners = corners(random.anywhere(case));
            let class = random.below(case.classes as u64) as usize;
            image.found.push(Found { corners, class, score: score(random.below(case.levels)) });
        }
        image
    };
    (0..case.images).map(image).collect()
}

#[track_caller]
fn close(place: &str, found: Option<f64>, expected: Option<f64>) {
    match (found, expected) {
        (None, None) => {}
        (Some(found), Some(expected)) if (found - expected).abs() <= 1e-9 => {}
        _ => panic!("{place}: found {found:?}, expected {expected:?}"),
    }
}

/// Compares every number of every case.
fn check(cases: &[Case]) {
    for case in cases {
        let labels: Vec<String> = (0..case.classes).map(|class| format!("c{class}")).collect();
        let options = Options {
            metric_type: MetricType::CocoVoc,
            iou_threshold: case.iou_threshold,
            score_threshold: case.score_threshold,
            max_detections: case.max_detections,
            shapes: Shapes::Boxes,
        };
        let report = detection(&labels, &input(case), &options);
        let place = |what: &str| format!("seed {}, {what}", case.seed);

        let mut scalars = report.scalars();
        close(&place("primary"), scalars.remove("mean_average_precision"), case.scalars["voc_map"]);
        let truncated = scalars.remove("mean_average_precision_truncated");
        close(&place("truncated"), truncated, case.scalars["voc_map_truncated"]);
        close(&place("ap50_truncated"), report.ap50_truncated, case.scalars["ap50_truncated"]);
        for name in scalars.keys() {
            assert!(case.scalars.contains_key(name), "{}", place(name));
        }
        let others = ["voc_map_truncated", "ap50_truncated"];
        for (name, &expected) in case.scalars.iter().filter(|(name, _)| !others.contains(&name.as_str())) {
            close(&place(name), scalars.get(name).copied(), expected);
        }

        assert_eq!(report.classes.len(), case.per_class.len());
        for (row, expected) in report.classes.iter().zip(&case.per_class) {
            for (index, (found, &expected)) in columns(row).into_iter().zip(expected).enumerate() {
                close(&place(&format!("{} column {index}", row.label)), found, expected);
            }
        }
        let curve: Vec<f64> = report.curve.interpolated.iter().copied().step_by(10).collect();
        assert_eq!(curve.len(), case.curve.len(), "{}", place("curve"));
        for (&found, &expected) in curve.iter().zip(&case.curve) {
            close(&place("curve"), Some(found), Some(expected));
        }
        let sizes: Vec<[u64; 2]> = report.sizes.iter().map(|size| [size.objects, size.hits]).collect();
        assert_eq!(sizes, case.sizes, "{}", place("sizes"));
        let chosen = report.confusion_matrix().expect("the score threshold has a matrix");
        let matrices = [report.confusion_matrices[0].dense(), chosen.dense()];
        assert_eq!(matrices, case.confusion, "{}", place("confusion"));
    }
}

#[test]
fn equals_pycocotools_and_the_written_rule() {
    let text = include_str!("../../tests/fixtures/detection_metrics.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("the fixture is valid JSON");
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    check(&cases);
}

/// The same against a larger file that is not committed: FOVEA_DETECTION_METRIC_CASES=FILE, made with
/// `--cases 1000 --output FILE`.
#[test]
fn equals_them_on_a_file_of_your_own() {
    let Some(path) = std::env::var_os("FOVEA_DETECTION_METRIC_CASES") else {
        eprintln!("skipped: FOVEA_DETECTION_METRIC_CASES names no file");
        return;
    };
    let text = std::fs::read_to_string(path).expect("FOVEA_DETECTION_METRIC_CASES is readable");
    let cases: Vec<Case> = serde_json::from_str(&text).expect("it is what detection_metric_fixtures.py writes");
    check(&cases);
    eprintln!("{} cases equal", cases.len());
}
