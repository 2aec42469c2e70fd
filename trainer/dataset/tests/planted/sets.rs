//! Public data sets as rows, read by the code that users convert them with.

use std::fs;
use std::path::{Path, PathBuf};

use dataset::convert::boxes::{LabelledImage, LabelledObject, Part, Sizes, coco, rows, voc};
use dataset::convert::{Folders, write_labels};
use files::Order;
use models::host::{Limits, decode};
use schemas::Task;
use schemas::check::DataPart;
use serde_json::Value;

/// A data set.
pub struct Set {
    pub task: Task,
    /// Some of its rows, with absolute paths.
    pub parts: Vec<(DataPart, Vec<Value>)>,
    /// The folder of the class folders of its training part, where it has one.
    pub folder: Option<PathBuf>,
}

impl Set {
    /// A set by its name; nothing, and a word of it, where it is not there.
    pub fn find(name: &str) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
        let Ok(root) = root.canonicalize() else {
            println!("skipped: {} is missing", root.display());
            return None;
        };
        let (task, parts) = match name {
            "bccd" => (Task::ImageObjectDetection, of_boxes(&bccd(&root))),
            "pcb" => (Task::ImageObjectDetection, of_boxes(&pcb(&root))),
            "nuclei" => (Task::ImageObjectDetection, of_boxes(&nuclei(&root))),
            "clothing" | "signs" => (Task::ImageClassification, of_folders(&root)),
            "fridge/classification" => (Task::ImageClassification, of_tables(&root)),
            "fridge/multilabel" => (Task::ImageClassificationMultilabel, of_tables(&root)),
            _ => (Task::ImageObjectDetection, of_tables(&root)),
        };
        let folder = Some(root.join("train")).filter(|folder| folder.is_dir());
        Some(Self { task, folder, parts: parts.into_iter().map(|(part, rows)| (part, some(part, &rows))).collect() })
    }
}

/// As many rows as a test has time for, taken from all over the part, so that those of a class do not follow each other.
fn some(part: DataPart, rows: &[Value]) -> Vec<Value> {
    let most = match part {
        DataPart::Training => 100,
        DataPart::Validation | DataPart::Test => 20,
    };
    // A prime number that divides none of the counts visits each row once.
    let at = |number: usize| number * 617 % rows.len();
    assert!(!rows.len().is_multiple_of(617));
    (0..rows.len().min(most)).map(|number| rows[at(number)].clone()).collect()
}

fn lines(file: &Path) -> Vec<Value> {
    let folder = file.parent().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let path = folder.join(row["image_url"].as_str().unwrap()).canonicalize().unwrap();
        row["image_url"] = path.to_str().unwrap().into();
        row
    };
    text.lines().map(row).collect()
}

fn of_tables(root: &Path) -> Vec<(DataPart, Vec<Value>)> {
    [(DataPart::Training, "training"), (DataPart::Validation, "validation")]
        .map(|(part, name)| {
            let folder = root.join(format!("{name}-mltable-folder"));
            let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let file = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
            (part, lines(&file.unwrap()))
        })
        .into()
}

fn of_folders(root: &Path) -> Vec<(DataPart, Vec<Value>)> {
    let folders = Folders::read(root).unwrap();
    let labelled = folders.labelled(folders.by_names().unwrap()).unwrap();
    let lists = tempfile::tempdir().unwrap();
    let order = Order { command: "check", output: lists.path(), overwrite: false, reads: &[] };
    write_labels(&order, &labelled).unwrap();
    named(lists.path())
}

/// The lists of parts in a folder.
fn named(lists: &Path) -> Vec<(DataPart, Vec<Value>)> {
    let parts = [(DataPart::Training, "train"), (DataPart::Validation, "validation"), (DataPart::Test, "test")];
    let path = |name: &str| lists.join(format!("{name}.jsonl"));
    parts.into_iter().filter(|(_, name)| path(name).is_file()).map(|(part, name)| (part, lines(&path(name)))).collect()
}

fn of_boxes(parts: &[Part]) -> Vec<(DataPart, Vec<Value>)> {
    let lists = tempfile::tempdir().unwrap();
    let order = Order { command: "check", output: lists.path(), overwrite: false, reads: &[] };
    rows::write_folder(&order, parts).unwrap();
    named(lists.path())
}

fn bccd(root: &Path) -> Vec<Part> {
    let parts = voc::read(&root.join("BCCD"), None, voc::Pixels::Corners, Sizes::Fitting).unwrap();
    parts.into_iter().filter(|part| part.name != "trainval").collect()
}

fn pcb(root: &Path) -> Vec<Part> {
    let read = |name: &str| coco::read(&root.join(format!("{name}.coco.json")), None, Sizes::Fitting).unwrap();
    ["train", "test"].map(read).into()
}

/// The bounds of each mask, a folder an image; every fourth image is to validate on.
fn nuclei(root: &Path) -> Vec<Part> {
    let mut parts = ["train", "validation"].map(|name| Part { name: name.to_owned(), ..Part::default() });
    let list = |path: &Path| {
        let mut all: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    };
    for (number, folder) in list(root).into_iter().filter(|path| path.is_dir()).enumerate() {
        let path = list(&folder.join("images")).remove(0);
        let objects = list(&folder.join("masks")).iter().filter_map(|mask| object(mask)).collect();
        parts[usize::from(number % 4 == 3)].images.push(LabelledImage { path, size: None, objects });
    }
    parts.into()
}

/// A nucleus, by its mask.
fn object(mask: &Path) -> Option<LabelledObject> {
    let mask = decode(&fs::read(mask).unwrap(), &Limits::default()).unwrap();
    let (width, height) = (mask.width as usize, mask.height as usize);
    let mut bounds = [width, height, 0, 0];
    for (at, pixel) in mask.data.as_chunks::<3>().0.iter().enumerate() {
        if pixel[0] > 0 {
            let (x, y) = (at % width, at / width);
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x + 1), bounds[3].max(y + 1)];
        }
    }
    let [x1, y1, x2, y2] = bounds.map(|side| side as f64);
    let (width, height) = (width as f64, height as f64);
    let corners = [x1 / width, y1 / height, x2 / width, y2 / height];
    (x2 > x1).then(|| LabelledObject { label: "nucleus".into(), corners, is_crowd: false, polygon: Vec::new() })
}
