//! What a study was asked to do.

use indexmap::IndexMap;
use models::registry;
use schemas::setting::Kind;
use schemas::{Plan, PlanRequest, SettingError, SettingSpec, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sampler::Sampling;
use crate::space::{Distribution, Point, Space};
use crate::termination::Termination;

/// Everything that was decided before a study started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyPlan {
    /// Options of `trainer train` that every trial has, by the specification's names: task, training_data, settings.
    pub fixed: IndexMap<String, Value>,
    /// What is searched; `None` where the study chooses it (AutoMode).
    pub space: Option<Space>,
    /// Points that are tried before those that are chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Point>,
    /// How points are chosen.
    pub sampling: Sampling,
    /// Which trials are ended early.
    pub termination: Termination,
    /// How much is tried.
    pub limits: Limits,
    /// Seed of the sampler. (That of the trainings is one of the fixed options.)
    pub seed: u64,
    /// Labelled images that the best model's file is measured on at the end.
    pub test_data: Option<String>,
    /// What a job file says beside, kept as it is: compute, experiment_name, tags.
    #[serde(default)]
    pub labels: IndexMap<String, Value>,
}

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Trials, 1 to 1000.
    pub trials: u64,
    /// Trials at the same time, 1 to 100.
    pub at_once: u64,
    /// Minutes for all of them; none is no limit.
    pub minutes: Option<f64>,
    /// Minutes for a trial; none is no limit.
    pub trial_minutes: Option<f64>,
}

impl StudyPlan {
    /// Options of the trial at a point, for `trainer train`: what is fixed and what the point says, without settings that have no
    /// effect there (`momentum` where the optimizer is adam, `min_size` of yolov5), which `trainer train` would refuse. What a normal
    /// distribution draws outside the range of its setting becomes the nearest value inside, so that no trial fails by its draw.
    ///
    /// # Errors
    /// Everything that is wrong with them. A plan that was read from a job has no points with errors among those that were looked at
    /// when it was read: every choice and every end, in pairs at least.
    pub fn options(&self, point: &Point) -> Result<IndexMap<String, Value>, Vec<SettingError>> {
        let mut options = self.fixed.clone();
        let branch = self.space.as_ref().and_then(|space| space.branches.get(point.branch));
        for (name, value) in &point.values {
            let distribution = branch.and_then(|branch| branch.parameters.get(name));
            let drawn = distribution.is_some_and(Distribution::is_unbounded);
            let value = match SettingSpec::find(name) {
                Some(spec) if drawn => spec.kind.parse(name, &inside(&spec.kind, value)),
                Some(spec) => spec.kind.parse(name, value),
                None => Ok(value.clone()),
            };
            options.insert(name.clone(), value.map_err(|error| vec![error])?);
        }
        without_idle(&mut options)?;
        Ok(options)
    }
}

impl Distribution {
    /// Whether no value is too large or too small to be drawn: of the normal ones.
    pub(crate) fn is_unbounded(&self) -> bool {
        match self {
            Self::Normal { .. } | Self::QNormal { .. } | Self::LogNormal { .. } | Self::QLogNormal { .. } => true,
            Self::Choice(_)
            | Self::RandInt { .. }
            | Self::Uniform { .. }
            | Self::QUniform { .. }
            | Self::LogUniform { .. }
            | Self::QLogUniform { .. } => false,
        }
    }
}

/// The number nearest to `value` that a setting of this kind takes.
fn inside(kind: &Kind, value: &Value) -> Value {
    let Some(number) = value.as_f64() else { return value.clone() };
    match *kind {
        Kind::Int { min, max } => number.clamp(f64::from(min), f64::from(max)).into(),
        Kind::Float { min, max, exclusive_min, exclusive_max } => {
            let (min, max) =
                (if exclusive_min { min.next_up() } else { min }, if exclusive_max { max.next_down() } else { max });
            number.clamp(min, max).into()
        }
        Kind::Bool | Kind::Choice(_) | Kind::Grid | Kind::Key => value.clone(),
    }
}

/// Takes settings without effect from the options of a training. Returns its plan, and what was said of each that was taken.
pub(crate) fn without_idle(
    options: &mut IndexMap<String, Value>,
) -> Result<(Plan, Vec<SettingError>), Vec<SettingError>> {
    let mut idle = Vec::new();
    loop {
        let mut request = PlanRequest::new();
        for (name, value) in &*options {
            request.set(name, value.clone(), Source::File);
        }
        let errors = match registry::plan(request) {
            Ok(plan) => return Ok((plan, idle)),
            Err(errors) => errors,
        };
        // What has no effect goes first: it may be what the others contradict. Each round takes an option or is the last.
        let before = options.len();
        for name in errors.iter().filter_map(SettingError::idle) {
            options.shift_remove(name);
        }
        if options.len() == before {
            return Err(errors);
        }
        idle.extend(errors.into_iter().filter(|error| error.idle().is_some()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn left(given: &[(&str, Value)]) -> Result<Vec<String>, Vec<String>> {
        let mut options: IndexMap<String, Value> = IndexMap::from([("training_data".to_owned(), json!("x"))]);
        options.extend(given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        match without_idle(&mut options) {
            Ok(_) => Ok(options.into_keys().skip(3).collect()),
            Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn what_has_no_effect_goes_and_what_contradicts_stays() {
        let detect = |model: &str| [("task", json!("image-object-detection")), ("model_name", json!(model))];
        // Two reasons against one setting.
        let mosaic = [("apply_mosaic_for_yolo", json!(false)), ("close_mosaic", json!(3)), ("max_size", json!(900))];
        assert_eq!(left(&[&detect("retinanet_resnet50_fpn")[..], &mosaic].concat()).unwrap(), ["max_size"]);
        assert_eq!(left(&[&detect("yolov5")[..], &mosaic].concat()).unwrap(), ["apply_mosaic_for_yolo"]);
        // A crop that the model does not take is not larger than its image.
        let crop = [("valid_crop_size", json!(300)), ("momentum", json!(0.8))];
        let classify = |model: &str| [("task", json!("image-classification")), ("model_name", json!(model))];
        assert_eq!(left(&[&classify("seresnext")[..], &crop].concat()).unwrap(), ["momentum"]);
        let errors = left(&[&classify("resnet50")[..], &crop].concat()).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains("the square is cut"), "{errors:?}");
    }
}
