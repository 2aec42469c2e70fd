//! Every setting, once: type, default, limits, tasks, names, meaning.
//!
//! Defaults and ranges are those of the specification unless the text says otherwise. Defaults that depend on the model
//! or the task are in the registry of `models`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::SettingError;
use super::kind::{BestEpochBy, GradClip, Kind, LrScheduler, MetricType, ModelSize, Optimizer, RowKey, TileGrid};
use super::spec::SettingSpec;
use crate::Task;

const ALL: &[Task] = &Task::ALL;
const DETECTION: &[Task] = &[Task::ImageObjectDetection];
const BOXES: &[Task] = &[Task::ImageObjectDetection, Task::ImageInstanceSegmentation];
const OUTLINES: &[Task] = &[Task::ImageInstanceSegmentation];
const SETS: &[Task] = &[Task::ImageClassificationMultilabel];
const THRESHOLDS: &[Task] =
    &[Task::ImageClassificationMultilabel, Task::ImageObjectDetection, Task::ImageInstanceSegmentation];
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

/// One row a setting: `/// meaning`, `name: type = default, kind, tasks [, v2 = "name" "another"]`.
macro_rules! settings {
    ($($(#[doc = $help:literal])+ $name:ident: $type:ty = $default:expr, $kind:expr, $tasks:expr $(, v2 = $($v2:literal)+)?;)+) => {
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
                aliases: &[$($($v2),+)?],
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
                    $(stringify!($name) => Some(Value::from(self.$name.clone())),)+
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
                $(map.insert(stringify!($name).to_owned(), Value::from(self.$name.clone()));)+
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
    /// When memory runs out in a training step, take its batch in parts, each half as large as the last try, and add up their
    /// gradients; off, the run ends with an error.
    auto_find_batch_size: bool = true, Kind::Bool, ALL;
    /// Images in one validation batch.
    validation_batch_size: u32 = 78, int(1, 65_536), ALL;
    /// Batches whose gradients are added up before one optimizer step; at most the batches of an epoch.
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
    /// Epochs over which the warmup_cosine and linear schedules rise from 0; 0 starts at the peak. The default is lowered
    /// to number_of_epochs in shorter runs.
    warmup_cosine_lr_warmup_epochs: u32 = 2, int(0, 1_000_000), ALL;
    /// Share of the peak learning rate that the linear schedule ends at.
    linear_lr_final: f64 = 0.01, closed(0.0, 1.0), ALL;
    /// Learning rate that biases start the warm-up at, falling to the peak while the others rise; 0 has them rise too.
    warmup_bias_lr: f64 = 0.0, closed(0.0, 1.0), ALL;
    /// Momentum of sgd at the start of the warm-up, rising to momentum; 0 keeps it constant.
    warmup_momentum: f64 = 0.0, closed(0.0, 1.0), ALL;
    /// Batch size that hyperparameters are meant for: gradients of smaller batches are added up until they hold about as
    /// many images, and weight_decay is scaled to what they hold; 0 leaves both alone.
    nominal_batch_size: u32 = 0, int(0, 65_536), ALL;
    /// Factor of the learning rate from one layer group to the one before it, toward the input; 1 trains all alike.
    layer_lr_decay: f64 = 1.0, above(0.0, 1.0), ALL;
    /// Begin with a head fitted to the training images by logistic regression on what pretrained layers say of them.
    fit_head: bool = false, Kind::Bool, CLASSIFICATION;
    /// First epochs that train the head alone; the rest joins after them, over as many epochs as the warm-up takes.
    head_epochs: u32 = 0, int(0, 1_000_000), CLASSIFICATION;
    /// Decay of the exponential moving average of the weights, approached as decay * (1 - e^(-updates / ema_updates)); the
    /// average is what is validated, saved and exported. 0 keeps none.
    ema_decay: f64 = 0.0, below(0.0, 1.0), ALL;
    /// Updates over which ema_decay is approached.
    ema_updates: u32 = 2_000, int(1, 1_000_000_000), ALL;
    /// Optimizer.
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
    /// What is limited before each optimizer step: nothing, every gradient element, or the norm of all gradients.
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
    /// Minutes of training after which the run evaluates, keeps the best and ends, as if it were complete; 0 is no limit.
    max_time: f64 = 0.0, closed(0.0, 1e6), ALL;
    /// Share of the training data held back for validation when no validation data is given.
    split_ratio: f64 = 0.2, open(0.0, 1.0), ALL, v2 = "validation_data_size";
    /// Key of the rows, such as patient, scene or day, whose values are groups: rows of one group never stand on both sides
    /// of the split. Its values are texts or whole numbers.
    group_column: RowKey = RowKey::NONE, Kind::Key, ALL;
    /// Epochs between two checkpoints that are kept for good, beside the best and the last; 0 keeps only those two.
    checkpoint_frequency: u32 = 0, int(0, 1_000_000), ALL;
    /// Layer groups, counted from the input, whose parameters stay as loaded; 0 trains all.
    layers_to_freeze: u32 = 0, int(0, 1_000), ALL;
    /// Whether batch normalisations of frozen layers keep their running statistics too; off, these follow the new data.
    keep_frozen_statistics: bool = true, Kind::Bool, CLASSIFICATION;
    /// Share of the target that is spread evenly over all classes (beyond the specification).
    label_smoothing: f64 = 0.0, below(0.0, 1.0), CLASSIFICATION;
    /// Mix each training image with another one of its batch, pixel by pixel, by a share drawn from Beta(mixup, mixup), and
    /// their targets likewise (beyond the specification); 0 is off.
    mixup: f64 = 0.0, closed(0.0, 4.0), CLASSIFICATION;
    /// Put a rectangle of another image of the batch into each training image, of an area drawn from Beta(cutmix, cutmix), and
    /// mix their targets by area (beyond the specification); 0 is off. With mixup, each batch gets one of the two at random.
    cutmix: f64 = 0.0, closed(0.0, 4.0), CLASSIFICATION;
    /// Probability of painting over a random rectangle of a training image (beyond the specification).
    random_erasing: f64 = 0.0, closed(0.0, 1.0), CLASSIFICATION;
    /// TrivialAugment in training, in place of random colours: one of fourteen changes at random, at a random strength (beyond the
    /// specification).
    trivial_augment: bool = false, Kind::Bool, CLASSIFICATION;
    /// Class weights in the loss: 0 none, 1 the square root of the inverse class frequency, 2 the inverse frequency.
    weighted_loss: u32 = 0, int(0, 2), CLASSIFICATION;
    /// Imbalance (largest class size divided by smallest, rounded down) that must be exceeded for weighted_loss to act.
    imbalance_rate_threshold: u32 = 2, int(0, 1_000_000_000), CLASSIFICATION;
    /// Divide logits by a temperature fitted to the validation data, where that lowers the log loss of images held back.
    calibrate: bool = false, Kind::Bool, CLASSIFICATION;
    /// Probability above which a label is answered, where an image may have any number of labels.
    label_threshold: f64 = 0.5, open(0.0, 1.0), SETS;
    /// Fit label_threshold, or box_score_thresh, to the validation data: to the best F1, or as wanted_precision says.
    fit_threshold: bool = false, Kind::Bool, THRESHOLDS;
    /// Share of right answers that fit_threshold aims for, with as many of them as possible; 0 is the best F1.
    wanted_precision: f64 = 0.0, below(0.0, 1.0), THRESHOLDS;
    /// What logits are divided by before they become probabilities; calibrate fits it.
    temperature: f64 = 1.0, closed(0.05, 20.0), CLASSIFICATION;
    /// What decides which epoch is the best, and when training ends early.
    best_epoch_by: BestEpochBy = BestEpochBy::Primary, Kind::Choice(BestEpochBy::NAMES), ALL;
    /// Cross-validation: train so many times, each time with another part of the training data to validate on, measure what all
    /// of them say together, and train once more on all of it; 0 is off.
    folds: u32 = 0, int(0, 20), ALL;
    /// Of folds, the only part to validate on, from 1; 0 is all of them.
    validation_fold: u32 = 0, int(0, 20), ALL;
    /// Length in pixels that the shorter side is resized to in validation.
    valid_resize_size: u32 = 256, int(1, 8_192), CLASSIFICATION, v2 = "validation_resize_size";
    /// Side in pixels of the square cut from the middle in validation.
    valid_crop_size: u32 = 224, int(1, 8_192), CLASSIFICATION, v2 = "validation_crop_size";
    /// Side in pixels of the random crops that training sees.
    train_crop_size: u32 = 224, int(1, 8_192), CLASSIFICATION, v2 = "training_crop_size";
    /// Average precision that is the primary metric; both kinds are always reported.
    validation_metric_type: MetricType = MetricType::Voc, Kind::Choice(MetricType::NAMES), BOXES;
    /// Intersection over union from which a box counts as found, in the voc metric.
    validation_iou_threshold: f64 = 0.5, closed(0.1, 1.0), BOXES;
    /// Length in pixels that the shorter side is resized to (R-CNN, RetinaNet).
    min_size: u32 = 600, int(32, 8_192), BOXES;
    /// Largest length in pixels of the longer side after that (R-CNN, RetinaNet).
    max_size: u32 = 1_333, int(32, 8_192), BOXES;
    /// Boxes are predicted if their score is above it. The average precision is measured without it.
    box_score_thresh: f64 = 0.3, closed(0.0, 1.0), BOXES, v2 = "box_score_threshold";
    /// Of two boxes of a class that overlap by more than this intersection over union, the less certain one is dropped.
    box_nms_thresh: f64 = 0.5, closed(0.0, 1.0), BOXES, v2 = "nms_iou_threshold" "box_iou_thresh";
    /// Most boxes predicted in one image, all classes together.
    box_detections_per_img: u32 = 100, int(1, 1_000), BOXES, v2 = "box_detections_per_image";
    /// A pixel belongs to an object if its probability is above this.
    mask_pixel_score_threshold: f64 = 0.5, closed(0.0, 1.0), OUTLINES;
    /// Most points of the polygons that outline one object in an answer.
    max_number_of_polygon_points: u32 = 100, int(3, 100_000), OUTLINES;
    /// Length in pixels of the longer side of an image (yolov5); rounded up to a multiple of 32.
    img_size: u32 = 640, int(32, 4_096), DETECTION, v2 = "image_size";
    /// Depth and width of the network (yolov5).
    model_size: ModelSize = ModelSize::Medium, Kind::Choice(ModelSize::NAMES), DETECTION;
    /// Train each batch at a random size, between half and one and a half times img_size in steps of 32 (yolov5).
    multi_scale: bool = false, Kind::Bool, DETECTION;
    /// Put four training images together into one (yolov5).
    apply_mosaic_for_yolo: bool = true, Kind::Bool, DETECTION;
    /// Last epochs that train without mosaics (yolov5).
    close_mosaic: u32 = 0, int(0, 1_000_000), DETECTION;
    /// Largest random change of scale in training, as a share (yolov5).
    augment_scale: f64 = 0.5, below(0.0, 1.0), DETECTION;
    /// Largest random shift in training, as a share of the side (yolov5).
    augment_translate: f64 = 0.0, below(0.0, 1.0), DETECTION;
    /// Largest random rotation in training, in degrees to either side (yolov5).
    augment_degrees: f64 = 0.0, closed(0.0, 180.0), DETECTION;
    /// Largest random shear along either axis in training, in degrees (yolov5).
    augment_shear: f64 = 0.0, below(0.0, 45.0), DETECTION;
    /// Strength of random hue, saturation and value in training, relative to YOLO's 0.015, 0.7, 0.4 (yolov5); 0 is off.
    augment_hsv: f64 = 0.0, closed(0.0, 1.0), DETECTION;
    /// Replace the anchors by ones fitted to the training data where fewer than 98 % of its boxes have a near one (yolov5).
    autoanchor: bool = false, Kind::Bool, DETECTION;
    /// Grid of overlapping tiles that images are also cut into, for small objects: columns x rows.
    tile_grid_size: TileGrid = TileGrid::NONE, Kind::Grid, BOXES;
    /// Overlap of neighbouring tiles, as a share of their side.
    tile_overlap_ratio: f64 = 0.25, below(0.0, 1.0), BOXES;
    /// Of two boxes of a class from different tiles that overlap by more than this, the less certain one is dropped.
    tile_predictions_nms_thresh: f64 = 0.25, closed(0.0, 1.0), BOXES, v2 = "tile_predictions_nms_threshold";
    /// Random crops, flips and colours in training; off, training sees what validation sees.
    apply_automl_train_augmentations: bool = true, Kind::Bool, ALL;
    /// Skip bad rows and images and list them; off, the first one ends the run.
    ignore_data_errors: bool = true, Kind::Bool, ALL;
    /// Threads that load images; 0 loads in the training thread. Results do not depend on it.
    number_of_workers: u32 = 8, int(0, 1_024), ALL;
    /// Also measure the loss on the validation data, after every epoch that is validated.
    log_validation_loss: bool = true, Kind::Bool, ALL;
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
