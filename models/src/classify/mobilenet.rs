//! MobileNetV2, width 1.0 (Sandler et al., 2018, arXiv:1801.04381). Keys are torchvision's.

use super::classified::Classified;
use crate::ops::{Bn, Init, Ops};
use crate::scope::{ConvSpec, Scope, batch_norm, conv, linear};

const BN: Bn = Bn { eps: 1e-5, momentum: 0.1 };

/// Expansion, output channels, repeats, stride of the first repeat (table 2 of the paper).
const STAGES: [(i64, i64, i64, i64); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn conv_bn<B: Ops>(conv_scope: &Scope<B>, bn_scope: &Scope<B>, x: &B::T, c: ConvSpec) -> B::T {
    batch_norm(bn_scope, &conv(conv_scope, x, c), c.cout, &BN)
}

/// Convolution, batch normalisation, ReLU6 under `s.0` and `s.1`.
fn conv_bn_relu6<B: Ops>(s: &Scope<B>, x: &B::T, c: ConvSpec) -> B::T {
    s.ops().clamp(conv_bn(&s.sub(0), &s.sub(1), x, c), 0.0, 6.0)
}

/// Channels of a block before and after, how many times as many it has inside, and its stride.
#[derive(Clone, Copy)]
struct Widths {
    cin: i64,
    cout: i64,
    expand: i64,
    stride: i64,
}

fn inverted_residual<B: Ops>(s: &Scope<B>, x: &B::T, widths: Widths) -> B::T {
    let Widths { cin, cout, expand, stride } = widths;
    let mid = cin * expand;
    let mut index = 0;
    let mut y = x.clone();
    if expand != 1 {
        y = conv_bn_relu6(&s.sub(index), &y, ConvSpec::new(cin, mid, 1));
        index += 1;
    }
    y = conv_bn_relu6(&s.sub(index), &y, ConvSpec::new(mid, mid, 3).stride(stride).groups(mid));
    y = conv_bn(&s.sub(index + 1), &s.sub(index + 2), &y, ConvSpec::new(mid, cout, 1));
    if stride == 1 && cin == cout { s.ops().add(y, x) } else { y }
}

/// Features and logits of normalised `images [N, 3, h, w]`.
pub fn classify<B: Ops>(s: &Scope<B>, images: &B::T, classes: i64) -> Classified<B::T> {
    let o = s.ops();
    let features = s.sub("features");
    let mut x = conv_bn_relu6(&features.sub(0), images, ConvSpec::new(3, 32, 3).stride(2));
    let (mut index, mut cin) = (1, 32);
    for (expand, cout, repeats, first_stride) in STAGES {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            x = inverted_residual(&features.sub(index).sub("conv"), &x, Widths { cin, cout, expand, stride });
            (index, cin) = (index + 1, cout);
        }
    }
    x = conv_bn_relu6(&features.sub(index), &x, ConvSpec::new(cin, 1280, 1));
    let pooled = o.flatten(&o.global_avg_pool(&x), 1);
    let kept = o.dropout(pooled.clone(), 0.2);
    let logits = linear(&s.sub("classifier").sub(1), &kept, 1280, classes, Some(Init::Normal(0.01)));
    Classified { features: pooled, logits }
}
