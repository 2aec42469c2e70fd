//! An opened model file: its metadata, and the run call of classifiers.

use std::{
    fmt,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use ndarray::{Array2, ArrayView4};
use ort::{
    logging::LogLevel,
    session::{RunOptions, Session, SessionInputValue, SessionOutputs, builder::SessionBuilder},
    value::{Tensor, TensorRef},
};
use schemas::{CheckpointMeta, Form};

use crate::bound::{Bound, Inputs};
use crate::describe::{Declared, Description, Outputs, describe};
use crate::execution::Execution;
use crate::format::{FEATURES, INPUT, OUTPUT, SIZES};
use crate::graphs::{Graphs, RECORDING, UNRECORDED};
use crate::placement::{Placement, ProfileFolder};
use crate::provider::{Provider, Wishes, on_processor};
use crate::required::{self, Thresholds};
use crate::{RuntimeError, library, scan};

/// Bytes of images, 8 MiB, up to which a session keeps what a run took for the next one. A whole file's larger runs give it back to the
/// system.
const KEPT_BYTES: usize = 8 << 20;

/// How to open a model.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that work on one operation, at least 1. Set it from the processors that this process may use: the
    /// runtime's own default counts the machine's.
    pub intra_threads: usize,
    /// The ONNX Runtime library or its folder; `None` searches as [`crate::init`] says.
    pub library: Option<PathBuf>,
}

/// An opened model: a classifier is [run](Self::run), a detector [detects](Self::detect). Either needs `&mut`: one owner,
/// no lock; open the file once per worker.
pub struct Model {
    session: Session,
    about: Description,
    provider: Provider,
    /// Of runs whose memory the session keeps for the next one.
    keeping: RunOptions,
    /// Of runs whose memory goes back to the system.
    returning: RunOptions,
    runner: Runner,
    /// What is given where a run names none, because the session has no values of its own.
    thresholds: Thresholds,
}

/// How batches get into the session.
enum Runner {
    /// From the memory that they come in.
    Plain,
    /// Padded, through memory that is bound to it.
    Bound(Box<Bound>),
    /// As recordings of padded batches.
    Graphs(Graphs),
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.about.meta.model_name)
            .field("form", &self.about.form)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Opens a model file.
    ///
    /// ```
    /// use runtime::{Model, Options, RuntimeError};
    ///
    /// let options = Options { intra_threads: 2, library: None };
    /// match Model::open("model.onnx".as_ref(), &options) {
    ///     Ok(model) => println!("one of {:?}, in images of {:?}", model.meta().labels, model.input_shape()),
    ///     Err(error) => assert!(error.to_string().contains("there is no such file"), "{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// When ONNX Runtime is not there, when the file is not a model, has what no file of Fovea has ([`crate::scan`]), or is otherwise
    /// not one of Fovea's.
    pub fn open(path: &Path, options: &Options) -> Result<Self, RuntimeError> {
        let place = path.display().to_string();
        if let Some(reason) = unfit(path) {
            return Err(RuntimeError::Open { place, reason });
        }
        scan_file(path)?;
        let session = builder(options)
            .and_then(on_processor)
            .and_then(|mut builder| builder.commit_from_file(path).map_err(|e| open_error(&place, &e)))?;
        Self::from_session(session, place, &Execution::default(), Thresholds::new())
    }

    /// Opens a model held in memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Self, RuntimeError> {
        let place = "model in memory".to_owned();
        let session = session_of(bytes, &place, options)?;
        Self::from_session(session, place, &Execution::default(), Thresholds::new())
    }

    /// Opens the file of this model once more, to be run elsewhere or otherwise. This model has been opened from the file on the
    /// processor, so what fails is not the file's fault.
    ///
    /// # Errors
    /// [`RuntimeError::Provider`] when the provider cannot be started, or does not take the model as `execution` wants it;
    /// [`RuntimeError::Refused`] when another file has taken the place of the one that was opened, and is refused.
    pub fn open_again(&self, path: &Path, options: &Options, execution: &Execution) -> Result<Self, RuntimeError> {
        let Execution { provider, graphs, .. } = *execution;
        let one_size = self.about.input_shape[1..3].iter().all(|&side| side > 0);
        let refused = |e: &ort::Error| provider.refused(e.message().to_owned());
        let detects = match self.about.outputs {
            Outputs::Probabilities => false,
            Outputs::Boxes | Outputs::Masks => true,
        };
        let place = path.display().to_string();
        let edited = if provider.knows_optional_inputs() || !detects {
            scan_file(path)?;
            None
        } else {
            Some(without_values(path)?)
        };
        let wishes = Wishes { graphs, one_size, threads: options.intra_threads.max(1) };
        let mut builder = provider.register(builder(options)?, wishes)?;
        let (session, thresholds) = match edited {
            None => (builder.commit_from_file(path), Thresholds::new()),
            Some((bytes, thresholds)) => (builder.commit_from_memory(&bytes), thresholds),
        };
        let session = session.map_err(|e| refused(&e))?;
        Self::from_session(session, place, execution, thresholds)
    }

    fn from_session(
        session: Session,
        place: String,
        execution: &Execution,
        thresholds: Thresholds,
    ) -> Result<Self, RuntimeError> {
        let declared = if thresholds.is_empty() { Declared::Optional } else { Declared::Required };
        let about = describe(&session, declared).map_err(|reason| RuntimeError::NotFovea { place, reason })?;
        let Execution { provider, buckets, graphs } = *execution;
        let refused = |e: ort::Error| provider.refused(e.message().to_owned());
        let runner = match (buckets, graphs) {
            (None, false) => Runner::Plain,
            (Some(buckets), false) => {
                Runner::Bound(Box::new(Bound::new(&session, provider, buckets).map_err(refused)?))
            }
            (Some(buckets), true) => {
                let (side, columns) = about.recordable().map_err(|reason| provider.refused(reason))?;
                Runner::Graphs(Graphs::new(&session, provider, buckets, side, &columns).map_err(refused)?)
            }
            (None, true) => {
                let reason = "CUDA graphs are recorded of padded batches; have batches padded".to_owned();
                return Err(provider.refused(reason));
            }
        };
        let (keeping, returning) = (run_options(false)?, run_options(true)?);
        Ok(Self { session, about, provider, keeping, returning, runner, thresholds })
    }

    /// What the file says about itself.
    #[must_use]
    pub fn meta(&self) -> &CheckpointMeta {
        &self.about.meta
    }

    /// How much of the preprocessing is inside the file.
    #[must_use]
    pub fn form(&self) -> Form {
        self.about.form
    }

    /// What it was opened to run on.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// What its answers are.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        self.about.outputs
    }

    /// Declared shape of `images`, `[N, H, W, 3]`; -1 where any length is accepted.
    #[must_use]
    pub fn input_shape(&self) -> [i64; 4] {
        self.about.input_shape
    }

    /// Probabilities, `[n, labels]`, of `images`, uint8 `[n, h, w, 3]` RGB. `n` may be 0.
    ///
    /// ```no_run
    /// # fn answer(model: &mut runtime::Model) -> Result<(), runtime::RuntimeError> {
    /// let images = ndarray::Array4::<u8>::zeros((2, 480, 640, 3)); // two black images of 640 x 480
    /// let probabilities = model.run(images.view())?;
    /// assert_eq!(probabilities.dim(), (2, model.meta().labels.len()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RuntimeError::Input`] when the model is no classifier or the shape is not one that it takes;
    /// [`RuntimeError::Run`] when ONNX Runtime fails (memory included).
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference")]
    pub fn run(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, RuntimeError> {
        let Description { meta, outputs, .. } = &self.about;
        match outputs {
            Outputs::Probabilities => {}
            Outputs::Boxes | Outputs::Masks => {
                let problem = format!("the model's task is {}; it has no probabilities of whole images", meta.task);
                return Err(RuntimeError::Input { problem });
            }
        }
        let labels = meta.labels.len();
        self.rows(&images, OUTPUT, labels)
    }

    /// Whether the file gives [`Self::features`].
    #[must_use]
    pub fn has_features(&self) -> bool {
        self.about.features.is_some()
    }

    /// The penultimate layer, `[n, width]`, of images as [`Self::run`] takes them.
    ///
    /// # Errors
    /// As [`Self::run`]; [`RuntimeError::Input`] also when the file was exported without features.
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference")]
    pub fn features(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, RuntimeError> {
        let Some(width) = self.about.features else {
            let problem = "the file gives no features; export it again with `exporter --features`".to_owned();
            return Err(RuntimeError::Input { problem });
        };
        self.rows(&images, FEATURES, width)
    }

    /// Whether the file gives [`Self::pixels`].
    #[must_use]
    pub fn has_pixels(&self) -> bool {
        self.about.pixels
    }

    /// An output with a row of this width for each image.
    fn rows(&mut self, images: &ArrayView4<'_, u8>, name: &str, width: usize) -> Result<Array2<f32>, RuntimeError> {
        let (n, h, w, c) = images.dim();
        self.check([n, h, w, c])?;
        if n == 0 {
            return Ok(Array2::zeros((0, width)));
        }
        if let Runner::Graphs(graphs) = &mut self.runner {
            return graphs.run(&mut self.session, &images.view(), name);
        }
        let inputs = Inputs { images: images.view(), sizes: None, thresholds: Vec::new() };
        let outputs = self.answer(inputs)?;
        let output =
            outputs.get(name).ok_or_else(|| RuntimeError::Run { reason: format!("no output named {name}") })?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(|e| failed(&e))?;
        let wrong = || RuntimeError::Run { reason: format!("{name} has shape {shape:?}, expected [{n}, {width}]") };
        // A padded batch has more rows, at its end.
        match **shape {
            [rows, columns] if rows >= n as i64 && columns == width as i64 => {}
            _ => return Err(wrong()),
        }
        let values = values.get(..n * width).ok_or_else(wrong)?;
        Array2::from_shape_vec((n, width), values.to_vec()).map_err(|_| wrong())
    }

    /// The outputs for a batch that has been checked. Those of a padded batch have more rows than there are images.
    pub(crate) fn answer(&mut self, mut inputs: Inputs<'_>) -> Result<SessionOutputs<'_>, RuntimeError> {
        for &(name, value) in &self.thresholds {
            if inputs.thresholds.iter().all(|(given, _)| *given != name) {
                inputs.thresholds.push((name, value));
            }
        }
        let is_returned = returns_memory(self.about.form, inputs.images.len());
        let options = if is_returned { &self.returning } else { &self.keeping };
        match &mut self.runner {
            // Detectors are not recorded, and classifiers do not come here.
            Runner::Plain | Runner::Graphs(_) => run_plainly(&mut self.session, options, &inputs),
            Runner::Bound(bound) => bound.run(&mut self.session, options, &inputs),
        }
    }

    /// Runs a batch as [`Self::run`] and [`Self::detect`] take it, and tells which provider ran which operators.
    ///
    /// ```no_run
    /// # fn place(model: &mut runtime::Model) -> Result<(), runtime::RuntimeError> {
    /// let images = ndarray::Array4::<u8>::zeros((1, 224, 224, 3));
    /// let placement = model.place(images.view(), None)?;
    /// assert!(placement.on(model.provider().name()) > 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RuntimeError::Input`] as there; [`RuntimeError::Run`] when ONNX Runtime fails; [`RuntimeError::Profile`] when there is
    /// no place for the profile of the run, or it does not tell.
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference")]
    pub fn place(&mut self, images: ArrayView4<'_, u8>, sizes: Option<&[[i64; 2]]>) -> Result<Placement, RuntimeError> {
        let (n, h, w, c) = images.dim();
        self.check([n, h, w, c])?;
        let profile = |reason: String| RuntimeError::Profile { reason };
        let folder = ProfileFolder::new().map_err(profile)?;
        let mut options = run_options(returns_memory(self.about.form, images.len()))?;
        options.enable_profiling(folder.prefix()).map_err(|e| failed(&e))?;
        options.set(RECORDING, UNRECORDED).map_err(|e| failed(&e))?;
        let inputs = Inputs { images: images.view(), sizes, thresholds: self.thresholds.clone() };
        run_plainly(&mut self.session, &options, &inputs)?;
        folder.read().map_err(profile)
    }

    /// Whether the model takes images of this shape.
    pub(crate) fn check(&self, shape: [usize; 4]) -> Result<(), RuntimeError> {
        let Description { outputs, form, input_shape, .. } = &self.about;
        let framed = match (outputs, form) {
            (Outputs::Boxes | Outputs::Masks, Form::Prepared) => true,
            (Outputs::Boxes | Outputs::Masks, Form::Whole) | (Outputs::Probabilities, Form::Whole | Form::Prepared) => {
                false
            }
        };
        let fits = shape
            .iter()
            .zip(input_shape)
            .all(|(&given, &declared)| declared < 0 || i64::try_from(given).is_ok_and(|given| given == declared));
        if fits && shape[1] > 0 && shape[2] > 0 && shape[3] == 3 && (!framed || Self::framed(shape[1], shape[2])) {
            return Ok(());
        }
        let any = if framed { " a multiple of 32" } else { " >= 1" };
        let side = |length: i64, name: &str| if length < 0 { format!("{name}{any}") } else { length.to_string() };
        let [n, h, w, _] = *input_shape;
        let n = if n < 0 { "n".to_owned() } else { n.to_string() };
        let problem = format!(
            "images of shape {shape:?} do not fit the model, which takes [{n}, {}, {}, 3]",
            side(h, "height"),
            side(w, "width")
        );
        Err(RuntimeError::Input { problem })
    }
}

/// Why a path is not given to ONNX Runtime, which would only say that it cannot parse it.
fn unfit(path: &Path) -> Option<String> {
    if path.is_dir() {
        let reason = "it is a folder; name the .onnx file in it, or give a run's folder as --checkpoint";
        return Some(reason.to_owned());
    }
    if !path.is_file() {
        return Some("there is no such file".to_owned());
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(9).read_to_end(&mut start));
    let what = match (read, start.as_slice()) {
        (Err(error), _) => return Some(error.to_string()),
        (_, []) => "it is empty; export it again".to_owned(),
        (_, [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..]) => {
            "it is a PyTorch file; --pretrained of `trainer train` takes its weights, and a run can be exported"
                .to_owned()
        }
        (_, [.., b'{']) if start.len() == 9 => {
            "it is a safetensors file; give it as --checkpoint, or export it with `exporter --checkpoint FILE`"
                .to_owned()
        }
        _ => return None,
    };
    Some(what)
}

fn scan_file(path: &Path) -> Result<(), RuntimeError> {
    scan::file(path).map_err(|fault| RuntimeError::Refused { place: path.display().to_string(), fault })
}

/// A detector's file as a model whose thresholds are inputs without values, and the values. What is scanned is what is given to ONNX
/// Runtime.
fn without_values(path: &Path) -> Result<(Vec<u8>, Thresholds), RuntimeError> {
    let place = path.display().to_string();
    match fs::read(path) {
        Ok(bytes) => {
            scan_bytes(&bytes, &place)?;
            let reason = "its thresholds have no values".to_owned();
            required::thresholds(&bytes).ok_or(RuntimeError::NotFovea { place, reason })
        }
        Err(error) => Err(RuntimeError::Open { place, reason: error.to_string() }),
    }
}

fn scan_bytes(bytes: &[u8], place: &str) -> Result<(), RuntimeError> {
    scan::bytes(bytes).map_err(|fault| RuntimeError::Refused { place: place.to_owned(), fault })
}

/// The session of a model in memory, which is scanned before.
pub(crate) fn session_of(bytes: &[u8], place: &str, options: &Options) -> Result<Session, RuntimeError> {
    scan_bytes(bytes, place)?;
    on_processor(builder(options)?)?.commit_from_memory(bytes).map_err(|e| open_error(place, &e))
}

/// Runs a batch from the memory that it comes in.
fn run_plainly<'a>(
    session: &'a mut Session,
    options: &'a RunOptions,
    inputs: &Inputs<'_>,
) -> Result<SessionOutputs<'a>, RuntimeError> {
    let images = inputs.images.as_standard_layout();
    let mut values: Vec<(&str, SessionInputValue)> =
        vec![(INPUT, TensorRef::from_array_view(images.view()).map_err(|e| failed(&e))?.into())];
    if let Some(sizes) = inputs.sizes {
        let sizes = Tensor::from_array(([sizes.len(), 2], sizes.as_flattened().to_vec())).map_err(|e| failed(&e))?;
        values.push((SIZES, sizes.into()));
    }
    for &(name, value) in &inputs.thresholds {
        values.push((name, Tensor::from_array(([1], vec![value])).map_err(|e| failed(&e))?.into()));
    }
    session.run_with_options(values, options).map_err(|e| failed(&e))
}

/// Whether the memory of a run on images of so many bytes goes back to the system. One large photograph would otherwise fix the size of
/// the session's arena for its life; given back after every run, all of it would be faulted in anew by the next, which takes up to half
/// as long again as the run itself. Images of a prepared file have the size that the network wants.
fn returns_memory(form: Form, bytes: usize) -> bool {
    match form {
        Form::Whole => bytes > KEPT_BYTES,
        Form::Prepared => false,
    }
}

fn run_options(is_returned: bool) -> Result<RunOptions, RuntimeError> {
    let mut options = RunOptions::new().map_err(|e| failed(&e))?;
    if is_returned {
        options.set("memory.enable_memory_arena_shrinkage", "cpu:0").map_err(|e| failed(&e))?;
    }
    Ok(options)
}

/// A failure of ONNX Runtime while running.
pub(crate) fn failed(error: &ort::Error) -> RuntimeError {
    RuntimeError::Run { reason: error.message().to_owned() }
}

fn builder(options: &Options) -> Result<SessionBuilder, RuntimeError> {
    let environment = library::init(options.library.as_deref())?;
    let failed = |reason: String| RuntimeError::Open { place: "session options".to_owned(), reason };
    let builder = Session::builder(environment).map_err(|e| failed(e.to_string()))?;
    let builder =
        builder.with_intra_threads(options.intra_threads.max(1)).map_err(|e| failed(e.message().to_owned()))?;
    let builder = builder.with_inter_threads(1).map_err(|e| failed(e.message().to_owned()))?;
    // A detector's NMS has as many results as there are objects, of which ONNX Runtime warns each time a file is opened.
    let builder = builder.with_log_level(LogLevel::Error).map_err(|e| failed(e.message().to_owned()))?;
    // Spinning keeps processors busy for about a second after each run; decoding threads need them.
    let builder = builder.with_intra_op_spinning(false).map_err(|e| failed(e.message().to_owned()))?;
    builder.with_inter_op_spinning(false).map_err(|e| failed(e.message().to_owned()))
}

fn open_error(place: &str, error: &ort::Error) -> RuntimeError {
    RuntimeError::Open { place: place.to_owned(), reason: error.message().to_owned() }
}
