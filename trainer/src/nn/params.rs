//! The parameter store: ordered, named as published, initialised from (seed, key).

use indexmap::IndexMap;
use models::manifest::{Entry, Manifest};
use models::ops::{Init, Role};
pub use models::registry::Layout;
use models::registry::is_under;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

/// One parameter, buffer or counter.
pub struct Param {
    /// The value.
    pub tensor: Tensor,
    /// What it is for.
    pub role: Role,
}

/// Parameters by state-dict key, in the order of the architecture.
pub struct Params {
    map: IndexMap<String, Param>,
    device: Device,
    layout: Layout,
    /// Whether a frozen normalisation keeps its running statistics in training.
    keeps_frozen_statistics: bool,
    /// Keys of what is trained later.
    waiting: Vec<String>,
}

impl Params {
    /// Freshly initialised parameters of a manifest. Every value is a function of (`seed`, key) alone.
    #[must_use]
    pub fn init(manifest: &Manifest, seed: u64, device: Device, layout: Layout) -> Self {
        let build = |(key, entry): (String, Entry)| {
            let tensor = match entry.role {
                Role::Counter => Tensor::zeros(&entry.shape, (Kind::Int64, Device::Cpu)),
                _ => Tensor::from_slice(&initial(&key, &entry, seed)).reshape(&entry.shape),
            };
            (key, Param { tensor, role: entry.role })
        };
        let map = manifest.entries().into_iter().map(build).collect();
        let mut params = Self { map, device, layout, keeps_frozen_statistics: true, waiting: Vec::new() };
        params.settle();
        params
    }

    /// Moves every tensor to the store's device and layout and marks what is trained.
    fn settle(&mut self) {
        for param in self.map.values_mut() {
            let mut tensor = param.tensor.detach().to_device(self.device);
            if self.layout == Layout::ChannelsLast && tensor.dim() == 4 {
                tensor = bridge::channels_last(&tensor);
            }
            param.tensor = tensor.set_requires_grad(trained(param.role));
        }
    }

    /// A copy with its own memory.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let copy = |(key, p): (&String, &Param)| {
            let trained = p.tensor.requires_grad();
            (key.clone(), Param { tensor: p.tensor.detach().copy().set_requires_grad(trained), role: p.role })
        };
        Self { map: self.map.iter().map(copy).collect(), waiting: self.waiting.clone(), ..*self }
    }

    /// The tensor under `key`.
    ///
    /// # Panics
    /// When the key is unknown or has another shape: the definition and its manifest disagree, which is a bug.
    pub fn tensor(&self, key: &str, shape: &[i64]) -> Tensor {
        let Some(param) = self.map.get(key) else { panic!("parameter {key:?} is not in the manifest") };
        assert_eq!(param.tensor.size(), shape, "shape of parameter {key:?}");
        param.tensor.shallow_clone()
    }

    /// Replaces the value under `key`, keeping device, layout and whether it is trained.
    ///
    /// # Panics
    /// When the key is unknown or the shape differs: callers match both first.
    pub fn set(&mut self, key: &str, value: &Tensor) {
        let Some(param) = self.map.get_mut(key) else { panic!("parameter {key:?} is not in the manifest") };
        tch::no_grad(|| param.tensor.copy_(value));
    }

    /// Stops training everything under these keys and prefixes; a prefix ends at a dot. Everything else is trained.
    pub fn freeze(&mut self, prefixes: &[String]) {
        for (key, param) in &mut self.map {
            let frozen = prefixes.iter().any(|prefix| is_under(key, prefix));
            param.tensor = param.tensor.set_requires_grad(trained(param.role) && !frozen);
        }
    }

    /// Stops training all but the `head`, until [`Self::train_waiting`].
    pub fn train_alone(&mut self, head: impl Fn(&str) -> bool) {
        for (key, param) in &mut self.map {
            if param.tensor.requires_grad() && !head(key) {
                param.tensor = param.tensor.set_requires_grad(false);
                self.waiting.push(key.clone());
            }
        }
    }

    /// Trains what [`Self::train_alone`] left out.
    pub fn train_waiting(&mut self) {
        for key in std::mem::take(&mut self.waiting) {
            if let Some(param) = self.map.get_mut(&key) {
                param.tensor = param.tensor.set_requires_grad(true);
            }
        }
    }

    /// Lets the running statistics of frozen normalisations follow the data of training, as PyTorch's own do.
    pub fn update_frozen_statistics(&mut self) {
        self.keeps_frozen_statistics = false;
    }

    /// Whether a normalisation with this weight takes and keeps statistics of a training batch.
    #[must_use]
    pub fn updates_statistics(&self, weight: &Tensor) -> bool {
        weight.requires_grad() || !self.keeps_frozen_statistics
    }

    /// Makes normalisations that the architecture holds constant (torchvision's `FrozenBatchNorm2d`) ones that are trained,
    /// for a body that starts from random weights: without statistics to freeze, it needs its own.
    pub fn train_frozen_norms(&mut self) {
        let layers: Vec<String> =
            self.map.keys().filter_map(|key| key.strip_suffix(".running_mean").map(str::to_owned)).collect();
        for layer in layers {
            for (name, role) in [("weight", Role::NormWeight), ("bias", Role::NormBias)] {
                if let Some(param) = self.map.get_mut(&format!("{layer}.{name}")) {
                    param.role = role;
                    param.tensor = param.tensor.set_requires_grad(true);
                }
            }
        }
    }

    /// Adds `steps` to the `num_batches_tracked` of every normalisation whose statistics follow training.
    pub fn count_batches(&mut self, steps: i64) {
        let frozen: Vec<String> = self
            .map
            .iter()
            .filter(|(_, p)| p.role == Role::NormWeight && !self.updates_statistics(&p.tensor))
            .filter_map(|(key, _)| key.strip_suffix(".weight").map(str::to_owned))
            .collect();
        for (key, param) in &mut self.map {
            let layer = key.strip_suffix(".num_batches_tracked");
            if param.role == Role::Counter && !layer.is_some_and(|l| frozen.iter().any(|f| f == l)) {
                let _ = param.tensor.g_add_scalar_(steps);
            }
        }
    }

    /// Everything, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.map.iter().map(|(key, param)| (key.as_str(), param))
    }

    /// What the optimizer changes, in order.
    pub fn trained(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.iter().filter(|(_, p)| p.tensor.requires_grad())
    }

    /// Where the tensors live.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// Layout of images and convolution weights.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

fn trained(role: Role) -> bool {
    match role {
        Role::Weight | Role::Bias | Role::NormWeight | Role::NormBias | Role::Embedding => true,
        Role::Buffer | Role::Counter => false,
    }
}

/// A generator that depends on nothing but `seed` and `key`.
#[must_use]
pub fn keyed_rng(seed: u64, key: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(key.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A number in `[0, 1)` from the top 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sizes of layers"
)]
fn initial(key: &str, entry: &Entry, seed: u64) -> Vec<f32> {
    let count = entry.numel() as usize;
    let mut rng = keyed_rng(seed, key);
    match entry.init {
        Init::Zeros => vec![0.0; count],
        Init::Ones => vec![1.0; count],
        Init::Constant(value) => vec![value as f32; count],
        Init::Values(values) => values.to_vec(),
        Init::Uniform(bound) => (0..count).map(|_| uniform(&mut rng, bound) as f32).collect(),
        Init::Detect { bound, objectness, class, outputs } => {
            let prior = |i: usize| match i % outputs as usize {
                0..4 => 0.0,
                4 => objectness,
                _ => class,
            };
            (0..count).map(|i| (uniform(&mut rng, bound) + prior(i)) as f32).collect()
        }
        Init::Normal(std) => normal(&mut rng, count, std),
        Init::KaimingFanOut => {
            let fan_out = entry.shape[0] * entry.shape[2..].iter().product::<i64>();
            normal(&mut rng, count, (2.0 / fan_out as f64).sqrt())
        }
    }
}

/// A number in `[-bound, bound)`.
fn uniform(rng: &mut ChaCha8Rng, bound: f64) -> f64 {
    (2.0 * unit(rng) - 1.0) * bound
}

/// Normal values by the Box-Muller transform.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
fn normal(rng: &mut ChaCha8Rng, count: usize, std: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = std * (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * unit(rng)).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_values_depend_on_seed_and_key_alone() {
        let entry = Entry { shape: vec![64, 3, 3, 3], init: Init::KaimingFanOut, role: Role::Weight };
        let a = initial("a", &entry, 1);
        assert_eq!(a, initial("a", &entry, 1));
        assert_ne!(a, initial("b", &entry, 1));
        assert_ne!(a, initial("a", &entry, 2));
        let n = f64::from(u32::try_from(a.len()).unwrap());
        let variance = a.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
        assert!((variance / (2.0 / 576.0) - 1.0).abs() < 0.15, "{variance}");
    }

    #[test]
    fn a_detection_bias_holds_its_prior_and_given_values_stay() {
        let detect = Init::Detect { bound: 0.25, objectness: -8.0, class: -3.0, outputs: 7 };
        let entry = Entry { shape: vec![21], init: detect, role: Role::Bias };
        for (i, v) in initial("bias", &entry, 1).into_iter().enumerate() {
            let prior = [0.0, 0.0, 0.0, 0.0, -8.0, -3.0, -3.0][i % 7];
            assert!((prior - 0.25..prior + 0.25).contains(&v), "{i}: {v}");
        }
        let entry = Entry { shape: vec![2, 1], init: Init::Values(&[1.5, -2.0]), role: Role::Buffer };
        assert_eq!(initial("anchors", &entry, 1), [1.5, -2.0]);
    }

    #[test]
    fn a_frozen_prefix_ends_at_a_dot() {
        let manifest = models::registry::find("resnet18").unwrap().manifest(2, 64).unwrap();
        let mut params = Params::init(&manifest, 0, Device::Cpu, Layout::Contiguous);
        params.freeze(&["layer1".into(), "conv1".into()]);
        let frozen = |key: &str| !params.map[key].tensor.requires_grad();
        assert!(frozen("layer1.0.conv1.weight") && frozen("conv1.weight"));
        assert!(!frozen("layer2.0.conv1.weight") && !frozen("bn1.weight"));
    }

    #[test]
    fn a_transformers_first_group_is_all_that_comes_before_its_blocks() {
        let spec = models::registry::find("vits16r224").unwrap();
        let mut params = Params::init(&spec.manifest(2, 16).unwrap(), 0, Device::Cpu, Layout::Contiguous);
        let trained = |params: &Params| params.trained().map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
        let all = trained(&params);
        assert_eq!(all.len(), 152, "every entry is trained");
        // Each is in exactly one of the optimizer's groups.
        let optimizer = crate::train::optimizer::Optimizer::new(&schemas::Settings::default(), &params, &spec.layers());
        assert_eq!(optimizer.state().len(), all.len());
        params.freeze(&spec.freezable()[0]);
        let left = trained(&params);
        assert_eq!(left, all[4..], "{:?}", &all[..4]);
        params.freeze(&spec.freezable().concat());
        assert_eq!(trained(&params), ["norm.weight", "norm.bias", "head.weight", "head.bias"]);
    }
}
