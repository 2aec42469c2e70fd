//! Parameters of the formula on libtorch, on the device that the tests are about.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use exporter::source::{ParamError, ParamSource};
use models::ops::{Bn, BnParams, Conv, DType, Init, Nms, Ops, Pool, RoiAlign, Role, Selected};
use models::registry::ModelSpec;
use tch::{Device, Kind, Tensor};
use tests::synthetic;
use trainer::nn::eager::{Eager, Mode, T};
use trainer::nn::network::Network;
use trainer::nn::params::{Layout, Params};

/// The device that the tests compute on: what `FOVEA_DEVICE` names, as `--device` does; without it the CPU.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| {
        let named = std::env::var("FOVEA_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        let wanted = named.parse().unwrap_or_else(|e| panic!("FOVEA_DEVICE={named}: {e}"));
        trainer::nn::device::open(wanted).unwrap_or_else(|e| panic!("FOVEA_DEVICE={named}: {e:#}"))
    })
}

/// A store with the formula's values for a model of images of this side.
pub fn params(spec: &ModelSpec, side: i64, classes: i64, layout: Layout) -> Params {
    let manifest = spec.manifest(classes, side).expect("a sound definition");
    let mut params = Params::init(&manifest, 0, device(), layout);
    fill(&mut params, spec.name);
    params
}

/// Puts the formula's values into a store.
pub fn fill(params: &mut Params, model: &str) {
    let entries: Vec<_> = params.iter().map(|(key, p)| (key.to_owned(), p.tensor.size(), p.role)).collect();
    for (key, shape, role) in entries {
        params.set(&key, &tensor(&synthetic::param(model, &key, &shape, role), &shape));
    }
}

/// A float tensor.
pub fn tensor(values: &[f32], shape: &[i64]) -> Tensor {
    Tensor::from_slice(values).reshape(shape).to_device(device())
}

/// The values of a tensor, row-major.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(&tensor.contiguous().reshape([-1])).expect("a float tensor")
}

/// Eager in training mode without dropout, on parameters of its own in single or double precision.
pub struct Step<'a> {
    eager: Eager<'a>,
    tensors: BTreeMap<String, (Tensor, Role)>,
}

impl<'a> Step<'a> {
    /// The formula's parameters of a model of images of this side. `nobody` is a store that is never asked.
    pub fn new(nobody: &'a Params, spec: &ModelSpec, (side, classes): (i64, i64), kind: Kind) -> Self {
        let manifest = spec.manifest(classes, side).expect("a sound definition");
        let make = |(key, entry): (String, models::manifest::Entry)| {
            let values = synthetic::param(spec.name, &key, &entry.shape, entry.role);
            let trained = !matches!(entry.role, Role::Buffer | Role::Counter);
            let tensor = tensor(&values, &entry.shape).to_kind(kind).set_requires_grad(trained);
            (key, (tensor, entry.role))
        };
        Self { eager: Eager::new(nobody, Mode::Train), tensors: manifest.entries().into_iter().map(make).collect() }
    }

    /// Gradients of the parameters, by key.
    pub fn gradients(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.tensors.iter().filter(|(_, (t, _))| t.requires_grad()).map(|(key, (t, _))| (key.as_str(), t.grad()))
    }

    /// Running statistics, by key.
    pub fn buffers(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().filter(|(_, (_, role))| *role == Role::Buffer).map(|(key, (t, _))| (key.as_str(), t))
    }
}

impl Ops for Step<'_> {
    type T = T;

    fn param(&self, key: &str, _: &[i64], _: Init, _: Role) -> T {
        T::borrowed(&self.tensors[key].0)
    }

    fn dropout(&self, x: T, _: f64) -> T {
        x
    }

    fn constant(&self, values: &[f32], shape: &[i64]) -> T {
        self.eager.constant(values, shape)
    }

    fn conv2d(&self, x: &T, w: &T, b: Option<&T>, c: &Conv) -> T {
        self.eager.conv2d(x, w, b, c)
    }

    fn conv_transpose2d(&self, x: &T, w: &T, b: Option<&T>, stride: [i64; 2]) -> T {
        self.eager.conv_transpose2d(x, w, b, stride)
    }

    fn linear(&self, x: &T, w: &T, b: Option<&T>) -> T {
        self.eager.linear(x, w, b)
    }

    fn batch_norm(&self, x: &T, p: &BnParams<T>, bn: &Bn) -> T {
        self.eager.batch_norm(x, p, bn)
    }

    fn relu(&self, x: T) -> T {
        self.eager.relu(x)
    }

    fn clamp(&self, x: T, lo: f32, hi: f32) -> T {
        self.eager.clamp(x, lo, hi)
    }

    fn sigmoid(&self, x: &T) -> T {
        self.eager.sigmoid(x)
    }

    fn softmax(&self, x: &T, axis: i64) -> T {
        self.eager.softmax(x, axis)
    }

    fn add(&self, a: T, b: &T) -> T {
        self.eager.add(a, b)
    }

    fn sub(&self, a: T, b: &T) -> T {
        self.eager.sub(a, b)
    }

    fn mul(&self, a: T, b: &T) -> T {
        self.eager.mul(a, b)
    }

    fn max_pool(&self, x: &T, p: &Pool) -> T {
        self.eager.max_pool(x, p)
    }

    fn avg_pool(&self, x: &T, p: &Pool, count_include_pad: bool) -> T {
        self.eager.avg_pool(x, p, count_include_pad)
    }

    fn global_avg_pool(&self, x: &T) -> T {
        self.eager.global_avg_pool(x)
    }

    fn flatten(&self, x: &T, axis: i64) -> T {
        self.eager.flatten(x, axis)
    }

    fn transpose(&self, x: &T, perm: &[i64]) -> T {
        self.eager.transpose(x, perm)
    }

    fn cast(&self, x: &T, to: DType) -> T {
        self.eager.cast(x, to)
    }

    fn silu(&self, x: T) -> T {
        self.eager.silu(x)
    }

    fn gelu(&self, x: T) -> T {
        self.eager.gelu(x)
    }

    fn layer_norm(&self, x: &T, weight: &T, bias: &T, eps: f64) -> T {
        self.eager.layer_norm(x, weight, bias, eps)
    }

    fn attention(&self, q: &T, k: &T, v: &T) -> T {
        self.eager.attention(q, k, v)
    }

    fn exp(&self, x: &T) -> T {
        self.eager.exp(x)
    }

    fn div(&self, a: T, b: &T) -> T {
        self.eager.div(a, b)
    }

    fn max(&self, a: &T, b: &T) -> T {
        self.eager.max(a, b)
    }

    fn min(&self, a: &T, b: &T) -> T {
        self.eager.min(a, b)
    }

    fn greater_equal(&self, a: &T, b: &T) -> T {
        self.eager.greater_equal(a, b)
    }

    fn concat(&self, parts: &[&T], axis: i64) -> T {
        self.eager.concat(parts, axis)
    }

    fn split(&self, x: &T, axis: i64, parts: i64) -> Vec<T> {
        self.eager.split(x, axis, parts)
    }

    fn reshape(&self, x: &T, shape: &[i64]) -> T {
        self.eager.reshape(x, shape)
    }

    fn unflatten(&self, x: &T, like: &T) -> T {
        self.eager.unflatten(x, like)
    }

    fn slice(&self, x: &T, axis: i64, from: i64, to: i64) -> T {
        self.eager.slice(x, axis, from, to)
    }

    fn head(&self, x: &T, count: &T) -> T {
        self.eager.head(x, count)
    }

    fn resize_nearest_like(&self, x: &T, like: &T) -> T {
        self.eager.resize_nearest_like(x, like)
    }

    fn meshgrid(&self, x: &T) -> T {
        self.eager.meshgrid(x)
    }

    fn lengths(&self, x: &T, axes: &[i64]) -> T {
        self.eager.lengths(x, axes)
    }

    fn integers(&self, values: &[i64], shape: &[i64]) -> T {
        self.eager.integers(values, shape)
    }

    fn repeat(&self, x: &T, like: &T) -> T {
        self.eager.repeat(x, like)
    }

    fn topk(&self, x: &T, k: i64) -> (T, T) {
        self.eager.topk(x, k)
    }

    fn gather(&self, x: &T, index: &T) -> T {
        self.eager.gather(x, index)
    }

    fn one_hot(&self, index: &T, classes: i64) -> T {
        self.eager.one_hot(index, classes)
    }

    fn sum(&self, x: &T, axis: i64) -> T {
        self.eager.sum(x, axis)
    }

    fn norm(&self, x: &T, axes: &[i64]) -> T {
        self.eager.norm(x, axes)
    }

    fn nms(&self, boxes: &T, scores: &T, p: &Nms<T>) -> Selected<T> {
        self.eager.nms(boxes, scores, p)
    }

    fn roi_align(&self, levels: &[T], rois: &T, r: &RoiAlign) -> T {
        self.eager.roi_align(levels, rois, r)
    }

    fn detach(&self, x: &T) -> T {
        self.eager.detach(x)
    }
}

/// The parameters of a network as an export reads them.
pub struct Weights<'a>(pub &'a Network);

impl ParamSource for Weights<'_> {
    fn parameter(&self, key: &str, shape: &[i64]) -> Result<Vec<u8>, ParamError> {
        let missing = || ParamError::Missing { key: key.to_owned() };
        let (_, param) = self.0.params.iter().find(|(k, _)| *k == key).ok_or_else(missing)?;
        assert!(param.role != Role::Counter && param.tensor.size() == shape, "{key}");
        Ok(floats(&param.tensor).into_iter().flat_map(f32::to_le_bytes).collect())
    }
}
