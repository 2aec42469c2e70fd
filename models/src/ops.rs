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
    /// 64-bit float: for geometry that the host computes so. No definition uses it.
    F64,
}

/// How a parameter starts when no weights are loaded. `fan_in` and `fan_out` are PyTorch's: the product of all
/// dimensions but the first (second), receptive field included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// 0 everywhere.
    Zeros,
    /// 1 everywhere.
    Ones,
    /// This value everywhere.
    Constant(f64),
    /// Normal, mean 0, this standard deviation.
    Normal(f64),
    /// Uniform in `[-bound, bound)`.
    Uniform(f64),
    /// Normal with standard deviation `sqrt(2 / fan_out)` (He et al. 2015, for ReLU).
    KaimingFanOut,
    /// These values, row-major, as many as the parameter has.
    Values(&'static [f32]),
    /// Bias of a detection layer that predicts `outputs` numbers per anchor: 4 of a box, an objectness logit, and one
    /// logit per class. Uniform in `[-bound, bound)`; each group of `outputs` then gets `objectness` added at index 4
    /// and `class` at 5 and up, so that training starts from the share of objects that is expected (a prior, as in
    /// Lin et al. 2017, section 4.1). `outputs` divides the number of elements.
    Detect {
        /// Bound of the uniform part.
        bound: f64,
        /// Added to the objectness logit.
        objectness: f64,
        /// Added to every class logit.
        class: f64,
        /// Numbers per anchor: 5 and the number of classes.
        outputs: i64,
    },
}

/// What a parameter is for; decides weight decay and what the optimizer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Convolution or matrix weight: trained, decayed.
    Weight,
    /// Bias of a convolution or matrix: trained, not decayed.
    Bias,
    /// Scale of a normalisation, or of what a branch adds: trained, not decayed.
    NormWeight,
    /// Shift of a normalisation: trained, not decayed.
    NormBias,
    /// What is learned of an input itself (class token, position embedding): trained, not decayed.
    Embedding,
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

/// Greedy non-maximum suppression, see [`Ops::nms`].
#[derive(Clone, Debug)]
pub struct Nms<T> {
    /// F32 `[1]` in `[0, 1]`: a box that overlaps a kept one by more than this (intersection over union) is dropped. A
    /// value rather than a number, so that a caller of the exported file can set it.
    pub iou_threshold: T,
    /// F32 `[1]`: only scores above this are candidates.
    pub score_threshold: T,
    /// Largest number of results per image, at least 1.
    pub cap: i64,
}

/// What [`Ops::nms`] keeps: for each of N images the best D, in descending order of score, then padding.
#[derive(Clone, Debug)]
pub struct Selected<T> {
    /// F32 `[N, D]`; 0 in padding.
    pub scores: T,
    /// I64 `[N, D]`; -1 in padding.
    pub classes: T,
    /// I64 `[N, D]`: row among the boxes of the image; 0 in padding, so that it can be looked up.
    pub rows: T,
}

/// Pooling of regions from a pyramid of features, see [`Ops::roi_align`].
#[derive(Clone, Debug, PartialEq)]
pub struct RoiAlign {
    /// Height and width of the result, in bins.
    pub output: i64,
    /// Samples per bin in each direction, at least 1.
    pub sampling: i64,
    /// For each level, how many of its pixels one pixel of the image is (1/4, 1/8, ...).
    pub scales: Vec<f64>,
    /// Side of the square region, in pixels of the image, that belongs to `canonical_level`.
    pub canonical_size: f64,
    /// Level of a region of `canonical_size`.
    pub canonical_level: i64,
    /// What the first level is called (2 for the feature map of stride 4).
    pub first_level: i64,
}

impl RoiAlign {
    /// The smallest area, in squared pixels, that each level but the first takes. With
    /// `level(area) = floor(canonical_level + log2(sqrt(area) / canonical_size) + 1e-6)`, clamped to the levels there
    /// are (Lin et al. 2017, "Feature Pyramid Networks", equation 1; the small number is torchvision's), `level(area) >= l`
    /// holds exactly when `area >= (canonical_size * 2^(l - canonical_level - 1e-6))^2`. Comparing needs no logarithm,
    /// of which every runtime has its own last digit.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "levels are few, areas are f32")]
    pub fn area_bounds(&self) -> Vec<f32> {
        let bound = |level: usize| {
            let exponent = level as f64 + (self.first_level - self.canonical_level) as f64 - 1e-6;
            (self.canonical_size * exponent.exp2()).powi(2) as f32
        };
        (1..self.scales.len()).map(bound).collect()
    }
}

/// The operations. `[N, C, H, W]` is the order of image tensors whatever their layout in memory; `N` may be 0 in
/// every method, and so may any number of boxes. A method that takes a tensor by value may reuse its storage. Axes count
/// from the end when they are negative. What is said to broadcast does so as in NumPy.
pub trait Ops {
    /// A tensor, a graph value, or a shape.
    type T: Clone;

    /// The parameter under `key`. Asking twice gives the same parameter.
    fn param(&self, key: &str, shape: &[i64], init: Init, role: Role) -> Self::T;

    /// A float constant. `values` is row-major and as long as the product of `shape`.
    fn constant(&self, values: &[f32], shape: &[i64]) -> Self::T;

    /// ONNX `Conv`: `x [N, Cin, H, W]`, `w [Cout, Cin / groups, kh, kw]`, `b [Cout]`; cross-correlation.
    fn conv2d(&self, x: &Self::T, w: &Self::T, b: Option<&Self::T>, c: &Conv) -> Self::T;

    /// ONNX `ConvTranspose` without padding: `x [N, Cin, H, W]`, `w [Cin, Cout, kh, kw]`, `b [Cout]`; each value of `x` adds
    /// itself times the kernel to a window, `stride` apart, of `[N, Cout, (H - 1) * stride + kh, (W - 1) * stride + kw]`.
    /// H and W are at least 1.
    fn conv_transpose2d(&self, x: &Self::T, w: &Self::T, b: Option<&Self::T>, stride: [i64; 2]) -> Self::T;

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

    /// ONNX `Softmax` over one axis (negative counts from the end).
    fn softmax(&self, x: &Self::T, axis: i64) -> Self::T;

    /// ONNX `Add` with NumPy broadcasting.
    fn add(&self, a: Self::T, b: &Self::T) -> Self::T;

    /// ONNX `Sub` with NumPy broadcasting.
    fn sub(&self, a: Self::T, b: &Self::T) -> Self::T;

    /// ONNX `Mul` with NumPy broadcasting.
    fn mul(&self, a: Self::T, b: &Self::T) -> Self::T;

    /// ONNX `MaxPool` over `[N, C, H, W]`.
    fn max_pool(&self, x: &Self::T, p: &Pool) -> Self::T;

    /// ONNX `AveragePool` over `[N, C, H, W]`. Padding is the same on opposite sides and at most half the window. The mean is
    /// over the pixels of the window and, with `count_include_pad`, over the zeros of the padding too; what a rounded-up size
    /// adds beyond both is never counted. `count_include_pad` with `ceil` is refused: runtimes disagree about it.
    fn avg_pool(&self, x: &Self::T, p: &Pool, count_include_pad: bool) -> Self::T;

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

    /// `x * sigmoid(x)` (Elfwing et al. 2017; "swish"), float: ONNX `Sigmoid` and `Mul`.
    fn silu(&self, x: Self::T) -> Self::T;

    /// `x * Phi(x)`, float, with Phi the distribution function of the standard normal, not one of its approximations
    /// (Hendrycks and Gimpel 2016): ONNX `Erf` and arithmetic, since `Gelu` is younger than the opset that is written.
    fn gelu(&self, x: Self::T) -> Self::T;

    /// ONNX `LayerNormalization` over the last axis of `x [.., C]`: `(x - mean) / sqrt(var + eps) * weight + bias` with mean
    /// and (biased) variance of the C values; weight and bias `[C]`.
    fn layer_norm(&self, x: &Self::T, weight: &Self::T, bias: &Self::T, eps: f64) -> Self::T;

    /// Scaled dot-product attention without a mask (Vaswani et al. 2017, section 3.2.1): `softmax(q kᵀ / sqrt(C)) v` for each
    /// image and head. `q [N, heads, L, C]`, `k [N, heads, M, C]`, `v [N, heads, M, D]`, M at least 1: `[N, heads, L, D]`.
    /// One fused kernel on libtorch; ONNX: `MatMul`, `Softmax`, `MatMul`, which every runtime has.
    fn attention(&self, q: &Self::T, k: &Self::T, v: &Self::T) -> Self::T;

    /// ONNX `Exp`: e to the power of each element, float.
    fn exp(&self, x: &Self::T) -> Self::T;

    /// ONNX `Div`, broadcasting. I64 truncates towards zero, and dividing by 0 is undefined.
    fn div(&self, a: Self::T, b: &Self::T) -> Self::T;

    /// ONNX `Max` of two, element by element, broadcasting; F32 or I64. NaN wins.
    fn max(&self, a: &Self::T, b: &Self::T) -> Self::T;

    /// ONNX `Min` of two, element by element, broadcasting; F32 or I64. NaN wins.
    fn min(&self, a: &Self::T, b: &Self::T) -> Self::T;

    /// 1.0 where `a >= b`, otherwise, and where either is NaN, 0.0; broadcasting. F32 or I64 in, F32 out. ONNX
    /// `GreaterOrEqual` and `Cast`. It has no gradient.
    fn greater_equal(&self, a: &Self::T, b: &Self::T) -> Self::T;

    /// ONNX `Concat` of at least one part, of one element type; all lengths but that of `axis` are equal.
    fn concat(&self, parts: &[&Self::T], axis: i64) -> Self::T;

    /// ONNX `Split` of one axis into this many parts of equal length, at least one; the length is known and divisible.
    fn split(&self, x: &Self::T, axis: i64, parts: i64) -> Vec<Self::T>;

    /// ONNX `Reshape`: the same elements, row-major, in another shape. A 0 in `shape` copies the length of `x` at the
    /// same place. One -1 is inferred: the lengths of `x` that are not copied, multiplied, divided by the positive ones of
    /// `shape`, multiplied. So unlike in ONNX, -1 is well defined beside a copied length that is 0.
    fn reshape(&self, x: &Self::T, shape: &[i64]) -> Self::T;

    /// `x [N * P, ..]` as `[N, P, ..]`, with N and P the first two lengths of `like [N, P, ..]` (ONNX `Shape` and `Reshape`).
    fn unflatten(&self, x: &Self::T, like: &Self::T) -> Self::T;

    /// ONNX `Slice` of one axis: elements `from` up to but not including `to`. Negative positions count from the end,
    /// and positions beyond either end mean that end; `i64::MAX` is the end.
    fn slice(&self, x: &Self::T, axis: i64, from: i64, to: i64) -> Self::T;

    /// The first `count` positions along axis 1 of `x [N, M, ..]`, all if there are fewer. `count` is I64 `[1]` and not
    /// negative; it may depend on values (ONNX `Slice`). A shape that is known beforehand is that of all.
    fn head(&self, x: &Self::T, count: &Self::T) -> Self::T;

    /// `x [N, C, h, w]` at the height and width of `like [_, _, H, W]`, float: element `i` of an axis is element
    /// `floor(i * old / new)`. PyTorch's `nearest`, ONNX `Resize` with `nearest`, `asymmetric`, `floor`. Both compute the
    /// ratio in float32, so where `i * old / new` is a whole number and the ratio no float32, the neighbour below may be
    /// taken; with new = 2 old or 2 old - 1, as in a pyramid, that cannot happen.
    fn resize_nearest_like(&self, x: &Self::T, like: &Self::T) -> Self::T;

    /// F32 `[H * W, 2]` of `x [N, C, H, W]`: column and row of each cell, row by row. Only the shape of `x` counts.
    fn meshgrid(&self, x: &Self::T) -> Self::T;

    /// I64 `[axes.len()]`: the lengths of these axes of `x`, as a value (ONNX `Shape` and `Gather`).
    fn lengths(&self, x: &Self::T, axes: &[i64]) -> Self::T;

    /// An integer constant. `values` is row-major and as long as the product of `shape`.
    fn integers(&self, values: &[i64], shape: &[i64]) -> Self::T;

    /// `x [1, ..]` as `[N, ..]`, N times the same, with N the first length of `like` (ONNX `Expand`).
    fn repeat(&self, x: &Self::T, like: &Self::T) -> Self::T;

    /// Of each row of `x`, F32 `[N, M]` without NaN: its `min(k, M)` largest values in descending order, and where they
    /// were (I64); both `[N, min(k, M)]`. Of equal values the one of lower index comes first (ONNX `TopK` as ONNX Runtime
    /// does it). `k` is not negative.
    fn topk(&self, x: &Self::T, k: i64) -> (Self::T, Self::T);

    /// Of each image of `x [N, M, ..]` the rows `index`, I64 `[N, K]`: `[N, K, ..]` (ONNX `GatherND` with one batch
    /// dimension). An index outside `[0, M)` is undefined.
    fn gather(&self, x: &Self::T, index: &Self::T) -> Self::T;

    /// F32 `[.., classes]` of `index`, I64 `[..]`: 1.0 at the index, 0.0 elsewhere. An index outside `[0, classes)` gives
    /// zeros (in ONNX's own `OneHot`, -1 would be the last class).
    fn one_hot(&self, index: &Self::T, classes: i64) -> Self::T;

    /// ONNX `ReduceSum` over one axis, which goes; F32 or I64. The sum of nothing is 0.
    fn sum(&self, x: &Self::T, axis: i64) -> Self::T;

    /// ONNX `ReduceL2` over these axes, at least one and none of length 0, which stay with length 1: the root of the sum of
    /// squares, float. Where that is 0 so is its gradient.
    fn norm(&self, x: &Self::T, axes: &[i64]) -> Self::T;

    /// Greedy non-maximum suppression, per image and class. `boxes` is F32 `[N, B, 4]` (x1, y1, x2, y2, with x1 <= x2 and
    /// y1 <= y2), `scores` F32 `[N, C, B]`. Candidates are scores above the threshold. Within an image and a class, in
    /// descending order of score (of equal ones the lower row first), a candidate is kept unless its intersection over
    /// union with a kept one exceeds the threshold; boxes without area overlap nothing. All that an image keeps,
    /// whatever its class, is sorted by descending score (of equal ones the lower `class * B + row` first) and cut to
    /// D = min(cap, C * B); images with fewer are padded. NaN scores are no candidates. It has no gradient.
    ///
    /// ONNX: `NonMaxSuppression`, whose order is open, then the scores scattered to `[N, C, B]` and `TopK`.
    fn nms(&self, boxes: &Self::T, scores: &Self::T, p: &Nms<Self::T>) -> Selected<Self::T>;

    /// `[N * P, C, output, output]`: the features under each region. `levels` are float maps `[N, C, H, W]` of the same
    /// images at `scales`, `rois` F32 `[N, P, 4]` (x1, y1, x2, y2 in pixels of the image); row `n * P + p` of the result
    /// is region `p` of image `n`, from the level that [`RoiAlign::area_bounds`] tells. He et al. 2017, section 3, as
    /// torchvision does it with `aligned=False`: the region, scaled to the level and at least one of its pixels wide and
    /// high, is cut into bins; a bin is the mean of `sampling * sampling` bilinear samples at the centres of its equal
    /// parts; a sample further than one pixel outside the map is 0, one up to that is taken at the border.
    ///
    /// The gradient goes to the features alone. ONNX: one `RoiAlign` (`output_half_pixel`) per level over its own regions.
    fn roi_align(&self, levels: &[Self::T], rois: &Self::T, r: &RoiAlign) -> Self::T;

    /// The same values, of which no gradient flows back (Eager only).
    fn detach(&self, x: &Self::T) -> Self::T;
}
