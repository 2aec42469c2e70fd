//! `convert coco`: exit codes, and what is said of what was left out.

use std::fs;

use serde_json::{Value, json};

use crate::support::{expect, run};

#[test]
fn what_is_left_out_is_named_and_nothing_left_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let image = models::host::encode_png(&models::host::Rgb::filled(64, 48, [9, 8, 7]));
    fs::write(path("a.png"), image).unwrap();
    let file = |images: Value| {
        let annotation = json!({"id": 1, "image_id": 1, "category_id": 1, "bbox": [-3, 12, 19, 12]});
        let text = json!({"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "x"}]});
        fs::write(path("c.json"), text.to_string()).unwrap();
    };
    file(json!([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}]));
    let text = expect(0, ["convert", "coco", &path("c.json"), "--output", &path("one.jsonl")]);
    for part in ["1 left out", "gone.png is not there", "cut at its edge: 1", &path("one.left_out.txt")] {
        assert!(text.contains(part), "{text}");
    }
    assert!(fs::read_to_string(path("one.left_out.txt")).unwrap().contains("image 2"));
    let text = expect(0, ["convert", "coco", &path("c.json"), "--output", &path("all"), "--json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["left_out_list"], path("all/left_out.txt"));
    assert_eq!(answer["written"][0]["cut"], 1);
    file(json!((1..6).map(|id| json!({"id": id, "file_name": format!("gone{id}.png")})).collect::<Vec<_>>()));
    let output = run(["convert", "coco", &path("c.json"), "--output", &path("two.jsonl")]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for part in ["--images", "gone1.png", "gone3.png", "and 2 more"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!folder.path().join("two.jsonl").exists());
}
