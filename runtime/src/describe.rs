//! Declarations of a model file, checked before it is run: the error says what is missing or does not fit.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};
use schemas::prediction::MASK_SIDE;
use schemas::{CheckpointMeta, Form, Task, UnknownForm};

use crate::format::{
    BOXES, FEATURES, FORM_KEY, INPUT, IOU_THRESHOLD, LABELS, MASKS, META_KEY, OUTPUT, PIXELS, SCORE_THRESHOLD, SCORES,
    SIZES,
};
use crate::graphs::Columns;

/// What a model answers about an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// The probability of each label: [`crate::Model::run`].
    Probabilities,
    /// Labelled boxes with scores: [`crate::Model::detect`].
    Boxes,
    /// The same, and a mask for each box: [`crate::Model::detect`].
    Masks,
}

impl Outputs {
    /// What models of this task answer.
    fn of(task: Task) -> Self {
        match task {
            Task::ImageClassification | Task::ImageClassificationMultilabel => Self::Probabilities,
            Task::ImageObjectDetection => Self::Boxes,
            Task::ImageInstanceSegmentation => Self::Masks,
        }
    }
}

/// What a file says about itself.
pub(crate) struct Description {
    pub meta: CheckpointMeta,
    pub outputs: Outputs,
    pub form: Form,
    /// Of `images`; -1 where any length is accepted.
    pub input_shape: [i64; 4],
    /// Width of a classifier's penultimate layer, where the file gives it.
    pub features: Option<usize>,
    /// Whether the file pastes masks into the image.
    pub pixels: bool,
}

impl Description {
    /// The side of the images, and the outputs, of a model whose runs can be recorded and played again.
    ///
    /// # Errors
    /// Why they cannot be.
    pub(crate) fn recordable(&self) -> Result<(usize, Columns), String> {
        let fixed = match (self.outputs, self.form) {
            (Outputs::Probabilities, Form::Prepared) => usize::try_from(self.input_shape[1]).ok(),
            (Outputs::Probabilities, Form::Whole) | (Outputs::Boxes | Outputs::Masks, Form::Whole | Form::Prepared) => {
                None
            }
        };
        let side = fixed.ok_or_else(|| {
            let (task, form) = (self.meta.task, self.form);
            format!(
                "CUDA graphs are for prepared classifiers, whose images and answers have one shape, and this is a {form} \
                 model for {task}; run it without"
            )
        })?;
        let mut columns = vec![(OUTPUT.to_owned(), self.meta.labels.len())];
        columns.extend(self.features.map(|width| (FEATURES.to_owned(), width)));
        Ok((side, columns))
    }
}

/// A value that a file must declare; -1 stands for any length.
struct Wanted<'a> {
    name: &'static str,
    element: TensorElementType,
    shape: &'a [i64],
}

impl<'a> Wanted<'a> {
    const fn new(name: &'static str, element: TensorElementType, shape: &'a [i64]) -> Self {
        Self { name, element, shape }
    }

    /// The declared shape.
    fn accept(&self, dtype: &ValueType) -> Result<Vec<i64>, String> {
        let fits = |found: &[i64]| {
            found.len() == self.shape.len()
                && found.iter().zip(self.shape).all(|(&found, &wanted)| wanted < 0 || found < 0 || found == wanted)
        };
        match dtype {
            ValueType::Tensor { ty, shape, .. } if *ty == self.element && fits(shape) => Ok(shape.to_vec()),
            other => Err(format!("'{}' is {other}, expected {} of shape {:?}", self.name, self.element, self.shape)),
        }
    }
}

/// How a detector's thresholds are declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// As inputs that a run may leave out, as in every file.
    Optional,
    /// As inputs that every run gives ([`crate::required`]).
    Required,
}

/// Reads and checks everything a file declares.
pub(crate) fn describe(session: &Session, declared: Declared) -> Result<Description, String> {
    let (meta, form) = metadata(session)?;
    let images = Wanted::new(INPUT, TensorElementType::Uint8, &[-1, -1, -1, 3]);
    let gives = |name: &str| session.outputs().iter().any(|output| output.name() == name);
    let (mut features, mut pixels) = (None, false);
    let answers = Outputs::of(meta.task);
    let shapes = match answers {
        Outputs::Probabilities => {
            let labels = i64::try_from(meta.labels.len()).unwrap_or(i64::MAX);
            let shape = [-1, labels];
            let mut outputs = vec![Wanted::new(OUTPUT, TensorElementType::Float32, &shape)];
            if gives(FEATURES) {
                outputs.push(Wanted::new(FEATURES, TensorElementType::Float32, &[-1, -1]));
            }
            let shapes = accept(session.outputs(), "output", &outputs)
                .map_err(|problem| format!("{problem}; its metadata list {labels} labels"))?;
            features = shapes.get(1).and_then(|shape| usize::try_from(*shape.get(1)?).ok());
            accept(session.inputs(), "input", &[images])?
        }
        Outputs::Boxes | Outputs::Masks => {
            let side = MASK_SIDE as i64;
            let mut outputs = vec![
                Wanted::new(BOXES, TensorElementType::Float32, &[-1, -1, 4]),
                Wanted::new(SCORES, TensorElementType::Float32, &[-1, -1]),
                Wanted::new(LABELS, TensorElementType::Int64, &[-1, -1]),
            ];
            let shape = [-1, -1, side, side];
            if answers == Outputs::Masks {
                outputs.push(Wanted::new(MASKS, TensorElementType::Float32, &shape));
                pixels = gives(PIXELS);
            }
            if pixels {
                outputs.push(Wanted::new(PIXELS, TensorElementType::Uint8, &[-1, -1, -1, -1]));
            }
            accept(session.outputs(), "output", &outputs)?;
            let mut inputs = match form {
                Form::Whole => vec![images],
                Form::Prepared => vec![images, Wanted::new(SIZES, TensorElementType::Int64, &[-1, 2])],
            };
            match declared {
                Declared::Optional => thresholds(session)?,
                Declared::Required => inputs.extend(THRESHOLDS.map(threshold)),
            }
            accept(session.inputs(), "input", &inputs)?
        }
    };
    let input_shape = shapes.first().and_then(|shape| <[i64; 4]>::try_from(shape.as_slice()).ok());
    let input_shape = input_shape.ok_or_else(|| format!("input '{INPUT}' has a wrong rank"))?;
    if input_shape[3] != 3 {
        return Err(format!("input '{INPUT}' has shape {input_shape:?}, expected [N, H, W, 3]"));
    }
    let side = i64::from(meta.preprocessing.side());
    // A prepared classifier is for one size, or for any.
    let fits = match (answers, form) {
        (Outputs::Probabilities, Form::Prepared) => {
            [[side, side], [-1, -1]].iter().any(|sides| input_shape[1..3] == *sides)
        }
        (Outputs::Probabilities, Form::Whole) | (Outputs::Boxes | Outputs::Masks, Form::Whole | Form::Prepared) => true,
    };
    if !fits {
        return Err(format!("input '{INPUT}' has shape {input_shape:?}, but the metadata say {side} x {side} pixels"));
    }
    Ok(Description { meta, outputs: answers, form, input_shape, features, pixels })
}

fn metadata(session: &Session) -> Result<(CheckpointMeta, Form), String> {
    let metadata = session.metadata().map_err(|e| format!("its metadata cannot be read: {}", e.message()))?;
    let property = |key: &str| metadata.custom(key).ok_or_else(|| format!("metadata property '{key}' is missing"));
    let meta: CheckpointMeta = serde_json::from_str(&property(META_KEY)?)
        .map_err(|e| format!("metadata property '{META_KEY}' does not parse: {e}"))?;
    if meta.schema_version > schemas::SCHEMA_VERSION {
        return Err(format!(
            "it was written for schema version {}, this program reads up to {}; use a newer one",
            meta.schema_version,
            schemas::SCHEMA_VERSION
        ));
    }
    let form = property(FORM_KEY)?.parse::<Form>().map_err(|UnknownForm(other)| {
        format!("metadata property '{FORM_KEY}' is '{other}', expected 'whole' or 'prepared'")
    })?;
    if meta.labels.is_empty() {
        return Err("its metadata lists no labels".to_owned());
    }
    Ok((meta, form))
}

/// The shapes of exactly these values, in this order.
fn accept(values: &[Outlet], kind: &str, wanted: &[Wanted]) -> Result<Vec<Vec<i64>>, String> {
    let names: Vec<&str> = values.iter().map(Outlet::name).collect();
    if names.len() != wanted.len() {
        let expected: Vec<&str> = wanted.iter().map(|w| w.name).collect();
        return Err(format!("it has the {kind}s {names:?}, expected {expected:?}"));
    }
    let accepted = |w: &Wanted| match values.iter().find(|value| value.name() == w.name) {
        Some(value) => w.accept(value.dtype()).map_err(|problem| format!("{kind} {problem}")),
        None => Err(format!("it has no {kind} '{}', only {names:?}", w.name)),
    };
    wanted.iter().map(accepted).collect()
}

const THRESHOLDS: [&str; 2] = [SCORE_THRESHOLD, IOU_THRESHOLD];

fn threshold(name: &'static str) -> Wanted<'static> {
    Wanted::new(name, TensorElementType::Float32, &[1])
}

/// Checks that both thresholds have a default and may be overridden.
fn thresholds(session: &Session) -> Result<(), String> {
    let found = session.overridable_initializers();
    for name in THRESHOLDS {
        let value = found.iter().find(|value| value.name() == name);
        let value = value.ok_or_else(|| format!("it has no optional input '{name}'"))?;
        threshold(name).accept(value.dtype())?;
    }
    Ok(())
}
