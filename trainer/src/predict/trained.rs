//! A trained model, whatever runs it: a checkpoint on libtorch, or an exported file on ONNX Runtime.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use models::detect::{Detector, Selection};
use models::host::{self, Rgb};
use models::registry::Kind;
use ndarray::ArrayView4;
use runtime::{Form, Outputs, Overrides};
use schemas::error::ErrorCode;
use schemas::plan::Device;
use schemas::prediction::Detection;
use schemas::{CheckpointMeta, Settings};
use serde_json::Value;

use crate::failure::fail;
use crate::nn::checkpoint::Checkpoint;
use crate::nn::device;
use crate::nn::network::{self, Network};
use crate::tasks::Outcome;
use crate::tasks::classify::evaluate as classes;
use crate::tasks::detect::evaluate as boxes;
use dataset::Loader;

/// The file that a checkpoint was read from.
pub struct Origin {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// The model behind `--checkpoint` or `--onnx`.
pub enum Trained {
    /// Weights on libtorch.
    Checkpoint(Box<Network>, Box<CheckpointMeta>, Origin),
    /// An exported file.
    File(Box<runtime::Model>),
}

impl Trained {
    /// Opens a checkpoint, which computes on `device`: a run folder (its best), a checkpoint folder, or the file itself.
    ///
    /// # Errors
    /// When there is no such model, it is damaged, or the device is not there.
    pub fn from_checkpoint(path: &Path, device: Device) -> anyhow::Result<Self> {
        let device = device::open(device)?;
        let checkpoint = Checkpoint::read(path)?;
        let mut network = Network::from_meta(&checkpoint.meta, device)?;
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

    /// What its answers are.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        match self {
            Self::Checkpoint(network, ..) => match network.spec.kind {
                Kind::Classifier(_) => Outputs::Probabilities,
                Kind::Detector(Detector::MaskRcnn(_)) => Outputs::Masks,
                Kind::Detector(Detector::Yolov5(_) | Detector::FasterRcnn(_) | Detector::RetinaNet(_)) => {
                    Outputs::Boxes
                }
            },
            Self::File(model) => model.outputs(),
        }
    }

    /// The settings it was trained and exported with.
    ///
    /// # Errors
    /// When they are none of this version's.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::try_from(self.meta().settings.clone())?)
    }

    /// Its settings with others in their place, by name, as far as they are given.
    ///
    /// # Errors
    /// When a setting has no such value or means nothing to this model.
    pub fn settings_with(&self, changes: &[(&str, Option<Value>)]) -> anyhow::Result<Settings> {
        let mut settings = self.settings()?;
        let task = self.meta().task;
        let cuts = self.takes_whole();
        let refuse = |message: String| Err(fail(ErrorCode::InvalidSettings, message));
        for (name, value) in changes.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            if self.outputs() == Outputs::Probabilities {
                return refuse(format!("{name} means nothing to {task}; leave it out"));
            }
            if cuts && *name == "tile_grid_size" {
                return refuse(format!(
                    "tile_grid_size {value}: a file of the form whole cuts its tiles itself, by the grid it was exported \
                     with ({}); export it again with another, or ask a checkpoint or a prepared file",
                    settings.tile_grid_size
                ));
            }
            settings.set(name, value).map_err(|error| crate::failure::settings(&[error]))?;
        }
        Ok(settings)
    }

    /// Probabilities per class of one image.
    ///
    /// # Errors
    /// When the file fails on it.
    pub fn classify(&mut self, image: &Rgb) -> anyhow::Result<Vec<f32>> {
        let fitted = self.fitted(image);
        self.probabilities(std::slice::from_ref(&*fitted))
    }

    /// One image as the model takes it.
    fn fitted<'a>(&self, image: &'a Rgb) -> Cow<'a, Rgb> {
        if self.takes_whole() {
            Cow::Borrowed(image)
        } else {
            Cow::Owned(host::prepare(image, &self.meta().preprocessing))
        }
    }

    /// Whether it takes images as decoded, and resizes them itself.
    #[must_use]
    pub fn takes_whole(&self) -> bool {
        matches!(self, Self::File(model) if model.form() == Form::Whole)
    }

    /// Probabilities of images of one size as the model takes them: row-major `[N, C]`.
    ///
    /// # Errors
    /// When the file fails on them.
    pub fn probabilities(&mut self, images: &[Rgb]) -> anyhow::Result<Vec<f32>> {
        let Some(first) = images.first() else { return Ok(Vec::new()) };
        let (height, width) = (usize::try_from(first.height)?, usize::try_from(first.width)?);
        let bytes: Vec<u8> = images.iter().flat_map(|image| image.data.iter().copied()).collect();
        Ok(match self {
            Self::Checkpoint(network, meta, _) => {
                let images = network.images(&bytes, images.len(), height, width);
                network::rows(&network.probabilities(&images, meta.temperature))
            }
            Self::File(model) => {
                model.run(ArrayView4::from_shape((images.len(), height, width, 3), &bytes)?)?.into_iter().collect()
            }
        })
    }

    /// The penultimate layer of a classifier for one image.
    ///
    /// # Errors
    /// When the model is a detector or a file without features, or fails on the image.
    pub fn features(&mut self, image: &Rgb) -> anyhow::Result<Vec<f32>> {
        let task = self.meta().task;
        if self.outputs() != Outputs::Probabilities {
            let message = format!("the model's task is {task}; only classifiers have features of whole images");
            return Err(fail(ErrorCode::UnsupportedModel, message));
        }
        let fitted = self.fitted(image);
        match self {
            Self::Checkpoint(network, ..) => {
                let (height, width) = (usize::try_from(fitted.height)?, usize::try_from(fitted.width)?);
                Ok(network::rows(&network.features(&network.images(&fitted.data, 1, height, width))))
            }
            Self::File(model) => Ok(model.features(view(&fitted)?)?.into_iter().collect()),
        }
    }

    /// Objects in one image, best first, in its pixels. `settings` decides about tiles; a `whole` file cuts its own.
    ///
    /// # Errors
    /// When the file fails on it.
    pub fn detect(
        &mut self,
        image: &Rgb,
        settings: &Settings,
        selection: &Selection<f32>,
    ) -> anyhow::Result<Vec<Detection>> {
        if let Self::File(model) = self
            && model.form() == Form::Whole
        {
            return whole(model, image, selection);
        }
        boxes::in_image(image, settings, |piece| self.detect_prepared(piece, selection))
    }

    /// One image or tile through a checkpoint or a `prepared` file.
    fn detect_prepared(&mut self, image: &Rgb, selection: &Selection<f32>) -> anyhow::Result<Vec<Detection>> {
        let prepared = host::prepare(image, &self.meta().preprocessing);
        let found = match self {
            Self::Checkpoint(network, ..) => boxes::in_prepared(network, &prepared, image, selection),
            Self::File(model) => {
                let sizes = [[i64::from(image.height), i64::from(image.width)]];
                model
                    .detect(view(&prepared)?, Some(&sizes), &overrides(selection))?
                    .into_iter()
                    .next()
                    .unwrap_or_default()
            }
        };
        Ok(found)
    }

    /// What the model says about a whole data set, whose views `settings` also made. A file of the `whole` form gets each
    /// image as decoded, so that what is measured is the file's own resizing and tiling; everything else gets prepared
    /// batches.
    ///
    /// # Errors
    /// When the data cannot be read or the file fails.
    pub fn evaluate(&mut self, data: &Loader, settings: &Settings, label: &str) -> anyhow::Result<Outcome> {
        let selection = boxes::measuring(settings);
        let outputs = self.outputs();
        let outcome = match (self, outputs) {
            (Self::Checkpoint(network, meta, _), Outputs::Probabilities) => {
                Outcome::Classes(classes::with_network(network, meta.temperature, data, label)?)
            }
            (Self::Checkpoint(network, ..), Outputs::Boxes | Outputs::Masks) => {
                Outcome::Boxes(boxes::with_network(network, data, settings, label)?)
            }
            (Self::File(model), Outputs::Probabilities) => match model.form() {
                Form::Whole => Outcome::Classes(classes::with_whole_file(model, data, label)?),
                Form::Prepared => Outcome::Classes(classes::with_file(model, data, label)?),
            },
            (Self::File(model), Outputs::Boxes | Outputs::Masks) => match model.form() {
                Form::Whole => {
                    Outcome::Boxes(boxes::over_whole(data, settings, label, |image| whole(model, image, &selection))?)
                }
                Form::Prepared => Outcome::Boxes(boxes::over(data, settings, label, |batch| {
                    let images = ArrayView4::from_shape((batch.n, batch.height, batch.width, 3), &batch.images)?;
                    let sizes: Vec<[i64; 2]> = batch.sizes.iter().map(|size| size.map(i64::from)).collect();
                    Ok(model.detect(images, Some(&sizes), &overrides(&selection))?)
                })?),
            },
        };
        Ok(outcome.answering(settings))
    }
}

fn whole(model: &mut runtime::Model, image: &Rgb, selection: &Selection<f32>) -> anyhow::Result<Vec<Detection>> {
    Ok(model.detect(view(image)?, None, &overrides(selection))?.into_iter().next().unwrap_or_default())
}

fn overrides(selection: &Selection<f32>) -> Overrides {
    Overrides { score_threshold: Some(selection.score), iou_threshold: Some(selection.iou) }
}

/// One image as a batch.
fn view(image: &Rgb) -> anyhow::Result<ArrayView4<'_, u8>> {
    let shape = (1, usize::try_from(image.height)?, usize::try_from(image.width)?, 3);
    Ok(ArrayView4::from_shape(shape, &image.data)?)
}
