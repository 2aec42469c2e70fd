//! Weight files as timm and torchvision write them, loaded as `--pretrained FILE` loads them: see
//! `scripts/oracle/real_files.py`. They are too large to be committed, so that this runs only where `FOVEA_REAL_FILES` names
//! a folder of them, which `scripts/parity` makes.

use std::path::PathBuf;

use models::registry;
use schemas::plan::Pretrained;
use schemas::{Fit, Preprocessing, Task};
use serde::Deserialize;
use tch::Device;
use tests::{check_close, synthetic};
use trainer::nn::eager::{Eager, Mode, T};
use trainer::nn::network::{Network, manifest};
use trainer::nn::params::Params;
use trainer::nn::pretrained;

use crate::support;

#[derive(Deserialize)]
struct Files {
    classes: i64,
    files: Vec<File>,
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
    let Some(folder) = std::env::var_os("FOVEA_REAL_FILES").map(PathBuf::from) else {
        println!("skipped: FOVEA_REAL_FILES names no folder; scripts/parity makes one");
        return;
    };
    let text = std::fs::read_to_string(folder.join("files.json")).expect("files.json");
    let Files { classes, files } = serde_json::from_str(&text).expect("what real_files.py writes");
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
