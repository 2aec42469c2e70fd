//! One opened model file: what it says about itself, and its one run call.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use ndarray::{Array2, ArrayView4};
use ort::{
    session::{RunOptions, Session, builder::SessionBuilder},
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};
use schemas::CheckpointMeta;

use crate::{RuntimeError, library};

/// Key of the model's metadata properties under which the [`CheckpointMeta`] JSON lies.
pub const META_KEY: &str = "fovea";
/// Key of the model's metadata properties under which the [`Form`] lies.
pub const FORM_KEY: &str = "fovea.form";
/// Name of the one input.
pub const INPUT: &str = "images";
/// Name of a classifier's one output.
pub const OUTPUT: &str = "probabilities";

/// How much of the preprocessing is inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it: `images` is decoded RGB of any size.
    Whole,
    /// Only the normalisation: `images` is already resized and cropped by the host.
    Prepared,
}

impl Form {
    /// The name in the file's metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Prepared => "prepared",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to open a model.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that work on one operation, at least 1. Set it from the processors that this process may use: the
    /// runtime's own default counts the machine's.
    pub intra_threads: usize,
    /// The ONNX Runtime library or its folder; `None` searches as [`crate::init`] says.
    pub library: Option<PathBuf>,
}

/// An opened classifier. Running needs `&mut`: one owner, no lock; open the file once per worker.
pub struct Model {
    session: Session,
    meta: CheckpointMeta,
    form: Form,
    input_shape: [i64; 4],
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.meta.model_name).field("form", &self.form).finish_non_exhaustive()
    }
}

impl Model {
    /// Opens a model file.
    ///
    /// # Errors
    /// When ONNX Runtime is not there, when the file is not a model, and when it is not one of Fovea's.
    pub fn open(path: &Path, options: &Options) -> Result<Self, RuntimeError> {
        let place = path.display().to_string();
        if !path.is_file() {
            return Err(RuntimeError::Open { place, reason: "there is no such file".to_owned() });
        }
        let session = builder(options)
            .and_then(|mut builder| builder.commit_from_file(path).map_err(|e| open_error(&place, &e)))?;
        Self::from_session(session, place)
    }

    /// Opens a model held in memory. It must not refer to other files.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Self, RuntimeError> {
        let place = "model in memory".to_owned();
        let session = builder(options)
            .and_then(|mut builder| builder.commit_from_memory(bytes).map_err(|e| open_error(&place, &e)))?;
        Self::from_session(session, place)
    }

    fn from_session(session: Session, place: String) -> Result<Self, RuntimeError> {
        match describe(&session) {
            Ok((meta, form, input_shape)) => Ok(Self { session, meta, form, input_shape }),
            Err(reason) => Err(RuntimeError::NotFovea { place, reason }),
        }
    }

    /// What the file says about itself.
    #[must_use]
    pub fn meta(&self) -> &CheckpointMeta {
        &self.meta
    }

    /// How much of the preprocessing is inside the file.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Declared shape of `images`, `[N, H, W, 3]`; -1 where any length is accepted.
    #[must_use]
    pub fn input_shape(&self) -> [i64; 4] {
        self.input_shape
    }

    /// Probabilities, `[n, labels]`, of `images`, uint8 `[n, h, w, 3]` RGB. `n` may be 0.
    ///
    /// # Errors
    /// [`RuntimeError::Input`] when the shape is not one that the model takes; [`RuntimeError::Run`] when ONNX Runtime
    /// fails (memory included).
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference")]
    pub fn run(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, RuntimeError> {
        let (n, h, w, c) = images.dim();
        let labels = self.meta.labels.len();
        self.check([n, h, w, c])?;
        if n == 0 {
            return Ok(Array2::zeros((0, labels)));
        }
        let failed = |e: &ort::Error| RuntimeError::Run { reason: e.message().to_owned() };
        let images = images.as_standard_layout();
        let tensor = TensorRef::from_array_view(images.view()).map_err(|e| failed(&e))?;
        let mut options = RunOptions::new().map_err(|e| failed(&e))?;
        if self.form == Form::Whole {
            // One large photograph would otherwise fix the arena's size for the life of the session.
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0").map_err(|e| failed(&e))?;
        }
        let outputs = self.session.run_with_options(ort::inputs![INPUT => tensor], &options).map_err(|e| failed(&e))?;
        let output =
            outputs.get(OUTPUT).ok_or_else(|| RuntimeError::Run { reason: format!("no output named {OUTPUT}") })?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(|e| failed(&e))?;
        let wrong = || RuntimeError::Run { reason: format!("{OUTPUT} has shape {shape:?}, expected [{n}, {labels}]") };
        if shape.iter().copied().ne([n as i64, labels as i64]) {
            return Err(wrong());
        }
        Array2::from_shape_vec((n, labels), values.to_vec()).map_err(|_| wrong())
    }

    fn check(&self, shape: [usize; 4]) -> Result<(), RuntimeError> {
        let fits = shape
            .iter()
            .zip(self.input_shape)
            .all(|(&given, declared)| declared < 0 || i64::try_from(given).is_ok_and(|given| given == declared));
        if fits && shape[1] > 0 && shape[2] > 0 && shape[3] == 3 {
            return Ok(());
        }
        let side = |length: i64, name: &str| if length < 0 { name.to_owned() } else { length.to_string() };
        let [n, h, w, _] = self.input_shape;
        let expected = format!("[{}, {}, {}, 3]", side(n, "n"), side(h, "height >= 1"), side(w, "width >= 1"));
        Err(RuntimeError::Input { shape, expected })
    }
}

fn builder(options: &Options) -> Result<SessionBuilder, RuntimeError> {
    let environment = library::init(options.library.as_deref())?;
    let failed = |reason: String| RuntimeError::Open { place: "session options".to_owned(), reason };
    let builder = Session::builder(environment).map_err(|e| failed(e.to_string()))?;
    let builder =
        builder.with_intra_threads(options.intra_threads.max(1)).map_err(|e| failed(e.message().to_owned()))?;
    let builder = builder.with_inter_threads(1).map_err(|e| failed(e.message().to_owned()))?;
    // Spinning keeps processors busy for about a second after each run; decoding threads need them.
    let builder = builder.with_intra_op_spinning(false).map_err(|e| failed(e.message().to_owned()))?;
    builder.with_inter_op_spinning(false).map_err(|e| failed(e.message().to_owned()))
}

fn open_error(place: &str, error: &ort::Error) -> RuntimeError {
    RuntimeError::Open { place: place.to_owned(), reason: error.message().to_owned() }
}

/// Reads and checks everything a Fovea file declares; the error says what is missing.
fn describe(session: &Session) -> Result<(CheckpointMeta, Form, [i64; 4]), String> {
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
    let form = match property(FORM_KEY)?.as_str() {
        "whole" => Form::Whole,
        "prepared" => Form::Prepared,
        other => return Err(format!("metadata property '{FORM_KEY}' is '{other}', expected 'whole' or 'prepared'")),
    };
    if meta.labels.is_empty() {
        return Err("its metadata lists no labels".to_owned());
    }
    let images = dims(session.inputs(), INPUT, TensorElementType::Uint8, 4)?;
    let probabilities = dims(session.outputs(), OUTPUT, TensorElementType::Float32, 2)?;
    let input_shape = [images[0], images[1], images[2], images[3]];
    let labels = meta.labels.len();
    if input_shape[3] != 3 {
        return Err(format!("input '{INPUT}' has shape {images:?}, expected [N, H, W, 3]"));
    }
    if probabilities[1] >= 0 && usize::try_from(probabilities[1]) != Ok(labels) {
        return Err(format!("output '{OUTPUT}' has {} columns for {labels} labels", probabilities[1]));
    }
    let crop = i64::from(meta.preprocessing.side());
    if form == Form::Prepared && input_shape[1..3] != [crop, crop] {
        return Err(format!("input '{INPUT}' has shape {images:?}, but the metadata say {crop} x {crop} pixels"));
    }
    Ok((meta, form, input_shape))
}

/// Shape of the value `name`, which must be the only one and have the given element type and rank.
fn dims(values: &[Outlet], name: &str, element: TensorElementType, rank: usize) -> Result<Vec<i64>, String> {
    let [value] = values else {
        let names: Vec<&str> = values.iter().map(Outlet::name).collect();
        return Err(format!("expected one value '{name}', found {names:?}"));
    };
    match value.dtype() {
        ValueType::Tensor { ty, shape, .. } if value.name() == name && *ty == element && shape.len() == rank => {
            Ok(shape.to_vec())
        }
        other => Err(format!("expected '{name}' as {element} of rank {rank}, found '{}' as {other}", value.name())),
    }
}
