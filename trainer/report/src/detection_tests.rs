//! The page of a detector.

use schemas::setting::MetricType;

use super::tests::{HOSTILE, check_ids, full, skeleton, thumbnail};
use super::*;
use metrics::detection::{Found, ImageResult, Options, Truth, detection};

const CORNERS: [f64; 4] = [10.0, 10.0, 50.0, 50.0];

fn labels(first: &str, count: usize) -> Vec<String> {
    std::iter::once(first.to_owned()).chain((1..count).map(|class| format!("class {class}"))).collect()
}

fn truth(class: usize) -> Truth {
    Truth { corners: CORNERS, class, is_crowd: false }
}

fn found(class: usize, score: f64) -> Found {
    Found { corners: CORNERS, class, score }
}

/// One image for each class: some objects are found, some missed, some taken for the next class.
fn results(classes: usize) -> Vec<ImageResult> {
    let image = |class: usize| ImageResult {
        truth: vec![truth(class)],
        found: match class % 3 {
            0 => vec![found(class, 0.9), found(class, 0.05)],
            1 => vec![found((class + 1) % classes, 0.8)],
            _ => vec![],
        },
        masks: None,
    };
    (0..classes).map(image).collect()
}

fn comparison(text: &str) -> Comparison {
    let [truth, found] = [thumbnail(text), thumbnail(text)];
    Comparison { truth, found, objects: 4, right: 1, confused: 2, missed: 1, invented: 3 }
}

fn section(labels: &[String], results: &[ImageResult]) -> DetectionSection {
    let options = Options {
        metric_type: MetricType::Voc,
        iou_threshold: 0.5,
        score_threshold: 0.3,
        max_detections: 100,
        shapes: metrics::detection::Shapes::Boxes,
    };
    let text = labels.first().map_or("", String::as_str);
    let cutout =
        |score| Cutout { image: thumbnail(text), label: text.to_owned(), taken_for: None, score, size: [12, 34] };
    let bins = || vec![Bin { name: "small".to_owned(), train: 3, validation: 0 }];
    let part = PartObjects { images: 7, background: 2, objects: 21, crowds: 1 };
    DetectionSection {
        report: detection(labels, results, &options),
        objects: ObjectStatistics {
            train: part,
            validation: PartObjects::default(),
            per_image: bins(),
            sizes: bins(),
            sized_images: 5,
            relative: bins(),
        },
        colours: vec![ClassColour { label: text.to_owned(), colour: [1, 2, 3] }],
        compared: vec![comparison(text)],
        worst: vec![comparison(text)],
        invented: vec![cutout(Some(0.87))],
        missed: vec![cutout(None)],
        mistaken: vec![Cutout { taken_for: Some(text.to_owned()), ..cutout(Some(0.64)) }],
        worst_masks: vec![MaskPair {
            truth: thumbnail(text),
            found: thumbnail(text),
            label: text.to_owned(),
            taken_for: Some(text.to_owned()),
            score: 0.71,
            iou: 0.53,
        }],
    }
}

/// A run of a detector with every part filled, texts being `text`.
fn detector(text: &str, classes: usize) -> ReportData {
    let section = section(&labels(text, classes), &results(classes));
    let scalars = section.report.scalars();
    let mut data = ReportData {
        primary_metric: "mean_average_precision".to_owned(),
        metrics: scalars.clone(),
        classification: None,
        detection: Some(section),
        ..full(text)
    };
    data.epochs.iter_mut().for_each(|epoch| epoch.metrics = scalars.clone());
    data
}

#[test]
fn texts_never_become_markup() {
    let hostile = render(&detector(HOSTILE, 3)).unwrap();
    assert!(!hostile.contains("<img src=x") && !hostile.contains("onerror=\""));
    assert_eq!(skeleton(&hostile), skeleton(&render(&detector("harmless", 3)).unwrap()));
    for word in ["http://", "https://", "<script", "url("] {
        assert!(!hostile.contains(word), "{word}");
    }
}

#[test]
fn says_what_it_was_given() {
    let page = render(&detector("cat", 3)).unwrap();
    for text in [
        "decides the best epoch",
        "as the specification has it",
        "Mean average precision, truncated",
        "AP50:95",
        "1 of 4 right",
        "2 of another class",
        "3 invented",
        "12 × 34 px",
        "0.87",
        "0.64",
        "IoU 0.53",
        "taken for cat",
        "rgb(1,2,3)",
        "class 2 missed: 1 of 1 (100 %)",
        "those of 5 images",
        "score threshold, %",
        "box_score_thresh: 0.3",
        "Training objects",
        "3.0",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("Accuracy") && !page.contains("was classified wrongly"));
    check_ids(&page);
    assert_eq!(page, render(&detector("cat", 3)).unwrap());
}

#[test]
fn one_class_and_many_have_a_report() {
    let one = render(&detector("cat", 1)).unwrap();
    check_ids(&one);
    assert!(!one.contains("curve-classes-0"), "the mean is the class");
    let many = render(&detector("cat", 80)).unwrap();
    check_ids(&many);
    assert_eq!(many.matches("aria-labelledby=\"curve-classes-").count(), 14);
    assert!(many.contains(">class 79<") && !many.contains("The same as a table"));
    let most = render(&detector("cat", 200)).unwrap();
    check_ids(&most);
    assert!(most.contains("104 more are in the table") && most.contains("Of 200 classes the 100"));
}

#[test]
fn nothing_found_and_nothing_to_find_have_a_report() {
    let show = |results: &[ImageResult]| {
        let mut data = detector("cat", 2);
        let mut section = section(&labels("cat", 2), results);
        data.metrics = section.report.scalars();
        data.detection = Some(section.clone());
        let with_images = render(&data).unwrap();
        check_ids(&with_images);
        section.compared.clear();
        section.worst.clear();
        section.invented.clear();
        section.missed.clear();
        section.mistaken.clear();
        section.worst_masks.clear();
        section.colours.clear();
        section.objects = ObjectStatistics::default();
        data.detection = Some(section);
        let bare = render(&data).unwrap();
        check_ids(&bare);
        assert!(!bare.contains("Truth beside predictions") && !bare.contains("NaN"));
        bare
    };
    let blind = show(&[ImageResult { truth: vec![truth(0)], found: vec![], masks: None }]);
    assert!(blind.contains("No box has such a score") && !blind.contains("hold no object"));
    let background = show(&[ImageResult { truth: vec![], found: vec![found(1, 0.9)], masks: None }]);
    assert!(background.contains("hold no object") && background.contains("class 1 where there is nothing: 1 of 1"));
    show(&[]);
}
