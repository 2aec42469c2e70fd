//! libtorch's fused optimizer steps: one pass over the memory of all parameters, where the usual form makes one per operation.
//!
//! All lists run parallel to the parameters. State must have its parameter's shape, type, device and memory layout; a gradient in
//! another layout is copied into it. Parameters and state are updated in place and no gradient is recorded.

use crate::error::{BridgeError, check};
use crate::ffi;
use tch::Tensor;
use torch_sys::C_tensor;

/// One step of stochastic gradient descent, as `torch.optim.SGD` defines it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the old buffer; 0 means no momentum, and no buffers are read.
    pub momentum: f64,
    /// How much of the gradient is kept out of the buffer.
    pub dampening: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
    /// Whether these buffers are new: the first step copies the gradient into them, without dampening.
    pub first_step: bool,
}

/// One step of Adam or AdamW, as `torch.optim` defines them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Adam adds it to the gradient, AdamW shrinks the parameter by `lr * weight_decay`.
    pub weight_decay: f64,
    /// Number of this step, counted from 1; exact up to 2^24, which libtorch's f32 counter can hold.
    pub step: u64,
}

/// Adam's state, one tensor of zeros for each parameter at the start.
#[derive(Debug, Clone, Copy)]
pub struct AdamState<'a> {
    /// Moving averages of the gradient.
    pub exp_avgs: &'a [Tensor],
    /// Moving averages of its square.
    pub exp_avg_sqs: &'a [Tensor],
    /// The largest such averages so far: present means AMSGrad.
    pub max_exp_avg_sqs: Option<&'a [Tensor]>,
}

/// Whether a step is left out, which only the device knows until somebody waits for it. Both are f32 scalars there.
#[derive(Debug, Clone, Copy)]
pub struct Skip<'a> {
    /// 1 where this step is left out, 0 where not: what [`unscale`] found.
    pub now: &'a Tensor,
    /// How many steps before this one were; Adam counts only those that were taken.
    pub before: &'a Tensor,
}

/// Multiplies `grads` by `inverse_scale` in place and sets `found_inf` to 1 where one of their values is not finite; it is never set
/// back. Both are f32 scalars on the gradients' device. One pass over all gradients, and nothing is waited for.
///
/// # Errors
/// If libtorch refuses.
pub fn unscale(grads: &[Tensor], inverse_scale: &Tensor, found_inf: &Tensor) -> Result<(), BridgeError> {
    let list = pointers(grads);
    // SAFETY: all are live at::Tensors and the list is as long as said.
    check("unscale", unsafe {
        ffi::fovea_unscale(list.len(), list.as_ptr(), inverse_scale.as_ptr(), found_inf.as_ptr())
    })
}

/// Steps `params` with SGD, unless `skip` says otherwise. `buffers` may be empty where the momentum is 0.
///
/// # Errors
/// If lists or tensors do not fit together.
pub fn fused_sgd(
    params: &[Tensor],
    grads: &[Tensor],
    buffers: &[Tensor],
    step: &SgdStep,
    skip: Option<Skip<'_>>,
) -> Result<(), BridgeError> {
    let call = "fused_sgd";
    let same_length = parallel(call, params);
    same_length("gradients", grads)?;
    if step.momentum != 0.0 {
        same_length("momentum buffers", buffers)?;
    }
    let (p, g, b) = (pointers(params), pointers(grads), pointers(buffers));
    let step = ffi::Sgd {
        lr: step.lr,
        momentum: step.momentum,
        dampening: step.dampening,
        weight_decay: step.weight_decay,
        nesterov: step.nesterov,
        first_step: step.first_step,
    };
    // SAFETY: the lists are live and as long as said (buffers are read only with momentum), and so is `step`.
    check(call, unsafe {
        ffi::fovea_fused_sgd(p.len(), p.as_ptr(), g.as_ptr(), b.as_ptr(), &raw const step, passed(skip))
    })
}

/// Steps `params` with Adam, unless `skip` says otherwise.
///
/// # Errors
/// If lists or tensors do not fit together.
pub fn fused_adam(
    params: &[Tensor],
    grads: &[Tensor],
    state: AdamState<'_>,
    step: &AdamStep,
    skip: Option<Skip<'_>>,
) -> Result<(), BridgeError> {
    adam(Decay::OfGradients, params, grads, state, (step, skip))
}

/// Steps `params` with AdamW, unless `skip` says otherwise.
///
/// # Errors
/// If lists or tensors do not fit together.
pub fn fused_adamw(
    params: &[Tensor],
    grads: &[Tensor],
    state: AdamState<'_>,
    step: &AdamStep,
    skip: Option<Skip<'_>>,
) -> Result<(), BridgeError> {
    adam(Decay::OfParameters, params, grads, state, (step, skip))
}

/// What weight decay acts on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decay {
    /// Adam: it is added to the gradients.
    OfGradients,
    /// AdamW: it shrinks the parameters themselves.
    OfParameters,
}

fn adam(
    decay: Decay,
    params: &[Tensor],
    grads: &[Tensor],
    state: AdamState<'_>,
    (step, skip): (&AdamStep, Option<Skip<'_>>),
) -> Result<(), BridgeError> {
    let (call, decoupled) = match decay {
        Decay::OfGradients => ("fused_adam", false),
        Decay::OfParameters => ("fused_adamw", true),
    };
    let same_length = parallel(call, params);
    same_length("gradients", grads)?;
    same_length("first moments", state.exp_avgs)?;
    same_length("second moments", state.exp_avg_sqs)?;
    if let Some(maxima) = state.max_exp_avg_sqs {
        same_length("largest second moments", maxima)?;
    }
    let (p, g) = (pointers(params), pointers(grads));
    let (averages, squares) = (pointers(state.exp_avgs), pointers(state.exp_avg_sqs));
    let maxima = state.max_exp_avg_sqs.map(pointers);
    let maxima = maxima.as_ref().map_or(std::ptr::null(), |list| list.as_ptr());
    let step = ffi::Adam {
        lr: step.lr,
        beta1: step.beta1,
        beta2: step.beta2,
        eps: step.eps,
        weight_decay: step.weight_decay,
        step: step.step as f64,
        decoupled,
    };
    let lists = ffi::AdamLists {
        count: p.len(),
        params: p.as_ptr(),
        grads: g.as_ptr(),
        averages: averages.as_ptr(),
        squares: squares.as_ptr(),
        maxima,
    };
    // SAFETY: the lists are live and equally long, `maxima` is such a list or null, and `lists` and `step` are live.
    check(call, unsafe { ffi::fovea_fused_adam(&raw const lists, &raw const step, passed(skip)) })
}

/// A check that a list is as long as `params`.
fn parallel(call: &'static str, params: &[Tensor]) -> impl Fn(&'static str, &[Tensor]) -> Result<(), BridgeError> {
    let parameters = params.len();
    move |list, tensors| match tensors.len() {
        found if found == parameters => Ok(()),
        found => Err(BridgeError::Length { call, list, found, parameters }),
    }
}

fn passed(skip: Option<Skip<'_>>) -> ffi::Skip {
    skip.map_or(ffi::Skip { now: std::ptr::null(), before: std::ptr::null() }, |skip| ffi::Skip {
        now: skip.now.as_ptr(),
        before: skip.before.as_ptr(),
    })
}

fn pointers(tensors: &[Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(Tensor::as_ptr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels_last;
    use tch::{Device, Kind};

    fn values(seed: i64, layout_channels_last: bool) -> Vec<Tensor> {
        // Fixed, irregular numbers in (-1, 1); no random state is shared between tests.
        let make = |shape: &[i64], i: i64| {
            let n: i64 = shape.iter().product();
            let x = (Tensor::arange(n, (Kind::Float, Device::Cpu)) + (seed * 37 + i * 11)) * 0.7;
            let x = x.sin().view(shape);
            if shape.len() == 4 && layout_channels_last { channels_last(&x) } else { x.copy() }
        };
        vec![make(&[4, 3, 3, 3], 0), make(&[5], 1), make(&[2, 7], 2)]
    }

    fn zeros_like(params: &[Tensor]) -> Vec<Tensor> {
        params.iter().map(Tensor::zeros_like).collect()
    }

    fn assert_close(a: &[Tensor], b: &[Tensor]) {
        for (a, b) in a.iter().zip(b) {
            assert!(a.allclose(b, 1e-5, 1e-6, false), "largest difference {}", (a - b).abs().max());
        }
    }

    /// The definition of SGD in single operations.
    fn plain_sgd(params: &mut [Tensor], grads: &[Tensor], buffers: &mut [Tensor], s: &SgdStep) {
        for ((p, g), b) in params.iter_mut().zip(grads).zip(buffers) {
            let g = g + &*p * s.weight_decay;
            *b = if s.first_step { g.copy() } else { &*b * s.momentum + &g * (1.0 - s.dampening) };
            let update = if s.nesterov { &g + &*b * s.momentum } else { b.copy() };
            *p -= update * s.lr;
        }
    }

    #[test]
    fn sgd_follows_its_definition() {
        for (nesterov, layout) in [(false, false), (true, false), (true, true)] {
            let params = values(1, layout);
            let buffers = zeros_like(&params);
            let (mut plain, mut plain_buffers) = (values(1, false), zeros_like(&values(1, false)));
            for n in 0..4 {
                let step = SgdStep {
                    lr: 0.1,
                    momentum: 0.9,
                    dampening: 0.0,
                    weight_decay: 0.01,
                    nesterov,
                    first_step: n == 0,
                };
                // Gradients always come in the plain layout: where the parameter is channels-last, the bridge must rearrange them.
                let grads = values(10 + n, false);
                fused_sgd(&params, &grads, &buffers, &step, None).expect("lists fit");
                plain_sgd(&mut plain, &grads, &mut plain_buffers, &step);
            }
            assert_close(&params, &plain);
            assert_close(&buffers, &plain_buffers);
        }
    }

    #[test]
    fn sgd_without_momentum_needs_no_buffers_and_records_no_gradient() {
        let params: Vec<Tensor> = values(1, false).into_iter().map(|p| p.set_requires_grad(true)).collect();
        let step =
            SgdStep { lr: 0.5, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, first_step: false };
        fused_sgd(&params, &values(2, false), &[], &step, None).expect("no buffers needed");
        let expected: Vec<Tensor> = values(1, false).iter().zip(&values(2, false)).map(|(p, g)| p - g * 0.5).collect();
        assert_close(&params, &expected);
        assert!(params.iter().all(|p| p.is_leaf() && p.requires_grad()));
    }

    #[test]
    fn adam_and_adamw_follow_their_definitions() {
        for (decoupled, amsgrad) in [(false, false), (true, false), (true, true)] {
            let params = values(3, false);
            let (m, v, top) = (zeros_like(&params), zeros_like(&params), zeros_like(&params));
            let mut plain = values(3, false);
            let (mut pm, mut pv, mut pt) = (zeros_like(&plain), zeros_like(&plain), zeros_like(&plain));
            for n in 1..=4 {
                let s = AdamStep { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1, step: n };
                let grads = values(20 + n as i64, false);
                let state = AdamState { exp_avgs: &m, exp_avg_sqs: &v, max_exp_avg_sqs: amsgrad.then_some(&top[..]) };
                let step = if decoupled { fused_adamw } else { fused_adam };
                step(&params, &grads, state, &s, None).expect("lists fit");
                let (c1, c2) = (1.0 - s.beta1.powi(n as i32), 1.0 - s.beta2.powi(n as i32));
                for i in 0..plain.len() {
                    let mut g = grads[i].copy();
                    if decoupled {
                        plain[i] = &plain[i] * (1.0 - s.lr * s.weight_decay);
                    } else {
                        g += &plain[i] * s.weight_decay;
                    }
                    pm[i] = &pm[i] * s.beta1 + &g * (1.0 - s.beta1);
                    pv[i] = &pv[i] * s.beta2 + &g * &g * (1.0 - s.beta2);
                    pt[i] = pt[i].maximum(&pv[i]);
                    let second = if amsgrad { &pt[i] } else { &pv[i] };
                    plain[i] -= (&pm[i] / c1) / ((second / c2).sqrt() + s.eps) * s.lr;
                }
            }
            assert_close(&params, &plain);
            assert_close(&v, &pv);
        }
    }

    #[test]
    fn lists_and_tensors_that_do_not_fit_are_refused() {
        let params = values(1, false);
        let step =
            SgdStep { lr: 0.1, momentum: 0.9, dampening: 0.0, weight_decay: 0.0, nesterov: false, first_step: true };
        let before: Vec<Tensor> = params.iter().map(Tensor::copy).collect();
        let short = fused_sgd(&params, &values(2, false), &[], &step, None).expect_err("buffers are missing");
        assert_eq!(short.to_string(), "fused_sgd: 0 tensors of 'momentum buffers' for 3 parameters");
        let other_layout = zeros_like(&values(1, true));
        let error = fused_sgd(&params, &values(2, false), &other_layout, &step, None).expect_err("layouts differ");
        assert!(error.to_string().contains("strides"), "{error}");
        let mut doubles = zeros_like(&params);
        doubles[1] = doubles[1].to_kind(Kind::Double);
        let error = fused_sgd(&params, &values(2, false), &doubles, &step, None).expect_err("types differ");
        assert!(error.to_string().contains("momentum buffer 1 is Double"), "{error}");
        let mut grads = values(2, false);
        grads[2] = Tensor::new();
        let error = fused_sgd(&params, &grads, &zeros_like(&params), &step, None).expect_err("a gradient is undefined");
        assert!(error.to_string().contains("parameter 2 has no gradient"), "{error}");
        assert_close(&params, &before);
        fused_sgd(&[], &[], &[], &step, None).expect("nothing to do");
    }
    #[test]
    fn a_step_is_left_out_where_a_gradient_is_not_finite_and_not_counted() {
        let number = |value: f32| Tensor::from(value);
        let (found, before) = (number(0.0), number(0.0));
        let mut grads = values(2, false);
        grads[1] = Tensor::from_slice(&[1.0_f32, f32::INFINITY, 2.0, f32::NAN, 3.0]);
        unscale(&grads, &number(0.5), &found).expect("gradients");
        assert_eq!(found.double_value(&[]), 1.0);
        assert!(grads[0].equal(&(&values(2, false)[0] * 0.5)));
        let skip = Some(Skip { now: &found, before: &before });

        let params = values(1, false);
        let buffers = zeros_like(&params);
        let sgd =
            SgdStep { lr: 0.1, momentum: 0.9, dampening: 0.0, weight_decay: 0.1, nesterov: true, first_step: false };
        fused_sgd(&params, &grads, &buffers, &sgd, skip).expect("left out");
        let (m, v) = (zeros_like(&params), zeros_like(&params));
        let state = AdamState { exp_avgs: &m, exp_avg_sqs: &v, max_exp_avg_sqs: None };
        let adam = |step| AdamStep { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1, step };
        fused_adam(&params, &grads, state, &adam(1), skip).expect("left out");
        for (now, then) in params.iter().zip(&values(1, false)) {
            assert!(now.equal(then));
        }
        assert!([buffers, m, v].iter().flatten().all(|t| t.equal(&t.zeros_like())));

        // The second step after one that was left out is the first of those that are taken.
        let grads = values(5, false);
        let take = |step, skip| {
            let params = values(1, false);
            let (m, v) = (zeros_like(&params), zeros_like(&params));
            let state = AdamState { exp_avgs: &m, exp_avg_sqs: &v, max_exp_avg_sqs: None };
            fused_adamw(&params, &grads, state, &adam(step), skip).expect("taken");
            params
        };
        let (now, before) = (number(0.0), number(1.0));
        let counted = take(2, Some(Skip { now: &now, before: &before }));
        for (a, b) in counted.iter().zip(&take(1, None)) {
            assert!(a.equal(b));
        }
    }
}
