//! SGD, Adam and AdamW on libtorch's fused kernels, with state that can be saved and restored exactly.

use std::collections::{BTreeSet, HashMap};

use bridge::{AdamState, AdamStep, BridgeError, SgdStep, Skip};
use models::ops::Role;
use models::registry::Layers;
use schemas::setting::{GradClip, Optimizer as Kind, Settings};
use tch::{Device, Tensor};

use crate::nn::params::Params;
use crate::train::scaler::{Scaler, Scaling};
use crate::train::schedule::Rates;

/// Added to Adam's denominator, PyTorch's default.
const EPS: f64 = 1e-8;

/// Parameters that share a weight decay and a learning rate.
struct Group {
    keys: Vec<String>,
    params: Vec<Tensor>,
    weight_decay: f64,
    /// Whether they take the learning rate of biases.
    biases: bool,
    /// Share of the learning rate that they take.
    rate: f64,
    /// Whether they may have to wait for the head.
    body: bool,
    /// Per parameter: SGD's momentum buffer, or Adam's first moment.
    first: Vec<Tensor>,
    /// Adam's second moment; empty for SGD.
    second: Vec<Tensor>,
    /// Running maximum of the second moment, when `amsgrad`.
    maximum: Vec<Tensor>,
}

/// The optimizer of a run: the one place that owns gradients and parameter updates.
pub struct Optimizer {
    settings: Settings,
    groups: Vec<Group>,
    gradients: Vec<Option<Tensor>>,
    updates: u64,
    /// Updates after which what is not the head is trained; `None` while it waits.
    body_from: Option<u64>,
    /// What scales the loss, in fp16.
    scaler: Option<Scaler>,
}

impl Optimizer {
    /// An optimizer over everything that is trained. Weights decay by `weight_decay`; biases,
    /// normalisations and embeddings do not. `layers` says whose learning rates `layer_lr_decay` lowers.
    #[must_use]
    pub fn new(settings: &Settings, params: &Params, layers: &Layers) -> Self {
        let place = |key: &str| {
            let depth = if settings.layer_lr_decay < 1.0 { layers.depth(key) } else { 0 };
            (depth, settings.head_epochs > 0 && !layers.is_head(key))
        };
        let places: BTreeSet<(usize, bool)> = params.trained().map(|(key, _)| place(key)).collect();
        let group = |weight_decay: f64, biases: bool, wanted: fn(Role) -> bool, (depth, body): (usize, bool)| {
            let (keys, params): (Vec<_>, Vec<_>) = params
                .trained()
                .filter(|(key, p)| wanted(p.role) && place(key) == (depth, body))
                .map(|(key, p)| (key.to_owned(), p.tensor.shallow_clone()))
                .unzip();
            let rate = settings.layer_lr_decay.powi(i32::try_from(depth).unwrap_or(i32::MAX));
            let zeros =
                || params.iter().map(Tensor::zeros_like).map(|t| t.set_requires_grad(false)).collect::<Vec<_>>();
            let adam = settings.optimizer != Kind::Sgd;
            let first = if adam || settings.momentum > 0.0 { zeros() } else { Vec::new() };
            let second = if adam { zeros() } else { Vec::new() };
            let maximum = if adam && settings.amsgrad { zeros() } else { Vec::new() };
            Group { keys, weight_decay, biases, rate, body, first, second, maximum, params }
        };
        let at = |place| {
            [
                group(decay(settings), false, |role| role == Role::Weight, place),
                group(0.0, false, |role| matches!(role, Role::NormWeight | Role::Embedding), place),
                group(0.0, true, |role| matches!(role, Role::Bias | Role::NormBias), place),
            ]
        };
        let groups: Vec<Group> = places.into_iter().flat_map(at).collect();
        let count = groups.iter().map(|g| g.params.len()).sum();
        Self {
            settings: settings.clone(),
            groups,
            gradients: std::iter::repeat_with(|| None).take(count).collect(),
            updates: 0,
            body_from: Some(0),
            scaler: None,
        }
    }

    /// Trains the head alone, until [`Self::train_body`].
    pub fn train_head(&mut self) {
        self.body_from = None;
    }

    /// Trains what is not the head from this number of updates on.
    pub fn train_body(&mut self, updates: u64) {
        self.body_from = Some(updates);
    }

    /// Updates that a group has seen, of which `updates` have been made; `None` while it waits.
    fn seen(&self, group: &Group, updates: u64) -> Option<u64> {
        if group.body { self.body_from.map(|from| updates.saturating_sub(from)) } else { Some(updates) }
    }

    /// The same, of a loss that is scaled on `device`, as fp16 needs it.
    #[must_use]
    pub fn scaled(self, device: Device) -> Self {
        Self { scaler: Some(Scaler::new(device)), ..self }
    }

    /// Adds the gradients of `loss` to those collected since the last step.
    ///
    /// # Errors
    /// What libtorch says, such as running out of memory.
    pub fn backward(&mut self, loss: &Tensor) -> anyhow::Result<()> {
        let live = |group: &&Group| !group.body || self.body_from.is_some();
        let params: Vec<&Tensor> = self.groups.iter().filter(live).flat_map(|g| &g.params).collect();
        let gradients = bridge::backward(loss, self.scaler.as_ref().map(Scaler::scale), &params)?;
        let body_waits = self.body_from.is_none();
        let waits = self.groups.iter().flat_map(|g| std::iter::repeat_n(g.body && body_waits, g.params.len()));
        let slots = self.gradients.iter_mut().zip(waits).filter(|(_, waits)| !waits).map(|(slot, _)| slot);
        for (slot, gradient) in slots.zip(gradients) {
            match slot {
                Some(sum) => drop(sum.f_add_(&gradient)?),
                None => *slot = Some(gradient),
            }
        }
        Ok(())
    }

    /// One update with the collected gradients; clears them. In fp16 it is left out where a gradient overflowed, and counted all the
    /// same: whether it was is known on the device alone.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn step(&mut self, rates: &Rates) -> anyhow::Result<()> {
        let mut gradients: Vec<Tensor> = Vec::with_capacity(self.gradients.len());
        for (slot, param) in self.gradients.iter_mut().zip(self.groups.iter().flat_map(|g| &g.params)) {
            gradients.push(slot.take().unwrap_or_else(|| param.zeros_like()));
        }
        if let Some(scaler) = &mut self.scaler {
            scaler.unscale(&gradients)?;
        }
        clip(&mut gradients, &self.settings)?;
        self.updates += 1;
        let mut rest = gradients.as_slice();
        for group in &self.groups {
            let (own, others) = rest.split_at(group.params.len());
            rest = others;
            let Some(updates) = self.seen(group, self.updates).filter(|_| !own.is_empty()) else { continue };
            let step = Step { rates, updates, skip: self.scaler.as_ref().map(Scaler::skip) };
            update(&self.settings, group, own, step)?;
        }
        if let Some(scaler) = &mut self.scaler {
            scaler.update();
        }
        Ok(())
    }

    /// What scaling the loss has come to, in fp16; waits for the device.
    #[must_use]
    pub fn scaling(&self) -> Option<Scaling> {
        self.scaler.as_ref().map(Scaler::read)
    }

    /// Optimizer steps taken.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// State tensors by name: `optimizer.SLOT.KEY`, and `scaler.NAME` in fp16.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.slots();
        state.extend(self.scaler.iter().flat_map(Scaler::state));
        state
    }

    fn slots(&self) -> Vec<(String, Tensor)> {
        let mut state = Vec::new();
        for group in &self.groups {
            for (slot, tensors) in slots(group) {
                let named = group.keys.iter().zip(tensors);
                state.extend(named.map(|(key, t)| (format!("optimizer.{slot}.{key}"), t.shallow_clone())));
            }
        }
        state
    }

    /// Puts saved state back. Names that are missing are returned: the checkpoint is of another run.
    #[must_use]
    pub fn restore(&mut self, updates: u64, saved: &HashMap<String, Tensor>) -> Vec<String> {
        self.updates = updates;
        let mut missing = self.scaler.as_mut().map(|scaler| scaler.restore(saved)).unwrap_or_default();
        for (name, mut tensor) in self.slots() {
            match saved.get(&name) {
                Some(value) if value.size() == tensor.size() => tensor.copy_(value),
                _ => missing.push(name),
            }
        }
        missing
    }
}

fn slots(group: &Group) -> [(&'static str, &Vec<Tensor>); 3] {
    [("first", &group.first), ("second", &group.second), ("maximum", &group.maximum)]
}

fn clip(gradients: &mut [Tensor], settings: &Settings) -> Result<(), tch::TchError> {
    let limit = settings.grad_clip_value;
    match settings.grad_clip_type {
        GradClip::None => {}
        GradClip::Value => {
            for gradient in gradients {
                let _ = gradient.f_clamp_(-limit, limit)?;
            }
        }
        GradClip::Norm => {
            let is_free = gradients.iter().all(|gradient| gradient.device() == Device::Cpu);
            clip_norm(gradients, limit, is_free)?;
        }
    }
    Ok(())
}

/// Shortens gradients whose 2-norm together is more than `limit`. Where it `is_free` to ask, most steps need no pass over the
/// gradients; elsewhere they are multiplied by 1, so that the host need not wait for the answer.
fn clip_norm(gradients: &mut [Tensor], limit: f64, is_free: bool) -> Result<(), tch::TchError> {
    let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
    if norms.is_empty() {
        return Ok(());
    }
    let total = Tensor::f_stack(&norms, 0)?.f_norm()?.f_to_kind(tch::Kind::Double)?;
    let scale = total.f_full_like(limit)?.f_div(&total.f_add_scalar(1e-6)?)?;
    let is_over = scale.f_lt(1.0)?;
    if is_free && is_over.f_int64_value(&[])? == 0 {
        return Ok(());
    }
    let factor = scale.f_where_scalarother(&is_over, 1.0)?;
    for gradient in gradients {
        let _ = gradient.f_mul_(&factor)?;
    }
    Ok(())
}

/// Weight decay of weights: with a nominal batch size it is meant for that many images, and scaled to what a step holds.
fn decay(s: &Settings) -> f64 {
    if s.nominal_batch_size == 0 {
        return s.weight_decay;
    }
    let (batch, nominal) = (f64::from(s.training_batch_size), f64::from(s.nominal_batch_size));
    s.weight_decay * batch * (nominal / batch).round().max(1.0) / nominal
}

/// One update of all groups.
#[derive(Clone, Copy)]
struct Step<'a> {
    rates: &'a Rates,
    /// How many of its group it makes.
    updates: u64,
    skip: Option<Skip<'a>>,
}

fn update(s: &Settings, group: &Group, gradients: &[Tensor], step: Step) -> Result<(), BridgeError> {
    let Step { rates, updates, skip } = step;
    let share = group.rate * if group.body { rates.body } else { 1.0 };
    let lr = share * if group.biases { rates.bias_lr } else { rates.lr };
    if s.optimizer == Kind::Sgd {
        let (momentum, nesterov) = (rates.momentum, s.nesterov && s.momentum > 0.0);
        // New buffers are zeros, for which the first step needs no special case.
        let step =
            SgdStep { lr, momentum, dampening: 0.0, weight_decay: group.weight_decay, nesterov, first_step: false };
        return bridge::fused_sgd(&group.params, gradients, &group.first, &step, skip);
    }
    let state = AdamState {
        exp_avgs: &group.first,
        exp_avg_sqs: &group.second,
        max_exp_avg_sqs: s.amsgrad.then_some(group.maximum.as_slice()),
    };
    let step =
        AdamStep { lr, beta1: s.beta1, beta2: s.beta2, eps: EPS, weight_decay: group.weight_decay, step: updates };
    match s.optimizer {
        Kind::Adamw => bridge::fused_adamw(&group.params, gradients, state, &step, skip),
        Kind::Adam | Kind::Sgd => bridge::fused_adam(&group.params, gradients, state, &step, skip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Layout;

    fn layers() -> Layers {
        models::registry::find("resnet18").unwrap().layers()
    }

    /// A network of two layers and what it is to learn.
    fn learner() -> (Params, impl Fn(&Params) -> Tensor) {
        let spec = models::registry::find("resnet18").unwrap();
        let params = Params::init(&spec.manifest(4, 64).unwrap(), 3, Device::Cpu, Layout::Contiguous);
        let wave = |n: i64| (Tensor::arange(n, (tch::Kind::Float, Device::Cpu)) * 0.7).sin();
        let (images, targets) = (wave(2 * 3 * 32 * 32).view([2, 3, 32, 32]), Tensor::from_slice(&[1i64, 3]));
        let loss = move |params: &Params| {
            let x = images.conv2d(&params.tensor("conv1.weight", &[64, 3, 7, 7]), None::<Tensor>, 2, 3, 1, 1).relu();
            let features = x.mean_dim([2i64, 3].as_slice(), false, tch::Kind::Float).repeat([1, 8]);
            let [weight, bias] = [("fc.weight", vec![4, 512]), ("fc.bias", vec![4])].map(|(k, s)| params.tensor(k, &s));
            let rest: Tensor = params.trained().map(|(_, p)| p.tensor.square().sum(tch::Kind::Float) * 1e-3).sum();
            features.linear(&weight, Some(&bias)).cross_entropy_for_logits(&targets) + rest
        };
        (params, loss)
    }

    fn values(params: &Params) -> Vec<Tensor> {
        params.trained().map(|(_, p)| p.tensor.detach().copy()).collect()
    }

    #[test]
    fn a_scaled_loss_teaches_the_same_and_an_overflow_teaches_nothing() {
        for optimizer in [Kind::Sgd, Kind::Adamw] {
            let settings = Settings {
                optimizer,
                grad_clip_type: GradClip::Norm,
                grad_clip_value: 0.1,
                momentum: 0.9,
                ..Settings::default()
            };
            let rates = Rates { lr: 0.01, bias_lr: 0.01, momentum: 0.9, body: 1.0 };
            let ((plain, loss), (scaled, _)) = (learner(), learner());
            let mut by_plain = Optimizer::new(&settings, &plain, &layers());
            let mut by_scaled = Optimizer::new(&settings, &scaled, &layers()).scaled(Device::Cpu);
            for step in 0..3 {
                if step == 1 {
                    let before = values(&scaled);
                    by_scaled.backward(&(loss(&scaled) * f64::INFINITY)).unwrap();
                    by_scaled.step(&rates).unwrap();
                    assert!(before.iter().zip(&values(&scaled)).all(|(a, b)| a.equal(b)), "{optimizer:?}");
                    assert_eq!(by_scaled.scaling(), Some(Scaling { skipped: 1, scale: 32_768.0 }));
                }
                by_plain.backward(&loss(&plain)).unwrap();
                by_plain.step(&rates).unwrap();
                by_scaled.backward(&loss(&scaled)).unwrap();
                by_scaled.step(&rates).unwrap();
            }
            assert_eq!((by_plain.updates(), by_scaled.updates()), (3, 4));
            for (a, b) in values(&plain).iter().zip(&values(&scaled)) {
                assert!(a.equal(b), "{optimizer:?}: powers of two change no bit");
            }
            // What is saved goes on as what was saved from.
            let saved: HashMap<String, Tensor> = by_scaled.state().into_iter().map(|(k, t)| (k, t.copy())).collect();
            let mut restored = Optimizer::new(&settings, &scaled, &layers()).scaled(Device::Cpu);
            assert!(restored.restore(by_scaled.updates(), &saved).is_empty());
            assert_eq!((restored.scaling(), restored.updates()), (by_scaled.scaling(), 4));
            assert!(
                Optimizer::new(&settings, &plain, &layers()).scaled(Device::Cpu).restore(0, &HashMap::new()).len() > 3
            );
        }
    }

    /// The form that reads the norm, which the CPU's results are held to bit by bit.
    fn clipped(gradients: &[Tensor], limit: f64) -> Vec<Tensor> {
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
        let scale = limit / (Tensor::stack(&norms, 0).norm().double_value(&[]) + 1e-6);
        gradients.iter().map(|g| if scale < 1.0 { g * scale } else { g.copy() }).collect()
    }

    #[test]
    fn gradients_are_cut_to_a_common_norm() {
        let make = |factor: f64| {
            let wave = (Tensor::arange(700, (tch::Kind::Float, Device::Cpu)) * 0.7).sin() * factor;
            [wave.narrow(0, 0, 600).view([20, 30]), wave.narrow(0, 600, 100)]
        };
        for factor in [0.1, 1.0, 1e3, f64::INFINITY, f64::NAN] {
            let expected = clipped(&make(factor), 5.0);
            for is_free in [true, false] {
                let mut found = make(factor);
                clip_norm(&mut found, 5.0, is_free).unwrap();
                for (f, e) in found.iter().zip(&expected) {
                    assert!(
                        f.nan_to_num(-7.0, None, None).equal(&e.nan_to_num(-7.0, None, None)),
                        "{factor} {is_free}"
                    );
                }
            }
        }
        clip_norm(&mut [], 5.0, true).unwrap();
    }
}
