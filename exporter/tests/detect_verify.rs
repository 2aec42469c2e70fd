//! Detectors from a checkpoint on disk to a verified file, what must prevent one, and settings chosen at export.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use exporter::{ExportError, ExportSettings, ExportSummary, Form, export};
use models::host::{self, Merge, MergeRule, Rgb};
use ndarray::Array4;
use runtime::{Model, Options, Overrides};
use safetensors::Dtype;
use schemas::prediction::Detection;
use schemas::setting::TileGrid;
use schemas::{CheckpointMeta, Fit, Settings};
use serde_json::json;
use support::{Tensors, detector_meta, picture, state_dict, write_checkpoint, write_tensors};
use tempfile::TempDir;

const LIMITS: Overrides = Overrides { score_threshold: Some(0.05), iou_threshold: Some(0.5) };

fn settings(form: Form, verify: bool) -> ExportSettings {
    ExportSettings { form, verify, features: false, overwrite: true, changes: vec![], runtime: options() }
}

fn options() -> Options {
    Options { intra_threads: 2, library: None }
}

/// One recorded picture.
#[derive(Clone)]
struct Recorded {
    name: String,
    image: Array4<u8>,
    size: Option<[i64; 2]>,
    found: Vec<Detection>,
}

fn tensors(all: &[Recorded]) -> Tensors {
    let mut tensors = Tensors::new();
    let mut put = |name: String, dtype, shape: Vec<usize>, data: Vec<u8>| tensors.insert(name, (dtype, shape, data));
    for Recorded { name, image, size, found } in all {
        let n = found.len();
        let floats = |values: Vec<f32>| values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
        let integers = |values: Vec<i64>| values.into_iter().flat_map(i64::to_le_bytes).collect::<Vec<u8>>();
        put(name.clone(), Dtype::U8, image.shape().to_vec(), image.iter().copied().collect());
        if let Some(size) = size {
            put(format!("{name}.size"), Dtype::I64, vec![2], integers(size.to_vec()));
        }
        put(format!("{name}.boxes"), Dtype::F32, vec![n, 4], floats(found.iter().flat_map(|d| d.corners).collect()));
        put(format!("{name}.scores"), Dtype::F32, vec![n], floats(found.iter().map(|d| d.score).collect()));
        put(format!("{name}.labels"), Dtype::I64, vec![n], integers(found.iter().map(|d| d.label as i64).collect()));
    }
    for (name, value) in [("score_threshold", LIMITS.score_threshold), ("iou_threshold", LIMITS.iou_threshold)] {
        put(name.to_owned(), Dtype::F32, vec![1], value.unwrap().to_le_bytes().to_vec());
    }
    tensors
}

fn write_recording(folder: &Path, tensors: &Tensors) {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(fs::read(folder.join("model.safetensors")).unwrap());
    let sha256: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    write_tensors(&folder.join("verification.safetensors"), tensors, ("model_sha256", &sha256));
}

fn prepared(model: &mut Model, image: &Rgb) -> (Array4<u8>, [i64; 2], Vec<Detection>) {
    let fitted = host::prepare(image, &model.meta().preprocessing);
    let shape = (1, fitted.height as usize, fitted.width as usize, 3);
    let fitted = Array4::from_shape_vec(shape, fitted.data).unwrap();
    let size = [i64::from(image.height), i64::from(image.width)];
    let found = model.detect(fitted.view(), Some(&[size]), &LIMITS).unwrap().remove(0);
    (fitted, size, found)
}

/// Writes a checkpoint and beside it what its own `prepared` form says, with the host's preprocessing and tiles.
fn record(folder: &Path, meta: &CheckpointMeta) -> Vec<Recorded> {
    write_checkpoint(folder, meta, &state_dict(meta));
    let file = folder.join("reference.onnx");
    export::export(folder, &file, &settings(Form::Prepared, false)).unwrap();
    let mut model = Model::open(&file, &options()).unwrap();
    fs::remove_file(&file).unwrap();
    let s = Settings::try_from(meta.settings.clone()).unwrap();
    let mut all = Vec::new();
    for (i, (h, w)) in [(70, 96), (201, 120), (90, 64)].into_iter().enumerate() {
        let image = picture(&format!("{h}x{w}"), 1, h, w);
        let rgb = Rgb { width: w as u32, height: h as u32, data: image.iter().copied().collect() };
        let (fitted, size, found) = prepared(&mut model, &rgb);
        all.push(Recorded { name: format!("prepared.{i}"), image: fitted, size: Some(size), found: found.clone() });
        let tiles =
            host::tiles(rgb.width, rgb.height, s.tile_grid_size, s.tile_overlap_ratio).into_iter().map(|tile| {
                let mut found = prepared(&mut model, &host::cut(&rgb, tile)).2;
                host::shift(&mut found, tile);
                (tile, found)
            });
        let tiles: Vec<_> = tiles.collect();
        let (width, height) = (rgb.width, rgb.height);
        let how = Merge { width, height, threshold: 0.25, limit: 100, rule: MergeRule::CutLast };
        let merged = if tiles.is_empty() { found } else { host::merge(&found, &tiles, &how) };
        all.push(Recorded { name: format!("whole.{i}"), image, size: None, found: merged });
    }
    write_recording(folder, &tensors(&all));
    all
}

/// One checkpoint with its recording, made once: tests copy it.
fn fixture() -> &'static (TempDir, Vec<Recorded>) {
    static FIXTURE: OnceLock<(TempDir, Vec<Recorded>)> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        // No list is full, so that few boxes are excused.
        let settings = [("box_detections_per_img", json!(1000))];
        let recorded = record(folder.path(), &detector_meta("yolov5", Fit::Letterbox { side: 96 }, &settings));
        (folder, recorded)
    })
}

fn copy_of_fixture() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["model.safetensors", "verification.safetensors"] {
        fs::copy(fixture().0.path().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn export_to(folder: &Path, settings: &ExportSettings) -> Result<ExportSummary, ExportError> {
    export::export(folder, &folder.join("model.onnx"), settings)
}

#[test]
fn both_forms_are_verified_with_and_without_tiles() {
    let cases = [
        ("yolov5", Fit::Letterbox { side: 96 }, TileGrid::NONE),
        ("yolov5", Fit::Letterbox { side: 96 }, TileGrid { columns: 2, rows: 2 }),
        ("fasterrcnn_resnet18_fpn", Fit::Shorter { min_size: 60, max_size: 133 }, TileGrid::NONE),
    ];
    for (model, fit, grid) in cases {
        let folder = TempDir::new().unwrap();
        record(folder.path(), &detector_meta(model, fit, &[("tile_grid_size", json!(grid.to_string()))]));
        for form in [Form::Whole, Form::Prepared] {
            let summary = export_to(folder.path(), &settings(form, true)).unwrap();
            println!("{summary}");
            assert_eq!(summary.checks.len(), if form == Form::Whole && grid.is_none() { 6 } else { 3 });
            assert!(summary.checks.iter().all(|c| c.boxes.is_some_and(|b| b.compared > 10)));
            assert_eq!(summary.checks.iter().map(|c| c.batch).collect::<Vec<_>>()[..3], [1, 2, 5]);
            let json = serde_json::to_value(&summary).unwrap();
            assert_eq!(json["inputs"].as_array().unwrap().iter().filter(|i| i["optional"] == json!(true)).count(), 2);
        }
    }
}

#[test]
fn a_file_that_finds_something_else_is_not_written() {
    let refused = |name: &str, change: &dyn Fn(&mut Vec<Detection>), form: Form, said: &str| {
        let folder = copy_of_fixture();
        let mut all = fixture().1.clone();
        change(&mut all.iter_mut().find(|r| r.name == name).unwrap().found);
        write_recording(folder.path(), &tensors(&all));
        match export_to(folder.path(), &settings(form, true)) {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(said) && !error.is_input(), "{text}");
                assert!(!folder.path().join("model.onnx").exists());
            }
            Ok(summary) => panic!("{name} {form} passed: {summary}"),
        }
    };
    for form in [Form::Prepared, Form::Whole] {
        let far = |found: &mut Vec<Detection>| found[0].corners = [0.0, 0.0, 3.0, 3.0];
        refused("prepared.1", &far, form, "batch 1, image 1");
        refused("prepared.0", &|found| found[1].score += 0.01, form, "without a counterpart");
        refused("prepared.0", &|found| found[0].score = f32::NAN, form, "without a counterpart");
        refused("prepared.0", &|found| found.iter_mut().for_each(|d| d.label = (d.label + 1) % 3), form, "counterpart");
        refused("prepared.0", &|found| found.iter_mut().for_each(|d| d.corners[0] += 0.5), form, "counterpart");
        refused("prepared.2", &|found| drop(found.drain(..found.len() / 2)), form, "was found without a counterpart");
    }
    refused("whole.0", &|found| found.iter_mut().for_each(|d| d.corners[2] += 9.0), Form::Whole, "whole images");
}

#[test]
fn a_box_at_the_end_of_the_list_is_excused() {
    let folder = copy_of_fixture();
    let mut all = fixture().1.clone();
    for recorded in &mut all {
        let tail = Detection { corners: [1.0, 1.0, 2.0, 2.0], score: 0.0505, label: 0 };
        recorded.found.push(tail);
    }
    write_recording(folder.path(), &tensors(&all));
    let summary = export_to(folder.path(), &settings(Form::Prepared, true)).unwrap();
    assert!(summary.checks.iter().all(|c| c.boxes.is_some_and(|b| b.excused > 0)), "{summary}");
}

#[test]
fn an_unusable_recording_says_how_to_make_another() {
    let expect = |change: &dyn Fn(&mut Tensors), what: &str| {
        let folder = copy_of_fixture();
        let mut changed = tensors(&fixture().1);
        change(&mut changed);
        write_recording(folder.path(), &changed);
        let error = export_to(folder.path(), &settings(Form::Whole, true)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(what) && text.contains("trainer evaluate") && error.is_input(), "{text}");
    };
    expect(&|t| t.retain(|name, _| !name.contains(".0")), "0 prepared");
    expect(&|t| t.retain(|name, _| !name.contains("whole.2")), "2 whole");
    for name in ["prepared.1.size", "whole.0.boxes", "prepared.0.scores", "whole.2.labels", "score_threshold"] {
        expect(&|t| drop(t.remove(name)), name);
    }
    expect(&|t| t.get_mut("iou_threshold").unwrap().2 = 1.5_f32.to_le_bytes().to_vec(), "iou_threshold");
    expect(&|t| t.get_mut("whole.0.labels").unwrap().2[0] = 3, "3 classes");
    expect(&|t| t.get_mut("prepared.0.size").unwrap().2 = vec![0; 16], "prepared.0.size");
}

fn changed(folder: &Path, changes: &[(&str, &str)], form: Form) -> Result<ExportSummary, ExportError> {
    let changes = changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    export_to(folder, &ExportSettings { changes, ..settings(form, true) })
}

#[test]
fn settings_may_be_chosen_at_export_and_are_in_the_file() {
    let folder = copy_of_fixture();
    let changes = [
        ("nms_iou_threshold", "0.7"),
        ("box-score-thresh", "0.02"),
        ("box_detections_per_img", "5"),
        ("img_size", "50"),
        ("tile_grid_size", "2x1"),
        ("tile_overlap_ratio", "0.5"),
    ];
    let summary = changed(folder.path(), &changes, Form::Whole).unwrap();
    assert!(!summary.checks.is_empty());
    let mut model = Model::open(&summary.output, &options()).unwrap();
    let meta = model.meta().clone();
    assert_eq!(meta.preprocessing.fit, Fit::Letterbox { side: 64 });
    let text = |name: &str| meta.settings[name].to_string();
    assert_eq!(
        ["box_nms_thresh", "box_score_thresh", "box_detections_per_img", "tile_grid_size"].map(text),
        ["0.7", "0.02", "5", "\"2x1\""]
    );
    let images = picture("changed", 1, 90, 130);
    let found = model.detect(images.view(), None, &Overrides::default()).unwrap().remove(0);
    let given = Overrides { score_threshold: Some(0.02), iou_threshold: Some(0.7) };
    assert_eq!(found, model.detect(images.view(), None, &given).unwrap().remove(0));
    assert_eq!(found.len(), 5);
    // The checkpoint is as it was.
    let again = export_to(folder.path(), &settings(Form::Whole, true)).unwrap();
    assert_ne!(again.sha256, summary.sha256);
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let refused = |folder: &Path, changes: &[(&str, &str)], said: &str| {
        let error = changed(folder, changes, Form::Whole).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(said) && error.is_input() && !folder.join("model.onnx").exists(), "{text}");
    };
    let folder = copy_of_fixture();
    refused(folder.path(), &[("min_size", "300")], "only R-CNN and RetinaNet");
    refused(folder.path(), &[("tile_overlap_ratio", "0.5")], "nothing is cut into tiles");
    refused(folder.path(), &[("box_score_thresh", "1.5")], "[0, 1]");
    refused(folder.path(), &[("tile_grid_size", "many")], "3x2");
    refused(folder.path(), &[("learning_rate", "0.5")], "belongs to the training");
    refused(folder.path(), &[("model_size", "large")], "belongs to the training");
    let error =
        export_to(folder.path(), &ExportSettings { features: true, ..settings(Form::Whole, true) }).unwrap_err();
    assert!(error.to_string().contains("--features") && error.is_input(), "{error}");
    let classifier = TempDir::new().unwrap();
    let meta = support::meta("mobilenetv2", 3, schemas::Interpolation::Bilinear);
    write_checkpoint(classifier.path(), &meta, &state_dict(&meta));
    let changes = vec![("box_score_thresh".to_owned(), "0.5".to_owned())];
    let unverified = ExportSettings { changes, ..settings(Form::Whole, false) };
    let error = export_to(classifier.path(), &unverified).unwrap_err();
    assert!(error.to_string().contains("a detection setting"), "{error}");
}

#[test]
fn the_program_takes_settings_as_options() {
    let folder = copy_of_fixture();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_exporter")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let path = folder.path().to_str().unwrap();
    let (code, out, err) = run(&["--checkpoint", path, "--box-score-threshold=0.4", "--tile_grid_size", "2x2"]);
    assert!(code == Some(0) && out.contains("Scan 1") && out.contains("score_threshold"), "{out}{err}");
    let (code, _, err) = run(&["--checkpoint", path, "--overwrite", "--max_size", "900"]);
    assert!(code == Some(2) && err.contains("max_size"), "{err}");
    assert_eq!(run(&["--checkpoint", path, "--learning_rate", "1"]).0, Some(2));
    let (_, out, _) = run(&["--help"]);
    assert!(out.contains("--tile_predictions_nms_thresh <FLOAT>"), "{out}");
}
