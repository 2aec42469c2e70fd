//! ResNet (He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385), with the stride on the
//! 3x3 convolution of the bottleneck (v1.5). Keys are torchvision's.

use super::classified::Classified;
use crate::ops::{Bn, Ops, Padding, Pool};
use crate::scope::{ConvSpec, Norm, Scope, bn_params, conv, linear};

/// Residual block of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1 with four times the width at the end.
    Bottleneck,
}

/// A variant: block and repeats per stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Residual block.
    pub block: Block,
    /// Blocks in each of the four stages.
    pub layers: [i64; 4],
}

const BN: Bn = Bn { eps: 1e-5, momentum: 0.1 };

impl Block {
    const fn expansion(self) -> i64 {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

impl Config {
    /// Channels of the four feature maps.
    #[must_use]
    pub const fn channels(&self) -> [i64; 4] {
        let expansion = self.block.expansion();
        [64 * expansion, 128 * expansion, 256 * expansion, 512 * expansion]
    }
}

/// What all residual blocks of a network have in common.
#[derive(Clone, Copy)]
struct Blocks {
    block: Block,
    norm: Norm,
}

fn conv_bn<B: Ops>(conv_scope: &Scope<B>, bn_scope: &Scope<B>, x: &B::T, c: ConvSpec, norm: Norm) -> B::T {
    let y = conv(conv_scope, x, c);
    conv_scope.ops().batch_norm(&y, &bn_params(bn_scope, c.cout, norm), &BN)
}

/// Widths of a block before and inside, and the stride of its spatial convolution.
#[derive(Clone, Copy)]
struct Widths {
    cin: i64,
    mid: i64,
    stride: i64,
}

fn residual<B: Ops>(s: &Scope<B>, x: &B::T, blocks: Blocks, Widths { cin, mid, stride }: Widths) -> B::T {
    let o = s.ops();
    let out = mid * blocks.block.expansion();
    let layer = |index: i64, x: &B::T, c: ConvSpec| {
        conv_bn(&s.sub(format!("conv{index}")), &s.sub(format!("bn{index}")), x, c, blocks.norm)
    };
    let y = match blocks.block {
        Block::Basic => {
            let y = o.relu(layer(1, x, ConvSpec::new(cin, mid, 3).stride(stride)));
            layer(2, &y, ConvSpec::new(mid, mid, 3))
        }
        Block::Bottleneck => {
            let y = o.relu(layer(1, x, ConvSpec::new(cin, mid, 1)));
            let y = o.relu(layer(2, &y, ConvSpec::new(mid, mid, 3).stride(stride)));
            layer(3, &y, ConvSpec::new(mid, out, 1))
        }
    };
    if stride == 1 && cin == out {
        return o.relu(o.add(y, x));
    }
    let d = s.sub("downsample");
    let skip = conv_bn(&d.sub(0), &d.sub(1), x, ConvSpec::new(cin, out, 1).stride(stride), blocks.norm);
    o.relu(o.add(y, &skip))
}

/// The four feature maps (strides 4, 8, 16, 32) of normalised `images [N, 3, h, w]`.
pub fn features<B: Ops>(s: &Scope<B>, images: &B::T, c: &Config, norm: Norm) -> [B::T; 4] {
    let o = s.ops();
    let x = o.relu(conv_bn(&s.sub("conv1"), &s.sub("bn1"), images, ConvSpec::new(3, 64, 7).stride(2), norm));
    let pool = Pool { kernel: [3, 3], stride: [2, 2], padding: Padding::all(1), ceil: false };
    let x = o.max_pool(&x, &pool);
    let blocks = Blocks { block: c.block, norm };
    let stages = Stages { layers: c.layers, stem: 64, expansion: c.block.expansion() };
    stages.maps(s, x, |s, x, cin, mid, stride| residual(s, x, blocks, Widths { cin, mid, stride }))
}

/// The four stages of residual blocks that ResNet and its descendants have.
pub(super) struct Stages {
    /// Blocks of each stage.
    pub layers: [i64; 4],
    /// Channels that the stem hands over.
    pub stem: i64,
    /// Channels of a block's result for each of its planes, of which the first stage has 64 and every other one twice as
    /// many as the one before.
    pub expansion: i64,
}

impl Stages {
    /// The maps after each stage, from the stem's result `x`. `block(place, x, channels of x, planes, stride)` is one block;
    /// the first of every stage but the first halves the sides.
    pub fn maps<B: Ops>(
        &self,
        s: &Scope<B>,
        mut x: B::T,
        block: impl Fn(&Scope<B>, &B::T, i64, i64, i64) -> B::T,
    ) -> [B::T; 4] {
        let mut cin = self.stem;
        [0, 1, 2, 3].map(|stage: usize| {
            let layer = s.sub(format!("layer{}", stage + 1));
            let planes = 64 << stage;
            for index in 0..self.layers[stage] {
                let stride = if index == 0 && stage > 0 { 2 } else { 1 };
                x = block(&layer.sub(index), &x, cin, planes, stride);
                cin = planes * self.expansion;
            }
            x.clone()
        })
    }
}

/// Features and logits of normalised `images [N, 3, h, w]`.
pub fn classify<B: Ops>(s: &Scope<B>, images: &B::T, c: &Config, classes: i64) -> Classified<B::T> {
    let o = s.ops();
    let [.., x] = features(s, images, c, Norm::Batch);
    let features = o.flatten(&o.global_avg_pool(&x), 1);
    let logits = linear(&s.sub("fc"), &features, 512 * c.block.expansion(), classes, None);
    Classified { features, logits }
}
