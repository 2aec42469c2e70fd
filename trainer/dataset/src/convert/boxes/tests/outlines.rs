//! Outlines that cannot be used, as a whole or in parts, and boxes that have nothing to do with theirs.

use serde_json::{Value, json};

use super::super::{coco, cvat, labelme, rows, voc, yolo};
use super::*;

/// Reads annotations of an image of 100 x 50 pixels, and one besides that is as it should be.
fn coco_of(annotations: &[Value]) -> Part {
    let folder = Folder::new();
    folder.image("a.png", 100, 50);
    folder.image("b.png", 100, 50);
    let sound = json!({"image_id": 2, "bbox": [10, 10, 30, 30], "segmentation": [[10, 10, 40, 10, 40, 40]]});
    let all = annotations.iter().cloned().chain([sound]).enumerate().map(|(id, mut one)| {
        one["id"] = id.into();
        one["category_id"] = 1.into();
        one
    });
    let file = json!({
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 50}, {"id": 2, "file_name": "b.png"}],
        "annotations": all.collect::<Vec<_>>(), "categories": [{"id": 1, "name": "x"}],
    });
    // As Python writes what is no number.
    let text = file.to_string().replace("\"NaN\"", "NaN");
    coco::read(&folder.write("c.json", text), None, Sizes::Fitting).unwrap()
}

fn listed(part: &Part) -> Vec<(&str, &str)> {
    part.left_out.iter().map(|one| (one.place.as_str(), one.reason.as_str())).collect()
}

const GOOD: [f64; 6] = [10.0, 10.0, 40.0, 10.0, 40.0, 40.0];

#[test]
fn an_object_whose_outline_is_none_keeps_its_box_and_that_is_said() {
    let sideways = [200, 10, 240, 10, 240, 40];
    for (segmentation, reason) in [
        (json!([[10, 10, "NaN", 10, 40, 40]]), "it holds null, which is no number"),
        (json!([[10, 10, 1e300, 10, "1e999", 40]]), "it holds \"1e999\", which is no number"),
        (json!([[10, 10, 40, 10, 40, 40, 10]]), "it has 7 coordinates; x and y must come in pairs"),
        (json!([[10, 10, 40, 40]]), "it has 2 points, and 3 are the fewest"),
        (json!([10, 10, 40, 40]), "it has 2 points, and 3 are the fewest"),
        (json!([[10, 10], [null, 10], [40, 40]]), "it holds null, which is no number"),
        (json!([[10, 10, 40, 10, 25, 10]]), "all its points lie on one line"),
        (json!([[10, 10, 40, 40, 20, 20, 30, 30]]), "all its points lie on one line"),
        (json!([[10, 10, 10, 10, 10, 10]]), "all its points lie on one line"),
        (json!([sideways]), "it lies outside of the image of 100 x 50"),
        // The box around it reaches into the image, and itself does not.
        (json!([[-40, 20, 10, -40, -40, -40]]), "it lies outside of the image of 100 x 50"),
        (json!(["x"]), "it holds \"x\", which is no number"),
        (json!("polygon"), "its segmentation is \"polygon\", neither polygons nor run lengths"),
        (json!(true), "its segmentation is true, neither polygons nor run lengths"),
    ] {
        let part = coco_of(&[json!({"image_id": 1, "bbox": [10, 10, 30, 30], "segmentation": segmentation})]);
        let [(place, said)] = listed(&part)[..] else { panic!("{segmentation}: {:?}", part.left_out) };
        assert!(said.contains(reason) && said.ends_with("; its box is used"), "{said}");
        assert!(["annotation 0", "annotations[0]"].contains(&place), "{place}");
        assert_eq!(part.images[0].objects, [marked("x", [0.1, 0.2, 0.4, 0.8])], "{segmentation}");
        assert_eq!((part.images.len(), part.lost), (2, 0), "{segmentation}");
    }
    // What stands for nothing is no fault.
    for segmentation in [json!([]), json!([[]]), json!(null), json!({}), json!("")] {
        let part = coco_of(&[json!({"image_id": 1, "bbox": [10, 10, 30, 30], "segmentation": segmentation})]);
        assert_eq!((part.images.len(), &part.left_out[..]), (2, &[][..]), "{segmentation}");
        assert_eq!(part.images[0].objects, [marked("x", [0.1, 0.2, 0.4, 0.8])]);
    }
    let all = json!({"image_id": 1, "segmentation": [[1, 2], [10, 10, 40, 10, 40, 40, 10], [200, 0, 210, 0, 210, 10]]});
    let said = coco_of(&[all]).left_out.remove(0).reason;
    assert_eq!(
        said,
        "none of its 3 segments can be used, segment 0 (from 0) because it has 1 point, and 3 are the fewest"
    );
}

#[test]
fn segments_that_are_none_are_listed_and_the_others_stay() {
    let segmentation = json!([
        GOOD,
        [1, 2],
        [5, 5, 8, 5, 8, 8, 5],
        [60, 10, "NaN", 10, 70, 30],
        [200, 10, 240, 10, 240, 40],
        "x",
        [60, 10, 90, 10, 90, 30],
        [1, 1, 2, 2, 3, 3],
    ]);
    let part = coco_of(&[json!({"image_id": 1, "bbox": [10, 10, 80, 30], "segmentation": segmentation})]);
    let object = &part.images[0].objects[0];
    assert_eq!((object.polygon.len(), object.corners), (2, [0.1, 0.2, 0.9, 0.8]));
    let mut found = listed(&part);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("annotation 0, segment 1", "it has 1 point, and 3 are the fewest"),
            ("annotation 0, segment 2", "it has 7 coordinates; x and y must come in pairs"),
            ("annotation 0, segment 3", "it holds null, which is no number"),
            ("annotation 0, segment 4", "it lies outside of the image of 100 x 50"),
            ("annotation 0, segment 5", "it is \"x\", not a list of coordinates"),
            ("annotation 0, segment 7", "all its points lie on one line, so that it encloses nothing"),
        ]
    );
    assert_eq!((part.lost, part.images.len()), (0, 2), "no object is lost");
    // Without a box, that of what is left is taken, and not cut at the edge for what is not there.
    let part = coco_of(&[json!({"image_id": 1, "segmentation": [GOOD, [200, 10, 240, 10, 240, 40]]})]);
    assert_eq!((part.images[0].objects[0].corners, part.cut), ([0.1, 0.2, 0.4, 0.8], 0));
    let part = coco_of(&[json!({"image_id": 1, "segmentation": [[50, 10, 150, 10, 50, 40]]})]);
    assert_eq!((part.images[0].objects[0].corners, part.cut), ([0.5, 0.2, 1.0, 0.8], 1));
}

#[test]
fn a_box_apart_from_its_outline_is_not_used_and_that_is_said() {
    let apart = |bbox: Value| coco_of(&[json!({"image_id": 1, "bbox": bbox, "segmentation": [GOOD]})]);
    for bbox in [json!([60, 5, 10, 10]), json!([500, 5, 10, 10])] {
        let part = apart(bbox.clone());
        assert_eq!(part.images[0].objects[0].corners, [0.1, 0.2, 0.4, 0.8], "{bbox}");
        let [("annotation 0", said)] = listed(&part)[..] else { panic!("{:?}", part.left_out) };
        assert!(said.ends_with("and its outline lie apart; the box around the outline is used"), "{said}");
        assert_eq!(part.lost, 0);
    }
    let part = apart(json!([12, 8, 30, 30]));
    assert_eq!((part.images[0].objects[0].corners, &part.left_out[..]), ([0.12, 0.16, 0.42, 0.76], &[][..]));
}

#[test]
fn rows_say_what_of_an_outline_encloses_nothing() {
    let folder = Folder::new();
    folder.image("a.png", 100, 50);
    let good = [0.1, 0.2, 0.4, 0.2, 0.4, 0.8];
    let flat = [0.1, 0.1, 0.4, 0.4, 0.2, 0.2];
    let boxed = |polygon: Value, [x1, y1, x2, y2]: [f64; 4]| {
        let mut one = json!({"label": "x", "topX": x1, "topY": y1, "bottomX": x2, "bottomY": y2});
        one["polygon"] = polygon;
        one
    };
    let label = json!([
        {"label": "x", "polygon": [good, flat, [0.1, 0.2], [1.2, 0.2, 1.4, 0.2, 1.4, 0.8]]},
        {"label": "x", "polygon": [flat]},
        boxed(json!([good]), [0.6, 0.1, 0.8, 0.2]),
        boxed(json!([good]), [0.0, 0.1, 0.5, 0.9]),
    ]);
    let part = rows::read(&folder.write("t.jsonl", json!({"image_url": "a.png", "label": label}).to_string()), None);
    let part = part.unwrap();
    let corners: Vec<[f64; 4]> = part.images[0].objects.iter().map(|one| one.corners).collect();
    assert_eq!(corners[1..], [[0.1, 0.2, 0.4, 0.8], [0.0, 0.1, 0.5, 0.9]]);
    let mut found = listed(&part);
    found.sort_unstable();
    let places: Vec<&str> = found.iter().map(|(place, _)| *place).collect();
    assert_eq!(
        places,
        [
            "line 1, object 0, segment 1",
            "line 1, object 0, segment 2",
            "line 1, object 0, segment 3",
            "line 1, object 1",
            "line 1, object 2",
        ]
    );
    for ((_, reason), wanted) in found.iter().zip(["one line", "three points", "outside", "one line", "lie apart"]) {
        assert!(reason.contains(wanted), "{wanted}: {reason}");
    }
    assert_eq!(part.lost, 1, "one object, and segments of another");
    // Without its objects an image would teach that nothing is there.
    let row = |label: Value| json!({"image_url": "a.png", "label": label}).to_string() + "\n";
    let none = row(json!([{"label": "x", "polygon": [flat]}]));
    let message = rows::read(&folder.write("t.jsonl", &none), None).unwrap_err().to_string();
    assert!(message.contains("one line") && message.contains("none of its objects"), "{message}");
    let sound = row(json!([{"label": "x", "polygon": [good]}]));
    let part = rows::read(&folder.write("t.jsonl", none + &sound), None).unwrap();
    assert_eq!((part.images.len(), part.images[0].objects.len(), part.left_out.len()), (1, 1, 2));
}

#[test]
fn crowds_are_yes_or_no() {
    let crowds = [json!(1), json!(2), json!("maybe"), json!(0)];
    let coco = coco_of(&Vec::from_iter(
        crowds.iter().map(|crowd| json!({"image_id": 1, "bbox": [10, 10, 30, 30], "iscrowd": crowd})),
    ));
    let folder = Folder::new();
    folder.image("a.png", 100, 50);
    let object = |crowd: &Value| json!({"label": "x", "topX": 0.1, "topY": 0.2, "bottomX": 0.4, "bottomY": 0.8, "isCrowd": crowd});
    let row = json!({"image_url": "a.png", "label": Vec::from_iter(crowds.iter().map(object))});
    let rows = rows::read(&folder.write("t.jsonl", row.to_string()), None).unwrap();
    let shape = |crowd| json!({"label": "x", "points": [[10, 10], [40, 10], [40, 40]], "flags": {"iscrowd": crowd}});
    let shapes = Vec::from_iter(crowds.iter().map(shape));
    folder.write("l/a.json", json!({"shapes": shapes, "imagePath": "../a.png"}).to_string());
    let labelme = labelme::read(&folder.path("l"), Some(&folder.path("")), Sizes::Fitting).unwrap().remove(0);
    let shape = |crowd: &Value| {
        let crowd = crowd.as_str().map_or_else(|| crowd.to_string(), str::to_owned);
        format!(
            "<polygon label='x' points='10,10;40,10;40,40'><attribute name='is_crowd'>{crowd}</attribute></polygon>"
        )
    };
    let shapes: String = crowds.iter().map(shape).collect();
    let xml = format!("<annotations><image name='a.png' width='100' height='50'>{shapes}</image></annotations>");
    let cvat = cvat::read(&folder.write("c.xml", xml), None, Sizes::Fitting).unwrap().remove(0);
    for part in [coco, rows, labelme, cvat] {
        let found: Vec<bool> = part.images[0].objects.iter().map(|one| one.is_crowd).collect();
        assert_eq!((found, part.lost), (vec![true, false], 2), "{:?}", part.left_out);
        for value in ["2", "maybe"] {
            let said = |reason: &str| reason.contains(value) && reason.ends_with("it must be true or 1, or false or 0");
            assert_eq!(part.left_out.iter().filter(|one| said(&one.reason)).count(), 1, "{:?}", part.left_out);
        }
    }
    // What means a crowd and is none to a training is neither.
    let row = json!({"image_url": "a.png", "label": [object(&json!("TRUE")), object(&json!(true))]});
    let part = rows::read(&folder.write("t.jsonl", row.to_string()), None).unwrap();
    assert!(part.images[0].objects.len() == 1 && part.left_out[0].reason.contains("\"TRUE\""), "{:?}", part.left_out);
    // The older form has one object beside its label.
    let mut row = object(&json!(2));
    row["image_url"] = "a.png".into();
    let message = rows::read(&folder.write("t.jsonl", row.to_string()), None).unwrap_err().to_string();
    assert!(message.contains("isCrowd is 2"), "{message}");
}

#[test]
fn other_layouts_list_segments_too() {
    let folder = Folder::new();
    folder.image("a.png", 100, 50);
    let shape = |points: Value| json!({"label": "x", "group_id": 1, "points": points});
    let shapes = [shape(json!([[10, 10], [40, 10], [40, 40]])), shape(json!([[200, 10], [240, 10], [240, 40]]))];
    folder.write("a.json", json!({"shapes": shapes, "imagePath": "a.png"}).to_string());
    let part = labelme::read(&folder.path("a.json"), None, Sizes::Fitting).unwrap().remove(0);
    assert_eq!(listed(&part), [("shape 0, segment 1", "it lies outside of the image of 100 x 50")]);
    assert_eq!(part.images[0].objects[0].corners, [0.1, 0.2, 0.4, 0.8]);
    let bndbox = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>";
    let polygon = |second: &str| {
        format!("<polygon><x1>10</x1><y1>10</y1><x2>{second}</x2><y2>10</y2><x3>40</x3><y3>40</y3></polygon>")
    };
    let object = |inner: String| format!("<object><name>x</name>{bndbox}{inner}</object>");
    let objects = [
        object(polygon("40")),
        object(polygon("?")),
        object(polygon("40") + &polygon("?")),
        object("<polygon/>".to_owned()),
    ];
    folder.write("v/a.xml", format!("<annotation>{}</annotation>", objects.concat()));
    folder.image("v/a.png", 100, 50);
    let part = voc::read(&folder.path("v"), None, Pixels::Corners, Sizes::Fitting).unwrap().remove(0);
    let polygons: Vec<usize> = part.images[0].objects.iter().map(|one| one.polygon.len()).collect();
    assert_eq!(polygons, [1, 0, 1, 0]);
    let places: Vec<&str> = listed(&part).iter().map(|(place, _)| *place).collect();
    assert_eq!(places, ["object 1", "object 2, segment 1"]);
    // A triangle beside a corner of the image, whose box reaches in.
    folder.image("y/images/a.png", 100, 50);
    folder.write("y/labels/a.txt", "0 -0.4 0.4 0.2 -0.8 -0.4 -0.8\n0 0.1 0.1 0.4 0.1 0.4 0.4\n");
    let part =
        yolo::read(&folder.write("y/data.yaml", "train: images\nnames: [x]\ntask: segment\n"), None).unwrap().remove(0);
    assert_eq!((part.images[0].objects.len(), part.lost), (1, 1), "{:?}", part.left_out);
    assert!(part.left_out[0].reason.contains("lies outside"), "{:?}", part.left_out);
}
