//! Runs, plans, checkpoints and ONNX files of earlier versions are resumed, evaluated, exported and served by this one.
//!
//! Of each version `fixtures/compat` keeps a run of each kind that was stopped on its way, the ONNX files made from it, requests to
//! the server, and what the programs of that version answered. Weights are megabytes and say nothing about a format, so they
//! are left out and drawn anew ([`skeleton`]); everything that was recorded was recorded of the weights that are drawn.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod cases;
mod compare;
mod data;
mod fixture;
mod programs;
mod record;
mod skeleton;

use std::fs;
use std::path::Path;

use answers::{Asked, Request};
use cases::Case;
use compare::differences;
use programs::Programs;
use serde_json::Value;
use skeleton::Skeleton;

/// Versions whose files are kept.
const VERSIONS: [&str; 1] = ["0.1"];

/// Everything that is kept of a case, asked again and compared.
fn still_understood(case: &Case) {
    for version in VERSIONS {
        let temporary = tempfile::tempdir().unwrap();
        let place = restored(case, version, temporary.path());
        let requests: Vec<Request> = serde_json::from_slice(&fs::read(place.join("requests.json")).unwrap()).unwrap();
        let programs = Programs::built(&place);
        let found = Asked { case, programs: &programs }.all(&requests);
        let differences = differences(&recorded(&place), &found);
        assert!(differences.is_empty(), "{} of version {version}: {differences:#?}", case.name);
    }
}

fn restored(case: &Case, version: &str, folder: &Path) -> std::path::PathBuf {
    let place = fs::canonicalize(folder).unwrap();
    data::write(&place, case.labels);
    fixture::restore(&case.fixture(version), &place);
    place
}

fn recorded(place: &Path) -> Value {
    serde_json::from_slice(&fs::read(place.join("answers.json")).unwrap()).unwrap()
}

#[test]
fn a_classifier_is_still_understood() {
    still_understood(&cases::CLASSIFIER);
}

#[test]
fn label_sets_are_still_understood() {
    still_understood(&cases::LABEL_SETS);
}

#[test]
fn yolov5_is_still_understood() {
    still_understood(&cases::YOLOV5);
}

#[test]
fn faster_rcnn_is_still_understood() {
    still_understood(&cases::FASTER_RCNN);
}

#[test]
fn a_tiled_detector_is_still_understood() {
    still_understood(&cases::TILED);
}

/// Each comparison can fail: with other numbers in one tensor the answers are others.
#[test]
fn other_numbers_in_one_tensor_are_noticed() {
    for case in [cases::YOLOV5, cases::LABEL_SETS, cases::CLASSIFIER] {
        let temporary = tempfile::tempdir().unwrap();
        let place = restored(&case, VERSIONS[0], temporary.path());
        let weights = "run/checkpoints/best/model.safetensors";
        let skeleton = Skeleton::read(&case.fixture(VERSIONS[0]).join(format!("{weights}.skeleton.gz")));
        fs::write(place.join(weights), skeleton.fill_with_another(case.telling)).unwrap();
        let programs = Programs::built(&place);
        let found = Asked { case: &case, programs: &programs }.predict(["--checkpoint", "run"]);
        let recorded = &recorded(&place)["predict checkpoint"];
        assert!(!differences(recorded, &found).is_empty(), "{}: {recorded} against {found}", case.name);
    }
}
