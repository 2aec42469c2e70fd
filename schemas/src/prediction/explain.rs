//! Options of explanations: method, form of the answer, and their ranges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::object;
use crate::setting::choice;
use crate::{Labels, Task};

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
        /// What the answer loses when parts of the image are hidden in turn; needs no gradients.
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

/// Smallest number of steps of an integral.
const MIN_STEPS: u32 = 2;

/// Parameters of an explanation; each that is absent takes the specification's default. Keys that are not listed are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = true))]
pub struct XaiParameters {
    /// Method; absent, the server takes occlusion, the one that an exported file allows.
    pub xai_algorithm: Option<XaiAlgorithm>,
    /// Answer with drawings.
    #[serde(deserialize_with = "object::truth")]
    #[schemars(schema_with = "object::truth_schema")]
    pub visualizations: bool,
    /// Answer with arrays.
    #[serde(deserialize_with = "object::truth")]
    #[schemars(schema_with = "object::truth_schema")]
    pub attributions: bool,
    /// Labels with a greater probability are explained, in multi-label models; in `[0, 1]`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence_score_threshold_multilabel: f64,
    /// Steps of the integral, at least 2.
    #[schemars(range(min = 2, max = 4_294_967_295_u32))]
    pub n_steps: u32,
    /// Whether the regions of XRAI are ranked once, which is faster, or again after each one.
    #[serde(deserialize_with = "object::truth")]
    #[schemars(schema_with = "object::truth_schema")]
    pub xrai_fast: bool,
    /// Rule of the integral.
    pub approximation_method: ApproximationMethod,
}

impl XaiParameters {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// The number that is not, with its range.
    pub fn check(&self) -> Result<(), String> {
        let threshold = self.confidence_score_threshold_multilabel;
        if !(0.0..=1.0).contains(&threshold) {
            return Err(format!("confidence_score_threshold_multilabel {threshold} is not in [0, 1]"));
        }
        if self.n_steps < MIN_STEPS {
            return Err(format!("n_steps {} is less than {MIN_STEPS}", self.n_steps));
        }
        Ok(())
    }

    /// The classes that are explained: the most probable one (of equal ones the first), or every one above the threshold of
    /// an image with any number of labels.
    #[must_use]
    pub fn explained(&self, task: Task, probabilities: &[f32]) -> Vec<usize> {
        let classes = 0..probabilities.len();
        if task.labels() == Labels::Classes {
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
