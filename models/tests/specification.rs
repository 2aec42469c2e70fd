//! `--recipe specification`: the defaults of Azure's AutoML for Images, per task and model, to the letter. Where Fovea differs, the
//! table says so.

use models::registry;
use schemas::plan::Recipe;
use schemas::{PlanRequest, Source, Task};
use serde_json::{Value, json};

/// Defaults of every task and model.
const GENERAL: &[(&str, &str)] = &[
    ("number_of_epochs", "15"),
    ("training_batch_size", "78"),
    ("validation_batch_size", "78"),
    ("grad_accumulation_step", "1"),
    ("learning_rate", "0.01"),
    ("lr_scheduler", "\"warmup_cosine\""),
    ("step_lr_gamma", "0.5"),
    ("step_lr_step_size", "5"),
    ("warmup_cosine_lr_cycles", "0.45"),
    ("warmup_cosine_lr_warmup_epochs", "2"),
    ("optimizer", "\"sgd\""),
    ("momentum", "0.9"),
    ("nesterov", "true"),
    ("weight_decay", "0.0001"),
    ("beta1", "0.9"),
    ("beta2", "0.999"),
    ("amsgrad", "false"),
    ("early_stopping", "true"),
    ("early_stopping_patience", "5"),
    ("early_stopping_delay", "5"),
    ("evaluation_frequency", "1"),
    ("split_ratio", "0.2"),
    // The service writes every epoch (1); files that nobody asked for are not written here.
    ("checkpoint_frequency", "0"),
    ("layers_to_freeze", "0"),
    ("weighted_loss", "0"),
    ("imbalance_rate_threshold", "2"),
    ("valid_resize_size", "256"),
    ("valid_crop_size", "224"),
    ("train_crop_size", "224"),
    ("validation_metric_type", "\"voc\""),
    ("validation_iou_threshold", "0.5"),
    ("min_size", "600"),
    ("max_size", "1333"),
    ("box_score_thresh", "0.3"),
    ("box_nms_thresh", "0.5"),
    ("box_detections_per_img", "100"),
    ("img_size", "640"),
    ("model_size", "\"medium\""),
    ("multi_scale", "false"),
    ("tile_grid_size", "\"none\""),
    ("tile_overlap_ratio", "0.25"),
    ("tile_predictions_nms_thresh", "0.25"),
    ("mask_pixel_score_threshold", "0.5"),
    ("max_number_of_polygon_points", "100"),
    ("apply_automl_train_augmentations", "true"),
    ("apply_mosaic_for_yolo", "true"),
    ("log_validation_loss", "true"),
    ("log_training_metrics", "false"),
    ("ignore_data_errors", "true"),
    ("number_of_workers", "8"),
    ("grad_clip_type", "\"value\""),
    ("grad_clip_value", "5.0"),
    // What the specification does not have does nothing.
    ("calibrate", "false"),
    ("temperature", "1.0"),
    ("folds", "0"),
    ("validation_fold", "0"),
    ("label_threshold", "0.5"),
    ("fit_threshold", "false"),
    ("wanted_precision", "0.0"),
    ("best_epoch_by", "\"primary\""),
    ("fit_head", "false"),
    ("head_epochs", "0"),
    ("layer_lr_decay", "1.0"),
    ("label_smoothing", "0.0"),
    ("mixup", "0.0"),
    ("cutmix", "0.0"),
    ("random_erasing", "0.0"),
    ("trivial_augment", "false"),
    ("ema_decay", "0.0"),
    ("nominal_batch_size", "0"),
    ("warmup_bias_lr", "0.0"),
    ("warmup_momentum", "0.0"),
    ("augment_translate", "0.0"),
    ("augment_degrees", "0.0"),
    ("augment_shear", "0.0"),
    ("augment_hsv", "0.0"),
    ("autoanchor", "false"),
    ("close_mosaic", "0"),
];

/// Where a task or model has others, in the order in which they count.
fn own(task: Task, model: &str) -> Vec<(&'static str, Value)> {
    let multilabel = task == Task::ImageClassificationMultilabel;
    let mut own = match task {
        Task::ImageClassification => vec![],
        Task::ImageClassificationMultilabel => vec![("learning_rate", json!(0.035))],
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => vec![
            ("training_batch_size", json!(2)),
            ("validation_batch_size", json!(1)),
            ("learning_rate", json!(0.005)),
            ("number_of_workers", json!(4)),
        ],
    };
    let transformer = |batch: u32, one: f64, many: f64| {
        vec![
            ("training_batch_size", json!(batch)),
            ("validation_batch_size", json!(batch)),
            ("learning_rate", json!(if multilabel { many } else { one })),
            ("grad_clip_type", json!("norm")),
            ("grad_clip_value", json!(1.0)),
        ]
    };
    own.extend(match model {
        "vits16r224" => transformer(128, 0.0125, 0.025),
        "vitb16r224" => transformer(48, 0.0125, 0.025),
        "vitl16r224" => transformer(10, 0.001, 0.002),
        "yolov5" => vec![
            ("number_of_epochs", json!(30)),
            ("training_batch_size", json!(16)),
            ("validation_batch_size", json!(16)),
            ("learning_rate", json!(0.01)),
            ("number_of_workers", json!(8)),
            ("box_score_thresh", json!(0.1)),
            ("box_detections_per_img", json!(300)),
            // The original keeps an average, of which the specification says nothing.
            ("ema_decay", json!(0.9999)),
        ],
        // Not in the specification: a recipe tried on small sets of photographs.
        "efficientnet_lite0" => vec![
            ("optimizer", json!("adamw")),
            ("learning_rate", json!(1e-3)),
            ("number_of_epochs", json!(10)),
            ("training_batch_size", json!(16)),
            ("validation_batch_size", json!(16)),
        ],
        // Nor are these: what the recipe `auto` takes to fine-tune them.
        "dinov2_small" | "dinov2_base" | "convnextv2_atto" | "convnextv2_femto" | "convnextv2_pico"
        | "convnextv2_nano" | "convnextv2_tiny" | "convnextv2_base" => vec![
            ("optimizer", json!("adamw")),
            ("learning_rate", json!(1e-4)),
            ("number_of_epochs", json!(10)),
            ("training_batch_size", json!(16)),
            ("validation_batch_size", json!(16)),
        ],
        _ => vec![],
    });
    own
}

#[test]
fn every_default_of_every_model_and_task_is_the_specifications() {
    let mut seen = 0;
    for task in Task::ALL {
        for spec in registry::for_task(task) {
            let mut request = PlanRequest::new();
            request.set("task", task.as_str(), Source::File);
            request.set("model_name", spec.name, Source::File);
            request.set("training_data", "train.jsonl", Source::File);
            let plan = registry::plan(request).unwrap_or_else(|errors| panic!("{} {errors:?}", spec.name));
            assert_eq!(plan.recipe, Recipe::Specification, "what a job file gets");
            let own = own(task, spec.name);
            for (name, value) in GENERAL {
                let general: Value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{name}: {error}"));
                let expected = own.iter().rfind(|(key, _)| key == name).map_or(&general, |(_, value)| value);
                let found = plan.settings.get(name).unwrap_or_else(|| panic!("no setting {name}"));
                assert_eq!(&found, expected, "{name} of {} in {task}", spec.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 25 * GENERAL.len());
}

/// A setting that the table does not know would go unnoticed.
#[test]
fn the_table_has_every_setting() {
    let known: Vec<&str> = GENERAL.iter().map(|(name, _)| *name).collect();
    // What has no value of its own: what memory allows, what nobody named, and how long an average takes to form.
    let others = [
        "auto_find_batch_size",
        "linear_lr_final",
        "ema_updates",
        "max_time",
        "group_column",
        "keep_frozen_statistics",
        "augment_scale",
    ];
    for setting in schemas::SETTINGS {
        assert!(known.contains(&setting.name) || others.contains(&setting.name), "{} is in no table", setting.name);
    }
}
