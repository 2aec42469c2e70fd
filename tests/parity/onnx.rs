//! The exported file against Eager: both forms, every model, probabilities and features, with the formula's parameters.

use exporter::preprocess::{self, Contents};
use exporter::proto::{self, Header};
use models::host::{self, Rgb};
use models::registry::{self, ModelSpec};
use ndarray::{Array2, ArrayView4};
use runtime::{Form, Model, Options};
use schemas::{CheckpointMeta, Interpolation, SCHEMA_VERSION, Task};
use tch::Device;
use tests::{check_close, synthetic};
use trainer::nn::network::{self, Network};

use crate::support;

/// What logits are divided by, in the file as in the network.
const TEMPERATURE: Option<f64> = Some(1.7);

fn meta(spec: &ModelSpec, task: Task, resize: u32, crop: u32) -> CheckpointMeta {
    CheckpointMeta {
        schema_version: SCHEMA_VERSION,
        task,
        model_name: spec.name.to_owned(),
        labels: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
        preprocessing: schemas::Preprocessing { fit: schemas::Fit::Crop { resize, crop }, ..spec.preprocessing() },
        epoch: 1,
        metrics: Default::default(),
        settings: Default::default(),
        weights: None,
        temperature: TEMPERATURE,
        versions: Default::default(),
    }
}

fn network(meta: &CheckpointMeta) -> Network {
    let mut network = Network::from_meta(meta, Device::Cpu).expect("a known model");
    support::fill(&mut network.params, &meta.model_name);
    network
}

fn model(network: &Network, meta: &CheckpointMeta, form: Form) -> Model {
    file(network, meta, Contents { features: true, ..Contents::from(form) })
}

fn file(network: &Network, meta: &CheckpointMeta, contents: Contents) -> Model {
    let (classifier, form) = (network.spec.classifier().expect("a classifier"), contents.form);
    let graph =
        preprocess::classifier(&classifier, meta, contents, &support::Weights(network)).expect("a sound definition");
    let json = serde_json::to_string(meta).expect("plain data");
    let metadata = [(runtime::META_KEY, json.as_str()), (runtime::FORM_KEY, form.name())];
    let bytes = proto::bytes(graph, &Header { graph: "test", doc: "", metadata: &metadata }).expect("it is written");
    Model::from_bytes(&bytes, &Options { intra_threads: 2, library: None }).expect("ONNX Runtime takes it")
}

fn run(model: &mut Model, images: &[u8], shape: [usize; 4]) -> Array2<f32> {
    model.run(ArrayView4::from_shape(shape, images).expect("a batch")).expect("it runs")
}

fn eager(network: &Network, images: &[u8], [n, h, w, _]: [usize; 4]) -> Vec<f32> {
    network::rows(&network.probabilities(&network.images(images, n, h, w), TEMPERATURE))
}

fn prepared_equals_eager(network: &Network, meta: &CheckpointMeta) {
    let mut model = model(network, meta, Form::Prepared);
    let side = meta.preprocessing.side() as usize;
    let mut worst = 0.0_f64;
    for n in [1, 3] {
        let images: Vec<u8> = (0..n).flat_map(|i| synthetic::picture(&format!("prepared{i}"), side, side)).collect();
        let shape = [n, side, side, 3];
        let (onnx, eager) = (run(&mut model, &images, shape), eager(network, &images, shape));
        let what = format!("{} {:?} batch {n}", network.spec.name, meta.task);
        let onnx: Vec<f32> = onnx.into_iter().collect();
        worst = worst.max(check_close(&what, &onnx, &eager, 1e-4));
        let batch = ArrayView4::from_shape(shape, &images).expect("a batch");
        let onnx: Vec<f32> = model.features(batch).expect("it runs").into_iter().collect();
        let eager = network::rows(&network.features(&network.images(&images, n, side, side)));
        let scale = eager.iter().fold(f32::MIN_POSITIVE, |largest, v| largest.max(v.abs()));
        let shares = |values: &[f32]| values.iter().map(|v| v / scale).collect::<Vec<_>>();
        check_close(&format!("features of {what}"), &shares(&onnx), &shares(&eager), 1e-4);
    }
    println!("{:20} prepared {:?}: within {worst:.1e}", network.spec.name, meta.task);
}

/// Heights and widths of a file for any size: those that it was trained with, larger, smaller, and no square.
const ANY_SIZES: [[usize; 2]; 4] = [[64, 64], [96, 96], [48, 48], [50, 81]];

fn any_size_equals_eager(network: &Network, meta: &CheckpointMeta) {
    let contents = Contents { any_size: true, features: true, ..Contents::from(Form::Prepared) };
    let mut model = file(network, meta, contents);
    let mut worst = 0.0_f64;
    for [height, width] in ANY_SIZES {
        let images: Vec<u8> = (0..2).flat_map(|i| synthetic::picture(&format!("any{i}"), width, height)).collect();
        let shape = [2, height, width, 3];
        let onnx: Vec<f32> = run(&mut model, &images, shape).into_iter().collect();
        let what = format!("{} at {width}x{height}", network.spec.name);
        worst = worst.max(check_close(&what, &onnx, &eager(network, &images, shape), 1e-4));
    }
    println!("{:20} any size: within {worst:.1e}", network.spec.name);
}

/// Width and height: small, odd, wide, tall, much larger than the crop.
const SIZES: [(usize, usize); 5] = [(33, 47), (97, 113), (301, 75), (64, 257), (641, 479)];

fn whole_equals_host_and_eager(network: &Network, meta: &CheckpointMeta) {
    let name = network.spec.name;
    let mut model = model(network, meta, Form::Whole);
    let mut worst = 0.0_f64;
    let crop = meta.preprocessing.side() as usize;
    for (width, height) in SIZES {
        let pictures: Vec<Vec<u8>> = (0..3).map(|i| synthetic::picture(&format!("whole{i}"), width, height)).collect();
        for n in [1, 3] {
            let mut prepared = Vec::new();
            for data in &pictures[..n] {
                let side = |v: usize| u32::try_from(v).expect("a side");
                let rgb = Rgb { width: side(width), height: side(height), data: data.clone() };
                prepared.extend(host::prepare(&rgb, &meta.preprocessing).data);
            }
            let onnx = run(&mut model, &pictures[..n].concat(), [n, height, width, 3]);
            let eager = eager(network, &prepared, [n, crop, crop, 3]);
            for (row, expected) in onnx.rows().into_iter().zip(eager.chunks(meta.labels.len())) {
                let row = row.to_vec();
                let what = format!("{name} {width}x{height} batch {n}");
                worst = worst.max(check_close(&what, &row, expected, 5e-3));
                assert_eq!(label(&row), label(expected), "{what}: {row:?}, expected {expected:?}");
            }
        }
    }
    println!("{name:20} whole {crop}: within {worst:.1e}");
}

fn label(probabilities: &[f32]) -> Option<usize> {
    (0..probabilities.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]))
}

fn both_forms(spec: &'static ModelSpec) {
    let mut meta = meta(spec, Task::ImageClassification, 72, 64);
    let mut network = network(&meta);
    prepared_equals_eager(&network, &meta);
    whole_equals_host_and_eager(&network, &meta);
    if !spec.settings(meta.task).one_size {
        any_size_equals_eager(&network, &meta);
    }
    (meta.task, network.task) = (Task::ImageClassificationMultilabel, Task::ImageClassificationMultilabel);
    prepared_equals_eager(&network, &meta);
}

each_model!(the_exported_file_equals_eager, super::both_forms);

#[test]
fn the_whole_form_at_the_published_size_and_with_the_other_filter() {
    for (name, interpolation) in [("resnet18", Interpolation::Bilinear), ("efficientnet_lite0", Interpolation::Bicubic)]
    {
        let spec = registry::find(name).expect("a model");
        let mut meta = meta(spec, Task::ImageClassification, 256, 224);
        meta.preprocessing.interpolation = interpolation;
        whole_equals_host_and_eager(&network(&meta), &meta);
    }
}
