//! Classification: one class per image ([`Classify`]), or any number ([`MultiLabel`]).

use std::collections::BTreeMap;

use schemas::setting::BestEpochBy;
use schemas::{Plan, Settings};
use tch::{Device, Reduction, Tensor};

use super::evaluate;
use super::mix::Mixing;
use crate::nn::network::Network;
use crate::nn::transfer::upload;
use crate::tasks::losses::Losses;
use crate::tasks::task::{Evaluation, Measured, Step, Task, aim, shown};

use dataset::{Batch, Dataset, Images, Loader};
use metrics::{Aim, Cutoff, THRESHOLD};

/// What keeps a classifier from being too sure of its training images; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regularization {
    /// Share of the target that is spread over all answers.
    pub label_smoothing: f64,
    /// How images are mixed, if they are.
    pub mixing: Option<Mixing>,
}

/// What is made of probabilities of the validation data besides metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Whether a temperature is fitted.
    pub calibrate: bool,
    /// What decides which epoch is best.
    pub by: BestEpochBy,
    /// What logits are divided by where nothing is fitted.
    pub temperature: f64,
    /// Of label sets, from when on a label is answered.
    pub above: f64,
    /// What another such threshold is fitted for, if one is.
    pub aim: Option<Aim>,
}

impl Default for Judgement {
    /// The specification's.
    fn default() -> Self {
        Self { calibrate: false, by: BestEpochBy::Primary, temperature: 1.0, above: f64::from(THRESHOLD), aim: None }
    }
}

impl Regularization {
    /// As the settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { label_smoothing: settings.label_smoothing, mixing: Mixing::of(settings) }
    }

    /// The loss of a batch, mixed where that is asked for; `cost` is that of logits against targets, which have a row for each
    /// image.
    fn loss(
        &self,
        (network, batch, step): (&Network, &Batch, &Step),
        targets: &Tensor,
        cost: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Losses {
        let images = network.images(&batch.images, batch.n, batch.height, batch.width);
        let total = match self.mixing.map(|mixing| mixing.mix(&images, step)) {
            None => cost(&network.logits(&images, step.arithmetic), targets),
            Some(mixed) => {
                let logits = network.logits(&mixed.images, step.arithmetic);
                mixed.loss(targets, |targets| cost(&logits, targets))
            }
        };
        Losses { total, parts: Vec::new() }
    }
}

/// The classification task of a plan, its loss weighted by the classes of `data` where the plan asks for it.
#[must_use]
pub fn of(plan: &Plan, data: &Dataset, device: Device) -> Box<dyn Task> {
    let (counts, s) = (data.class_counts(), &plan.settings);
    let (weighted_loss, threshold) = (s.weighted_loss, s.imbalance_rate_threshold as usize);
    let regularization = Regularization::of(s);
    let judgement = Judgement {
        calibrate: s.calibrate,
        by: s.best_epoch_by,
        temperature: s.temperature,
        above: s.label_threshold,
        aim: aim(s),
    };
    let upload = |weights: Vec<f32>| upload(&weights, &[weights.len() as i64], device);
    match plan.task {
        schemas::Task::ImageClassificationMultilabel => Box::new(MultiLabel {
            positive_weights: positive_weights(&counts, data.len(), weighted_loss, threshold).map(upload),
            regularization,
            judgement,
        }),
        // No classifier is trained for the others: its registry row does not list them.
        schemas::Task::ImageClassification
        | schemas::Task::ImageObjectDetection
        | schemas::Task::ImageInstanceSegmentation => Box::new(Classify {
            class_weights: class_weights(&counts, weighted_loss, threshold).map(upload),
            regularization,
            judgement,
        }),
    }
}

/// Softmax and cross entropy, measured by accuracy.
#[derive(Debug, Default)]
pub struct Classify {
    /// Float `[C]`, when the loss is weighted; the mean over a batch is then weighted as PyTorch's `cross_entropy` has it.
    pub class_weights: Option<Tensor>,
    /// What is done to targets and images.
    pub regularization: Regularization,
    /// What is made of an evaluation.
    pub judgement: Judgement,
}

/// A sigmoid and a binary cross entropy per class, measured by the overlap of predicted and true labels.
#[derive(Debug, Default)]
pub struct MultiLabel {
    /// Float `[C]`, when the loss is weighted: how much more the presence of a class counts than its absence.
    pub positive_weights: Option<Tensor>,
    /// What is done to targets and images.
    pub regularization: Regularization,
    /// What is made of an evaluation.
    pub judgement: Judgement,
}

impl Task for Classify {
    fn loss(&self, network: &Network, batch: &Batch, step: &Step) -> Losses {
        let targets: Vec<i64> = batch.classes.iter().flatten().map(|&class| i64::from(class)).collect();
        let (weights, smoothing) = (self.class_weights.as_ref(), self.regularization.label_smoothing);
        let targets = upload(&targets, &[targets.len() as i64], network.params.device());
        self.regularization.loss((network, batch, step), &targets, |logits, targets| {
            logits.cross_entropy_loss(targets, weights, Reduction::Mean, -100, smoothing)
        })
    }

    fn evaluate(&self, network: &Network, data: &Loader, evaluation: &Evaluation) -> anyhow::Result<Measured> {
        measured(network, data, evaluation.label, self.judgement)
    }

    fn headline(&self, scalars: &BTreeMap<String, f64>) -> Vec<(&'static str, String)> {
        vec![("accuracy", shown(scalars, "accuracy")), ("log loss", shown(scalars, "log_loss"))]
    }
}

impl MultiLabel {
    /// `[N, C]` logits against targets (1 where a class is present, 0 where not): mean over images and classes of
    /// `-w_c t log p - (1 - t) log (1 - p)`. Smoothing draws targets towards one half.
    fn cost(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        let (weights, smoothing) = (self.positive_weights.as_ref(), self.regularization.label_smoothing);
        let targets = targets * (1.0 - smoothing) + smoothing / 2.0;
        logits.binary_cross_entropy_with_logits(&targets, None::<&Tensor>, weights, Reduction::Mean)
    }
}

impl Task for MultiLabel {
    fn loss(&self, network: &Network, batch: &Batch, step: &Step) -> Losses {
        let targets = presence(&batch.classes, network.labels.len(), network.params.device());
        self.regularization.loss((network, batch, step), &targets, |logits, targets| self.cost(logits, targets))
    }

    fn evaluate(&self, network: &Network, data: &Loader, evaluation: &Evaluation) -> anyhow::Result<Measured> {
        measured(network, data, evaluation.label, self.judgement)
    }

    fn headline(&self, scalars: &BTreeMap<String, f64>) -> Vec<(&'static str, String)> {
        let named = [("iou", "iou"), ("exact match", "accuracy"), ("log loss", "log_loss")];
        named.map(|(shown_as, name)| (shown_as, shown(scalars, name))).into()
    }
}

/// Float `[N, n]`: 1 where a class is present, 0 where it is not.
fn presence(classes: &[Vec<u32>], n: usize, device: Device) -> Tensor {
    let mut values = vec![0.0_f32; classes.len() * n];
    for (row, classes) in classes.iter().enumerate() {
        classes.iter().for_each(|&class| values[row * n + class as usize] = 1.0);
    }
    upload(&values, &[classes.len() as i64, n as i64], device)
}

fn measured(network: &Network, data: &Loader, label: &str, judgement: Judgement) -> anyhow::Result<Measured> {
    let outcome = evaluate::with_network(network, None, data, label)?.above(judgement.above);
    let mut scalars = outcome.report(&network.labels).scalars();
    let calibration = if judgement.calibrate { outcome.calibration(network.labels.len()) } else { None };
    if let Some(calibration) = calibration {
        scalars.insert("log_loss_calibrated".to_owned(), calibration.after);
    }
    let score = match judgement.by {
        BestEpochBy::Primary => scalars.get(network.task.primary_metric()).copied(),
        BestEpochBy::LogLoss => {
            scalars.get("log_loss_calibrated").or_else(|| scalars.get("log_loss")).map(|loss| -loss)
        }
        BestEpochBy::Last => None,
    };
    let given = (judgement.temperature != 1.0).then_some(judgement.temperature);
    let temperature = calibration.map(|calibration| calibration.temperature).or(given);
    let mut measured = Measured { scalars, score, temperature, threshold: None };
    // The file's probabilities are those at its temperature.
    let at_temperature = |p: f64| 1.0 / (1.0 + ((1.0 - p) / p).powf(1.0 / temperature.unwrap_or(1.0)));
    let found = judgement.aim.and_then(|aim| outcome.cutoff(network.labels.len(), judgement.above, aim));
    measured.answer_above(
        found.map(|(setting, found)| (setting, Cutoff { threshold: at_temperature(found.threshold), ..found })),
    );
    Ok(measured)
}

/// Loss weight per class for `weighted_loss` k of 1 or 2 where images have one class: `sqrt(1 / n_c) ^ k`, 0 for an absent
/// class; `None` when k is 0 or the largest class size divided by the smallest, rounded down, is at most `threshold`.
#[must_use]
pub fn class_weights(counts: &[usize], weighted_loss: u32, threshold: usize) -> Option<Vec<f32>> {
    weights(counts, weighted_loss, threshold, |n| 1.0 / n)
}

/// Weight of each class's presence for `weighted_loss` k of 1 or 2 where `images` have any number of classes:
/// `sqrt((images - n_c) / n_c) ^ k`, 0 for an absent class and for one that every image has, which both teach nothing about
/// presence; `None` as in [`class_weights`].
#[must_use]
pub fn positive_weights(counts: &[usize], images: usize, weighted_loss: u32, threshold: usize) -> Option<Vec<f32>> {
    weights(counts, weighted_loss, threshold, |n| (images as f64 - n) / n)
}

/// `sqrt(base(n_c)) ^ weighted_loss`.
fn weights(counts: &[usize], weighted_loss: u32, threshold: usize, base: impl Fn(f64) -> f64) -> Option<Vec<f32>> {
    let (largest, smallest) = (counts.iter().max()?, counts.iter().min()?);
    if weighted_loss == 0 || largest / (*smallest).max(1) <= threshold {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "counts of images; weights are f32"
    )]
    let weight = |&n: &usize| if n == 0 { 0.0 } else { base(n as f64).sqrt().powi(weighted_loss as i32) as f32 };
    Some(counts.iter().map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_weights_follow_the_specified_formula() {
        assert_eq!(class_weights(&[10, 4], 0, 2), None);
        assert_eq!(class_weights(&[8, 4], 2, 2), None, "not imbalanced enough");
        assert_eq!(class_weights(&[100, 25, 0], 1, 2), Some(vec![0.1, 0.2, 0.0]));
        assert_eq!(class_weights(&[100, 25, 0], 2, 2), Some(vec![0.01, 0.04, 0.0]));
    }

    #[test]
    fn positive_weights_follow_the_specified_formula() {
        assert_eq!(positive_weights(&[50, 25], 100, 1, 2), None, "not imbalanced enough");
        assert_eq!(positive_weights(&[100, 50, 20, 0], 100, 1, 2), Some(vec![0.0, 1.0, 2.0, 0.0]));
        assert_eq!(positive_weights(&[100, 50, 20, 0], 100, 2, 2), Some(vec![0.0, 1.0, 4.0, 0.0]));
    }

    #[test]
    fn presence_is_a_row_per_image() {
        let found = Vec::<f32>::try_from(presence(&[vec![0, 2], vec![]], 3, Device::Cpu).reshape([-1])).unwrap();
        assert_eq!(found, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_weight_is_that_of_presence() {
        let logits = Tensor::from_slice(&[0.5_f32, -1.0, 2.0, 0.0]).reshape([2, 2]);
        let cost = |weights: Option<[f32; 2]>| {
            let positive_weights = weights.map(|weights| Tensor::from_slice(&weights));
            let task = MultiLabel { positive_weights, ..MultiLabel::default() };
            task.cost(&logits, &presence(&[vec![0], vec![0, 1]], 2, Device::Cpu)).double_value(&[])
        };
        // -log p of a present class is log(1 + e^-x), -log(1 - p) of an absent one log(1 + e^x).
        let (first, second, third, fourth) =
            ((-0.5_f64).exp().ln_1p(), (-1.0_f64).exp().ln_1p(), (-2.0_f64).exp().ln_1p(), 2.0_f64.ln());
        assert!((cost(None) - (first + second + third + fourth) / 4.0).abs() < 1e-6);
        let weighted = (3.0 * first + second + 3.0 * third + 0.5 * fourth) / 4.0;
        assert!((cost(Some([3.0, 0.5])) - weighted).abs() < 1e-6);
    }

    #[test]
    fn smoothed_presence_lies_towards_one_half() {
        let regularization = Regularization { label_smoothing: 0.2, mixing: None };
        let task = MultiLabel { regularization, ..MultiLabel::default() };
        let logits = Tensor::from_slice(&[1.5_f32]).reshape([1, 1]);
        let (present, absent) = ((-1.5_f64).exp().ln_1p(), 1.5_f64.exp().ln_1p());
        let cost = task.cost(&logits, &presence(&[vec![0]], 1, Device::Cpu)).double_value(&[]);
        assert!((cost - (0.9 * present + 0.1 * absent)).abs() < 1e-6, "{cost}");
    }
}
