//! LabelMe's files as people and programs write them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use models::host::encode_numbers;
use serde_json::{Value, json};

use super::super::labelme;
use super::masks::pixels;
use super::*;

fn shape(label: &str, kind: &str, points: &Value) -> Value {
    json!({"label": label, "shape_type": kind, "points": points, "group_id": null, "flags": {}})
}

fn document(shapes: &[Value]) -> Value {
    json!({"version": "5.2.1", "flags": {}, "shapes": shapes, "imagePath": "..\\set\\a.png", "imageData": "AAAA",
           "imageHeight": 30, "imageWidth": 40})
}

#[test]
fn shapes_become_outlines() {
    let folder = Folder::new();
    folder.image("set/a.png", 40, 30);
    let png = STANDARD.encode(encode_numbers(3, 2, &[1, 1, 1, 1, 0, 1]));
    let mut mask = shape("m", "mask", &json!([[4, 5], [6, 6]]));
    mask["mask"] = png.into();
    let mut first = shape("g", "polygon", &json!([[20, 0], [30, 0], [30, 10], [20, 10]]));
    let mut second = shape("g", "rectangle", &json!([[32, 15], [25, 5]]));
    let mut other = shape("h", "polygon", &json!([[0, 20], [5, 20], [5, 25]]));
    for one in [&mut first, &mut second, &mut other] {
        one["group_id"] = 7.into();
    }
    let crowd = json!({"label": "c", "points": [[0, 0], [2, 0], [2, 2]], "flags": {"isCrowd": true}});
    let shapes = [
        shape("p", "polygon", &json!([[1, 2], [11, 2], [11, 12], [1, 12]])),
        shape("r", "rectangle", &json!([[9, 8], [3, 4]])),
        shape("o", "circle", &json!([[15, 15], [15, 10]])),
        mask,
        first,
        second,
        other,
        crowd,
        shape("x", "point", &json!([[1, 1]])),
        shape("x", "linestrip", &json!([[1, 1], [2, 2], [3, 3]])),
        shape("x", "polygon", &json!([[1, 1], [2, 2]])),
        shape("x", "polygon", &json!([[1, 1], [2, 2], [3, 3], "4"])),
        shape("x", "mask", &json!([[1, 1], [2, 2]])),
        shape("x", "spline", &json!([[1, 1], [2, 2], [9, 3]])),
        shape("", "polygon", &json!([[1, 1], [2, 2], [9, 3]])),
        shape("x", "rectangle", &json!([[1, 1], [1, 9]])),
    ];
    folder.write("set/a.json", document(&shapes).to_string());
    let part = labelme::read(&folder.path("set"), None, Sizes::Fitting).unwrap().remove(0);
    let areas: Vec<(String, u64)> = part.images[0]
        .objects
        .iter()
        .map(|one| {
            let image = LabelledImage { objects: vec![one.clone()], ..part.images[0].clone() };
            (one.label.clone(), pixels(&image)[0].1.area())
        })
        .collect();
    let area = |label: &str| areas.iter().filter(|(name, _)| name == label).map(|(_, area)| *area).collect::<Vec<_>>();
    assert_eq!((area("p"), area("r"), area("m")), (vec![100], vec![24], vec![5]));
    // Two squares of 100 and 70 pixels that share 25.
    assert_eq!((area("g"), area("h").len()), (vec![145], 1));
    assert!((70..=85).contains(&area("o")[0]), "{areas:?}");
    assert!(part.images[0].objects.iter().any(|one| one.label == "c" && one.is_crowd));
    assert_eq!(part.images[0].objects.len(), 7);
    let reasons: Vec<&str> = part.left_out.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons.len(), 8, "{reasons:?}");
    for wanted in [
        "encloses nothing",
        "of 2 points",
        "two numbers each",
        "without its pixels",
        "\"spline\"",
        "not a text",
        "no area",
    ] {
        assert!(reasons.iter().any(|reason| reason.contains(wanted)), "{wanted}: {reasons:?}");
    }
    for note in ["shapes that are further parts of objects, as their group_id says: 1", "1 object has segments"] {
        assert!(part.assumed.iter().any(|one| one.starts_with(note)), "{note}: {:?}", part.assumed);
    }
}

#[test]
fn files_are_judged_one_by_one() {
    let folder = Folder::new();
    folder.image("set/train/a.png", 40, 30);
    let square = shape("p", "polygon", &json!([[1, 2], [11, 2], [11, 12]]));
    let mut sound = document(&[square]);
    sound["imagePath"] = "a.png".into();
    folder.write("set/train/a.json", sound.to_string());
    folder.write("set/train/again.json", sound.to_string());
    sound["imagePath"] = "gone.png".into();
    folder.write("set/train/gone.json", sound.to_string());
    folder.write("set/train/coco.json", r#"{"images": [], "annotations": []}"#);
    folder.write("set/broken.json", "{");
    let parts = labelme::read(&folder.path("set"), None, Sizes::Fitting).unwrap();
    assert_eq!((parts.len(), parts[0].name.as_str(), parts[0].images.len()), (1, "train", 1));
    let reasons: Vec<String> = parts[0].left_out.iter().map(ToString::to_string).collect();
    for wanted in ["too", "imageData is not read", "trainer convert coco", "no JSON"] {
        assert!(reasons.iter().any(|reason| reason.contains(wanted)), "{wanted}: {reasons:?}");
    }
    folder.write("other/x.json", "{}");
    let message = labelme::read(&folder.path("other"), None, Sizes::Fitting).unwrap_err().to_string();
    assert!(message.contains("no list of shapes"), "{message}");
}
