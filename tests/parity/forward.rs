//! Whole networks against torchvision and timm, with the parameters and inputs of `scripts/oracle/forward.py`.

use models::classify::Classifier;
use models::registry::ModelSpec;
use tch::{Device, Kind, Reduction, Tensor};
use tests::{check_close, fixture, synthetic};
use trainer::eager::{Eager, Mode, T};
use trainer::params::{Layout, Params};

use crate::support::{self, Step};

fn classifier(spec: &ModelSpec) -> Classifier {
    spec.classifier().expect("a classifier")
}

fn logits(spec: &'static ModelSpec) {
    let (fixture, classifier) = (fixture::forward(spec.name), classifier(spec));
    for layout in [Layout::Contiguous, Layout::ChannelsLast] {
        let mut params = support::params(spec, fixture.eval[0].shape[3], fixture.classes, layout);
        let forward = |params: &Params, images: &Tensor| {
            let (eager, side) = (Eager::new(params, Mode::Evaluate), images.size()[3]);
            tch::no_grad(|| classifier.logits(&eager, &T::borrowed(images), side, fixture.classes).into_tensor())
        };
        let empty = forward(&params, &Tensor::zeros([0, 3, 64, 64], (Kind::Float, Device::Cpu)));
        assert_eq!(empty.size(), [0, fixture.classes], "{} of no images", spec.name);
        let mut worst = 0.0_f64;
        for (i, case) in fixture.eval.iter().enumerate() {
            if i > 0 && matches!(classifier, Classifier::Vit(_)) {
                params = support::params(spec, case.shape[3], fixture.classes, layout);
            }
            let images = support::tensor(&synthetic::input(&case.input, &case.shape), &case.shape);
            let what = format!("{} {} {layout:?}", spec.name, case.input);
            worst = worst.max(check_close(
                &what,
                &support::floats(&forward(&params, &images)),
                &case.logits.concat(),
                1e-5,
            ));
        }
        println!("{:20} {layout:?}: logits within {worst:.1e} x max(1, |expected|)", spec.name);
    }
}

each_model!(logits_equal_the_oracles, super::logits);

/// Loss and the largest relative difference of norms and probes of gradients and of running statistics.
fn step(spec: &ModelSpec, expected: &fixture::Step, classes: i64, kind: Kind) -> (f64, f64, f64) {
    let nobody = Params::init(&models::manifest::Manifest::default(), 0, Device::Cpu, Layout::Contiguous);
    let side = expected.shape[3];
    let ops = Step::new(&nobody, spec, (side, classes), kind);
    let images = support::tensor(&synthetic::input(&expected.input, &expected.shape), &expected.shape).to_kind(kind);
    let logits = classifier(spec).logits(&ops, &T::borrowed(&images), side, classes).into_tensor();
    let targets = Tensor::from_slice(&expected.targets);
    let loss = logits.cross_entropy_loss(&targets, None::<&Tensor>, Reduction::Mean, -100, 0.0);
    loss.backward();

    let pair = |key: &str, t: &Tensor| {
        let values = Vec::<f64>::try_from(&t.to_kind(Kind::Double).contiguous().reshape([-1])).expect("numbers");
        synthetic::norm_and_probe(key, values.into_iter())
    };
    // A gradient that is 0 but for rounding (a shift that the next normalisation removes) is measured by the others.
    let total = expected.gradients.values().map(|[norm, _]| norm * norm).sum::<f64>().sqrt();
    let apart = |found: [f64; 2], expected: [f64; 2], floor: f64| {
        let scale = expected[0].max(floor);
        ((found[0] - expected[0]).abs() / scale).max((found[1] - expected[1]).abs() / scale)
    };
    let (mut count, mut gradients, mut buffers) = (0, 0.0_f64, 0.0_f64);
    for (key, gradient) in ops.gradients() {
        gradients = gradients.max(apart(pair(key, &gradient), expected.gradients[key], total / 1000.0));
        count += 1;
    }
    assert_eq!(count, expected.gradients.len(), "{}: number of parameters", spec.name);
    for (key, buffer) in ops.buffers() {
        buffers = buffers.max(apart(pair(key, buffer), expected.buffers[key], 0.0));
    }
    let loss = (loss.double_value(&[]) - expected.loss).abs() / expected.loss;
    (loss, gradients, buffers)
}

fn double_step(spec: &'static ModelSpec) {
    let fixture = fixture::forward(spec.name);
    let (loss, gradients, buffers) = step(spec, &fixture.train, fixture.classes, Kind::Double);
    println!("{:20} float64: loss {loss:.1e}, gradients {gradients:.1e}, statistics {buffers:.1e}", spec.name);
    // The fixtures have nine digits.
    assert!(loss <= 1e-8 && buffers <= 1e-8, "{}: loss {loss:e}, statistics {buffers:e}", spec.name);
    assert!(gradients <= 1e-6, "{}: gradients {gradients:e}", spec.name);
}

each_model!(a_training_step_equals_the_oracles_in_double_precision, super::double_step);

fn single_step(spec: &'static ModelSpec) {
    let fixture = fixture::forward(spec.name);
    let (loss, gradients, buffers) = step(spec, &fixture.train, fixture.classes, Kind::Float);
    // ReLUs near 0 fall on one side or the other with the order of summation; the fixture says what that does to
    // PyTorch's own gradients on one machine. Networks where it does nothing are held to 1e-4.
    let limit = (10.0 * fixture.train.float32_noise).max(1e-4);
    println!(
        "{:20} float32: loss {loss:.1e}, gradients {gradients:.1e} (limit {limit:.1e}), statistics {buffers:.1e}",
        spec.name
    );
    assert!(loss <= 1e-5, "{}: loss {loss:e}", spec.name);
    assert!(buffers <= 1e-4, "{}: statistics {buffers:e}", spec.name);
    assert!(gradients <= limit, "{}: gradients {gradients:e}, limit {limit:e}", spec.name);
}

each_model!(a_training_step_equals_the_oracles_in_single_precision, super::single_step);
