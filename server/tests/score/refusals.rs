//! What is refused before anything is scored: nothing is written, and nothing that was there is touched.

use std::fs;

use serde_json::{Value, json};

use crate::support::Place;

const MODEL: &str = "tiny_prepared.onnx";

#[track_caller]
fn refused(place: &Place, model: &str, input: &str, options: &[&str], said: &str) {
    let before = place.outputs();
    let scored = place.score(model, input, &[options, &["--json"]].concat()).ended(2);
    assert!(scored.log().contains(said), "{said}: {}", scored.log());
    assert!(scored.json()["code"].is_string() && scored.json()["error"].as_str().unwrap().contains(said));
    assert_eq!(place.outputs(), before);
}

#[test]
fn inputs_and_options_that_cannot_be() {
    let place = Place::with_images(2);
    place.write("nothing/notes.txt", "x");
    place.write("empty.jsonl", "\n\n");
    place.write("labels.jsonl", "{\"label\": 1}\n");
    place.write("file", "x");
    refused(&place, MODEL, "nothing", &[], "holds no image; left out: 1 without the ending of an image");
    refused(&place, MODEL, "empty.jsonl", &[], "names no image");
    refused(&place, MODEL, "labels.jsonl", &[], "line 1: image_url is missing");
    refused(&place, MODEL, "absent", &[], "cannot read absent");
    refused(&place, MODEL, "images/000.png", &[], "is an image; name the folder");
    refused(&place, MODEL, "images", &["--output", "absent/out.jsonl"], "is no folder");
    refused(&place, MODEL, "images", &["--output", "file/out.jsonl"], "is no folder");
    refused(&place, MODEL, "images", &["--output", "/"], "names no file");
    refused(&place, "absent.onnx", "images", &[], "absent.onnx");
    refused(&place, "foreign.onnx", "images", &[], "no Fovea model");
    refused(&place, "cmyk.jpg", "images", &[], "no ONNX model");
    refused(&place, MODEL, "images", &["--score-threshold", "0.5"], "for models that detect objects");
    refused(&place, MODEL, "images", &["--masks", "rle"], "for models that segment");
    refused(&place, MODEL, "images", &["--label-threshold", "0.5", "--format", "rows"], "multi-label");
    refused(&place, MODEL, "images", &["--top-k", "1", "--format", "rows"], "--format answer");
    refused(&place, MODEL, "images", &["--provider", "other=cpu"], "no --model has that name");
    refused(&place, "tiny_detector_prepared.onnx", "images", &["--score-threshold", "7"], "outside its range");
    refused(&place, "tiny_detector_whole.onnx", "images", &["--tile-grid-size", "2x2"], "export it with the form");
    refused(&place, "tiny_masks_prepared.onnx", "images", &["--masks", "rle", "--format", "rows"], "polygons");
}

#[test]
fn what_is_there_already_stays() {
    let place = Place::with_images(2);
    place.write("out.jsonl", "mine");
    refused(&place, MODEL, "images", &[], "is there already");
    refused(&place, MODEL, "images", &["--resume"], "is there already");
    fs::rename(place.path("out.jsonl"), place.path("out.jsonl.partial")).unwrap();
    refused(&place, MODEL, "images", &["--resume"], "no run that could go on");
    fs::rename(place.path("out.jsonl.partial"), place.path("out.jsonl.errors.jsonl")).unwrap();
    refused(&place, MODEL, "images", &["--format", "rows"], "is there already");
    assert_eq!(fs::read(place.path("out.jsonl.errors.jsonl")).unwrap(), b"mine");
    place.score(MODEL, "images", &[]).ended(0);
}

#[test]
fn a_run_goes_on_as_it_began_or_not_at_all() {
    let place = Place::with_list(100);
    // As a run leaves it that is killed at once.
    place.score(MODEL, "list.jsonl", &["--output", "whole.jsonl"]).ended(1);
    let interrupted = |options: &[&str]| {
        let mut child = place.command(MODEL, "list.jsonl", options).spawn().unwrap();
        while !place.path("out.jsonl.partial.json").exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    };
    interrupted(&[]);
    if place.path("out.jsonl").exists() {
        return;
    }
    refused(&place, MODEL, "list.jsonl", &[], "go on with --resume");
    refused(&place, "tiny_whole.onnx", "list.jsonl", &["--resume"], "the model (SHA-256) was");
    refused(&place, MODEL, "images", &["--resume"], "the list of images (SHA-256) was");
    refused(&place, MODEL, "list.jsonl", &["--resume", "--top-k", "2"], "--top-k was not given and is 2");
    refused(&place, MODEL, "list.jsonl", &["--resume", "--max-batch", "3"], "--max-batch was 16 and is 3");
    let state: Value = serde_json::from_slice(&fs::read(place.path("out.jsonl.partial.json")).unwrap()).unwrap();
    assert!(state["reached"]["images"].as_u64().unwrap() < 100);
    place.write("out.jsonl.partial.json", json!({ "version": 2 }).to_string());
    refused(&place, MODEL, "list.jsonl", &["--resume"], "no state of a run");
    place.write("out.jsonl.partial.json", state.to_string());
    place.score(MODEL, "list.jsonl", &["--resume", "--workers", "2"]).ended(1);
    assert_eq!(fs::read(place.path("out.jsonl")).unwrap(), fs::read(place.path("whole.jsonl")).unwrap());
}
