//! Detection rows: from files to data sets and back.

use std::path::Path;

use schemas::Task;
use serde_json::{Value, json};

use super::preparing::{Folder, lines, quiet, read};
use crate::{Images, Object, RejectKind, TrainingRequest, test, training};

fn request(folder: &Folder, rows: &[Value]) -> TrainingRequest {
    let text: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    let mut request = folder.request(&folder.write("t.jsonl", text));
    request.read.task = Task::ImageObjectDetection;
    request
}

fn one(label: impl Into<Value>, corners: [f64; 4]) -> Value {
    let [x1, y1, x2, y2] = corners;
    json!({ "label": label.into(), "topX": x1, "topY": y1, "bottomX": x2, "bottomY": y2 })
}

fn row(image_url: &str, label: &[Value]) -> Value {
    json!({ "image_url": image_url, "label": label })
}

const BOX: [f64; 4] = [0.1, 0.2, 0.5, 0.9];

fn images(names: &[&str]) -> Folder {
    let folder = Folder::new();
    names.iter().for_each(|name| folder.image(name));
    folder
}

#[test]
fn rows_are_judged_by_row_and_box_merged_and_read_back_the_same() {
    let folder = images(&["a.png", "b.png", "c.png", "d.png", "e.png"]);
    let bad = one("x", [0.5, 0.2, 0.4, 0.9]);
    let rows = [
        row("a.png", &[one("x", [0.123_456_789, 0.2, 0.5, 0.9]), bad.clone()]),
        row("b.png", &[]),
        // The older form: one box per row.
        json!({ "imageUrl": "c.png", "label": "y", "topX": "0.25", "topY": 0, "bottomX": 1, "bottomY": "1.0", "isCrowd": 1 }),
        row("d.png", std::slice::from_ref(&bad)),
        row("gone.png", &[one("z", BOX)]),
        json!({ "image_url": "e.png", "label": [{ "label": "x", "polygon": [[0.1, 0.1, 0.7, 0.2, 0.3, 0.8], [1]] }] }),
        row("./a.png", &[one("y", BOX), one("x", BOX)]),
    ];
    let mut request = request(&folder, &rows);
    request.validation = Some(folder.write("v.jsonl", row("d.png", &[one("w", BOX)]).to_string()));
    let mut data = read(&request).unwrap();
    assert_eq!(data.train.labels(), ["w", "x", "y"]);
    assert_eq!(
        (data.train.len(), data.train.class_counts(), data.validation.class_counts()),
        (4, vec![0, 3, 2], vec![1, 0, 0])
    );
    let object = |class, corners: [f32; 4], is_crowd| Object { corners, class, is_crowd, outline: None };
    let wide = BOX.map(|value| value as f32);
    assert_eq!(
        data.train.objects(0),
        [object(1, [0.123_456_79, 0.2, 0.5, 0.9], false), object(2, wide, false), object(1, wide, false)]
    );
    assert!(data.train.objects(1).is_empty());
    assert_eq!(data.train.objects(2), [object(2, [0.25, 0.0, 1.0, 1.0], true)]);
    assert_eq!(data.train.objects(3), [object(1, [0.1, 0.1, 0.7, 0.8], false)]);
    assert!(data.warnings.iter().any(|text| text.contains("1 rows name an image that an earlier row names")));

    folder.keep(&mut data, "run");
    let rejected = lines(&folder.path("run/rejected.jsonl"));
    let found: Vec<_> =
        rejected.iter().map(|row| (row["line"].as_u64().unwrap(), row["kind"].as_str().unwrap())).collect();
    assert_eq!(found, [(1, "bad_object"), (4, "no_object"), (6, "bad_object"), (5, "missing_file")]);
    assert!(rejected[0]["reason"].as_str().unwrap().starts_with("object 1: topX 0.5"), "{}", rejected[0]);
    assert!(rejected[2]["reason"].as_str().unwrap().starts_with("object 0, segment 1:"), "{}", rejected[2]);
    assert_eq!(data.rejections.counts()[&RejectKind::BadObject], 2);

    let written = lines(&folder.path("run/train.jsonl"));
    assert_eq!(written.len(), 4);
    assert_eq!(written[2].as_object().unwrap().keys().collect::<Vec<_>>(), ["label", "image_url"]);
    let mut again = request.clone();
    (again.training, again.validation) = (folder.path("run/train.jsonl"), Some(folder.path("run/validation.jsonl")));
    let again = training(&again, &quiet).unwrap();
    assert_eq!((again.rejections.total(), again.train.labels()), (0, data.train.labels()));
    for index in 0..4 {
        assert_eq!(again.train.objects(index), data.train.objects(index));
        assert_eq!(again.train.image(index).unwrap(), data.train.image(index).unwrap());
    }
    assert_eq!(again.validation.objects(0), data.validation.objects(0));
}

#[test]
fn whole_numbers_stay_labels_in_their_order() {
    let folder = images(&["a.png", "b.png"]);
    let mut request = request(&folder, &[row("a.png", &[one(10, BOX), one(9, BOX)]), row("b.png", &[one(9, BOX)])]);
    request.validation = Some(request.training.clone());
    let mut data = read(&request).unwrap();
    assert_eq!(data.train.labels(), ["9", "10"]);
    folder.keep(&mut data, "run");
    (request.training, request.validation) =
        (folder.path("run/train.jsonl"), Some(folder.path("run/validation.jsonl")));
    let again = read(&request).unwrap();
    assert_eq!((again.train.labels(), again.train.objects(0)), (data.train.labels(), data.train.objects(0)));
}

#[test]
fn a_single_class_is_enough_and_no_object_at_all_is_not() {
    let folder = images(&["a.png", "b.png"]);
    let data = read(&request(&folder, &[row("a.png", &[one("x", BOX)]), row("b.png", &[one("x", BOX)])])).unwrap();
    assert_eq!(data.train.labels(), ["x"]);
    let message = read(&request(&folder, &[row("a.png", &[]), row("b.png", &[])])).err().unwrap().to_string();
    assert!(message.contains("none of 1 training images has an object"), "{message}");
    let mixed = request(&folder, &[row("a.png", &[one("x", BOX)]), row("b.png", &[one(1, BOX)])]);
    assert!(read(&mixed).err().unwrap().to_string().contains("two types"));
}

#[test]
fn a_bad_box_is_fatal_when_errors_are_not_ignored() {
    let folder = images(&["a.png"]);
    let mut request = request(&folder, &[row("a.png", &[one("x", BOX), one("x", [0.0, 0.0, 0.0, 1.0])])]);
    request.read.ignore_data_errors = false;
    let message = read(&request).err().unwrap().to_string();
    assert!(message.contains("t.jsonl:1: object 1:"), "{message}");
}

#[test]
fn the_split_gives_each_part_of_the_rarest_classes() {
    let make = |reverse: bool| {
        let folder = Folder::new();
        let mut rows = Vec::new();
        for i in 0..40 {
            let name = format!("{i}.png");
            folder.image(&name);
            // Every image has a common object, every fourth a rare one as well, and ten have none.
            let label = match i % 4 {
                0 => vec![one("common", BOX), one("rare", BOX)],
                1 => vec![],
                _ => vec![one("common", BOX)],
            };
            rows.push(row(&name, &label));
        }
        if reverse {
            rows.reverse();
        }
        let data = read(&request(&folder, &rows)).unwrap();
        let mut urls: Vec<_> = (0..data.validation.len()).map(|at| data.validation.image_url(at).unwrap()).collect();
        urls.sort();
        (urls, data.validation.class_counts())
    };
    let (urls, counts) = make(false);
    assert_eq!((urls.len(), counts), (8, vec![6, 2]));
    assert_eq!(make(true).0, urls);
}

#[test]
fn test_data_keeps_to_the_labels_of_the_model_box_by_box() {
    let folder = images(&["a.png", "b.png"]);
    let rows = [row("a.png", &[one("dog", BOX), one("cat", BOX)]), row("b.png", &[one("dog", BOX)])];
    let request = request(&folder, &rows);
    let data = test(&request.training, &["cat".to_owned()], &request.read, &quiet).unwrap();
    assert_eq!((data.dataset.len(), data.dataset.objects(0).len()), (1, 1));
    let counts = data.rejections.counts();
    assert_eq!((counts[&RejectKind::BadObject], counts[&RejectKind::NoObject]), (1, 1));
    assert!(data.rejections.examples()[0].reason.contains("object 0: label \"dog\""));
}

#[test]
fn the_fridge_folders_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/fridge/detection");
    if !root.exists() {
        println!("skipped: {} is missing", root.display());
        return;
    }
    let folder = Folder::new();
    let mut request = request(&folder, &[]);
    request.training = root.join("training-mltable-folder");
    request.validation = Some(root.join("validation-mltable-folder"));
    let data = read(&request).unwrap();
    assert_eq!(data.train.labels(), ["can", "carton", "milk_bottle", "water_bottle"]);
    assert_eq!((data.train.len(), data.validation.len(), data.rejections.total()), (102, 26, 0));
}
