//! Whole networks against torchvision and timm, with the parameters and inputs of `scripts/oracle/forward.py`.

use models::classify::Classifier;
use models::registry::ModelSpec;
use tch::{Kind, Reduction, Tensor};
use tests::{check_close, fixture, synthetic};
use trainer::nn::eager::{Eager, Mode, T};
use trainer::nn::params::{Layout, Params};

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
        let empty = forward(&params, &Tensor::zeros([0, 3, 64, 64], (Kind::Float, support::device())));
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

/// How far a training step is from the oracle's, in relative differences (the largest of norms and probes).
struct Apart {
    loss: f64,
    gradients: f64,
    /// Of the last layer alone.
    head: f64,
    statistics: f64,
}

fn step(spec: &ModelSpec, expected: &fixture::Step, classes: i64, kind: Kind) -> Apart {
    let nobody = Params::init(&models::manifest::Manifest::default(), 0, support::device(), Layout::Contiguous);
    let side = expected.shape[3];
    let ops = Step::new(&nobody, spec, (side, classes), kind);
    let images = support::tensor(&synthetic::input(&expected.input, &expected.shape), &expected.shape).to_kind(kind);
    let logits = classifier(spec).logits(&ops, &T::borrowed(&images), side, classes).into_tensor();
    let targets = Tensor::from_slice(&expected.targets).to_device(support::device());
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
    let (mut count, mut gradients, mut head) = (0, 0.0_f64, 0.0_f64);
    for (key, gradient) in ops.gradients() {
        let found = apart(pair(key, &gradient), expected.gradients[key], total / 1000.0);
        gradients = gradients.max(found);
        if spec.is_head(key) {
            head = head.max(found);
            count += 1;
        }
    }
    assert_eq!(count, 2, "{}: weights and biases of the last layer", spec.name);
    assert_eq!(ops.gradients().count(), expected.gradients.len(), "{}: number of parameters", spec.name);
    let statistics = ops.buffers().map(|(key, buffer)| apart(pair(key, buffer), expected.buffers[key], 0.0));
    Apart {
        loss: (loss.double_value(&[]) - expected.loss).abs() / expected.loss,
        gradients,
        head,
        statistics: statistics.fold(0.0, f64::max),
    }
}

fn double_step(spec: &'static ModelSpec) {
    let fixture = fixture::forward(spec.name);
    let Apart { loss, gradients, statistics, .. } = step(spec, &fixture.train, fixture.classes, Kind::Double);
    println!("{:20} float64: loss {loss:.1e}, gradients {gradients:.1e}, statistics {statistics:.1e}", spec.name);
    // The fixtures have nine digits.
    assert!(loss <= 1e-8 && statistics <= 1e-8, "{}: loss {loss:e}, statistics {statistics:e}", spec.name);
    assert!(gradients <= 1e-6, "{}: gradients {gradients:e}", spec.name);
}

each_model!(a_training_step_equals_the_oracles_in_double_precision, super::double_step);

/// What a gradient may differ by where rectifiers come after its layer. One that is near 0 falls on one side or the other with
/// the order of summation, which depends on the processor and the number of threads: 3.5e-2 in the worst case of AVX-512, AVX2
/// and SSE4.1 on 1, 2 and 4 threads, and in no network the same in all of them.
const RECTIFIED: f64 = 1e-1;

fn single_step(spec: &'static ModelSpec) {
    let fixture = fixture::forward(spec.name);
    let Apart { loss, gradients, head, statistics } = step(spec, &fixture.train, fixture.classes, Kind::Float);
    let limit = match classifier(spec) {
        Classifier::Vit(_) | Classifier::ConvNextV2(_) => 1e-4,
        Classifier::Resnet(_)
        | Classifier::Resnest(_)
        | Classifier::SeResnext
        | Classifier::MobileNetV2
        | Classifier::EfficientNetLite0 => RECTIFIED,
    };
    println!(
        "{:20} float32: loss {loss:.1e}, gradients {gradients:.1e} (limit {limit:.1e}, PyTorch's own on one \
         machine {:.1e}), of the last layer {head:.1e}, statistics {statistics:.1e}",
        spec.name, fixture.train.float32_noise
    );
    assert!(loss <= 1e-4, "{}: loss {loss:e}", spec.name);
    assert!(statistics <= 1e-4, "{}: statistics {statistics:e}", spec.name);
    // No rectifier comes after it, so it is as continuous as the loss.
    assert!(head <= 1e-4, "{}: gradients of the last layer {head:e}", spec.name);
    assert!(gradients <= limit, "{}: gradients {gradients:e}, limit {limit:e}", spec.name);
}

each_model!(a_training_step_equals_the_oracles_in_single_precision, super::single_step);
