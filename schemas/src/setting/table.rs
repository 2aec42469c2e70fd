//! Every setting, once: type, default, limits, tasks, names, meaning.
//!
//! Defaults and ranges are those of the specification unless the text says otherwise. Defaults that depend on the model
//! or the task are in [`super::default`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::kind::{GradClip, Kind, LrScheduler, Optimizer};
use super::{SettingError, SettingSpec};
use crate::Task;

const ALL: &[Task] = &Task::ALL;
const CLASSIFICATION: &[Task] = &[Task::ImageClassification, Task::ImageClassificationMultilabel];

const fn int(min: u32, max: u32) -> Kind {
    Kind::Int { min, max }
}

/// `[min, max]`.
const fn closed(min: f64, max: f64) -> Kind {
    Kind::Float { min, max, exclusive_min: false, exclusive_max: false }
}

/// `[min, max)`.
const fn below(min: f64, max: f64) -> Kind {
    Kind::Float { min, max, exclusive_min: false, exclusive_max: true }
}

/// `(min, max)`.
const fn open(min: f64, max: f64) -> Kind {
    Kind::Float { min, max, exclusive_min: true, exclusive_max: true }
}

/// `(min, max]`.
const fn above(min: f64, max: f64) -> Kind {
    Kind::Float { min, max, exclusive_min: true, exclusive_max: false }
}

/// One row a setting: `/// meaning`, `name: type = default, kind, tasks [, v2 = "name"]`.
macro_rules! settings {
    ($($(#[doc = $help:literal])+ $name:ident: $type:ty = $default:expr, $kind:expr, $tasks:expr $(, v2 = $v2:literal)?;)+) => {
        /// Value of every setting of a run. The text of each field is the help that users read.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "Map<String, Value>")]
        pub struct Settings {
            $($(#[doc = $help])+ pub $name: $type,)+
        }

        impl Default for Settings {
            /// The defaults that hold for a classification model without its own.
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// Every setting, in the order to show them.
        pub static SETTINGS: &[SettingSpec] = &[
            $(SettingSpec {
                name: stringify!($name),
                aliases: &[$($v2)?],
                kind: $kind,
                help: concat!($($help),+).trim_ascii(),
                tasks: $tasks,
            },)+
        ];

        impl Settings {
            /// The value of the setting called `name` (its own name, not an alias) as JSON.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<Value> {
                match name {
                    $(stringify!($name) => Some(Value::from(self.$name)),)+
                    _ => None,
                }
            }

            /// Stores a value that [`Kind::parse`] returned for the setting called `name`.
            pub(super) fn store(&mut self, name: &str, value: Value) -> Result<(), SettingError> {
                match name {
                    $(stringify!($name) => {
                        self.$name = <$type>::deserialize(&value).map_err(|error| SettingError::WrongType {
                            name: name.to_owned(), value, expected: error.to_string(),
                        })?;
                    })+
                    _ => return Err(SettingError::Unknown { name: name.to_owned(), nearest: None }),
                }
                Ok(())
            }

            /// Every setting by name, in the order of [`SETTINGS`].
            #[must_use]
            pub fn to_map(&self) -> Map<String, Value> {
                let mut map = Map::new();
                $(map.insert(stringify!($name).to_owned(), Value::from(self.$name));)+
                map
            }
        }
    };
}

settings! {
    /// Passes over the training data.
    number_of_epochs: u32 = 15, int(1, 1_000_000), ALL;
    /// Images in one training batch.
    training_batch_size: u32 = 78, int(1, 65_536), ALL;
    /// Images in one validation batch.
    validation_batch_size: u32 = 78, int(1, 65_536), ALL;
    /// Batches whose gradients are added up before one optimiser step; at most the batches of an epoch.
    grad_accumulation_step: u32 = 1, int(1, 65_536), ALL, v2 = "gradient_accumulation_step";
    /// Peak learning rate.
    learning_rate: f64 = 0.01, closed(0.0, 1.0), ALL;
    /// Learning-rate schedule.
    lr_scheduler: LrScheduler = LrScheduler::WarmupCosine, Kind::Choice(LrScheduler::NAMES), ALL, v2 = "learning_rate_scheduler";
    /// Factor of the step schedule.
    step_lr_gamma: f64 = 0.5, closed(0.0, 1.0), ALL;
    /// Epochs between two steps of the step schedule.
    step_lr_step_size: u32 = 5, int(1, 1_000_000), ALL;
    /// Share of a full cosine period that the warmup_cosine schedule runs through after its warm-up.
    warmup_cosine_lr_cycles: f64 = 0.45, closed(0.0, 1.0), ALL;
    /// Epochs over which the warmup_cosine schedule rises from 0; 0 starts at the peak. The default is lowered to
    /// number_of_epochs in shorter runs.
    warmup_cosine_lr_warmup_epochs: u32 = 2, int(0, 1_000_000), ALL;
    /// Optimiser.
    optimizer: Optimizer = Optimizer::Sgd, Kind::Choice(Optimizer::NAMES), ALL;
    /// Momentum of sgd.
    momentum: f64 = 0.9, closed(0.0, 1.0), ALL;
    /// Nesterov momentum in sgd.
    nesterov: bool = true, Kind::Bool, ALL;
    /// Weight decay, of all weights except those of normalisation layers and biases.
    weight_decay: f64 = 1e-4, closed(0.0, 1.0), ALL;
    /// Decay of the first moment of adam and adamw.
    beta1: f64 = 0.9, below(0.0, 1.0), ALL;
    /// Decay of the second moment of adam and adamw.
    beta2: f64 = 0.999, below(0.0, 1.0), ALL;
    /// AMSGrad variant of adam and adamw.
    amsgrad: bool = false, Kind::Bool, ALL, v2 = "ams_gradient";
    /// What is limited before each optimiser step: nothing, every gradient element, or the norm of all gradients.
    grad_clip_type: GradClip = GradClip::Value, Kind::Choice(GradClip::NAMES), ALL;
    /// Limit of grad_clip_type.
    grad_clip_value: f64 = 5.0, above(0.0, 1e6), ALL;
    /// End training when the primary metric no longer improves.
    early_stopping: bool = true, Kind::Bool, ALL;
    /// Evaluations without improvement after which training ends.
    early_stopping_patience: u32 = 5, int(1, 1_000_000), ALL;
    /// Epochs before early stopping begins to count.
    early_stopping_delay: u32 = 5, int(0, 1_000_000), ALL;
    /// Epochs between two evaluations; the last epoch is always evaluated.
    evaluation_frequency: u32 = 1, int(1, 1_000_000), ALL;
    /// Share of the training data held back for validation when no validation data is given.
    split_ratio: f64 = 0.2, open(0.0, 1.0), ALL, v2 = "validation_data_size";
    /// Epochs between two checkpoints that are kept for good, beside the best and the last; 0 keeps only those two.
    checkpoint_frequency: u32 = 0, int(0, 1_000_000), ALL;
    /// Layer groups, counted from the input, whose parameters stay as loaded; 0 trains all.
    layers_to_freeze: u32 = 0, int(0, 1_000), ALL;
    /// Class weights in the loss: 0 none, 1 the square root of the inverse class frequency, 2 the inverse frequency.
    weighted_loss: u32 = 0, int(0, 2), CLASSIFICATION;
    /// Imbalance (largest class size divided by smallest, rounded down) that must be exceeded for weighted_loss to act.
    imbalance_rate_threshold: u32 = 2, int(0, 1_000_000_000), CLASSIFICATION;
    /// Length in pixels that the shorter side is resized to in validation.
    valid_resize_size: u32 = 256, int(1, 8_192), CLASSIFICATION, v2 = "validation_resize_size";
    /// Side in pixels of the square cut from the middle in validation.
    valid_crop_size: u32 = 224, int(1, 8_192), CLASSIFICATION, v2 = "validation_crop_size";
    /// Side in pixels of the random crops that training sees.
    train_crop_size: u32 = 224, int(1, 8_192), CLASSIFICATION, v2 = "training_crop_size";
    /// Random crops, flips and colours in training; off, training sees what validation sees.
    apply_automl_train_augmentations: bool = true, Kind::Bool, ALL;
    /// Skip bad rows and images and list them; off, the first one ends the run.
    ignore_data_errors: bool = true, Kind::Bool, ALL;
    /// Threads that load images; 0 loads in the training thread. Results do not depend on it.
    number_of_workers: u32 = 8, int(0, 1_024), ALL;
    /// Also measure metrics on the training data.
    log_training_metrics: bool = false, Kind::Bool, ALL;
}

impl TryFrom<Map<String, Value>> for Settings {
    type Error = SettingError;

    /// Settings that are absent take the value of [`Settings::default`].
    fn try_from(map: Map<String, Value>) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        for (name, value) in &map {
            settings.set(name, value)?;
        }
        Ok(settings)
    }
}
