//! Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929), normalising before each branch and classifying by its class
//! token. Keys are timm's (`vit_small_patch16_224` and its larger sisters; those of DINOv2, Oquab et al. 2023,
//! arXiv:2304.07193, are `vit_small_patch14_dinov2`'s).
//!
//! Tokens are rows: `[N * L, width]`, token `l` of image `n` in row `n * L + l`. Only attention looks across rows.

use super::classified::Classified;
use crate::ops::{Conv, Init, Ops, Padding, Role};
use crate::scope::{Scope, layer_norm, linear, uniform_of_fan_in};

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Length of a token.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Heads of each attention; they divide the width.
    pub heads: i64,
    /// Side of a patch in pixels.
    pub patch: i64,
    /// Whether what a branch adds is scaled (Touvron et al. 2021, "Going deeper with Image Transformers", section 2).
    pub layer_scale: bool,
}

/// Added to the variance in layer normalisation.
const EPS: f64 = 1e-6;
/// How much wider than a token the inner layer of a block is.
const EXPANSION: i64 = 4;
/// Weights of matrices and position embeddings.
const WEIGHT: Init = Init::Normal(0.02);
/// What a branch is scaled by at first.
const LAYER_SCALE: Init = Init::Constant(1e-5);

impl Config {
    /// Patches of an image of `side` pixels; what is left over is not seen.
    #[must_use]
    pub const fn patches(&self, side: i64) -> i64 {
        let along = side / self.patch;
        along * along
    }
}

/// Tokens of normalised images, with the class token in front and positions added: `[N * L, width]`.
fn embed<B: Ops>(s: &Scope<B>, images: &B::T, &Config { width, patch, .. }: &Config, patches: i64) -> B::T {
    let o = s.ops();
    let class = s.param("cls_token", &[1, 1, width], Init::Normal(1e-6), Role::Embedding);
    let positions = s.param("pos_embed", &[1, 1 + patches, width], WEIGHT, Role::Embedding);
    let proj = s.sub("patch_embed.proj");
    let init = uniform_of_fan_in(3 * patch * patch);
    let weight = proj.param("weight", &[width, 3, patch, patch], init, Role::Weight);
    let bias = proj.param("bias", &[width], init, Role::Bias);
    let c = Conv { stride: [patch; 2], padding: Padding::all(0), groups: 1 };
    let x = o.transpose(&o.conv2d(images, &weight, Some(&bias), &c), &[0, 2, 3, 1]);
    let x = o.reshape(&x, &[-1, patches, width]);
    let x = o.concat(&[&o.repeat(&class, &x), &x], 1);
    o.reshape(&o.add(x, &positions), &[-1, width])
}

fn attention<B: Ops>(s: &Scope<B>, x: &B::T, c: &Config, tokens: i64) -> B::T {
    let o = s.ops();
    let (width, head) = (c.width, c.width / c.heads);
    let qkv = linear(&s.sub("qkv"), x, width, 3 * width, Some(WEIGHT));
    let parts = o.split(&qkv, 1, 3);
    let heads = |part: &B::T| o.transpose(&o.reshape(part, &[-1, tokens, c.heads, head]), &[0, 2, 1, 3]);
    let x = o.attention(&heads(&parts[0]), &heads(&parts[1]), &heads(&parts[2]));
    let x = o.reshape(&o.transpose(&x, &[0, 2, 1, 3]), &[-1, width]);
    linear(&s.sub("proj"), &x, width, width, Some(WEIGHT))
}

fn mlp<B: Ops>(s: &Scope<B>, x: &B::T, width: i64) -> B::T {
    let inner = width * EXPANSION;
    let x = s.ops().gelu(linear(&s.sub("fc1"), x, width, inner, Some(WEIGHT)));
    linear(&s.sub("fc2"), &x, inner, width, Some(WEIGHT))
}

/// What a branch adds, `[N * L, width]`, each of its values times a factor of its own where the network has that.
fn scaled<B: Ops>(s: &Scope<B>, y: B::T, c: &Config) -> B::T {
    if !c.layer_scale {
        return y;
    }
    s.ops().mul(y, &s.param("gamma", &[c.width], LAYER_SCALE, Role::NormWeight))
}

/// Features and logits of normalised `images [N, 3, side, side]`; a side is at least that of a patch.
pub fn classify<B: Ops>(s: &Scope<B>, images: &B::T, c: &Config, side: i64, classes: i64) -> Classified<B::T> {
    let o = s.ops();
    let patches = c.patches(side);
    let mut x = embed(s, images, c, patches);
    let blocks = s.sub("blocks");
    for index in 0..c.depth {
        let b = blocks.sub(index);
        let y = attention(&b.sub("attn"), &layer_norm(&b.sub("norm1"), &x, c.width, EPS), c, 1 + patches);
        x = o.add(scaled(&b.sub("ls1"), y, c), &x);
        let y = mlp(&b.sub("mlp"), &layer_norm(&b.sub("norm2"), &x, c.width, EPS), c.width);
        x = o.add(scaled(&b.sub("ls2"), y, c), &x);
    }
    // Rows are normalised one by one, so that only the class token need be.
    let x = o.slice(&o.reshape(&x, &[-1, 1 + patches, c.width]), 1, 0, 1);
    let features = layer_norm(&s.sub("norm"), &o.reshape(&x, &[-1, c.width]), c.width, EPS);
    let logits = linear(&s.sub("head"), &features, c.width, classes, Some(WEIGHT));
    Classified { features, logits }
}
