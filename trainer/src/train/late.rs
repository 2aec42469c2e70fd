//! Losses that are read after the device has gone on.
//!
//! To read a loss at once is to wait for the device, which then waits for the host in its turn. On a device that computes while the
//! host goes on, a loss is therefore read after the step behind it has been queued, and at the latest before anything is written.

use std::collections::VecDeque;

use bridge::{BridgeError, Readback};
use tch::{Device, Kind, Tensor};

use crate::tasks::Losses;

/// The images that a loss is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Micro-batch of the epoch, from 0.
    pub batch: usize,
    /// How many.
    pub images: usize,
    /// Their share of the batch.
    pub share: f64,
    /// What the loss counts for in that of the batch.
    pub weight: f64,
}

/// A loss in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The total.
    pub value: f64,
    /// What it is made of, by name.
    pub parts: Vec<(&'static str, f64)>,
    /// What it is of.
    pub of: Part,
}

/// A loss on its way to the host, or there.
pub enum Reading {
    /// On its way: the total and the parts, their names.
    Coming(Readback, Vec<&'static str>, Part),
    /// There.
    There(Known),
}

impl Reading {
    /// Queues the copy of a loss; nothing is waited for.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn begin(losses: &Losses, of: Part) -> Result<Self, BridgeError> {
        let scalars = std::iter::once(&losses.total).chain(losses.parts.iter().map(|(_, part)| part));
        let scalars: Vec<Tensor> = scalars.map(|t| t.detach().to_kind(Kind::Double).reshape([])).collect();
        let names = losses.parts.iter().map(|(name, _)| *name).collect();
        Ok(Self::Coming(Readback::begin(&Tensor::stack(&scalars, 0))?, names, of))
    }

    /// The numbers. Waits for the work that the loss is the result of, and for none that was queued after it.
    ///
    /// # Errors
    /// What the device says of that work.
    pub fn known(self) -> Result<Known, BridgeError> {
        match self {
            Self::There(known) => Ok(known),
            Self::Coming(readback, names, of) => {
                let values = Vec::<f64>::try_from(readback.finish()?).unwrap_or_default();
                let parts = names.into_iter().zip(values.iter().skip(1).copied()).collect();
                Ok(Known { value: values.first().copied().unwrap_or(f64::NAN), parts, of })
            }
        }
    }
}

/// The losses that nobody has looked at yet, oldest first.
pub struct Late {
    /// How many may be left unread while the host goes on.
    behind: usize,
    queue: VecDeque<Reading>,
    /// The loss of the newest micro-batch that was read, and its number.
    newest: Option<(usize, f64)>,
}

impl Late {
    /// For losses that come from `device`: at once on the CPU, where nobody computes meanwhile, otherwise a step later. So at most one
    /// optimizer step follows a loss before somebody has looked at it.
    #[must_use]
    pub fn of(device: Device) -> Self {
        Self::behind(usize::from(device != Device::Cpu))
    }

    /// With so many losses unread.
    fn behind(behind: usize) -> Self {
        Self { behind, queue: VecDeque::new(), newest: None }
    }

    /// Whether a loss is looked at before its own gradients are.
    #[must_use]
    pub fn is_at_once(&self) -> bool {
        self.behind == 0
    }

    /// Takes in the loss of the step that was queued last.
    pub fn push(&mut self, reading: Reading) {
        self.queue.push_back(reading);
    }

    /// The next loss that it is time to read.
    pub fn due(&mut self) -> Option<Reading> {
        if self.queue.len() > self.behind { self.queue.pop_front() } else { None }
    }

    /// The next of the rest, whether or not it is time.
    pub fn rest(&mut self) -> Option<Reading> {
        self.queue.pop_front()
    }

    /// Remembers what a loss adds to that of its micro-batch.
    pub fn show(&mut self, known: &Known) {
        let before = self.newest.filter(|(batch, _)| *batch == known.of.batch).map_or(0.0, |(_, value)| value);
        self.newest = Some((known.of.batch, before + known.value * known.of.weight));
    }

    /// The newest loss that is known, for the progress bar.
    #[must_use]
    pub fn note(&self) -> String {
        self.newest.map_or_else(String::new, |(_, value)| format!("loss {value:.4}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: f64, batch: usize) -> Reading {
        let number = |v: f64| Tensor::from(v).to_kind(Kind::Float);
        let losses =
            Losses { total: number(value), parts: vec![("box", number(0.25)), ("class", number(value - 0.25))] };
        Reading::begin(&losses, Part { batch, images: 4, share: 1.0, weight: 1.0 }).unwrap()
    }

    fn values(due: impl Iterator<Item = Reading>) -> Vec<f64> {
        due.map(|reading| reading.known().unwrap().value).collect()
    }

    #[test]
    fn a_loss_is_read_with_its_parts() {
        let known = reading(1.5, 3).known().unwrap();
        assert_eq!((known.value, &known.parts[..], known.of.batch), (1.5, &[("box", 0.25), ("class", 1.25)][..], 3));
        assert_eq!(Reading::There(known.clone()).known().unwrap(), known);
    }

    #[test]
    fn losses_are_read_in_order_as_late_as_was_said() {
        assert!(Late::of(Device::Cpu).is_at_once());
        assert!(!Late::of(Device::Cuda(0)).is_at_once());
        for (behind, expected) in [(0, [1, 1, 1, 1]), (1, [0, 1, 1, 1]), (2, [0, 0, 1, 1])] {
            let mut late = Late::behind(behind);
            let (mut counts, mut all) = (Vec::new(), Vec::new());
            for step in 0..4 {
                late.push(reading(f64::from(step), 0));
                let due = values(std::iter::from_fn(|| late.due()));
                counts.push(due.len());
                all.extend(due);
            }
            assert_eq!(counts, expected);
            all.extend(values(std::iter::from_fn(|| late.rest())));
            assert_eq!(all, [0.0, 1.0, 2.0, 3.0]);
        }
    }

    #[test]
    fn the_parts_of_a_batch_are_shown_as_one() {
        let mut late = Late::behind(0);
        assert_eq!(late.note(), "");
        for (value, batch, share) in [(9.0, 0, 1.0), (1.0, 1, 0.25), (2.0, 1, 0.75)] {
            let of = Part { batch, images: 1, share, weight: share };
            late.show(&Known { value, parts: Vec::new(), of });
        }
        assert_eq!(late.note(), "loss 1.7500");
    }
}
