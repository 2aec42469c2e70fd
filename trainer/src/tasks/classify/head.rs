//! A head that is fitted before the network is trained: logistic regression on the features of the training images as they are.
//! Training then begins from an answer that suits the features, and changes them less (Kumar et al. 2022, arXiv:2202.10054).

use tch::{Kind, Tensor};

use crate::nn::network::Network;
use crate::progress::Progress;
use dataset::Loader;

/// Steps of accelerated gradient descent (Nesterov 1983).
const STEPS: u32 = 300;
/// Steps of the power iteration that bounds the curvature.
const POWER: u32 = 30;

/// Fits the head of a classifier to the images of `data`, prepared as for validation. Each row of weights is held back by
/// `|w|^2 / 2n` of n images, which is scikit-learn's default. `sets`: images have any number of classes.
///
/// # Errors
/// When the data cannot be read.
pub fn fit(network: &mut Network, data: &Loader, sets: bool) -> anyhow::Result<()> {
    let classes = network.classes();
    let (mut features, mut targets) = (Vec::new(), Vec::new());
    let mut progress = Progress::start("fitting the head", data.images_per_epoch());
    for batch in data.eval() {
        let batch = batch?;
        features.push(network.features(&network.images(&batch.images, batch.n, batch.height, batch.width)));
        for of_image in &batch.classes {
            let mut row = vec![0.0_f32; usize::try_from(classes)?];
            of_image.iter().for_each(|&class| row[class as usize] = 1.0);
            targets.extend(row);
        }
        progress.advance(batch.n, batch.wait, "");
    }
    if features.is_empty() {
        return Ok(());
    }
    let features = Tensor::cat(&features, 0);
    let targets = Tensor::from_slice(&targets).reshape([-1, classes]).to_device(features.device());
    let (weight, bias) = tch::no_grad(|| regression(&features, &targets, sets));
    let layers = network.spec.layers();
    let keys: Vec<String> =
        network.params.iter().filter(|(key, _)| layers.is_head(key)).map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        network.params.set(&key, if key.ends_with("bias") { &bias } else { &weight });
    }
    Ok(())
}

/// Weights `[C, F]` and biases `[C]` of logistic regression: softmax over the classes, or a sigmoid each for `sets`. `features` is
/// float `[N, F]`, `targets` `[N, C]` of 0 and 1.
fn regression(features: &Tensor, targets: &Tensor, sets: bool) -> (Tensor, Tensor) {
    let n = features.size()[0] as f64;
    let (classes, width) = (targets.size()[1], features.size()[1]);
    let mean = features.mean_dim([0_i64].as_slice(), true, Kind::Float);
    let x = features - &mean;
    let penalty = 1.0 / n;
    // The curvature of a softmax is at most half that of the features; of the bias, half of one.
    let mut direction = Tensor::ones([width, 1], (Kind::Float, x.device())) / (width as f64).sqrt();
    let mut largest = 0.0;
    for _ in 0..POWER {
        let next = x.tr().matmul(&x.matmul(&direction)) / n;
        largest = next.norm().double_value(&[]);
        if largest == 0.0 {
            break;
        }
        direction = next / largest;
    }
    let step = 1.0 / (0.5 * largest.max(1.0) + penalty);
    let options = (Kind::Float, x.device());
    let (mut weight, mut bias) = (Tensor::zeros([classes, width], options), Tensor::zeros([classes], options));
    let (mut ahead, mut bias_ahead) = (weight.copy(), bias.copy());
    for at in 0..STEPS {
        let logits = x.matmul(&ahead.tr()) + &bias_ahead;
        let said = if sets { logits.sigmoid() } else { logits.softmax(1, Kind::Float) };
        let wrong = (said - targets) / n;
        let next = &ahead - (wrong.tr().matmul(&x) + &ahead * penalty) * step;
        let next_bias = &bias_ahead - wrong.sum_dim_intlist([0_i64].as_slice(), false, Kind::Float) * step;
        let momentum = f64::from(at) / f64::from(at + 3);
        ahead = &next + (&next - &weight) * momentum;
        bias_ahead = &next_bias + (&next_bias - &bias) * momentum;
        (weight, bias) = (next, next_bias);
    }
    let bias = bias - weight.matmul(&mean.tr()).reshape([-1]);
    (weight, bias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Rows that a wave decides, of `classes` classes.
    fn rows(n: i64, width: i64) -> Tensor {
        (Tensor::arange(n * width, (Kind::Float, Device::Cpu)) * 0.713).sin().reshape([n, width]) * 3.0 + 1.5
    }

    #[test]
    fn what_can_be_told_apart_is_told_apart() {
        let x = rows(90, 6);
        let truth = (x.narrow(1, 0, 3)).argmax(1, false);
        let targets = truth.one_hot(3).to_kind(Kind::Float);
        let (weight, bias) = regression(&x, &targets, false);
        let said = (x.matmul(&weight.tr()) + &bias).argmax(1, false);
        assert!(said.eq_tensor(&truth).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]) > 0.95);
        // The gradient vanishes where it ends: nothing is left to gain.
        let p = (x.matmul(&weight.tr()) + &bias).softmax(1, Kind::Float);
        let gradient = (p - &targets).tr().matmul(&x) / 90.0 + &weight / 90.0;
        assert!(gradient.abs().max().double_value(&[]) < 2e-3, "{gradient:?}");
    }

    #[test]
    fn label_sets_have_a_sigmoid_each() {
        let x = rows(80, 5);
        let targets = x.narrow(1, 0, 2).gt(1.5).to_kind(Kind::Float);
        let (weight, bias) = regression(&x, &targets, true);
        let said = (x.matmul(&weight.tr()) + &bias).gt(0.0).to_kind(Kind::Float);
        assert!((said - targets).abs().mean(Kind::Float).double_value(&[]) < 0.06);
    }

    #[test]
    fn features_without_any_difference_give_no_weights() {
        let x = Tensor::ones([10, 4], (Kind::Float, Device::Cpu));
        let targets = Tensor::from_slice(&[1.0_f32, 0.0].repeat(10)).reshape([10, 2]);
        let (weight, bias) = regression(&x, &targets, false);
        assert!(weight.abs().max().double_value(&[]) < 1e-6 && bias.double_value(&[0]) > bias.double_value(&[1]));
    }
}
