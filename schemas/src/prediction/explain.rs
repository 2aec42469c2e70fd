//! What a request may say about the explanation it wants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Task;
use crate::setting::choice;

choice! {
    /// How an answer is explained.
    XaiAlgorithm {
        /// Regions ranked by integrated gradients.
        Xrai = "xrai",
        /// Gradients along a path from a baseline.
        IntegratedGradients = "integrated_gradients",
        /// Guided backpropagation weighted by Grad-CAM.
        GuidedGradcam = "guided_gradcam",
        /// Gradients with negative contributions left out at each ReLU.
        GuidedBackprop = "guided_backprop",
        /// What the answer loses when parts of the picture are hidden in turn; needs no gradients.
        Occlusion = "occlusion",
    }
}

choice! {
    /// How the integral of integrated gradients is approximated.
    ApproximationMethod {
        /// Midpoints.
        RiemannMiddle = "riemann_middle",
        /// Left ends.
        RiemannLeft = "riemann_left",
        /// Right ends.
        RiemannRight = "riemann_right",
        /// Trapezoids.
        RiemannTrapezoid = "riemann_trapezoid",
        /// Gauss-Legendre quadrature.
        Gausslegendre = "gausslegendre",
    }
}

/// Parameters of an explanation; each that is absent takes the specification's default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct XaiParameters {
    /// Method; absent, the server takes occlusion, the one that an exported file allows.
    pub xai_algorithm: Option<XaiAlgorithm>,
    /// Answer with pictures.
    pub visualizations: bool,
    /// Answer with arrays.
    pub attributions: bool,
    /// Labels with a greater probability are explained, in multi-label models; in `[0, 1]`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence_score_threshold_multilabel: f64,
    /// Steps of the integral, at least 2.
    #[schemars(range(min = 2))]
    pub n_steps: u32,
    /// Whether the regions of XRAI are ranked once, which is faster, or again after each one.
    pub xrai_fast: bool,
    /// Rule of the integral.
    pub approximation_method: ApproximationMethod,
}

impl XaiParameters {
    /// The classes that are explained: the most probable one (of equal ones the first), or every one above the threshold of
    /// an image with any number of labels.
    #[must_use]
    pub fn explained(&self, task: Task, probabilities: &[f32]) -> Vec<usize> {
        let classes = 0..probabilities.len();
        if task == Task::ImageClassificationMultilabel {
            // In single precision, in which 0.4 is not above 0.4.
            #[expect(clippy::cast_possible_truncation, reason = "probabilities are single precision")]
            let threshold = self.confidence_score_threshold_multilabel as f32;
            return classes.filter(|&class| probabilities[class] > threshold).collect();
        }
        classes.rev().max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).into_iter().collect()
    }
}

impl Default for XaiParameters {
    fn default() -> Self {
        Self {
            xai_algorithm: None,
            visualizations: true,
            attributions: false,
            confidence_score_threshold_multilabel: 0.5,
            n_steps: 50,
            xrai_fast: true,
            approximation_method: ApproximationMethod::RiemannMiddle,
        }
    }
}
