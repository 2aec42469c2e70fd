//! Settings that contradict each other.
//!
//! A setting that another one switches off is a contradiction only when somebody chose its value: a default that has no
//! effect is no mistake. A model's or task's own defaults are never contradictory.

use serde_json::Value;

use super::error::SettingError;
use super::kind::{BestEpochBy, GradClip, LrScheduler, Optimizer};
use super::model::{Foreign, ModelSettings};
use super::source::Sources;
use super::table::{SETTINGS, Settings};
use crate::{Labels, Task};

impl Settings {
    /// Checks what single values cannot: contradictions, and settings that mean nothing to `task` or to the model. `sources` says which
    /// values somebody chose; names that are absent from it count as defaults. All errors, in a fixed order.
    #[must_use]
    pub fn validate(&self, task: Task, model: (&str, &ModelSettings), sources: &Sources) -> Vec<SettingError> {
        let (model_name, model) = model;
        let mut check = Check { settings: self, sources, model_name, model, errors: Vec::new() };
        for spec in SETTINGS {
            if check.chosen(spec.name) && !spec.tasks.contains(&task) {
                check.errors.push(SettingError::other_task(spec.name, owner(spec.tasks)));
            }
        }
        match task.labels() {
            Labels::Boxes | Labels::Outlines => check.detector(),
            Labels::Class | Labels::Classes => {}
        }
        check.folds();
        check.sizes();
        check.schedule();
        check.optimizer();
        check.stopping();
        check.loss_and_gradients();
        check.views();
        check.errors
    }

    /// Fits what nobody chose to what somebody did: a warm-up to the length of the run, the training crop of a Vision
    /// Transformer to its validation crop. Chosen values that do not fit are errors of [`Settings::validate`].
    pub(crate) fn fit_defaults(&mut self, model: &ModelSettings, sources: &Sources) {
        let chosen = |name: &str| sources.get(name).is_some_and(|source| source.is_explicit());
        if !chosen("warmup_cosine_lr_warmup_epochs") {
            self.warmup_cosine_lr_warmup_epochs = self.warmup_cosine_lr_warmup_epochs.min(self.number_of_epochs);
        }
        if model.one_size && !chosen("train_crop_size") {
            self.train_crop_size = self.valid_crop_size;
        }
    }
}

/// Whose a setting is, for people.
fn owner(tasks: &[Task]) -> &'static str {
    match tasks {
        [Task::ImageObjectDetection, ..] => "a detection setting",
        [Task::ImageInstanceSegmentation, ..] => "an instance segmentation setting",
        [Task::ImageClassificationMultilabel] => "a setting of label sets (image-classification-multilabel)",
        [Task::ImageClassificationMultilabel, ..] => "a setting of label sets and of detectors",
        [Task::ImageClassification, ..] | [] => "a classification setting",
    }
}

struct Check<'a> {
    settings: &'a Settings,
    sources: &'a Sources,
    model_name: &'a str,
    model: &'a ModelSettings,
    errors: Vec<SettingError>,
}

impl Check<'_> {
    fn chosen(&self, name: &str) -> bool {
        self.sources.get(name).is_some_and(|source| source.is_explicit())
    }

    fn text(&self, name: &str) -> String {
        match self.settings.get(name) {
            Some(Value::String(word)) => format!("{name} {word}"),
            Some(value) => format!("{name} {value}"),
            None => name.to_owned(),
        }
    }

    fn clash(&mut self, first: &str, second: &str, advice: &str) {
        self.contradict(first, second, advice, false);
    }

    fn contradict(&mut self, first: &str, second: &str, advice: &str, idle: bool) {
        let error = SettingError::Contradiction {
            first: self.text(first),
            second: self.text(second),
            advice: advice.to_owned(),
            idle,
        };
        self.errors.push(error);
    }

    /// Reports each chosen one of `names` as having no effect because of `switch`.
    fn idle(&mut self, names: &[&str], switch: &str, advice: &str) {
        for name in names {
            if self.chosen(name) {
                self.contradict(name, switch, advice, true);
            }
        }
    }

    /// Parts of the training data to validate on.
    fn folds(&mut self) {
        let s = self.settings;
        if s.folds == 1 {
            self.errors.push(SettingError::NotOffered {
                name: "folds".to_owned(),
                value: 1.into(),
                reason: "one part leaves nothing to train on; give 2 or more, 5 is usual".to_owned(),
            });
        }
        if s.validation_fold > s.folds {
            self.clash(
                "validation_fold",
                "folds",
                "there are no more parts than that; give folds too, or another part",
            );
        }
        if s.folds > 0 && self.chosen("split_ratio") {
            self.clash("split_ratio", "folds", "each part validates once; remove one");
        }
    }

    /// Settings of the other family of detectors, and sizes and tiles that do not fit together.
    fn detector(&mut self) {
        let model = self.model;
        for Foreign { names, owner } in model.foreign {
            for name in *names {
                if !self.chosen(name) {
                    continue;
                }
                let advice = format!("only {owner} this setting; remove it or choose another model");
                self.against_model(name, advice, true);
            }
        }
        let s = self.settings;
        if s.best_epoch_by == BestEpochBy::LogLoss {
            self.against_model("best_epoch_by", "detectors have no log loss; give primary or last".to_owned(), false);
        }
        if s.min_size > s.max_size {
            self.clash(
                "min_size",
                "max_size",
                "the shorter side cannot be longer than the longer one; lower the first",
            );
        }
        if s.tile_grid_size.is_none() {
            let advice = "nothing is cut into tiles; remove it or set tile_grid_size";
            self.idle(&["tile_overlap_ratio", "tile_predictions_nms_thresh"], "tile_grid_size", advice);
        }
        if !s.apply_mosaic_for_yolo {
            let advice = "there are no mosaics; remove it or set apply_mosaic_for_yolo true";
            self.idle(&["close_mosaic"], "apply_mosaic_for_yolo", advice);
        }
    }

    fn against_model(&mut self, name: &str, advice: String, idle: bool) {
        let second = format!("model_name {}", self.model_name);
        self.errors.push(SettingError::Contradiction { first: self.text(name), second, advice, idle });
    }

    /// Extras that need something switched on.
    fn views(&mut self) {
        let s = self.settings;
        if !s.apply_automl_train_augmentations {
            let advice = "training sees no random views; remove it or set apply_automl_train_augmentations true";
            self.idle(&["random_erasing", "trivial_augment"], "apply_automl_train_augmentations", advice);
        }
        if self.chosen("head_epochs") && s.head_epochs > s.number_of_epochs {
            let advice = "the run would end before the rest joins; lower the first, at most to the second";
            self.clash("head_epochs", "number_of_epochs", advice);
        }
        if s.ema_decay == 0.0 {
            let advice = "no average is kept; remove it or set ema_decay";
            self.idle(&["ema_updates"], "ema_decay", advice);
        }
        if s.layers_to_freeze == 0 {
            let advice = "nothing is frozen; remove it or set layers_to_freeze";
            self.idle(&["keep_frozen_statistics"], "layers_to_freeze", advice);
        }
    }

    fn sizes(&mut self) {
        let (s, model) = (self.settings, self.model);
        for &(name, size) in model.fixed {
            if self.chosen(name) && s.get(name) != Some(Value::from(size)) {
                let advice = format!("this model always takes {size}; remove it or choose another model");
                self.against_model(name, advice, true);
            }
        }
        let one_size = model.one_size && self.chosen("train_crop_size");
        if one_size && s.train_crop_size != s.valid_crop_size {
            let advice =
                "a Vision Transformer sees images of one size; remove the first, which then follows the second";
            self.contradict("train_crop_size", "valid_crop_size", advice, true);
        }
        if s.valid_crop_size > s.valid_resize_size {
            let advice = "the square is cut from the resized image; raise the second or lower the first";
            self.clash("valid_crop_size", "valid_resize_size", advice);
        }
    }

    fn schedule(&mut self) {
        let s = self.settings;
        match s.lr_scheduler {
            LrScheduler::WarmupCosine | LrScheduler::Linear => {
                let advice = "only the step schedule uses it; remove it or set lr_scheduler step";
                self.idle(&["step_lr_gamma", "step_lr_step_size"], "lr_scheduler", advice);
                let (other, advice) = if s.lr_scheduler == LrScheduler::Linear {
                    ("warmup_cosine_lr_cycles", "a straight line has no cycles; remove it")
                } else {
                    ("linear_lr_final", "only the linear schedule uses it; remove it or set lr_scheduler linear")
                };
                self.idle(&[other], "lr_scheduler", advice);
                if self.chosen("warmup_cosine_lr_warmup_epochs")
                    && s.warmup_cosine_lr_warmup_epochs > s.number_of_epochs
                {
                    let advice = "the run would end within its warm-up; lower the first";
                    self.clash("warmup_cosine_lr_warmup_epochs", "number_of_epochs", advice);
                }
            }
            LrScheduler::Step => {
                let advice = "the step schedule does not use it; remove it or set lr_scheduler warmup_cosine";
                let names = [
                    "warmup_cosine_lr_cycles",
                    "warmup_cosine_lr_warmup_epochs",
                    "linear_lr_final",
                    "warmup_bias_lr",
                    "warmup_momentum",
                ];
                self.idle(&names, "lr_scheduler", advice);
            }
        }
    }

    fn optimizer(&mut self) {
        let s = self.settings;
        match s.optimizer {
            Optimizer::Sgd => {
                let advice = "only adam and adamw use it; remove it or change the optimizer";
                self.idle(&["beta1", "beta2", "amsgrad"], "optimizer", advice);
                if self.chosen("nesterov") && s.nesterov && s.momentum == 0.0 {
                    let advice = "Nesterov needs momentum above 0; set nesterov false";
                    self.contradict("nesterov", "momentum", advice, true);
                }
            }
            Optimizer::Adam | Optimizer::Adamw => {
                let advice = "only sgd uses it; remove it or set optimizer sgd";
                self.idle(&["momentum", "nesterov", "warmup_momentum"], "optimizer", advice);
            }
        }
    }

    fn stopping(&mut self) {
        let s = self.settings;
        if !s.early_stopping {
            let names = ["early_stopping_patience", "early_stopping_delay"];
            self.idle(&names, "early_stopping", "it has no effect; remove it or set early_stopping true");
        } else if self.chosen("early_stopping_delay") && s.early_stopping_delay > s.number_of_epochs {
            let advice = "training could never stop early; lower the first or set early_stopping false";
            self.contradict("early_stopping_delay", "number_of_epochs", advice, true);
        }
    }

    fn loss_and_gradients(&mut self) {
        if self.settings.grad_clip_type == GradClip::None {
            let advice = "nothing is limited; remove it or set grad_clip_type value or norm";
            self.idle(&["grad_clip_value"], "grad_clip_type", advice);
        }
        if self.settings.weighted_loss == 0 {
            let advice = "the loss is not weighted; remove it or set weighted_loss 1 or 2";
            self.idle(&["imbalance_rate_threshold"], "weighted_loss", advice);
        }
    }
}
