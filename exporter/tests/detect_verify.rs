//! Detectors from a checkpoint on disk to a verified file, what must prevent one, and settings chosen at export.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use schemas::Coded as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use exporter::{ExportError, ExportSettings, ExportSummary, Form, export};
use runtime::{Model, Options, Overrides};
use safetensors::Dtype;
use schemas::{CheckpointMeta, Fit, Task};
use serde_json::{Value, json};
use support::decisions::{read_tensors, record, write_recording};
use support::{Tensors, detector_meta, picture, state_dict, uniform, write_checkpoint};
use tempfile::TempDir;

fn settings(form: Form, verify: bool) -> ExportSettings {
    ExportSettings { form, verify, overwrite: true, runtime: options(), ..ExportSettings::default() }
}

fn options() -> Options {
    Options { intra_threads: 2, library: None }
}

/// A network of random weights is sure of little: low thresholds, so that there is much to decide.
fn yolo(settings: &[(&str, Value)]) -> CheckpointMeta {
    detector_meta("yolov5", Fit::Letterbox { side: 96 }, settings)
}

fn tiled(grid: &str) -> CheckpointMeta {
    yolo(&[("tile_grid_size", json!(grid))])
}

fn rcnn() -> CheckpointMeta {
    detector_meta("fasterrcnn_resnet18_fpn", Fit::Shorter { min_size: 60, max_size: 133 }, &[])
}

fn retinanet() -> CheckpointMeta {
    detector_meta("retinanet_resnet50_fpn", Fit::Shorter { min_size: 60, max_size: 133 }, &[])
}

fn mask_rcnn(settings: &[(&str, Value)]) -> CheckpointMeta {
    let fit = Fit::Shorter { min_size: 60, max_size: 133 };
    let meta = detector_meta("maskrcnn_resnet18_fpn", fit, settings);
    CheckpointMeta { task: Task::ImageInstanceSegmentation, ..meta }
}

/// A checkpoint with its recording.
fn made(meta: &CheckpointMeta) -> TempDir {
    let folder = TempDir::new().unwrap();
    let weights = state_dict(meta);
    write_checkpoint(folder.path(), meta, &weights);
    write_recording(folder.path(), &record(meta, &weights));
    folder
}

/// One of them, made once: tests copy it.
fn fixture() -> &'static TempDir {
    static FIXTURE: OnceLock<TempDir> = OnceLock::new();
    FIXTURE.get_or_init(|| made(&yolo(&[])))
}

fn copy_of_fixture() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["model.safetensors", "verification.safetensors"] {
        fs::copy(fixture().path().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn export_to(folder: &Path, settings: &ExportSettings) -> Result<ExportSummary, ExportError> {
    export::export(folder, &folder.join("model.onnx"), settings)
}

#[test]
fn both_forms_are_verified_with_and_without_tiles() {
    for meta in [yolo(&[]), tiled("2x2"), rcnn(), retinanet()] {
        let folder = made(&meta);
        let with_tiles = meta.settings["tile_grid_size"] == json!("2x2");
        for form in [Form::Whole, Form::Prepared] {
            let summary = export_to(folder.path(), &settings(form, true)).unwrap();
            println!("{summary}");
            assert_eq!(summary.checks.len(), if form == Form::Whole && with_tiles { 4 } else { 3 });
            assert!(summary.checks.iter().all(|c| c.boxes.is_some_and(|b| b.compared > 10)));
            assert_eq!(summary.checks.iter().map(|c| c.batch).collect::<Vec<_>>()[..3], [1, 2, 5]);
            let json = serde_json::to_value(&summary).unwrap();
            assert_eq!(json["inputs"].as_array().unwrap().iter().filter(|i| i["optional"] == json!(true)).count(), 2);
        }
    }
}

/// Another processor rounds otherwise. Weights that differ in the last digits stand in for it: boxes of networks that have
/// learned nothing are then kept and dropped otherwise, and the file is right all the same.
#[test]
fn what_was_recorded_on_another_processor_is_accepted() {
    for (meta, seeds) in [(yolo(&[]), 3), (tiled("2x1"), 2), (rcnn(), 1), (retinanet(), 1)] {
        let weights = state_dict(&meta);
        for seed in 0..seeds {
            let mut others = weights.clone();
            for (key, (dtype, _, data)) in &mut others {
                if *dtype == Dtype::F32 && !key.ends_with("anchors") {
                    let noise = uniform(&format!("{seed} {key}"), data.len() / 4);
                    for (bytes, noise) in data.as_chunks_mut::<4>().0.iter_mut().zip(noise) {
                        *bytes = (f32::from_le_bytes(*bytes) * (1.0 + 4e-6 * (noise - 0.5))).to_le_bytes();
                    }
                }
            }
            let folder = TempDir::new().unwrap();
            write_checkpoint(folder.path(), &meta, &weights);
            write_recording(folder.path(), &record(&meta, &others));
            for form in [Form::Whole, Form::Prepared] {
                export_to(folder.path(), &settings(form, true)).unwrap_or_else(|e| panic!("{form} {seed}: {e}"));
            }
        }
    }
}

#[test]
fn a_file_that_finds_something_else_is_not_written() {
    let refused = |change: &dyn Fn(&mut Tensors), form: Form, said: &str| {
        let folder = copy_of_fixture();
        let mut tensors = recording();
        change(&mut tensors);
        write_recording(folder.path(), &tensors);
        match export_to(folder.path(), &settings(form, true)) {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(said) && error.code().exit_code() == 1, "{text}");
                assert!(!folder.path().join("model.onnx").exists());
            }
            Ok(summary) => panic!("{said} {form} passed: {summary}"),
        }
    };
    for form in [Form::Prepared, Form::Whole] {
        let float = |t: &mut Tensors, name: &str, at: usize, change: &dyn Fn(f32) -> f32| {
            let bytes = &mut t.get_mut(name).unwrap().2.as_chunks_mut::<4>().0[at];
            *bytes = change(f32::from_le_bytes(*bytes)).to_le_bytes();
        };
        refused(&|t| float(t, "image.1.source.0.boxes", 0, &|x| x + 0.5), form, "image 1");
        refused(&|t| float(t, "image.0.source.0.scores", 1, &|s| s + 0.01), form, "box 1");
        refused(&|t| float(t, "image.0.source.0.scores", 0, &|_| f32::NAN), form, "box 0");
        refused(&|t| t.get_mut("image.2.source.0.labels").unwrap().2[0] ^= 1, form, "was recorded");
        let input = "image.0.source.0.decision.0.nms.input";
        refused(&|t| float(t, &format!("{input}.0"), 7, &|x| x + 1.0), form, "value 7 of input 0");
        refused(&|t| float(t, &format!("{input}.1"), 3, &|x| x + 0.01), form, "value 3 of input 1");
        refused(&|t| float(t, "image.0.source.0.decision.0.nms.limits", 0, &|_| 0.9), form, "threshold");
        refused(&|t| float(t, "image.0.source.0.decision.0.nms.output.0", 0, &|s| s + 0.01), form, "chosen");
    }
    refused(&|t| t.get_mut("image.0.source.0").unwrap().2[..600].fill(9), Form::Whole, "resized pixels");
}

#[test]
fn an_unusable_recording_says_how_to_make_another() {
    let expect = |change: &dyn Fn(&mut Tensors), what: &str| {
        let folder = copy_of_fixture();
        let mut changed = recording();
        change(&mut changed);
        write_recording(folder.path(), &changed);
        let error = export_to(folder.path(), &settings(Form::Whole, true)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(what) && text.contains("trainer evaluate") && (error.code().exit_code() == 2), "{text}");
    };
    expect(&|t| t.retain(|name, _| !name.contains("image.0")), "no image");
    let source = "image.0.source.0";
    for name in ["place", "boxes", "scores", "decision.0.nms.input.0", "decision.0.nms.output.2"] {
        let name = format!("{source}.{name}");
        expect(&|t| drop(t.remove(&name)), &name);
    }
    expect(&|t| drop(t.remove(source)), source);
    expect(&|t| drop(t.remove("score_threshold")), "score_threshold");
    expect(&|t| drop(t.remove("format")), "another version");
    expect(&|t| t.get_mut("iou_threshold").unwrap().2 = 1.5_f32.to_le_bytes().to_vec(), "iou_threshold");
    expect(&|t| t.get_mut("image.0.source.0.labels").unwrap().2[0] = 3, "3 classes");
    expect(&|t| t.get_mut("image.0.source.0.place").unwrap().2 = vec![0; 32], "places");
}

/// The fixture's recording, to change.
fn recording() -> Tensors {
    read_tensors(&fixture().path().join("verification.safetensors"))
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
        assert!(
            text.contains(said) && (error.code().exit_code() == 2) && !folder.join("model.onnx").exists(),
            "{text}"
        );
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
    assert!(error.to_string().contains("--features") && (error.code().exit_code() == 2), "{error}");
    let classifier = TempDir::new().unwrap();
    let meta = support::meta("mobilenetv2", 3, schemas::Interpolation::Bilinear);
    write_checkpoint(classifier.path(), &meta, &state_dict(&meta));
    let changes = vec![("box_score_thresh".to_owned(), "0.5".to_owned())];
    let unverified = ExportSettings { changes, ..settings(Form::Whole, false) };
    let error = export_to(classifier.path(), &unverified).unwrap_err();
    assert!(error.to_string().contains("a detection setting"), "{error}");
}

#[test]
fn a_file_gives_the_pixels_of_objects_where_it_was_asked_for_them() {
    let pixels = |form, verify| ExportSettings { pixels: true, ..settings(form, verify) };
    let wanted = [("tile_grid_size", json!("2x1")), ("mask_pixel_score_threshold", json!(0.45))];
    let folder = made(&mask_rcnn(&[wanted.as_slice(), &[("box_detections_per_img", json!(8))]].concat()));
    let summary = export_to(folder.path(), &pixels(Form::Whole, true)).unwrap();
    let last = summary.graph.outputs.last().unwrap();
    assert_eq!((last.name.as_str(), last.dtype, last.shape.join(" ")), ("pixels", "uint8", "N D H W".to_owned()));
    let mut model = Model::open(&folder.path().join("model.onnx"), &options()).unwrap();
    let images = picture("pixels", 2, 70, 110);
    let low = Overrides { score_threshold: Some(0.05), iou_threshold: Some(0.5) };
    let most = model.detect(images.view(), None, &low).unwrap().iter().map(Vec::len).max().unwrap();
    let pasted = model.pixels(images.view(), &low).unwrap();
    assert_eq!(pasted.dim(), (2, most, 70, 110));
    assert!(most > 2 && pasted.iter().any(|&pixel| pixel == 1) && pasted.iter().all(|&pixel| pixel < 2));
    let wrong = model.pixels(images.view(), &Overrides { score_threshold: Some(2.0), iou_threshold: None });
    assert!(wrong.unwrap_err().to_string().contains("score_threshold"));
    assert_eq!(model.pixels(ndarray::Array4::zeros((0, 5, 5, 3)).view(), &low).unwrap().dim(), (0, 0, 5, 5));

    let error = export_to(folder.path(), &pixels(Form::Prepared, true)).unwrap_err();
    assert!(error.to_string().contains("take the form 'whole'") && error.code().exit_code() == 2, "{error}");
    let error = export_to(copy_of_fixture().path(), &pixels(Form::Whole, true)).unwrap_err();
    assert!(error.to_string().contains("image-instance-segmentation") && error.code().exit_code() == 2, "{error}");
    assert_eq!(export_to(folder.path(), &settings(Form::Whole, false)).unwrap().graph.outputs.len(), 4);
    let mut without = Model::open(&folder.path().join("model.onnx"), &options()).unwrap();
    let error = without.pixels(picture("none", 1, 9, 9).view(), &Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("--masks full"), "{error}");
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
