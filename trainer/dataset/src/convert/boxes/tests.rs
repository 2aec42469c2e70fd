//! Layouts of others: what is read, and that nothing is lost there and back.

mod coco_files;
mod cvat;
mod frame;
mod labelme;
mod masks;
mod outlines;

use std::fs;
use std::path::{Path, PathBuf};

use files::Order;
use models::host::{Rgb, encode_png};

use super::voc::Pixels;
use super::{LabelledImage, LabelledObject, Part, Placing, Sizes, coco, rows, voc, yolo};

pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn image(&self, name: &str, width: u32, height: u32) -> PathBuf {
        self.write(name, encode_png(&Rgb::filled(width, height, [9, 8, 7])))
    }

    /// An image that is stored with this size and turned by the EXIF orientation, 1 to 8.
    pub fn turned(&self, name: &str, [width, height]: [u32; 2], orientation: u8) -> PathBuf {
        // Signature and IHDR, behind which further chunks may stand.
        const HEAD: usize = 8 + 25;
        let plain = encode_png(&Rgb::filled(width, height, [9, 8, 7]));
        let mut exif = b"eXIfMM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let length = u32::try_from(exif.len() - 4).unwrap().to_be_bytes();
        let checksum = crc32(&exif).to_be_bytes();
        self.write(name, [&plain[..HEAD], &length, &exif, &checksum, &plain[HEAD..]].concat())
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is missing", path.display());
    None
}

fn order(output: &Path) -> Order<'_> {
    Order { command: "convert", output, overwrite: false, reads: &[] }
}

fn marked(label: &str, corners: [f64; 4]) -> LabelledObject {
    LabelledObject { label: label.to_owned(), corners, is_crowd: false, polygon: Vec::new() }
}

/// Same images in the same order, with the same objects, to a millionth.
#[track_caller]
fn check_same(found: &[LabelledImage], wanted: &[LabelledImage]) {
    let names = |images: &[LabelledImage]| -> Vec<String> {
        images.iter().map(|p| p.path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(found), names(wanted));
    let near = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    for (a, b) in found.iter().zip(wanted) {
        assert_eq!(a.objects.len(), b.objects.len(), "{}", a.path.display());
        for (a, b) in a.objects.iter().zip(&b.objects) {
            assert_eq!((&a.label, a.is_crowd, a.polygon.len()), (&b.label, b.is_crowd, b.polygon.len()));
            assert!(near(&a.corners, &b.corners), "{a:?} {b:?}");
            assert!(a.polygon.iter().zip(&b.polygon).all(|(a, b)| near(a, b)), "{a:?} {b:?}");
        }
    }
}

fn through_rows(folder: &Folder, part: &Part) -> Part {
    let path = folder.path(&format!("{}.jsonl", part.name));
    rows::write_file(&order(&path), part).unwrap();
    let read = rows::read(&path, None).unwrap();
    assert_eq!(read.left_out, []);
    check_same(&read.images, &part.images);
    read
}

/// A part with what layouts find difficult: crowds, outlines, odd labels, background, equal names, corners at the edge.
fn part(folder: &Folder) -> Part {
    let outline = vec![vec![0.25, 0.125, 0.75, 0.125, 0.5, 0.625]];
    let images = vec![
        LabelledImage {
            path: folder.image("a/one.png", 40, 30),
            size: None,
            objects: vec![
                marked("red <cell> & \"more\"", [0.1, 1.0 / 3.0, 0.7, 1.0]),
                LabelledObject { is_crowd: true, ..marked("yes", [0.0, 0.0, 0.123_456_789, 0.5]) },
            ],
        },
        LabelledImage { path: folder.image("b/two.png", 7, 11), size: None, objects: vec![] },
        LabelledImage {
            path: folder.image("b/one.png", 1001, 333),
            size: None,
            objects: vec![LabelledObject { polygon: outline, ..marked("yes", [0.25, 0.125, 0.75, 0.625]) }],
        },
    ];
    Part { name: "validation".to_owned(), images, ..Part::default() }
}

fn forget(part: &Part, change: impl Fn(&mut LabelledObject)) -> Vec<LabelledImage> {
    let mut images = part.images.clone();
    images.iter_mut().flat_map(|image| &mut image.objects).for_each(change);
    images
}

fn renamed(mut images: Vec<LabelledImage>) -> Vec<LabelledImage> {
    images[2].path.set_file_name("one_2.png");
    images
}

#[test]
fn coco_there_and_back() {
    let folder = Folder::new();
    let part = through_rows(&folder, &part(&folder));
    let (_, written, _) = coco::write(&order(&folder.path("out/set.json")), std::slice::from_ref(&part)).unwrap();
    assert_eq!(written, [folder.path("out/set.json")]);
    let back = coco::read(&written[0], None, Sizes::Fitting).unwrap();
    assert_eq!(back.left_out, []);
    check_same(&back.images, &part.images);
    let text: serde_json::Value = serde_json::from_str(&fs::read_to_string(&written[0]).unwrap()).unwrap();
    // pycocotools reads no results beside a file without `info`.
    assert!(text["info"].is_object() && text["licenses"].is_array());
    assert_eq!(text["annotations"][0]["bbox"][2].as_f64().unwrap().round(), 24.0);
    assert_eq!((&text["annotations"][1]["iscrowd"], &text["categories"][1]["name"]), (&1.into(), &"yes".into()));
    // Half of a box of 500.5 by 166.5 pixels.
    assert!((text["annotations"][2]["area"].as_f64().unwrap() - 500.5 * 166.5 / 2.0).abs() < 1e-6);
}

#[test]
fn voc_there_and_back() {
    let folder = Folder::new();
    let part = through_rows(&folder, &part(&folder));
    for pixels in [Pixels::Corners, Pixels::Inclusive] {
        let output = folder.path(&format!("{pixels:?}"));
        voc::write(&order(&output), std::slice::from_ref(&part), pixels, Placing::Copied).unwrap();
        // Readers of this layout look for `val.txt`.
        assert!(output.join("ImageSets/Main/val.txt").is_file());
        let back = voc::read(&output, None, pixels, Sizes::Fitting).unwrap();
        assert_eq!((back.len(), back[0].name.as_str()), (1, "validation"));
        check_same(&back[0].images, &renamed(forget(&part, |object| object.polygon.clear())));
    }
}

#[test]
fn yolo_there_and_back() {
    let folder = Folder::new();
    let part = through_rows(&folder, &part(&folder));
    let train = Part { name: "train".to_owned(), ..part.clone() };
    yolo::write(&order(&folder.path("out")), &[train, part.clone()], Placing::Linked).unwrap();
    let mut back = yolo::read(&folder.path("out/data.yaml"), None).unwrap();
    assert_eq!(back.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["train", "validation"]);
    // Not every object has an outline, so boxes are written throughout.
    let mut wanted = renamed(forget(&part, |object| {
        object.is_crowd = false;
        object.polygon.clear();
    }));
    // Folders are read by name.
    wanted.swap(1, 2);
    for part in &mut back {
        assert_eq!(part.left_out, []);
        check_same(&part.images, &wanted);
    }
}

#[test]
fn parts_are_named_after_files() {
    for (path, name) in [
        ("x/train.coco.json", "train"),
        ("train_annotations.jsonl", "train"),
        ("training-mltable-folder", "train"),
        ("validation-mltable-folder", "validation"),
        ("Main/val.txt", "validation"),
        ("x/VALID.json", "validation"),
        ("x/Valid/_annotations.coco.json", "validation"),
        ("x/cats/_annotations.coco.json", "_annotations"),
        ("instances_val2017.json", "instances_val2017"),
    ] {
        assert_eq!(super::part_name(Path::new(path)), name);
    }
    let folder = Folder::new();
    let named = |name: &str| Part { name: name.to_owned(), ..Part::default() };
    let both = [named("train"), named("trainval")];
    let message = yolo::write(&order(&folder.path("y")), &both, Placing::Copied).unwrap_err().to_string();
    assert!(message.contains("\"trainval\""), "{message}");
    let all = [Part { name: "all".to_owned(), ..part(&folder) }];
    yolo::write(&order(&folder.path("z")), &all, Placing::Copied).unwrap();
    assert_eq!(yolo::read(&folder.path("z/data.yaml"), None).unwrap()[0].name, "train");
}

#[test]
fn rows_of_one_image_are_put_together_and_bad_ones_listed() {
    let folder = Folder::new();
    folder.image("a.png", 10, 10);
    let object = r#"{"label":7,"topX":"0.5","topY":0,"bottomX":1,"bottomY":0.25}"#;
    let text = format!(
        "{{\"image_url\":\"a.png\",\"label\":[{object}]}}\n\n{{}}\n{{\"image_url\":\"./a.png\",\"label\":[{object},{{\"label\":1}}]}}\n\
         {{\"image_url\":\"http://h/a.png\",\"label\":[]}}\n"
    );
    let part = rows::read(&folder.write("t.jsonl", text), None).unwrap();
    assert_eq!(part.images.len(), 1);
    assert_eq!(part.images[0].objects, [marked("7", [0.5, 0.0, 1.0, 0.25]), marked("7", [0.5, 0.0, 1.0, 0.25])]);
    let places: Vec<&str> = part.left_out.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(places, ["line 3", "line 4, object 1", "line 5"]);
}

#[test]
fn an_image_without_a_size_is_left_out_alone() {
    let folder = Folder::new();
    folder.image("a.png", 10, 10);
    folder.write("b.png", "no image");
    folder.write("c.png", "no image");
    let object = r#"{"label":"x","topX":0,"topY":0,"bottomX":1,"bottomY":1}"#;
    let row = |name: &str, more: &str| format!("{{\"image_url\":\"{name}\",\"label\":[{object}]{more}}}\n");
    let unknown = row("b.png", "");
    let sized = row("c.png", r#","image_details":{"width":20,"height":10}"#);
    let part = rows::read(&folder.write("t.jsonl", row("a.png", "") + &unknown + &sized), None).unwrap();
    assert_eq!((part.images.len(), part.left_out.len()), (2, 1), "{part:?}");
    assert!(part.left_out[0].reason.contains("b.png cannot be read"), "{part:?}");
    let parts = std::slice::from_ref(&part);
    voc::write(&order(&folder.path("voc")), parts, Pixels::Corners, Placing::Copied).unwrap();
    coco::write(&order(&folder.path("coco")), parts).unwrap();
    let message = rows::read(&folder.write("t.jsonl", unknown), None).unwrap_err().to_string();
    assert!(message.contains("can be used") && message.contains("b.png"), "{message}");
}

#[test]
fn boxes_over_the_edge_are_cut_in_every_layout() {
    let folder = Folder::new();
    folder.image("d/images/a.png", 100, 50);
    // Three pixels over the left edge and six below the image; beside the image; as thin as nothing once it is cut.
    folder.write("d/labels/a.txt", "0 0.085 0.81 0.23 0.62\n0 1.1 0.5 0.2 0.2\n0 -0.05 0.5 0.1 0.2\n");
    let yolo = yolo::read(&folder.write("d/data.yaml", "train: images\nnames: [x]\n"), None).unwrap().remove(0);
    let object = |[x1, y1, x2, y2]: [i32; 4]| {
        format!(
            "<object><name>x</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        )
    };
    let objects = [[-3, 25, 20, 56], [100, 20, 120, 30], [-10, 20, 0, 30]].map(object).concat();
    folder.write("v/a.xml", format!("<annotation><filename>a.png</filename>{objects}</annotation>"));
    folder.image("v/a.png", 100, 50);
    let voc = voc::read(&folder.path("v"), None, Pixels::Corners, Sizes::Fitting).unwrap().remove(0);
    let object = |[x1, y1, x2, y2]: [f64; 4]| {
        format!("{{\"label\":\"x\",\"topX\":{x1},\"topY\":{y1},\"bottomX\":{x2},\"bottomY\":{y2}}}")
    };
    let objects = [[-0.03, 0.5, 0.2, 1.12], [1.0, 0.4, 1.2, 0.6], [-0.1, 0.4, 0.0, 0.6]].map(object).join(",");
    let row = format!("{{\"image_url\":\"d/images/a.png\",\"label\":[{objects}]}}");
    let rows = rows::read(&folder.write("t.jsonl", row), None).unwrap();
    for part in [yolo, voc, rows] {
        let objects = &part.images[0].objects;
        assert_eq!((objects.len(), part.cut, part.left_out.len()), (1, 1, 2), "{part:?}");
        let near = |(a, b): (&f64, f64)| (a - b).abs() < 1e-12;
        assert!(objects[0].corners.iter().zip([0.0, 0.5, 0.2, 1.0]).all(near), "{objects:?}");
    }
}

#[test]
fn marks_at_the_start_of_a_file_are_no_text() {
    let folder = Folder::new();
    folder.image("d/images/a.png", 100, 50);
    folder.write("d/labels/a.txt", "\u{feff}0 0.5 0.5 0.5 0.5\n");
    let yaml = "\u{feff}train: images\nnames: [x]\n";
    let yolo = yolo::read(&folder.write("d/data.yaml", yaml), None).unwrap().remove(0);
    let bndbox = "<xmin>25</xmin><ymin>12.5</ymin><xmax>75.0</xmax><ymax> 37.5 </ymax>";
    let xml = format!("\u{feff}<annotation><object><name>x</name><bndbox>{bndbox}</bndbox></object></annotation>");
    folder.write("d/Annotations/a.xml", xml);
    let voc = voc::read(&folder.path("d"), None, Pixels::Corners, Sizes::Fitting).unwrap().remove(0);
    let object = r#"{"label":"x","topX":0.25,"topY":"0.25","bottomX":0.75,"bottomY":0.75}"#;
    let row = format!("\u{feff}{{\"image_url\":\"d/images/a.png\",\"label\":[{object}]}}\n");
    let rows = rows::read(&folder.write("t.jsonl", row), None).unwrap();
    for part in [yolo, voc, rows] {
        assert_eq!(part.images[0].objects, [marked("x", [0.25, 0.25, 0.75, 0.75])]);
        assert_eq!(part.left_out, []);
    }
}

#[test]
fn boxes_that_stick_out_are_cut_and_those_outside_left_out() {
    let folder = Folder::new();
    folder.image("a.png", 100, 50);
    let file = folder.write(
        "c.json",
        r#"{"images":[{"id":"x","file_name":"a.png"}],"categories":[{"id":3,"name":"n"}],"annotations":[
            {"id":1,"image_id":"x","category_id":3,"bbox":[-0.5,10,100.75,40.25],"iscrowd":1},
            {"id":2,"image_id":"x","category_id":3,"bbox":[-20,10,20,10]},
            {"id":8,"image_id":"x","category_id":3,"bbox":[-20,10,70,10]},
            {"id":3,"image_id":"x","category_id":3,"bbox":[5,10,0,10]},
            {"id":4,"image_id":"x","category_id":9,"bbox":[5,10,10,10]},
            {"id":5,"image_id":"y","category_id":3,"bbox":[5,10,10,10]},
            {"id":6,"image_id":"x","category_id":3},
            {"id":7,"image_id":"x","category_id":3,"segmentation":[[10,10,20,10,15,30],[1,2]]}]}"#,
    );
    let part = coco::read(&file, None, Sizes::Fitting).unwrap();
    let objects = &part.images[0].objects;
    assert_eq!((objects.len(), part.cut), (3, 2));
    assert_eq!((objects[0].corners, objects[0].is_crowd), ([0.0, 0.2, 1.0, 1.0], true));
    assert_eq!(objects[1].corners, [0.0, 0.2, 0.5, 0.4]);
    assert_eq!((objects[2].corners, objects[2].polygon.len()), ([0.1, 0.2, 0.2, 0.6], 1));
    let mut found: Vec<(&str, &str)> =
        part.left_out.iter().map(|one| (one.place.as_str(), one.reason.as_str())).collect();
    found.sort_unstable();
    let wanted = ["lies outside", "is empty", "no category 9", "no image y", "no box"];
    assert_eq!(found.pop(), Some(("annotation 7, segment 1", "it has 1 point, and 3 are the fewest")));
    for ((place, reason), (number, part)) in found.iter().zip((2..).zip(wanted)) {
        assert!(*place == format!("annotation {number}") && reason.contains(part), "{place}: {reason}");
    }
}

#[test]
fn yolo_descriptions_of_every_kind() {
    let folder = Folder::new();
    for name in ["d/train/images/a.png", "d/train/images/sub/b.png", "d/val/c.png"] {
        folder.image(name, 8, 8);
    }
    folder.write(
        "d/train/labels/a.txt",
        "1 0.5 0.5 1.0005 0.5\n0 0.1 0.1 0.4 0.1 0.2 0.6\n2 0.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.1\n0 1 2\n",
    );
    folder.write("d/train/labels/sub/b.txt", "\n");
    folder.write("d/list.txt", "./val/c.png\n");
    let yaml = "train: ../train/images\nval: [list.txt]\nnames:\n  0: cat\n  1: 5\n";
    let parts = yolo::read(&folder.write("d/data.yaml", yaml), None).unwrap();
    assert_eq!(parts.len(), 2);
    let objects = &parts[0].images[0].objects;
    assert_eq!((objects[0].label.as_str(), objects[0].corners), ("5", [0.0, 0.25, 1.0, 0.75]));
    assert_eq!((objects[1].corners, objects[1].polygon.len()), ([0.1, 0.1, 0.4, 0.6], 1));
    let mut places: Vec<&str> = parts[0].left_out.iter().map(|one| one.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["line 3", "line 4", "line 5"]);
    assert!(parts[0].images[1].objects.is_empty() && parts[1].images[0].objects.is_empty());
    for (yaml, part) in [
        ("train: gone\nnames: [a]\n", "there is no \"gone\""),
        ("names: [a]\n", "none of train, val and test"),
        ("train: train\n", "names must list"),
        ("train: [\n", "no description"),
    ] {
        let message = yolo::read(&folder.write("d/bad.yaml", yaml), None).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn blood_cells_have_two_bad_boxes_and_go_round() {
    let Some(root) = data("bccd/BCCD") else { return };
    let parts = voc::read(&root, None, Pixels::Corners, Sizes::Fitting).unwrap();
    let counts: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.images.len())).collect();
    assert_eq!(counts, [("test", 72), ("train", 205), ("trainval", 292), ("validation", 87)]);
    let once: Vec<&Part> = parts.iter().filter(|part| part.name != "trainval").collect();
    let mut bad: Vec<String> = once
        .iter()
        .flat_map(|part| &part.left_out)
        .map(|one| format!("{} {}", one.source.rsplit('/').next().unwrap(), one.reason))
        .collect();
    bad.sort_unstable();
    assert_eq!(
        bad,
        [
            "BloodImage_00338.xml its box 504 337 504 337 is empty",
            "BloodImage_00343.xml its box 181 329 181 329 is empty"
        ]
    );
    assert_eq!(once.iter().map(|part| part.summary(&root).objects).sum::<usize>(), 4888 - 2);
    let folder = Folder::new();
    let test = through_rows(&folder, once[0]);
    let all = std::slice::from_ref(&test);
    voc::write(&order(&folder.path("voc")), all, Pixels::Corners, Placing::Copied).unwrap();
    check_same(&voc::read(&folder.path("voc"), None, Pixels::Corners, Sizes::Fitting).unwrap()[0].images, &test.images);
    yolo::write(&order(&folder.path("yolo")), all, Placing::Copied).unwrap();
    let back = yolo::read(&folder.path("yolo/data.yaml"), None).unwrap();
    let mut sorted = test.images.clone();
    sorted.sort_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
    check_same(&back[0].images, &sorted);
}

#[test]
fn the_fridge_annotations_are_its_rows() {
    let Some(root) = data("fridge") else { return };
    let parts = voc::read(
        &root.join("detection/voc-annotations"),
        Some(&root.join("images/shelf")),
        Pixels::Corners,
        Sizes::Fitting,
    )
    .unwrap();
    assert_eq!((parts.len(), parts[0].images.len(), parts[0].left_out.len()), (1, 128, 0));
    let mut rows: Vec<LabelledImage> = ["training", "validation"]
        .iter()
        .flat_map(|part| rows::read(&root.join(format!("detection/{part}-mltable-folder")), None).unwrap().images)
        .collect();
    rows.sort_by(|a, b| a.path.file_stem().cmp(&b.path.file_stem()));
    let mut found = parts[0].images.clone();
    found.sort_by(|a, b| a.path.file_stem().cmp(&b.path.file_stem()));
    check_same(&found, &rows);
}

#[test]
fn circuit_boards_go_round() {
    let Some(root) = data("pcb") else { return };
    let folder = Folder::new();
    let file = root.join("test.coco.json");
    let part = coco::read(&file, None, Sizes::Fitting).unwrap();
    assert_eq!((part.name.as_str(), part.images.len(), part.left_out.len()), ("test", 110, 0));
    let rows = through_rows(&folder, &part);
    let (_, written, _) = coco::write(&order(&folder.path("coco.json")), &[rows]).unwrap();
    check_same(&coco::read(&written[0], None, Sizes::Fitting).unwrap().images, &part.images);
}
