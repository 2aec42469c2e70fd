//! The training loop: epochs, accumulation, evaluation, early stopping, checkpoints. Every task trains through it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use schemas::Plan;
use schemas::error::ErrorCode;
use schemas::event::{EpochRecord, Timing, TrainScalars};
use tch::Tensor;

use crate::checkpoint::TrainingState;
use crate::data::Loader;
use crate::early_stopping::Verdict;
use crate::evaluate;
use crate::failure::fail;
use crate::log::Log;
use crate::metric::MulticlassReport;
use crate::network::{Arithmetic, Network};
use crate::optimizer::Optimizer;
use crate::params::keyed_rng;
use crate::progress::Progress;
use crate::recorder::Recorder;
use crate::schedule::Schedule;

/// A training loss above this means that training has diverged (the specification's limit).
const DIVERGED: f64 = 100.0;

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every epoch done, or early stopping.
    Finished,
    /// Told to stop; the last checkpoint holds everything.
    Interrupted,
}

/// Everything the loop needs; it owns what changes.
pub struct Engine<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// Arithmetic of the training step.
    pub arithmetic: Arithmetic,
    /// Training images.
    pub train: &'a Loader,
    /// Validation images.
    pub validation: &'a Loader,
    /// `[C]`, when the loss is weighted.
    pub class_weights: Option<Tensor>,
    /// The network in training.
    pub network: Network,
    /// Its optimiser.
    pub optimizer: Optimizer,
    /// Where the loop stands.
    pub state: TrainingState,
    /// Writes checkpoints and records.
    pub recorder: Recorder,
    /// Set by a signal: stop after the step under way.
    pub stop: Arc<AtomicBool>,
    /// What the run says.
    pub log: &'a Log,
}

impl Engine<'_> {
    /// Trains until the plan, early stopping or a signal ends it.
    ///
    /// # Errors
    /// When the loss diverges, an image store fails, or a checkpoint cannot be written.
    pub fn run(&mut self) -> anyhow::Result<End> {
        let schedule = Schedule::new(&self.plan.settings, self.train.batches_per_epoch());
        while !self.state.finished {
            if self.train_epoch(&schedule)? == End::Interrupted {
                return Ok(End::Interrupted);
            }
        }
        Ok(End::Finished)
    }

    fn train_epoch(&mut self, schedule: &Schedule) -> anyhow::Result<End> {
        let epoch = self.state.epoch;
        let epochs = self.plan.settings.number_of_epochs;
        let batches = self.train.batches_per_epoch();
        let mut progress = Progress::start(format!("epoch {}/{epochs}", epoch + 1), self.train.images_per_epoch());
        let counter = |index: usize| u64::from(epoch) * batches as u64 + index as u64;
        let nominal = self.plan.settings.nominal_batch_size > 0;
        let mut collected = 0;
        for batch in self.train.train_epoch(self.plan.seed, epoch, self.state.batch) {
            let batch = batch?;
            let index = self.state.batch;
            let accumulate = schedule.accumulate(counter(index), nominal);
            let value = self.train_batch(&batch, accumulate)?;
            self.state.batch = index + 1;
            collected += 1;
            progress.advance(batch.n, batch.wait, &format!("loss {value:.4}"));
            if collected >= accumulate || self.state.batch == batches {
                collected = 0;
                self.optimizer.step(&schedule.at(counter(index))).context("optimiser step")?;
                self.state.updates = self.optimizer.updates();
                if self.stop.load(Ordering::Relaxed) {
                    self.recorder.save_last(&self.network, &self.optimizer, &self.state)?;
                    return Ok(End::Interrupted);
                }
            }
        }
        self.network.params.count_batches(i64::try_from(self.state.batch)?);
        self.finish_epoch(schedule.at(counter(batches.saturating_sub(1))).lr, &progress)?;
        Ok(End::Finished)
    }

    /// Forward and backward of one micro-batch; returns its loss.
    fn train_batch(&mut self, batch: &crate::data::Batch, accumulate: usize) -> anyhow::Result<f64> {
        tch::manual_seed(step_seed(self.plan.seed, self.state.epoch, self.state.batch));
        let images = self.network.images(&batch.images, batch.n, batch.height, batch.width);
        let targets = Tensor::from_slice(&batch.targets).to_device(self.network.params.device());
        let loss = self.network.loss(&images, &targets, self.class_weights.as_ref(), self.arithmetic);
        let value = loss.double_value(&[]);
        if !value.is_finite() || value > DIVERGED {
            let message = format!(
                "the training loss is {value} in epoch {}: training has diverged; lower --learning_rate \
                 (now {}) and choose another --output",
                self.state.epoch + 1,
                self.plan.settings.learning_rate
            );
            return Err(fail(ErrorCode::TrainingDiverged, message));
        }
        let scaled = if accumulate > 1 { &loss / i64::try_from(accumulate)? } else { loss };
        self.optimizer.backward(&scaled).context("backward pass")?;
        self.state.loss_sum += value * f64::from(u32::try_from(batch.n)?);
        self.state.seen += batch.n as u64;
        Ok(value)
    }

    /// Evaluates when it is due, records the epoch, and writes the checkpoints.
    fn finish_epoch(&mut self, lr: f64, progress: &Progress) -> anyhow::Result<()> {
        let (seconds, waited) = progress.seconds();
        let settings = &self.plan.settings;
        let number = self.state.epoch + 1;
        let is_last = number == settings.number_of_epochs;
        let due = is_last || self.state.epoch.is_multiple_of(settings.evaluation_frequency.max(1));
        let report = if due { Some(self.evaluate(self.validation, &format!("validation {number}"))?) } else { None };
        let on_training = if due && settings.log_training_metrics {
            self.evaluate(self.train, &format!("training data {number}"))?.scalars()
        } else {
            BTreeMap::new()
        };
        let scalars = report.as_ref().map(MulticlassReport::scalars).unwrap_or_default();
        let verdict = match scalars.get("accuracy") {
            Some(&accuracy) => self.state.early_stopping.observe(number, accuracy, settings),
            None => Verdict { is_best: false, stop: false },
        };
        #[expect(clippy::cast_precision_loss, reason = "image counts are far below 2^52")]
        let record = EpochRecord {
            epoch: number,
            updates: self.state.updates,
            learning_rate: lr,
            train: TrainScalars { loss: self.state.loss_sum / (self.state.seen.max(1) as f64), metrics: on_training },
            validation: scalars.clone(),
            is_best: verdict.is_best,
            timing: Timing { seconds, images_per_second: progress.rate(), data_wait_seconds: waited },
        };
        self.state = TrainingState {
            epoch: number,
            batch: 0,
            loss_sum: 0.0,
            seen: 0,
            finished: is_last || verdict.stop,
            ..self.state.clone()
        };
        self.log.line(&summary(&record, settings.number_of_epochs));
        let rejected = [self.train.take_rejections(), self.validation.take_rejections()].concat();
        for rejection in &rejected {
            self.log.line(&format!("left out: {}:{}: {}", rejection.source, rejection.line, rejection.reason));
        }
        self.recorder.reject(&rejected)?;
        self.write(record, &scalars, verdict)
    }

    /// The order matters: a crash between two of these writes is repaired by the resume, which starts from the last
    /// checkpoint and repeats the epoch that had not reached it.
    fn write(&mut self, record: EpochRecord, scalars: &BTreeMap<String, f64>, verdict: Verdict) -> anyhow::Result<()> {
        let number = record.epoch;
        let frequency = self.plan.settings.checkpoint_frequency;
        if verdict.is_best {
            self.recorder.save_best(&self.network, number, scalars)?;
        }
        if frequency > 0 && number.is_multiple_of(frequency) {
            self.recorder.save_epoch(&self.network, number, scalars)?;
        }
        self.recorder.record(record)?;
        self.recorder.save_last(&self.network, &self.optimizer, &self.state)
    }

    fn evaluate(&self, data: &Loader, label: &str) -> anyhow::Result<MulticlassReport> {
        Ok(evaluate::with_network(&self.network, data, label)?.report(&self.network.labels))
    }
}

/// One epoch on one line.
fn summary(record: &EpochRecord, epochs: u32) -> String {
    let metric = |name: &str| record.validation.get(name).map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    format!(
        "epoch {}/{epochs}  loss {:.4}  accuracy {}  log loss {}  {:.1} s  {:.1} img/s  data wait {:.0} %{}",
        record.epoch,
        record.train.loss,
        metric("accuracy"),
        metric("log_loss"),
        record.timing.seconds,
        record.timing.images_per_second,
        100.0 * record.timing.data_wait_seconds / record.timing.seconds.max(1e-9),
        if record.is_best { "  best" } else { "" },
    )
}

/// Seed of libtorch's generator (dropout) for one step.
fn step_seed(seed: u64, epoch: u32, batch: usize) -> i64 {
    use rand::Rng;
    let bits = keyed_rng(seed, &format!("step {epoch} {batch}")).next_u64();
    i64::from_ne_bytes(bits.to_ne_bytes())
}

/// Loss weight per class for `weighted_loss` k of 1 or 2: `sqrt(1 / n_c) ^ k`, 0 for an absent class; `None` when k is 0
/// or the largest class size divided by the smallest, rounded down, is at most `threshold`.
#[must_use]
pub fn class_weights(counts: &[usize], weighted_loss: u32, threshold: usize) -> Option<Vec<f32>> {
    let (largest, smallest) = (counts.iter().max()?, counts.iter().min()?);
    if weighted_loss == 0 || largest / (*smallest).max(1) <= threshold {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "counts of images; weights are f32"
    )]
    let weight = |&n: &usize| if n == 0 { 0.0 } else { (1.0 / n as f64).sqrt().powi(weighted_loss as i32) as f32 };
    Some(counts.iter().map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_weights_follow_the_specified_formula() {
        assert_eq!(class_weights(&[10, 4], 0, 2), None);
        assert_eq!(class_weights(&[8, 4], 2, 2), None, "not imbalanced enough");
        assert_eq!(class_weights(&[100, 25, 0], 1, 2), Some(vec![0.1, 0.2, 0.0]));
        assert_eq!(class_weights(&[100, 25, 0], 2, 2), Some(vec![0.01, 0.04, 0.0]));
    }

    #[test]
    fn every_step_has_its_own_seed() {
        assert_eq!(step_seed(1, 2, 3), step_seed(1, 2, 3));
        assert_ne!(step_seed(1, 2, 3), step_seed(1, 3, 2));
    }
}
