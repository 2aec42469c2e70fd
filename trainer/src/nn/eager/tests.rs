//! Memory and gradients, which the standard's node tests do not see.

use models::manifest::Manifest;
use models::ops::{Nms, Ops, RoiAlign};
use tch::{Device, Kind, Tensor};

use super::{Eager, Mode, T};
use crate::nn::params::{Layout, Params};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn store() -> Params {
    Params::init(&Manifest::default(), 0, Device::Cpu, Layout::Contiguous)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.contiguous().reshape([-1])).unwrap()
}

#[test]
fn silu_works_in_place_only_where_nobody_sees_it() {
    let params = store();
    let eager = Eager::new(&params, Mode::Train);
    let fresh = || Tensor::from_slice(&[-1.0_f32, 0.0, 2.0]) * 1.0;
    let expected = values(&fresh().silu());

    let (own, seen) = (T(fresh()), fresh());
    let at = own.0.data_ptr();
    let result = eager.silu(own).into_tensor();
    assert_eq!((result.data_ptr(), values(&result)), (at, expected.clone()));
    let result = eager.silu(T::borrowed(&seen)).into_tensor();
    assert_eq!((values(&seen), values(&result)), (vec![-1.0, 0.0, 2.0], expected));

    // d/dx silu(2x) = 2 s (1 + 2x (1 - s)) with s = sigmoid(2x).
    let x = Tensor::from_slice(&[-1.0_f32, 0.5, 2.0]).set_requires_grad(true);
    eager.silu(T(&x * 2.0)).into_tensor().sum(Kind::Float).backward();
    let by_hand = |x: f32| {
        let s = 1.0 / (1.0 + (-2.0 * x).exp());
        2.0 * s * (1.0 + 2.0 * x * (1.0 - s))
    };
    for (found, x) in values(&x.grad()).into_iter().zip([-1.0, 0.5, 2.0]) {
        assert!((found - by_hand(x)).abs() < 1e-6, "{found} at {x}");
    }
}

#[test]
fn division_in_place_keeps_what_backward_needs() {
    let params = store();
    let eager = Eager::new(&params, Mode::Train);
    let a = Tensor::from_slice(&[6.0_f32, 8.0]).set_requires_grad(true);
    let b = Tensor::from_slice(&[2.0_f32, 4.0]).set_requires_grad(true);
    eager.div(T(&a * 1.0), &T::borrowed(&b)).into_tensor().sum(Kind::Float).backward();
    assert_eq!((values(&a.grad()), values(&b.grad())), (vec![0.5, 0.25], vec![-1.5, -0.5]));
}

#[test]
fn a_norm_of_zeros_has_no_gradient() {
    let params = store();
    let eager = Eager::new(&params, Mode::Train);
    let x = Tensor::from_slice(&[3.0_f32, 4.0, 0.0, 0.0]).view([1, 2, 1, 2]).set_requires_grad(true);
    let norms = eager.norm(&T::borrowed(&x), &[2, 3]).into_tensor();
    assert_eq!((norms.size(), values(&norms.detach())), (vec![1, 2, 1, 1], vec![5.0, 0.0]));
    norms.sum(Kind::Float).backward();
    for (found, expected) in values(&x.grad()).into_iter().zip([0.6, 0.8, 0.0, 0.0]) {
        assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    }
}

#[test]
fn images_stay_channels_last() {
    let params = store();
    let eager = Eager::new(&params, Mode::Evaluate);
    let image = |c, h| T(bridge::channels_last(&Tensor::rand([2, c, h, 5], CPU)));
    let (a, b) = (image(3, 4), image(4, 4));
    let results = [
        ("concat", eager.concat(&[&a, &b], 1)),
        ("resize", eager.resize_nearest_like(&a, &image(1, 8))),
        ("silu", eager.silu(image(3, 4))),
        ("silu of a seen one", eager.silu(a.clone())),
    ];
    for (what, x) in &results {
        assert!(bridge::is_channels_last(&x.0) && !x.0.is_contiguous(), "{what}");
    }
}

#[test]
fn gradients_of_pooled_regions_go_to_the_features_alone() {
    let params = store();
    let eager = Eager::new(&params, Mode::Train);
    let r = RoiAlign {
        output: 2,
        sampling: 2,
        scales: vec![1.0, 0.5],
        canonical_size: 4.0,
        canonical_level: 1,
        first_level: 0,
    };
    let levels = [8, 4].map(|side| Tensor::rand([2, 3, side, side], CPU).set_requires_grad(true));
    // Of image 0 a region of 2 x 2, for level 0; of image 1 one of 4 x 4, for level 1.
    let rois = Tensor::from_slice(&[1.0_f32, 1.0, 3.0, 3.0, 2.0, 2.0, 6.0, 6.0]).view([2, 1, 4]);
    let rois = rois.set_requires_grad(true);
    let out = eager.roi_align(&levels.each_ref().map(T::borrowed), &T::borrowed(&rois), &r).into_tensor();
    assert_eq!(out.size(), [2, 3, 2, 2]);
    out.sum(Kind::Float).backward();
    assert!(!rois.grad().defined());
    // Every bin is a mean of samples inside the map, so each channel of a region receives its 4 bins.
    for (image, level) in levels.iter().enumerate() {
        let per_channel = level.grad().sum_dim_intlist([2_i64, 3].as_slice(), false, None::<Kind>);
        for (i, sum) in values(&per_channel).into_iter().enumerate() {
            let expected = if i / 3 == image { 4.0 } else { 0.0 };
            assert!((sum - expected).abs() < 1e-5, "level {image}, image and channel {i}: {sum}");
        }
    }
}

#[test]
fn no_gradient_flows_behind_detach_nms_and_at_least() {
    let params = store();
    let eager = Eager::new(&params, Mode::Train);
    let leaf = |shape: &[i64]| T(Tensor::rand(shape, CPU).set_requires_grad(true));
    let number = |v: f32| T(Tensor::from_slice(&[v]));
    let (boxes, scores) = (leaf(&[1, 2, 4]), leaf(&[1, 3, 2]));
    let p = Nms { iou_threshold: number(0.5), score_threshold: number(0.0), cap: 3 };
    let found = eager.nms(&boxes, &scores, &p);
    for t in [&eager.detach(&boxes), &found.scores, &found.classes, &eager.greater_equal(&boxes, &number(0.5))] {
        assert!(!t.0.requires_grad());
    }
}
