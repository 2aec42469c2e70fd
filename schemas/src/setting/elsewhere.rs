//! Names of the specification that are no setting here, because their answer is fixed.

use serde_json::Value;

use super::error::SettingError;
use super::kind::Kind;

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
    Fixed { name: "export_as_image", accepts: &[false], reason: DRAWN },
    Fixed { name: "stream_image_files", accepts: &[true, false], reason: "images are read where they lie; remove it" },
];

const INCREMENTAL: &str =
    "runs are folders here; name that of the previous run, or a checkpoint of it, by `checkpoint_run`";

const DRAWN: &str = "masks are answered as polygons; `trainer predict --save` draws them";

/// Names that no value makes sense for.
const REFUSED: &[(&str, &str)] = &[
    ("checkpoint_run_id", INCREMENTAL),
    ("checkpoint_dataset_id", INCREMENTAL),
    ("checkpoint_filename", INCREMENTAL),
    ("image_type", DRAWN),
];

/// Every name that this file knows, for suggestions and tests.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let refused = REFUSED.iter().map(|(name, _)| *name);
    refused.chain(FIXED.iter().map(|fixed| fixed.name))
}

/// Judges a name that is not in [`super::SETTINGS`]: `None` when it is not here either, `Some(Ok(()))` when there is
/// nothing to set because Fovea does what was asked in any case.
pub(super) fn judge(name: &str, given: &str, value: &Value) -> Option<Result<(), SettingError>> {
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
