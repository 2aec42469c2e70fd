//! The training loop: epochs, accumulation, evaluation, early stopping, checkpoints. Every task trains through it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use schemas::Plan;
use schemas::error::ErrorCode;
use schemas::event::{EpochRecord, Timing, TrainScalars};

use crate::failure::fail;
use crate::log::Log;
use crate::nn::ema::Ema;
use crate::nn::network::{Arithmetic, Network};
use crate::nn::params::keyed_rng;
use crate::progress::Progress;
use crate::tasks::{Evaluation, Measured, Step, Task};
use crate::train::blame::{self, Scene};
use crate::train::early_stopping::Verdict;
use crate::train::late::{Known, Late, Part, Reading};
use crate::train::optimizer::Optimizer;
use crate::train::parts::Parts;
use crate::train::recorder::Recorder;
use crate::train::scaler::Scaling;
use crate::train::schedule::Schedule;
use crate::train::state::TrainingState;
use dataset::{Batch, Loader};

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
    /// What is trained.
    pub task: &'a dyn Task,
    /// The network in training.
    pub network: Network,
    /// Its optimizer.
    pub optimizer: Optimizer,
    /// The average of its weights, when the plan keeps one.
    pub average: Option<Ema>,
    /// Losses that have not been read.
    pub late: Late,
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
    /// Trains until the plan, early stopping, the time limit or a signal ends it.
    ///
    /// # Errors
    /// When the loss diverges, an image store fails, or a checkpoint cannot be written.
    pub fn run(&mut self) -> anyhow::Result<End> {
        let schedule = Schedule::new(&self.plan.settings, self.train.batches_per_epoch());
        self.warn_of_short_average(&schedule);
        let mut clock = Clock::start(self.plan.settings.max_time);
        while !self.state.finished {
            if self.train_epoch(&schedule, &mut clock)? == End::Interrupted {
                return Ok(End::Interrupted);
            }
        }
        Ok(End::Finished)
    }

    /// The decay is approached over so many updates that an average does nothing in a short run; that is said once.
    fn warn_of_short_average(&self, schedule: &Schedule) {
        let settings = &self.plan.settings;
        let (epochs, batches) = (u64::from(settings.number_of_epochs), self.train.batches_per_epoch() as u64);
        let last = (epochs * batches).saturating_sub(1);
        let collected = schedule.accumulate(last, settings.nominal_batch_size > 0).max(1) as u64;
        let updates = epochs * batches.div_ceil(collected);
        if self.average.is_some() && self.state.updates == 0 && updates < u64::from(settings.ema_updates) {
            self.log.line(&format!(
                "warning: ema_decay {} is approached over {} updates and this run has {updates}: the average stays close to the \
                 weights themselves; lower ema_updates, train longer, or leave ema_decay out",
                settings.ema_decay, settings.ema_updates
            ));
        }
    }

    fn train_epoch(&mut self, schedule: &Schedule, clock: &mut Clock) -> anyhow::Result<End> {
        let epoch = self.state.epoch;
        let epochs = self.plan.settings.number_of_epochs;
        if epoch == self.plan.settings.head_epochs && self.state.batch == 0 {
            self.state.joined = self.state.updates;
            self.network.params.train_waiting();
            self.optimizer.train_body(self.state.joined);
        }
        let batches = self.train.batches_per_epoch();
        let mut progress = Progress::start(format!("epoch {}/{epochs}", epoch + 1), self.train.images_per_epoch());
        let counter = |index: usize| u64::from(epoch) * batches as u64 + index as u64;
        let nominal = self.plan.settings.nominal_batch_size > 0;
        let (updates_before, scaling_before) = (self.state.updates, self.optimizer.scaling());
        let mut collected = 0;
        for batch in self.train.train_epoch(self.plan.seed, epoch, self.state.batch) {
            let batch = batch?;
            let index = self.state.batch;
            let accumulate = schedule.accumulate(counter(index), nominal);
            self.train_batch(&batch, accumulate)?;
            self.state.batch = index + 1;
            collected += 1;
            progress.advance(batch.n, batch.wait, &self.late.note());
            if collected >= accumulate || self.state.batch == batches {
                collected = 0;
                self.optimizer.step(&schedule.at(counter(index))).context("optimizer step")?;
                self.state.updates = self.optimizer.updates();
                if let Some(average) = &mut self.average {
                    average.update(&self.network, self.state.updates);
                }
                self.state.out_of_time = clock.is_over(&mut self.state.seconds);
                if self.stop.load(Ordering::Relaxed) {
                    self.read_losses()?;
                    self.save_last()?;
                    return Ok(End::Interrupted);
                }
                if self.state.out_of_time {
                    break;
                }
            }
        }
        self.read_losses()?;
        self.tell_of_scaling(updates_before, scaling_before);
        self.network.params.count_batches(i64::try_from(self.state.batch)?);
        self.finish_epoch(schedule.at(counter(batches.saturating_sub(1))).lr, &progress)?;
        Ok(End::Finished)
    }

    /// Forward and backward of one micro-batch.
    fn train_batch(&mut self, batch: &Batch, accumulate: usize) -> anyhow::Result<()> {
        let (seed, epoch) = (self.plan.seed, self.state.epoch);
        blame::check_targets(batch)?;
        tch::manual_seed(step_seed(seed, epoch, self.state.batch));
        let step = Step { arithmetic: self.arithmetic, seed, epoch, batch: self.state.batch };
        let mut parts = Parts { most: self.state.part, may_shrink: self.plan.settings.auto_find_batch_size };
        let shrank = parts.each(batch.n, |range| {
            if range.len() == batch.n {
                self.train_part(batch, 1.0, &step, accumulate)
            } else {
                let share = range.len() as f64 / batch.n as f64;
                self.train_part(&batch.part(range), share, &step, accumulate)
            }
        })?;
        if shrank {
            self.state.part = parts.most;
            self.log.line(&format!(
                "memory ran out: batches of {} images are taken in parts of at most {} from here on; optimizer steps rest on as \
                 many images as before",
                batch.n, parts.most
            ));
        }
        Ok(())
    }

    /// What is to blame for a loss that is no usable number.
    fn blame(&self, loss: f64) -> String {
        let batches = self.train.batches_per_epoch();
        let schedule = Schedule::new(&self.plan.settings, batches);
        let done = u64::from(self.state.epoch) * batches as u64 + self.state.batch as u64;
        let (params, state) = (&self.network.params, &self.state);
        Scene { plan: self.plan, params, schedule: &schedule, state, done }.blame(loss)
    }

    /// Forward and backward of some images of a batch, of which they are this share.
    fn train_part(&mut self, part: &Batch, share: f64, step: &Step, accumulate: usize) -> anyhow::Result<()> {
        let losses = self.task.loss(&self.network, part, step);
        let weight = if self.task.sums_over_images() { 1.0 } else { share };
        let mut reading = Reading::begin(&losses, Part { batch: step.batch, images: part.n, share, weight })?;
        if self.late.is_at_once() {
            reading = Reading::There(self.usable(reading)?);
        }
        // With a nominal batch size the loss is a sum over images, and so is what is collected.
        let is_sum = self.plan.settings.nominal_batch_size > 0;
        let total = losses.total;
        let scaled = if accumulate > 1 && !is_sum { &total / i64::try_from(accumulate)? } else { total };
        let scaled = if weight < 1.0 { scaled * weight } else { scaled };
        self.optimizer.backward(&scaled).context("backward pass")?;
        self.late.push(reading);
        while let Some(reading) = self.late.due() {
            self.count(reading)?;
        }
        Ok(())
    }

    /// A loss that training can go on from.
    fn usable(&self, reading: Reading) -> anyhow::Result<Known> {
        let known = reading.known().context("reading the loss")?;
        if !known.value.is_finite() || known.value > DIVERGED {
            return Err(fail(ErrorCode::TrainingDiverged, self.blame(known.value)));
        }
        Ok(known)
    }

    /// Adds a loss to those of the epoch.
    fn count(&mut self, reading: Reading) -> anyhow::Result<()> {
        let known = self.usable(reading)?;
        self.late.show(&known);
        let n = f64::from(u32::try_from(known.of.images)?);
        self.state.loss_sum += known.value * known.of.weight / known.of.share * n;
        for (name, value) in known.parts {
            *self.state.part_sums.entry(format!("loss_{name}")).or_insert(0.0) += value * n;
        }
        self.state.seen += known.of.images as u64;
        Ok(())
    }

    /// Looks at every loss that has not been looked at, before anything rests on them.
    fn read_losses(&mut self) -> anyhow::Result<()> {
        while let Some(reading) = self.late.rest() {
            self.count(reading)?;
        }
        Ok(())
    }

    /// Says how many updates of an epoch fp16 has left out, if any.
    fn tell_of_scaling(&self, updates: u64, before: Option<Scaling>) {
        if let (Some(before), Some(now)) = (before, self.optimizer.scaling())
            && now.skipped > before.skipped
        {
            self.log.line(&format!(
                "fp16: {} of {} updates were left out, because a gradient overflowed; the loss scale is now {}",
                now.skipped - before.skipped,
                self.state.updates - updates,
                now.scale
            ));
        }
    }

    /// Evaluates when it is due, records the epoch, and writes the checkpoints.
    fn finish_epoch(&mut self, lr: f64, progress: &Progress) -> anyhow::Result<()> {
        let (seconds, waited) = progress.seconds();
        let settings = &self.plan.settings;
        let number = self.state.epoch + 1;
        let is_last = number == settings.number_of_epochs || self.state.out_of_time;
        let due = is_last || self.state.epoch.is_multiple_of(settings.evaluation_frequency.max(1));
        let report = if due { Some(self.validate(number)?) } else { None };
        #[expect(clippy::cast_precision_loss, reason = "image counts are far below 2^52")]
        let seen = self.state.seen.max(1) as f64;
        let mut on_training: BTreeMap<String, f64> =
            self.state.part_sums.iter().map(|(name, sum)| (name.clone(), sum / seen)).collect();
        if due && settings.log_training_metrics {
            let label = format!("training data {number}");
            on_training.extend(self.evaluate(self.train, &label, false)?.scalars);
        }
        let verdict = match &report {
            Some(Measured { score: Some(score), .. }) => self.state.early_stopping.observe(number, *score, settings),
            // Nothing is compared, so the latest evaluation counts as the best.
            Some(Measured { score: None, .. }) => {
                self.state.early_stopping.best_epoch = number;
                Verdict { is_best: true, stop: false }
            }
            None => Verdict { is_best: false, stop: false },
        };
        let measured = report.unwrap_or_default();
        let record = EpochRecord {
            epoch: number,
            updates: self.state.updates,
            learning_rate: lr,
            train: TrainScalars { loss: self.state.loss_sum / seen, metrics: on_training },
            validation: measured.scalars.clone(),
            is_best: verdict.is_best,
            timing: Timing { seconds, images_per_second: progress.rate(), data_wait_seconds: waited },
        };
        self.state = TrainingState {
            epoch: number,
            batch: 0,
            loss_sum: 0.0,
            part_sums: BTreeMap::new(),
            seen: 0,
            finished: is_last || verdict.stop,
            ..self.state.clone()
        };
        self.log.line(&summary(&record, settings.number_of_epochs, &self.task.headline(&measured.scalars)));
        let rejected = [self.train.take_rejections(), self.validation.take_rejections()].concat();
        for rejection in &rejected {
            self.log.line(&format!("left out: {}:{}: {}", rejection.source, rejection.line, rejection.reason));
        }
        self.recorder.reject(&rejected)?;
        self.write(record, &measured, verdict)
    }

    /// The order matters: a crash between two of these writes is repaired by the resume, which starts from the last
    /// checkpoint and repeats the epoch that had not reached it.
    fn write(&mut self, record: EpochRecord, measured: &Measured, verdict: Verdict) -> anyhow::Result<()> {
        let number = record.epoch;
        let frequency = self.plan.settings.checkpoint_frequency;
        if verdict.is_best {
            self.recorder.save_best(self.evaluated(), number, measured)?;
        }
        if frequency > 0 && number.is_multiple_of(frequency) {
            self.recorder.save_epoch(self.evaluated(), number, measured)?;
        }
        self.recorder.record(record)?;
        self.save_last()
    }

    /// What is validated and kept: the average where there is one.
    fn evaluated(&self) -> &Network {
        self.average.as_ref().map_or(&self.network, Ema::network)
    }

    fn evaluate(&self, data: &Loader, label: &str, loss: bool) -> anyhow::Result<Measured> {
        let evaluation = Evaluation { label, seed: self.plan.seed, epoch: self.state.epoch, loss };
        self.task.evaluate(self.evaluated(), data, &evaluation)
    }

    fn validate(&self, number: u32) -> anyhow::Result<Measured> {
        let loss = self.plan.settings.log_validation_loss;
        let mut measured = self.evaluate(self.validation, &format!("validation {number}"), loss)?;
        if !loss {
            // That of a classifier comes with its metrics.
            measured.scalars.remove("log_loss");
        }
        Ok(measured)
    }

    /// Replaces the last checkpoint.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_last(&self) -> anyhow::Result<()> {
        let mut private = self.optimizer.state();
        private.extend(self.average.iter().flat_map(Ema::state));
        self.recorder.save_last(&self.network, &private, &self.state)
    }
}

/// What is left of the time that a plan allows.
struct Clock {
    /// Seconds; `None` without a limit.
    limit: Option<f64>,
    read: Instant,
}

impl Clock {
    fn start(minutes: f64) -> Self {
        Self { limit: (minutes > 0.0).then_some(minutes * 60.0), read: Instant::now() }
    }

    /// Adds the time since the last reading to `seconds`, where there is a limit, and tells whether that is reached.
    fn is_over(&mut self, seconds: &mut f64) -> bool {
        let Some(limit) = self.limit else { return false };
        let now = Instant::now();
        *seconds += (now - self.read).as_secs_f64();
        self.read = now;
        *seconds >= limit
    }
}

/// One epoch on one line.
fn summary(record: &EpochRecord, epochs: u32, headline: &[(&'static str, String)]) -> String {
    let metrics: String = headline.iter().map(|(name, value)| format!("{name} {value}  ")).collect();
    format!(
        "epoch {}/{epochs}  loss {:.4}  {metrics}{:.1} s  {:.1} img/s  data wait {:.0} %{}",
        record.epoch,
        record.train.loss,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_own_seed() {
        assert_eq!(step_seed(1, 2, 3), step_seed(1, 2, 3));
        assert_ne!(step_seed(1, 2, 3), step_seed(1, 3, 2));
    }
}
