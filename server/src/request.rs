//! What is said in place of a model's own settings, by a request or by the operator for all requests, against the model; and which
//! answers are explained.

use std::fmt;

use runtime::{Form, Outputs};
use schemas::{
    prediction::{
        DetectionSettings, MAX_OPTION_LENGTH, MODEL_OPTIONS, MaskForm, ModelOption, ModelOptions, OptionOf, Scalar,
        Thresholds, Tiling, XaiAlgorithm, XaiParameters,
    },
    preprocessing::Fit,
    setting::nearest,
};

use crate::{backend::Description, error::ServerError, masks::MaskOptions};

/// Most boxes that the parts of one image may answer with: merging them takes time that grows with the square.
const MOST_BOXES: u32 = 32_768;
/// How many times the side of the model's own images a request may choose: what a run takes grows with the square.
const LARGER: u32 = 2;

/// What is said in place of a model's own settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Thresholds, tiles, sizes, labels.
    pub options: ModelOptions,
    /// How masks are answered.
    pub masks: Option<MaskForm>,
}

impl Overrides {
    /// Every name, in the order to name them.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        MODEL_OPTIONS.iter().map(|option| option.name).chain(["masks"])
    }

    /// Whether there is an override of this name.
    pub(crate) fn knows(name: &str) -> bool {
        Self::names().any(|known| known == name)
    }

    /// Takes the text of a value. Whether there was one before. A name that is not [known](Self::knows) is as good as none.
    ///
    /// # Errors
    /// What can be no value of it.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if name == "masks" {
            return Ok(self.masks.replace(value.parse()?).is_some());
        }
        let Some(option) = MODEL_OPTIONS.iter().find(|option| option.name == name) else { return Ok(false) };
        let value = Scalar::from_text(value);
        let value = value.ok_or_else(|| format!("{name} has more than {MAX_OPTION_LENGTH} characters"))?;
        Ok(self.options.replace(option, value).is_some())
    }

    /// Both together.
    ///
    /// # Errors
    /// The name of what is in both.
    pub(crate) fn join(self, other: &Self) -> Result<Self, &'static str> {
        if self.masks.is_some() && other.masks.is_some() {
            return Err("masks");
        }
        let options = self.options.join(&other.options).map_err(|option| option.name)?;
        Ok(Self { options, masks: self.masks.or(other.masks) })
    }

    /// What is said here, and what `other` says of the rest.
    pub(crate) fn over(self, other: &Self) -> Self {
        Self { options: self.options.over(&other.options), masks: self.masks.or(other.masks) }
    }

    /// What of it concerns a model.
    pub(crate) fn concerning(self, about: &Description) -> Self {
        let masks = self.masks.filter(|_| concerns(OptionOf::Masks, about).is_ok());
        Self { options: self.options.only(|of| concerns(of, about).is_ok()), masks }
    }
}

/// What the log says of them.
impl fmt::Display for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options.values().map(|(option, value)| format!("{} {value}", option.name));
        let all: Vec<String> = options.chain(self.masks.map(|form| format!("masks {form:?}").to_lowercase())).collect();
        f.write_str(if all.is_empty() { "the model's own" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// The name nearest to an unknown one, for the text of an error.
pub(crate) fn did_you_mean(name: &str, names: impl Iterator<Item = &'static str>) -> String {
    nearest(name, names).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default()
}

/// What one request is answered with: its options, and the model's settings for the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RequestOptions {
    /// In place of those in the file.
    pub thresholds: Thresholds<Option<f32>>,
    /// Of a `whole` file its own, which the server only counts.
    pub tiling: Tiling,
    /// Most boxes in the answer about one image.
    pub max_boxes: u32,
    /// How masks are answered.
    pub masks: MaskOptions,
    /// How images are fitted to the network.
    pub fit: Fit,
    /// Most labels of a classifier that are answered, the most probable first; none for all of them in the model's order.
    pub top: Option<usize>,
}

fn bad<T>(text: String) -> Result<T, ServerError> {
    Err(ServerError::Request(text))
}

impl RequestOptions {
    /// What this model answers a request with that says this.
    ///
    /// # Errors
    /// [`ServerError::Request`]: a value outside its range or beyond what a request may choose, or an option that the model does not
    /// have.
    pub(crate) fn new(asked: &Overrides, about: &Description) -> Result<Self, ServerError> {
        let options = Self::of(asked, about)?;
        let (own, side) = (about.meta.preprocessing.side(), options.fit.side());
        let most = own.saturating_mul(LARGER);
        if side > most {
            return bad(format!(
                "valid_crop_size is {side}; a request may ask for up to {most}, {LARGER} times the model's own; the operator can choose \
                 more with --set"
            ));
        }
        Ok(options)
    }

    /// What this model answers with where this is said besides what the operator has said before.
    ///
    /// # Errors
    /// [`ServerError::Request`]: a value outside its range, or an option that the model does not have.
    pub(crate) fn of(asked: &Overrides, about: &Description) -> Result<Self, ServerError> {
        let refused = |name: &str, of| concerns(of, about).map_err(|why| ServerError::Request(format!("{name} {why}")));
        asked.options.given().try_for_each(|option: &ModelOption| refused(option.name, option.of))?;
        if asked.masks.is_some() {
            refused("masks", OptionOf::Masks)?;
        }
        let has = |of| asked.options.given().any(|option| option.of == of);
        let Overrides { options, masks } = asked.clone().over(&about.overrides);
        let mut settings = about.settings.clone();
        options.apply(&mut settings).map_err(|e| ServerError::Request(e.to_string()))?;
        let DetectionSettings { thresholds, max_boxes, tiling, mask_threshold } = DetectionSettings::from(&settings);
        if asked.options.tile_grid_size.is_some() {
            check_grid(&tiling, max_boxes)?;
        }
        let mut fit = about.meta.preprocessing.fit;
        if has(OptionOf::Sizes) {
            fit = sizes(settings.valid_resize_size, settings.valid_crop_size, about)?;
        }
        let thresholds = Thresholds {
            score_threshold: options.score_threshold.is_some().then_some(thresholds.score_threshold),
            iou_threshold: options.iou_threshold.is_some().then_some(thresholds.iou_threshold),
        };
        let masks = MaskOptions {
            form: masks.unwrap_or_default(),
            threshold: mask_threshold,
            most_points: settings.max_number_of_polygon_points as usize,
        };
        let top = options.most_labels().map_err(|e| ServerError::Request(e.to_string()))?;
        Ok(Self { thresholds, tiling, max_boxes, masks, fit, top })
    }
}

/// Whether options of a kind concern a model, or why not; the text follows the option's name.
fn concerns(of: OptionOf, about: &Description) -> Result<(), String> {
    let task = about.meta.task;
    let only = |models: &str| Err(format!("is for {models}; the task of this one is {task}"));
    match (of, about.outputs) {
        (OptionOf::Boxes, Outputs::Boxes | Outputs::Masks)
        | (OptionOf::Masks, Outputs::Masks)
        | (OptionOf::Labels, Outputs::Probabilities) => Ok(()),
        (OptionOf::Boxes | OptionOf::Tiles, Outputs::Probabilities) => only("models that detect objects"),
        (OptionOf::Masks, Outputs::Boxes | Outputs::Probabilities) => only("models that segment instances"),
        (OptionOf::Labels | OptionOf::Sizes, Outputs::Boxes | Outputs::Masks) => only("models that classify"),
        (OptionOf::Tiles, Outputs::Boxes | Outputs::Masks) => match about.form {
            Form::Prepared => Ok(()),
            Form::Whole => Err(
                "cannot be given: this model's file is of the form 'whole', which cuts its own tiles as it was exported with; export \
                 it with the form 'prepared' to choose tiles for each request"
                    .to_owned(),
            ),
        },
        (OptionOf::Sizes, Outputs::Probabilities) => match about.form {
            Form::Prepared => Ok(()),
            Form::Whole => Err(
                "cannot be given: this model's file is of the form 'whole', which resizes and cuts by itself; export it with the \
                 form 'prepared' to choose sizes"
                    .to_owned(),
            ),
        },
    }
}

/// How a prepared classifier's images are fitted, with these sizes in pixels.
fn sizes(resize: u32, crop: u32, about: &Description) -> Result<Fit, ServerError> {
    if crop > resize {
        return bad(format!(
            "valid_crop_size is {crop} and valid_resize_size {resize}: the square is cut from the resized image; raise the second, or \
             lower the first"
        ));
    }
    let fixed = about.input_shape[1];
    if fixed >= 0 && i64::from(crop) != fixed {
        return bad(format!(
            "valid_crop_size is {crop}, but this model's file takes images of {fixed} x {fixed} pixels; export it with --any-size, \
             which models can that are no Vision Transformers"
        ));
    }
    Ok(Fit::Crop { resize, crop })
}

/// Whether what is found in so many tiles can be merged.
fn check_grid(tiling: &Tiling, max_boxes: u32) -> Result<(), ServerError> {
    let most = (MOST_BOXES / max_boxes.max(1)).saturating_sub(1);
    let (grid, tiles) = (tiling.grid, tiling.sources() - 1);
    if tiles <= most {
        return Ok(());
    }
    bad(format!(
        "tile_grid_size is {grid}, which are {tiles} tiles; this model, with up to {max_boxes} boxes in each, takes {most}"
    ))
}

/// Whether these explanations, one per image, can be given.
///
/// # Errors
/// [`ServerError::Request`] names what cannot, [`ServerError::TooManyExplained`] when they are too many.
pub(crate) fn check_explanations(
    explanations: &[Option<XaiParameters>],
    about: &Description,
    limit: u64,
) -> Result<(), ServerError> {
    let mut given = 0;
    for (index, p) in explanations.iter().enumerate().filter_map(|(index, p)| Some((index, p.as_ref()?))) {
        given += 1;
        check_explanation(p, about).map_err(|text| ServerError::Request(format!("image {index}: {text}")))?;
    }
    if given > limit { Err(ServerError::TooManyExplained { given, limit }) } else { Ok(()) }
}

fn check_explanation(p: &XaiParameters, about: &Description) -> Result<(), String> {
    match about.outputs {
        Outputs::Probabilities => {}
        Outputs::Boxes | Outputs::Masks => {
            let task = about.meta.task;
            return Err(format!("model_explainability is for classifiers; the task of this model is {task}"));
        }
    }
    match p.xai_algorithm {
        None | Some(XaiAlgorithm::Occlusion) => {}
        Some(
            other @ (XaiAlgorithm::Xrai
            | XaiAlgorithm::IntegratedGradients
            | XaiAlgorithm::GuidedGradcam
            | XaiAlgorithm::GuidedBackprop),
        ) => {
            return Err(format!(
                "xai_algorithm {other} needs gradients, which an exported file does not have; send occlusion, or none, or ask \
                 the trainer: trainer predict --checkpoint RUN --explain {other}"
            ));
        }
    }
    if !p.visualizations && !p.attributions {
        return Err("an explanation without visualizations and attributions is none".to_owned());
    }
    Ok(())
}
