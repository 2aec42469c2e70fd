//! Hand-worked cases, and the documented edges.

use schemas::setting::MetricType;

use super::*;

fn truth(corners: [f64; 4], class: usize) -> Truth {
    Truth { corners, class, is_crowd: false }
}

fn found(corners: [f64; 4], class: usize, score: f64) -> Found {
    Found { corners, class, score }
}

fn options(metric_type: MetricType) -> Options {
    Options { metric_type, iou_threshold: 0.5, score_threshold: 0.3, max_detections: 100, shapes: Shapes::Boxes }
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("c{class}")).collect()
}

/// Of one image.
fn alone(classes: usize, image: &ImageResult, options: &Options) -> DetectionReport {
    detection(&names(classes), std::slice::from_ref(image), options)
}

const A: [f64; 4] = [0.0, 0.0, 40.0, 40.0];
const B: [f64; 4] = [100.0, 0.0, 140.0, 40.0];
const FAR: [f64; 4] = [500.0, 500.0, 540.0, 540.0];

#[test]
fn nothing_in_nothing_out() {
    for classes in [0, 1, 3] {
        for images in [vec![], vec![ImageResult::default(); 2]] {
            let report = detection(&names(classes), &images, &options(MetricType::Voc));
            assert!(report.scalars().is_empty(), "{:?}", report.scalars());
            assert_eq!((report.primary(), report.truncated()), (None, None));
            assert_eq!(report.confusion_matrices.len(), 10);
            assert_eq!(report.classes.len(), classes);
        }
    }
}

#[test]
fn perfect_is_one() {
    let image = ImageResult {
        truth: vec![truth(A, 0), truth(B, 1)],
        found: vec![found(A, 0, 0.9), found(B, 1, 0.8)],
        masks: None,
    };
    for metric_type in [MetricType::Voc, MetricType::Coco, MetricType::CocoVoc] {
        let report = alone(3, &image, &options(metric_type));
        assert!(report.primary().is_some_and(|value| (value - 1.0).abs() < 1e-12));
        assert!(report.truncated().is_some_and(|value| (value - 1.0).abs() < 1e-12));
        for (name, value) in report.scalars() {
            assert!((value - 1.0).abs() < 1e-12, "{name} {value}");
        }
        // The objects are of medium size, and class 2 has none.
        assert_eq!((report.coco.ap_small, report.coco.ap_large, report.classes[2].ap50), (None, None, None));
    }
    let report = alone(3, &image, &options(MetricType::None));
    assert_eq!((report.primary(), report.truncated()), (None, None));
    assert!(report.scalars().contains_key("ap50_95") && !report.scalars().contains_key("mean_average_precision"));
}

#[test]
fn voc_compares_with_the_best_object_only_and_coco_takes_a_free_one() {
    // Two objects side by side; the second box covers the first object best, which is taken, but would do for the second.
    let [left, right] = [[0.0, 0.0, 40.0, 40.0], [10.0, 0.0, 50.0, 40.0]];
    let between = [4.0, 0.0, 44.0, 40.0];
    let image = ImageResult {
        truth: vec![truth(left, 0), truth(right, 0)],
        found: vec![found(left, 0, 0.9), found(between, 0, 0.8)],
        masks: None,
    };
    let report = alone(1, &image, &options(MetricType::CocoVoc));
    assert_eq!(report.coco.ap50.map(|ap| (ap * 1e6).round()), Some(1e6));
    assert_eq!(report.voc.mean_average_precision, Some(0.5));
    assert_eq!((report.voc.precision, report.voc.recall), (Some(0.5), Some(0.5)));
    assert_eq!((report.counts.hits, report.counts.false_alarms, report.counts.missed), (1, 1, 1));
}

#[test]
fn the_score_threshold_truncates_the_specifications_numbers_only() {
    let image = ImageResult {
        truth: vec![truth(A, 0), truth(B, 0)],
        found: vec![found(A, 0, 0.9), found(FAR, 0, 0.4), found(B, 0, 0.2)],
        masks: None,
    };
    let report = alone(1, &image, &options(MetricType::Voc));
    // Precision 1 at recall 1/2, 2/3 at recall 1; what scores .2 is not kept.
    assert_eq!(report.primary(), Some(0.5 + 0.5 * 2.0 / 3.0));
    assert_eq!(report.truncated(), Some(0.5));
    assert_eq!((report.voc.precision, report.voc.recall), (Some(0.5), Some(0.5)));
    let coco = alone(1, &image, &options(MetricType::Coco));
    assert_eq!(coco.primary(), report.coco.ap50);
    let (whole, truncated) = (51.0 + 50.0 * 2.0 / 3.0, 51.0);
    assert!(coco.primary().is_some_and(|value| (value - whole / 101.0).abs() < 1e-12));
    assert!(coco.truncated().is_some_and(|value| (value - truncated / 101.0).abs() < 1e-12));
    // The curve says the same at its own thresholds.
    let row = &report.classes[0];
    assert_eq!((row.curve.precision[30], row.curve.recall[30]), (row.precision, row.recall));
    assert_eq!((row.curve.precision[10], row.curve.recall[10]), (Some(2.0 / 3.0), Some(1.0)));
    assert_eq!((row.curve.precision[95], row.curve.recall[95]), (None, Some(0.0)));
    assert!(row.best_f1.is_some_and(|best| (best.threshold, best.f1) == (0.0, 0.8)));
    // A threshold that equals a score does not keep it, as in the graph.
    let recall = |threshold| {
        let options = Options { score_threshold: threshold, ..options(MetricType::Voc) };
        alone(1, &image, &options).voc.recall
    };
    assert_eq!((recall(0.2), recall(0.19)), (Some(0.5), Some(1.0)));
}

#[test]
fn a_class_without_objects_is_in_no_average_but_in_the_table() {
    let image = ImageResult { truth: vec![truth(A, 0)], found: vec![found(A, 0, 0.9), found(B, 1, 0.8)], masks: None };
    let report = alone(3, &image, &options(MetricType::Voc));
    assert_eq!((report.primary(), report.voc.precision, report.voc.recall), (Some(1.0), Some(1.0), Some(1.0)));
    let invented = &report.classes[1];
    assert_eq!((invented.voc_ap, invented.ap50, invented.precision, invented.recall), (None, None, Some(0.0), None));
    assert_eq!((invented.support, invented.hits, invented.false_alarms), (0, 0, 1));
    let silent = &report.classes[2];
    assert_eq!((silent.voc_ap, silent.precision, silent.recall), (None, None, None));
}

#[test]
fn an_object_never_found_has_no_precision() {
    let image = ImageResult { truth: vec![truth(A, 0)], found: vec![], masks: None };
    let report = alone(1, &image, &options(MetricType::Voc));
    let row = &report.classes[0];
    assert_eq!((row.voc_ap, row.ap50, row.recall, row.precision), (Some(0.0), Some(0.0), Some(0.0), None));
    assert_eq!(report.voc.precision, None);
    assert!(!report.scalars().contains_key("precision"));
}

#[test]
fn crowds_count_neither_way() {
    let crowd = Truth { corners: [0.0, 0.0, 200.0, 200.0], class: 0, is_crowd: true };
    let image = ImageResult {
        truth: vec![crowd, truth(FAR, 0)],
        found: vec![
            found([10.0, 10.0, 30.0, 30.0], 0, 0.9),
            found([50.0, 50.0, 70.0, 70.0], 0, 0.8),
            found(FAR, 0, 0.7),
        ],
        masks: None,
    };
    let only = ImageResult { truth: vec![crowd], found: vec![found([10.0, 10.0, 30.0, 30.0], 0, 0.95)], masks: None };
    let report = detection(&names(1), &[image, only], &options(MetricType::Voc));
    assert_eq!((report.primary(), report.voc.precision, report.voc.recall), (Some(1.0), Some(1.0), Some(1.0)));
    assert_eq!(report.coco.ap50_95.map(|ap| (ap * 1e6).round()), Some(1e6));
    assert_eq!((report.counts.objects, report.counts.crowds, report.counts.kept), (1, 2, 4));
    assert_eq!((report.image_level.positives, report.image_level.negatives), (1, 0));
    assert_eq!(report.confusion_matrices[0].dense(), [[1, 0], [0, 0]]);
}

#[test]
fn the_confusion_matrix_adds_up() {
    let image = ImageResult {
        truth: vec![truth(A, 0), truth(B, 1)],
        // A is taken for class 1, B is found twice, and something is invented.
        found: vec![found(A, 1, 0.9), found(B, 1, 0.8), found(B, 0, 0.55), found(FAR, 1, 0.35), found(A, 0, 0.05)],
        masks: None,
    };
    let report = alone(2, &image, &options(MetricType::Voc));
    let at = |threshold: f64| {
        let matrix = report.confusion_matrices.iter().find(|matrix| matrix.threshold == threshold);
        matrix.map(ConfusionMatrix::dense).unwrap_or_default()
    };
    assert_eq!(at(0.0), [[0, 1, 0], [0, 1, 0], [2, 1, 0]]);
    assert_eq!(at(0.5), [[0, 1, 0], [0, 1, 0], [1, 0, 0]]);
    assert_eq!(at(0.8), [[0, 1, 0], [0, 0, 1], [0, 0, 0]]);
    assert_eq!(report.confusion_matrix().map(|matrix| matrix.threshold), Some(0.3));
    let odd = alone(2, &image, &Options { score_threshold: 0.25, ..options(MetricType::Voc) });
    assert_eq!(odd.confusion_matrices.len(), 11);
    assert_eq!(odd.confusion_matrix().map(|matrix| matrix.threshold), Some(0.25));
}

#[test]
fn pairs_of_an_image_keep_its_order() {
    let image = ImageResult {
        truth: vec![truth(FAR, 0), truth(A, 0), Truth { corners: B, class: 0, is_crowd: true }],
        found: vec![found(A, 0, 0.1), found(B, 0, 0.5), found([300.0, 0.0, 310.0, 10.0], 0, 0.6), found(A, 1, 0.9)],
        masks: None,
    };
    let found = pairs(&image, &options(MetricType::Voc));
    let expected = [None, Some(Partner::Crowd), Some(Partner::Nothing), Some(Partner::Truth(1))];
    assert_eq!((found.found.as_slice(), found.missed.as_slice()), (expected.as_slice(), [0].as_slice()));
}

#[test]
fn images_without_objects_are_the_negatives() {
    let positive = |score| ImageResult {
        truth: vec![truth(A, 0)],
        found: vec![found(FAR, 0, 0.99), found(A, 0, score)],
        masks: None,
    };
    let negative =
        |score| ImageResult { truth: vec![], found: vec![found(A, 0, score), found(B, 0, score)], masks: None };
    let images = [positive(0.9), negative(0.8), positive(0.7), negative(0.2), ImageResult::default()];
    let image = detection(&names(1), &images, &options(MetricType::Voc)).image_level;
    assert_eq!((image.positives, image.negatives, image.recognised, image.false_alarms), (2, 3, 2, 1));
    assert_eq!((image.precision, image.recall), (Some(2.0 / 3.0), Some(1.0)));
    assert_eq!(image.average_precision, Some(0.5 + 0.5 * 2.0 / 3.0));
}

#[test]
fn sizes_are_those_of_the_original_image() {
    let square = |side: f64, left: f64| [left, 0.0, left + side, side];
    let sides = [31.0, 32.0, 95.0, 96.0];
    let truths: Vec<Truth> = (0..4).map(|place| truth(square(sides[place], 200.0 * place as f64), 0)).collect();
    let hits = [&truths[1], &truths[3]].map(|one| found(one.corners, 0, 0.9)).to_vec();
    let report =
        detection(&names(1), &[ImageResult { truth: truths, found: hits, masks: None }], &options(MetricType::Voc));
    let sizes: Vec<_> = report.sizes.iter().map(|size| (size.name.as_str(), size.objects, size.hits)).collect();
    assert_eq!(sizes, [("small", 1, 0), ("medium", 2, 1), ("large", 1, 1)]);
    // COCO's ranges share their limits: the one of 32 x 32 is small as well.
    assert_eq!(report.coco.ar_small, Some(0.5));
}

#[test]
fn at_most_so_many_boxes_of_an_image_are_looked_at() {
    let image = ImageResult { truth: vec![truth(A, 0)], found: vec![found(A, 0, 0.5), found(B, 0, 0.9)], masks: None };
    let one = Options { max_detections: 1, ..options(MetricType::Voc) };
    let report = alone(1, &image, &one);
    assert_eq!((report.primary(), report.counts.found), (Some(0.0), 1));
    // COCO's numbers stop at 100 per image and class, the others do not.
    let mut many = ImageResult { truth: vec![truth(A, 0)], found: vec![found(FAR, 0, 0.9); 100], masks: None };
    many.found.push(found(A, 0, 0.5));
    let all = Options { max_detections: 300, ..options(MetricType::Voc) };
    let report = detection(&names(1), &[many], &all);
    assert_eq!((report.coco.ap50, report.primary()), (Some(0.0), Some(1.0 / 101.0)));
}

#[test]
fn what_is_not_finite_finds_nothing_and_is_not_found() {
    let nan = [f64::NAN, 0.0, 40.0, 40.0];
    let image = ImageResult {
        truth: vec![truth(A, 0), truth(nan, 0)],
        found: vec![found(A, 0, f64::NAN), found(nan, 0, 0.9), found(A, 0, f64::INFINITY), found(A, 0, 0.4)],
        masks: None,
    };
    let report = alone(1, &image, &options(MetricType::Voc));
    assert_eq!((report.counts.unusable, report.counts.found, report.counts.objects), (3, 1, 2));
    assert_eq!(report.voc.recall, Some(0.5));
    assert!(report.scalars().values().all(|value| value.is_finite()));
}

#[test]
fn survives_json() {
    let image = ImageResult { truth: vec![truth(A, 0)], found: vec![found(A, 0, 0.9), found(B, 1, 0.8)], masks: None };
    let report = alone(2, &image, &options(MetricType::CocoVoc));
    let text = serde_json::to_string(&report).expect("it is serialisable");
    let back: DetectionReport = serde_json::from_str(&text).expect("it reads what it wrote");
    assert_eq!(back, report);
}

/// About 0.3 s on one core; the limit is there for what would make every evaluation slow.
#[test]
fn five_thousand_images_take_no_time() {
    let mut state = 1_u64;
    let mut below = |limit: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32 % limit
    };
    let mut image = |_| {
        let mut image = ImageResult::default();
        for place in 0..100 {
            // A quarter of the boxes lie near one of eight objects, the others anywhere.
            let [x, y, width, height] = [below(500), below(500), 10 + below(140), 10 + below(140)].map(f64::from);
            let class = below(20) as usize;
            if place < 8 {
                image.truth.push(truth([x, y, x + width, y + height], class));
            }
            let near = image.truth.get(place / 4).copied().filter(|_| place < 32);
            let near = near.unwrap_or(truth([x, y, x + width, y + height], class));
            let corners = near.corners.map(|edge| edge + f64::from(below(9)));
            image.found.push(found(corners, near.class, f64::from(below(1 << 20)) / f64::from(1 << 20)));
        }
        image
    };
    let images: Vec<ImageResult> = (0..5_000).map(&mut image).collect();
    let start = std::time::Instant::now();
    let report = detection(&names(20), &images, &options(MetricType::Voc));
    let took = start.elapsed().as_secs_f64();
    eprintln!("5,000 images in {took:.2} s, AP50 {:?}", report.coco.ap50);
    assert_eq!(report.counts.found, 500_000);
    assert!(report.coco.ap50.is_some_and(|ap| ap > 0.1), "{:?}", report.coco);
    assert!(took < 10.0, "{took} s");
}
