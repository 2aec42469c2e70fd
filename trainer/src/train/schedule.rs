//! Learning-rate schedules: pure functions of the micro-batch counter.

use std::f64::consts::PI;

use schemas::setting::{LrScheduler, Settings};

/// Fewest micro-batches of a warm-up that moves biases or momentum: with fewer, YOLO's recipe is unstable.
const SHORTEST_WARMUP: f64 = 100.0;

/// What an optimizer step is taken with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Learning rate of biases, those of normalisations included.
    pub bias_lr: f64,
    /// Momentum of sgd.
    pub momentum: f64,
    /// Share of these rates that what is not the head is trained with, 0 while it waits.
    pub body: f64,
}

/// A schedule over `batches` micro-batches per epoch.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    kind: LrScheduler,
    base: f64,
    batches: f64,
    epochs: f64,
    warmup: f64,
    cycles: f64,
    gamma: f64,
    step_size: u32,
    last: f64,
    warmup_bias_lr: f64,
    warmup_momentum: f64,
    momentum: f64,
    accumulate: f64,
    /// Micro-batches that train the head alone.
    head: f64,
}

impl Schedule {
    /// The schedule that the settings describe.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "batches of an epoch are far below 2^52")]
    pub fn new(settings: &Settings, batches_per_epoch: usize) -> Self {
        let batches = batches_per_epoch.max(1) as f64;
        let moves_more = settings.warmup_bias_lr > 0.0 || settings.warmup_momentum > 0.0;
        let warmup = batches * f64::from(settings.warmup_cosine_lr_warmup_epochs);
        let accumulate = if settings.nominal_batch_size > 0 {
            (f64::from(settings.nominal_batch_size) / f64::from(settings.training_batch_size)).round()
        } else {
            f64::from(settings.grad_accumulation_step)
        };
        Self {
            kind: settings.lr_scheduler,
            base: settings.learning_rate,
            batches,
            epochs: f64::from(settings.number_of_epochs),
            warmup: if moves_more && warmup > 0.0 { warmup.max(SHORTEST_WARMUP) } else { warmup },
            cycles: settings.warmup_cosine_lr_cycles,
            gamma: settings.step_lr_gamma,
            step_size: settings.step_lr_step_size.max(1),
            last: settings.linear_lr_final,
            warmup_bias_lr: settings.warmup_bias_lr,
            warmup_momentum: settings.warmup_momentum,
            momentum: settings.momentum,
            accumulate: accumulate.max(1.0),
            head: batches * f64::from(settings.head_epochs),
        }
    }

    /// Rates at micro-batch `t`, counted from 0 over the whole run. `warmup_cosine` rises linearly from 0 to the base rate
    /// over the warm-up and then follows `max(0, (1 + cos(2 pi cycles p)) / 2)` for progress `p` from 0 to 1; `linear`
    /// rises as that does and falls by epochs from the base rate to `linear_lr_final` of it; `step` multiplies by gamma
    /// every `step_lr_step_size` epochs. During a warm-up biases may come down from `warmup_bias_lr` and momentum may come
    /// up from `warmup_momentum`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "steps of a run are far below 2^52")]
    pub fn at(&self, t: u64) -> Rates {
        let t = t as f64;
        let goal = self.after_warmup(t);
        let body = self.body(t);
        let constant = Rates { lr: goal, bias_lr: goal, momentum: self.momentum, body };
        match self.kind {
            LrScheduler::WarmupCosine | LrScheduler::Linear if t < self.warmup => {
                let share = t / self.warmup.max(1.0);
                let from = |start: f64, goal: f64| start + (goal - start) * share;
                Rates {
                    lr: goal * share,
                    bias_lr: from(self.warmup_bias_lr, goal),
                    momentum: if self.warmup_momentum > 0.0 {
                        from(self.warmup_momentum, self.momentum)
                    } else {
                        self.momentum
                    },
                    body,
                }
            }
            LrScheduler::WarmupCosine | LrScheduler::Linear | LrScheduler::Step => constant,
        }
    }

    /// What is not the head waits for `head_epochs`, and then rises over as many micro-batches as a warm-up has.
    fn body(&self, t: f64) -> f64 {
        match self.kind {
            _ if self.head == 0.0 => 1.0,
            _ if t < self.head => 0.0,
            LrScheduler::WarmupCosine | LrScheduler::Linear => ((t - self.head + 1.0) / self.warmup.max(1.0)).min(1.0),
            LrScheduler::Step => 1.0,
        }
    }

    fn after_warmup(&self, t: f64) -> f64 {
        let epoch = (t / self.batches).floor();
        match self.kind {
            LrScheduler::WarmupCosine => {
                let total = self.batches * self.epochs;
                let progress = ((t - self.warmup) / (total - self.warmup).max(1.0)).max(0.0);
                self.base * (0.5 * (1.0 + (2.0 * PI * self.cycles * progress).cos())).max(0.0)
            }
            LrScheduler::Linear => self.base * ((1.0 - epoch / self.epochs.max(1.0)) * (1.0 - self.last) + self.last),
            LrScheduler::Step => self.base * self.gamma.powf((epoch / f64::from(self.step_size)).floor()),
        }
    }

    /// Micro-batches whose gradients are added up for one step at micro-batch `t`. With a nominal batch size their number
    /// rises from 1 over the warm-up, as YOLO's recipe has it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small counts"
    )]
    pub fn accumulate(&self, t: u64, nominal: bool) -> usize {
        let share = if nominal && self.warmup > 0.0 { (t as f64 / self.warmup).min(1.0) } else { 1.0 };
        (1.0 + (self.accumulate - 1.0) * share).round().clamp(1.0, self.batches) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let mut s = Settings::default();
        (s.learning_rate, s.number_of_epochs, s.warmup_cosine_lr_warmup_epochs) = (0.1, 10, 2);
        s
    }

    #[test]
    fn warmup_cosine_starts_at_zero_peaks_after_warmup_and_ends_at_the_specified_factor() {
        let schedule = Schedule::new(&settings(), 5);
        assert_eq!(schedule.at(0), Rates { lr: 0.0, bias_lr: 0.0, momentum: 0.9, body: 1.0 });
        assert!((schedule.at(5).lr - 0.05).abs() < 1e-12);
        assert!((schedule.at(10).lr - 0.1).abs() < 1e-12);
        assert!((schedule.at(50).lr / 0.1 - 0.024_471_741_852_423_2).abs() < 1e-9, "{}", schedule.at(50).lr);
    }

    #[test]
    fn the_body_waits_for_the_head_and_rises_over_a_warm_up() {
        let schedule = Schedule::new(&Settings { head_epochs: 3, ..settings() }, 5);
        assert_eq!([0, 14, 15, 19, 24, 49].map(|t| schedule.at(t).body), [0.0, 0.0, 0.1, 0.5, 1.0, 1.0]);
        let step = Settings { head_epochs: 3, lr_scheduler: LrScheduler::Step, ..settings() };
        assert_eq!([14, 15].map(|t| Schedule::new(&step, 5).at(t).body), [0.0, 1.0]);
    }

    #[test]
    fn step_halves_every_five_epochs() {
        let mut s = settings();
        s.lr_scheduler = LrScheduler::Step;
        let schedule = Schedule::new(&s, 4);
        assert_eq!([0, 19, 20, 39, 40].map(|t| schedule.at(t).lr), [0.1, 0.1, 0.05, 0.05, 0.025]);
    }

    #[test]
    fn yolos_warm_up_moves_biases_momentum_and_accumulation_too() {
        let mut s = settings();
        (s.lr_scheduler, s.learning_rate, s.linear_lr_final, s.number_of_epochs) =
            (LrScheduler::Linear, 0.01, 0.1, 100);
        (s.warmup_cosine_lr_warmup_epochs, s.warmup_bias_lr, s.warmup_momentum, s.momentum) = (3, 0.1, 0.8, 0.937);
        (s.nominal_batch_size, s.training_batch_size) = (64, 16);
        let schedule = Schedule::new(&s, 10);
        // Thirty micro-batches would be too few.
        assert_eq!(schedule.at(0), Rates { lr: 0.0, bias_lr: 0.1, momentum: 0.8, body: 1.0 });
        let half = schedule.at(50);
        let goal = 0.01 * (0.95 * 0.9 + 0.1);
        assert!((half.lr - goal / 2.0).abs() < 1e-12 && (half.bias_lr - (0.1 + goal) / 2.0).abs() < 1e-12);
        assert!((half.momentum - 0.8685).abs() < 1e-12);
        assert_eq!([0, 50, 100, 999].map(|t| schedule.accumulate(t, true)), [1, 3, 4, 4]);
        let end = schedule.at(999);
        assert!((end.lr - 0.01 * (0.01 * 0.9 + 0.1)).abs() < 1e-12 && end.momentum == 0.937);
    }
}
