//! What models run on: the operator's choice, and a model opened as it says.
//!
//! A model on anything but the processor is held against the processor before it is served: it has to answer about made images as
//! that does. What cannot be started is an error, unless the operator has asked for a fallback; then the log and the model's
//! metadata say so.

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use ndarray::Array4;
use runtime::{Buckets, Execution, Model, OpenVinoDevice, Placement, Provider, RuntimeError, sample};
use schemas::registered::is_model_name;

use crate::named;

/// Most bytes of pixels of several requests that a processor runs at once. An image of a larger batch takes no less time than one of a
/// smaller, because what the batch computes no longer fits in the caches (docs/serving.md has numbers).
const TOGETHER: usize = 1 << 20;

/// The operator's options about what models run on.
#[derive(Args, Clone, Debug, Default)]
pub struct Providers {
    /// What models run on: cpu; cuda:N or tensorrt:N for the NVIDIA card of that number; openvino:CPU, openvino:GPU or openvino:NPU.
    /// NAME= in front means one model only. Repeat for several. A provider that cannot be started, or does not answer as the
    /// processor does, is an error [default: cpu]
    #[arg(long = "provider", value_name = "[NAME=]PROVIDER")]
    pub choices: Vec<Choice>,
    /// Run a model on this where its --provider cannot be started, and say so in the log and in the model's metadata
    #[arg(long = "provider-fallback", value_name = "PROVIDER")]
    pub fallback: Option<Fallback>,
    /// Whether batches are filled up with black images to 1, 2, 4, .. --max-batch images, so that few shapes are run, each of them
    /// once before the server is ready; auto: on everything but cpu and openvino:CPU
    #[arg(long = "pad-batches", value_name = "WHEN", default_value = "auto")]
    pub pad: Pad,
    /// Record the run of each batch size once and play it again from then on; for prepared classifiers on cuda
    #[arg(long)]
    pub cuda_graphs: bool,
}

/// A provider, for one model or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The model's name; `None` for all that are not named.
    pub model: Option<String>,
    /// What it runs on.
    pub provider: Provider,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (model, provider) = match text.split_once('=') {
            None => (None, text),
            Some((name, provider)) if is_model_name(name) => (Some(name.to_owned()), provider),
            Some((name, _)) => return Err(format!("'{name}' can be no model's name; write NAME=PROVIDER or PROVIDER")),
        };
        Ok(Self { model, provider: provider.parse().map_err(|e: runtime::UnknownProvider| e.to_string())? })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.model.iter().try_for_each(|model| write!(f, "{model}="))?;
        write!(f, "{}", self.provider)
    }
}

/// What a model may run on in place of its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fallback {
    /// The processor.
    Cpu,
}

/// When batches are padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Pad {
    /// Where a new size costs much ([`Provider::wants_few_sizes`]).
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Providers {
    /// Whether the choices make sense for these models, and, where there is a repository, for others that come.
    ///
    /// # Errors
    /// A choice for a model that is not there, two for one model, and CUDA graphs of nothing.
    pub fn check(&self, models: &[&str], has_repository: bool) -> anyhow::Result<()> {
        for (i, choice) in self.choices.iter().enumerate() {
            let model = choice.model.as_deref();
            named::check(format_args!("--provider {choice}"), model, models, has_repository)?;
            if self.choices[..i].iter().any(|earlier| earlier.model == choice.model) {
                bail!("--provider is given twice for {}; give it once", named::whom(model));
            }
        }
        if self.cuda_graphs && !self.choices.iter().any(|choice| choice.provider.records()) {
            bail!("--cuda-graphs without a model on cuda; add --provider cuda:0, or leave it out");
        }
        Ok(())
    }

    /// What the model of this name is to run on, in batches of at most `max_batch`.
    #[must_use]
    pub fn of(&self, name: &str, max_batch: usize) -> Wanted {
        let choice = |name: Option<&str>| self.choices.iter().find(|choice| choice.model.as_deref() == name);
        Wanted {
            provider: choice(Some(name)).or_else(|| choice(None)).map_or(Provider::Cpu, |choice| choice.provider),
            fallback: self.fallback,
            pad: self.pad,
            cuda_graphs: self.cuda_graphs,
            max_batch,
        }
    }
}

/// What one model is to run on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// What was chosen.
    pub provider: Provider,
    /// What to run it on where that cannot be started.
    pub fallback: Option<Fallback>,
    /// When batches are padded.
    pub pad: Pad,
    /// Whether runs are recorded where the provider is CUDA.
    pub cuda_graphs: bool,
    /// Most images of a batch.
    pub max_batch: usize,
}

impl Wanted {
    fn execution(&self, provider: Provider) -> Execution {
        let pads = match self.pad {
            Pad::Auto => provider.wants_few_sizes(),
            Pad::Always => true,
            Pad::Never => false,
        };
        let buckets = pads.then(|| Buckets::up_to(self.max_batch));
        Execution { provider, buckets, graphs: self.cuda_graphs && provider.records() }
    }
}

/// How a model is run.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// What it runs on, and how.
    pub execution: Execution,
    /// What was wanted, where it could not be started.
    pub instead_of: Option<Provider>,
    /// Which of ONNX Runtime's providers ran which operators, where that could be found out.
    pub placement: Option<Placement>,
}

impl Running {
    /// The size of the batch that is run for `n` images.
    #[must_use]
    pub fn batch_size(&self, n: usize) -> usize {
        self.execution.buckets.map_or(n, |buckets| buckets.fit(n))
    }

    /// Most bytes of pixels of several requests that are run at once.
    #[must_use]
    pub fn bytes_at_once(&self) -> usize {
        match self.execution.provider {
            Provider::Cpu | Provider::OpenVino { device: OpenVinoDevice::Cpu } => TOGETHER,
            Provider::OpenVino { device: OpenVinoDevice::Gpu | OpenVinoDevice::Npu }
            | Provider::Cuda { .. }
            | Provider::TensorRt { .. } => usize::MAX,
        }
    }

    /// Sizes that batches are padded to; none where they are run as they come.
    #[must_use]
    pub fn batch_sizes(&self) -> Vec<usize> {
        self.execution.buckets.map(Buckets::sizes).unwrap_or_default()
    }

    /// Asks the model which provider runs its operators, by a run of these images.
    ///
    /// # Errors
    /// A provider that runs none of them. On the processor, which runs them all, it is not one that they cannot be told.
    pub fn ask(&mut self, model: &mut Model, images: &Array4<u8>, sizes: Option<&[[i64; 2]]>) -> anyhow::Result<()> {
        let provider = self.execution.provider;
        match model.place(images.view(), sizes) {
            Ok(placement) if placement.on(provider.name()) == 0 => {
                bail!("no operator of the model ran on {provider}: {placement}; run it on another --provider")
            }
            Ok(placement) => self.placement = Some(placement),
            Err(error @ RuntimeError::Profile { .. }) if provider == Provider::Cpu => {
                tracing::warn!(%error, "the model's metadata will not show it");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// What the log says of a model that was opened.
impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.execution.provider)?;
        if let Some(wanted) = self.instead_of {
            write!(f, " in place of {wanted}")?;
        }
        if let Some(placement) = &self.placement {
            write!(f, "; nodes: {placement}")?;
        }
        if let Some(buckets) = self.execution.buckets {
            let how = if self.execution.graphs { "recorded" } else { "padded" };
            write!(f, "; batches {how} to {:?}", buckets.sizes())?;
        }
        Ok(())
    }
}

/// A model's file, and how it is to be opened.
#[derive(Clone, Debug)]
pub struct Source {
    /// The ONNX file.
    pub path: PathBuf,
    /// Threads, and the library.
    pub options: runtime::Options,
    /// What it is to run on.
    pub wanted: Wanted,
}

impl Source {
    /// Opens the model as it is wanted, or as the fallback says.
    ///
    /// # Errors
    /// What cannot be opened; a provider that cannot be started, where there is no fallback; one that answers otherwise than the
    /// processor does, in any case.
    pub fn open(&self) -> anyhow::Result<(Model, Running)> {
        let mut plain = Model::open(&self.path, &self.options)?;
        let provider = self.wanted.provider;
        match self.open_on(provider, &mut plain) {
            Ok(Some(model)) => Ok((model, self.running(provider, None))),
            Ok(None) => Ok((plain, self.running(provider, None))),
            Err(error @ RuntimeError::Provider { .. }) => match (provider, self.wanted.fallback) {
                (
                    Provider::Cuda { .. } | Provider::OpenVino { .. } | Provider::TensorRt { .. },
                    Some(Fallback::Cpu),
                ) => {
                    tracing::warn!(%error, "the model runs on the cpu instead, as --provider-fallback says");
                    let model = self.open_on(Provider::Cpu, &mut plain)?.unwrap_or(plain);
                    Ok((model, self.running(Provider::Cpu, Some(provider))))
                }
                (Provider::Cuda { .. } | Provider::OpenVino { .. } | Provider::TensorRt { .. }, None) => {
                    Err(anyhow!("{error}. With --provider-fallback cpu it is served from the processor in such a case"))
                }
                (Provider::Cpu, _) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn running(&self, provider: Provider, instead_of: Option<Provider>) -> Running {
        Running { execution: self.wanted.execution(provider), instead_of, placement: None }
    }

    /// The model on this provider, once it has answered as `plain` does; `None` where `plain` is what is wanted.
    fn open_on(&self, provider: Provider, plain: &mut Model) -> Result<Option<Model>, RuntimeError> {
        let execution = self.wanted.execution(provider);
        if execution == Execution::default() {
            return Ok(None);
        }
        let mut model = plain.open_again(&self.path, &self.options, &execution)?;
        let agreement = sample::reproduces(&mut model, plain)?;
        tracing::info!(%provider, %agreement, "the model answers about the made images as the cpu does");
        Ok(Some(model))
    }
}

#[cfg(test)]
mod tests {
    use runtime::OpenVinoDevice;

    use super::*;

    fn providers(choices: &[&str]) -> Providers {
        Providers { choices: choices.iter().map(|text| text.parse().unwrap()).collect(), ..Providers::default() }
    }

    fn of(providers: &Providers) -> Result<Vec<String>, String> {
        providers.check(&["a", "b"], false).map_err(|e| e.to_string())?;
        Ok(["a", "b"].map(|name| providers.of(name, 16).provider.to_string()).to_vec())
    }

    #[test]
    fn a_choice_is_for_one_model_or_for_all_others() {
        for (choices, chosen) in [
            (&[][..], ["cpu", "cpu"]),
            (&["cuda"], ["cuda:0", "cuda:0"]),
            (&["b=cuda:1"], ["cpu", "cuda:1"]),
            (&["cuda:2", "a=cpu"], ["cpu", "cuda:2"]),
            (&["a=cuda:0", "b=cuda:1"], ["cuda:0", "cuda:1"]),
            (&["openvino", "b=tensorrt:1"], ["openvino:CPU", "tensorrt:1"]),
        ] {
            assert_eq!(of(&providers(choices)).unwrap(), chosen, "{choices:?}");
        }
        for (choices, said) in [
            (&["c=cpu"][..], "there are a, b"),
            (&["cpu", "cuda"], "twice for all models"),
            (&["a=cpu", "a=cuda"], "the model 'a'"),
        ] {
            let error = of(&providers(choices)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        for text in ["gpu", "a=gpu", "../a=cpu", "=cpu", "a=", ""] {
            assert!(text.parse::<Choice>().is_err(), "{text}");
        }
    }

    #[test]
    fn processors_pad_only_when_told_and_cuda_alone_records() {
        let wanted = |pad, cuda_graphs| Wanted { pad, cuda_graphs, max_batch: 16, ..Wanted::default() };
        let cuda = Provider::Cuda { device: 0 };
        let tensorrt = Provider::TensorRt { device: 0 };
        let openvino = |device| Provider::OpenVino { device };
        for (wanted, provider, padded, graphs) in [
            (wanted(Pad::Auto, false), Provider::Cpu, false, false),
            (wanted(Pad::Auto, true), Provider::Cpu, false, false),
            (wanted(Pad::Always, true), Provider::Cpu, true, false),
            (wanted(Pad::Auto, true), cuda, true, true),
            (wanted(Pad::Never, false), cuda, false, false),
            (wanted(Pad::Auto, true), openvino(OpenVinoDevice::Cpu), false, false),
            (wanted(Pad::Always, true), openvino(OpenVinoDevice::Cpu), true, false),
            (wanted(Pad::Auto, true), openvino(OpenVinoDevice::Gpu), true, false),
            (wanted(Pad::Auto, true), openvino(OpenVinoDevice::Npu), true, false),
            (wanted(Pad::Auto, true), tensorrt, true, false),
            (wanted(Pad::Never, true), tensorrt, false, false),
        ] {
            let execution = wanted.execution(provider);
            assert_eq!((execution.buckets.is_some(), execution.graphs), (padded, graphs), "{wanted:?}");
        }
        for choices in [&[][..], &["cpu"], &["openvino:GPU", "a=tensorrt"]] {
            let graphs = Providers { cuda_graphs: true, ..providers(choices) };
            assert!(of(&graphs).unwrap_err().contains("--cuda-graphs"), "{choices:?}");
        }
        assert!(of(&Providers { cuda_graphs: true, ..providers(&["cpu", "b=cuda"]) }).is_ok());
    }
}
