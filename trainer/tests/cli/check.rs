//! `trainer check` through the binary: its answer, its page, its exit code; and what a training says of it.

use std::fs;

use serde_json::Value;

use crate::support::{expect, quick, run, sample};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn faults_are_reported_as_text_json_and_page() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 60);
    let path = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let parts =
        ["--validation_data".to_owned(), path("validation.jsonl"), "--test_data".to_owned(), path("test.jsonl")];
    let check = |more: &[&str]| {
        let args = ["check".to_owned(), path("train.jsonl")].into_iter().chain(parts.clone());
        args.chain(more.iter().map(|&arg| arg.to_owned())).collect::<Vec<_>>()
    };
    let clean = json(&expect(0, check(&["--json"])));
    assert_eq!((&clean["errors"], clean["findings"].as_array().unwrap().len()), (&0.into(), 0));

    let leaked = fs::read_to_string(path("train.jsonl")).unwrap().lines().next().unwrap().to_owned();
    let test = fs::read_to_string(path("test.jsonl")).unwrap();
    fs::write(path("test.jsonl"), test + &leaked + "\n{\"label\":\"star\"}\n").unwrap();
    let page = folder.path().join("page");
    let output = ["--output", page.to_str().unwrap()];
    let text = expect(3, check(&output));
    for part in
        ["error: Images in more than one part (leaked_image): 1", "error: Rows that cannot be read", "What to do: "]
    {
        assert!(text.contains(part), "{text}");
    }
    let html = fs::read_to_string(page.join("check.html")).unwrap();
    assert!(
        html.matches("data:image/jpeg;base64,").count() >= 2 && !html.contains("http://") && !html.contains("<script")
    );
    let found = json(&fs::read_to_string(page.join("check.json")).unwrap());
    let kinds: Vec<&str> = found["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["leaked_image", "bad_row"]);
    assert_eq!(found["findings"][1]["line"], 11);
    // What is there stays, unless it may be replaced.
    let refused = run(check(&output));
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    expect(3, check(&[output[0], output[1], "--overwrite"]));
    assert_eq!(json(&expect(3, check(&["--json"]))), found);
}

#[test]
fn a_training_says_the_worst_first() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 40);
    let train = fs::read_to_string(data.join("train.jsonl")).unwrap();
    let row = json(train.lines().next().unwrap());
    let image = row["image_url"].as_str().unwrap();
    fs::copy(data.join(image), data.join("copy.jpg")).unwrap();
    let mut copy = row.clone();
    copy["image_url"] = "copy.jpg".into();
    let validation = data.join("validation.jsonl");
    fs::write(&validation, fs::read_to_string(&validation).unwrap() + &copy.to_string() + "\n").unwrap();
    let output = run(quick(&data, &folder.path().join("run"), 1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("check: error: images in more than one part: ") && said.contains("copy.jpg"), "{said}");
    assert!(fs::read_to_string(folder.path().join("run/run.log")).unwrap().contains("`trainer check` lists them"));
}
