use models::manifest::Manifest;
use models::ops::Ops;
use models::registry;
use schemas::prediction::ApproximationMethod;
use schemas::{Fit, Preprocessing, Task};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::nn::eager::{Eager, T, Tape};
use crate::nn::params::{Layout, Params};

/// A small network whose shifts are not 0, so that its logits are no straight lines through the origin.
fn network(name: &str) -> Network {
    let spec = registry::find(name).unwrap();
    let mut params = Params::init(&spec.manifest(3, 64).unwrap(), 3, Device::Cpu, Layout::Contiguous);
    let shifts: Vec<(String, Vec<i64>)> = params
        .iter()
        .filter(|(_, p)| p.role == models::ops::Role::NormBias)
        .map(|(key, p)| (key.to_owned(), p.tensor.size()))
        .collect();
    for (at, (key, shape)) in shifts.into_iter().enumerate() {
        let values: Vec<f32> = (0..shape[0]).map(|i| ((i * 7 + at as i64 * 3) % 11) as f32 / 22.0 - 0.2).collect();
        params.set(&key, &Tensor::from_slice(&values));
    }
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let preprocessing = Preprocessing { fit: Fit::Crop { resize: 64, crop: 64 }, ..spec.preprocessing() };
    Network { spec, task: Task::ImageClassification, labels, preprocessing, params }
}

fn pixels() -> Tensor {
    let wave: Vec<f32> =
        (0..3 * 64 * 64).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * (i as f32 / 900.0).sin()).collect();
    Tensor::from_slice(&wave).view([1, 3, 64, 64])
}

#[test]
fn integrated_gradients_add_up_to_what_the_logit_gains() {
    let network = network("resnet18");
    let x = pixels();
    let logit = |x: &Tensor| network.differentiable(x).double_value(&[0, 1]);
    let gained = logit(&x) - logit(&x.zeros_like());
    assert!(gained.abs() > 1e-4, "the test needs a difference, {gained}");
    let from = |start: &Tensor, path: &[(f64, f64)]| {
        gradients::integrated(&network, start, &x, 1, path).sum(Kind::Double).double_value(&[])
    };
    let sum = |path: &[(f64, f64)]| from(&x.zeros_like(), path);
    let (elsewhere, fine) = (x.ones_like(), path::path(ApproximationMethod::Gausslegendre, 100));
    let gained_there = logit(&x) - logit(&elsewhere);
    assert!((gained_there - gained).abs() > 0.05 * gained.abs(), "the starts should differ");
    let there = from(&elsewhere, &fine);
    assert!((there - gained_there).abs() < 0.02 * gained_there.abs(), "{there} beside {gained_there}");
    for method in [ApproximationMethod::RiemannMiddle, ApproximationMethod::Gausslegendre] {
        let sum = sum(&path::path(method, 50));
        assert!((sum - gained).abs() < 0.02 * gained.abs(), "{method}: {sum} beside {gained}");
    }
    // One gradient times the image is not it.
    let crude = sum(&[(1.0, 1.0)]);
    assert!((crude - gained).abs() > 0.02 * gained.abs(), "{crude} beside {gained}");
}

#[test]
fn the_noise_is_the_same_every_time_and_of_the_stated_size() {
    let zeros = Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu));
    let seen = || gradients::smooth(&zeros, |noisy| Ok(noisy.square())).unwrap();
    let mean = seen().mean(Kind::Double).double_value(&[]);
    assert!((mean - 0.04).abs() < 0.001, "{mean}");
    assert_eq!(seen(), seen());
}

/// Two layers of numbers, worked out by hand below.
fn layers(eager: &Eager<'_>, x: &Tensor) -> Tensor {
    let w1 = eager.constant(&[1.0, -1.0, 2.0, 1.0, -1.0, 0.5], &[3, 2]);
    let w2 = eager.constant(&[1.0, -2.0, 3.0, -1.0, 1.0, 1.0], &[2, 3]);
    let w3 = eager.constant(&[1.0, -1.0], &[1, 2]);
    let h = eager.relu(eager.linear(&T::borrowed(x), &w1, None));
    let g = eager.clamp(eager.linear(&h, &w2, None), 0.0, 6.0);
    // A way around the second rectifier, as in a residual network: its gradient is not guided there.
    let skip = eager.linear(&h, &eager.constant(&[0.5, 0.5, 0.5], &[1, 3]), None);
    eager.add(eager.linear(&g, &w3, None), &skip).into_tensor()
}

#[test]
fn guided_gradients_are_those_worked_out_by_hand() {
    let params = Params::init(&Manifest::default(), 0, Device::Cpu, Layout::Contiguous);
    let x = Tensor::from_slice(&[2.0_f32, 1.0]).view([1, 2]).set_requires_grad(true);
    let tape = Tape::default();
    let y = layers(&Eager::recording(&params, &tape), &x);
    // h = relu(1, 5, -1.5) = (1, 5, 0); g = clamp(1 - 10, -1 + 5) = (0, 4); y = 0 - 4 + 3 = -1.
    assert_eq!(y.double_value(&[0, 0]), -1.0);
    let guided = tape.guided(&y, &x);
    // At g the gradient is (1, -1): the first is closed, the second negative, so none passes. At h it is that of the skip,
    // (.5, .5, .5), and the third is closed: .5 (1, -1) + .5 (2, 1) = (1.5, 0).
    assert_eq!(Vec::<f32>::try_from(guided.input.reshape([-1])).unwrap(), [1.5, 0.0]);
    assert_eq!((guided.rectifiers, guided.pooled.is_none()), (2, true));
    // The ordinary one: at h (.5 + 1, .5 - 1) = (1.5, -.5): 1.5 (1, -1) - .5 (2, 1) = (.5, -2).
    let plain = layers(&Eager::new(&params, crate::nn::eager::Mode::Evaluate), &x).sum(Kind::Float);
    let plain = Tensor::run_backward(&[&plain], &[&x], false, false).swap_remove(0);
    assert_eq!(Vec::<f32>::try_from(plain.reshape([-1])).unwrap(), [0.5, -2.0]);
}

/// MobileNetV2's pieces share their beginnings (its shortcuts start behind no rectifier), and SE-ResNeXt's and ResNeSt's pool in
/// every block; ResNet's do neither.
#[test]
fn recording_changes_no_value_and_the_pooled_map_has_its_ordinary_gradient() {
    for name in ["resnet18", "mobilenetv2", "efficientnet_lite0", "seresnext", "resnest50"] {
        let network = network(name);
        let x = pixels().set_requires_grad(true);
        let tape = Tape::default();
        let recorded = network.recorded(&x, &tape);
        let size = recorded.abs().max().double_value(&[]).max(1.0);
        assert!((&recorded - network.differentiable(&x)).abs().max().double_value(&[]) < 1e-5 * size, "{name}");
        let guided = tape.guided(&recorded.select(1, 2), &x);
        assert!(guided.rectifiers > 10 && guided.input.abs().max().double_value(&[]) > 0.0, "{name}");
        let (map, gradient) = guided.pooled.unwrap();
        // The head is linear in the pooled map: its gradient is the class's row of weights over the map's area.
        let area = (map.size()[2] * map.size()[3]) as f64;
        let key = format!("{}.weight", network.spec.heads()[0]);
        let row = network.params.tensor(&key, &[3, map.size()[1]]).select(0, 2).view([1, -1, 1, 1]) / area;
        assert!((gradient - row).abs().max().double_value(&[]) < 1e-7, "{name}");
        let cam = guided::gradcam(&network, &x, 2).unwrap();
        assert_eq!(cam.size(), x.size());
        assert!(bool::try_from(cam.isfinite().all()).unwrap(), "{name}");
    }
}

#[test]
fn a_network_without_rectifiers_has_nothing_to_guide() {
    for name in ["vits16r224", "convnextv2_atto"] {
        let network = network(name);
        for method in [guided::backprop, guided::gradcam] {
            let refusal = method(&network, &pixels(), 0).unwrap_err().to_string();
            assert!(refusal.contains(&format!("{name} has none; take integrated_gradients")), "{refusal}");
        }
    }
}
