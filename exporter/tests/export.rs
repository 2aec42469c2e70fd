//! From a checkpoint on disk to a verified file, and everything that must prevent one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use schemas::Coded as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use exporter::builder::Builder;
use exporter::export::{self, default_output};
use exporter::graph::Dim;
use exporter::{ExportError, ExportSettings, Form, dump};
use models::host::{Rgb, prepare};
use models::ops::{Bn, Conv, DType, Ops, Padding};
use models::scope::{self, ConvSpec, Scope};
use ndarray::{Array4, s};
use runtime::{Model, Options};
use schemas::{CheckpointMeta, Interpolation, Task};
use support::{Answered, Tensors, answers, meta, picture, state_dict, write_checkpoint, write_recording};
use tempfile::TempDir;

fn options() -> Options {
    Options { intra_threads: 1, library: None }
}

fn settings(form: Form, verify: bool) -> ExportSettings {
    ExportSettings { form, verify, overwrite: true, runtime: options(), ..ExportSettings::default() }
}

/// What a recording holds: prepared images and whole ones, with their answers.
type Recorded = (Answered, Vec<Answered>);

/// Writes a checkpoint, and beside it answers computed by its own `prepared` form with the host's preprocessing.
fn recorded(folder: &Path, meta: &CheckpointMeta) -> Recorded {
    write_checkpoint(folder, meta, &state_dict(meta));
    let file = folder.join("reference.onnx");
    export::export(folder, &file, &settings(Form::Prepared, false)).unwrap();
    let mut model = Model::open(&file, &options()).unwrap();
    fs::remove_file(&file).unwrap();
    let crop = meta.preprocessing.side() as usize;
    let prepared = picture("prepared", 4, crop, crop);
    let prepared = (prepared.clone(), answers(&mut model, &prepared));
    let whole = [(91, 140), (201, 67), (33, 34), (64, 64), (1, 1), (300, 30)].map(|(h, w)| {
        let image = picture(&format!("{h}x{w}"), 1, h, w);
        let rgb = Rgb { width: w as u32, height: h as u32, data: image.iter().copied().collect() };
        let cut = Array4::from_shape_vec((1, crop, crop, 3), prepare(&rgb, &meta.preprocessing).data).unwrap();
        (image, answers(&mut model, &cut))
    });
    write_recording(folder, &prepared, &whole);
    (prepared, whole.to_vec())
}

/// One checkpoint with its recording, made once: tests copy it.
fn fixture() -> &'static (TempDir, CheckpointMeta, Recorded) {
    static FIXTURE: OnceLock<(TempDir, CheckpointMeta, Recorded)> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let meta = meta("mobilenetv2", 3, Interpolation::Bilinear);
        let recorded = recorded(folder.path(), &meta);
        (folder, meta, recorded)
    })
}

fn copy_of_fixture() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["model.safetensors", "verification.safetensors"] {
        fs::copy(fixture().0.path().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// What a folder holds, but for the record of what was written there.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != files::manifest::FILE).collect();
    names.sort();
    names
}

/// Expects no file, and the text of an error.
fn refused(folder: &Path, form: Form) -> (String, bool) {
    let before = files(folder);
    let error = export::export(folder, &folder.join("model.onnx"), &settings(form, true)).unwrap_err();
    assert_eq!(files(folder), before, "{error}");
    (error.to_string(), (error.code().exit_code() == 2))
}

#[test]
fn both_forms_are_verified_described_and_repeatable() {
    let cases = [("efficientnet_lite0", Interpolation::Bilinear), ("resnet18", Interpolation::Bicubic)];
    for (model, interpolation) in cases {
        let folder = TempDir::new().unwrap();
        let meta = meta(model, 5, interpolation);
        let (prepared, _) = recorded(folder.path(), &meta);
        for form in [Form::Whole, Form::Prepared] {
            let [a, b] = ["a.onnx", "b.onnx"].map(|name| folder.path().join(name));
            let summary = export::export(folder.path(), &a, &settings(form, true)).unwrap();
            println!("{summary}{:.4}", prepared.1);
            assert_eq!(summary.checks.len(), if form == Form::Whole { 4 } else { 2 });
            assert!(summary.checks.iter().all(|c| c.largest_difference <= c.limit && c.labels_differ == 0));
            assert_eq!(summary.bytes, fs::metadata(&a).unwrap().len());
            export::export(folder.path(), &b, &settings(form, true)).unwrap();
            assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap(), "two exports differ");
            let opened = Model::open(&a, &options()).unwrap();
            assert_eq!((opened.meta(), opened.form()), (&meta, form));
            // The network must tell images apart, or agreement would mean nothing.
            let (first, second) = (prepared.1.row(0), prepared.1.row(1));
            assert!(first.iter().zip(second).any(|(a, b)| (a - b).abs() > 1e-3), "{:?}", prepared.1);
        }
    }
}

#[test]
fn multilabel_models_answer_each_class_on_its_own() {
    let folder = TempDir::new().unwrap();
    let mut meta = meta("mobilenetv2", 4, Interpolation::Bilinear);
    meta.task = Task::ImageClassificationMultilabel;
    let (prepared, _) = recorded(folder.path(), &meta);
    assert!(prepared.1.rows().into_iter().any(|row| (row.sum() - 1.0).abs() > 0.05), "{:?}", prepared.1);
    let output = folder.path().join("model.onnx");
    export::export(folder.path(), &output, &settings(Form::Whole, true)).unwrap();
}

#[test]
fn a_run_folder_means_its_best_checkpoint() {
    let run = TempDir::new().unwrap();
    let best = run.path().join("checkpoints").join("best");
    fs::create_dir_all(&best).unwrap();
    fs::copy(fixture().0.path().join("model.safetensors"), best.join("model.safetensors")).unwrap();
    let output = default_output(run.path()).unwrap();
    assert_eq!(output, best.join("model.onnx"));
    export::export(run.path(), &output, &settings(Form::Whole, false)).unwrap();
    assert_eq!(files(&best), ["model.onnx", "model.safetensors"]);
}

#[test]
fn optimiser_state_is_left_out() {
    let folder = TempDir::new().unwrap();
    let meta = &fixture().1;
    let mut tensors = state_dict(meta);
    tensors.insert("fovea.step".to_owned(), (safetensors::Dtype::I64, vec![1], vec![0; 8]));
    write_checkpoint(folder.path(), meta, &tensors);
    let [a, b] = ["a.onnx", "b.onnx"].map(|name| folder.path().join(name));
    export::export(folder.path(), &a, &settings(Form::Whole, false)).unwrap();
    export::export(fixture().0.path(), &b, &settings(Form::Whole, false)).unwrap();
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap());
}

#[test]
fn a_file_that_answers_differently_is_not_written() {
    let (_, meta, (prepared, whole)) = fixture();
    let folder = copy_of_fixture();
    let output = folder.path().join("model.onnx");
    export::export(folder.path(), &output, &settings(Form::Prepared, false)).unwrap();
    let yesterday = fs::read(&output).unwrap();
    for (value, place) in [(2e-4, "prepared"), (f32::NAN, "prepared")] {
        let mut wrong = prepared.clone();
        wrong.1[[2, 1]] += value;
        write_recording(folder.path(), &wrong, whole);
        for form in [Form::Whole, Form::Prepared] {
            let (text, input) = refused(folder.path(), form);
            assert!(text.contains(place) && text.contains("image 2") && text.contains(&meta.labels[1]), "{text}");
            assert!(!input);
        }
    }
    let mut wrong = whole.clone();
    wrong[1].1[[0, 0]] += 6e-3;
    write_recording(folder.path(), prepared, &wrong);
    let (text, _) = refused(folder.path(), Form::Whole);
    assert!(text.contains("whole images, batch 1, image 1"), "{text}");
    assert!(fs::read(&output).unwrap() == yesterday);
}

#[test]
fn only_what_an_export_wrote_is_replaced_and_only_when_asked() {
    let folder = copy_of_fixture();
    let output = folder.path().join("model.onnx");
    let export = |overwrite| {
        export::export(folder.path(), &output, &ExportSettings { overwrite, ..settings(Form::Prepared, false) })
    };
    let refused = |overwrite, why: &str| {
        let error = export(overwrite).unwrap_err();
        assert!((error.code().exit_code() == 2) && error.to_string().contains(why), "{error}");
    };
    fs::write(&output, "mine").unwrap();
    refused(false, "no file that Fovea wrote");
    refused(true, "no file that Fovea wrote");
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
    fs::remove_file(&output).unwrap();
    export(false).unwrap();
    refused(false, "--overwrite");
    export(true).unwrap();
    fs::write(&output, "mine again").unwrap();
    refused(true, "changed");
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine again");
}

#[test]
fn an_unusable_recording_says_how_to_make_another() {
    let (_, meta, (prepared, whole)) = fixture();
    let remedy = "trainer evaluate --checkpoint";
    let folder = copy_of_fixture();
    let path = folder.path().join("verification.safetensors");
    let expect = |what: &str| {
        let (text, input) = refused(folder.path(), Form::Whole);
        assert!(text.contains(what) && text.contains(remedy) && input, "{text}");
    };
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    expect("verification.safetensors");
    write_recording(folder.path(), prepared, &[]);
    expect("no image");
    let none = (prepared.0.slice(s![0..0, .., .., ..]).to_owned(), prepared.1.slice(s![0..0, ..]).to_owned());
    write_recording(folder.path(), &none, whole);
    expect("no image");
    let narrow = (prepared.0.slice(s![.., .., ..9, ..]).to_owned(), prepared.1.clone());
    write_recording(folder.path(), &narrow, whole);
    expect("64 x 64");
    let few = (prepared.0.clone(), prepared.1.slice(s![.., ..2]).to_owned());
    write_recording(folder.path(), &few, whole);
    expect("3 classes");
    fs::write(&path, &bytes).unwrap();
    let mut other = meta.clone();
    other.epoch += 1;
    write_checkpoint(folder.path(), &other, &state_dict(meta));
    expect("other weights");
    fs::remove_file(&path).unwrap();
    expect("missing");
}

/// Writes a checkpoint with a change; expects an error of bad input that contains all of `parts`.
fn broken(change: impl FnOnce(&mut CheckpointMeta, &mut Tensors), parts: &[&str]) {
    let folder = TempDir::new().unwrap();
    let mut meta = fixture().1.clone();
    let mut tensors = state_dict(&meta);
    change(&mut meta, &mut tensors);
    write_checkpoint(folder.path(), &meta, &tensors);
    let output = folder.path().join("model.onnx");
    let error = export::export(folder.path(), &output, &settings(Form::Whole, false)).unwrap_err();
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    assert!((error.code().exit_code() == 2) && files(folder.path()) == ["model.safetensors"], "{text}");
}

#[test]
fn checkpoints_that_do_not_fit_are_refused() {
    let head = "classifier.1.weight";
    broken(|_, t| drop(t.remove(head)), &[head, "no tensor"]);
    broken(|_, t| t.get_mut(head).unwrap().1 = vec![1280, 3], &[head, "[1280, 3]", "[3, 1280]"]);
    broken(|_, t| t.get_mut(head).unwrap().0 = safetensors::Dtype::I32, &[head, "I32"]);
    broken(|m, _| m.labels.push("one more".to_owned()), &["[4, 1280]", "classes"]);
    broken(|m, _| m.labels.clear(), &["labels"]);
    broken(|m, _| m.model_name = "resnet9".to_owned(), &["resnet9", "resnet18"]);
    broken(|m, _| m.schema_version += 1, &["version 2", "newer"]);
    broken(|m, _| m.task = Task::ImageInstanceSegmentation, &["mobilenetv2", "maskrcnn_resnet50_fpn"]);
    broken(|m, _| m.task = Task::ImageObjectDetection, &["mobilenetv2", "yolov5"]);
    broken(|m, _| m.preprocessing.fit = schemas::Fit::Crop { resize: 63, crop: 64 }, &["crop 64", "resize 63"]);
    broken(|m, _| m.preprocessing.std[1] = 0.0, &["std"]);
}

#[test]
fn files_that_are_no_checkpoint_are_refused() {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("model.onnx");
    let expect = |path: &Path, what: &str| {
        let error = export::export(path, &output, &settings(Form::Whole, true)).unwrap_err();
        assert!(error.to_string().contains(what) && (error.code().exit_code() == 2), "{error}");
        assert!(!output.exists());
    };
    expect(folder.path(), "no checkpoint");
    expect(&folder.path().join("nowhere"), "no checkpoint");
    let good = fs::read(fixture().0.path().join("model.safetensors")).unwrap();
    let path = folder.path().join("model.safetensors");
    for cut in [0, 7, 8, 100, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..cut]).unwrap();
        expect(&path, "damaged");
    }
    fs::write(&path, [&u64::MAX.to_le_bytes(), b"{}".as_slice()].concat()).unwrap();
    expect(&path, "damaged");
    support::write_tensors(&path, &Tensors::new(), ("format", "pt"));
    expect(&path, "does not say");
    support::write_tensors(&path, &Tensors::new(), ("fovea", "{"));
    expect(&path, "wrongly");
    support::write_tensors(&path, &Tensors::new(), ("fovea", "{\"schema_version\": 1}"));
    expect(&path, "wrongly");
}

#[test]
fn outputs_in_the_way_are_refused() {
    let folder = copy_of_fixture();
    let weights = folder.path().join("model.safetensors");
    let before = fs::read(&weights).unwrap();
    for output in [weights.clone(), folder.path().to_owned(), folder.path().join("none").join("model.onnx")] {
        let error = export::export(folder.path(), &output, &settings(Form::Whole, true)).unwrap_err();
        assert!(matches!(error, ExportError::Output { .. }), "{error}");
    }
    assert!(fs::read(&weights).unwrap() == before);
    assert_eq!(files(folder.path()), ["model.safetensors", "verification.safetensors"]);
}

#[test]
fn a_prepared_classifier_may_be_for_images_of_any_size() {
    let folder = copy_of_fixture();
    let (_, meta, (prepared, _)) = fixture();
    let file = folder.path().join("any.onnx");
    let any = |form, verify| ExportSettings { any_size: true, ..settings(form, verify) };
    let summary = export::export(folder.path(), &file, &any(Form::Prepared, true)).unwrap();
    assert!(!summary.checks.is_empty());
    let mut model = Model::open(&file, &options()).unwrap();
    assert_eq!(model.input_shape(), [-1, -1, -1, 3]);
    let found = answers(&mut model, &prepared.0);
    assert!(found.iter().zip(&prepared.1).all(|(a, b)| (a - b).abs() < 1e-5), "{found} against {}", prepared.1);
    let side = meta.preprocessing.side() as usize;
    assert_eq!(answers(&mut model, &picture("larger", 2, side + 31, side + 8)).dim(), (2, 3));

    let refused = |folder: &Path, form: Form, says: &str| {
        let error = export::export(folder, &folder.join("refused.onnx"), &any(form, false)).unwrap_err();
        assert!(error.to_string().contains("--any-size") && error.to_string().contains(says), "{error}");
        assert_eq!(error.code().exit_code(), 2);
    };
    refused(folder.path(), Form::Whole, "take the form 'prepared'");
    let other = TempDir::new().unwrap();
    write_checkpoint(other.path(), &support::meta("vits16r224", 3, Interpolation::Bilinear), &Tensors::new());
    refused(other.path(), Form::Prepared, "a Vision Transformer");
}

#[test]
fn the_program_speaks_json_and_exit_codes() {
    let folder = copy_of_fixture();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_exporter")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let path = folder.path().to_str().unwrap();
    let (code, out, err) = run(&["--checkpoint", path, "--json", "--form", "prepared"]);
    assert_eq!(code, Some(0), "{err}");
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&value["status"], &value["export"]["form"]), (&"done".into(), &"prepared".into()));
    assert!(folder.path().join("model.onnx").is_file());
    let (code, _, err) = run(&["--checkpoint", path]);
    assert!(code == Some(2) && err.contains("--overwrite"), "{err}");
    let (code, out, err) = run(&["--checkpoint", path, "--overwrite"]);
    assert!(code == Some(0) && out.contains("Conv 52") && out.contains("largest difference"), "{out}{err}");
    let (code, out, err) = run(&["--checkpoint", "nowhere", "--json"]);
    assert_eq!(
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap()["status"].as_str()),
        (Some(2), Some("failed"))
    );
    assert!(err.contains("no checkpoint"), "{err}");
    assert_eq!(run(&["--checkpoint", path, "--opset", "12"]).0, Some(2));
    let (code, out, _) = run(&["--help"]);
    assert!(code == Some(0) && out.contains("Examples:"), "{out}");
}

/// A network with everything that naming has to cope with: scopes, a residual, a parameter used twice, a counter that is
/// not written, a shared constant, and a value that nobody uses.
#[test]
fn a_small_network_as_text() {
    let source = support::Given(
        [("stem.conv.weight", 27), ("head.weight", 2), ("head.bias", 2)]
            .into_iter()
            .chain(["weight", "bias", "running_mean", "running_var"].map(|k| (k, 1)))
            .map(|(k, n)| (if n == 1 { format!("stem.bn.{k}") } else { k.to_owned() }, vec![0.5; n]))
            .collect(),
    );
    let b = Builder::new(&source);
    let dims = [Dim::Named("N"), Dim::Fixed(3), Dim::Named("H"), Dim::Named("W")];
    let images = b.input("images", DType::F32, &dims, "");
    let root = Scope::root(&b);
    let stem = root.sub("stem");
    let x = scope::conv(&stem.sub("conv"), &images, ConvSpec::new(3, 1, 3).stride(2).padding(Padding::SameUpper));
    let x = scope::batch_norm(&stem.sub("bn"), &x, 1, &Bn { eps: 1e-3, momentum: 0.1 });
    let x = b.clamp(x, 0.0, 6.0);
    let unused = b.sigmoid(&x);
    drop(unused);
    let y = b.add(b.clamp(x.clone(), 0.0, 6.0), &x);
    let w = b.param("stem.conv.weight", &[1, 3, 3, 3], models::ops::Init::Zeros, models::ops::Role::Weight);
    b.conv2d(&images, &w, None, &Conv { stride: [1, 1], padding: Padding::all(1), groups: 1 });
    let y = b.flatten(&b.global_avg_pool(&y), 1);
    let y = b.softmax(&scope::linear(&root.sub("head"), &y, 1, 2, None), 1);
    b.output(&y, "probabilities", &[Dim::Named("N"), Dim::Fixed(2)], "");
    let text = dump::dump(&b.finish().unwrap());
    let expected = include_str!("small_network.txt");
    assert_eq!(text, expected, "found:\n{text}");
}
