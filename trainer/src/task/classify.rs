//! Single-label classification.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Measured, Step, Task, shown};
use crate::data::{Batch, Loader};
use crate::detect::Losses;
use crate::evaluate;
use crate::network::Network;

/// Cross entropy, measured by accuracy.
#[derive(Debug, Default)]
pub struct Classify {
    /// Float `[C]`, when the loss is weighted.
    pub class_weights: Option<Tensor>,
}

impl Task for Classify {
    fn loss(&self, network: &Network, batch: &Batch, step: &Step) -> Losses {
        let images = network.images(&batch.images, batch.n, batch.height, batch.width);
        let targets = Tensor::from_slice(&batch.targets).to_device(network.params.device());
        let total = network.loss(&images, &targets, self.class_weights.as_ref(), step.arithmetic);
        Losses { total, parts: Vec::new() }
    }

    fn evaluate(&self, network: &Network, data: &Loader, label: &str) -> anyhow::Result<Measured> {
        let scalars = evaluate::with_network(network, data, label)?.report(&network.labels).scalars();
        let primary = scalars.get("accuracy").copied();
        Ok(Measured { scalars, primary })
    }

    fn headline(&self, scalars: &BTreeMap<String, f64>) -> Vec<(&'static str, String)> {
        vec![("accuracy", shown(scalars, "accuracy")), ("log loss", shown(scalars, "log_loss"))]
    }
}

/// Loss weight per class for `weighted_loss` k of 1 or 2: `sqrt(1 / n_c) ^ k`, 0 for an absent class; `None` when k is 0
/// or the largest class size divided by the smallest, rounded down, is at most `threshold`.
#[must_use]
pub fn class_weights(counts: &[usize], weighted_loss: u32, threshold: usize) -> Option<Vec<f32>> {
    let (largest, smallest) = (counts.iter().max()?, counts.iter().min()?);
    if weighted_loss == 0 || largest / (*smallest).max(1) <= threshold {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "counts of images; weights are f32"
    )]
    let weight = |&n: &usize| if n == 0 { 0.0 } else { (1.0 / n as f64).sqrt().powi(weighted_loss as i32) as f32 };
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
}
