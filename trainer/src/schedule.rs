//! Learning-rate schedules: pure functions of the micro-batch counter.

use std::f64::consts::PI;

use schemas::setting::{LrScheduler, Settings};

/// A schedule over `batches` micro-batches per epoch.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    kind: LrScheduler,
    base: f64,
    batches: f64,
    total: f64,
    warmup: f64,
    cycles: f64,
    gamma: f64,
    step_size: u32,
}

impl Schedule {
    /// The schedule that the settings describe.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "batches of an epoch are far below 2^52")]
    pub fn new(settings: &Settings, batches_per_epoch: usize) -> Self {
        let batches = batches_per_epoch.max(1) as f64;
        Self {
            kind: settings.lr_scheduler,
            base: settings.learning_rate,
            batches,
            total: batches * f64::from(settings.number_of_epochs),
            warmup: batches * f64::from(settings.warmup_cosine_lr_warmup_epochs),
            cycles: settings.warmup_cosine_lr_cycles,
            gamma: settings.step_lr_gamma,
            step_size: settings.step_lr_step_size.max(1),
        }
    }

    /// Learning rate of micro-batch `t`, counted from 0 over the whole run. `warmup_cosine` rises linearly from 0 to the
    /// base rate over the warm-up epochs and then follows `max(0, (1 + cos(2 pi cycles p)) / 2)` for progress `p` from 0
    /// to 1; `step` multiplies by gamma every `step_lr_step_size` epochs.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "steps of a run are far below 2^52")]
    pub fn at(&self, t: u64) -> f64 {
        let t = t as f64;
        match self.kind {
            LrScheduler::WarmupCosine if t < self.warmup => self.base * t / self.warmup.max(1.0),
            LrScheduler::WarmupCosine => {
                let progress = (t - self.warmup) / (self.total - self.warmup).max(1.0);
                self.base * (0.5 * (1.0 + (2.0 * PI * self.cycles * progress).cos())).max(0.0)
            }
            LrScheduler::Step => {
                let epoch = (t / self.batches).floor();
                self.base * self.gamma.powf((epoch / f64::from(self.step_size)).floor())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::Task;

    fn settings() -> Settings {
        let mut s = Settings::defaults(Task::ImageClassification, "resnet18");
        (s.learning_rate, s.number_of_epochs, s.warmup_cosine_lr_warmup_epochs) = (0.1, 10, 2);
        s
    }

    #[test]
    fn warmup_cosine_starts_at_zero_peaks_after_warmup_and_ends_at_the_specified_factor() {
        let schedule = Schedule::new(&settings(), 5);
        assert_eq!(schedule.at(0), 0.0);
        assert!((schedule.at(5) - 0.05).abs() < 1e-12);
        assert!((schedule.at(10) - 0.1).abs() < 1e-12);
        assert!((schedule.at(50) / 0.1 - 0.024_471_741_852_423_2).abs() < 1e-9, "{}", schedule.at(50));
    }

    #[test]
    fn step_halves_every_five_epochs() {
        let mut s = settings();
        s.lr_scheduler = LrScheduler::Step;
        let schedule = Schedule::new(&s, 4);
        assert_eq!([0, 19, 20, 39, 40].map(|t| schedule.at(t)), [0.1, 0.1, 0.05, 0.05, 0.025]);
    }
}
