//! Weight files as timm, torchvision and the original YOLOv5 write them, loaded as `--pretrained FILE` loads them: see
//! `scripts/oracle/real_files.py`. They are too large to be committed, so that this runs only where `FOVEA_REAL_FILES` names
//! a folder of them, which `scripts/parity` makes.

use std::path::PathBuf;

use models::detect::{Selection, View};
use models::registry;
use models::scope::Scope;
use schemas::plan::Pretrained;
use schemas::setting::ModelSize;
use schemas::{Fit, Preprocessing, Task};
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
        let labels: Vec<String> = (0..classes).map(|i| i.to_string()).collect();
        let manifest = manifest(spec, labels.len(), &preprocessing).expect("a sound definition");
        let params = Params::init(&manifest, 0, Device::Cpu, spec.layout());
        let mut network = Network { spec, task: Task::ImageClassification, labels, preprocessing, params };
        let path = folder.join(&file.file);
        let (_, report) = (pretrained::load(&mut network, &Pretrained::File(path.to_string_lossy().into_owned())))
            .unwrap_or_else(|e| panic!("{}: {e:#}", file.file))
            .expect("a report");
        let left = [&report.missing, &report.unexpected, &report.new_head].map(Vec::len);
        assert_eq!((left, report.wrong_shape.len()), ([0; 3], 0), "{}: {report}", file.file);

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
        let labels: Vec<String> = (0..file.classes).map(|i| i.to_string()).collect();
        let preprocessing = spec.preprocessing();
        let manifest = manifest(spec, labels.len(), &preprocessing).expect("a sound definition");
        let params = Params::init(&manifest, 0, Device::Cpu, spec.layout());
        let mut network = Network { spec, task: Task::ImageObjectDetection, labels, preprocessing, params };
        let path = folder.join(&file.file);
        let (_, report) = (pretrained::load(&mut network, &Pretrained::File(path.to_string_lossy().into_owned())))
            .unwrap_or_else(|e| panic!("{}: {e:#}", file.file))
            .expect("a report");
        assert!(report.fits() && report.new_head.is_empty(), "{}: {report}", file.file);

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
