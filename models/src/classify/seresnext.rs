//! SE-ResNeXt50 32x4d: ResNeXt (Xie et al. 2017, arXiv:1611.05431) with squeeze-and-excitation (Hu et al. 2018,
//! arXiv:1709.01507) at the end of each branch. Keys are timm's (`seresnext50_32x4d`).

use super::classified::Classified;
use super::resnet::Stages;
use crate::ops::{Bn, Ops, Padding, Pool};
use crate::scope::{ConvSpec, Scope, batch_norm, conv, last_batch_norm, linear, pointwise};

const BN: Bn = Bn { eps: 1e-5, momentum: 0.1 };
/// Blocks of the four stages.
const LAYERS: [i64; 4] = [3, 4, 6, 3];
/// Groups of the 3x3 convolutions.
const GROUPS: i64 = 32;
/// Channels of a block's result for each channel of its stage.
const EXPANSION: i64 = 4;
/// By how much squeezing narrows.
const REDUCTION: i64 = 16;

/// Each channel of `x [N, channels, H, W]` times a share in (0, 1) that depends on the means of all channels.
fn squeeze_and_excite<B: Ops>(s: &Scope<B>, x: B::T, channels: i64) -> B::T {
    let o = s.ops();
    let narrow = channels / REDUCTION;
    let y = o.relu(pointwise(&s.sub("fc1"), &o.global_avg_pool(&x), channels, narrow));
    let share = o.sigmoid(&pointwise(&s.sub("fc2"), &y, narrow, channels));
    o.mul(x, &share)
}

fn block<B: Ops>(s: &Scope<B>, x: &B::T, cin: i64, planes: i64, stride: i64) -> B::T {
    let o = s.ops();
    // 32 groups of 4 channels in the first stage, where a ResNet has 64.
    let (mid, out) = (planes * 4 / 64 * GROUPS, planes * EXPANSION);
    let y = conv(&s.sub("conv1"), x, ConvSpec::new(cin, mid, 1));
    let y = o.relu(batch_norm(&s.sub("bn1"), &y, mid, &BN));
    let y = conv(&s.sub("conv2"), &y, ConvSpec::new(mid, mid, 3).stride(stride).groups(GROUPS));
    let y = o.relu(batch_norm(&s.sub("bn2"), &y, mid, &BN));
    let y = conv(&s.sub("conv3"), &y, ConvSpec::new(mid, out, 1));
    let y = squeeze_and_excite(&s.sub("se"), last_batch_norm(&s.sub("bn3"), &y, out, &BN), out);
    if stride == 1 && cin == out {
        return o.relu(o.add(y, x));
    }
    let d = s.sub("downsample");
    let skip = conv(&d.sub(0), x, ConvSpec::new(cin, out, 1).stride(stride));
    o.relu(o.add(y, &batch_norm(&d.sub(1), &skip, out, &BN)))
}

/// Features and logits of normalised `images [N, 3, h, w]`.
pub fn classify<B: Ops>(s: &Scope<B>, images: &B::T, classes: i64) -> Classified<B::T> {
    let o = s.ops();
    let x = conv(&s.sub("conv1"), images, ConvSpec::new(3, 64, 7).stride(2));
    let x = o.relu(batch_norm(&s.sub("bn1"), &x, 64, &BN));
    let x = o.max_pool(&x, &Pool { kernel: [3, 3], stride: [2, 2], padding: Padding::all(1), ceil: false });
    let stages = Stages { layers: LAYERS, stem: 64, expansion: EXPANSION };
    let [.., x] = stages.maps(s, x, block);
    let features = o.flatten(&o.global_avg_pool(&x), 1);
    let logits = linear(&s.sub("fc"), &features, 512 * EXPANSION, classes, None);
    Classified { features, logits }
}
