//! What the training loop asks of a task. The loop knows nothing of classes and boxes; a task knows nothing of epochs.

use std::collections::BTreeMap;

use metrics::{Aim, Cutoff};
use schemas::{Plan, Settings};

use super::losses::Losses;
use crate::log::Log;
use crate::nn::network::{Arithmetic, Network};
use dataset::{Batch, Images, Loader};

/// Which training step is taken, and how.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Arithmetic of the forward pass.
    pub arithmetic: Arithmetic,
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// Micro-batch of the epoch, from 0.
    pub batch: usize,
}

/// Which evaluation is made.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// Name of the pass on the progress bar.
    pub label: &'a str,
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// Whether the loss is measured too, by tasks that do not measure it in any case.
    pub loss: bool,
}

/// What an evaluation found; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Metrics by name.
    pub scalars: BTreeMap<String, f64>,
    /// What decides which epoch is best, larger is better; `None` when the plan measures nothing that does.
    pub score: Option<f64>,
    /// What a classifier's logits are to be divided by, where the plan has it fitted and something is gained by it.
    pub temperature: Option<f64>,
    /// The setting that a threshold was fitted for, where the plan has one fitted and something is gained by it, and its value.
    pub threshold: Option<(&'static str, f64)>,
}

impl Measured {
    /// Takes a threshold that was fitted for a setting.
    pub fn answer_above(&mut self, found: Option<(&'static str, Cutoff)>) {
        let Some((setting, Cutoff { threshold, f1, .. })) = found else { return };
        self.scalars.insert("fitted_threshold".to_owned(), threshold);
        self.scalars.insert("fitted_threshold_f1".to_owned(), f1);
        self.threshold = Some((setting, threshold));
    }
}

/// What a threshold is fitted for, if one is.
#[must_use]
pub fn aim(settings: &Settings) -> Option<Aim> {
    match settings.wanted_precision {
        wanted if wanted > 0.0 => Some(Aim::Precision(wanted)),
        _ => settings.fit_threshold.then_some(Aim::F1),
    }
}

/// A task under training.
pub trait Task {
    /// The loss of one micro-batch, in training mode.
    fn loss(&self, network: &Network, batch: &Batch, step: &Step) -> Losses;

    /// Whether [`Self::loss`] grows with the number of images, as YOLO's does, instead of being their mean.
    fn sums_over_images(&self) -> bool {
        false
    }

    /// Fits to the training data what training then starts from; said in `log`. Most tasks have nothing to fit.
    fn fit(&self, network: &mut Network, plan: &Plan, data: &dyn Images, log: &Log) {
        let _ = (network, plan, data, log);
    }

    /// Measures the network on a data set, in float32. The loss, where it is asked for, is among the scalars as `loss`, and what it
    /// is made of as `loss_` and the name of each part.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn evaluate(&self, network: &Network, data: &Loader, evaluation: &Evaluation) -> anyhow::Result<Measured>;

    /// The metrics that a line about an epoch shows, as name and text.
    fn headline(&self, scalars: &BTreeMap<String, f64>) -> Vec<(&'static str, String)>;
}

/// A metric as a headline shows it; a dash where it is undefined.
pub(super) fn shown(scalars: &BTreeMap<String, f64>, name: &str) -> String {
    scalars.get(name).map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"))
}
