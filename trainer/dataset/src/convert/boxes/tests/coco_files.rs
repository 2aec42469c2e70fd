//! COCO files of other programs.

use serde_json::{Value, json};

use super::super::{Part, Sizes, coco, rows};
use super::{Folder, order};

/// Two images of 64 x 48 with a box each, and two classes.
fn plain() -> Value {
    json!({
        "images": [
            {"id": 1, "file_name": "a.png", "width": 64, "height": 48},
            {"id": 2, "file_name": "b.png", "width": 64, "height": 48}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [16, 12, 16, 12]},
            {"id": 2, "image_id": 2, "category_id": 2, "bbox": [16, 12, 16, 12]}],
        "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}],
    })
}

fn folder() -> Folder {
    let folder = Folder::new();
    for name in ["a.png", "b.png", "c.png"] {
        folder.image(name, 64, 48);
    }
    folder
}

fn read(folder: &Folder, file: &Value) -> Result<Part, String> {
    read_text(folder, file.to_string())
}

fn read_text(folder: &Folder, text: impl AsRef<[u8]>) -> Result<Part, String> {
    coco::read(&folder.write("c.json", text), None, Sizes::Fitting).map_err(|error| error.to_string())
}

/// Reads what `change` makes of a good file.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Part, String> {
    let mut file = plain();
    change(&mut file);
    read(&folder(), &file)
}

fn corners(part: &Part) -> Vec<[f64; 4]> {
    part.images.iter().flat_map(|image| &image.objects).map(|object| object.corners).collect()
}

fn places(part: &Part) -> Vec<&str> {
    part.left_out.iter().map(|one| one.place.as_str()).collect()
}

const QUARTER: [f64; 4] = [0.25, 0.25, 0.5, 0.5];

#[test]
fn fractions_are_recognised_and_said() {
    let fractions = |boxes: [Value; 2]| {
        changed(|file| {
            for (at, one) in boxes.into_iter().enumerate() {
                file["annotations"][at]["bbox"] = one;
            }
        })
    };
    let quarter = || json!([0.25, 0.25, 0.25, 0.25]);
    let part = fractions([quarter(), json!([0.5, 0.5, 0.52, 0.5])]).unwrap();
    assert_eq!(corners(&part), [QUARTER, [0.5, 0.5, 1.0, 1.0]]);
    assert!(part.cut == 1 && part.assumed[0].contains("fractions"), "{part:?}");
    // The whole image, and a box that is none.
    assert_eq!(corners(&fractions([quarter(), json!([0, 0, 1, 1])]).unwrap())[1], [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(corners(&fractions([quarter(), json!([0, 0, 0, 0])]).unwrap()), [QUARTER]);
    let message = fractions([quarter(), json!([16, 12, 16, 12])]).unwrap_err();
    assert!(message.contains("(annotation 1)") && message.contains("(annotation 2)"), "{message}");
    // A pixel of the corner is no fraction among pixels.
    assert_eq!(corners(&fractions([json!([0, 0, 1, 1]), json!([16, 12, 16, 12])]).unwrap())[1], QUARTER);
}

#[test]
fn outlines_alone_tell_the_unit_too() {
    let outline = |scale: [f64; 2]| {
        let points = [0.25, 0.25, 0.5, 0.25, 0.5, 0.5];
        json!([points.iter().enumerate().map(|(at, value)| value * scale[at % 2]).collect::<Vec<_>>()])
    };
    for scale in [[1.0, 1.0], [64.0, 48.0]] {
        let part = changed(|file| {
            for at in 0..2 {
                file["annotations"][at] =
                    json!({"id": at, "image_id": 1, "category_id": 1, "segmentation": outline(scale)});
            }
        });
        assert_eq!(corners(&part.unwrap()), [QUARTER; 2], "{scale:?}");
    }
    // An outline that is not counted as its box would win over the box in training.
    let part = changed(|file| file["annotations"][0]["segmentation"] = outline([1.0, 1.0])).unwrap();
    assert_eq!((corners(&part), places(&part)), (vec![QUARTER; 2], vec!["annotation 1"]));
    assert!(part.images[0].objects[0].polygon.is_empty());
}

#[test]
fn one_box_of_many_in_the_other_unit_is_left_out() {
    for (many, one) in
        [(json!([16, 12, 16, 12]), json!([0.1, 0.2, 0.3, 0.4])), (json!([0.25, 0.25, 0.25, 0.25]), json!([1, 1, 9, 9]))]
    {
        let part = changed(|file| {
            let all = (0..150).map(|id| json!({"id": id, "image_id": 1, "category_id": 1, "bbox": many}));
            file["annotations"] = all.collect();
            file["annotations"][7]["bbox"] = one;
        });
        let part = part.unwrap();
        assert_eq!((corners(&part), places(&part)), (vec![QUARTER; 149], vec!["annotation 7"]));
    }
}

#[test]
fn ids_that_mean_two_things_are_refused_with_both_places() {
    let twice = |key: &str, element: Value| changed(|file| file[key].as_array_mut().unwrap().push(element));
    let message = twice("images", json!({"id": "1", "file_name": "c.png"})).unwrap_err();
    assert!(message.contains("images[0] (a.png) and images[2] (c.png) have the same id 1"), "{message}");
    let message = twice("categories", json!({"id": 1.0, "name": "z"})).unwrap_err();
    assert!(message.contains("categories[0] and categories[2] have the id 1"), "{message}");
    for (key, element) in [
        ("images", json!({"id": 1, "file_name": "a.png", "width": 64, "height": 48})),
        ("categories", json!({"id": 1, "name": "x", "supercategory": "none"})),
        ("annotations", json!({"id": 1, "image_id": 2, "category_id": 1, "bbox": [16, 12, 16, 12]})),
    ] {
        let part = twice(key, element).unwrap();
        assert!(part.images.len() == 2 && part.left_out.is_empty() && part.assumed.is_empty(), "{key}: {part:?}");
    }
}

#[test]
fn one_file_or_name_under_two_ids_is_united_and_said() {
    let part = changed(|file| {
        file["images"][1] = json!({"id": 2, "file_name": "./a.png", "width": 64, "height": 48});
        file["categories"][1]["name"] = "x".into();
    });
    // The spelling of a path is no other file.
    let part = part.unwrap();
    assert_eq!((part.images.len(), corners(&part).len()), (1, 2), "{part:?}");
    let assumed = part.assumed.join("\n");
    assert!(assumed.contains("images[0] and images[1]") && assumed.contains("both named \"x\""), "{assumed}");
    let message = changed(|file| file["images"][1] = json!({"id": 2, "file_name": "a.png", "width": 32, "height": 24}));
    assert!(message.unwrap_err().contains("different sizes"));
    // Names of different folders are not one image because only one file is left.
    let part = changed(|file| {
        file["images"][0]["file_name"] = "one/c.png".into();
        file["images"][1]["file_name"] = "two/c.png".into();
        file["images"].as_array_mut().unwrap().push(json!({"id": 3, "file_name": "a.png"}));
        file["annotations"]
            .as_array_mut()
            .unwrap()
            .push(json!({"image_id": 3, "category_id": 1, "bbox": [16, 12, 16, 12]}));
    });
    let part = part.unwrap();
    assert_eq!((part.images.len(), places(&part)), (1, vec!["image 1", "image 2"]));
}

#[test]
fn a_bad_element_does_not_end_the_file() {
    let part = changed(|file| {
        file["images"].as_array_mut().unwrap().extend([
            json!(null),
            json!({"id": 3}),
            json!({"id": 4, "file_name": 5}),
            json!({"id": 5, "file_name": "gone.png"}),
        ]);
        file["categories"].as_array_mut().unwrap().extend([json!(7), json!({"id": 3, "name": null})]);
        file["annotations"].as_array_mut().unwrap().extend([
            json!(null),
            json!({"id": 4, "image_id": null, "category_id": 1, "bbox": [1, 2, 3, 4]}),
            json!({"id": 5, "image_id": 1, "category_id": 1, "bbox": ["?", 2, 3, 4]}),
            json!({"id": 6, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}),
            json!({"id": 7, "image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4]}),
            json!({"id": 8, "image_id": 1, "category_id": 1}),
        ]);
    });
    let part = part.unwrap();
    assert_eq!(corners(&part), [QUARTER; 2]);
    let wanted = [
        "categories[2]",
        "categories[3]",
        "images[2]",
        "images[3]",
        "images[4]",
        "annotations[2]",
        "annotations[3]",
        "annotations[4]",
        "annotation 6",
        "image 5",
        "annotation 8",
    ];
    assert_eq!(places(&part), wanted);
    assert!(part.left_out[9].reason.ends_with("its object goes with it"), "{}", part.left_out[9]);
}

#[test]
fn numbers_as_texts_marks_and_nan_are_read() {
    let text = r#"{"info": {"x": NaN, "y": [Infinity, -Infinity, "NaN"]},
        "images": [{"id": "1", "file_name": "a.png", "width": "64", "height": 48.0, "score": NaN},
                   {"id": 2.0, "file_name": "b.png", "width": 0, "height": null}],
        "annotations": [{"id": 1, "image_id": 1.0, "category_id": "1", "bbox": ["16", "12.0", 16, 12], "iscrowd": "1"},
                        {"id": 2, "image_id": "2", "category_id": 1, "bbox": [16, 12, 16, 12], "iscrowd": 1.0, "area": NaN}],
        "categories": [{"id": 1.0, "name": 7}]}"#;
    let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for bytes in [text.as_bytes().to_vec(), format!("\u{feff}{text}").into_bytes(), utf16] {
        let part = read_text(&folder(), bytes).unwrap();
        assert_eq!((corners(&part), part.left_out.as_slice()), (vec![QUARTER; 2], &[][..]));
        assert!(part.images.iter().flat_map(|image| &image.objects).all(|one| one.is_crowd && one.label == "7"));
    }
}

#[test]
fn categories_may_be_names_by_id_but_not_missing() {
    let part = changed(|file| file["categories"] = json!({"1": "x", "2": "y"})).unwrap();
    assert_eq!(part.images[1].objects[0].label, "y");
    for categories in [json!([]), json!(null), json!("x")] {
        let message = changed(|file| file["categories"] = categories).unwrap_err();
        assert!(message.contains("categories"), "{message}");
    }
}

#[test]
fn masks_give_boxes() {
    // Columns 16 to 31 of 64, rows 12 to 23 of 48.
    let mut counts = vec![16 * 48 + 12];
    (0..16).for_each(|_| counts.extend([12, 36]));
    counts.pop();
    counts.push(64 * 48 - counts.iter().sum::<i32>());
    let with = |size: [u32; 2]| {
        changed(|file| {
            file["annotations"][0] = json!({"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 1,
                "segmentation": {"size": size, "counts": counts}});
        })
    };
    assert_eq!(corners(&with([48, 64]).unwrap()), [QUARTER; 2]);
    let part = with([64, 48]).unwrap();
    assert!(part.left_out[0].reason.contains("mask"), "{part:?}");
}

#[test]
fn other_files_are_named() {
    for (file, part) in [
        (json!([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]), "results"),
        (json!([{"image": "a.png", "annotations": []}]), "CreateML"),
        (json!([{"data": {}, "annotations": []}]), "Label Studio"),
        (json!([]), "is a list"),
        (json!({"version": "5.0", "flags": {}, "shapes": [], "imagePath": "a.png"}), "LabelMe"),
        (json!({"_via_settings": {}, "_via_img_metadata": {}}), "VIA"),
        (json!({"a.png123": {"filename": "a.png", "regions": []}}), "VIA"),
        (json!({"image_url": "a.png", "label": []}), "JSONL"),
        (json!({"annotations": []}), "no images"),
        (json!({"images": {"1": {}}, "annotations": []}), "no list"),
        (json!({"images": [], "annotations": 7}), "not a list"),
        (json!("x"), "JSON"),
    ] {
        let message = read(&folder(), &file).unwrap_err();
        assert!(message.contains(part), "{file}: {message}");
    }
    assert!(read_text(&folder(), "{").unwrap_err().contains("JSON"));
}

#[test]
fn images_are_found_in_the_usual_folders_and_under_odd_names() {
    for (file, image, name) in [
        ("annotations/instances_val2017.json", "val2017/a.png", "a.png"),
        ("annotations/instances_val2017.json", "images/val2017/a.png", "a.png"),
        ("annotations/train.json", "train/a.png", "a.png"),
        ("annotations/train.json", "images/a.png", "a.png"),
        ("annotations/train.json", "images/a.png", "images\\a.png"),
        ("train.json", "images/a.png", "a.png"),
        ("train.json", "images/a b.png", "https://host/a%20b.png?x=1"),
    ] {
        let folder = Folder::new();
        folder.image(image, 64, 48);
        folder.write("images/._a.png", "x");
        let mut text = plain();
        text["images"] = json!([{"id": 1, "file_name": name}]);
        let part = coco::read(&folder.write(file, text.to_string()), None, Sizes::Fitting).unwrap();
        assert_eq!(part.images[0].path, folder.path(image), "{file} {image}");
        assert!(part.assumed.iter().any(|note| note.contains("1 image is")) || name.contains('\\'), "{part:?}");
    }
}

#[test]
fn where_nothing_is_left_the_first_three_are_named() {
    let folder = Folder::new();
    let mut file = plain();
    file["images"] =
        (1..6).map(|id| json!({"id": id, "file_name": format!("{id}.png"), "width": 9, "height": 9})).collect();
    let message = read(&folder, &file).unwrap_err();
    for part in ["--images", "1.png is not there", "3.png is not there", "and 2 more"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("4.png"), "{message}");
    let message = changed(|file| {
        for at in 0..2 {
            file["annotations"][at]["bbox"] = json!([500, 500, 10, 10]);
        }
    });
    assert!(message.unwrap_err().contains("no object"));
    // A missing image is no reason to refuse images without objects.
    let part = changed(|file| {
        file["annotations"] = json!([]);
        file["images"][1]["file_name"] = "gone.png".into();
    });
    assert_eq!(part.unwrap().images.len(), 1);
}

#[test]
fn a_photograph_that_is_stored_turned_keeps_its_boxes() {
    let folder = Folder::new();
    for name in ["a.png", "b.png"] {
        folder.turned(name, [64, 48], 6);
    }
    let mut file = plain();
    for at in 0..2 {
        file["annotations"][at]["bbox"] = json!([12, 16, 12, 16]);
    }
    let part = read(&folder, &file).unwrap();
    assert_eq!(corners(&part), [QUARTER; 2]);
    assert!(part.assumed[0].contains("EXIF"), "{part:?}");
    file["annotations"][0]["bbox"] = json!([48, 12, 12, 12]);
    let part = read(&folder, &file).unwrap();
    assert_eq!(corners(&part)[0], [0.5, 0.75, 0.75, 0.9375]);
}

#[test]
fn what_is_left_out_is_listed_beside_and_an_old_list_goes() {
    let folder = folder();
    let mut file = plain();
    file["annotations"][0]["bbox"] = json!([5, 5, 0, 0]);
    let bad = read(&folder, &file).unwrap();
    let output = folder.path("out.jsonl");
    let list = folder.path("out.left_out.txt");
    folder.write("out.left_out.txt", "mine");
    assert!(rows::write_file(&order(&output), &bad).is_err() && !output.exists());
    std::fs::remove_file(&list).unwrap();
    rows::write_file(&order(&output), &bad).unwrap();
    assert!(std::fs::read_to_string(&list).unwrap().contains("annotation 1: its box"));
    let good = read(&folder, &plain()).unwrap();
    rows::write_file(&files::Order { overwrite: true, ..order(&output) }, &good).unwrap();
    assert!(!list.exists());
}

#[test]
fn ids_with_other_zeros_are_matched_where_one_alone_is_meant() {
    let part = changed(|file| {
        file["images"][0]["id"] = "007".into();
        file["annotations"][0]["image_id"] = 7.into();
        file["categories"][1]["id"] = "02".into();
    })
    .unwrap();
    assert_eq!((corners(&part).len(), part.left_out.len()), (2, 0));
    assert!(
        part.assumed.iter().any(|note| note.contains("2 ids") && note.contains("image_id 7 for image 007")),
        "{part:?}"
    );
    let message = changed(|file| {
        file["images"][0]["id"] = "007".into();
        file["images"][1]["id"] = "07".into();
        file["annotations"][0]["image_id"] = 7.into();
    })
    .unwrap_err();
    for part in ["annotation 1", "image 007", "image 07"] {
        assert!(message.contains(part), "{message}");
    }
    // An id that is there is meant, whatever else there is.
    let part = changed(|file| file["images"][1]["id"] = "01".into()).unwrap();
    assert_eq!(part.left_out.len(), 1, "{part:?}");
}

#[test]
fn what_macos_leaves_is_no_image_though_it_is_named() {
    let folder = folder();
    folder.write("._b.png", "junk");
    let mut file = plain();
    file["images"][1]["file_name"] = "._b.png".into();
    let part = read(&folder, &file).unwrap();
    assert_eq!((part.images.len(), places(&part)), (1, vec!["image 2"]));
    assert!(part.left_out[0].reason.contains("macOS"), "{part:?}");
}

/// Without its objects an image would teach that nothing is there.
#[test]
fn an_image_of_which_no_annotation_can_be_used_is_left_out_too() {
    for bad in [json!([16, 12, 0, 12]), json!([16, 12, 16]), json!([900, 900, 5, 5])] {
        let part = changed(|file| file["annotations"][0]["bbox"] = bad.clone()).unwrap();
        assert_eq!(part.images.len(), 1, "{bad}: {:?}", part.left_out);
        assert!(part.images[0].path.ends_with("b.png") && part.left_out.len() == 2, "{bad}: {:?}", part.left_out);
        assert!(part.left_out.iter().any(|one| one.reason.contains("none of its objects")), "{bad}");
    }
    let unknown = changed(|file| file["annotations"][0]["category_id"] = json!(77)).unwrap();
    assert_eq!(unknown.images.len(), 1, "{:?}", unknown.left_out);
    // An image without annotations is background.
    let empty = changed(|file| drop(file["annotations"].as_array_mut().unwrap().remove(0))).unwrap();
    assert_eq!((empty.images.len(), empty.left_out.len()), (2, 0));
}
