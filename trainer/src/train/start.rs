//! The start of a run: parameters, weights, and what of them stays as it is.

use std::path::Path;

use models::registry::ModelSpec;
use models::weights::LoadReport;
use schemas::error::ErrorCode;
use schemas::{Plan, Preprocessing, WeightsOrigin};
use tch::Device;

use crate::failure::fail;
use crate::log::Log;
use crate::nn::network::{Network, manifest};
use crate::nn::params::Params;
use crate::nn::{pretrained, previous};
use dataset::TrainingData;

/// The model of a plan with freshly initialised parameters.
///
/// # Errors
/// When its images are too small for it.
pub fn network(
    spec: &'static ModelSpec,
    plan: &Plan,
    data: &TrainingData,
    preprocessing: &Preprocessing,
    device: Device,
) -> anyhow::Result<Network> {
    let labels = data.train.labels().to_vec();
    let manifest = manifest(spec, labels.len(), preprocessing)?;
    let params = Params::init(&manifest, plan.seed, device, spec.layout());
    Ok(Network { spec, task: plan.task, labels, preprocessing: preprocessing.clone(), params })
}

/// What a network starts from.
#[derive(Default)]
pub struct Weights {
    /// Where they came from; nothing where they are random.
    pub origin: Option<WeightsOrigin>,
    /// Whether a head came along, trained for these very classes.
    pub with_head: bool,
}

/// Loads what the plan names into the network, weights or the model of a previous run, and says so.
///
/// # Errors
/// When there are none, or they do not fit.
pub fn weights(network: &mut Network, plan: &Plan, log: &Log) -> anyhow::Result<Weights> {
    if let Some(run) = &plan.checkpoint_run {
        let taken = previous::load(network, Path::new(run))?;
        log.line(&format!("starting from {}: {}", taken.origin.source, taken.report));
        return Ok(Weights { origin: Some(taken.origin), with_head: taken.report.new_head.is_empty() });
    }
    let Some((origin, report)) = pretrained::load(network, &plan.pretrained)? else {
        log.line(
            "warning: starting from random weights, from which a few hundred images teach little; --pretrained FILE starts from those \
             that you have",
        );
        return Ok(Weights::default());
    };
    let LoadReport { new_head, .. } = &report;
    log.line(&format!("starting from {} ({}): {report}", origin.source, origin.licence));
    if !new_head.is_empty() {
        log.line(&format!("the head starts anew for {} classes", network.labels.len()));
    }
    Ok(Weights { with_head: new_head.is_empty(), origin: Some(origin) })
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
