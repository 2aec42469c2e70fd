//! Integrated gradients, and the noise that smooths an attribution.

use tch::{Kind, Tensor};

use crate::nn::network::Network;
use dataset::KeyedRng;

/// Images run at once, gradients included.
pub const BATCH: usize = 10;
/// Noisy copies of an image, and their standard deviation in normalised pixels: the specification's.
const SAMPLES: u64 = 5;
const DEVIATION: f64 = 0.2;

/// Integrated gradients (Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", equation 1) of the logit of
/// `class` at `pixels`, `float [1, 3, h, w]`, from `start`, which has the same shape. `path` holds the places of the sum in
/// `[0, 1]` and their weights. The result, in the same shape, adds up to what the logit gains on the way, as far as the
/// sum is the integral.
pub fn integrated(network: &Network, start: &Tensor, pixels: &Tensor, class: i64, path: &[(f64, f64)]) -> Tensor {
    let way = pixels - start;
    let mut total = pixels.zeros_like();
    for part in path.chunks(BATCH) {
        let column = |values: Vec<f64>| {
            Tensor::from_slice(&values).to_kind(Kind::Float).to_device(pixels.device()).view([-1, 1, 1, 1])
        };
        let places = column(part.iter().map(|&(place, _)| place).collect());
        let weights = column(part.iter().map(|&(_, weight)| weight).collect());
        let along = (start + &way * places).detach().set_requires_grad(true);
        let logit = network.differentiable(&along).select(1, class).sum(Kind::Float);
        let gradient = Tensor::run_backward(&[&logit], &[&along], false, false).swap_remove(0);
        total += (gradient * weights).sum_dim_intlist(0, true, Kind::Float);
    }
    total * way
}

/// The mean of the attributions of noisy copies of `pixels` (Smilkov et al. 2017, "SmoothGrad: removing noise by adding
/// noise", section 3.1). The noise is the same every time.
///
/// # Errors
/// The first of `attribution`.
pub fn smooth(pixels: &Tensor, attribution: impl Fn(&Tensor) -> anyhow::Result<Tensor>) -> anyhow::Result<Tensor> {
    let mut total = pixels.zeros_like();
    for sample in 0..SAMPLES {
        let noise = noise(sample, pixels.numel());
        let noise = Tensor::from_slice(&noise).to_device(pixels.device()).reshape(pixels.size());
        total += attribution(&(pixels + noise * DEVIATION))?;
    }
    Ok(total / SAMPLES as f64)
}

/// Standard normal values, by the Box-Muller transform.
fn noise(sample: u64, count: usize) -> Vec<f32> {
    let mut rng = KeyedRng::new("explain", &[sample]);
    let mut one = || -> f32 {
        let (first, second): (f64, f64) = (rng.unit(), rng.unit());
        ((-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()) as f32
    };
    (0..count).map(|_| one()).collect()
}
