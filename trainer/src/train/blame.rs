//! Why a loss is no usable number: what is seen of the network and its data when that happens, and what it means.

use models::ops::Role;
use schemas::Plan;
use schemas::error::ErrorCode;
use tch::Kind;

use super::schedule::Schedule;
use super::state::TrainingState;
use crate::failure::fail;
use crate::nn::params::{Param, Params};
use dataset::Batch;

/// A training whose loss is no usable number.
pub struct Scene<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// The parameters as they are now.
    pub params: &'a Params,
    /// Its learning rates.
    pub schedule: &'a Schedule,
    /// Where it stands.
    pub state: &'a TrainingState,
    /// Micro-batches that it has done.
    pub done: u64,
}

impl Scene<'_> {
    /// What is to blame: where no step has changed a weight, what training started from, and else the steps.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "image counts are far below 2^52")]
    pub fn blame(&self, loss: f64) -> String {
        let (rate, seen) = (self.plan.settings.learning_rate, look(self.params));
        if !self.moved() {
            let from = match &self.plan.checkpoint_run {
                Some(run) => format!("--checkpoint_run {run}"),
                None => format!("--pretrained {}", self.plan.pretrained),
            };
            return format!(
                "the training loss is {loss} before --learning_rate ({rate}) has changed a weight: the weights that training \
                 starts from ({from}) do not answer these images with usable numbers ({seen}); start from other weights, or \
                 from none with --pretrained none, and choose another --output"
            );
        }
        let images = self.state.seen;
        let before = if images > 0 {
            format!(" after {images} images, whose loss was {:.3} on average", self.state.loss_sum / images as f64)
        } else {
            String::new()
        };
        format!(
            "the training loss is {loss} in epoch {}{before}: training has diverged, which is the doing of its {} steps ({seen}); \
             lower --learning_rate (now {rate}, try {}) and choose another --output",
            self.state.epoch + 1,
            self.state.updates,
            rate / 10.0
        )
    }

    /// Whether an optimizer step may have changed a weight: one was taken, and its rate was not that of a warm-up's beginning, 0.
    fn moved(&self) -> bool {
        let moves = |t: u64| {
            let rates = self.schedule.at(t);
            rates.lr > 0.0 || rates.bias_lr > 0.0
        };
        self.state.updates > 0 && (0..self.done).any(moves)
    }
}

/// What is seen of the parameters, as half a sentence: the first tensor with values that are no finite numbers, or else the
/// largest weight and the first layer whose statistics of the images overflow.
fn look(params: &Params) -> String {
    let (weights, statistics): (Vec<_>, Vec<_>) = (params.iter())
        .filter(|(_, param)| param.tensor.is_floating_point())
        .partition(|(_, param)| param.role != Role::Buffer);
    if let Some(broken) = weights.iter().find_map(not_finite) {
        return broken;
    }
    let largest = weights.iter().map(|(key, param)| (param.tensor.abs().max().double_value(&[]), *key));
    let largest = largest.fold((0.0, ""), |a, b| if b.0 > a.0 { b } else { a });
    let overflow = statistics.iter().find_map(not_finite);
    let overflow = overflow.map(|what| format!("; of the running statistics, {what}")).unwrap_or_default();
    format!("all weights are finite, the largest is {:.3e} in '{}'{overflow}", largest.0, largest.1)
}

fn not_finite((key, param): &(&str, &Param)) -> Option<String> {
    let finite = param.tensor.isfinite();
    let (all, finite) = (param.tensor.numel(), finite.sum(Kind::Int64).int64_value(&[]));
    let broken = i64::try_from(all).unwrap_or(i64::MAX) - finite;
    (broken > 0).then(|| format!("{broken} of the {all} values of '{key}' are no finite numbers"))
}

/// Checks what a batch is to be answered with. (Its pixels are bytes.)
///
/// # Errors
/// When a corner of a box is no finite number, which would make the loss none.
pub fn check_targets(batch: &Batch) -> anyhow::Result<()> {
    let boxes =
        batch.objects.iter().zip(&batch.indices).flat_map(|(objects, index)| objects.iter().map(move |o| (o, index)));
    for (object, index) in boxes {
        if !object.corners.iter().all(|v| v.is_finite()) {
            let message = format!(
                "a box of training image {index} (counted from 0 in data/train.jsonl) is {:?}, which is not of finite numbers; \
                 correct its row",
                object.corners
            );
            return Err(fail(ErrorCode::InvalidDataset, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use schemas::{PlanRequest, Source};
    use tch::{Device, Tensor};

    use super::*;
    use crate::nn::params::Layout;

    fn plan(rate: f64) -> Plan {
        let mut request = PlanRequest::new();
        for (name, value) in [("task", "image-classification"), ("model_name", "resnet18"), ("training_data", "t")] {
            request.set(name, value, Source::File);
        }
        let mut plan = models::registry::plan(request).unwrap();
        plan.settings.learning_rate = rate;
        plan
    }

    fn params() -> Params {
        let manifest = models::registry::find("resnet18").unwrap().manifest(2, 64).unwrap();
        Params::init(&manifest, 0, Device::Cpu, Layout::Contiguous)
    }

    fn filled(params: &mut Params, key: &str, value: f64) {
        let shape = params.iter().find(|(k, _)| *k == key).unwrap().1.tensor.size();
        params.set(key, &Tensor::full(&shape, value, (Kind::Float, Device::Cpu)));
    }

    /// What is said after so many micro-batches, each with an update.
    fn said(params: &Params, rate: f64, done: u64) -> String {
        let plan = plan(rate);
        let (schedule, state) =
            (Schedule::new(&plan.settings, 10), TrainingState { updates: done, ..TrainingState::default() });
        Scene { plan: &plan, params, schedule: &schedule, state: &state, done }.blame(f64::NAN)
    }

    fn blames_start(text: &str) -> bool {
        assert_ne!(text.contains("training starts from"), text.contains("training has diverged"), "{text}");
        text.contains("training starts from")
    }

    #[test]
    fn weights_that_overflow_are_to_blame_until_a_step_has_changed_them() {
        let mut params = params();
        filled(&mut params, "layer1.0.conv1.weight", 3e38);
        // The second update of a warm-up is the first that changes anything.
        for (done, start) in [(0, true), (1, true), (2, false)] {
            let text = said(&params, 0.01, done);
            assert_eq!(blames_start(&text), start, "{text}");
            assert!(
                text.contains("all weights are finite, the largest is 3.000e38 in 'layer1.0.conv1.weight'"),
                "{text}"
            );
        }
        assert!(blames_start(&said(&params, 0.0, 5)), "a rate of 0 changes nothing");
        filled(&mut params, "bn1.running_mean", f64::NAN);
        let text = said(&params, 0.01, 0);
        assert!(text.contains("of the running statistics, 64 of the 64 values of 'bn1.running_mean' are no"), "{text}");
    }

    #[test]
    fn steps_are_to_blame_for_what_they_have_made_of_the_weights() {
        let mut params = params();
        filled(&mut params, "layer2.0.bn1.weight", f64::INFINITY);
        filled(&mut params, "layer3.0.bn1.weight", f64::NAN);
        let text = said(&params, 1e6, 7);
        assert!(!blames_start(&text), "{text}");
        for part in ["128 of the 128 values of 'layer2.0.bn1.weight'", "its 7 steps", "now 1000000, try 100000"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
