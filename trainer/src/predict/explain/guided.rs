//! Guided backpropagation and guided Grad-CAM.

use schemas::error::ErrorCode;
use tch::{Kind, Tensor};

use crate::failure::fail;
use crate::nn::eager::{Guided, Tape};
use crate::nn::network::Network;

/// One guided pass back from the logit of `class` to `pixels`, `float [1, 3, h, w]`.
fn run(network: &Network, pixels: &Tensor, class: i64) -> anyhow::Result<Guided> {
    let pixels = pixels.detach().set_requires_grad(true);
    let tape = Tape::default();
    let logit = network.recorded(&pixels, &tape).select(1, class);
    let guided = tape.guided(&logit, &pixels);
    if guided.rectifiers == 0 {
        let name = network.spec.name;
        let reason =
            format!("guided gradients are changed at rectifiers, and {name} has none; take integrated_gradients");
        return Err(fail(ErrorCode::InvalidSettings, reason));
    }
    Ok(guided)
}

/// Guided backpropagation, see [`Tape::guided`]: `[1, 3, h, w]`.
///
/// # Errors
/// When the network has no rectifier.
pub fn backprop(network: &Network, pixels: &Tensor, class: i64) -> anyhow::Result<Tensor> {
    Ok(run(network, pixels, class)?.input)
}

/// Guided Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
/// Localization", equations 1 and 2 and section 3.2): guided backpropagation where the last convolutional map, the one that is
/// pooled before the head, speaks for the class. `[1, 3, h, w]`. Between that map and the logit no network has a rectifier, so
/// that the map's gradient is the ordinary one.
///
/// # Errors
/// When the network has no rectifier or pools no map.
pub fn gradcam(network: &Network, pixels: &Tensor, class: i64) -> anyhow::Result<Tensor> {
    let guided = run(network, pixels, class)?;
    let Some((map, gradient)) = guided.pooled else {
        let reason = format!(
            "guided_gradcam weighs the last convolutional map, and {} has none; take integrated_gradients",
            network.spec.name
        );
        return Err(fail(ErrorCode::InvalidSettings, reason));
    };
    let weights = gradient.mean_dim(&[2_i64, 3][..], true, Kind::Float);
    let localised = (map * weights).sum_dim_intlist(1, true, Kind::Float).relu();
    let size = &pixels.size()[2..];
    Ok(guided.input * localised.upsample_bilinear2d(size, false, None, None))
}
