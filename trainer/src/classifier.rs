//! A trained classifier, whatever runs it: a checkpoint on libtorch, or an exported file on ONNX Runtime.

use std::path::{Path, PathBuf};

use models::host::{self, Rgb};
use ndarray::ArrayView4;
use runtime::Form;
use schemas::CheckpointMeta;
use tch::Device;

use crate::checkpoint::Checkpoint;
use crate::cli::ModelArgs;
use crate::data::Loader;
use crate::evaluate::{self, Outcome};
use crate::network::{self, Network};

/// The file that a checkpoint was read from.
pub struct Origin {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// The model behind `--checkpoint` or `--onnx`.
pub enum Classifier {
    /// Weights on libtorch.
    Checkpoint(Box<Network>, Box<CheckpointMeta>, Origin),
    /// An exported file.
    File(Box<runtime::Model>),
}

impl Classifier {
    /// Opens what the options name.
    ///
    /// # Errors
    /// When there is no such model, or it is damaged.
    pub fn open(args: &ModelArgs) -> anyhow::Result<Self> {
        match (&args.checkpoint, &args.onnx) {
            (Some(path), _) => Self::from_checkpoint(path),
            (None, Some(path)) => Self::from_file(path),
            (None, None) => anyhow::bail!("name a model: --checkpoint runs/NAME or --onnx model.onnx"),
        }
    }

    fn from_checkpoint(path: &Path) -> anyhow::Result<Self> {
        let checkpoint = Checkpoint::read(path)?;
        let mut network = Network::from_meta(&checkpoint.meta, Device::Cpu)?;
        checkpoint.restore(&mut network.params)?;
        let origin = Origin { path: checkpoint.path, sha256: checkpoint.sha256 };
        Ok(Self::Checkpoint(Box::new(network), Box::new(checkpoint.meta), origin))
    }

    /// Opens an exported file.
    ///
    /// # Errors
    /// When it is no Fovea file, or ONNX Runtime is not there.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let intra_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let options = runtime::Options { intra_threads, library: None };
        Ok(Self::File(Box::new(runtime::Model::open(path, &options)?)))
    }

    /// What the model says about itself.
    #[must_use]
    pub fn meta(&self) -> &CheckpointMeta {
        match self {
            Self::Checkpoint(_, meta, _) => meta,
            Self::File(model) => model.meta(),
        }
    }

    /// Probabilities per class of one image.
    ///
    /// # Errors
    /// When the file fails on it.
    pub fn classify(&mut self, image: &Rgb) -> anyhow::Result<Vec<f32>> {
        match self {
            Self::Checkpoint(network, meta, _) => {
                let small = host::prepare(image, &meta.preprocessing);
                let (height, width) = (usize::try_from(small.height)?, usize::try_from(small.width)?);
                Ok(network::rows(&network.probabilities(&network.images(&small.data, 1, height, width))))
            }
            Self::File(model) => {
                let prepared = match model.form() {
                    Form::Prepared => host::prepare(image, &model.meta().preprocessing),
                    Form::Whole => image.clone(),
                };
                let shape = (1, usize::try_from(prepared.height)?, usize::try_from(prepared.width)?, 3);
                Ok(model.run(ArrayView4::from_shape(shape, &prepared.data)?)?.into_iter().collect())
            }
        }
    }

    /// Probabilities of a whole data set. A file of the `whole` form gets each picture as decoded, so that what is
    /// measured is the file's own resizing; everything else gets prepared batches.
    ///
    /// # Errors
    /// When the data cannot be read or the file fails.
    pub fn evaluate(&mut self, data: &Loader, label: &str) -> anyhow::Result<Outcome> {
        match self {
            Self::Checkpoint(network, ..) => evaluate::with_network(network, data, label),
            Self::File(model) if model.form() == Form::Whole => evaluate::with_whole_file(model, data, label),
            Self::File(model) => evaluate::with_file(model, data, label),
        }
    }
}
