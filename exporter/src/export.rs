//! The whole walk: open, build, write to a temporary file, verify that file, give it its name.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use files::{Checked, Hashing, Order};
use models::registry::{self, ModelSpec};
use models::weights::{CheckpointError, CheckpointFile, checkpoint};
use runtime::{Form, Model, Options};
use schemas::prediction::DetectionSettings;
use schemas::{CheckpointMeta, Labels, Task};

use crate::change;
use crate::error::ExportError;
use crate::graph::Graph;
use crate::preprocess::{self, Contents};
use crate::proto::{self, Header};
use crate::summary::{ExportSummary, GraphFacts};
use crate::verify;

/// File name of an export beside its checkpoint.
pub const OUTPUT_FILE: &str = "model.onnx";

/// How to export.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// How much of the preprocessing goes into the file.
    pub form: Form,
    /// Whether a classifier's file also gives the penultimate layer, as output `features`.
    pub features: bool,
    /// Whether the file of a model that outlines objects also gives their pixels, as output `pixels`. In form `whole` only.
    pub pixels: bool,
    /// Whether a classifier takes images of any size, not only those of the checkpoint's. In form `prepared` only, and not of a Vision
    /// Transformer.
    pub any_size: bool,
    /// Whether `output` may be replaced, where it is what an earlier export wrote and nobody has changed it since.
    pub overwrite: bool,
    /// Settings, by name or alias and as text, that the file follows in place of the checkpoint's; see [`crate::change`].
    pub changes: Vec<(String, String)>,
    /// Whether the file is run and compared with the recorded outputs before it gets its name. For tests; an unverified
    /// file is not a finished export.
    pub verify: bool,
    /// Where and how ONNX Runtime is run for that.
    pub runtime: Options,
}

impl Default for ExportSettings {
    /// Form `whole`, verified, ONNX Runtime from the usual places on all processors.
    fn default() -> Self {
        let intra_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Options { intra_threads, library: None };
        let (features, pixels, any_size, overwrite) = (false, false, false, false);
        Self { form: Form::Whole, features, pixels, any_size, overwrite, changes: vec![], verify: true, runtime }
    }
}

/// Where an export goes when nothing else is said: `model.onnx` beside the weights.
///
/// # Errors
/// When there is no checkpoint at that path.
pub fn default_output(checkpoint: &Path) -> Result<PathBuf, CheckpointError> {
    Ok(checkpoint::locate(checkpoint)?.with_file_name(OUTPUT_FILE))
}

/// Builds the graph of a checkpoint.
///
/// # Errors
/// When the model is unknown or the weights do not fit it.
pub fn graph(checkpoint: &CheckpointFile, contents: impl Into<Contents>) -> Result<Graph, ExportError> {
    let contents = contents.into();
    let meta = checkpoint.meta();
    let path = || checkpoint.path().to_owned();
    let unknown = |known: &dyn Fn(&&ModelSpec) -> bool| {
        let known = registry::all().iter().filter(known).map(|m| m.name).collect::<Vec<_>>().join(", ");
        ExportError::UnknownModel { path: path(), name: meta.model_name.clone(), known }
    };
    let spec = registry::described(meta);
    let refused = |option| move |problem| ExportError::Contents { path: checkpoint.path().to_owned(), option, problem };
    if contents.pixels {
        outlined(meta, contents.form).map_err(refused("--masks full"))?;
    }
    if contents.any_size {
        any_size(meta, contents.form).map_err(refused("--any-size"))?;
    }
    let built = match meta.task {
        Task::ImageClassification | Task::ImageClassificationMultilabel => {
            let classifier = spec.and_then(ModelSpec::classifier);
            let classifier = classifier.ok_or_else(|| unknown(&|m| m.classifier().is_some()))?;
            preprocess::classifier(&classifier, meta, contents, checkpoint)
        }
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation if contents.features => {
            return Err(ExportError::Features { path: path() });
        }
        task @ (Task::ImageObjectDetection | Task::ImageInstanceSegmentation) => {
            let detector = spec.filter(|spec| spec.tasks().contains(&task)).and_then(ModelSpec::detector);
            let detector = detector.ok_or_else(|| unknown(&|m| m.tasks().contains(&task)))?;
            let settings = DetectionSettings::try_from(meta)
                .map_err(|error| ExportError::Settings { path: path(), errors: vec![error] })?;
            preprocess::detector(&detector, meta, &settings, contents, checkpoint)
        }
    };
    built.map_err(|error| ExportError::Build { path: path(), error })
}

/// Whether a file of this form can give the pixels of objects, or why not.
fn outlined(meta: &CheckpointMeta, form: Form) -> Result<(), &'static str> {
    match (meta.task.labels(), form) {
        (Labels::Outlines, Form::Whole) => Ok(()),
        (Labels::Outlines, Form::Prepared) => Err(
            "in the form 'prepared' images of several sizes are asked about at once, and have no pixels in common; take the form \
             'whole'",
        ),
        (Labels::Class | Labels::Classes | Labels::Boxes, Form::Whole | Form::Prepared) => {
            Err("it finds no masks; only a model for image-instance-segmentation does")
        }
    }
}

/// Whether a file of this form can take images of any size, or why not.
fn any_size(meta: &CheckpointMeta, form: Form) -> Result<(), &'static str> {
    match (meta.task.labels(), form) {
        (Labels::Boxes | Labels::Outlines, Form::Whole | Form::Prepared) => Err("a detector always does; leave it out"),
        (Labels::Class | Labels::Classes, Form::Whole) => Err(
            "in the form 'whole' the file takes images of any size, and resizes and cuts them by itself; take the form 'prepared' to \
             choose the sizes later, or leave it out",
        ),
        (Labels::Class | Labels::Classes, Form::Prepared) => {
            if registry::described(meta).is_some_and(|spec| spec.settings(meta.task).one_size) {
                return Err(
                    "a Vision Transformer has a position for each part of the image, and takes images of one size",
                );
            }
            Ok(())
        }
    }
}

/// Exports a checkpoint (run folder, checkpoint folder or `.safetensors` file) to `output`, which appears in one step once the
/// file has been verified. A file that is there already is only replaced as [`ExportSettings::overwrite`] says.
///
/// ```no_run
/// use exporter::{ExportSettings, Form, export};
///
/// # fn main() -> Result<(), exporter::ExportError> {
/// let settings = ExportSettings { form: Form::Prepared, ..ExportSettings::default() };
/// let summary = export("runs/shapes".as_ref(), "shapes.onnx".as_ref(), &settings)?;
/// println!("{summary}");
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the checkpoint cannot be read or exported, or the file does not answer as the checkpoint does. Nothing is
/// written then.
pub fn export(checkpoint: &Path, output: &Path, settings: &ExportSettings) -> Result<ExportSummary, ExportError> {
    let mut checkpoint = CheckpointFile::open(checkpoint)?;
    let checked = check(output, checkpoint.path(), settings.overwrite)?;
    let recording = if settings.verify { Some(verify::read(&checkpoint)?) } else { None };
    let mut writing = checked.begin()?;
    let job = Job { output, draft: writing.path(file_name(output)), settings };
    let (mut written, mut checks) = (None, vec![]);
    if settings.changes.is_empty() || recording.is_some() {
        let own = job.write(&checkpoint)?;
        if let Some(recording) = &recording {
            let (form, options) = (settings.form, &settings.runtime);
            let subject = verify::Subject { checkpoint: &checkpoint, graph: &own.graph, form, options };
            checks = verify::compare(recording, &subject, &mut job.open()?)?;
        }
        written = Some(own);
    }
    if !settings.changes.is_empty() {
        // What was recorded holds for the checkpoint's own settings. With them the file has been compared; with others it
        // must open.
        drop(written.take());
        change::apply(&mut checkpoint, &settings.changes)?;
        let changed = job.write(&checkpoint)?;
        if settings.verify {
            drop(job.open()?);
        }
        written = Some(changed);
    }
    let Some(Written { bytes, sha256, facts, .. }) = written else { unreachable!("one of the two was written") };
    let meta = checkpoint.meta();
    writing.made(file_name(output))?;
    writing.publish()?;
    Ok(ExportSummary {
        output: output.to_owned(),
        checkpoint: checkpoint.path().to_owned(),
        form: settings.form.name(),
        model_name: meta.model_name.clone(),
        task: meta.task,
        classes: meta.labels.len(),
        bytes,
        sha256,
        graph: facts,
        checks,
    })
}

/// Checks that an export of the weights file `checkpoint` may be written to `output`, whose folder has to be there.
///
/// # Errors
/// When it may not, and what to do.
pub fn check(output: &Path, checkpoint: &Path, overwrite: bool) -> Result<Checked, ExportError> {
    let refuse = |problem: &str| ExportError::Output { path: output.to_owned(), problem: problem.to_owned() };
    let folder = match output.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if output.is_dir() || output.file_name().is_none() {
        return Err(refuse("it is a folder; name a file in it, such as model.onnx"));
    }
    if !folder.is_dir() {
        return Err(refuse("its folder does not exist; create it first"));
    }
    let same = |a: &Path, b: &Path| fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b));
    if same(output, checkpoint) || same(output, &checkpoint.with_file_name(verify::FILE)) {
        return Err(refuse("it is part of the checkpoint itself; choose another name"));
    }
    let reads = [checkpoint.to_owned(), checkpoint.with_file_name(verify::FILE)];
    Ok(Order { command: "exporter", output, overwrite, reads: &reads }.file()?)
}

fn file_name(output: &Path) -> &Path {
    Path::new(output.file_name().unwrap_or_default())
}

/// A model under a temporary name.
struct Written {
    bytes: u64,
    sha256: String,
    facts: GraphFacts,
    graph: Graph,
}

/// Where the file goes, and how it is made.
struct Job<'a> {
    output: &'a Path,
    /// Where it is made.
    draft: PathBuf,
    settings: &'a ExportSettings,
}

impl Job<'_> {
    /// Opens what was written.
    fn open(&self) -> Result<Model, ExportError> {
        Ok(Model::open(&self.draft, &self.settings.runtime)?)
    }

    /// Writes the model, but not yet under its name.
    fn write(&self, checkpoint: &CheckpointFile) -> Result<Written, ExportError> {
        let ExportSettings { form, features, pixels, any_size, .. } = *self.settings;
        let graph = graph(checkpoint, Contents { form, features, pixels, any_size })?;
        let facts = GraphFacts::from(&graph);
        let meta = checkpoint.meta();
        let doc =
            format!("{} with {} classes, written by Fovea; see metadata 'fovea'", meta.model_name, meta.labels.len());
        let metadata = [(runtime::META_KEY, checkpoint.meta_json()), (runtime::FORM_KEY, form.name())];
        let model = proto::model(graph.clone(), &Header { graph: &meta.model_name, doc: &doc, metadata: &metadata });
        let bytes = proto::size(&model);
        if bytes > proto::MAX_BYTES {
            return Err(ExportError::TooLarge { path: self.output.to_owned(), bytes });
        }
        let failed = |error| ExportError::Write { path: self.output.to_owned(), error };
        let sha256 = {
            let file = File::create(&self.draft).map_err(failed)?;
            let mut writer = Hashing::new(BufWriter::new(file));
            proto::write(&model, &mut writer).and_then(|()| writer.flush()).map_err(failed)?;
            writer.finish()
        };
        Ok(Written { bytes, sha256, facts, graph })
    }
}
