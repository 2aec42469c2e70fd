//! The page as a whole.

use std::collections::BTreeMap;

use super::*;
use metrics::{Truths, Verdict, accuracy_table, classification};

pub(super) const HOSTILE: &str = r#"<img src=x onerror="alert(1)">'&"#;

pub(super) fn thumbnail(caption: &str) -> Thumbnail {
    Thumbnail::new((8, 6), &[200; 8 * 6 * 3], 64, caption).unwrap()
}

fn fact(name: &str, value: &str) -> Fact {
    Fact { name: name.to_owned(), value: value.to_owned() }
}

/// A report with every part filled, each text being `text`.
pub(super) fn full(text: &str) -> ReportData {
    let labels = vec![text.to_owned(), "dog".to_owned(), "cat".to_owned()];
    let section = section(&labels, &Truths::One(vec![0, 1, 1]));
    let report = section.report.clone();
    let epoch = |epoch: u64| EpochRecord {
        epoch,
        learning_rate: 0.01,
        train_loss: 1.0 / (epoch + 1) as f64,
        metrics: if epoch.is_multiple_of(2) { report.scalars() } else { BTreeMap::new() },
        seconds: 3.5,
        images_per_second: 88.0,
    };
    let setting = |is_default| Setting {
        name: "learning_rate".to_owned(),
        value: text.to_owned(),
        source: text.to_owned(),
        is_default,
    };
    ReportData {
        run: text.to_owned(),
        task: text.to_owned(),
        model: text.to_owned(),
        status: text.to_owned(),
        primary_metric: "accuracy".to_owned(),
        best_epoch: Some(2),
        epochs: (0..4).map(epoch).collect(),
        metrics: report.scalars().into_iter().chain([(text.to_owned(), 0.5)]).collect(),
        training_batch: vec![thumbnail(text)],
        dataset: DatasetSummary {
            classes: vec![ClassCount { label: text.to_owned(), train: 12, validation: 3 }],
            per_image: vec![Bin { name: "0".to_owned(), train: 1, validation: 2 }],
            rejected: 40,
            rejected_rows: vec![RejectedRow { place: text.to_owned(), reason: text.to_owned() }],
        },
        settings: vec![setting(false), setting(true)],
        export: Some(ExportSummary {
            path: text.to_owned(),
            bytes: 13_500_000,
            nodes: 172,
            largest_difference: Some(2.4e-7),
            facts: vec![fact(text, text)],
        }),
        environment: vec![fact(text, text)],
        intervals: [("accuracy".to_owned(), [0.75, 0.9375])].into(),
        classification: Some(section),
        detection: None,
    }
}

/// What a classifier did on three images, one of which it has no answer for.
fn section(labels: &[String], truths: &Truths) -> ClassificationSection {
    let probabilities = [0.2, 0.7, 0.1, 0.1, 0.8, 0.1, f32::NAN, 0.5, 0.5];
    let text = labels[0].as_str();
    let said = |verdict| Said { label: text.to_owned(), probability: 0.7, verdict };
    let cards = |verdicts: &[Verdict]| {
        vec![ImageCard { image: thumbnail(text), said: verdicts.iter().map(|&verdict| said(verdict)).collect() }]
    };
    ClassificationSection {
        report: classification(labels, &probabilities, truths),
        table: accuracy_table(labels, &probabilities, truths),
        samples: cards(&[]),
        mistakes: cards(&[Verdict::Invented, Verdict::Missed, Verdict::Right]),
        confused: vec![ConfusedPair {
            truth: text.to_owned(),
            predicted: "dog".to_owned(),
            count: 1,
            of: 1,
            images: vec![thumbnail(text)],
        }],
        suspects: cards(&[Verdict::Missed]),
        suspected: 3,
    }
}

/// Tags and attributes in order: what the browser builds, whatever the texts between them are.
pub(super) fn skeleton(page: &str) -> Vec<String> {
    let names = page.split('<').skip(1).map(|tag| {
        let tag = tag.split('>').next().unwrap_or_default();
        tag.split_whitespace().next().unwrap_or_default().to_owned()
    });
    names.collect()
}

#[test]
fn texts_never_become_markup() {
    let hostile = render(&full(HOSTILE)).unwrap();
    assert!(!hostile.contains("<img src=x") && !hostile.contains("onerror=\""));
    let harmless = render(&full("harmless")).unwrap();
    assert_eq!(skeleton(&hostile), skeleton(&harmless));
}

#[test]
fn needs_no_network_and_no_script() {
    let page = render(&full("fridge")).unwrap();
    for word in ["http://", "https://", "<script", "@import", "url(", "src=\"/", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<img ").count(), page.matches("src=\"data:image/jpeg;base64,").count());
    assert!(page.contains("Content-Security-Policy"));
}

#[test]
fn says_what_it_was_given() {
    let page = render(&full("fridge")).unwrap();
    for text in
        ["13.5 MB", "2.4e-7", "40 rows rejected", "got no answer", "taken for", "decides the best epoch", ">172<"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("<tr class=\"kept\"").count(), 1);
}

#[test]
fn ids_are_unique() {
    check_ids(&render(&full("fridge")).unwrap());
}

/// Every id is there once, and every link within the page leads to one.
pub(super) fn check_ids(page: &str) {
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(ids.contains(&link), "#{link} leads nowhere");
    }
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    assert_eq!(render(&full("a")).unwrap(), render(&full("a")).unwrap());
}

#[test]
fn an_empty_run_has_a_report() {
    let page = render(&ReportData::default()).unwrap();
    assert!(page.contains("No row was rejected") && page.contains("Every setting has its default value"));
}

#[test]
fn odd_numbers_have_a_report() {
    let mut data = full("fridge");
    for value in [f64::NAN, f64::INFINITY, -1e300] {
        data.epochs[1].train_loss = value;
        data.epochs[1].seconds = value;
        data.epochs[2].metrics.insert("accuracy".to_owned(), value);
        data.metrics.insert("accuracy".to_owned(), value);
        let page = render(&data).unwrap();
        assert!(!page.contains("cy=\"NaN") && !page.contains("cy=\"inf"));
    }
    let labels = ["one".to_owned()];
    data.classification = Some(ClassificationSection {
        report: classification(&labels, &[], &Truths::One(vec![])),
        table: accuracy_table(&labels, &[], &Truths::One(vec![])),
        samples: vec![],
        mistakes: vec![],
        confused: vec![],
        suspects: vec![],
        suspected: 0,
    });
    assert!(render(&data).unwrap().contains("No validation image was classified wrongly"));
}

#[test]
fn label_sets_have_a_page_of_their_own() {
    let mut data = full("fridge");
    let labels = ["fridge", "dog", "cat"].map(str::to_owned);
    data.classification = Some(section(&labels, &Truths::sets(vec![vec![0, 2], vec![1], vec![]])));
    let page = render(&data).unwrap();
    for text in
        [">IoU<", "seen instead", "no label, rightly", "Images by number of labels", "may be wrong", "above 0.5"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("What is taken for what"), "label sets have no confusion matrix");
    check_ids(&page);
}

#[test]
fn curves_of_many_classes_share_charts() {
    let labels: Vec<String> = (0..30).map(|class| format!("class {class}")).collect();
    let truths: Vec<usize> = (0..30).collect();
    let probabilities: Vec<f32> = (0..900).map(|at| if at % 31 == 0 { 0.5 } else { 0.01 }).collect();
    let mut data = full("fridge");
    let truths = Truths::One(truths);
    let report = classification(&labels, &probabilities, &truths);
    let table = accuracy_table(&labels, &probabilities, &truths);
    data.classification = data.classification.map(|section| ClassificationSection { report, table, ..section });
    let page = render(&data).unwrap();
    assert_eq!(
        page.matches("id=\"curve-roc-").count(),
        2 * 5,
        "all classes, and four charts of six; title and description"
    );
    assert!(page.contains("6 more are in the table of classes only"));
    check_ids(&page);
}
