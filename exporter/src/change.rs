//! Settings of a detector's file that need no other weights, so that they may be chosen when it is exported.

use models::registry;
use models::weights::CheckpointFile;
use schemas::{SettingError, SettingSpec, Settings, Source, Sources};
use serde_json::Value;

use crate::error::ExportError;

/// The settings that may be changed, in the order to show them.
pub const SETTINGS: [&str; 11] = [
    "box_score_thresh",
    "box_nms_thresh",
    "box_detections_per_img",
    "img_size",
    "min_size",
    "max_size",
    "tile_grid_size",
    "tile_overlap_ratio",
    "tile_predictions_nms_thresh",
    "mask_pixel_score_threshold",
    "max_number_of_polygon_points",
];

/// What is known about each of [`SETTINGS`].
#[must_use]
pub fn specs() -> Vec<&'static SettingSpec> {
    SETTINGS.iter().filter_map(|name| SettingSpec::find(name)).collect()
}

/// Has the checkpoint's description follow these settings, given by name or alias and as text. With `img_size`, `min_size`
/// or `max_size` the preprocessing changes, too.
///
/// # Errors
/// When a setting is none of [`SETTINGS`], has no such value, or means nothing to the model.
pub fn apply(checkpoint: &mut CheckpointFile, changes: &[(String, String)]) -> Result<(), ExportError> {
    let mut meta = checkpoint.meta().clone();
    let path = checkpoint.path().to_owned();
    let refuse = |errors: Vec<SettingError>| ExportError::Settings { path: path.clone(), errors };
    let mut sources = Sources::new();
    for (name, text) in changes {
        let spec = SettingSpec::find(name).filter(|spec| SETTINGS.contains(&spec.name));
        let spec = spec.ok_or_else(|| {
            refuse(vec![SettingError::NotOffered {
                name: name.clone(),
                value: Value::from(text.as_str()),
                reason: format!(
                    "it belongs to the training; when a model is exported, {} may be set",
                    SETTINGS.join(", ")
                ),
            }])
        })?;
        let value = spec.kind.parse(name, &Value::from(text.as_str())).map_err(|error| refuse(vec![error]))?;
        meta.settings.insert(spec.name.to_owned(), value);
        sources.insert(spec.name.to_owned(), Source::CommandLine);
    }
    let settings = Settings::try_from(meta.settings.clone()).map_err(|error| refuse(vec![error]))?;
    let errors =
        settings.validate(meta.task, (&meta.model_name, &registry::settings(meta.task, &meta.model_name)), &sources);
    if !errors.is_empty() {
        return Err(refuse(errors));
    }
    // Sizes that nobody chose stay as the checkpoint has them.
    let resized = ["img_size", "min_size", "max_size"].iter().any(|name| sources.contains_key(*name));
    if resized && let Some(spec) = registry::described(&meta) {
        meta.preprocessing.fit = spec.fitted(&settings).fit;
    }
    Ok(checkpoint.describe(meta)?)
}
