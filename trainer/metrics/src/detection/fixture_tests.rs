//! [`detection`] against pycocotools and a slow reading of the specification's rule, on the cases of
//! `scripts/oracle/detection_metric_fixtures.py`.

use std::collections::BTreeMap;

use schemas::setting::MetricType;

use super::*;

/// How to make the input of a case, see [`input`].
#[derive(Deserialize)]
struct Plan {
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
}

/// A generated case and what is expected of it (null: undefined).
#[derive(Deserialize)]
struct Case {
    #[serde(flatten)]
    plan: Plan,
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
    fn anywhere(&mut self, case: &Plan) -> [i64; 4] {
        const SIDES: [i64; 7] = [8, 16, 32, 48, 96, 128, 200];
        let mut side = || SIDES[self.below(7) as usize] * case.unit + self.signed(3) / 2;
        let (width, height) = (side(), side());
        [self.signed(case.canvas * case.unit), self.signed(case.canvas * case.unit), width, height]
    }

    fn moved(&mut self, side: i64, case: &Plan) -> i64 {
        ((self.signed(2 * case.spread + 1) - case.spread) * side).div_euclid(16)
    }
}

/// What `generate` of the script makes.
fn input(case: &Plan) -> Vec<ImageResult> {
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

impl Plan {
    fn options(&self, shapes: Shapes) -> Options {
        Options {
            metric_type: MetricType::CocoVoc,
            iou_threshold: self.iou_threshold,
            score_threshold: self.score_threshold,
            max_detections: self.max_detections,
            shapes,
        }
    }
}

/// Compares every number of every case.
fn check(cases: &[Case]) {
    for case in cases {
        let labels: Vec<String> = (0..case.plan.classes).map(|class| format!("c{class}")).collect();
        let report = detection(&labels, &input(&case.plan), &case.plan.options(Shapes::Boxes));
        let place = |what: &str| format!("seed {}, {what}", case.plan.seed);

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

/// A case of `scripts/oracle/mask_metric_fixtures.py`.
#[derive(Deserialize)]
struct MaskCase {
    #[serde(flatten)]
    plan: Plan,
    /// Width and height of each image.
    side: i64,
    /// The twelve numbers.
    masks: BTreeMap<String, Option<f64>>,
}

/// The pixels of an image of `side` by `side` that lie in the diamonds of all these boxes.
fn pixels(boxes: &[[f64; 4]], side: i64) -> u64 {
    let whole: Vec<[i64; 4]> = boxes.iter().map(|corners| corners.map(|at| at as i64)).collect();
    let most = |at: usize| whole.iter().map(|corners| corners[at]).fold(0, i64::max);
    let least = |at: usize| whole.iter().map(|corners| corners[at]).fold(side, i64::min);
    let inside = |[x1, y1, x2, y2]: [i64; 4], x: i64, y: i64| {
        let (width, height) = (x2 - x1, y2 - y1);
        let across = (2 * (x - x1) + 1 - width).abs() * height;
        across + (2 * (y - y1) + 1 - height).abs() * width <= width * height
    };
    let in_all = |x: i64, y: i64| whole.iter().all(|&corners| inside(corners, x, y));
    (most(1)..least(3)).map(|y| (most(0)..least(2)).filter(|&x| in_all(x, y)).count() as u64).sum()
}

fn masks(image: &ImageResult, side: i64) -> Masks {
    let truth = image.truth.iter().map(|one| pixels(&[one.corners], side)).collect();
    let found = image.found.iter().map(|one| pixels(&[one.corners], side)).collect();
    let pair = |(found, one): (usize, &Found)| {
        let shared = |(truth, other): (usize, &Truth)| Shared {
            found,
            truth,
            pixels: pixels(&[one.corners, other.corners], side),
        };
        image.truth.iter().enumerate().map(shared).filter(|shared| shared.pixels > 0).collect::<Vec<_>>()
    };
    Masks { truth, found, shared: image.found.iter().enumerate().flat_map(pair).collect() }
}

#[test]
fn masks_are_measured_as_by_pycocotools() {
    let text = include_str!("../../tests/fixtures/mask_metrics.json");
    let cases: Vec<MaskCase> = serde_json::from_str(text).expect("the fixture is valid JSON");
    assert!(cases.len() >= 24, "only {} cases", cases.len());
    check_masks(&cases);
}

/// The same against a larger file that is not committed: FOVEA_MASK_METRIC_CASES=FILE, made with `--cases 300 --output FILE`.
#[test]
fn masks_of_a_file_of_your_own_are_measured_as_by_pycocotools() {
    let Some(path) = std::env::var_os("FOVEA_MASK_METRIC_CASES") else {
        eprintln!("skipped: FOVEA_MASK_METRIC_CASES names no file");
        return;
    };
    let text = std::fs::read_to_string(path).expect("FOVEA_MASK_METRIC_CASES is readable");
    let cases: Vec<MaskCase> = serde_json::from_str(&text).expect("it is what mask_metric_fixtures.py writes");
    check_masks(&cases);
    eprintln!("{} cases equal", cases.len());
}

fn check_masks(cases: &[MaskCase]) {
    for MaskCase { plan, side, masks: expected } in cases {
        let labels: Vec<String> = (0..plan.classes).map(|class| format!("c{class}")).collect();
        let images = input(plan).into_iter().map(|image| ImageResult { masks: Some(masks(&image, *side)), ..image });
        let images: Vec<ImageResult> = images.collect();
        let report = detection(&labels, &images, &plan.options(Shapes::Masks));
        let scalars = report.scalars();
        for (name, &expected) in expected {
            close(&format!("seed {}, {name} of masks", plan.seed), scalars.get(name).copied(), expected);
        }
        let boxes = detection(&labels, &images, &plan.options(Shapes::Boxes));
        assert_eq!(report.box_coco.as_deref(), Some(&boxes.coco), "seed {}", plan.seed);
    }
}
