//! What a run starts from: parameters, weights, what of them stays as it is, and anchors.

use std::path::Path;

use models::detect::{Detector, yolov5};
use models::host::Placement;
use models::registry::{Kind, ModelSpec};
use models::weights::LoadReport;
use schemas::error::ErrorCode;
use schemas::{Plan, Preprocessing, WeightsOrigin};
use tch::{Device, Tensor};

use crate::failure::fail;
use crate::log::Log;
use crate::nn::network::{Network, manifest, preferred_layout};
use crate::nn::params::Params;
use crate::nn::{pretrained, previous};
use crate::tasks::detect::autoanchor::{self, Size};
use crate::tasks::detect::yolov5_loss::Hyper;
use dataset::{Images, KeyedRng, TrainingData};

/// Key of YOLOv5's anchors, in cells of their maps.
const ANCHORS: &str = "model.24.anchors";

/// The model of a plan with freshly initialised parameters.
///
/// # Errors
/// When its pictures are too small for it.
pub fn network(
    spec: &'static ModelSpec,
    plan: &Plan,
    data: &TrainingData,
    preprocessing: &Preprocessing,
    device: Device,
) -> anyhow::Result<Network> {
    let labels = data.train.labels().to_vec();
    let manifest = manifest(spec, labels.len(), preprocessing)?;
    let params = Params::init(&manifest, plan.seed, device, preferred_layout(spec));
    Ok(Network { spec, task: plan.task, labels, preprocessing: preprocessing.clone(), params })
}

/// Loads what the plan names into the network, weights or the model of a previous run, and says so.
///
/// # Errors
/// When there are none, or they do not fit.
pub fn weights(network: &mut Network, plan: &Plan, log: &Log) -> anyhow::Result<Option<WeightsOrigin>> {
    if let Some(run) = &plan.checkpoint_run {
        let taken = previous::load(network, Path::new(run))?;
        log.line(&format!("starting from {}: {}", taken.origin.source, taken.report));
        return Ok(Some(taken.origin));
    }
    let Some((origin, report)) = pretrained::load(network, &plan.pretrained)? else {
        log.line("starting from random weights");
        return Ok(None);
    };
    let LoadReport { new_head, .. } = &report;
    log.line(&format!("starting from {} ({}): {report}", origin.source, origin.licence));
    if !new_head.is_empty() {
        log.line(&format!("the head starts anew for {} classes", network.labels.len()));
    }
    Ok(Some(origin))
}

/// Freezes what the plan says or, where it says nothing, what the model keeps of weights it was given. Without weights,
/// normalisations that the model would keep are trained too.
///
/// # Errors
/// When the plan freezes more groups than there are.
pub fn freeze(network: &mut Network, plan: &Plan, has_weights: bool) -> anyhow::Result<()> {
    let freezable = network.spec.freezable();
    let groups = match plan.source("layers_to_freeze") {
        source if source.is_explicit() => plan.settings.layers_to_freeze as usize,
        _ if has_weights => network.spec.frozen_by_default(),
        _ => 0,
    };
    if !has_weights {
        network.params.train_frozen_norms();
    }
    if groups > freezable.len() {
        let message =
            format!("layers_to_freeze is {groups}; {} has {} groups to freeze", network.spec.name, freezable.len());
        return Err(fail(ErrorCode::InvalidSettings, message));
    }
    network.params.freeze(&freezable[..groups].concat());
    if !plan.settings.keep_frozen_statistics {
        network.params.update_frozen_statistics();
    }
    Ok(())
}

/// Reports how well YOLOv5's anchors fit the training objects and, where the plan asks for it, puts better ones in their
/// place. Other models have nothing to fit.
pub fn anchors(network: &mut Network, plan: &Plan, data: &dyn Images, log: &Log) {
    let Kind::Detector(Detector::Yolov5(_)) = network.spec.kind else { return };
    let strides = yolov5::STRIDES.map(f64::from);
    let cells =
        Vec::<f64>::try_from(&network.params.tensor(ANCHORS, &[3, 3, 2]).reshape([-1]).to_kind(tch::Kind::Double));
    let pixels = |(at, side): (usize, f64)| side * strides[at / 6];
    let sides: Vec<f64> = cells.unwrap_or_default().into_iter().enumerate().map(pixels).collect();
    let current = sides.as_chunks::<2>().0;
    let mut rng = KeyedRng::new("anchors", &[plan.seed]);
    let report = autoanchor::check(&sizes(network, data), current, Hyper::default().anchor_threshold, &mut rng);
    let share = |recall: f64| format!("{:.1} %", 100.0 * recall);
    log.line(&format!("anchors are near {} of the training boxes", share(report.current.recall)));
    let Some(better) = report.better else { return };
    let list: Vec<String> = better.anchors.iter().map(|[w, h]| format!("{w:.0}x{h:.0}")).collect();
    let fit = format!("{} are near {}", list.join(" "), share(better.fit.recall));
    if !plan.settings.autoanchor {
        log.line(&format!("{fit}; --autoanchor true would use them"));
        return;
    }
    let cells: Vec<f32> = better
        .anchors
        .iter()
        .flatten()
        .enumerate()
        .map(|(at, side)| (side / strides[(at / 6).min(2)]) as f32)
        .collect();
    network.params.set(ANCHORS, &Tensor::from_slice(&cells).reshape([3, 3, 2]));
    log.line(&format!("{fit}, and are used"));
}

/// Width and height of every training object in pixels of the network's input.
fn sizes(network: &Network, data: &dyn Images) -> Vec<Size> {
    let mut sizes = Vec::new();
    for index in 0..data.len() {
        let objects = data.objects(index);
        // A picture that cannot be read has no size, and is left out of training too.
        let Ok([width, height]) = data.size(index) else { continue };
        let place = Placement::of(width, height, &network.preprocessing.fit);
        let (width, height) = (f64::from(place.inner_width), f64::from(place.inner_height));
        sizes.extend(objects.iter().map(|object| {
            let [x1, y1, x2, y2] = object.corners.map(f64::from);
            [(x2 - x1) * width, (y2 - y1) * height]
        }));
    }
    sizes
}
