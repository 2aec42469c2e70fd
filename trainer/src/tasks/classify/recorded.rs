//! Answers of a classifier on example images.

use models::host::Rgb;
use tch::Tensor;

use crate::nn::network::Network;
use crate::tasks::pixels::pixels;

/// Decoded images, prepared images, and the probabilities of each, at the `temperature`; of the prepared ones also the penultimate layer.
///
/// # Errors
/// When a value does not fit its type.
pub fn answers(network: &Network, temperature: Option<f64>, examples: &[Rgb]) -> anyhow::Result<Vec<(String, Tensor)>> {
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    let mut prepared = Vec::new();
    let mut answers = Vec::new();
    for (i, image) in examples.iter().enumerate() {
        let small = models::host::prepare(image, &network.preprocessing);
        let tensor = network.images(&small.data, 1, usize::try_from(small.height)?, usize::try_from(small.width)?);
        let answer = network.probabilities(&tensor, temperature);
        tensors.push((format!("whole.{i}"), pixels(image)));
        tensors.push((format!("whole.{i}.probabilities"), answer.shallow_clone()));
        prepared.push(tensor);
        answers.push(answer);
    }
    if !prepared.is_empty() {
        let prepared = Tensor::cat(&prepared, 0);
        tensors.push(("prepared.features".into(), network.features(&prepared)));
        tensors.push(("prepared".into(), prepared));
        tensors.push(("prepared.probabilities".into(), Tensor::cat(&answers, 0)));
    }
    Ok(tensors)
}
