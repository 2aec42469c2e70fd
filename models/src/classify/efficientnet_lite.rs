//! EfficientNet-Lite0: EfficientNet-B0 (Tan and Le, 2019, arXiv:1905.11946) without squeeze-and-excitation, with ReLU6,
//! and with stem and head of fixed width. Keys are those of its published PyTorch file (`_conv_stem`, `_blocks.N`, `_fc`).

use super::classified::Classified;
use crate::ops::{Bn, Ops, Padding};
use crate::scope::{ConvSpec, Scope, batch_norm, conv, linear};

const BN: Bn = Bn { eps: 1e-3, momentum: 0.1 };

/// Repeats, kernel, stride of the first repeat, expansion, output channels.
const STAGES: [(i64, i64, i64, i64, i64); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

fn conv_bn<B: Ops>(s: &Scope<B>, conv_name: &str, bn_name: &str, x: &B::T, c: ConvSpec) -> B::T {
    let c = c.padding(Padding::SameUpper);
    batch_norm(&s.sub(bn_name), &conv(&s.sub(conv_name), x, c), c.cout, &BN)
}

fn relu6<B: Ops>(o: &B, x: B::T) -> B::T {
    o.clamp(x, 0.0, 6.0)
}

/// Kernel, stride, expansion, input and output channels of one block.
struct Mbconv {
    kernel: i64,
    stride: i64,
    expand: i64,
    cin: i64,
    cout: i64,
}

fn mbconv<B: Ops>(s: &Scope<B>, x: &B::T, c: &Mbconv) -> B::T {
    let o = s.ops();
    let mid = c.cin * c.expand;
    let mut y = x.clone();
    if c.expand != 1 {
        y = relu6(o, conv_bn(s, "_expand_conv", "_bn0", &y, ConvSpec::new(c.cin, mid, 1)));
    }
    let depthwise = ConvSpec::new(mid, mid, c.kernel).stride(c.stride).groups(mid);
    y = relu6(o, conv_bn(s, "_depthwise_conv", "_bn1", &y, depthwise));
    y = conv_bn(s, "_project_conv", "_bn2", &y, ConvSpec::new(mid, c.cout, 1));
    if c.stride == 1 && c.cin == c.cout { o.add(y, x) } else { y }
}

/// Features and logits of normalised `images [N, 3, h, w]`.
pub fn classify<B: Ops>(s: &Scope<B>, images: &B::T, classes: i64) -> Classified<B::T> {
    let o = s.ops();
    let mut x = relu6(o, conv_bn(s, "_conv_stem", "_bn0", images, ConvSpec::new(3, 32, 3).stride(2)));
    let blocks = s.sub("_blocks");
    let (mut index, mut cin) = (0, 32);
    for (repeats, kernel, first_stride, expand, cout) in STAGES {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            x = mbconv(&blocks.sub(index), &x, &Mbconv { kernel, stride, expand, cin, cout });
            (index, cin) = (index + 1, cout);
        }
    }
    x = relu6(o, conv_bn(s, "_conv_head", "_bn1", &x, ConvSpec::new(cin, 1280, 1)));
    let features = o.flatten(&o.global_avg_pool(&x), 1);
    let logits = linear(&s.sub("_fc"), &o.dropout(features.clone(), 0.2), 1280, classes, None);
    Classified { features, logits }
}
