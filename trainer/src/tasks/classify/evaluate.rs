//! Probabilities of a whole data set, from a network or from an exported file.

use std::time::Duration;

use models::host::Rgb;
use ndarray::ArrayView4;
use schemas::Task;
use tch::Tensor;

use crate::nn::network::{self, Network};
use crate::progress::Progress;
use dataset::{Batch, Loader, SampleError};
use metrics::{AccuracyTable, Aim, Calibration, ClassificationReport, Cutoff, Scored, Truths};

/// Probabilities beside what is true, in data set order; images that could not be decoded are left out.
pub struct Outcome {
    /// Row-major `[N, C]`.
    pub probabilities: Vec<f32>,
    /// Classes per row.
    pub truths: Truths,
    /// Index in the data set per row.
    pub indices: Vec<usize>,
}

impl Outcome {
    fn new(task: Task) -> Self {
        Self { probabilities: Vec::new(), truths: Truths::new(task), indices: Vec::new() }
    }

    /// The same, of label sets whose labels are answered where their probability is above `threshold`.
    #[must_use]
    pub fn above(mut self, threshold: f64) -> Self {
        self.truths.answer_above(threshold as f32);
        self
    }

    /// The setting of a threshold that label sets have, and what `aim` would make of it; nothing where images have one class each,
    /// or nothing is gained over the `usual` one.
    #[must_use]
    pub fn cutoff(&self, classes: usize, usual: f64, aim: Aim) -> Option<(&'static str, Cutoff)> {
        match self.truths {
            Truths::One(_) => None,
            Truths::Any { .. } => Some(("label_threshold", metrics::cutoff(&self.scored(classes), usual, aim)?)),
        }
    }

    /// The answers of label sets with whether they are right.
    fn scored(&self, classes: usize) -> Vec<Scored> {
        let one = |example: usize| {
            let row = &self.probabilities[example * classes..][..classes];
            let answers: Vec<(f32, bool)> =
                row.iter().enumerate().map(|(class, &p)| (p, self.truths.holds(example, class))).collect();
            let truths = answers.iter().filter(|(_, right)| *right).count() as u64;
            Scored { answers, truths }
        };
        (0..self.truths.len()).map(one).collect()
    }

    /// Every metric.
    #[must_use]
    pub fn report(&self, labels: &[String]) -> ClassificationReport {
        metrics::classification(labels, &self.probabilities, &self.truths)
    }

    /// The temperature that probabilities should have been made with, where something is gained by it.
    #[must_use]
    pub fn calibration(&self, classes: usize) -> Option<Calibration> {
        metrics::calibration(classes, &self.probabilities, &self.truths)
    }

    /// The counts at every threshold.
    #[must_use]
    pub fn accuracy_table(&self, labels: &[String]) -> AccuracyTable {
        metrics::accuracy_table(labels, &self.probabilities, &self.truths)
    }
}

/// Runs the network over the data in evaluation mode, its logits divided by the `temperature` where there is one.
///
/// # Errors
/// When the data cannot be read.
pub fn with_network(
    network: &Network,
    temperature: Option<f64>,
    data: &Loader,
    label: &str,
) -> anyhow::Result<Outcome> {
    over(network.task, data, label, |batch| {
        let images = network.images(&batch.images, batch.n, batch.height, batch.width);
        let probabilities: Tensor = network.probabilities(&images, temperature);
        Ok(network::rows(&probabilities))
    })
}

/// Runs an exported file of the `prepared` form over the data.
///
/// # Errors
/// When the data cannot be read or the file fails.
pub fn with_file(model: &mut runtime::Model, data: &Loader, label: &str) -> anyhow::Result<Outcome> {
    over(model.meta().task, data, label, |batch| {
        let images = ArrayView4::from_shape((batch.n, batch.height, batch.width, 3), &batch.images)?;
        Ok(model.run(images)?.into_iter().collect())
    })
}

/// Runs an exported file of the `whole` form over the images as decoded, so that the file's own resizing is measured.
///
/// # Errors
/// When the data cannot be read or the file fails.
pub fn with_whole_file(model: &mut runtime::Model, data: &Loader, label: &str) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new(model.meta().task);
    each_image(data, label, |index, image| {
        let shape = (1, usize::try_from(image.height)?, usize::try_from(image.width)?, 3);
        outcome.probabilities.extend(model.run(ArrayView4::from_shape(shape, &image.data)?)?);
        outcome.truths.push(data.images().classes(index));
        outcome.indices.push(index);
        Ok(())
    })?;
    Ok(outcome)
}

/// Calls `see` with every image of the data as decoded, one after the other; bad ones are passed over.
///
/// # Errors
/// When the data cannot be read, and the first that `see` gives.
pub fn each_image(
    data: &Loader,
    label: &str,
    mut see: impl FnMut(usize, &Rgb) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let images = data.images();
    let mut progress = Progress::start(label, images.len());
    for index in 0..images.len() {
        match images.image(index) {
            Ok(image) => see(index, &image)?,
            Err(SampleError::Bad(..)) => continue,
            Err(SampleError::Fatal(error)) => return Err(error.into()),
        }
        progress.advance(1, Duration::ZERO, "");
    }
    Ok(())
}

fn over(
    task: Task,
    data: &Loader,
    label: &str,
    mut run: impl FnMut(&Batch) -> anyhow::Result<Vec<f32>>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new(task);
    let mut progress = Progress::start(label, data.images_per_epoch());
    for batch in data.eval() {
        let batch = batch?;
        outcome.probabilities.extend(run(&batch)?);
        batch.classes.iter().for_each(|classes| outcome.truths.push(classes));
        outcome.indices.extend(&batch.indices);
        progress.advance(batch.n, batch.wait, "");
    }
    Ok(outcome)
}
