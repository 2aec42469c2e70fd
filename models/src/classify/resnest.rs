//! ResNeSt (Zhang et al. 2020, arXiv:2004.08955) with radix 2 and cardinality 1: a ResNet whose 3x3 convolutions attend to
//! two splits of their channels, with a stem of three 3x3 convolutions and pooling in place of strides. Keys are timm's
//! (`resnest50d`, `resnest101e`), which are the authors'.

use super::classified::Classified;
use super::resnet::Stages;
use crate::ops::{Bn, Ops, Padding, Pool};
use crate::scope::{ConvSpec, Scope, batch_norm, conv, last_batch_norm, linear, pointwise};

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Blocks in each of the four stages.
    pub layers: [i64; 4],
    /// Channels of the first convolution; the stem ends with twice as many.
    pub stem: i64,
}

const BN: Bn = Bn { eps: 1e-5, momentum: 0.1 };
/// Splits that attention weighs against each other.
const RADIX: i64 = 2;
/// Channels of a block's result for each channel of its stage.
const EXPANSION: i64 = 4;

fn conv_bn_relu<B: Ops>(conv_scope: &Scope<B>, bn_scope: &Scope<B>, x: &B::T, c: ConvSpec) -> B::T {
    conv_scope.ops().relu(batch_norm(bn_scope, &conv(conv_scope, x, c), c.cout, &BN))
}

/// A 3x3 convolution to two splits of `channels`, and their sum, each channel weighted by a softmax over the splits.
fn split_attention<B: Ops>(s: &Scope<B>, x: &B::T, channels: i64) -> B::T {
    let o = s.ops();
    let wide = channels * RADIX;
    let x = conv_bn_relu(&s.sub("conv"), &s.sub("bn0"), x, ConvSpec::new(channels, wide, 3).groups(RADIX));
    let splits = o.split(&x, 1, RADIX);
    let narrow = (wide / 4).max(32);
    let means = o.global_avg_pool(&weighed(o, &splits, None));
    let y = pointwise(&s.sub("fc1"), &means, channels, narrow);
    let y = o.relu(batch_norm(&s.sub("bn1"), &y, narrow, &BN));
    let y = pointwise(&s.sub("fc2"), &y, narrow, wide);
    let shares = o.softmax(&o.reshape(&y, &[0, RADIX, channels]), 1);
    let shares = o.split(&o.reshape(&shares, &[-1, wide, 1, 1]), 1, RADIX);
    weighed(o, &splits, Some(&shares))
}

/// The sum of the splits, each times its share where there are shares.
fn weighed<B: Ops>(o: &B, splits: &[B::T], shares: Option<&[B::T]>) -> B::T {
    let part = |i: usize| match shares {
        Some(shares) => o.mul(splits[i].clone(), &shares[i]),
        None => splits[i].clone(),
    };
    (1..splits.len()).fold(part(0), |sum, i| o.add(sum, &part(i)))
}

fn block<B: Ops>(s: &Scope<B>, x: &B::T, cin: i64, planes: i64, stride: i64) -> B::T {
    let o = s.ops();
    let out = planes * EXPANSION;
    let y = conv_bn_relu(&s.sub("conv1"), &s.sub("bn1"), x, ConvSpec::new(cin, planes, 1));
    let mut y = split_attention(&s.sub("conv2"), &y, planes);
    if stride > 1 {
        let pool = Pool { kernel: [3, 3], stride: [stride; 2], padding: Padding::all(1), ceil: false };
        y = o.avg_pool(&y, &pool, true);
    }
    let y = conv(&s.sub("conv3"), &y, ConvSpec::new(planes, out, 1));
    let y = last_batch_norm(&s.sub("bn3"), &y, out, &BN);
    if stride == 1 && cin == out {
        return o.relu(o.add(y, x));
    }
    let mut skip = x.clone();
    if stride > 1 {
        let pool = Pool { kernel: [stride; 2], stride: [stride; 2], padding: Padding::all(0), ceil: true };
        skip = o.avg_pool(&skip, &pool, false);
    }
    let d = s.sub("downsample");
    let skip = conv(&d.sub(1), &skip, ConvSpec::new(cin, out, 1));
    o.relu(o.add(y, &batch_norm(&d.sub(2), &skip, out, &BN)))
}

/// Features and logits of normalised `images [N, 3, h, w]`.
pub fn classify<B: Ops>(s: &Scope<B>, images: &B::T, c: &Config, classes: i64) -> Classified<B::T> {
    let o = s.ops();
    let stem = s.sub("conv1");
    let stem_channels = 2 * c.stem;
    let x = conv_bn_relu(&stem.sub(0), &stem.sub(1), images, ConvSpec::new(3, c.stem, 3).stride(2));
    let x = conv_bn_relu(&stem.sub(3), &stem.sub(4), &x, ConvSpec::new(c.stem, c.stem, 3));
    let x = conv_bn_relu(&stem.sub(6), &s.sub("bn1"), &x, ConvSpec::new(c.stem, stem_channels, 3));
    let x = o.max_pool(&x, &Pool { kernel: [3, 3], stride: [2, 2], padding: Padding::all(1), ceil: false });
    let stages = Stages { layers: c.layers, stem: stem_channels, expansion: EXPANSION };
    let [.., x] = stages.maps(s, x, block);
    let features = o.flatten(&o.global_avg_pool(&x), 1);
    let logits = linear(&s.sub("fc"), &features, 512 * EXPANSION, classes, None);
    Classified { features, logits }
}
