//! ResNet (He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385), with the stride on the
//! 3x3 convolution of the bottleneck (v1.5). Keys are torchvision's.

use crate::ops::{Bn, Ops, Padding, Pool};
use crate::scope::{ConvSpec, Scope, batch_norm, conv, linear};

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

fn conv_bn<B: Ops>(s: &Scope<B>, index: i64, x: &B::T, c: ConvSpec) -> B::T {
    batch_norm(&s.sub(format!("bn{index}")), &conv(&s.sub(format!("conv{index}")), x, c), c.cout, &BN)
}

fn residual<B: Ops>(s: &Scope<B>, x: &B::T, block: Block, cin: i64, mid: i64, stride: i64) -> B::T {
    let o = s.ops();
    let out = mid * block.expansion();
    let y = match block {
        Block::Basic => {
            let y = o.relu(conv_bn(s, 1, x, ConvSpec::new(cin, mid, 3).stride(stride)));
            conv_bn(s, 2, &y, ConvSpec::new(mid, mid, 3))
        }
        Block::Bottleneck => {
            let y = o.relu(conv_bn(s, 1, x, ConvSpec::new(cin, mid, 1)));
            let y = o.relu(conv_bn(s, 2, &y, ConvSpec::new(mid, mid, 3).stride(stride)));
            conv_bn(s, 3, &y, ConvSpec::new(mid, out, 1))
        }
    };
    if stride == 1 && cin == out {
        return o.relu(o.add(y, x));
    }
    let d = s.sub("downsample");
    let skip = conv(&d.sub(0), x, ConvSpec::new(cin, out, 1).stride(stride));
    o.relu(o.add(y, &batch_norm(&d.sub(1), &skip, out, &BN)))
}

/// The four feature maps (strides 4, 8, 16, 32) of normalised `images [N, 3, h, w]`.
pub fn features<B: Ops>(s: &Scope<B>, images: &B::T, c: &Config) -> [B::T; 4] {
    let o = s.ops();
    let x = o.relu(conv_bn(s, 1, images, ConvSpec::new(3, 64, 7).stride(2)));
    let pool = Pool { kernel: [3, 3], stride: [2, 2], padding: Padding::all(1), ceil: false };
    let mut x = o.max_pool(&x, &pool);
    let mut cin = 64;
    [0, 1, 2, 3].map(|stage: usize| {
        let layer = s.sub(format!("layer{}", stage + 1));
        let mid = 64 << stage;
        for index in 0..c.layers[stage] {
            let stride = if index == 0 && stage > 0 { 2 } else { 1 };
            x = residual(&layer.sub(index), &x, c.block, cin, mid, stride);
            cin = mid * c.block.expansion();
        }
        x.clone()
    })
}

/// Logits `[N, classes]` of normalised `images [N, 3, h, w]`.
pub fn logits<B: Ops>(s: &Scope<B>, images: &B::T, c: &Config, classes: i64) -> B::T {
    let o = s.ops();
    let [.., x] = features(s, images, c);
    let x = o.flatten(&o.global_avg_pool(&x), 1);
    linear(&s.sub("fc"), &x, 512 * c.block.expansion(), classes, None)
}
