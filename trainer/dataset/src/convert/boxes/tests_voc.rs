//! VOC folders of other tools: what is read, what is left out, and where images are found.

use super::tests::Folder;
use super::voc::{Pixels, read};
use super::{Part, Sizes};

fn object(name: &str, corners: [&str; 4]) -> String {
    let [x1, y1, x2, y2] = corners;
    format!(
        "<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
    )
}

fn cat() -> String {
    object("cat", ["10", "5", "50", "25"])
}

fn xml(head: &str, objects: &str) -> String {
    format!("<annotation>{head}<size><width>100</width><height>50</height></size>{objects}</annotation>")
}

fn parts(folder: &Folder, root: &str) -> Result<Vec<Part>, String> {
    read(&folder.path(root), None, Pixels::Corners, Sizes::Fitting).map_err(|error| error.to_string())
}

#[track_caller]
fn one(folder: &Folder, root: &str) -> Part {
    let mut parts = parts(folder, root).unwrap();
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

fn names(part: &Part) -> Vec<String> {
    part.images.iter().map(|image| image.path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn an_annotation_with_an_old_name_inside_has_the_image_of_its_own() {
    let folder = Folder::new();
    for name in ["im1", "im2"] {
        folder.image(&format!("d/JPEGImages/{name}.jpg"), 100, 50);
        folder.write(&format!("d/Annotations/{name}.xml"), xml("<filename>im1.jpg</filename>", &cat()));
    }
    let part = one(&folder, "d");
    assert_eq!(names(&part), ["im1.jpg", "im2.jpg"]);
    assert!(
        part.assumed.len() == 1 && part.assumed[0].starts_with("1 annotations name another image"),
        "{:?}",
        part.assumed
    );
    // A copy without an image of its own would add its boxes to another's.
    folder.write("d/Annotations/copy.xml", xml("<filename>im1.jpg</filename>", &cat()));
    let part = one(&folder, "d");
    assert_eq!((names(&part).len(), part.left_out.len()), (2, 1));
    let reason = &part.left_out[0].reason;
    assert!(reason.contains("im1.jpg is described by") && reason.contains("im1.xml"), "{reason}");
}

#[test]
fn images_are_found_in_the_layouts_of_other_tools() {
    for (annotation, image, head, root) in [
        ("d/annotations/a.xml", "d/images/a.jpg", "<filename>a.jpg</filename>", "d"),
        ("d/annotations/a.xml", "d/images/a.jpg", "<filename>a.jpg</filename>", "d/annotations"),
        ("d/a.xml", "d/a.jpg", "<folder>x</folder><filename>a.jpg</filename>", "d"),
        ("d/a.xml", "d/a.JPG", "<filename>a</filename>", "d"),
        ("d/xml/a.xml", "d/JPEGImages/b.png", "<path>C:\\other\\place\\b.png</path>", "d"),
        ("d/Annotations/x/a.xml", "d/images/deep/down/a.jpg", "<filename>a.jpg</filename>", "d"),
    ] {
        let folder = Folder::new();
        folder.image(image, 100, 50);
        folder.write(annotation, xml(head, &cat()));
        let part = one(&folder, root);
        assert_eq!((part.images.len(), part.left_out.len()), (1, 0), "{annotation} {image}");
        assert_eq!(part.images[0].objects[0].corners, [0.1, 0.1, 0.5, 0.5]);
    }
    let folder = Folder::new();
    for part in ["Train", "valid"] {
        folder.image(&format!("r/{part}/a.jpg"), 100, 50);
        folder.write(&format!("r/{part}/a.xml"), xml("<filename>a.jpg</filename>", &cat()));
    }
    let found: Vec<String> = parts(&folder, "r").unwrap().into_iter().map(|part| part.name).collect();
    assert_eq!(found, ["train", "validation"]);
}

#[test]
fn one_bad_object_or_file_is_left_out_alone() {
    let folder = Folder::new();
    for name in ["a", "b"] {
        folder.image(&format!("d/JPEGImages/{name}.jpg"), 100, 50);
    }
    let objects = cat()
        + "<object><bndbox><xmin>1</xmin></bndbox></object>"
        + &object("dog", ["a", "1", "9", "9"])
        + "<object><name>dog</name></object>"
        + &object("dog", ["50.0", "5", "10", "25.0"])
        + "<object><name>man</name><part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part><bndbox><ymax>25</ymax><xmax>50</xmax><ymin>5</ymin><xmin>10</xmin></bndbox></object>";
    folder.write("d/Annotations/a.xml", xml("", &objects));
    folder.write("d/Annotations/b.xml", "<annotation><object>");
    folder.write("d/Annotations/c.xml", "<html></html>");
    folder.write("d/Annotations/._a.xml", "junk");
    let part = one(&folder, "d");
    assert_eq!(names(&part), ["a.jpg"]);
    let labels: Vec<&str> = part.images[0].objects.iter().map(|object| object.label.as_str()).collect();
    assert_eq!(labels, ["cat", "dog", "man"]);
    assert!(part.images[0].objects.iter().all(|object| object.corners == [0.1, 0.1, 0.5, 0.5]));
    assert_eq!(part.left_out.len(), 5, "{:?}", part.left_out);
    assert!(part.assumed.iter().any(|note| note.starts_with("1 boxes have their corners in another order")));
}

#[test]
fn text_is_read_in_the_encoding_that_is_declared() {
    let folder = Folder::new();
    folder.image("d/JPEGImages/a.jpg", 100, 50);
    let text = xml("", &object("M\u{fc}ll", ["10", "5", "50", "25"]));
    let latin: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    folder.write("d/Annotations/a.xml", [b"<?xml version='1.0' encoding='ISO-8859-1'?>".to_vec(), latin].concat());
    assert_eq!(one(&folder, "d").images[0].objects[0].label, "M\u{fc}ll");
    let wide: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    folder.write("d/Annotations/a.xml", wide);
    assert_eq!(one(&folder, "d").images[0].objects[0].label, "M\u{fc}ll");
}

#[test]
fn a_declared_size_is_compared_with_the_file() {
    let folder = Folder::new();
    // Stored 100 x 50 and seen as 50 x 100, as a telephone writes it.
    folder.turned("d/JPEGImages/a.jpg", [100, 50], 6);
    let corners = |boxes: [&str; 4]| {
        folder.write("d/Annotations/a.xml", xml("", &object("cat", boxes)));
        let part = one(&folder, "d");
        assert!(part.assumed.iter().any(|note| note.contains("EXIF")), "{:?}", part.assumed);
        part.images[0].objects[0].corners
    };
    assert_eq!(corners(["10", "60", "20", "80"]), [0.2, 0.6, 0.4, 0.8], "drawn on the image as it is seen");
    assert_eq!(corners(["60", "10", "80", "20"]), [0.6, 0.6, 0.8, 0.8], "drawn before the rotation");
    // A size that is simply wrong: only one of the two frames holds the box.
    folder.image("d/JPEGImages/a.jpg", 400, 200);
    folder.write("d/Annotations/a.xml", xml("", &object("cat", ["200", "50", "300", "150"])));
    assert_eq!(one(&folder, "d").images[0].objects[0].corners, [0.5, 0.25, 0.75, 0.75]);
    folder.write("d/Annotations/a.xml", xml("", &cat()));
    let message = parts(&folder, "d").unwrap_err();
    assert!(message.contains("declares 100 x 50") && message.contains("--sizes"), "{message}");
}

#[test]
fn lists_may_name_files_and_what_is_not_there() {
    let folder = Folder::new();
    folder.image("d/JPEGImages/a.jpg", 100, 50);
    folder.write("d/Annotations/a.xml", xml("", &cat()));
    folder.write("d/ImageSets/Main/val.txt", "a.jpg\r\n\ngone\n");
    folder.write("d/ImageSets/Main/cat_val.txt", "a 1\n");
    let part = one(&folder, "d");
    assert_eq!((part.name.as_str(), part.images.len(), part.left_out.len()), ("validation", 1, 1));
    assert!(part.left_out[0].source.ends_with("gone.xml"));
}

#[test]
fn lists_name_images_with_blanks_and_numbers() {
    let folder = Folder::new();
    for (list, name) in [("train", "photo 1"), ("val", "cat (2)"), ("test", "a 0")] {
        folder.image(&format!("d/JPEGImages/{name}.jpg"), 100, 50);
        folder.write(&format!("d/Annotations/{name}.xml"), xml("", &cat()));
        folder.write(&format!("d/ImageSets/Main/{list}.txt"), format!("{name}\n"));
        folder.write(&format!("d/ImageSets/Main/cat_{list}.txt"), format!("{name}  1\n"));
    }
    let parts = parts(&folder, "d").unwrap();
    let found: Vec<(&str, Vec<String>)> = parts.iter().map(|part| (part.name.as_str(), names(part))).collect();
    let wanted = [("test", "a 0.jpg"), ("train", "photo 1.jpg"), ("validation", "cat (2).jpg")];
    assert_eq!(found, wanted.map(|(part, image)| (part, vec![image.to_owned()])));
}

#[test]
fn nothing_that_can_be_used_is_an_error() {
    let folder = Folder::new();
    folder.write("d/Annotations/a.xml", xml("<filename>a.jpg</filename>", &cat()));
    let message = parts(&folder, "d").unwrap_err();
    assert!(message.contains("--images FOLDER") && message.contains("a.jpg"), "{message}");
    folder.write("e/readme.txt", "x");
    assert!(parts(&folder, "e").unwrap_err().contains("holds no annotation"));
    let file = folder.write("f.xml", "x");
    let message = read(&file, None, Pixels::Corners, Sizes::Fitting).unwrap_err().to_string();
    assert!(message.contains("is no folder"), "{message}");
}

#[test]
fn files_of_every_shape_are_read_or_named() {
    let folder = Folder::new();
    for name in ["a.jpg", "b.jpg", "c d.jpg", "e%20f.jpg"] {
        folder.image(&format!("d/JPEGImages/{name}"), 100, 50);
    }
    let twice = "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>\
                 <bndbox><xmin>2</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>";
    let nested =
        format!("<object><name>cat</name>{}{}</object>", object("dog", ["1", "1", "9", "9"]), "<deleted>0</deleted>");
    let deleted = cat().replace("</object>", "<deleted>1</deleted></object>");
    let rotated = "<object><name>cat</name><robndbox><cx>5</cx></robndbox></object>";
    let part = "<object><name>man</name><part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>\
                <bndbox><xmin>10</xmin><ymin>5</ymin><xmax>50</xmax><ymax>25</ymax></bndbox></object>";
    let objects = format!("<objects>{}</objects>{twice}{nested}{deleted}{rotated}{part}", cat());
    folder.write("d/Annotations/a.xml", xml("", &objects));
    // Commented numbers, text in CDATA, capitals, a size of 0, Python's words.
    let shouted = xml("", &object("<![CDATA[a & b]]>", ["1<!-- 5 -->0", "5", "50.0", "2.5e1"]))
        .replace("<width>100", "<width>0")
        .replace("</object>", "<difficult>True</difficult></object>")
        .to_uppercase()
        .replace("<![CDATA[A & B]]>", "<![CDATA[a & b]]>");
    folder.write("d/Annotations/b.xml", shouted);
    folder.write("d/Annotations/c d.xml", xml("<filename>c%20d.jpg</filename>", &cat()));
    folder.write("d/Annotations/e%20f.xml", xml("<path>D:\\x\\e%20f.jpg</path>", &cat()));
    folder.write("d/Annotations/joined.xml", xml("", &cat()) + &xml("", &cat()));
    folder.write("d/Annotations/cvat.xml", "<annotations><image name='a.jpg'/></annotations>");
    let found = one(&folder, "d");
    assert_eq!(names(&found), ["a.jpg", "b.jpg", "c d.jpg", "e%20f.jpg"]);
    let labels: Vec<&str> = found.images[0].objects.iter().map(|object| object.label.as_str()).collect();
    assert_eq!(labels, ["cat", "man"]);
    let shouted = &found.images[1].objects[0];
    assert_eq!((shouted.label.as_str(), shouted.corners, shouted.is_crowd), ("a & b", [0.1, 0.1, 0.5, 0.5], true));
    for (place, reason) in [
        ("object 1", "2 different bndbox"),
        ("object 2", "no bndbox"),
        ("object 3", "within another"),
        ("object 4", "deleted"),
        ("object 5", "rotated"),
        ("file", "one document"),
        ("file", "CVAT"),
    ] {
        let listed = found.left_out.iter().any(|one| one.place == place && one.reason.contains(reason));
        assert!(listed, "{place} {reason}: {:?}", found.left_out);
    }
    assert_eq!(found.left_out.len(), 7, "{:?}", found.left_out);
    assert!(found.assumed.iter().any(|note| note.starts_with("1 parts of objects")), "{:?}", found.assumed);
    assert!(!found.assumed.iter().any(|note| note.contains("name another image")), "{:?}", found.assumed);
}

#[test]
fn of_images_of_one_name_the_right_one_is_taken_or_none() {
    let folder = Folder::new();
    for name in ["a.jpg", "a.png"] {
        folder.image(&format!("d/JPEGImages/{name}"), 100, 50);
    }
    folder.write("d/Annotations/a.xml", xml("<filename>a.png</filename>", &cat()));
    assert_eq!(names(&one(&folder, "d")), ["a.png"]);
    folder.write("d/Annotations/a.xml", xml("", &cat()));
    let message = parts(&folder, "d").unwrap_err();
    assert!(message.contains("could be") && message.contains("a.png"), "{message}");

    // Folders of annotations beside folders of images.
    let folder = Folder::new();
    for part in ["one", "two"] {
        folder.image(&format!("d/images/{part}/a.jpg"), 100, 50);
        folder.write(
            &format!("d/annotations/{part}/a.xml"),
            xml("<filename>a.jpg</filename>", &object(part, ["10", "5", "50", "25"])),
        );
    }
    let found = one(&folder, "d");
    for image in &found.images {
        assert!(image.path.ends_with(format!("{}/a.jpg", image.objects[0].label)), "{image:?}");
    }
    assert_eq!((found.images.len(), found.left_out.len()), (2, 0));
    // Without its own image, an annotation does not take that of another folder.
    std::fs::remove_file(folder.path("d/images/one/a.jpg")).unwrap();
    let found = one(&folder, "d");
    assert_eq!((found.images.len(), found.images[0].objects[0].label.as_str()), (1, "two"));
    assert!(found.left_out[0].reason.contains("is described by"), "{:?}", found.left_out);
    // A flat folder of annotations says by <folder> which image is meant.
    let folder = Folder::new();
    for part in ["one", "two"] {
        folder.image(&format!("d/images/{part}/a.jpg"), 100, 50);
    }
    folder.write("d/annotations/x.xml", xml("<folder>two</folder><filename>a.jpg</filename>", &cat()));
    assert!(one(&folder, "d").images[0].path.ends_with("two/a.jpg"));
}

#[test]
fn lists_and_folders_that_are_none_of_a_part_are_said() {
    let folder = Folder::new();
    for name in ["my photo 1", "b"] {
        folder.image(&format!("d/JPEGImages/{name}.jpg"), 100, 50);
        folder.write(&format!("d/Annotations/{name}.xml"), xml("", &cat()));
    }
    folder.write("d/ImageSets/Main/train.txt", "my photo 1\nb\nb\n");
    folder.write("d/ImageSets/Main/cat_train.txt", "b  1\n");
    folder.write("d/ImageSets/Main/empty.txt", "\n");
    folder.write("d/ImageSets/Main/test.txt", "x\ny\n");
    let found = one(&folder, "d");
    assert_eq!(names(&found), ["my photo 1.jpg", "b.jpg"]);
    let reasons: Vec<&str> = found.left_out.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons, ["it names no annotation", "none of the 2 annotations that it names is there"]);

    let folder = Folder::new();
    for part in ["Train", "extra"] {
        folder.image(&format!("r/{part}/{part}.jpg"), 100, 50);
        folder.write(&format!("r/{part}/{part}.xml"), xml("", &cat()));
    }
    folder.write("r/annotations/instances.json", "{}");
    let found = one(&folder, "r");
    assert_eq!((found.name.as_str(), found.images.len()), ("train", 1));
    assert!(found.assumed[0].contains("extra are not read"), "{:?}", found.assumed);
    folder.image("r/loose.jpg", 100, 50);
    folder.write("r/loose.xml", xml("", &cat()));
    let found = one(&folder, "r");
    assert!(found.images.len() == 3 && found.assumed[0].contains("Train are put together"), "{:?}", found.assumed);
}
