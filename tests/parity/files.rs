//! Weight files as timm, torchvision and the original YOLOv5 write them, loaded as `--pretrained FILE` loads them: see
//! `scripts/oracle/real_files.py`. They are too large to be committed, so that this runs only where `FOVEA_REAL_FILES` names
//! a folder of them, which `scripts/parity` makes.

use std::path::{Path, PathBuf};

use models::detect::{Selection, View};
use models::registry::{self, ModelSpec};
use models::scope::Scope;
use models::weights::LoadReport;
use models::weights::published::PUBLISHED;
use schemas::plan::Pretrained;
use schemas::setting::ModelSize;
use schemas::{Fit, Preprocessing};
use serde::Deserialize;
use tch::Device;
use tests::{check_close, synthetic};
use trainer::nn::eager::{Eager, Mode, T};
use trainer::nn::network::{Network, manifest};
use trainer::nn::params::Params;
use trainer::nn::pretrained;

use crate::{detect_forward, support};

#[derive(Deserialize)]
struct Files {
    classes: i64,
    files: Vec<File>,
    /// Empty where the original YOLOv5 is not installed.
    detectors: Vec<DetectorFile>,
    /// Files with the keys and shapes of the published ones.
    published: Vec<PublishedFile>,
}

#[derive(Deserialize)]
struct PublishedFile {
    model: String,
    file: String,
}

#[derive(Deserialize)]
struct DetectorFile {
    file: String,
    model: String,
    model_size: ModelSize,
    input: String,
    shape: Vec<i64>,
    classes: i64,
    score: f32,
    iou: f32,
    cap: i64,
    detections: Vec<Vec<[f64; 6]>>,
}

/// What the script wrote, where it did.
fn made() -> Option<(PathBuf, Files)> {
    let Some(folder) = std::env::var_os("FOVEA_REAL_FILES").map(PathBuf::from) else {
        println!("skipped: FOVEA_REAL_FILES names no folder; scripts/parity makes one");
        return None;
    };
    let text = std::fs::read_to_string(folder.join("files.json")).expect("files.json");
    Some((folder, serde_json::from_str(&text).expect("what real_files.py writes")))
}

/// A network with a file's weights, and what was loaded where.
fn loaded(spec: &'static ModelSpec, preprocessing: Preprocessing, classes: i64, file: &Path) -> (Network, LoadReport) {
    let labels: Vec<String> = (0..classes).map(|i| i.to_string()).collect();
    let manifest = manifest(spec, labels.len(), &preprocessing).expect("a sound definition");
    let params = Params::init(&manifest, 0, Device::Cpu, spec.layout());
    let mut network = Network { spec, task: spec.tasks()[0], labels, preprocessing, params };
    let (_, report) = (pretrained::load(&mut network, &Pretrained::File(file.to_string_lossy().into_owned())))
        .unwrap_or_else(|e| panic!("{}: {e:#}", file.display()))
        .expect("a report");
    (network, report)
}

/// That every parameter came from the file, and that nothing in the file was left over.
fn whole(file: &str, report: &LoadReport) {
    let left = [&report.missing, &report.unexpected, &report.new_head].map(Vec::len);
    assert_eq!((left, report.wrong_shape.len()), ([0; 3], 0), "{file}: {report}");
}

#[derive(Deserialize)]
struct File {
    file: String,
    model: String,
    side: u32,
    input: String,
    logits: Vec<Vec<f32>>,
}

#[test]
fn files_of_timm_and_torchvision_load_whole_and_give_their_logits() {
    let Some((folder, Files { classes, files, .. })) = made() else { return };
    assert!(files.len() > 10, "{} files", files.len());
    for file in files {
        let spec = registry::find(&file.model).expect("a model");
        let fit = Fit::Crop { resize: file.side, crop: file.side };
        let preprocessing = Preprocessing { fit, ..spec.preprocessing() };
        let (network, report) = loaded(spec, preprocessing, classes, &folder.join(&file.file));
        whole(&file.file, &report);
        let shape = [2, 3, i64::from(file.side), i64::from(file.side)];
        let images = support::tensor(&synthetic::input(&file.input, &shape), &shape);
        let eager = Eager::new(&network.params, Mode::Evaluate);
        let classifier = spec.classifier().expect("a classifier");
        let logits = tch::no_grad(|| classifier.logits(&eager, &T::borrowed(&images), shape[3], classes).into_tensor());
        let worst = check_close(&file.file, &support::floats(&logits), &file.logits.concat(), 1e-5);
        println!("{:40} {report}; logits within {worst:.1e}", file.file);
    }
}

#[test]
fn files_of_the_original_yolov5_load_whole_and_find_its_boxes() {
    let Some((folder, Files { detectors, .. })) = made() else { return };
    for file in detectors {
        let spec = registry::find(&file.model).expect("a model").sized(file.model_size);
        let (network, report) = loaded(spec, spec.preprocessing(), file.classes, &folder.join(&file.file));
        whole(&file.file, &report);
        let images = T::borrowed(&support::tensor(&synthetic::input(&file.input, &file.shape), &file.shape));
        let sizes = file.shape[2..].iter().map(|&d| d as f32).collect::<Vec<_>>().repeat(2);
        let inner = T::borrowed(&support::tensor(&sizes, &[2, 2]));
        let one = |value: f32| T::borrowed(&tch::Tensor::from_slice(&[value]));
        let selection = Selection { score: one(file.score), iou: one(file.iou), cap: file.cap };
        let eager = Eager::new(&network.params, Mode::Evaluate);
        let view = View { images: &images, inner: &inner };
        let detector = spec.detector().expect("a detector");
        let found = tch::no_grad(|| detector.predict(&Scope::root(&eager), &view, file.classes, &selection));
        let found = detect_forward::rows(found);
        assert_eq!(found.len(), file.detections.len(), "{}", file.file);
        for (found, expected) in found.iter().zip(&file.detections) {
            let (score, corner) = detect_forward::pair_up(&file.file, found, expected);
            println!(
                "{:40} {} boxes; scores within {score:.1e}, corners within {corner:.1e} px",
                file.file,
                found.len()
            );
        }
    }
}

#[test]
fn every_published_file_loads_whole() {
    let Some((folder, Files { published, .. })) = made() else { return };
    for row in PUBLISHED {
        let made = published.iter().filter(|file| file.model == row.model).map(|file| folder.join(&file.file));
        // scripts/setup has fetched this one itself.
        let native = Path::new(env!("CARGO_MANIFEST_DIR")).join("../native/weights").join(row.file);
        let files: Vec<PathBuf> = made.chain(Some(native).filter(|file| file.exists())).collect();
        assert!(!files.is_empty(), "no file has the keys of {}", row.file);
        let spec = registry::find(row.model).expect("a model");
        for file in files {
            let (_, report) = loaded(spec, spec.preprocessing(), row.classes, &file);
            whole(row.file, &report);
            println!("{:44} {report}", row.file);
        }
    }
}
