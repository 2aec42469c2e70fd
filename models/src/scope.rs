//! `Scope`: a place in the state dict, and the layers that every family uses.

use std::fmt::Display;

use crate::ops::{Bn, BnParams, Conv, Init, Ops, Padding, Role};

/// An interpreter together with a key prefix. Parameters asked for through a scope live under `prefix.name`.
pub struct Scope<'a, B> {
    ops: &'a B,
    path: String,
}

impl<'a, B: Ops> Scope<'a, B> {
    /// The root of a state dict.
    pub fn root(ops: &'a B) -> Self {
        Self { ops, path: String::new() }
    }

    /// The interpreter.
    #[must_use]
    pub fn ops(&self) -> &'a B {
        self.ops
    }

    /// The scope `prefix.name`. `name` may be a number or contain dots.
    #[must_use]
    pub fn sub(&self, name: impl Display) -> Self {
        Self { ops: self.ops, path: self.key(name) }
    }

    fn key(&self, name: impl Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }

    /// The parameter `prefix.name`.
    pub fn param(&self, name: &str, shape: &[i64], init: Init, role: Role) -> B::T {
        self.ops.param(&self.key(name), shape, init, role)
    }
}

/// Shape of a bias-free convolution: square kernel, input and output channels.
#[derive(Clone, Copy, Debug)]
pub struct ConvSpec {
    /// Input channels.
    pub cin: i64,
    /// Output channels.
    pub cout: i64,
    /// Kernel side.
    pub kernel: i64,
    /// Stride in both directions.
    pub stride: i64,
    /// Groups.
    pub groups: i64,
    /// Padding; `None` is `kernel / 2` on every side.
    pub padding: Option<Padding>,
}

impl ConvSpec {
    /// Stride 1, one group, padding `kernel / 2`.
    #[must_use]
    pub const fn new(cin: i64, cout: i64, kernel: i64) -> Self {
        Self { cin, cout, kernel, stride: 1, groups: 1, padding: None }
    }

    /// With this stride.
    #[must_use]
    pub const fn stride(mut self, stride: i64) -> Self {
        self.stride = stride;
        self
    }

    /// With this many groups.
    #[must_use]
    pub const fn groups(mut self, groups: i64) -> Self {
        self.groups = groups;
        self
    }

    /// With this padding.
    #[must_use]
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = Some(padding);
        self
    }
}

impl ConvSpec {
    /// The operation that it describes.
    #[must_use]
    pub fn conv(&self) -> Conv {
        let padding = self.padding.unwrap_or(Padding::all(self.kernel / 2));
        Conv { stride: [self.stride; 2], padding, groups: self.groups }
    }
}

/// The parameter `weight` of a convolution.
pub fn conv_weight<B: Ops>(s: &Scope<B>, c: ConvSpec, init: Init) -> B::T {
    s.param("weight", &[c.cout, c.cin / c.groups, c.kernel, c.kernel], init, Role::Weight)
}

/// A convolution without bias: parameter `weight`, initialised `KaimingFanOut`.
pub fn conv<B: Ops>(s: &Scope<B>, x: &B::T, c: ConvSpec) -> B::T {
    s.ops().conv2d(x, &conv_weight(s, c, Init::KaimingFanOut), None, &c.conv())
}

/// A convolution with bias whose parameters are asked for before it is used: where the published order of keys is not
/// the order of computation.
pub struct BiasedConv<T> {
    weight: T,
    bias: T,
    conv: Conv,
}

impl<T: Clone> BiasedConv<T> {
    /// Parameters `weight` and `bias`.
    pub fn ask<B: Ops<T = T>>(s: &Scope<B>, c: ConvSpec, weight: Init, bias: Init) -> Self {
        let weight = conv_weight(s, c, weight);
        Self { weight, bias: s.param("bias", &[c.cout], bias, Role::Bias), conv: c.conv() }
    }

    /// The convolution of `x`.
    pub fn apply<B: Ops<T = T>>(&self, o: &B, x: &T) -> T {
        o.conv2d(x, &self.weight, Some(&self.bias), &self.conv)
    }
}

/// A convolution with bias: parameters `weight` and `bias`, initialised so.
pub fn biased_conv<B: Ops>(s: &Scope<B>, x: &B::T, c: ConvSpec, weight: Init, bias: Init) -> B::T {
    BiasedConv::ask(s, c, weight, bias).apply(s.ops(), x)
}

/// What a batch normalisation does in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Scale and shift are trained, statistics follow the batches.
    Batch,
    /// All four tensors are constants, and batches are not counted (torchvision's `FrozenBatchNorm2d`).
    Frozen,
}

/// The parameters of a batch normalisation over `channels`: `weight`, `bias`, `running_mean`, `running_var`, and, unless
/// it is frozen, `num_batches_tracked`.
pub fn bn_params<B: Ops>(s: &Scope<B>, channels: i64, norm: Norm) -> BnParams<B::T> {
    bn_params_from(s, channels, norm, Init::Ones)
}

/// As [`bn_params`], with a scale that starts so.
pub fn bn_params_from<B: Ops>(s: &Scope<B>, channels: i64, norm: Norm, scale: Init) -> BnParams<B::T> {
    let (weight, bias) = match norm {
        Norm::Batch => (Role::NormWeight, Role::NormBias),
        Norm::Frozen => (Role::Buffer, Role::Buffer),
    };
    let p = BnParams {
        weight: s.param("weight", &[channels], scale, weight),
        bias: s.param("bias", &[channels], Init::Zeros, bias),
        mean: s.param("running_mean", &[channels], Init::Zeros, Role::Buffer),
        var: s.param("running_var", &[channels], Init::Ones, Role::Buffer),
    };
    if norm == Norm::Batch {
        s.param("num_batches_tracked", &[], Init::Zeros, Role::Counter);
    }
    p
}

/// A trained batch normalisation over `channels`.
pub fn batch_norm<B: Ops>(s: &Scope<B>, x: &B::T, channels: i64, bn: &Bn) -> B::T {
    s.ops().batch_norm(x, &bn_params(s, channels, Norm::Batch), bn)
}

/// A trained batch normalisation at the end of a residual branch, whose scale starts at 0 so that the block starts as the
/// identity (Goyal et al. 2017, section 5.1).
pub fn last_batch_norm<B: Ops>(s: &Scope<B>, x: &B::T, channels: i64, bn: &Bn) -> B::T {
    s.ops().batch_norm(x, &bn_params_from(s, channels, Norm::Batch, Init::Zeros), bn)
}

/// A layer normalisation over the last axis of `x [.., width]`: `weight` and `bias`.
pub fn layer_norm<B: Ops>(s: &Scope<B>, x: &B::T, width: i64, eps: f64) -> B::T {
    let weight = s.param("weight", &[width], Init::Ones, Role::NormWeight);
    let bias = s.param("bias", &[width], Init::Zeros, Role::NormBias);
    s.ops().layer_norm(x, &weight, &bias, eps)
}

/// PyTorch's default for the bias (and weight) of a layer whose outputs each see `fan_in` values.
#[must_use]
pub fn uniform_of_fan_in(fan_in: i64) -> Init {
    #[expect(clippy::cast_precision_loss, reason = "layer widths are far below 2^52")]
    Init::Uniform(1.0 / (fan_in as f64).sqrt())
}

/// A 1x1 convolution with bias, in the usual initialisation of convolutions: weight `KaimingFanOut`, bias PyTorch's.
pub fn pointwise<B: Ops>(s: &Scope<B>, x: &B::T, cin: i64, cout: i64) -> B::T {
    biased_conv(s, x, ConvSpec::new(cin, cout, 1), Init::KaimingFanOut, uniform_of_fan_in(cin))
}

/// A fully connected layer `[N, cin] -> [N, cout]`: `weight` and `bias`. `weight_init` is the family's; `None` is
/// PyTorch's default, uniform within `1 / sqrt(cin)`, for weight and bias alike.
pub fn linear<B: Ops>(s: &Scope<B>, x: &B::T, cin: i64, cout: i64, weight_init: Option<Init>) -> B::T {
    let default = uniform_of_fan_in(cin);
    let bias_init = if weight_init.is_some() { Init::Zeros } else { default };
    let w = s.param("weight", &[cout, cin], weight_init.unwrap_or(default), Role::Weight);
    let b = s.param("bias", &[cout], bias_init, Role::Bias);
    s.ops().linear(x, &w, Some(&b))
}
