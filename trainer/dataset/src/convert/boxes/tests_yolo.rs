//! YOLO data sets of other tools: what lines mean, and where images and label files are found.

use std::fs;

use super::tests::Folder;
use super::yolo::{YoloRows, read, write};
use super::{LabelledImage, Part, Placing};
use files::Order;

fn set(folder: &Folder, yaml: &str, labels: &str) -> Result<Part, String> {
    folder.image("d/images/train/a.jpg", 100, 50);
    folder.write("d/labels/train/a.txt", labels);
    let file = folder.write("d/data.yaml", format!("train: images/train\n{yaml}"));
    read(&file, None).map(|mut parts| parts.remove(0)).map_err(|error| error.to_string())
}

#[test]
fn key_points_are_no_outline() {
    let folder = Folder::new();
    let part = set(&folder, "kpt_shape: [2, 3]\nnames: [a]\n", "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 2\n").unwrap();
    let object = &part.images[0].objects[0];
    assert_eq!((object.corners, object.polygon.len()), ([0.25, 0.25, 0.75, 0.75], 0));
    assert!(part.assumed.iter().any(|note| note.contains("key points")), "{:?}", part.assumed);
}

#[test]
fn key_points_are_told_by_all_lines_or_asked_for() {
    let folder = Folder::new();
    let points = "0.45 0.45 2 0.55 0.45 2 0.5 0.55 1";
    let part =
        set(&folder, "names: [a]\n", &format!("0 0.5 0.5 0.5 0.5 {points}\n0 0.5 0.5 0.4 0.4 {points}\n")).unwrap();
    let corners: Vec<[f64; 4]> = part.images[0].objects.iter().map(|object| object.corners).collect();
    assert_eq!(corners, [[0.25, 0.25, 0.75, 0.75], [0.3, 0.3, 0.7, 0.7]]);
    assert!(part.assumed.iter().any(|note| note.contains("9 numbers of key points")), "{:?}", part.assumed);
    assert_eq!(part.left_out, []);
    // An odd count is no outline, and these are no points of a box.
    let odd = "0 0.5 0.5 0.1 0.1 0.9 0.9 2\n0 0.5 0.5 0.5 0.5\n";
    let part = set(&folder, "names: [a]\n", odd).unwrap();
    assert!(part.left_out[0].reason.contains("even count"), "{:?}", part.left_out);
    let file = folder.path("d/data.yaml");
    let asked = |rows| read(&file, Some(rows)).unwrap().remove(0);
    assert_eq!(asked(YoloRows::Boxes).images[0].objects[0].corners, [0.45, 0.45, 0.55, 0.55]);
    let either = "0 0.5 0.5 0.6 0.6 0.55 0.7\n";
    let message = set(&folder, "names: [a]\n", either).unwrap_err();
    assert!(message.contains("--rows boxes") && message.contains("data.yaml"), "{message}");
    assert_eq!(asked(YoloRows::Boxes).images[0].objects[0].corners, [0.2, 0.2, 0.8, 0.8]);
    assert_eq!(asked(YoloRows::Outlines).images[0].objects[0].polygon.len(), 1);
    let part = set(&folder, "names: [a]\ntask: segment\n", either).unwrap();
    assert_eq!(part.images[0].objects[0].polygon.len(), 1);
}

#[test]
fn a_sixth_column_is_a_confidence_and_marks_at_the_start_are_no_text() {
    let folder = Folder::new();
    let part = set(&folder, "names: [a]\n", "\u{feff}0 0.5 0.5 0.5 0.5 0.87\r\n0.0 0.5 0.5 0.2 0.2\n").unwrap();
    let corners: Vec<[f64; 4]> = part.images[0].objects.iter().map(|object| object.corners).collect();
    assert_eq!(corners, [[0.25, 0.25, 0.75, 0.75], [0.4, 0.4, 0.6, 0.6]]);
    assert_eq!(part.left_out, []);
}

#[test]
fn pixels_and_unknown_classes_are_left_out_with_their_lines() {
    let folder = Folder::new();
    let part = set(&folder, "names: [a]\n", "0 0.5 0.5 0.5 0.5\n0 320 240 100 80\n1 0.5 0.5 0.1 0.1\nx\n,\n").unwrap();
    let mut places: Vec<&str> = part.left_out.iter().map(|one| one.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!((part.images[0].objects.len(), places), (1, vec!["line 2", "line 3", "line 4", "line 5"]));
    let message = set(&folder, "names: [a]\n", "0 320 240 100 80\n").unwrap_err();
    assert!(message.contains("can be used") && message.contains("pixels"), "{message}");
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let folder = Folder::new();
    let lines = "0 nan 0.1 0.4 0.1 0.4 0.4 0.1 0.4\n0 0.1 0.1 0.4 inf 0.4 0.4 0.1 0.4\n0 0.5 -inf 0.1 0.1\n\
                 0 0.1 0.1 0.4 0.1 0.4 0.4 0.1 0.4\n";
    let part = set(&folder, "names: [a]\ntask: segment\n", lines).unwrap();
    let reasons: Vec<&str> = part.left_out.iter().map(|one| one.reason.as_str()).collect();
    let wanted = ["nan", "inf", "-inf"].map(|text| format!("{text:?} is no finite number; coordinates go from 0 to 1"));
    assert_eq!((part.images[0].objects.len(), reasons), (1, wanted.iter().map(String::as_str).collect()));
    // What is dropped behind a box may be anything.
    let file = folder.path("d/data.yaml");
    folder.write("d/labels/train/a.txt", "0 0.5 0.5 0.5 0.5 nan nan 2\n");
    let part = read(&file, Some(YoloRows::Boxes)).unwrap().remove(0);
    assert_eq!(part.images[0].objects[0].corners, [0.25, 0.25, 0.75, 0.75]);
}

#[test]
fn label_files_beside_the_images_are_read() {
    let folder = Folder::new();
    folder.image("d/images/a.jpg", 100, 50);
    folder.write("d/images/a.txt", "0 0.5 0.5 0.5 0.5\n");
    folder.write("d/images/._a.jpg", "junk");
    let file = folder.write("d/data.yaml", "train: images\nnames: [a]\n");
    let part = read(&file, None).unwrap().remove(0);
    assert_eq!((part.images.len(), part.images[0].objects.len()), (1, 1));
    assert!(!part.assumed.is_empty());
}

#[test]
fn images_are_found_whatever_path_was_meant_for() {
    let folder = Folder::new();
    for path in [".", "./", "../d", "d", "/other/machine/d", "C:\\data\\d", "datasets/d"] {
        let part = set(&folder, &format!("path: '{path}'\nnames: [a]\n"), "0 0.5 0.5 0.5 0.5\n");
        let part = part.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!((part.images.len(), part.images[0].objects.len()), (1, 1), "{path}");
    }
}

#[test]
fn lists_are_found_from_wherever_they_were_written() {
    let folder = Folder::new();
    folder.image("d/images/a.jpg", 100, 50);
    folder.write("d/labels/a.txt", "0 0.5 0.5 0.5 0.5\n");
    for line in
        ["images/a.jpg", "./images/a.jpg", "../images/a.jpg", "/other/machine/images/a.jpg", "C:\\x\\images\\a.jpg"]
    {
        folder.write("d/lists/train.txt", format!("{line}\n"));
        let file = folder.write("d/data.yaml", "train: lists/train.txt\nnames: [a]\n");
        let part = read(&file, None).unwrap().remove(0);
        assert_eq!((part.images.len(), part.images[0].objects.len()), (1, 1), "{line}");
    }
}

#[test]
fn what_is_written_is_read_by_others() {
    let folder = Folder::new();
    let outlined = set(&folder, "names: [a]\n", "0 0.1 0.1 0.5 0.1 0.5 0.5\n").unwrap();
    let mixed = set(&folder, "names: [a]\n", "0 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.5 0.5 0.5 0.5\n").unwrap();
    let lines = |part: &Part, name: &str| -> (String, String) {
        let output = folder.path(name);
        let order = Order { command: "convert", output: &output, overwrite: false, reads: &[] };
        let (notes, _) = write(&order, std::slice::from_ref(part), Placing::Copied).unwrap();
        assert!(notes.iter().any(|note| note.contains("no part validation")), "{notes:?}");
        let text = |name: &str| fs::read_to_string(output.join(name)).unwrap();
        (text("labels/train/a.txt"), text("data.yaml"))
    };
    let (text, yaml) = lines(&outlined, "outlines");
    assert_eq!(text, "0 0.1 0.1 0.5 0.1 0.5 0.5\n");
    assert!(!yaml.contains("path:") && yaml.contains("val: images/train"), "{yaml}");
    let (text, _) = lines(&mixed, "boxes");
    let counts: Vec<usize> = text.lines().map(|line| line.split(' ').count()).collect();
    assert_eq!(counts, [5, 5], "{text}");
    let images: &[LabelledImage] = &mixed.images;
    assert_eq!(images.len(), 1);
}

/// Without its objects an image would teach that nothing is there.
#[test]
fn an_image_of_which_no_object_can_be_used_is_left_out_too() {
    let folder = Folder::new();
    folder.image("d/images/train/b.jpg", 100, 50);
    folder.image("d/images/train/c.jpg", 100, 50);
    folder.write("d/labels/train/b.txt", "");
    folder.write("d/labels/train/c.txt", "0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5\n");
    let part = set(&folder, "names: [a]\n", "0 0.5 0.5 0 0.5\n0 0.5 0.5\n").unwrap();
    let names: Vec<_> = part.images.iter().map(|image| image.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["b.jpg", "c.jpg"], "one without lines is background, one with an object that can be used stays");
    assert_eq!(part.left_out.iter().filter(|one| one.reason.contains("none of its objects")).count(), 1);
    assert_eq!(part.left_out.len(), 4, "{:?}", part.left_out);
}
