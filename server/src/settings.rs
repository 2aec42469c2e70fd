//! The operator's choice of models' settings: what holds for every request that does not say otherwise.

use std::{fmt, str::FromStr};

use anyhow::bail;
use clap::Args;
use schemas::registered::is_model_name;

use crate::{
    named,
    request::{Overrides, did_you_mean},
};

/// The operator's options about models' settings.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelSettings {
    /// A setting in place of the model's own, for requests that do not say otherwise, such as score_threshold=0.4 or
    /// cells:tile_grid_size=3x2; with MODEL: in front for one model only, else for all that have it. Of every model: top_k (classifiers),
    /// valid_resize_size and valid_crop_size (prepared classifiers), score_threshold and iou_threshold (detectors), tile_grid_size,
    /// tile_overlap_ratio and tile_predictions_nms_thresh (prepared detectors), masks, mask_pixel_score_threshold and
    /// max_number_of_polygon_points (segmentation). Repeat for several
    #[arg(long = "set", value_name = "[MODEL:]NAME=VALUE")]
    pub given: Vec<Given>,
}

/// One setting, for one model or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    model: Option<String>,
    name: String,
    value: String,
}

/// What is chosen for one model.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// For all models; what does not concern this one means nothing.
    pub all: Overrides,
    /// For this one, which has to have it.
    pub model: Overrides,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((left, value)) = text.split_once('=') else {
            return Err("write NAME=VALUE or MODEL:NAME=VALUE, such as score_threshold=0.4".to_owned());
        };
        let (model, name) = match left.split_once(':') {
            None => (None, left),
            Some((model, name)) if is_model_name(model) => (Some(model.to_owned()), name),
            Some((model, _)) => return Err(format!("'{model}' can be no model's name; write MODEL:NAME=VALUE")),
        };
        // Names of settings have underscores; dashes are accepted.
        let name = name.replace('-', "_");
        if !Overrides::knows(&name) {
            let near = did_you_mean(&name, Overrides::names());
            let all = Overrides::names().collect::<Vec<_>>().join(", ");
            return Err(format!("'{name}' is none of the settings{near}; there are {all}"));
        }
        Overrides::default().set(&name, value)?;
        Ok(Self { model, name, value: value.to_owned() })
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, name, value } = self;
        model.iter().try_for_each(|model| write!(f, "{model}:"))?;
        write!(f, "{name}={value}")
    }
}

impl ModelSettings {
    /// Whether they make sense for these models, and, where there is a repository, for others that come.
    ///
    /// # Errors
    /// A setting of a model that is not there, or twice of one.
    pub fn check(&self, models: &[&str], has_repository: bool) -> anyhow::Result<()> {
        for (at, given) in self.given.iter().enumerate() {
            let Given { model, name, .. } = given;
            named::check(format_args!("--set {given}"), model.as_deref(), models, has_repository)?;
            if self.given[..at].iter().any(|earlier| (&earlier.model, &earlier.name) == (model, name)) {
                bail!("--set {name} is given twice for {}; give it once", named::whom(model.as_deref()));
            }
        }
        Ok(())
    }

    /// What is chosen for the model of this name.
    #[must_use]
    pub fn of(&self, model: &str) -> Chosen {
        let mut chosen = Chosen::default();
        for given in &self.given {
            let place = match given.model.as_deref() {
                None => &mut chosen.all,
                Some(name) if name == model => &mut chosen.model,
                Some(_) => continue,
            };
            // What can be no value was refused when it was read.
            let _ = place.set(&given.name, &given.value);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use schemas::prediction::{MaskForm, Scalar};

    use super::*;

    fn settings(texts: &[&str]) -> ModelSettings {
        ModelSettings { given: texts.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn a_setting_is_for_one_model_or_for_all() {
        let given = settings(&["score_threshold=0.4", "a:score-threshold=0.6", "b:masks=rle", "top_k=3"]);
        assert!(given.check(&["a", "b"], false).is_ok());
        let of = |model| {
            let Chosen { all, model } = given.of(model);
            model.over(&all)
        };
        assert_eq!(of("a").options.score_threshold, Scalar::from_text("0.6"));
        assert_eq!(of("b").options.score_threshold, Scalar::from_text("0.4"));
        assert_eq!((of("a").masks, of("b").masks), (None, Some(MaskForm::Rle)));
        assert_eq!(of("c").options.top_k, Scalar::from_text("3"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, said) in [
            ("score_threshold", "NAME=VALUE"),
            ("../a:top_k=3", "no model's name"),
            ("score_treshold=0.4", "did you mean score_threshold"),
            ("drawn=png", "none of the settings"),
            ("masks=bits", "masks is none of"),
            (&format!("top_k={}", "1".repeat(40)), "more than 32 characters"),
        ] {
            let error = text.parse::<Given>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        for (texts, said) in [
            (&["c:top_k=3"][..], "there are a, b"),
            (&["top_k=3", "top_k=4"], "twice for all models"),
            (&["a:top_k=3", "a:top_k=3"], "twice for the model 'a'"),
        ] {
            let error = settings(texts).check(&["a", "b"], false).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(settings(&["c:top_k=3"]).check(&["a"], true).is_ok());
    }
}
