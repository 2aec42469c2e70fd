//! Names of the specification that are no setting here: those of other tasks, and those whose answer is fixed.

use serde_json::Value;

use super::error::SettingError;
use super::kind::Kind;

const SEGMENTATION: &str = "an instance segmentation setting";

/// Settings of tasks that cannot be trained yet, with whose they are.
const OTHER_TASKS: &[(&str, &str)] = &[
    ("mask_pixel_score_threshold", SEGMENTATION),
    ("max_number_of_polygon_points", SEGMENTATION),
    ("export_as_image", SEGMENTATION),
    ("image_type", SEGMENTATION),
];

/// What Fovea always does where the specification has a switch: the values that agree with it are accepted.
struct Fixed {
    name: &'static str,
    accepts: &'static [bool],
    reason: &'static str,
}

const FIXED: &[Fixed] = &[
    Fixed { name: "deterministic", accepts: &[true], reason: "a run is always reproducible from its seed; remove it" },
    Fixed { name: "distributed", accepts: &[true, false], reason: "training runs in one process; remove it" },
    Fixed { name: "detailed_metrics", accepts: &[true], reason: "every metric is always measured; remove it" },
    Fixed {
        name: "enable_onnx_normalization",
        accepts: &[true],
        reason: "the exported file always contains its preprocessing; remove it",
    },
    Fixed { name: "log_validation_loss", accepts: &[true], reason: "the validation loss is always logged; remove it" },
    Fixed { name: "stream_image_files", accepts: &[true, false], reason: "images are read where they lie; remove it" },
];

const INCREMENTAL: &str =
    "runs are folders here; name that of the previous run, or a checkpoint of it, by `checkpoint_run`";

/// Names that no value makes sense for.
const REFUSED: &[(&str, &str)] =
    &[("checkpoint_run_id", INCREMENTAL), ("checkpoint_dataset_id", INCREMENTAL), ("checkpoint_filename", INCREMENTAL)];

/// Every name that this file knows, for suggestions and tests.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let other = OTHER_TASKS.iter().chain(REFUSED).map(|(name, _)| *name);
    other.chain(FIXED.iter().map(|fixed| fixed.name))
}

/// Judges a name that is not in [`super::SETTINGS`]: `None` when it is not here either, `Some(Ok(()))` when there is
/// nothing to set because Fovea does what was asked in any case.
pub(super) fn judge(name: &str, given: &str, value: &Value) -> Option<Result<(), SettingError>> {
    if let Some((_, owner)) = OTHER_TASKS.iter().find(|(other, _)| *other == name) {
        return Some(Err(SettingError::other_task(given, owner)));
    }
    let refuse = |reason: &str| SettingError::NotOffered {
        name: given.to_owned(),
        value: value.clone(),
        reason: reason.to_owned(),
    };
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Some(Err(refuse(reason)));
    }
    let fixed = FIXED.iter().find(|fixed| fixed.name == name)?;
    Some(Kind::Bool.parse(given, value).and_then(|parsed| {
        let agrees = parsed.as_bool().is_some_and(|wanted| fixed.accepts.contains(&wanted));
        if agrees { Ok(()) } else { Err(refuse(fixed.reason)) }
    }))
}
