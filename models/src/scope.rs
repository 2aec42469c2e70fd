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

/// A convolution without bias: parameter `weight`, initialised `KaimingFanOut`.
pub fn conv<B: Ops>(s: &Scope<B>, x: &B::T, c: ConvSpec) -> B::T {
    let w = s.param("weight", &[c.cout, c.cin / c.groups, c.kernel, c.kernel], Init::KaimingFanOut, Role::Weight);
    let padding = c.padding.unwrap_or(Padding::all(c.kernel / 2));
    s.ops().conv2d(x, &w, None, &Conv { stride: [c.stride; 2], padding, groups: c.groups })
}

/// A batch normalisation over `channels`: `weight`, `bias`, `running_mean`, `running_var`, `num_batches_tracked`.
pub fn batch_norm<B: Ops>(s: &Scope<B>, x: &B::T, channels: i64, bn: &Bn) -> B::T {
    let p = BnParams {
        weight: s.param("weight", &[channels], Init::Ones, Role::NormWeight),
        bias: s.param("bias", &[channels], Init::Zeros, Role::NormBias),
        mean: s.param("running_mean", &[channels], Init::Zeros, Role::Buffer),
        var: s.param("running_var", &[channels], Init::Ones, Role::Buffer),
    };
    s.param("num_batches_tracked", &[], Init::Zeros, Role::Counter);
    s.ops().batch_norm(x, &p, bn)
}

/// A fully connected layer `[N, cin] -> [N, cout]`: `weight` and `bias`. `weight_init` is the family's; `None` is
/// PyTorch's default, uniform within `1 / sqrt(cin)`, for weight and bias alike.
pub fn linear<B: Ops>(s: &Scope<B>, x: &B::T, cin: i64, cout: i64, weight_init: Option<Init>) -> B::T {
    #[expect(clippy::cast_precision_loss, reason = "layer widths are far below 2^52")]
    let default = Init::Uniform(1.0 / (cin as f64).sqrt());
    let bias_init = if weight_init.is_some() { Init::Zeros } else { default };
    let w = s.param("weight", &[cout, cin], weight_init.unwrap_or(default), Role::Weight);
    let b = s.param("bias", &[cout], bias_init, Role::Bias);
    s.ops().linear(x, &w, Some(&b))
}
