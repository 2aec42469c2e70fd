//! Why a classifier answered as it did: how much each pixel contributed to the answer.

mod gradients;
mod guided;
mod path;
mod segments;
mod show;
mod xrai;

use models::host::{self, Attribution, Occlusion, Rgb};
use runtime::Outputs;
use schemas::error::ErrorCode;
use schemas::prediction::{XaiAlgorithm, XaiParameters};
use tch::{Kind, Tensor};

use gradients::BATCH;

use crate::failure::fail;
use crate::nn::network::{self, Network};
use crate::predict::trained::Trained;

/// The explanation of one label of an answer.
pub struct Explained {
    /// Class.
    pub class: usize,
    /// What speaks for it, and where: for gradients in logits, for occlusion in probability.
    pub attribution: Attribution,
}

/// An explained answer.
pub struct Explanation {
    /// What the network saw.
    pub image: Rgb,
    /// The most probable class, or every label above the threshold of a multi-label model.
    pub labels: Vec<Explained>,
}

/// Whether `model` can be explained by this method.
///
/// # Errors
/// Which method, and why not.
pub fn check(model: &Trained, algorithm: XaiAlgorithm) -> anyhow::Result<()> {
    let refuse = |reason: String| Err(fail(ErrorCode::InvalidSettings, reason));
    match model.outputs() {
        Outputs::Probabilities => {}
        Outputs::Boxes | Outputs::Masks => {
            return refuse(format!("--explain explains classifiers; the task of this model is {}", model.meta().task));
        }
    }
    match (algorithm, model) {
        (XaiAlgorithm::Occlusion, _) | (_, Trained::Checkpoint(..)) => Ok(()),
        (_, Trained::File(_)) => refuse(format!(
            "--explain {algorithm} needs gradients, and an exported file has none; name the run with --checkpoint, or take \
             --explain occlusion"
        )),
    }
}

/// Explains what the model says about an image.
///
/// # Errors
/// What [`check`] refuses; a network without what the method works on; a file that fails.
pub fn explain(model: &mut Trained, image: &Rgb, p: &XaiParameters) -> anyhow::Result<Explanation> {
    let algorithm = p.xai_algorithm.unwrap_or(XaiAlgorithm::Occlusion);
    check(model, algorithm)?;
    let gradients = match (algorithm, &*model) {
        (XaiAlgorithm::Occlusion, _) | (_, Trained::File(_)) => None,
        (XaiAlgorithm::Xrai, Trained::Checkpoint(network, ..)) => Some((network, Method::Regions)),
        (XaiAlgorithm::IntegratedGradients, Trained::Checkpoint(network, ..)) => Some((network, Method::Integrated)),
        (XaiAlgorithm::GuidedBackprop, Trained::Checkpoint(network, ..)) => Some((network, Method::Guided)),
        (XaiAlgorithm::GuidedGradcam, Trained::Checkpoint(network, ..)) => Some((network, Method::Gradcam)),
    };
    let Some((network, method)) = gradients else { return occluded(model, image, p) };
    let prepared = host::prepare(image, &network.preprocessing);
    let images = network.images(&prepared.data, 1, usize::try_from(prepared.height)?, usize::try_from(prepared.width)?);
    let classes = p.explained(network.task, &network::rows(&network.probabilities(&images, model.meta().temperature)));
    let pixels = network.normalised(&images);
    let regions = matches!(method, Method::Regions).then(|| xrai::regions(&prepared));
    let one = |class: usize| {
        let values = network::rows(&method.attribution(network, &pixels, i64::try_from(class)?, p)?);
        let mut attribution = Attribution { width: prepared.width, height: prepared.height, values };
        if let Some(regions) = &regions {
            let heat = xrai::heat(&attribution.sums(), regions.clone(), p.xrai_fast);
            // A third in each channel.
            attribution.values = [heat.as_slice(); 3].concat().into_iter().map(|heat| heat / 3.0).collect();
        }
        Ok(Explained { class, attribution })
    };
    let labels = classes.into_iter().map(one).collect::<anyhow::Result<_>>()?;
    Ok(Explanation { image: prepared, labels })
}

/// A method that works on a network's gradients.
#[derive(Clone, Copy)]
enum Method {
    Integrated,
    Guided,
    Gradcam,
    Regions,
}

impl Method {
    /// `[1, 3, h, w]`, of one class.
    fn attribution(self, network: &Network, pixels: &Tensor, class: i64, p: &XaiParameters) -> anyhow::Result<Tensor> {
        match self {
            Self::Integrated => {
                let path = path::path(p.approximation_method, p.n_steps);
                let mean = pixels.zeros_like();
                gradients::smooth(pixels, |noisy| Ok(gradients::integrated(network, &mean, noisy, class, &path)))
            }
            Self::Regions => {
                let path = path::path(p.approximation_method, p.n_steps);
                let from = |level: i64| {
                    let level =
                        Tensor::full(pixels.size(), level, (Kind::Uint8, pixels.device())).permute([0, 2, 3, 1]);
                    gradients::integrated(network, &network.normalised(&level), pixels, class, &path)
                };
                // From black alone, what is black could not matter.
                Ok((from(0) + from(255)) / 2.0)
            }
            Self::Guided => gradients::smooth(pixels, |noisy| guided::backprop(network, noisy, class)),
            Self::Gradcam => guided::gradcam(network, pixels, class),
        }
    }
}

fn occluded(model: &mut Trained, image: &Rgb, p: &XaiParameters) -> anyhow::Result<Explanation> {
    let occlusion = Occlusion::new(image, &model.meta().preprocessing, model.takes_whole());
    let mut rows = Vec::new();
    for from in (0..occlusion.views()).step_by(BATCH) {
        let views: Vec<Rgb> = (from..occlusion.views().min(from + BATCH)).map(|at| occlusion.view(at)).collect();
        rows.extend(model.probabilities(&views)?);
    }
    let labels = model.meta().labels.len();
    let one = |class: usize| {
        let said: Vec<f32> = rows.iter().skip(class).step_by(labels).copied().collect();
        Explained { class, attribution: occlusion.attribution(&said) }
    };
    let classes = p.explained(model.meta().task, &rows[..labels]);
    Ok(Explanation { image: occlusion.seen(), labels: classes.into_iter().map(one).collect() })
}

#[cfg(test)]
mod tests;
