//! The committed JSON Schemas: up to date, and of the same opinion as the types.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use schemas::event::{EpochRecord, Timing, TrainScalars};
use schemas::setting::ModelSettings;
use schemas::setting::{Kind, SETTINGS};
use schemas::{CheckpointMeta, Fit, Interpolation, Plan, PlanRequest, Preprocessing, Settings, Source, Task};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("json")
}

fn validator(file: &str) -> jsonschema::Validator {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn committed_files_are_what_the_types_say() {
    let documents = schemas::documents();
    for document in &documents {
        let committed = fs::read_to_string(folder().join(&document.file)).unwrap_or_default();
        let same = committed == document.text().unwrap();
        assert!(same, "json/{} is out of date: cargo run -p schemas --example write_schemas", document.file);
        jsonschema::meta::validate(document.schema.as_value()).unwrap();
    }
    let expected: BTreeSet<String> = documents.into_iter().map(|document| document.file).collect();
    let found = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

fn plan() -> Plan {
    let mut request = PlanRequest::new();
    for (name, value) in [("task", "image-classification"), ("model_name", "resnet18"), ("training_data", "t.jsonl")] {
        request.set(name, value, Source::CommandLine);
    }
    Plan::resolve(request, |_, _| ModelSettings::default()).unwrap()
}

/// Replaces or adds what `pointer` points at.
fn changed(value: &Value, pointer: &str, new: Value) -> Value {
    let mut value = value.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), new);
    value
}

#[test]
fn plans_pass_and_damaged_ones_fail() {
    let validator = validator("plan.json");
    let good = serde_json::to_value(plan()).unwrap();
    assert!(validator.is_valid(&good), "{:?}", validator.iter_errors(&good).map(|e| e.to_string()).collect::<Vec<_>>());
    for (pointer, new) in [
        ("/task", json!("classification")),
        ("/seed", json!(-1)),
        ("/device", json!("gpu")),
        ("/colour", json!("red")),
        ("/settings/colour", json!({"value": 1, "source": "file"})),
        ("/settings/learning_rate", json!(0.1)),
        ("/settings/learning_rate/value", json!(1.5)),
        ("/settings/learning_rate/source", json!("heaven")),
        ("/settings/optimizer/value", json!("rmsprop")),
        ("/settings/nesterov/value", json!(1)),
    ] {
        assert!(!validator.is_valid(&changed(&good, pointer, new)), "{pointer}");
    }
}

#[test]
fn settings_have_the_ranges_of_the_table() {
    let validator = validator("settings.json");
    let good = serde_json::to_value(Settings::default()).unwrap();
    assert!(validator.is_valid(&good));
    for spec in SETTINGS {
        let tries = match spec.kind {
            Kind::Bool => vec![json!(true), json!("true")],
            Kind::Int { min, max } => {
                vec![json!(min), json!(max), json!(i64::from(min) - 1), json!(u64::from(max) + 1), json!(1.5)]
            }
            Kind::Float { min, max, .. } => {
                vec![
                    json!(min),
                    json!(max),
                    json!(min.next_down()),
                    json!(max.next_up()),
                    json!(f64::midpoint(min, max)),
                ]
            }
            Kind::Choice(words) => words.iter().map(|word| json!(word)).chain([json!("other")]).collect(),
            Kind::Grid => {
                let texts = ["none", "3x2", "1x1", "0x2", "1x2", "2x1", "16x16", "17x1", "3 by 2", "03x2", ""];
                texts.iter().map(|text| json!(text)).chain([json!(3)]).collect()
            }
            Kind::Key => ["none", "patient", "", " ", "label", "imageUrl"].map(|text| json!(text)).to_vec(),
        };
        for value in tries {
            // The schema describes the canonical form, so text that only the parser understands is no part of it.
            let accepted =
                spec.kind.parse(spec.name, &value).is_ok_and(|canonical| canonical == value || value.is_number());
            let pointer = format!("/{}", spec.name);
            assert_eq!(validator.is_valid(&changed(&good, &pointer, value.clone())), accepted, "{} {value}", spec.name);
        }
    }
}

/// The pattern of a grid in requests has the same opinion as the parser.
#[test]
fn grids_are_read_as_their_pattern_says() {
    let validator = jsonschema::validator_for(&json!({ "pattern": schemas::setting::TileGrid::pattern() })).unwrap();
    for text in [
        "none",
        "NONE",
        " None ",
        "(none)",
        "( none )",
        "3x2",
        "3X2",
        "3,2",
        "(3, 2)",
        " ( 3 , 2 ) ",
        "03x02",
        "+3x+2",
        "1x1",
        "01,1",
        "1x2",
        "2x1",
        "16x16",
        "17x2",
        "0x2",
        "3x",
        "x",
        "",
        "3x2x1",
        "((3x2))",
        "3x2 px",
        "nonex2",
        "-3x2",
        "1 6x2",
        "3\u{2003}x2",
    ] {
        let read = Kind::Grid.parse("grid", &json!(text)).is_ok();
        assert_eq!(validator.is_valid(&json!(text)), read, "{text:?}");
    }
}

#[test]
fn checkpoints_epochs_and_errors_pass_and_damaged_ones_fail() {
    let meta = CheckpointMeta {
        schema_version: 1,
        task: Task::ImageClassification,
        model_name: "resnet18".to_owned(),
        labels: vec!["a".to_owned()],
        preprocessing: Preprocessing {
            fit: Fit::Crop { resize: 256, crop: 224 },
            interpolation: Interpolation::Bilinear,
            mean: [0.0; 3],
            std: [1.0; 3],
        },
        epoch: 3,
        metrics: BTreeMap::from([("accuracy".to_owned(), 1.0), ("AUC_macro".to_owned(), f64::NAN)]),
        settings: plan().settings.to_map(),
        weights: None,
        temperature: None,
        versions: BTreeMap::new(),
    };
    let meta = serde_json::to_value(meta).unwrap();
    let back: CheckpointMeta = serde_json::from_value(meta.clone()).unwrap();
    assert!(back.metrics["AUC_macro"].is_nan(), "an undefined metric survives");
    let epoch = EpochRecord {
        epoch: 1,
        updates: 5,
        learning_rate: 0.1,
        train: TrainScalars { loss: 0.5, metrics: BTreeMap::new() },
        validation: BTreeMap::new(),
        is_best: false,
        timing: Timing::default(),
    };
    let epoch = serde_json::to_value(epoch).unwrap();
    let event = changed(&epoch, "/event", json!("epoch"));
    let error = json!({"error": "no", "code": "internal"});
    for (file, good, pointer, new) in [
        ("checkpoint.json", &meta, "/preprocessing/interpolation", json!("nearest")),
        ("checkpoint.json", &meta, "/metrics/accuracy", json!("high")),
        ("epoch.json", &epoch, "/epoch", json!(0)),
        ("epoch.json", &epoch, "/timing", json!(null)),
        ("event.json", &event, "/event", json!("holiday")),
        ("error.json", &error, "/code", json!("oops")),
    ] {
        let validator = validator(file);
        assert!(
            validator.is_valid(good),
            "{file}: {:?}",
            validator.iter_errors(good).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        assert!(!validator.is_valid(&changed(good, pointer, new)), "{file} {pointer}");
    }
}

#[test]
fn requests_and_answers_pass_and_damaged_ones_fail() {
    let answer =
        json!([{"filename": null, "probs": [0.5], "labels": ["a"], "visualizations": null, "attributions": null}]);
    let corners = json!({"topX": 0.1, "topY": 0.1, "bottomX": 0.9, "bottomY": 0.9});
    let boxes = json!([{"filename": "a", "boxes": [{"box": corners, "label": "a", "score": 0.5}]}]);
    let score = json!({"input_data": {"columns": ["image"], "data": ["aGk=", ["aGk="]]}});
    let infer = json!({"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["aGk="]}]});
    let classes = |name: &str, count: Value| json!([{ "name": name, "parameters": { "classification": count } }]);
    for (file, good, bad) in [
        ("score.classification.json", answer, json!([{"probs": [0.5]}])),
        ("score.detection.json", boxes, json!([{"filename": "a", "boxes": [{"label": "a"}]}])),
        ("score.request.json", score.clone(), changed(&score, "/input_data/columns", json!(["photo"]))),
        ("score.request.json", score.clone(), changed(&score, "/input_data/data", json!([1]))),
        ("score.request.json", score.clone(), changed(&score, "/image", json!("aGk="))),
        ("score.request.json", json!({"image": "aGk=", "score_threshold": 0.5, "more": 1}), json!({"more": 1})),
        (
            "score.request.json",
            changed(&score, "/tile_grid_size", json!("(3, 2)")),
            changed(&score, "/tile_grid_size", json!("1x1")),
        ),
        (
            "score.request.json",
            changed(&score, "/iou_threshold", json!("0.5")),
            changed(&score, "/iou_threshold", json!(1.5)),
        ),
        ("score.image.json", json!({"image": "aGk="}), json!({"image": "aGk=", "image_base64": "aGk="})),
        ("score.query.json", json!({"model": "a"}), json!({"modle": "a"})),
        ("v2.infer.request.json", changed(&infer, "/input", json!([])), changed(&infer, "/inputs", json!([]))),
        ("v2.infer.request.json", changed(&infer, "/outputs", json!([])), changed(&infer, "/outputs", json!([1]))),
        (
            "v2.infer.request.json",
            changed(&infer, "/outputs", classes("probabilities", json!(3))),
            changed(&infer, "/outputs", classes("probabilities", json!(0))),
        ),
        (
            "v2.infer.request.json",
            changed(&infer, "/outputs", classes("boxes", json!(null))),
            changed(&infer, "/outputs", classes("boxes", json!(3))),
        ),
        ("v2.infer.request.json", infer, json!({"inputs": [{"name": "x", "shape": [-1], "datatype": "BYTES"}]})),
        (
            "rejection.json",
            json!({"source": "a", "line": 1, "image_url": null, "kind": "bad_json", "reason": "r"}),
            json!({"source": "a"}),
        ),
    ] {
        let validator = validator(file);
        assert!(
            validator.is_valid(&good),
            "{file}: {:?}",
            validator.iter_errors(&good).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        assert!(!validator.is_valid(&bad), "{file}: {bad}");
    }
}
