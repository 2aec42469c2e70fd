//! Parameters without a trainer: generated ones, and checkpoints written with them.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

pub mod decisions;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use exporter::builder::Builder;
use exporter::graph::Graph;
use exporter::proto::{self, Header};
use exporter::source::{ParamError, ParamSource};
use models::manifest::Entry;
use models::ops::{Init, Role};
use ndarray::{Array2, Array4, ArrayD};
use ort::session::Session;
use ort::value::TensorRef;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use schemas::{CheckpointMeta, Fit, Interpolation, Preprocessing, SCHEMA_VERSION, Task};
use sha2::{Digest, Sha256};

/// Numbers in `[0, 1)` that depend on the seed text only.
pub fn uniform(seed: &str, n: usize) -> Vec<f32> {
    let mut state =
        seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    };
    std::iter::repeat_with(next).take(n).collect()
}

/// Pixels with structure: smooth colours with noise on top.
pub fn picture(seed: &str, n: usize, h: usize, w: usize) -> Array4<u8> {
    let noise = uniform(seed, n * h * w * 3);
    let mut i = 0;
    Array4::from_shape_fn((n, h, w, 3), |(k, y, x, c)| {
        let wave = ((y * (c + 1)) as f32 / 9.0).sin() + ((x + 7 * k) as f32 / 5.0).cos();
        i += 1;
        (128.0 + 45.0 * wave + 60.0 * (noise[i - 1] - 0.5)).clamp(0.0, 255.0) as u8
    })
}

/// Parameters given by hand.
pub struct Given(pub BTreeMap<String, Vec<f32>>);

impl ParamSource for Given {
    fn parameter(&self, key: &str, shape: &[i64]) -> Result<Vec<u8>, ParamError> {
        let values = self.0.get(key).ok_or_else(|| ParamError::Missing { key: key.to_owned() })?;
        if shape.iter().product::<i64>() != values.len() as i64 {
            return Err(ParamError::Shape { key: key.to_owned(), expected: shape.to_vec(), found: vec![values.len()] });
        }
        Ok(values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
}

/// No parameters.
pub fn nothing() -> Given {
    Given(BTreeMap::new())
}

/// A session for a graph.
pub fn session(graph: Graph) -> Session {
    let bytes = proto::bytes(graph, &Header { graph: "test", doc: "", metadata: &[] }).unwrap();
    let environment = runtime::init(None).unwrap();
    Session::builder(environment).unwrap().commit_from_memory(&bytes).unwrap()
}

/// Runs a graph with one float input `x` and one float output.
pub fn run_f32(graph: Graph, x: &ArrayD<f32>) -> ArrayD<f32> {
    let name = graph.outputs[0].name.to_string();
    let mut session = session(graph);
    let outputs = session.run(ort::inputs!["x" => TensorRef::from_array_view(x.view()).unwrap()]).unwrap();
    outputs[name.as_str()].try_extract_array::<f32>().unwrap().to_owned()
}

/// Finishes a builder that must have met no error.
pub fn finished(builder: Builder) -> Graph {
    builder.finish().unwrap()
}

/// Metadata of a small classifier.
pub fn meta(model: &str, classes: usize, interpolation: Interpolation) -> CheckpointMeta {
    CheckpointMeta {
        schema_version: SCHEMA_VERSION,
        task: Task::ImageClassification,
        model_name: model.to_owned(),
        labels: (0..classes).map(|i| format!("class {i}")).collect(),
        preprocessing: Preprocessing {
            fit: Fit::Crop { resize: 73, crop: 64 },
            interpolation,
            mean: [123.675, 116.28, 103.53],
            std: [58.395, 57.12, 57.375],
        },
        epoch: 3,
        metrics: BTreeMap::from([("accuracy".to_owned(), 0.5)]),
        settings: serde_json::Map::from_iter([("learning_rate".to_owned(), 0.001.into())]),
        weights: None,
        temperature: None,
        versions: BTreeMap::from([("fovea".to_owned(), "0.1.0".to_owned())]),
    }
}

/// Metadata of a small detector of three classes. `settings` are those that differ from the default.
pub fn detector_meta(model: &str, fit: Fit, settings: &[(&str, serde_json::Value)]) -> CheckpointMeta {
    let (mean, std) = match fit {
        Fit::Letterbox { .. } => ([0.0; 3], [255.0; 3]),
        _ => ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    };
    let mut all = schemas::Settings { model_size: schemas::setting::ModelSize::Nano, ..Default::default() };
    for (name, value) in settings {
        all.set(name, value).unwrap();
    }
    CheckpointMeta {
        task: Task::ImageObjectDetection,
        preprocessing: Preprocessing { fit, interpolation: Interpolation::Bilinear, mean, std },
        settings: all.to_map(),
        ..meta(model, 3, Interpolation::Bilinear)
    }
}

/// Values that keep activations of a deep network in range, and do not make it chaotic: with larger ones a single pixel
/// one step brighter moves a probability by a hundredth.
fn values(key: &str, entry: &Entry) -> Vec<u8> {
    let n = usize::try_from(entry.numel()).unwrap();
    let u = uniform(key, n);
    let fan_in: i64 = entry.shape.iter().skip(1).product();
    let value = |u: f32| match entry.role {
        Role::Weight => (u - 0.5) * 2.0 * (3.0 / fan_in as f32).sqrt(),
        Role::Bias | Role::NormBias | Role::Embedding => u - 0.5,
        Role::NormWeight => 0.5 + u,
        // A frozen normalisation has all its tensors as buffers.
        Role::Buffer if key.ends_with("var") || key.ends_with("weight") => 0.5 + u,
        Role::Buffer => 0.2 * (u - 0.5),
        Role::Counter => 0.0,
    };
    if let Init::Values(values) = entry.init {
        return values.iter().flat_map(|v| v.to_le_bytes()).collect();
    }
    match entry.role {
        Role::Counter => 7_i64.to_le_bytes().to_vec(),
        _ => u.into_iter().flat_map(|u| value(u).to_le_bytes()).collect(),
    }
}

/// Tensors to write, by key: type, shape, bytes.
pub type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The state dict of a model with generated values.
pub fn state_dict(meta: &CheckpointMeta) -> Tensors {
    let spec = models::registry::described(meta).unwrap();
    let manifest = spec.manifest(meta.labels.len() as i64, i64::from(meta.preprocessing.side())).unwrap();
    let tensor = |(key, entry): (&String, &Entry)| {
        let dtype = if entry.role == Role::Counter { Dtype::I64 } else { Dtype::F32 };
        let shape = entry.shape.iter().map(|&d| d as usize).collect();
        (key.clone(), (dtype, shape, values(key, entry)))
    };
    manifest.entries().iter().map(tensor).collect()
}

/// Writes a safetensors file with one metadata entry.
pub fn write_tensors(path: &Path, tensors: &Tensors, metadata: (&str, &str)) {
    let views = tensors
        .iter()
        .map(|(key, (dtype, shape, data))| (key.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let metadata = HashMap::from([(metadata.0.to_owned(), metadata.1.to_owned())]);
    fs::write(path, serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// Writes `model.safetensors` with this description and these tensors; gives its path.
pub fn write_checkpoint(folder: &Path, meta: &CheckpointMeta, tensors: &Tensors) -> PathBuf {
    let path = folder.join("model.safetensors");
    write_tensors(&path, tensors, ("fovea", &serde_json::to_string(meta).unwrap()));
    path
}

/// Images and what was answered for them.
pub type Answered = (Array4<u8>, Array2<f32>);

/// Writes `verification.safetensors` for the checkpoint in this folder.
pub fn write_recording(folder: &Path, prepared: &Answered, whole: &[Answered]) {
    let digest = Sha256::digest(fs::read(folder.join("model.safetensors")).unwrap());
    let sha256: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    let mut tensors = Tensors::new();
    let mut put = |name: &str, (images, probabilities): &Answered| {
        let rows = probabilities.shape().to_vec();
        let floats = probabilities.iter().flat_map(|p| p.to_le_bytes()).collect();
        tensors.insert(name.to_owned(), (Dtype::U8, images.shape().to_vec(), images.iter().copied().collect()));
        tensors.insert(format!("{name}.probabilities"), (Dtype::F32, rows, floats));
    };
    put("prepared", prepared);
    for (i, answered) in whole.iter().enumerate() {
        put(&format!("whole.{i}"), answered);
    }
    write_tensors(&folder.join("verification.safetensors"), &tensors, ("model_sha256", &sha256));
}

/// Answers of an exported file.
pub fn answers(model: &mut runtime::Model, images: &Array4<u8>) -> Array2<f32> {
    model.run(images.view()).unwrap()
}
