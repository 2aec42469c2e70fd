//! Feature pyramid network (Lin et al. 2017, arXiv:1612.03144). Keys are torchvision's.

use crate::ops::{Init, Ops, Padding, Pool};
use crate::scope::{BiasedConv, ConvSpec, Scope, biased_conv};

/// Channels of every map of the pyramid.
pub const CHANNELS: i64 = 256;

/// Uniform within `sqrt(3 / fan_in)`: He et al. 2015 with a gain of 1.
#[expect(clippy::cast_precision_loss, reason = "layer widths are far below 2^52")]
fn init(c: ConvSpec) -> Init {
    Init::Uniform((3.0 / (c.cin * c.kernel * c.kernel) as f64).sqrt())
}

/// One map for each of `maps` (finest first, with these `channels`): `[N, 256, h, w]`, each the sum of its own features
/// and the coarser maps', smoothed. `s` is the pyramid's scope.
pub fn pyramid<B: Ops>(s: &Scope<B>, maps: &[B::T], channels: &[i64]) -> Vec<B::T> {
    let o = s.ops();
    let ask = |name: &str, index: usize, c: ConvSpec| {
        BiasedConv::ask(&s.sub(name).sub(index).sub(0), c, init(c), Init::Zeros)
    };
    // The published order of keys is finest first, the order of computation coarsest first.
    let inner: Vec<_> =
        channels.iter().enumerate().map(|(i, cin)| ask("inner_blocks", i, ConvSpec::new(*cin, CHANNELS, 1))).collect();
    let layer: Vec<_> = (0..maps.len()).map(|i| ask("layer_blocks", i, ConvSpec::new(CHANNELS, CHANNELS, 3))).collect();
    let mut merged: Option<B::T> = None;
    let mut out = Vec::with_capacity(maps.len());
    for ((map, inner), layer) in maps.iter().zip(&inner).zip(&layer).rev() {
        let own = inner.apply(o, map);
        let sum = match merged {
            Some(coarser) => o.add(o.resize_nearest_like(&coarser, &own), &own),
            None => own,
        };
        out.push(layer.apply(o, &sum));
        merged = Some(sum);
    }
    out.reverse();
    out
}

/// The extra level of Faster R-CNN: every second value of the coarsest map.
pub fn subsample<B: Ops>(o: &B, map: &B::T) -> B::T {
    o.max_pool(map, &Pool { kernel: [1, 1], stride: [2, 2], padding: Padding::all(0), ceil: false })
}

/// The extra levels of RetinaNet, by convolutions with stride 2 on the coarsest map.
pub fn p6_p7<B: Ops>(s: &Scope<B>, map: &B::T) -> [B::T; 2] {
    let o = s.ops();
    let c = ConvSpec::new(CHANNELS, CHANNELS, 3).stride(2);
    let p6 = biased_conv(&s.sub("p6"), map, c, init(c), Init::Zeros);
    let p7 = biased_conv(&s.sub("p7"), &o.relu(p6.clone()), c, init(c), Init::Zeros);
    [p6, p7]
}
