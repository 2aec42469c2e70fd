//! Journal events: what a run reports while it goes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Plan, Task};

/// One epoch: a line of `metrics.jsonl`. Everything but `timing` is reproducible from the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EpochRecord {
    /// Epochs finished, from 1.
    #[schemars(range(min = 1))]
    pub epoch: u32,
    /// Optimizer steps so far.
    pub updates: u64,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Measured while training.
    pub train: TrainScalars,
    /// Metrics on the validation data by name; `null` is an undefined one, and an epoch that was not evaluated has none.
    #[serde(with = "crate::finite::map")]
    #[schemars(with = "crate::finite::map::Json")]
    pub validation: BTreeMap<String, f64>,
    /// The checkpoint of this epoch became the best one.
    pub is_best: bool,
    /// How long it took.
    pub timing: Timing,
}

/// Measured on the training data while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainScalars {
    /// Mean loss over the images of the epoch, as optimised: augmented images, weighted classes, changing weights.
    #[serde(with = "crate::finite::number")]
    #[schemars(with = "Option<f64>")]
    pub loss: f64,
    /// Metrics on the training images, prepared as for validation; empty unless `log_training_metrics` asks for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "crate::finite::map")]
    #[schemars(with = "crate::finite::map::Json")]
    pub metrics: BTreeMap<String, f64>,
}

/// Clock readings of one epoch; no two runs agree on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// Wall-clock time of training, without evaluation.
    pub seconds: f64,
    /// Images trained on per second.
    pub images_per_second: f64,
    /// Part of `seconds` spent waiting for data.
    pub data_wait_seconds: f64,
}

/// The metric that decides which epoch is best and when training stops. Larger is better for all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrimaryMetric {
    /// Epochs finished when it was measured, from 1. It also counts the intervals of early-termination policies.
    #[schemars(range(min = 1))]
    pub epoch: u32,
    /// Name, such as `accuracy`.
    pub name: String,
    /// Value; `null` is an undefined one.
    #[serde(with = "crate::finite::number")]
    #[schemars(with = "Option<f64>")]
    pub value: f64,
}

/// Why a finished run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// All epochs are done.
    Completed,
    /// The primary metric no longer improved.
    EarlyStopping,
    /// The time that the plan allows is over.
    TimeLimit,
}

/// An event of a run, in the order in which they happen: started, then epochs and metrics, then finished or interrupted;
/// a resumed run starts again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// Training begins or goes on.
    RunStarted {
        /// What was decided.
        plan: Box<Plan>,
        /// Epochs that an earlier process finished; 0 for a new run.
        resumed_from_epoch: u32,
    },
    /// An epoch ended.
    Epoch(EpochRecord),
    /// The primary metric was measured.
    PrimaryMetric(PrimaryMetric),
    /// Training is done.
    RunFinished {
        /// Why.
        reason: EndReason,
        /// The best epoch, as measured.
        best: Option<PrimaryMetric>,
    },
    /// Training was told to stop, and can be resumed.
    RunInterrupted {
        /// Epochs finished.
        epoch: u32,
    },
}

impl PrimaryMetric {
    /// The specification's primary metric of a task.
    #[must_use]
    pub const fn name_for(task: Task) -> &'static str {
        match task {
            Task::ImageClassification => "accuracy",
            Task::ImageClassificationMultilabel => "iou",
            Task::ImageObjectDetection | Task::ImageInstanceSegmentation => "mean_average_precision",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PlanRequest, Source};
    use serde_json::json;

    fn record() -> EpochRecord {
        EpochRecord {
            epoch: 3,
            updates: 12,
            learning_rate: 1e-3,
            train: TrainScalars { loss: 0.5, metrics: BTreeMap::new() },
            validation: BTreeMap::from([("accuracy".to_owned(), 0.75)]),
            is_best: true,
            timing: Timing { seconds: 1.5, images_per_second: 20.0, data_wait_seconds: 0.1 },
        }
    }

    #[test]
    fn an_epoch_is_one_line_and_an_undefined_metric_is_null() {
        let mut record = record();
        record.validation.insert("AUC_macro".to_owned(), f64::NAN);
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains('\n') && text.contains(r#""validation":{"AUC_macro":null,"accuracy":0.75}"#), "{text}");
        let back: EpochRecord = serde_json::from_str(&text).unwrap();
        assert!(back.validation["AUC_macro"].is_nan());
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }

    #[test]
    fn every_event_round_trips_and_says_what_it_is() {
        let mut request = PlanRequest::new();
        for (name, value) in [("task", "image_classification"), ("model_name", "resnet18"), ("training_data", "t")] {
            request.set(name, value, Source::File);
        }
        let plan = Box::new(Plan::resolve(request).unwrap());
        let metric = PrimaryMetric { epoch: 3, name: PrimaryMetric::name_for(plan.task).to_owned(), value: 0.75 };
        for (event, name) in [
            (RunEvent::RunStarted { plan, resumed_from_epoch: 0 }, "run_started"),
            (RunEvent::Epoch(record()), "epoch"),
            (RunEvent::PrimaryMetric(metric.clone()), "primary_metric"),
            (RunEvent::RunFinished { reason: EndReason::EarlyStopping, best: Some(metric) }, "run_finished"),
            (RunEvent::RunInterrupted { epoch: 2 }, "run_interrupted"),
        ] {
            let value = serde_json::to_value(&event).unwrap();
            assert_eq!(value["event"], json!(name));
            assert_eq!(serde_json::from_value::<RunEvent>(value).unwrap(), event);
        }
        assert!(serde_json::from_value::<RunEvent>(json!({"event": "holiday"})).is_err());
    }
}
