//! Request options against a model: thresholds and tiles in place of the model's own, and which answers are explained.

use runtime::{Form, Outputs};
use schemas::prediction::{
    DetectionOptions, DetectionSettings, MaskForm, OptionOf, Thresholds, Tiling, XaiAlgorithm, XaiParameters,
};

use crate::{backend::Description, error::ServerError, masks::MaskOptions};

/// Most boxes that the parts of one image may answer with: merging them takes time that grows with the square.
const MOST_BOXES: u32 = 32_768;

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
}

fn bad<T>(text: String) -> Result<T, ServerError> {
    Err(ServerError::Request(text))
}

impl RequestOptions {
    /// What this model answers a request of these options with.
    ///
    /// # Errors
    /// [`ServerError::Request`]: a value outside its range, or an option that the model does not have.
    pub(crate) fn new(options: &DetectionOptions, about: &Description) -> Result<Self, ServerError> {
        match about.outputs {
            Outputs::Boxes | Outputs::Masks => {}
            Outputs::Probabilities => {
                if let Some(option) = options.given().next() {
                    let (name, task) = (option.name, about.meta.task);
                    return bad(format!("{name} is for models that detect objects; the task of this one is {task}"));
                }
            }
        }
        if let Some(option) = options.given().find(|option| option.of == OptionOf::Masks) {
            check_masks(option.name, about)?;
        }
        if let Some(option) = options.given().find(|option| option.of == OptionOf::Tiles && about.form == Form::Whole) {
            let text = "this model's file is of the form 'whole', which cuts its own tiles as it was exported with; \
                        export it with the form 'prepared' to choose tiles for each request";
            return bad(format!("{} cannot be given: {text}", option.name));
        }
        let mut settings = about.settings.clone();
        options.apply(&mut settings).map_err(|e| ServerError::Request(e.to_string()))?;
        let DetectionSettings { thresholds, max_boxes, tiling, mask_threshold } = DetectionSettings::from(&settings);
        if options.tile_grid_size.is_some() {
            check_grid(&tiling, max_boxes)?;
        }
        let thresholds = Thresholds {
            score_threshold: options.score_threshold.is_some().then_some(thresholds.score_threshold),
            iou_threshold: options.iou_threshold.is_some().then_some(thresholds.iou_threshold),
        };
        let masks = MaskOptions {
            form: MaskForm::default(),
            threshold: mask_threshold,
            most_points: settings.max_number_of_polygon_points as usize,
        };
        Ok(Self { thresholds, tiling, max_boxes, masks })
    }
}

/// Whether the model has masks that an option could be about.
pub(crate) fn check_masks(name: &str, about: &Description) -> Result<(), ServerError> {
    match about.outputs {
        Outputs::Masks => Ok(()),
        Outputs::Boxes | Outputs::Probabilities => {
            let task = about.meta.task;
            bad(format!("{name} is for models that segment instances; the task of this one is {task}"))
        }
    }
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
