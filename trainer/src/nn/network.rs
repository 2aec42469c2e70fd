//! A network with its parameters: of a classifier, pixels in, logits or probabilities out.

use models::classify::{self, Classified, Classifier};
use models::manifest::Manifest;
use models::registry::{ModelSpec, described};
use schemas::{CheckpointMeta, Preprocessing, Task};
use tch::{Device, Kind, Tensor};

use crate::nn::eager::{Eager, Mode, T, Tape};
use crate::nn::params::{Layout, Params};
use crate::nn::transfer::upload;

/// Arithmetic of the training step. Evaluation is always float32, so that a reported metric is the exported file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// float32 throughout.
    Fp32,
    /// Convolutions and matrix products in bfloat16, the rest as libtorch's autocast decides.
    Bf16,
    /// The same in 16-bit floats, whose range is small: the optimizer scales the loss.
    Fp16,
}

/// What is needed to run a model.
pub struct Network {
    /// Row of the registry.
    pub spec: &'static ModelSpec,
    /// Task, which decides what follows the logits.
    pub task: Task,
    /// Class names in output order.
    pub labels: Vec<String>,
    /// How the network wants its pixels.
    pub preprocessing: Preprocessing,
    /// The parameters.
    pub params: Params,
}

impl Network {
    /// The network a checkpoint describes, with freshly initialised parameters.
    ///
    /// # Errors
    /// When the model is unknown to this version.
    pub fn from_meta(meta: &CheckpointMeta, device: Device) -> anyhow::Result<Self> {
        let spec = described(meta)
            .ok_or_else(|| anyhow::anyhow!("model {:?} is unknown to this version of Fovea", meta.model_name))?;
        let manifest = manifest(spec, meta.labels.len(), &meta.preprocessing)?;
        let params = Params::init(&manifest, 0, device, spec.layout());
        Ok(Self {
            spec,
            task: meta.task,
            labels: meta.labels.clone(),
            preprocessing: meta.preprocessing.clone(),
            params,
        })
    }

    /// A copy whose parameters have their own memory.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            spec: self.spec,
            task: self.task,
            labels: self.labels.clone(),
            preprocessing: self.preprocessing.clone(),
            params: self.params.duplicate(),
        }
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> i64 {
        i64::try_from(self.labels.len()).unwrap_or(i64::MAX)
    }

    /// `uint8 [N, h, w, 3]` bytes as a tensor on the network's device, in the layout it prefers.
    pub fn images(&self, bytes: &[u8], n: usize, height: usize, width: usize) -> Tensor {
        let shape = [n, height, width, 3].map(|d| i64::try_from(d).unwrap_or(i64::MAX));
        let images = upload(bytes, &shape, self.params.device());
        match self.params.layout() {
            Layout::ChannelsLast => images,
            // The network transposes to NCHW: laid out so, that transposition is free and its result contiguous.
            Layout::Contiguous => images.permute([0, 3, 1, 2]).contiguous().permute([0, 2, 3, 1]),
        }
    }

    /// Logits of a classifier in training mode, float32 `[N, C]`. `images` is `[N, h, w, 3]`, values 0 to 255 of any type.
    pub fn logits(&self, images: &Tensor, arithmetic: Arithmetic) -> Tensor {
        let eager = Eager::new(&self.params, Mode::Train);
        let logits = self.autocast(arithmetic, || self.classified(&eager, images).logits.into_tensor());
        logits.to_kind(Kind::Float)
    }

    /// Pixels as a classifier takes them: `uint8 [N, h, w, 3]` to `float [N, 3, h, w]`.
    pub fn normalised(&self, images: &Tensor) -> Tensor {
        let eager = Eager::new(&self.params, Mode::Evaluate);
        classify::normalise(&eager, &T::borrowed(images), &self.preprocessing).into_tensor()
    }

    /// Logits `[N, C]` of normalised pixels in evaluation mode, with gradients.
    pub fn differentiable(&self, pixels: &Tensor) -> Tensor {
        self.through(&Eager::new(&self.params, Mode::Evaluate), pixels)
    }

    /// As [`Self::differentiable`], on a tape.
    pub fn recorded(&self, pixels: &Tensor, tape: &Tape) -> Tensor {
        self.through(&Eager::recording(&self.params, tape), pixels)
    }

    fn through(&self, eager: &Eager<'_>, pixels: &Tensor) -> Tensor {
        let side = i64::from(self.preprocessing.side());
        self.classifier().logits(eager, &T::borrowed(pixels), side, self.classes()).into_tensor()
    }

    /// # Panics
    /// When the network is a detector: callers choose by task.
    fn classifier(&self) -> Classifier {
        match self.spec.classifier() {
            Some(classifier) => classifier,
            None => panic!("{} finds objects; it does not classify images", self.spec.name),
        }
    }

    /// Runs `body`, a forward pass, in this arithmetic.
    pub fn autocast<R>(&self, arithmetic: Arithmetic, body: impl FnOnce() -> R) -> R {
        let (kind, enabled) = match arithmetic {
            Arithmetic::Fp32 => (Kind::BFloat16, false),
            Arithmetic::Bf16 => (Kind::BFloat16, true),
            Arithmetic::Fp16 => (Kind::Half, true),
        };
        let _guard = bridge::autocast(self.params.device(), kind, enabled);
        body()
    }

    /// Probabilities `[N, C]` in evaluation mode, float32, of logits divided by the `temperature` where there is one.
    pub fn probabilities(&self, images: &Tensor, temperature: Option<f64>) -> Tensor {
        tch::no_grad(|| {
            let eager = Eager::new(&self.params, Mode::Evaluate);
            let logits = self.classified(&eager, images).logits;
            classify::probabilities(&eager, self.task, temperature, &logits).into_tensor()
        })
    }

    /// The penultimate layer of a classifier in evaluation mode, float32 `[N, width]`.
    pub fn features(&self, images: &Tensor) -> Tensor {
        tch::no_grad(|| {
            let eager = Eager::new(&self.params, Mode::Evaluate);
            self.classified(&eager, images).features.into_tensor()
        })
    }

    fn classified(&self, eager: &Eager, images: &Tensor) -> Classified<T> {
        let images = classify::normalise(eager, &T::borrowed(images), &self.preprocessing);
        self.classifier().classify(eager, &images, i64::from(self.preprocessing.side()), self.classes())
    }
}

/// The manifest of a model.
///
/// # Errors
/// When the crop is too small for the network.
pub fn manifest(spec: &ModelSpec, classes: usize, p: &Preprocessing) -> anyhow::Result<Manifest> {
    Ok(spec.manifest(i64::try_from(classes)?, i64::from(p.side()))?)
}

/// Flattens probabilities into row-major floats.
#[must_use]
pub fn rows(probabilities: &Tensor) -> Vec<f32> {
    let flat = probabilities.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().reshape([-1]);
    Vec::try_from(&flat).expect("a flat float tensor converts")
}
