//! Planted faults are found, each as what it is, and clean data have none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use files::Order;
use models::host::{Limits, Rgb, brightness, decode, encode_jpeg, encode_png, thumbnail};
use schemas::Task;
use schemas::check::{FindingKind as Kind, Severity};
use serde_json::{Value, json};

use super::preparing::quiet;
use crate::check::{At, CheckRequest, Checked, check};
use crate::{Images, ReadOptions, sample_data};

/// A generated data set to plant faults in.
struct Garden {
    folder: tempfile::TempDir,
    task: Task,
}

impl Garden {
    fn new(task: Task) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let order = Order { command: "sample-data", output: folder.path(), overwrite: false, reads: &[] };
        sample_data::generate(task, &order, 5, 80).unwrap();
        Self { folder, task }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn rows(&self, part: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(&format!("{part}.jsonl"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn set(&self, part: &str, rows: &[Value]) {
        let text: String = rows.iter().map(|row| row.to_string() + "\n").collect();
        fs::write(self.path(&format!("{part}.jsonl")), text).unwrap();
    }

    /// Changes the rows of a part.
    fn plant(&self, part: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let mut rows = self.rows(part);
        change(&mut rows);
        self.set(part, &rows);
    }

    /// The file of an image.
    fn file(&self, part: &str, number: usize) -> PathBuf {
        self.path(self.rows(part)[number]["image_url"].as_str().unwrap())
    }

    fn image(&self, part: &str, number: usize) -> Rgb {
        decode(&fs::read(self.file(part, number)).unwrap(), &Limits::default()).unwrap()
    }

    /// Adds a row with a new image, labelled as another one is.
    fn add(&self, part: &str, name: &str, bytes: &[u8], like: &Value) {
        fs::write(self.path(name), bytes).unwrap();
        let mut row = like.clone();
        row["image_url"] = name.into();
        self.plant(part, |rows| rows.push(row));
    }

    fn request(&self) -> CheckRequest {
        request(
            self.task,
            &self.path("train.jsonl"),
            Some(self.path("validation.jsonl")),
            Some(self.path("test.jsonl")),
        )
    }

    fn check(&self) -> Checked {
        check(&self.request(), &quiet).unwrap()
    }
}

fn request(task: Task, training: &Path, validation: Option<PathBuf>, test: Option<PathBuf>) -> CheckRequest {
    let read = ReadOptions::new(task, 2);
    let side = if task == Task::ImageObjectDetection { 640 } else { 224 };
    CheckRequest { training: training.to_owned(), validation, test, group_column: None, side, read }
}

/// How many findings there are of each kind.
fn kinds(checked: &Checked) -> BTreeMap<Kind, usize> {
    let mut kinds = BTreeMap::new();
    checked.report.findings.iter().for_each(|one| *kinds.entry(one.kind).or_default() += 1);
    kinds
}

/// Every finding, in a line.
fn all(checked: &Checked) -> String {
    let lines = checked.report.findings.iter().map(|one| format!("{}: {}\n", one.kind.as_str(), one.message));
    lines.collect()
}

fn messages(checked: &Checked, kind: Kind) -> Vec<String> {
    let found = checked.report.findings.iter().filter(|one| one.kind == kind);
    found.map(|one| format!("{}:{:?} {} ({})", one.file, one.line, one.message, one.advice)).collect()
}

#[test]
fn clean_data_have_no_fault() {
    for task in [Task::ImageClassification, Task::ImageClassificationMultilabel, Task::ImageObjectDetection] {
        let garden = Garden::new(task);
        let checked = garden.check();
        assert!(checked.report.findings.is_empty(), "{task}: {}", all(&checked));
        assert_eq!(checked.report.exit_code(), 0);
        let alone = check(&request(task, &garden.path("train.jsonl"), None, None), &quiet).unwrap();
        assert!(alone.report.findings.is_empty(), "{task}: {}", all(&alone));
        assert_eq!(checked.report.parts.iter().map(|part| part.images).sum::<u64>(), 80);
    }
}

/// An EXIF segment that turns a JPEG by a quarter.
fn turned(jpeg: &[u8]) -> Vec<u8> {
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, exif, &jpeg[2..]].concat()
}

/// Plants four of each fault of boxes: out of range, tiny, drawn twice, over the edge, and of two labels.
fn plant_boxes(garden: &Garden) {
    garden.plant("train", |rows| {
        let all: Vec<usize> = (0..rows.len()).filter(|&at| rows[at]["label"].as_array().unwrap().len() > 1).collect();
        for (count, &at) in all[..20].iter().enumerate() {
            let label = rows[at]["label"].as_array_mut().unwrap();
            let mut one = label[0].clone();
            match count / 4 {
                0 => label[0]["bottomX"] = json!(2.5 + count as f64),
                1 => {
                    label[0]["bottomX"] = json!(one["topX"].as_f64().unwrap() + 0.01);
                }
                2 => label.push(one),
                3 => label[0]["bottomX"] = json!(1.1),
                _ => {
                    one["label"] = if one["label"] == "star" { "circle".into() } else { "star".into() };
                    label.push(one);
                }
            }
        }
    });
}

#[test]
fn forty_planted_faults_of_ten_kinds_are_found() {
    let boxes = Garden::new(Task::ImageObjectDetection);
    let sets = Garden::new(Task::ImageClassification);
    // Four of each kind. 1: images that cannot be decoded.
    for (number, bytes) in [(0, &b""[..]), (1, b"no image"), (2, b"GIF89a"), (3, b"\xff\xd8\xff\xe0")] {
        fs::write(sets.file("train", number), bytes).unwrap();
    }
    // 2: images that are not there.
    for number in [5, 6, 7, 8] {
        fs::remove_file(sets.file("train", number)).unwrap();
    }
    // 3: the same image in another part; 4: twice in one part; 5: looks the same in another part.
    let row = |number: usize| sets.rows("train")[number].clone();
    for number in 10..14 {
        let bytes = fs::read(sets.file("train", number)).unwrap();
        let part = ["validation", "test"][number % 2];
        sets.add(part, &format!("leak{number}.jpg"), &bytes, &row(number));
        let bytes = fs::read(sets.file("train", number + 10)).unwrap();
        sets.add("train", &format!("twice{number}.jpg"), &bytes, &row(number + 10));
        let image = sets.image("train", number + 20);
        let mut dark = image.clone();
        brightness(&mut dark, 0.85);
        let near = match number {
            10 => encode_jpeg(&image, 30),
            11 => encode_png(&image),
            12 => encode_jpeg(&thumbnail(&image, 130), 90),
            _ => encode_jpeg(&dark, 80),
        };
        sets.add("test", &format!("near{number}.img"), &near, &row(number + 20));
    }
    // 6: boxes out of range; 7: tiny ones; 8: drawn twice; 9: of two labels; 10: rows that cannot be read; and over the edge.
    plant_boxes(&boxes);
    let file = boxes.path("train.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "{\n{\"label\":[]}\n{\"image_url\":\"a.jpg\"}\n{\"image_url\":\"s3://a\",\"label\":[]}\n")
        .unwrap();

    let found = kinds(&sets.check());
    let expected = [
        (Kind::LeakedImage, 4),
        (Kind::MissingImage, 4),
        (Kind::UnreadableImage, 4),
        (Kind::LeakedNearDuplicate, 4),
        (Kind::DuplicateImage, 4),
    ];
    assert_eq!(found, BTreeMap::from(expected), "{}", all(&sets.check()));
    let checked = boxes.check();
    let expected = [
        (Kind::BadRow, 4),
        (Kind::BadBox, 4),
        (Kind::DoubledBox, 4),
        (Kind::ConflictingBox, 4),
        (Kind::CutBox, 4),
        (Kind::TinyBox, 4),
    ];
    assert_eq!(kinds(&checked), BTreeMap::from(expected), "{}", all(&checked));
    assert_eq!(checked.report.exit_code(), 3);
    let severities: Vec<Severity> = checked.report.findings.iter().map(|one| one.severity).collect();
    assert!(severities.is_sorted());
    let tiny = messages(&checked, Kind::TinyBox);
    let words = ["in an image of 240 x 180, and 4 are the least", "train.jsonl:Some("];
    assert!(words.iter().all(|word| tiny[0].contains(word)), "{tiny:?}");
    let at = checked.report.findings.iter().position(|one| one.kind == Kind::DoubledBox).unwrap();
    let images = checked.images(at, 9).unwrap();
    assert_eq!((images.len(), images[0].objects.len()), (1, 2));
    assert_eq!(images[0].objects[0].1.corners, images[0].objects[1].1.corners);
    for (kind, marks) in [(Kind::CutBox, 1), (Kind::TinyBox, 1), (Kind::ConflictingBox, 2)] {
        let at = checked.report.findings.iter().position(|one| one.kind == kind).unwrap();
        assert_eq!(checked.images(at, 1).unwrap()[0].objects.len(), marks, "{kind:?} shows the boxes that it is about");
    }
}

#[test]
fn names_of_classes_and_folders_are_looked_at() {
    let garden = Garden::new(Task::ImageClassification);
    let rename = |garden: &Garden, change: &dyn Fn(usize, &str) -> Option<String>| {
        garden.plant("train", |rows| {
            for (number, row) in rows.iter_mut().enumerate() {
                if let Some(label) = change(number, row["label"].as_str().unwrap()) {
                    row["label"] = label.into();
                }
            }
        });
    };
    rename(&garden, &|number, label| {
        let other = match number / 4 {
            0 => label.to_uppercase(),
            1 => format!("{label} "),
            2 => format!("{label}."),
            _ => return None,
        };
        Some(other)
    });
    let checked = garden.check();
    let found = messages(&checked, Kind::SimilarClassName);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().any(|text| text.contains("\"STAR\", \"star\", \"star \", \"star.\"")), "{found:?}");
    assert_eq!(kinds(&checked)[&Kind::FewImages], 12, "three odd names of each class have one image");

    let garden = Garden::new(Task::ImageClassification);
    rename(&garden, &|number, _| Some(["Train", "VALID", "test", "train"][number % 4].to_owned()));
    garden.plant("validation", |rows| rows.clear());
    let found = messages(
        &check(&request(garden.task, &garden.path("train.jsonl"), None, None), &quiet).unwrap(),
        Kind::PartAsClass,
    );
    assert!(found[0].contains("\"Train\", \"VALID\", \"test\", \"train\""), "{found:?}");
    // A train is a thing.
    rename(&garden, &|_, label| {
        Some(
            if label == "Train" {
                "train"
            } else if label == "train" {
                "car"
            } else {
                "bus"
            }
            .to_owned(),
        )
    });
    let checked = check(&request(garden.task, &garden.path("train.jsonl"), None, None), &quiet).unwrap();
    assert!(checked.report.findings.is_empty(), "{}", all(&checked));
}

/// A folder with images, of the training part of a garden, at these paths.
fn tree(garden: &Garden, paths: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, path) in paths.iter().enumerate() {
        for copy in 0..6 {
            let path = folder.path().join(path).join(format!("{copy}.jpg"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(garden.file("train", number * 6 + copy), path).unwrap();
        }
    }
    folder
}

#[test]
fn messages_name_few_things_and_tell_them_apart() {
    let garden = Garden::new(Task::ImageClassification);
    let folder = tree(&garden, &["a/x", "b/x", "c/x"]);
    for class in ["b", "c"] {
        fs::copy(folder.path().join("a/x/0.jpg"), folder.path().join(class).join("x/0.jpg")).unwrap();
    }
    for class in ["b", "c"] {
        fs::copy(folder.path().join("a/x/1.jpg"), folder.path().join(class).join("x/1.jpg")).unwrap();
    }
    fs::rename(folder.path().join("a/x/1.jpg"), folder.path().join("a/x/one.jpg")).unwrap();
    let checked = check(&request(garden.task, folder.path(), None, None), &quiet).unwrap();
    let found = messages(&checked, Kind::ContradictingLabel);
    assert!(found[0].contains("a/x/0.jpg, b/x/0.jpg and c/x/0.jpg are one image"), "{found:?}");
    assert!(found[0].contains("under \"a\", \"b\" and \"c\""), "{found:?}");
    assert!(found[1].contains(" a/x/one.jpg, b/x/1.jpg and c/x/1.jpg are one image"), "{found:?}");

    let classes: Vec<String> = (0..12).map(|class| format!("class {class:02}")).collect();
    let folder = tempfile::tempdir().unwrap();
    for (class, other) in classes.iter().flat_map(|class| [(class, "one"), (class, "two")]) {
        let within = folder.path().join(class).join(other);
        fs::create_dir_all(&within).unwrap();
        fs::copy(garden.file("train", 0), within.join("0.jpg")).unwrap();
    }
    let checked = check(&request(garden.task, folder.path(), None, None), &quiet).unwrap();
    let found = messages(&checked, Kind::FolderTooHigh);
    assert!(
        found[0].contains("(\"class 00\", \"class 01\", \"class 02\", \"class 03\", \"class 04\", ...)"),
        "{found:?}"
    );
    let found = messages(&checked, Kind::ContradictingLabel);
    let names = "class 00/one/0.jpg, class 00/two/0.jpg, class 01/one/0.jpg and 21 more are one image";
    assert!(found[0].contains(names) && found[0].contains("\"class 02\" and 9 more"), "{found:?}");
}

#[test]
fn a_folder_of_class_folders_is_data_too() {
    let garden = Garden::new(Task::ImageClassification);
    let checked = |paths: &[&str]| {
        let folder = tree(&garden, paths);
        check(&request(garden.task, folder.path(), None, None), &quiet).unwrap()
    };
    assert!(checked(&["cat", "dog", "cow"]).report.findings.is_empty());
    let parts = checked(&["train/cat", "train/dog", "val/cat", "val/dog"]);
    assert_eq!((parts.report.parts.len(), parts.report.findings.len()), (2, 0), "{}", all(&parts));
    let deep = checked(&["pets/cat", "pets/dog", "pets/cow"]);
    let found = messages(&deep, Kind::FolderTooHigh);
    assert!(
        found[0].contains("\"pets\"") && found[0].contains("cat, cow, dog") && found[0].contains("None"),
        "{found:?}"
    );
    assert_eq!(deep.report.findings[0].images[0].image_url.as_deref(), Some("pets/cat/0.jpg"));
    let sites = checked(&["rome/cat", "rome/dog", "oslo/cat", "oslo/dog"]);
    assert_eq!(kinds(&sites), BTreeMap::from([(Kind::FolderTooHigh, 1)]));
    let zipped = checked(&["archive/data/cat", "archive/data/dog"]);
    assert_eq!(kinds(&zipped), BTreeMap::from([(Kind::FolderTooHigh, 1)]));
    let parts = checked(&["archive/train/cat", "archive/train/dog", "archive/val/cat", "archive/val/dog"]);
    let found = messages(&parts, Kind::FolderTooHigh);
    assert!(found.len() == 1 && found[0].contains("look like the parts of a data set: train, val"), "{found:?}");
    // Folders within classes that have nothing to do with each other say nothing.
    assert!(checked(&["cat/a", "cat/b", "dog/c", "dog/d"]).report.findings.is_empty());
    let mixed = checked(&["train/cat", "train/dog", "Valid/cat", "Valid/dog"]);
    assert_eq!((mixed.report.parts.len(), mixed.report.findings.len()), (2, 0), "{}", all(&mixed));
    let folder = tree(&garden, &["train/cat", "train/dog", "horse"]);
    let message = check(&request(garden.task, folder.path(), None, None), &quiet).err().unwrap().to_string();
    assert!(message.contains("(train)") && message.contains("--subfolders parts"), "{message}");
    let beside = tree(&garden, &["cat", "dog"]);
    std::fs::create_dir(beside.path().join("cow")).unwrap();
    let checked = check(&request(garden.task, beside.path(), None, None), &quiet).unwrap();
    assert!(checked.warnings[0].contains("cow: it holds no image"), "{:?}", checked.warnings);
    let empty = tempfile::tempdir().unwrap();
    assert!(check(&request(garden.task, empty.path(), None, None), &quiet).is_err());
    let boxes = check(&request(Task::ImageObjectDetection, empty.path(), None, None), &quiet);
    assert!(boxes.err().unwrap().to_string().contains("`trainer convert voc`"), "a folder of boxes is to be converted");
}

#[test]
fn one_image_under_two_labels_and_groups_are_found() {
    let garden = Garden::new(Task::ImageClassification);
    let bytes = fs::read(garden.file("train", 0)).unwrap();
    let other = garden.rows("train")[1].clone();
    garden.add("train", "again.jpg", &bytes, &other);
    let checked = garden.check();
    let found = messages(&checked, Kind::ContradictingLabel);
    assert!(found.len() == 1 && found[0].contains("again.jpg") && found[0].contains("\" and \""), "{found:?}");
    assert_eq!(checked.report.findings.len(), 1, "it is no duplicate besides");
    let classes: Vec<String> = checked.images(0, 2).unwrap().iter().flat_map(|image| image.classes.clone()).collect();
    assert!(classes.len() == 2 && classes[0] != classes[1], "{classes:?}");

    let garden = Garden::new(Task::ImageClassification);
    for part in ["train", "validation", "test"] {
        garden.plant(part, |rows| {
            for (number, row) in rows.iter_mut().enumerate() {
                row["day"] = format!("{part}{}", number % 7).into();
            }
        });
    }
    let mut request = garden.request();
    request.group_column = Some("day".to_owned());
    assert!(check(&request, &quiet).unwrap().report.findings.is_empty());
    garden.plant("test", |rows| {
        rows[0]["day"] = "train3".into();
        rows[1]["day"] = json!(1.5);
    });
    let checked = check(&request, &quiet).unwrap();
    assert_eq!(kinds(&checked), BTreeMap::from([(Kind::MissingGroup, 1)]), "groups of a part need all its rows");
    garden.plant("test", |rows| rows[1]["day"] = "train4".into());
    let checked = check(&request, &quiet).unwrap();
    let found = messages(&checked, Kind::SplitGroup);
    assert!(
        found.len() == 2 && found.iter().any(|text| text.contains("\"train3\"") && text.contains("1 test")),
        "{found:?}"
    );
}

#[test]
fn names_of_files_that_suggest_groups_are_said() {
    let garden = Garden::new(Task::ImageObjectDetection);
    garden.plant("train", |rows| {
        for (number, row) in rows.iter_mut().enumerate() {
            let name = format!("images/patient{}_{number:03}.jpg", number / 7);
            fs::rename(garden.path(row["image_url"].as_str().unwrap()), garden.path(&name)).unwrap();
            row["image_url"] = name.into();
        }
    });
    let request = request(garden.task, &garden.path("train.jsonl"), None, None);
    let checked = check(&request, &quiet).unwrap();
    let found = messages(&checked, Kind::SuggestedGroup);
    assert!(found.len() == 1 && found[0].contains("8 groups") && found[0].contains("\"patient0\" with 7"), "{found:?}");
    assert!(found[0].contains("--group_column"));
    let parts = garden.check();
    assert!(parts.report.findings.is_empty(), "each is in one part: {}", all(&parts));
}

#[test]
fn odd_colours_turns_and_sizes_are_noted() {
    use image_bytes::{palette_png, wide_png};
    let garden = Garden::new(Task::ImageObjectDetection);
    let first = garden.file("train", 0);
    fs::write(&first, turned(&fs::read(&first).unwrap())).unwrap();
    let mut grey = garden.image("train", 1);
    grey.data.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [pixel[1]; 3]);
    fs::write(garden.file("train", 1), encode_jpeg(&grey, 90)).unwrap();
    fs::write(garden.file("train", 2), wide_png()).unwrap();
    fs::write(garden.file("train", 3), palette_png()).unwrap();
    let checked = garden.check();
    let found = kinds(&checked);
    for kind in [Kind::TurnedImage, Kind::MixedGrey, Kind::SixteenBit, Kind::Alpha, Kind::Palette] {
        assert_eq!(found.get(&kind), Some(&1), "{kind:?}: {}", all(&checked));
    }
    let turned = checked.report.findings.iter().position(|one| one.kind == Kind::TurnedImage).unwrap();
    let boxes = garden.rows("train")[0]["label"].as_array().unwrap().len();
    assert!(boxes > 0 && checked.images(turned, 1).unwrap()[0].objects.len() == boxes, "they are to be looked at");
    let mut request = garden.request();
    request.side = 4000;
    let small = messages(&check(&request, &quiet).unwrap(), Kind::SmallImage);
    assert!(small[0].contains("below 1000 pixels, and a model sees 4000"), "{small:?}");
    request.side = 20;
    assert_eq!(messages(&check(&request, &quiet).unwrap(), Kind::LargeImage).len(), 1);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let garden = Garden::new(Task::ImageClassification);
    for number in 0..6 {
        let bytes = fs::read(garden.file("train", number)).unwrap();
        garden.add("test", &format!("leak{number}.jpg"), &bytes, &garden.rows("train")[number]);
        garden.add(
            "train",
            &format!("near{number}.jpg"),
            &encode_jpeg(&garden.image("train", number), 50),
            &garden.rows("train")[number],
        );
        fs::write(garden.file("train", 20 + number), "no image").unwrap();
    }
    let mut request = garden.request();
    let reports: Vec<_> = [1, 2, 7]
        .into_iter()
        .map(|threads| {
            request.read.threads = threads;
            check(&request, &quiet).unwrap().report
        })
        .collect();
    assert!(reports.iter().all(|report| *report == reports[0]));
    assert_eq!(reports[0].findings.len(), 18);
}

/// Bytes of files that our own encoders do not make.
mod image_bytes {
    pub(super) fn wide_png() -> Vec<u8> {
        png(16, 6, &[], &[7; 8])
    }

    pub(super) fn palette_png() -> Vec<u8> {
        png(8, 3, &[200, 10, 10, 10, 10, 200], &[1])
    }

    /// A PNG of one pixel, stored without compression.
    fn png(depth: u8, colour: u8, palette: &[u8], pixel: &[u8]) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut chunk = |kind: &[u8; 4], data: &[u8]| {
            file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            let body = [kind, data].concat();
            file.extend(&body);
            file.extend(crc(&body).to_be_bytes());
        };
        chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, depth, colour, 0, 0, 0]);
        if !palette.is_empty() {
            chunk(b"PLTE", palette);
        }
        let row = [&[0], pixel].concat();
        let length = u16::try_from(row.len()).unwrap();
        let stored =
            [&[0x78, 1, 1], &length.to_le_bytes()[..], &(!length).to_le_bytes(), &row, &adler(&row).to_be_bytes()];
        chunk(b"IDAT", &stored.concat());
        chunk(b"IEND", &[]);
        file
    }

    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
    }

    fn adler(bytes: &[u8]) -> u32 {
        let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65521;
            (a, (b + a) % 65521)
        });
        b << 16 | a
    }
}

#[test]
fn a_model_is_asked_about_the_usable_images_by_its_own_labels() {
    let garden = Garden::new(Task::ImageClassification);
    garden.plant("train", |rows| rows[0]["image_url"] = "nowhere.jpg".into());
    let (checked, rows) = (garden.check(), garden.rows("train"));
    assert_eq!(checked.keys(0).unwrap().len(), rows.len() - 1);
    let labels: Vec<String> = checked.report.classes.iter().rev().map(|class| class.label.clone()).collect();
    let set = checked.dataset(0, &labels, &[0, 2]).unwrap();
    let places = checked.places(&[0, 2].map(|index| At { side: 0, index }.into())).unwrap();
    assert_eq!(places.iter().map(|place| place.line).collect::<Vec<_>>(), [Some(2), Some(4)]);
    for (at, row) in [&rows[1], &rows[3]].into_iter().enumerate() {
        assert_eq!(labels[set.classes(at)[0] as usize], row["label"].as_str().unwrap());
    }
    let error = checked.dataset(0, &labels[1..], &[0]).err().unwrap().to_string();
    assert!(error.contains(&format!("labels that the model does not know: {}", labels[0])), "{error}");
}
