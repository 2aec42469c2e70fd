//! ConvNeXt V2 (Woo et al. 2023, arXiv:2301.00808): the blocks of ConvNeXt (Liu et al. 2022, arXiv:2201.03545) with global
//! response normalisation in place of a factor for each branch. Keys are timm's (`convnextv2_atto` and its larger sisters).

use super::classified::Classified;
use crate::ops::{Init, Ops, Padding, Role};
use crate::scope::{ConvSpec, Scope, biased_conv, layer_norm, linear};

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Blocks of the four stages.
    pub depths: [i64; 4],
    /// Channels of the first stage; each further one has twice as many.
    pub width: i64,
    /// Whether the two layers between channels in a block are published as matrices, as the larger networks have them, or
    /// as 1x1 convolutions.
    pub matrices: bool,
}

/// Added to the variance in layer normalisation.
const EPS: f64 = 1e-6;
/// How many times the channels of a block are inside of it.
const EXPANSION: i64 = 4;
/// Weights of convolutions and matrices.
const WEIGHT: Init = Init::Normal(0.02);

/// Layer normalisation over the channels of each pixel of `x [N, width, H, W]`. In NHWC memory turning moves nothing.
fn channel_norm<B: Ops>(s: &Scope<B>, x: &B::T, width: i64) -> B::T {
    let o = s.ops();
    let rows = layer_norm(s, &o.transpose(x, &[0, 2, 3, 1]), width, EPS);
    o.transpose(&rows, &[0, 3, 1, 2])
}

/// Squares of `side` pixels that do not overlap, each as one pixel; what is left over is not seen.
fn patches<B: Ops>(s: &Scope<B>, x: &B::T, cin: i64, cout: i64, side: i64) -> B::T {
    let spec = ConvSpec::new(cin, cout, side).stride(side).padding(Padding::all(0));
    biased_conv(s, x, spec, WEIGHT, Init::Zeros)
}

/// A layer between channels, the same at every pixel.
fn mix<B: Ops>(s: &Scope<B>, x: &B::T, spec: ConvSpec, matrices: bool) -> B::T {
    if !matrices {
        return biased_conv(s, x, spec, WEIGHT, Init::Zeros);
    }
    let o = s.ops();
    let weight = s.param("weight", &[spec.cout, spec.cin], WEIGHT, Role::Weight);
    let bias = s.param("bias", &[spec.cout], Init::Zeros, Role::Bias);
    o.conv2d(x, &o.reshape(&weight, &[0, 0, 1, 1]), Some(&bias), &spec.conv())
}

/// Global response normalisation (section 4 of the paper) of `x [N, width, H, W]`: how strongly a channel responds to an
/// image, beside the mean of all channels, scales it. It starts as the identity.
fn response_norm<B: Ops>(s: &Scope<B>, x: B::T, width: i64) -> B::T {
    let o = s.ops();
    let each = |name: &str, role| o.reshape(&s.param(name, &[width], Init::Zeros, role), &[-1, 1, 1]);
    let (weight, bias) = (each("weight", Role::NormWeight), each("bias", Role::NormBias));
    let number = |value: f32| o.constant(&[value], &[1, 1, 1, 1]);
    let response = o.norm(&x, &[2, 3]);
    // The channels as one tall image, whose mean is theirs.
    let mean = o.global_avg_pool(&o.reshape(&response, &[0, 1, -1, 1]));
    let share = o.div(response, &o.add(mean, &number(1e-6)));
    // `x + weight * (x * share) + bias`, with two passes over `x` in place of four.
    let scale = o.add(o.mul(share, &weight), &number(1.0));
    o.add(o.mul(x, &scale), &bias)
}

fn block<B: Ops>(s: &Scope<B>, x: &B::T, width: i64, matrices: bool) -> B::T {
    let o = s.ops();
    let inner = width * EXPANSION;
    let y = biased_conv(&s.sub("conv_dw"), x, ConvSpec::new(width, width, 7).groups(width), WEIGHT, Init::Zeros);
    let y = channel_norm(&s.sub("norm"), &y, width);
    let mlp = s.sub("mlp");
    let y = o.gelu(mix(&mlp.sub("fc1"), &y, ConvSpec::new(width, inner, 1), matrices));
    let y = response_norm(&mlp.sub("grn"), y, inner);
    o.add(mix(&mlp.sub("fc2"), &y, ConvSpec::new(inner, width, 1), matrices), x)
}

/// Features and logits of normalised `images [N, 3, h, w]`; h and w are at least 32 pixels.
pub fn classify<B: Ops>(s: &Scope<B>, images: &B::T, c: &Config, classes: i64) -> Classified<B::T> {
    let o = s.ops();
    let (stem, stages, mut width) = (s.sub("stem"), s.sub("stages"), c.width);
    let x = patches(&stem.sub(0), images, 3, width, 4);
    let mut x = channel_norm(&stem.sub(1), &x, width);
    for (index, depth) in c.depths.into_iter().enumerate() {
        let stage = stages.sub(index);
        if index > 0 {
            let downsample = stage.sub("downsample");
            x = channel_norm(&downsample.sub(0), &x, width);
            x = patches(&downsample.sub(1), &x, width, 2 * width, 2);
            width *= 2;
        }
        let blocks = stage.sub("blocks");
        for at in 0..depth {
            x = block(&blocks.sub(at), &x, width, c.matrices);
        }
    }
    let head = s.sub("head");
    let pooled = o.flatten(&o.global_avg_pool(&x), 1);
    let features = layer_norm(&head.sub("norm"), &pooled, width, EPS);
    let logits = linear(&head.sub("fc"), &features, width, classes, Some(WEIGHT));
    Classified { features, logits }
}
