//! Early stopping and the choice of the best epoch: one rule for every task.

use schemas::setting::Settings;
use serde::{Deserialize, Serialize};

/// What has been seen so far; saved with the checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Best primary metric so far.
    pub best: Option<f64>,
    /// Epoch it was reached in, from 1; a tie goes to the later epoch.
    pub best_epoch: u32,
    /// Evaluations since the best strictly improved, counted once the delay has passed.
    pub stale: u32,
}

/// What an evaluation means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The checkpoint of this epoch replaces the best one.
    pub is_best: bool,
    /// Training ends here.
    pub stop: bool,
}

impl EarlyStopping {
    /// Takes the primary metric of `epoch` (from 1; larger is better). NaN is worse than everything, and the first
    /// evaluation is best whatever it is. Training stops when `early_stopping_patience` evaluations after
    /// `early_stopping_delay` epochs have brought no strict improvement.
    pub fn observe(&mut self, epoch: u32, score: f64, settings: &Settings) -> Verdict {
        let improved = self.best.is_none_or(|best| score > best || (best.is_nan() && !score.is_nan()));
        let is_best = improved || self.best.is_some_and(|best| score == best);
        if improved {
            self.stale = 0;
        } else if epoch > settings.early_stopping_delay {
            self.stale += 1;
        }
        if is_best {
            (self.best, self.best_epoch) = (Some(score), epoch);
        }
        Verdict { is_best, stop: settings.early_stopping && self.stale >= settings.early_stopping_patience }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_after_patience_evaluations_past_the_delay_and_ties_go_to_the_later_epoch() {
        let settings = Settings::default(); // patience 5, delay 5
        let mut state = EarlyStopping::default();
        let verdicts: Vec<_> = (1..=10).map(|epoch| state.observe(epoch, 0.5, &settings)).collect();
        assert!(verdicts.iter().all(|v| v.is_best));
        assert_eq!(verdicts.iter().position(|v| v.stop), Some(9), "the earliest stop is after ten epochs");
        assert_eq!(state.best_epoch, 10);
    }

    #[test]
    fn an_improvement_resets_the_count_and_nan_never_wins() {
        let settings = Settings::default();
        let mut state = EarlyStopping::default();
        assert!(state.observe(1, f64::NAN, &settings).is_best);
        assert!(state.observe(2, 0.1, &settings).is_best);
        assert!(!state.observe(7, f64::NAN, &settings).is_best);
        assert_eq!(state.stale, 1);
        assert!(state.observe(8, 0.2, &settings).is_best);
        assert_eq!(state.stale, 0);
    }
}
