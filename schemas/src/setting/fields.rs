//! The names beside those of settings: no setting may have one, and a misspelt setting may be meant for one.

/// Names of the fields of a plan that are not settings, in the order to show them.
pub const FIELDS: &[&str] = &[
    "task",
    "model_name",
    "training_data",
    "validation_data",
    "data_root",
    "pretrained",
    "checkpoint_run",
    "recipe",
    "device",
    "precision",
    "seed",
];
