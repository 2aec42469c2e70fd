//! Folders and lists.

use std::{fs, os::unix::fs::symlink};

use image::ImageFormat::Png;
use serde_json::{Value, json};

use crate::support::{Place, image};

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["filename"].as_str().unwrap_or("-")).collect()
}

#[test]
fn a_folder_is_walked_by_name_and_what_is_left_out_is_said() {
    let place = Place::new();
    for name in ["b.png", "a/z.PNG", "a/y.jpg", "a.png", "c/d/e.bmp", ".hidden.png", ".git/x.png"] {
        place.write(&format!("images/{name}"), image(1, 20, Png));
    }
    place.write("images/notes.txt", "x");
    place.write("images/broken.png", &image(1, 20, Png)[..60]);
    place.write("images/empty.gif", "");
    symlink(".", place.path("images/loop")).unwrap();
    symlink("b.png", place.path("images/link.png")).unwrap();
    symlink("nowhere", place.path("images/lost.png")).unwrap();
    let scored = place.score("tiny_prepared.onnx", "images/", &[]).ended(1);
    let lines = place.lines("out.jsonl");
    let expected =
        ["a/y.jpg", "a/z.PNG", "a.png", "b.png", "broken.png", "c/d/e.bmp", "empty.gif", "link.png", "lost.png"];
    assert_eq!(names(&lines), expected.map(|name| format!("images/{name}")));
    let codes: Vec<&str> = lines.iter().filter_map(|line| line["error"]["code"].as_str()).collect();
    assert_eq!(codes, ["invalid_image", "invalid_image", "file_not_found"]);
    for said in ["scoring 9 images", "1 without the ending of an image", "2 hidden", "1 links to folders"] {
        assert!(scored.log().contains(said), "{}", scored.log());
    }
}

#[test]
fn a_list_may_hold_every_kind_of_path_and_bad_lines_are_answered_in_their_place() {
    let place = Place::with_images(2);
    let absolute = place.path("images/000.png");
    place.write("images/a b.png", image(3, 20, Png));
    let lines = [
        json!({ "image_url": "images/000.png" }).to_string(),
        json!({ "image_url": absolute }).to_string(),
        json!({ "image_url": format!("file://{}", absolute.display()) }).to_string(),
        json!({ "image_url": "images/a%20b.png", "label": {"what": "ever"} }).to_string(),
        String::new(),
        "{\"image_url\": ".to_owned(),
        json!({ "label": "x" }).to_string(),
        json!({ "image_url": "https://example.org/a.png" }).to_string(),
        json!({ "image_url": "images" }).to_string(),
        json!({ "image_url": "images/none.png" }).to_string(),
    ];
    place.write("sub/list.jsonl", "");
    place.write("list.jsonl", lines.join("\n"));
    let scored = place.score("tiny_prepared.onnx", "list.jsonl", &["--json"]).ended(1).json();
    assert_eq!((&scored["images"], &scored["failed"]), (&json!(9), &json!(5)));
    let answers = place.lines("out.jsonl");
    assert_eq!(answers[0]["probs"], answers[1]["probs"]);
    assert_eq!(answers[0]["probs"], answers[2]["probs"]);
    assert!(answers[3]["probs"].is_array());
    assert_eq!(answers[2]["filename"], format!("file://{}", absolute.display()));
    let codes: Vec<&str> = answers[4..].iter().map(|line| line["error"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["invalid_json", "invalid_json", "file_not_found", "invalid_image", "file_not_found"]);
    let message = answers[4]["error"]["message"].as_str().unwrap();
    assert!(answers[4]["filename"].is_null() && message.contains("line 6"), "{}", answers[4]);
}

#[test]
fn limits_are_answered_in_their_place() {
    let place = Place::new();
    place.write("images/large.png", image(1, 300, Png));
    place.write("images/small.png", image(1, 20, Png));
    place.write("images/huge.png", vec![0; (1 << 20) + 1]);
    place.score("tiny_prepared.onnx", "images", &["--max-side", "299", "--max-file", "1"]).ended(1);
    let lines = place.lines("out.jsonl");
    for (line, said) in lines.iter().zip(["--max-file", "299"]) {
        assert_eq!(line["error"]["code"], "image_too_large");
        assert!(line["error"]["message"].as_str().unwrap().contains(said), "{line}");
    }
    assert!(lines[2]["probs"].is_array());
    assert_eq!(fs::read_dir(place.path(".")).unwrap().count(), 2);
}
