//! Hand-worked cases, and the documented edges.

use super::*;

fn truth(corners: [f64; 4], class: usize) -> Truth {
    Truth { corners, class, is_crowd: false }
}

fn found(corners: [f64; 4], class: usize, score: f64) -> Found {
    Found { corners, class, score }
}

fn options(metric_type: MetricType) -> Options {
    Options { metric_type, iou_threshold: 0.5, score_threshold: 0.3, max_detections: 100 }
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("c{class}")).collect()
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
    let image = ImageResult { truth: vec![truth(A, 0), truth(B, 1)], found: vec![found(A, 0, 0.9), found(B, 1, 0.8)] };
    for metric_type in [MetricType::Voc, MetricType::Coco, MetricType::CocoVoc] {
        let report = detection(&names(3), &[image.clone()], &options(metric_type));
        assert!(report.primary().is_some_and(|value| (value - 1.0).abs() < 1e-12));
        assert!(report.truncated().is_some_and(|value| (value - 1.0).abs() < 1e-12));
        for (name, value) in report.scalars() {
            assert!((value - 1.0).abs() < 1e-12, "{name} {value}");
        }
        // The objects are of medium size, and class 2 has none.
        assert_eq!((report.coco.ap_small, report.coco.ap_large, report.classes[2].ap50), (None, None, None));
    }
    let report = detection(&names(3), &[image], &options(MetricType::None));
    assert_eq!((report.primary(), report.truncated()), (None, None));
    assert!(report.scalars().contains_key("ap50_95") && !report.scalars().contains_key("mean_average_precision"));
}
