//! Masks of every kind, and what becomes of outlines in layouts that unite segments.

use models::host::mask::{Fill, Mask, Outline, Rle};
use models::host::{Tile, encode_numbers, encode_palette};
use serde_json::json;

use super::super::masks::{MaskKind, MaskOptions, Style};
use super::super::{cvat, labelme, masks};
use super::*;

/// An image whose objects are made of whole pixels: a ring around a hole, one of two parts, and one that lies in the hole.
pub fn whole_pixels(folder: &Folder) -> Part {
    let ring = [[2, 2, 14, 12], [4, 4, 10, 9]];
    let parts = [[20, 1, 25, 6], [20, 10, 28, 14]];
    let inner = [[5, 5, 8, 8]];
    let square = |[x1, y1, x2, y2]: [u32; 4]| [x1, y1, x2, y1, x2, y2, x1, y2].map(f64::from).to_vec();
    let object = |label: &str, squares: &[[u32; 4]]| {
        let size = [40.0, 30.0];
        let fraction = |(at, value): (usize, f64)| value / size[at % 2];
        let polygon: Vec<Vec<f64>> =
            squares.iter().map(|one| square(*one).into_iter().enumerate().map(fraction).collect()).collect();
        let corners = super::super::geometry::bounds(&polygon);
        LabelledObject { label: label.to_owned(), corners, is_crowd: false, polygon }
    };
    let objects = vec![object("cell", &ring), object("two parts", &parts), object("cell", &inner)];
    let image = |name: &str, objects| LabelledImage { path: folder.image(name, 40, 30), size: Some([40, 30]), objects };
    let images = vec![image("in/a.png", objects), image("in/b.png", vec![object("cell", &[[0, 0, 40, 30]])])];
    Part { name: "train".to_owned(), images, ..Part::default() }
}

/// The pixels of each object.
pub fn pixels(image: &LabelledImage) -> Vec<(String, Rle)> {
    let [width, height] = image.measured().unwrap();
    let rle = |object: &LabelledObject| {
        let outline = Outline::from_segments(&object.polygon, [f64::from(width), f64::from(height)]).unwrap();
        let mask = outline.rasterise(Fill::CocoEvenOdd, Tile { x0: 0, y0: 0, x1: width, y1: height });
        (object.label.clone(), mask.rle(width, height).unwrap())
    };
    let mut all: Vec<_> = image.objects.iter().map(rle).collect();
    all.sort_by_key(|(label, rle)| (label.clone(), rle.runs().to_vec()));
    all
}

#[track_caller]
fn check_pixels(found: &[Part], wanted: &[Part]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!(found.left_out, []);
        assert_eq!((&found.name, found.images.len()), (&wanted.name, wanted.images.len()));
        for (a, b) in found.images.iter().zip(&wanted.images) {
            assert_eq!(a.path.file_name(), b.path.file_name());
            assert_eq!(pixels(a), pixels(b), "{}", a.path.display());
        }
    }
}

#[test]
fn whole_pixels_survive_every_layout() {
    let folder = Folder::new();
    let part = whole_pixels(&folder);
    let parts = std::slice::from_ref(&part);
    let named = |mut parts: Vec<Part>| {
        parts.iter_mut().for_each(|part| part.name = "train".to_owned());
        parts
    };
    let (notes, files, _) = coco::write(&order(&folder.path("coco.json")), parts).unwrap();
    assert!(notes[0].starts_with("objects with holes") && notes[0].ends_with(": 1"), "{notes:?}");
    check_pixels(&named(vec![coco::read(&files[0], None, Sizes::Fitting).unwrap()]), parts);
    let (notes, _) = yolo::write(&order(&folder.path("yolo")), parts, Placing::Copied).unwrap();
    assert!(notes.iter().any(|note| note.starts_with("objects of several parts or with holes: 2;")), "{notes:?}");
    // `val` names the same images.
    check_pixels(&yolo::read(&folder.path("yolo/data.yaml"), None).unwrap()[..1], parts);
    let (notes, _) = labelme::write(&order(&folder.path("labelme")), parts, Placing::Copied).unwrap();
    assert!(notes[0].starts_with("objects with holes") && notes[0].ends_with(": 1"), "{notes:?}");
    check_pixels(&named(labelme::read(&folder.path("labelme"), None, Sizes::Fitting).unwrap()), parts);
    let (notes, _) = cvat::write(&order(&folder.path("cvat")), parts, Placing::Copied).unwrap();
    assert!(notes[0].starts_with("objects with holes") && notes[0].ends_with(": 1"), "{notes:?}");
    check_pixels(&named(cvat::read(&folder.path("cvat"), None, Sizes::Fitting).unwrap()), parts);
    for style in [Style::Voc, Style::Instances, Style::Ids] {
        let output = folder.path(&format!("{style:?}"));
        let (notes, _) = masks::write(&order(&output), parts, style, Placing::Copied).unwrap();
        assert_eq!(notes, [] as [String; 0], "nothing overlaps");
        check_pixels(&named(masks::read(&output, &MaskOptions::default()).unwrap()), parts);
    }
}

#[test]
fn parts_and_what_a_layout_cannot_hold_are_kept_apart() {
    let folder = Folder::new();
    let mut train = whole_pixels(&folder);
    let over = train.images[1].objects[0].clone();
    train.images[0].objects.push(LabelledObject { is_crowd: true, ..over });
    train.images[0].objects.push(marked("box", [0.1, 0.1, 0.5, 0.5]));
    let image = LabelledImage { path: folder.image("in/c.png", 8, 8), size: None, objects: Vec::new() };
    let validation = Part { name: "validation".to_owned(), images: vec![image], ..Part::default() };
    let parts = [train, validation];
    for style in [Style::Voc, Style::Ids] {
        let output = folder.path(&format!("{style:?}"));
        let (notes, _) = masks::write(&order(&output), &parts, style, Placing::Linked).unwrap();
        for part in ["objects without an outline", "objects that others partly cover, by", "crowds, written"] {
            assert!(notes.iter().any(|note| note.starts_with(part) && note.ends_with(": 1")), "{part}: {notes:?}");
        }
        let back = masks::read(&output, &MaskOptions::default()).unwrap();
        let counts: Vec<(&str, Vec<usize>)> = back
            .iter()
            .map(|part| (part.name.as_str(), part.images.iter().map(|image| image.objects.len()).collect()))
            .collect();
        assert_eq!(counts, [("train", vec![4, 1]), ("validation", vec![0])], "{style:?}");
        let small = pixels(&parts[0].images[0]).into_iter().find(|(_, rle)| rle.area() == 9).unwrap();
        assert!(pixels(&back[0].images[0]).contains(&small), "the smaller one is on top");
    }
    let odd = [parts[0].clone(), Part { name: "cats".to_owned(), ..parts[1].clone() }];
    for style in [Style::Instances, Style::Ids] {
        let message = masks::write(&order(&folder.path("odd")), &odd, style, Placing::Copied).unwrap_err().to_string();
        assert!(message.contains("\"cats\""), "{message}");
    }
    assert!(labelme::write(&order(&folder.path("odd")), &odd, Placing::Copied).is_err());
    let output = folder.path("instances");
    let (notes, _) = masks::write(&order(&output), &parts, Style::Instances, Placing::Copied).unwrap();
    assert!(notes.iter().any(|note| note.contains("are not read back")), "{notes:?}");
    let back = masks::read(&output, &MaskOptions::default()).unwrap();
    assert_eq!(back.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["train"]);
    assert_eq!(pixels(&back[0].images[0]).len(), 4);
}

#[test]
fn a_folder_for_each_image_is_an_object_for_each_file() {
    let folder = Folder::new();
    let grey = |pixels: [u8; 8]| encode_palette(4, 2, &pixels, &[[0; 3], [255; 3]]);
    for (name, pixels) in [("x", [0, 1, 1, 0, 0, 0, 0, 0]), ("y", [0, 0, 0, 0, 1, 1, 1, 1])] {
        folder.write(&format!("set/s1/masks/{name}.png"), grey(pixels));
    }
    folder.write("set/s1/masks/none.png", grey([0; 8]));
    folder.write("set/s1/masks/wide.png", encode_numbers(5, 2, &[1; 10]));
    folder.write("set/s1/masks/.DS_Store", "x");
    folder.image("set/s1/images/s1.png", 4, 2);
    folder.write("set/s2/masks/cat/a.png", encode_numbers(4, 2, &[0, 0, 9, 9, 0, 0, 300, 9]));
    folder.image("set/s2/images/s2.png", 4, 2);
    let root = folder.path("set");
    let message = masks::read(&folder.path("set/s1"), &MaskOptions::default()).unwrap_err().to_string();
    assert!(message.contains("--label NAME"), "{message}");
    let options = MaskOptions { label: Some("n".to_owned()), ..MaskOptions::default() };
    let parts = masks::read(&root, &options).unwrap();
    let [first, second] = parts[0].images.as_slice() else { panic!("{parts:?}") };
    assert_eq!(first.objects.len(), 2);
    assert_eq!(first.objects[0].corners, [0.25, 0.0, 0.75, 0.5]);
    assert_eq!(first.objects[0].polygon, [[0.75, 0.0, 0.75, 0.5, 0.25, 0.5, 0.25, 0.0]]);
    assert_eq!(pixels(second)[0].1.area(), 4);
    let reasons: Vec<&str> = parts[0].left_out.iter().map(|one| one.reason.as_str()).collect();
    assert!(reasons[0].contains("shows no object") && reasons[1].contains("5 x 2 pixels"), "{reasons:?}");
    assert!(parts[0].assumed.iter().any(|note| note.contains("several numbers")), "{:?}", parts[0].assumed);
    // Without an option the folder says the class, where there is one.
    let parts = masks::read(&root, &MaskOptions::default()).unwrap();
    assert_eq!(parts[0].images.iter().map(|image| image.objects.len()).collect::<Vec<_>>(), [1]);
    assert_eq!(parts[0].images[0].objects[0].label, "cat");
    let unsaid = parts[0].left_out.iter().filter(|one| one.reason.contains("nothing says its class")).count();
    assert_eq!(unsaid, 2, "{:?}", parts[0].left_out);
}

#[test]
fn numbers_are_objects_and_their_classes_come_from_where_it_is_said() {
    let folder = Folder::new();
    let numbers = [0, 1, 1, 0, 2, 2, 0, 255];
    folder.write("set/masks/a_mask.png", encode_palette(4, 2, &numbers, &[]));
    folder.image("set/images/a.png", 4, 2);
    folder.image("set/images/other.png", 4, 2);
    let root = folder.path("set");
    let read = |options: &MaskOptions| masks::read(&root, options).map(|mut parts| parts.remove(0));
    let labels = |part: &Part| part.images[0].objects.iter().map(|o| o.label.clone()).collect::<Vec<_>>();
    let one = read(&MaskOptions { label: Some("n".to_owned()), ..MaskOptions::default() }).unwrap();
    assert_eq!(labels(&one), ["n", "n"]);
    for note in ["masks with pixels of 255", "images of", "masks that became"] {
        assert!(one.assumed.iter().any(|said| said.starts_with(note)), "{note}: {:?}", one.assumed);
    }
    let all = read(&MaskOptions { label: Some("n".to_owned()), void: Some(0), ..MaskOptions::default() }).unwrap();
    assert_eq!(labels(&all).len(), 3);
    let map = folder.write("map.json", r#"{"a_mask.png": {"1": "cat"}, "2": "dog"}"#);
    let mapped = read(&MaskOptions { label_map: Some(map), ..MaskOptions::default() }).unwrap();
    assert_eq!(labels(&mapped), ["cat", "dog"]);
    let map = folder.write("part.json", r#"{"1": "cat"}"#);
    let partly = read(&MaskOptions { label_map: Some(map), ..MaskOptions::default() }).unwrap();
    assert!(labels(&partly) == ["cat"] && partly.left_out[0].reason.contains("number 2"), "{:?}", partly.left_out);
    let bad = folder.write("bad.json", r#"{"1": 2}"#);
    assert!(read(&MaskOptions { label_map: Some(bad), ..MaskOptions::default() }).is_err());
    let boxed = |name: &str, [x1, y1, x2, y2]: [u32; 4]| {
        format!(
            "<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        )
    };
    let xml = format!(
        "<annotation><size><width>8</width><height>4</height></size>{}{}</annotation>",
        boxed("below", [0, 2, 4, 4]),
        boxed("above", [2, 0, 6, 2])
    );
    folder.write("xml/a_mask.xml", xml);
    let annotations = Some(folder.path("xml"));
    let boxes = read(&MaskOptions { annotations, ..MaskOptions::default() }).unwrap();
    assert_eq!(labels(&boxes), ["above", "below"]);
}

#[test]
fn what_is_no_mask_is_said() {
    let folder = Folder::new();
    folder.image("set/images/a.png", 4, 2);
    folder.image("set/images/b.png", 4, 2);
    let label = || MaskOptions { label: Some("n".to_owned()), ..MaskOptions::default() };
    let jpeg = models::host::encode_jpeg(&Rgb::filled(4, 2, [255; 3]), 90);
    folder.write("set/masks/a.jpg", jpeg);
    folder.write("set/masks/b.png", encode_numbers(9, 9, &[1; 81]));
    folder.write("set/masks/c.png", encode_numbers(4, 2, &[1; 8]));
    let message = masks::read(&folder.path("set"), &label()).unwrap_err().to_string();
    for part in ["do not survive", "9 x 9 pixels and its image of 4 x 2", "no image c.*"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let scaled = MaskOptions { sizes: Sizes::Declared, ..label() };
    let parts = masks::read(&folder.path("set"), &scaled).unwrap();
    assert_eq!(parts[0].images[0].objects[0].corners, [0.0, 0.0, 1.0, 1.0]);
    folder.write("classes/SegmentationClass/a.png", encode_numbers(4, 2, &[1; 8]));
    assert!(masks::read(&folder.path("classes"), &label()).unwrap_err().to_string().contains("SegmentationObject"));
    folder.write("alone/a.png", encode_numbers(4, 2, &[1; 8]));
    assert!(masks::read(&folder.path("alone"), &label()).unwrap_err().to_string().contains("--images FOLDER"));
    folder.write("empty/readme.txt", "x");
    assert!(masks::read(&folder.path("empty"), &label()).unwrap_err().to_string().contains("no masks"));
    let several = MaskOptions { kind: Some(MaskKind::Instances), images: Some(folder.path("set/images")), ..label() };
    folder.write("flat/a_1.png", encode_numbers(4, 2, &[1, 0, 0, 0, 0, 0, 0, 0]));
    folder.write("flat/a_2.png", encode_numbers(4, 2, &[0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(masks::read(&folder.path("flat"), &several).unwrap()[0].images[0].objects.len(), 2);
}

#[test]
fn classes_that_a_layout_cannot_hold_are_refused() {
    let folder = Folder::new();
    let mut part = whole_pixels(&folder);
    let mut refused = |label: &str, output: &str, write: &dyn Fn(&Order, &[Part]) -> bool| {
        part.images[0].objects[0].label = label.to_owned();
        let output = folder.path(output);
        let is_refused = write(&order(&output), std::slice::from_ref(&part));
        assert!(!is_refused || !output.exists(), "{label:?}");
        is_refused
    };
    let masks = |style: Style| {
        move |order: &Order, parts: &[Part]| match masks::write(order, parts, style, Placing::Copied) {
            Ok(_) => false,
            Err(error) => {
                assert!(error.to_string().contains("rename the class"), "{error}");
                true
            }
        }
    };
    // `cat:dog` and `cat dog` would be one class, `#1` a comment and blanks cut off.
    for label in ["cat:dog", "#1", "two\nlines", "a\rb", " cat", "cat ", "tab\t", "background"] {
        assert!(refused(label, "voc", &masks(Style::Voc)), "{label:?}");
    }
    assert!(!refused("cat dog # 1, Background", "held", &masks(Style::Voc)));
    let back = masks::read(&folder.path("held"), &MaskOptions::default()).unwrap();
    assert!(back[0].images[0].objects.iter().any(|one| one.label == "cat dog # 1, Background"), "{back:?}");
    // Nothing is lost in JSON and in names of folders.
    for style in [Style::Ids, Style::Instances] {
        assert!(!refused(" cat: #1", &format!("{style:?}"), &masks(style)));
        let back = masks::read(&folder.path(&format!("{style:?}")), &MaskOptions::default()).unwrap();
        assert!(back[0].images[0].objects.iter().any(|one| one.label == " cat: #1"), "{back:?}");
    }
    for label in [" cat", "cat\n", "a\tb"] {
        assert!(refused(label, "y", &|order, parts| yolo::write(order, parts, Placing::Copied).is_err()));
        assert!(refused(label, "v", &|order, parts| {
            voc::write(order, parts, Pixels::Corners, Placing::Copied).is_err()
        }));
        assert!(refused(label, "l", &|order, parts| labelme::write(order, parts, Placing::Copied).is_err()));
        assert!(refused(label, "c", &|order, parts| cvat::write(order, parts, Placing::Copied).is_err()));
    }
}

#[test]
fn a_mask_of_a_wrong_size_is_left_out_alone() {
    let folder = Folder::new();
    folder.image("set/images/a.png", 4, 2);
    folder.write("set/masks/a/0.png", encode_numbers(9, 2, &[1; 18]));
    folder.write("set/masks/a/1.png", encode_numbers(4, 2, &[1, 0, 0, 0, 0, 0, 0, 0]));
    folder.write("set/masks/a/2.png", encode_numbers(8, 4, &[1; 32]));
    folder.write("set/masks/a/3.png", encode_numbers(4, 2, &[0, 0, 0, 0, 0, 0, 0, 1]));
    let label = || MaskOptions { label: Some("n".to_owned()), ..MaskOptions::default() };
    let part = masks::read(&folder.path("set"), &label()).unwrap().remove(0);
    let corners = |part: &Part| part.images[0].objects.iter().map(|one| one.corners).collect::<Vec<_>>();
    assert_eq!(corners(&part), [[0.0, 0.0, 0.25, 0.5], [0.75, 0.5, 1.0, 1.0]]);
    let listed: Vec<String> = part.left_out.iter().map(ToString::to_string).collect();
    assert!(listed[0].contains("a/0.png, mask: it is of 9 x 2 pixels and its image of 4 x 2"), "{listed:?}");
    assert!(listed[1].contains("a/2.png, mask: it is of 8 x 4 pixels") && listed.len() == 2, "{listed:?}");
    // Asked for, each is scaled by itself.
    let scaled =
        masks::read(&folder.path("set"), &MaskOptions { sizes: Sizes::Declared, ..label() }).unwrap().remove(0);
    let whole = [0.0, 0.0, 1.0, 1.0];
    assert_eq!(corners(&scaled), [whole, [0.0, 0.0, 0.25, 0.5], whole, [0.75, 0.5, 1.0, 1.0]]);
    assert!(scaled.assumed.iter().any(|note| note.contains("--sizes declared") && note.ends_with(": 2")), "{scaled:?}");
    // An image all of whose objects are of unknown classes is no image of nothing.
    folder.write("ids/masks/a.png", encode_numbers(4, 2, &[7; 8]));
    folder.write("ids/masks/b.png", encode_numbers(4, 2, &[1; 8]));
    folder.image("ids/images/a.png", 4, 2);
    folder.image("ids/images/b.png", 4, 2);
    let map = folder.write("map.json", r#"{"1": "cat"}"#);
    let part = masks::read(&folder.path("ids"), &MaskOptions { label_map: Some(map), ..MaskOptions::default() });
    let part = part.unwrap().remove(0);
    assert_eq!((part.images.len(), part.lost, part.barren), (1, 1, 1), "{:?}", part.left_out);
}

/// An image whose size nothing declares has that of its file, not that of the first mask.
#[test]
fn a_run_length_mask_of_a_wrong_size_is_left_out_alone() {
    let folder = Folder::new();
    folder.image("a.png", 4, 2);
    let mask = |size: [u32; 2]| {
        let whole = json!({"size": size, "counts": [0, size[0] * size[1]]});
        json!({"image_id": 1, "category_id": 1, "segmentation": whole})
    };
    let file = json!({
        "images": [{"id": 1, "file_name": "a.png"}], "annotations": [mask([3, 9]), mask([2, 4])],
        "categories": [{"id": 1, "name": "c"}],
    });
    let part = coco::read(&folder.write("set.json", file.to_string()), None, Sizes::Fitting).unwrap();
    assert_eq!((part.images[0].objects.len(), part.left_out.len()), (1, 1), "{:?}", part.left_out);
    assert!(part.left_out[0].reason.contains("of 9 x 3 pixels where its image is of 4 x 2"), "{:?}", part.left_out);
}

#[test]
fn transparent_places_of_a_palette_are_no_object() {
    let folder = Folder::new();
    folder.image("set/images/a.png", 4, 2);
    let plain = encode_palette(4, 2, &[0, 1, 1, 0, 2, 2, 0, 3], &[[9; 3]; 4]);
    let data = plain.windows(4).position(|name| name == b"IDAT").unwrap() - 4;
    let chunk = b"tRNS\xff\0\xff";
    let (length, checksum) = (3_u32.to_be_bytes(), crc32(chunk).to_be_bytes());
    folder.write("set/masks/a.png", [&plain[..data], &length, chunk, &checksum, &plain[data..]].concat());
    let options = MaskOptions { label: Some("n".to_owned()), ..MaskOptions::default() };
    let part = masks::read(&folder.path("set"), &options).unwrap().remove(0);
    let areas: Vec<u64> = pixels(&part.images[0]).iter().map(|(_, rle)| rle.area()).collect();
    assert_eq!(areas.len(), 2, "{areas:?}");
}

#[test]
fn two_images_of_one_name_are_named() {
    let folder = Folder::new();
    let label = |kind| MaskOptions { label: Some("n".to_owned()), kind, ..MaskOptions::default() };
    for name in ["set/images/a.png", "set/images/a.jpg", "ids/images/a.png", "ids/images/a.jpg"] {
        folder.image(name, 4, 2);
    }
    folder.write("set/masks/a/0.png", encode_numbers(4, 2, &[1; 8]));
    folder.write("ids/masks/a_1.png", encode_numbers(4, 2, &[1; 8]));
    for (root, kind) in [("set", None), ("set", Some(MaskKind::Instances)), ("ids", Some(MaskKind::Instances))] {
        let message = masks::read(&folder.path(root), &label(kind)).unwrap_err().to_string();
        for part in ["its image could be ", "images/a.png", "images/a.jpg", "name one of them otherwise"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn masks_turn_with_their_images() {
    let folder = Folder::new();
    // Stored 4 x 2 and seen 2 x 4: a quarter turn to the right.
    folder.turned("set/images/a.png", [4, 2], 6);
    let stored = encode_numbers(4, 2, &[1, 1, 0, 0, 0, 0, 0, 0]);
    let upright = encode_numbers(2, 4, &[0, 1, 0, 1, 0, 0, 0, 0]);
    let label = MaskOptions { label: Some("n".to_owned()), ..MaskOptions::default() };
    for (mask, note) in [(stored, Some("before its EXIF rotation")), (upright, None)] {
        folder.write("set/masks/a.png", mask);
        let parts = masks::read(&folder.path("set"), &label).unwrap();
        assert_eq!(parts[0].images[0].objects[0].corners, [0.5, 0.0, 1.0, 0.5]);
        let said = parts[0].assumed.iter().any(|one| one.contains("EXIF"));
        assert_eq!(said, note.is_some(), "{:?}", parts[0].assumed);
    }
}

#[test]
fn coco_unites_segments_and_masks_keep_their_holes() {
    let folder = Folder::new();
    folder.image("a.png", 40, 30);
    let runs = |mask: &Mask| mask.rle(40, 30).unwrap();
    let hole = runs(&Mask::from_pixels(Tile { x0: 2, y0: 3, x1: 9, y1: 12 }, |x, y| {
        !(4..6).contains(&x) || !(5..=8).contains(&y)
    }));
    let overlap = json!([[2, 2, 20, 2, 20, 20, 2, 20], [10, 10, 30, 10, 30, 25, 10, 25]]);
    let within = json!([[2, 2, 20, 2, 20, 20, 2, 20], [5, 5, 9, 5, 9, 9, 5, 9]]);
    let apart = json!([[0, 0, 5, 0, 5, 5], [20, 20, 30, 20, 30, 28.5]]);
    let sticks_out = json!([[-10, 5, 20, -10, 20, 20]]);
    let text = json!({"size": [30, 40], "counts": hole.text()});
    let list = json!({"size": [30, 40], "counts": hole.runs()});
    let all = [overlap, within, apart, sticks_out, text, list];
    let annotations: Vec<serde_json::Value> = all
        .iter()
        .enumerate()
        .map(|(id, segmentation)| {
            json!({"id": id, "image_id": 1, "category_id": 1, "segmentation": segmentation, "iscrowd": usize::from(id == 5)})
        })
        .collect();
    let mut file = json!({
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}], "annotations": annotations,
        "categories": [{"id": 1, "name": "c"}],
    });
    let path = folder.write("set.json", file.to_string());
    let part = coco::read(&path, None, Sizes::Fitting).unwrap();
    let found: Vec<Rle> = part.images[0]
        .objects
        .iter()
        .map(|object| pixels(&LabelledImage { objects: vec![object.clone()], ..part.images[0].clone() })[0].1.clone())
        .collect();
    let whole = Tile { x0: 0, y0: 0, x1: 40, y1: 30 };
    for (at, segmentation) in all.iter().enumerate() {
        let wanted = match segmentation.as_array() {
            None => hole.clone(),
            Some(list) => {
                let segments: Vec<Vec<f64>> = serde_json::from_value(json!(list)).unwrap();
                let outline = Outline::from_segments(&segments, [1.0; 2]).unwrap();
                runs(&outline.rasterise(Fill::Coco, whole))
            }
        };
        assert_eq!(found[at], wanted, "{segmentation}");
    }
    for note in [
        "masks of run lengths that became outlines along the edges of their pixels: 2",
        "2 objects have segments that overlap",
    ] {
        assert!(part.assumed.iter().any(|said| said.starts_with(note)), "{note}: {:?}", part.assumed);
    }
    assert_eq!(
        part.images[0].objects.iter().map(|one| one.is_crowd).collect::<Vec<_>>(),
        [false, false, false, false, false, true]
    );
    // What is written again means the same to those who unite.
    let (notes, files, _) = coco::write(&order(&folder.path("again.json")), std::slice::from_ref(&part)).unwrap();
    assert!(
        notes[0].ends_with("united: 1") && notes[1].starts_with("crowds") && notes[1].ends_with(": 1"),
        "{notes:?}"
    );
    let again = coco::read(&files[0], None, Sizes::Fitting).unwrap();
    assert_eq!(pixels(&again.images[0]), pixels(&part.images[0]));
    // A mask that is none leaves its box.
    file["annotations"] = json!([
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": {"size": [30, 40], "counts": [1]}},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": {"size": [3, 4], "counts": [1, 11]}},
        {"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": [3, 4], "counts": [1, 11]}}]);
    let path = folder.write("bad.json", file.to_string());
    let part = coco::read(&path, None, Sizes::Fitting).unwrap();
    assert_eq!((part.images[0].objects.len(), part.left_out.len(), part.lost), (2, 3, 1), "{:?}", part.left_out);
}

#[test]
fn outlines_of_fewer_points_are_near() {
    let folder = Folder::new();
    let circle = Mask::from_pixels(Tile { x0: 0, y0: 0, x1: 100, y1: 100 }, |x, y| {
        x.abs_diff(50).pow(2) + y.abs_diff(50).pow(2) < 1600
    });
    let polygon = circle.outline().fractions(100, 100);
    let points = polygon[0].len() / 2;
    let object = LabelledObject { polygon, ..marked("c", [0.1, 0.1, 0.9, 0.9]) };
    let image = LabelledImage { path: folder.image("a.png", 100, 100), size: None, objects: vec![object] };
    let mut parts = [Part { images: vec![image], ..Part::default() }];
    super::super::simplify(&mut parts, 1000);
    assert_eq!(parts[0].assumed, [] as [String; 0]);
    super::super::simplify(&mut parts, 24);
    assert_eq!(parts[0].images[0].objects[0].polygon[0].len(), 48);
    assert!(
        parts[0].assumed[0].starts_with(&format!(
            "outlines of more than 24 points, which were simplified: 1; {points} points became 24"
        )),
        "{:?}",
        parts[0].assumed
    );
    assert!(parts[0].assumed[0].contains("at least 0.9"), "{:?}", parts[0].assumed);
}
