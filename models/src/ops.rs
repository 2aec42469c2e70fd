//! `trait Ops`: the operations that architectures are written in.
//!
//! One method per operation at ONNX granularity. Three interpreters exist: [`crate::manifest::Manifest`] (keys, shapes,
//! cost), the trainer's `Eager` (libtorch, with autograd) and the exporter's `Builder` (ONNX nodes). **No method returns
//! a number or a bool**, so a definition cannot branch on data, freeze a size, or know that it is being exported.
//!
//! A new operation: read its ONNX page, write the semantics here, add case rows, fill three bodies.

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// Unsigned byte.
    U8,
    /// 64-bit signed integer.
    I64,
}

/// How a parameter starts when no weights are loaded. `fan_in` and `fan_out` are PyTorch's: the product of all
/// dimensions but the first (second), receptive field included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// 0 everywhere.
    Zeros,
    /// 1 everywhere.
    Ones,
    /// Normal, mean 0, this standard deviation.
    Normal(f64),
    /// Uniform in `[-bound, bound)`.
    Uniform(f64),
    /// Normal with standard deviation `sqrt(2 / fan_out)` (He et al. 2015, for ReLU).
    KaimingFanOut,
}

/// What a parameter is for; decides weight decay and what the optimiser sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Convolution or matrix weight: trained, decayed.
    Weight,
    /// Bias of a convolution or matrix: trained, not decayed.
    Bias,
    /// Scale of a normalisation: trained, not decayed.
    NormWeight,
    /// Shift of a normalisation: trained, not decayed.
    NormBias,
    /// Running statistic: not trained, saved.
    Buffer,
    /// Integer scalar kept for strict loading elsewhere (`num_batches_tracked`): saved, never read by the network.
    Counter,
}

/// Zero padding of a 2-D window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Top, left, bottom, right (ONNX order).
    Explicit([i64; 4]),
    /// TensorFlow's SAME, ONNX `SAME_UPPER`: `out = ceil(in / stride)`; the odd element goes to the bottom and right.
    SameUpper,
}

impl Padding {
    /// The same amount on every side.
    #[must_use]
    pub const fn all(p: i64) -> Self {
        Self::Explicit([p; 4])
    }
}

/// A 2-D convolution; kernel size comes from the weight. Dilation is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Step in height and width.
    pub stride: [i64; 2],
    /// Zero padding.
    pub padding: Padding,
    /// Input and output channels are split into this many independent groups.
    pub groups: i64,
}

/// A 2-D pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Height and width.
    pub kernel: [i64; 2],
    /// Step in height and width.
    pub stride: [i64; 2],
    /// Padding; padded positions never win a maximum.
    pub padding: Padding,
    /// Whether the output size is rounded up.
    pub ceil: bool,
}

/// Batch normalisation constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bn {
    /// Added to the variance.
    pub eps: f64,
    /// Share of the batch statistic in the new running statistic (PyTorch's convention; ONNX's is 1 minus this).
    pub momentum: f64,
}

/// Parameters of a batch normalisation, each `[C]`.
#[derive(Clone, Debug)]
pub struct BnParams<T> {
    /// Scale (gamma).
    pub weight: T,
    /// Shift (beta).
    pub bias: T,
    /// Running mean.
    pub mean: T,
    /// Running variance.
    pub var: T,
}

/// The operations. `[N, C, H, W]` is the order of image tensors whatever their layout in memory; `N` may be 0 in
/// every method. A method that takes a tensor by value may reuse its storage.
pub trait Ops {
    /// A tensor, a graph value, or a shape.
    type T: Clone;

    /// The parameter under `key`. Asking twice gives the same parameter.
    fn param(&self, key: &str, shape: &[i64], init: Init, role: Role) -> Self::T;

    /// A float constant. `values` is row-major and as long as the product of `shape`.
    fn constant(&self, values: &[f32], shape: &[i64]) -> Self::T;

    /// ONNX `Conv`: `x [N, Cin, H, W]`, `w [Cout, Cin / groups, kh, kw]`, `b [Cout]`; cross-correlation.
    fn conv2d(&self, x: &Self::T, w: &Self::T, b: Option<&Self::T>, c: &Conv) -> Self::T;

    /// ONNX `Gemm` with `transB = 1`: `x [N, I]`, `w [O, I]`, `b [O]`; `x wᵀ + b`.
    fn linear(&self, x: &Self::T, w: &Self::T, b: Option<&Self::T>) -> Self::T;

    /// ONNX `BatchNormalization` over axis 1 of `[N, C, H, W]`. Evaluation: `(x - mean) / sqrt(var + eps) * weight +
    /// bias`. Training (Eager only): batch statistics (biased variance) normalise, and running statistics move towards
    /// them by `momentum`, with the unbiased variance as PyTorch does (ONNX training mode uses the biased one).
    fn batch_norm(&self, x: &Self::T, p: &BnParams<Self::T>, bn: &Bn) -> Self::T;

    /// ONNX `Relu`: `max(x, 0)`; NaN stays NaN.
    fn relu(&self, x: Self::T) -> Self::T;

    /// ONNX `Clip` with both bounds: `min(max(x, lo), hi)`. The gradient is 0 outside the bounds.
    fn clamp(&self, x: Self::T, lo: f32, hi: f32) -> Self::T;

    /// ONNX `Sigmoid`.
    fn sigmoid(&self, x: &Self::T) -> Self::T;

    /// ONNX `Softmax` over one axis (negative counts from the end), in float32.
    fn softmax(&self, x: &Self::T, axis: i64) -> Self::T;

    /// ONNX `Add` with NumPy broadcasting.
    fn add(&self, a: Self::T, b: &Self::T) -> Self::T;

    /// ONNX `Sub` with NumPy broadcasting.
    fn sub(&self, a: Self::T, b: &Self::T) -> Self::T;

    /// ONNX `Mul` with NumPy broadcasting.
    fn mul(&self, a: Self::T, b: &Self::T) -> Self::T;

    /// ONNX `MaxPool` over `[N, C, H, W]`.
    fn max_pool(&self, x: &Self::T, p: &Pool) -> Self::T;

    /// ONNX `GlobalAveragePool`: `[N, C, H, W] -> [N, C, 1, 1]`.
    fn global_avg_pool(&self, x: &Self::T) -> Self::T;

    /// ONNX `Flatten`: dimensions before `axis` become the first, the rest the second.
    fn flatten(&self, x: &Self::T, axis: i64) -> Self::T;

    /// ONNX `Transpose`.
    fn transpose(&self, x: &Self::T, perm: &[i64]) -> Self::T;

    /// ONNX `Cast`. Float to integer truncates towards zero; out of range is undefined.
    fn cast(&self, x: &Self::T, to: DType) -> Self::T;

    /// ONNX `Dropout`: identity, except that in training (Eager only) each element is zeroed with probability `p` and
    /// the rest is scaled by `1 / (1 - p)`.
    fn dropout(&self, x: Self::T, p: f64) -> Self::T;
}
