//! From files to data sets: what is kept, what is rejected and why, and what is written down.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use files::{Order, Scope, Target};
use models::host::{Limits, Rgb, encode_jpeg, encode_png};
use schemas::Task;
use serde_json::{Value, json};

use crate::{DataError, Images, ReadOptions, RejectKind, Split, TrainingData, TrainingRequest, test, training};

pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes data as it was used into a folder.
    pub(super) fn keep(&self, data: &mut TrainingData, name: &str) {
        let output = self.path(name);
        let targets = TrainingData::FILES.map(Target::new);
        let order = Order { command: "train", output: &output, overwrite: true, reads: &[] };
        let mut writing = order.folder(Scope::Each, &targets).unwrap().begin().unwrap();
        data.write(&mut writing, Path::new("")).unwrap();
        writing.publish().unwrap();
    }

    /// A small image of one colour, a JPEG if so named, else a PNG.
    pub(super) fn image(&self, name: &str) {
        let colour = name.bytes().fold([0u8; 3], |c, b| [c[1].wrapping_add(b), c[2] ^ b, c[0].wrapping_mul(3)]);
        let image = Rgb::filled(9, 7, colour);
        self.write(name, if name.ends_with(".jpg") { encode_jpeg(&image, 90) } else { encode_png(&image) });
    }

    pub(super) fn request(&self, training: &Path) -> TrainingRequest {
        TrainingRequest {
            training: training.to_owned(),
            validation: None,
            split: Split::Share(0.2),
            seed: 1,
            group_column: None,
            side: 224,
            read: ReadOptions {
                cache_bytes: 1 << 20,
                fetch_folder: Some(self.path("fetched")),
                ..ReadOptions::new(Task::ImageClassification, 3)
            },
        }
    }
}

fn row(image_url: &str, label: impl Into<Value>) -> String {
    json!({ "image_url": image_url, "label": label.into() }).to_string() + "\n"
}

pub(super) fn quiet(_: usize, _: usize) {}

pub(super) fn read(request: &TrainingRequest) -> Result<TrainingData, DataError> {
    training(request, &quiet)
}

pub(super) fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_kind_of_bad_row_is_listed_with_line_and_reason() {
    let folder = Folder::new();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        folder.image(name);
    }
    folder.write("text.png", "not an image");
    let mut torn = encode_jpeg(&Rgb::filled(64, 64, [9, 200, 30]), 90);
    torn.truncate(torn.len() / 2);
    folder.write("torn.jpg", torn);
    folder.write("empty.png", "");
    fs::create_dir(folder.path("folder.png")).unwrap();
    fs::create_dir(folder.path("sub")).unwrap();
    let mut text = b"\xef\xbb\xbf".to_vec();
    for line in [
        row("a.png", "x").trim_end().to_owned() + "\r\n",
        "\n \t\r\n".to_owned(),
        row("b.png", "x"),
        "{\"image_url\": \"b.png\", \"label\"\n".to_owned(),
        row("c.png", "y"),
        row("b.png", 1.5),
        row("missing.png", "x"),
        row("text.png", "x"),
        row("torn.jpg", "x"),
        row("empty.png", "x"),
        row("folder.png", "y"),
        row("s3://bucket/a.png", "y"),
        row("sub/../a.png", "y"),
    ] {
        text.extend_from_slice(line.as_bytes());
    }
    text.extend_from_slice(b"{\"image_url\":\"\xff\",\"label\":\"x\"}\n");
    text.extend_from_slice(row("d.png", "y").trim_end().as_bytes());
    let file = folder.write("train.jsonl", text);
    let mut data = read(&folder.request(&file)).unwrap();
    assert_eq!(data.train.labels(), ["x", "y"]);
    assert_eq!(data.train.len() + data.validation.len(), 4);

    folder.keep(&mut data, "run/data");
    let rejected = lines(&folder.path("run/data/rejected.jsonl"));
    let mut found: Vec<(u64, &str, &str)> = rejected
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["kind"].as_str().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    found.sort_unstable();
    let expected = [
        (1, "duplicate", "duplicate of line 14"),
        (5, "bad_json", "EOF"),
        (7, "bad_label", "1.5"),
        (8, "missing_file", "missing.png"),
        (9, "bad_image", "no JPEG"),
        (10, "bad_image", "JPEG"),
        (11, "bad_image", "0 bytes"),
        (12, "missing_file", "not a file"),
        (13, "bad_url", "not supported"),
        (15, "bad_json", "not UTF-8"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, kind, reason), (at, wanted, part)) in found.iter().zip(expected) {
        assert!(
            *line == at && *kind == wanted && reason.contains(part),
            "{line} {kind} {reason}; wanted {at} {wanted} {part}"
        );
    }
    assert_eq!(data.rejections.total(), 10);
    assert_eq!(data.rejections.counts()[&RejectKind::BadImage], 3);
    assert_eq!(rejected[0]["source"], file.to_str().unwrap());

    // What is written is a data set by itself, from anywhere, with the same samples in the same order.
    let mut again = folder.request(&folder.path("run/data/train.jsonl"));
    again.validation = Some(folder.path("run/data/validation.jsonl"));
    let again = read(&again).unwrap();
    assert_eq!(again.rejections.total(), 0);
    assert_eq!(again.train.len(), data.train.len());
    for index in 0..again.train.len() {
        assert_eq!(again.train.image(index).unwrap(), data.train.image(index).unwrap());
        assert_eq!(again.train.classes(index), data.train.classes(index));
    }
}

#[test]
fn a_bad_row_is_fatal_when_errors_are_not_ignored() {
    let folder = Folder::new();
    folder.image("a.png");
    folder.image("b.png");
    for (bad, line, part) in [
        (row("gone.png", "x"), 3, "gone.png"),
        ("{\n".to_owned(), 3, "JSON"),
        (row("a.png", "x"), 1, "duplicate of line 3"),
        (row("b.png", Value::Null), 3, "missing"),
    ] {
        let file = folder.write("t.jsonl", row("a.png", "x") + &row("b.png", "y") + &bad);
        let mut request = folder.request(&file);
        request.read.ignore_data_errors = false;
        let message = read(&request).err().unwrap().to_string();
        assert!(message.contains(&format!("t.jsonl:{line}:")) && message.contains(part), "{message}");
    }
}

#[test]
fn data_that_cannot_be_used_at_all() {
    let folder = Folder::new();
    folder.image("a.png");
    folder.image("b.png");
    for (text, part) in [
        (String::new(), "no usable image: 0 rows"),
        (row("x.png", "x"), "1 rejected. The first:"),
        (row("a.png", "x") + &row("b.png", 3), "labels are of two types"),
    ] {
        let file = folder.write("t.jsonl", &text);
        let message = read(&folder.request(&file)).err().unwrap().to_string();
        assert!(message.contains(part), "{message}");
    }
    let wide = folder.write("w.jsonl", [0xff, 0xfe, b'{', 0]);
    assert!(read(&folder.request(&wide)).err().unwrap().to_string().contains("UTF-16"));
    let mut request = folder.request(&folder.write("t.jsonl", row("a.png", "x")));
    request.split = Split::Share(1.0);
    assert!(read(&request).err().unwrap().to_string().contains("split_ratio is 1"));
}

#[test]
fn classes_are_sorted_over_training_and_validation() {
    let folder = Folder::new();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        folder.image(name);
    }
    let train = folder.write("t.jsonl", row("a.png", 10) + &row("b.png", 9) + &row("gone.png", 1));
    let mut request = folder.request(&train);
    request.validation = Some(folder.write("v.jsonl", row("c.png", 2) + &row("d.png", 10) + &row("a.png", 10)));
    let data = read(&request).unwrap();
    assert_eq!(data.train.labels(), ["2", "9", "10"], "integers as numbers, and only those with an image");
    assert_eq!((data.train.classes(0), data.train.classes(1)), (&[2][..], &[1][..]));
    assert_eq!(data.validation.class_counts(), [1, 0, 2]);
    assert!(!data.was_split);
    let warnings = data.warnings.join("\n");
    assert!(warnings.contains("only in the validation data, which cannot be learnt: 2"), "{warnings}");
    assert!(warnings.contains("1 of 3 validation images are training images"), "{warnings}");
    assert!(warnings.contains("2 training images"), "{warnings}");
}

#[test]
fn one_class_and_one_image_still_make_a_data_set() {
    let folder = Folder::new();
    folder.image("a.png");
    let data = read(&folder.request(&folder.write("t.jsonl", row("a.png", "cat")))).unwrap();
    assert_eq!(data.train.labels(), ["cat", "not cat"]);
    assert_eq!((data.train.len(), data.validation.len()), (1, 1));
    assert!(data.warnings.iter().any(|w| w.contains("validation uses the training images")), "{:?}", data.warnings);
}

#[test]
fn the_split_is_by_class_and_seed_and_moves_with_the_folder() {
    let make = |reverse: bool, seed| {
        let folder = Folder::new();
        let mut rows = Vec::new();
        for i in 0..40 {
            folder.image(&format!("p/{i}.png"));
            rows.push(row(&format!("p/{i}.png"), if i % 4 == 0 { "rare" } else { "common" }));
        }
        if reverse {
            rows.reverse();
        }
        let mut request = folder.request(&folder.write("t.jsonl", rows.concat()));
        request.seed = seed;
        let data = read(&request).unwrap();
        assert_eq!(data.validation.class_counts(), [6, 2]);
        assert!(data.was_split);
        let mut urls: Vec<_> = (0..data.validation.len()).map(|i| data.validation.image_url(i).unwrap()).collect();
        urls.sort();
        (urls, data.train.fingerprint().unwrap())
    };
    let (urls, fingerprint) = make(false, 1);
    assert_eq!((urls.clone(), fingerprint.clone()), make(false, 1));
    let (back, other) = make(true, 1);
    assert_eq!(back, urls);
    assert_ne!(other, fingerprint, "rows in another order are another data set");
    assert_ne!(make(false, 2).0, urls);
}

/// Rows of a folder with an image for each of `groups`, which is under the key `patient`.
fn grouped(folder: &Folder, name: &str, groups: &[Value]) -> PathBuf {
    let mut text = String::new();
    for (i, group) in groups.iter().enumerate() {
        let image = format!("{name}/{i}.png");
        folder.image(&image);
        let label = ["x", "y"][i % 2];
        text += &(json!({ "image_url": image, "label": label, "patient": group }).to_string() + "\n");
    }
    folder.write(&format!("{name}.jsonl"), text)
}

#[test]
fn groups_are_never_on_both_sides_of_the_split() {
    let folder = Folder::new();
    let groups: Vec<Value> =
        (0..48).map(|i| if i < 24 { json!(i / 4) } else { json!(format!("p{}", i / 4)) }).collect();
    let mut request = folder.request(&grouped(&folder, "rows", &groups));
    request.group_column = Some("patient".to_owned());
    for seed in 0..5 {
        request.seed = seed;
        let mut data = read(&request).unwrap();
        assert!((8..=12).contains(&data.validation.len()), "{}", data.validation.len());
        folder.keep(&mut data, &format!("run{seed}"));
        let of = |part: &str| -> std::collections::BTreeSet<String> {
            let rows = lines(&folder.path(&format!("run{seed}/{part}.jsonl")));
            rows.iter().map(|row| row["patient"].to_string()).collect()
        };
        let (train, validation) = (of("train"), of("validation"));
        assert!(train.is_disjoint(&validation) && train.len() + validation.len() == 12);
        assert_eq!(data.validation.class_counts().iter().max(), data.validation.class_counts().iter().min());
    }
    // Without the key, rows of most groups are on both sides.
    request.group_column = None;
    let mut data = read(&request).unwrap();
    folder.keep(&mut data, "plain");
    let patients = |part: &str| lines(&folder.path(part)).iter().map(|row| row["patient"].to_string()).collect();
    let train: std::collections::BTreeSet<String> = patients("plain/train.jsonl");
    let validation: std::collections::BTreeSet<String> = patients("plain/validation.jsonl");
    assert!(!train.is_disjoint(&validation));
}

#[test]
fn rows_without_a_group_and_groups_that_cannot_be_split_are_refused() {
    let folder = Folder::new();
    let refused = |name: &str, groups: &[Value]| {
        let mut request = folder.request(&grouped(&folder, name, groups));
        request.group_column = Some("patient".to_owned());
        read(&request).err().unwrap().to_string()
    };
    let message = refused("a", &[json!(1), json!(2), json!(null), json!(3), json!([])]);
    for part in ["a.jsonl: line 3 has null as \"patient\"", "2 of 5 rows", "leave group_column out"] {
        assert!(message.contains(part), "{message}");
    }
    let message = refused("b", &[json!(1), json!(1), json!(1), json!(1)]);
    assert!(message.contains("one group only") && message.contains("--validation_data"), "{message}");
    let rows = [("q.png", 1), ("r.png", 2), ("q.png", 3)];
    let rows = rows.map(|(url, group)| json!({ "image_url": url, "label": "x", "patient": group }).to_string() + "\n");
    let mut request = folder.request(&folder.write("c.jsonl", rows.concat()));
    request.group_column = Some("patient".to_owned());
    let message = read(&request).err().unwrap().to_string();
    assert!(message.contains("line 3 has another \"patient\"") && message.contains("c.jsonl:1"), "{message}");
}

#[test]
fn groups_in_both_given_parts_are_said() {
    let folder = Folder::new();
    let mut request = folder.request(&grouped(&folder, "train", &[json!("a"), json!("a"), json!("b"), json!("c")]));
    request.validation = Some(grouped(&folder, "validation", &[json!("d"), json!("b"), json!("b"), json!("c")]));
    request.group_column = Some("patient".to_owned());
    let warnings = read(&request).unwrap().warnings.join("\n");
    assert!(warnings.contains("2 groups by \"patient\"") && warnings.contains("such as \"b\""), "{warnings}");
}

#[test]
fn the_cache_keeps_to_its_budget_and_changes_nothing() {
    let folder = Folder::new();
    let mut text = String::new();
    // One JPEG, which the split leaves in training.
    let name = |i: usize| format!("{i}.{}", if i == 4 { "jpg" } else { "png" });
    for i in 0..12 {
        folder.image(&name(i));
        text += &row(&name(i), ["x", "y"][i % 2]);
    }
    folder.write("bad.png", "no image");
    text = row("bad.png", "x") + &text;
    let file = folder.write("t.jsonl", text);
    // 12 images of 9 x 7 pixels decoded; then file contents; then nothing.
    let encoded: u64 = (0..12).map(|i| fs::metadata(folder.path(&name(i))).unwrap().len()).sum();
    let mut results = Vec::new();
    assert!(encoded < 12 * 9 * 7 * 3);
    for budget in [12 * 9 * 7 * 3, encoded, 0] {
        let mut request = folder.request(&file);
        request.read.cache_bytes = budget;
        let data = read(&request).unwrap();
        let images =
            |data: &TrainingData| (0..data.train.len()).map(|i| data.train.image(i).unwrap()).collect::<Vec<_>>();
        let first = images(&data);
        assert_eq!(images(&data), first);
        let shared = images(&data).iter().zip(&first).all(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared, budget == 12 * 9 * 7 * 3, "decoded images are kept for this budget only");
        let mut cut = 0;
        for (i, whole) in first.iter().enumerate() {
            let top = data.train.top(i, &mut |_, _| 1).unwrap();
            assert!(whole.data.starts_with(&top.data));
            cut += usize::from(top.height < whole.height);
        }
        assert_eq!(cut > 0, !shared, "only what must be decoded anyway is cut");
        results.push(first);
    }
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn test_data_keeps_to_the_labels_of_the_model() {
    let folder = Folder::new();
    folder.image("a.png");
    folder.image("b.png");
    let file = folder.write("t.jsonl", row("a.png", 7) + &row("b.png", "dog"));
    let options = folder.request(&file).read;
    let labels = ["cat".to_owned(), "7".to_owned()];
    let data = test(&file, &labels, &options, &quiet).unwrap();
    assert_eq!((data.dataset.len(), data.dataset.classes(0)), (1, &[1][..]));
    assert_eq!(data.rejections.counts()[&RejectKind::BadLabel], 1);
    assert!(data.rejections.examples()[0].reason.contains("\"dog\""));
}

#[test]
fn cloud_paths_lie_below_the_data_root() {
    let folder = Folder::new();
    for name in ["root/x/a 1.png", "root/b.png"] {
        folder.image(name);
    }
    let text = row("azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/d/paths/x/a%201.png", "x")
        + &row("AmlDatastore://b.png", "y");
    let mut request = folder.request(&folder.write("t.jsonl", text));
    let message = read(&request).err().unwrap().to_string();
    assert!(message.contains("--data_root"), "{message}");
    request.read.data_root = Some(folder.path("root"));
    assert_eq!(read(&request).unwrap().rejections.total(), 0);
}

#[test]
fn images_too_large_are_rejected_by_their_header() {
    let folder = Folder::new();
    folder.image("a.png");
    folder.write("big.png", encode_png(&Rgb::filled(101, 2, [0; 3])));
    let mut request = folder.request(&folder.write("t.jsonl", row("a.png", "x") + &row("big.png", "y")));
    request.read.limits = Limits { max_side: 100, ..Limits::default() };
    let data = read(&request).unwrap();
    assert!(data.rejections.examples()[0].reason.contains("101"), "{:?}", data.rejections.examples());
    request.read.limits = Limits { max_bytes: 20, ..Limits::default() };
    assert!(read(&request).err().unwrap().to_string().contains("the limit is 20"));
}

#[test]
fn lists_of_labels_make_a_data_set() {
    let folder = Folder::new();
    for name in ["a.png", "b.png", "c.png", "d.png", "e.png"] {
        folder.image(name);
    }
    let text = row("a.png", json!(["dog", "cat", "dog"]))
        + &row("b.png", json!([]))
        + &row("c.png", "cat")
        + &row("d.png", json!(["cat", 7]))
        + &row("e.png", json!(["cow"]));
    let file = folder.write("t.jsonl", text);
    let multilabel = |file: &Path| {
        let mut request = folder.request(file);
        request.read.task = Task::ImageClassificationMultilabel;
        request.validation = Some(file.to_owned());
        request
    };
    let mut data = read(&multilabel(&file)).unwrap();
    assert_eq!(data.train.labels(), ["cat", "cow", "dog"]);
    let sets = |data: &TrainingData| (0..data.train.len()).map(|i| data.train.classes(i).to_vec()).collect::<Vec<_>>();
    assert_eq!(sets(&data), [vec![0, 2], vec![], vec![1]]);
    assert_eq!(data.train.class_counts(), [1, 1, 1]);
    let reasons: Vec<&str> = data.rejections.examples().iter().map(|row| row.reason.as_str()).collect();
    assert!(
        reasons[0].contains("the string \"cat\" alone") && reasons[1].contains("label 1 an integer"),
        "{reasons:?}"
    );
    folder.keep(&mut data, "run");
    let again = read(&multilabel(&folder.path("run/train.jsonl"))).unwrap();
    assert_eq!((again.rejections.total(), sets(&again)), (0, sets(&data)));

    let options = multilabel(&file).read;
    let known = ["dog".to_owned(), "cat".to_owned()];
    let data = test(&file, &known, &options, &quiet).unwrap();
    assert_eq!(
        (data.dataset.len(), data.dataset.classes(0)),
        (2, &[0, 1][..]),
        "a row with an unknown label is rejected"
    );

    let one = folder.write("one.jsonl", row("a.png", json!(["cat"])) + &row("b.png", json!([])));
    assert_eq!(read(&multilabel(&one)).unwrap().train.labels(), ["cat"], "absence needs no label of its own");
    let none = folder.write("none.jsonl", row("a.png", json!([])));
    assert!(read(&multilabel(&none)).err().unwrap().to_string().contains("none of 1 training images has a label"));
}
