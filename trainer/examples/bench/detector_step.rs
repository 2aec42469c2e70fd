//! Training steps of a detector on given images. The peer is `scripts/bench/peers/detector_step.py`.
//!
//! MODEL is a name of the registry; yolov5 takes a letter for its size. FOLDER holds `case.safetensors` and
//! `weights.safetensors`, as the peer's `prepare` writes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use dataset::{Batch, Target};
use models::host::Rgb;
use models::host::mask::Outline;
use models::registry::{self, ModelSpec};
use schemas::setting::{GradClip, ModelSize, Optimizer as Kind};
use schemas::{Preprocessing, Task};
use tch::{Kind as Type, Tensor};
use trainer::nn::network::{self, Arithmetic, Network};
use trainer::nn::params::{Layout, Params};
use trainer::tasks::detect::Detect;
use trainer::tasks::{Step, Task as _};
use trainer::train::optimizer::Optimizer;
use trainer::train::schedule::Rates;

use crate::{device, process};

const CLASSES: usize = 80;
const LR: f64 = 1e-3;

/// Milliseconds of each step, the loss of the first, and the most memory that was in use.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    bridge::keep_freed_memory();
    let [model, size, count, arithmetic, layout, steps, threads, folder, named @ ..] = arguments else {
        anyhow::bail!("detector-step takes eight or nine arguments: {}", crate::USAGE);
    };
    let device = device::open(named.first())?;
    tch::set_num_threads(threads.parse()?);
    let arithmetic = if arithmetic == "bf16" { Arithmetic::Bf16 } else { Arithmetic::Fp32 };
    let layout = if layout == "contiguous" { Layout::Contiguous } else { Layout::ChannelsLast };
    let spec = find(model)?;
    let registry::Kind::Detector(detector) = spec.kind else { anyhow::bail!("{model} is no detector") };
    let batch = batch(&read(&Path::new(folder).join("case.safetensors"))?, &spec.preprocessing())?;
    let [height, width] = batch.inner[0];
    anyhow::ensure!(
        format!("{height}x{width} {}", batch.n) == format!("{size} {count}"),
        "the folder has another case"
    );

    let manifest = network::manifest(spec, CLASSES, &spec.preprocessing())?;
    let task = if spec.tasks().contains(&Task::ImageInstanceSegmentation) {
        Task::ImageInstanceSegmentation
    } else {
        Task::ImageObjectDetection
    };
    let mut network = Network {
        spec,
        task,
        labels: (0..CLASSES).map(|i| i.to_string()).collect(),
        preprocessing: spec.preprocessing(),
        params: Params::init(&manifest, 0, device, layout),
    };
    let weights = read(&Path::new(folder).join("weights.safetensors"))?;
    for key in manifest.entries().keys() {
        network.params.set(key, weights.get(key).with_context(|| format!("{key} is not among the weights"))?);
    }
    network.params.freeze(&spec.freezable()[..spec.frozen_by_default()].concat());

    let mut settings = spec.defaults(task);
    (settings.optimizer, settings.grad_clip_type) = (Kind::Sgd, GradClip::None);
    (settings.weight_decay, settings.momentum, settings.nesterov) = (5e-4, 0.9, true);
    settings.img_size = height.max(width);
    let task = Detect::new(detector, &settings);
    let mut optimizer = Optimizer::new(&settings, &network.params, &network.spec.layers());
    let mut losses = Vec::new();
    let times = device::timed(device, steps.parse()?, |index| {
        let loss = task.loss(&network, &batch, &Step { arithmetic, seed: 0, epoch: 0, batch: index }).total;
        optimizer.backward(&loss)?;
        optimizer.step(&Rates { lr: LR, bias_lr: LR, momentum: 0.9, body: 1.0 })?;
        losses.push(loss.detach().sum(Type::Float));
        Ok(())
    })?;
    let losses: Vec<f64> = losses.iter().map(|loss| loss.double_value(&[])).collect();
    for (index, value) in losses.iter().enumerate() {
        anyhow::ensure!(value.is_finite(), "the loss is {value} in step {index}");
    }
    Ok(serde_json::json!({ "step": times, "loss": losses.first(), "peak": process::peak() }))
}

fn find(model: &str) -> anyhow::Result<&'static ModelSpec> {
    let size = match model.strip_prefix("yolov5") {
        Some("n") => ModelSize::Nano,
        Some("s") => ModelSize::Small,
        Some("m") => ModelSize::Medium,
        Some("l") => ModelSize::Large,
        Some("x") => ModelSize::Xlarge,
        _ => return registry::find(model).context("no such model"),
    };
    Ok(registry::find("yolov5").context("no such model")?.sized(size))
}

/// A ring for each object, of polygons float `[k, points, 2]`; none without them.
pub(crate) fn outlines(polygons: Option<&Tensor>) -> anyhow::Result<Vec<Outline>> {
    let Some(polygons) = polygons else { return Ok(Vec::new()) };
    let points = usize::try_from(polygons.size()[1])?;
    let values = Vec::<f64>::try_from(polygons.to_kind(Type::Double).reshape([-1]))?;
    Ok(values.as_chunks::<2>().0.chunks(points).map(|ring| Outline { rings: vec![ring.to_vec()] }).collect())
}

pub(crate) fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Tensor>> {
    Ok(Tensor::read_safetensors(path).with_context(|| path.display().to_string())?.into_iter().collect())
}

/// The case as the loader hands it over: in a frame of the mean colour whose sides are multiples of 32.
fn batch(case: &BTreeMap<String, Tensor>, p: &Preprocessing) -> anyhow::Result<Batch> {
    let tensor = |name: &str| case.get(name).with_context(|| format!("no {name} in the case"));
    let images = tensor("images")?;
    let [n, height, width] = [0, 1, 2].map(|axis| images.size()[axis]);
    let mut decoded = Vec::new();
    for index in 0..n {
        let data = Vec::<u8>::try_from(images.get(index).reshape([-1]))?;
        decoded.push((Rgb { width: u32::try_from(width)?, height: u32::try_from(height)?, data }, Vec::new()));
    }
    let owners = Vec::<i64>::try_from(tensor("owners")?)?;
    let labels = Vec::<i64>::try_from(tensor("labels")?)?;
    let corners = Vec::<f32>::try_from(tensor("boxes")?.reshape([-1]))?;
    let mut outlines = outlines(case.get("polygons"))?.into_iter();
    for ((owner, label), corners) in owners.into_iter().zip(labels).zip(corners.as_chunks().0) {
        let outline = outlines.next().map(Arc::new);
        let target = Target { corners: *corners, class: usize::try_from(label)?, is_crowd: false, outline };
        decoded[usize::try_from(owner)?].1.push(target);
    }
    Ok(Batch::of_images(decoded, p.mean.map(|m| m.round() as u8)))
}
