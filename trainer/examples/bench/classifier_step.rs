//! Training steps of a classifier on random images. The peer is `scripts/bench/peers/classifier_step.py`.

use anyhow::Context;
use models::registry;
use schemas::setting::{GradClip, Optimizer as Kind};
use schemas::{Fit, Preprocessing, Task};
use tch::{Device, Kind as Type, Tensor};
use trainer::nn::network::{self, Arithmetic, Network};
use trainer::nn::params::{Layout, Params};
use trainer::train::optimizer::Optimizer;
use trainer::train::schedule::Rates;

use crate::device;

const CLASSES: usize = 1000;
const SIDE: u32 = 224;

/// Milliseconds of each step, and the loss of the last.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    bridge::keep_freed_memory();
    let [model, batch, arithmetic, layout, steps, threads, named @ ..] = arguments else {
        anyhow::bail!("classifier-step takes six or seven arguments: {}", crate::USAGE);
    };
    let device = device::open(named.first())?;
    let mut settings = registry::settings(Task::ImageClassification, model).defaults;
    let batch: usize = batch.parse()?;
    tch::set_num_threads(threads.parse()?);
    let arithmetic = if arithmetic == "bf16" { Arithmetic::Bf16 } else { Arithmetic::Fp32 };
    let spec = registry::find(model).context("no such model")?;
    let layout = match layout.as_str() {
        "contiguous" => Layout::Contiguous,
        "channels_last" => Layout::ChannelsLast,
        _ => spec.layout(),
    };
    let preprocessing = Preprocessing { fit: Fit::Crop { resize: SIDE, crop: SIDE }, ..spec.preprocessing() };
    let manifest = network::manifest(spec, CLASSES, &preprocessing)?;
    let network = Network {
        spec,
        task: Task::ImageClassification,
        labels: (0..CLASSES).map(|i| i.to_string()).collect(),
        preprocessing,
        params: Params::init(&manifest, 0, device, layout),
    };
    (settings.optimizer, settings.grad_clip_type) = (Kind::Sgd, GradClip::None);
    let mut optimizer = Optimizer::new(&settings, &network.params, &network.spec.layers());
    let side = SIDE as usize;
    let pixels = Tensor::randint(256, [(batch * side * side * 3) as i64], (Type::Uint8, Device::Cpu));
    let pixels = Vec::<u8>::try_from(&pixels)?;
    let targets = Tensor::randint(CLASSES as i64, [batch as i64], (Type::Int64, Device::Cpu)).to_device(device);
    let mut last = None;
    let times = device::timed(device, steps.parse()?, |_| {
        let images = network.images(&pixels, batch, side, side);
        let loss = network.logits(&images, arithmetic).cross_entropy_for_logits(&targets);
        optimizer.backward(&loss)?;
        optimizer.step(&Rates { lr: 0.01, bias_lr: 0.01, momentum: 0.9, body: 1.0 })?;
        last = Some(loss.detach());
        Ok(())
    })?;
    let last = last.context("no step")?.double_value(&[]);
    anyhow::ensure!(last.is_finite(), "the loss is {last} in the last step");
    Ok(serde_json::json!({ "step": times, "loss": last }))
}
