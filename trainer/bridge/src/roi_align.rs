//! RoIAlign over a pyramid of levels.

use crate::error::{BridgeError, check};
use crate::parameters::RoiAlign;
use crate::{ffi, tensor_ops};
use tch::{Device, Kind, Tensor};

/// Pools each roi into `output x output` bins: the average of `sampling x sampling` bilinear samples, as torchvision's `roi_align`
/// with `aligned=False` (a roi is at least 1x1 pixels of its level, nothing is shifted by half a pixel, and a sample outside of `[-1, H]`
/// or `[-1, W]` is 0). `levels` are `[N,C,H,W]` in f32, f64, bf16 or f16 (computed in f32), contiguous or channels-last without a copy;
/// `rois` f32 `[K,5]`: image, then x1, y1, x2, y2 in pixels of the input. Returns `[K,C,output,output]` of the levels' type, contiguous;
/// gradients flow to the levels, in their order in memory, and not to the rois.
///
/// Level of a roi, as torchvision's `LevelMapper` (Lin et al. 2017, equation 1):
/// `clamp(floor(canonical_level + log2(sqrt(area) / canonical_size) + 1e-6), first_level, first_level + levels - 1)`, where area is
/// `(x2 - x1) * (y2 - y1)`. A roi whose area is 0, negative or NaN goes to the first level. A side that is shorter than a pixel of the
/// level, or negative, counts as one pixel. Samples at coordinates that are NaN lie outside, so they give 0.
///
/// On the CPU the gradient does not depend on the number of threads.
///
/// # Errors
/// If shapes, types, devices or numbers do not fit, or a roi names an image that does not exist. On a CUDA device, where nobody waits
/// to find out, such a roi is NaN instead.
pub fn roi_align(levels: &[&Tensor], rois: &Tensor, p: &RoiAlign<'_>) -> Result<Tensor, BridgeError> {
    let call = "roi_align";
    check_input(levels, rois, p).map_err(|problem| BridgeError::Input { call, problem })?;
    let torch = |error: tch::TchError| BridgeError::Torch { call, message: error.to_string() };
    let level_of = tch::no_grad(|| level_of(rois, levels.len(), p)).map_err(torch)?;
    if rois.device() != Device::Cpu {
        return tensor_ops::roi_align(levels, rois, &level_of, p).map_err(torch);
    }
    let pointers: Vec<_> = levels.iter().map(|level| level.as_ptr()).collect();
    let pyramid = ffi::Levels { count: pointers.len(), tensors: pointers.as_ptr() };
    let parameters = ffi::RoiAlign { output: p.output, sampling: p.sampling, scales: p.scales.as_ptr() };
    let mut result = std::ptr::null_mut();
    // SAFETY: all are live at::Tensors of the shapes and types that were checked, the lists are as long as said (scales as levels),
    // and `result` is written before the call returns null.
    let message = unsafe {
        ffi::fovea_roi_align(
            &raw const pyramid,
            rois.as_ptr(),
            level_of.as_ptr(),
            &raw const parameters,
            &raw mut result,
        )
    };
    check(call, message)?;
    // SAFETY: a fresh at::Tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(result) })
}

fn check_input(levels: &[&Tensor], rois: &Tensor, p: &RoiAlign<'_>) -> Result<(), String> {
    let first = levels.first().ok_or("there are no levels")?;
    if p.scales.len() != levels.len() {
        return Err(format!("{} scales for {} levels", p.scales.len(), levels.len()));
    }
    let r = rois.size();
    if r.len() != 2 || r[1] != 5 || rois.kind() != Kind::Float {
        return Err(format!("rois are {:?} {r:?}; they have to be Float [K, 5]", rois.kind()));
    }
    for (l, level) in levels.iter().enumerate() {
        let (size, kind) = (level.size(), level.kind());
        if size.len() != 4
            || size[..2] != first.size()[..2]
            || !(1..1 << 31).contains(&size[2])
            || !(1..1 << 31).contains(&size[3])
        {
            return Err(format!(
                "level {l} is {size:?}; it has to be [N, C, H, W] with pixels, and N and C of level 0"
            ));
        }
        if kind != first.kind() || !matches!(kind, Kind::Float | Kind::Double | Kind::BFloat16 | Kind::Half) {
            return Err(format!("level {l} is {kind:?}; all have to be of one type, Float, Double, BFloat16 or Half"));
        }
        if level.device() != rois.device() {
            return Err(format!("level {l} is on {:?} and the rois on {:?}", level.device(), rois.device()));
        }
    }
    if !(1..=1 << 12).contains(&p.output) || !(1..=1 << 12).contains(&p.sampling) {
        return Err(format!("{} bins of {} samples; both have to be 1 to 4096", p.output, p.sampling));
    }
    Ok(())
}

/// The place among `levels` levels of each roi, i64 `[K]`.
fn level_of(rois: &Tensor, levels: usize, p: &RoiAlign<'_>) -> Result<Tensor, tch::TchError> {
    if levels == 1 {
        return Tensor::f_zeros([rois.size()[0]], (Kind::Int64, rois.device()));
    }
    let [x1, y1, x2, y2] = [1, 2, 3, 4].map(|column| rois.select(1, column));
    let area = x2.f_sub(&x1)?.f_mul(&y2.f_sub(&y1)?)?;
    let level = area.f_sqrt()?.f_div_scalar(p.canonical_size)?.f_log2()?.f_add_scalar(p.canonical_level)?;
    let place = level.f_add_scalar(1e-6)?.f_floor()?.f_sub_scalar(p.first_level)?.f_clamp(0, levels as i64 - 1)?;
    // A clamped NaN stays NaN.
    place.f_nan_to_num(0.0, None, None)?.f_to_kind(Kind::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYRAMID: RoiAlign<'_> = RoiAlign {
        output: 7,
        sampling: 2,
        scales: &[0.25, 0.125],
        canonical_size: 32.0,
        canonical_level: 3,
        first_level: 2,
    };

    /// Two levels of two images of 40 x 48 pixels, and rois inside, outside, tiny, huge, degenerate and NaN.
    fn example(kind: Kind, channels: i64) -> ([Tensor; 2], Tensor) {
        tch::manual_seed(3);
        let on = (kind, Device::Cpu);
        let levels = [Tensor::randn([2, channels, 10, 12], on), Tensor::randn([2, channels, 5, 6], on)];
        let corner = Tensor::rand([40, 2], (Kind::Float, Device::Cpu)) * 70.0 - 10.0;
        let size = Tensor::rand([40, 2], (Kind::Float, Device::Cpu)).pow_tensor_scalar(3) * 80.0;
        let image = Tensor::arange(40, (Kind::Float, Device::Cpu)).remainder(2).unsqueeze(1);
        let nan = f32::NAN;
        let odd = Tensor::from_slice2(&[
            [0.0, nan, 1.0, 9.0, 9.0],
            [1.0, 1.0, 1.0, f32::INFINITY, 9.0],
            [1.0, 9.0, 9.0, 5.0, 20.0],
            [0.0, 4.0, 4.0, 4.0, 4.0],
            [0.0, -1e30, 0.0, 1e30, 40.0],
            [1.0, 0.0, 0.0, 48.0, 40.0],
        ]);
        (levels, Tensor::cat(&[Tensor::cat(&[&image, &corner, &(corner.shallow_clone() + size)], 1), odd], 0))
    }

    fn refs(levels: &[Tensor; 2]) -> [&Tensor; 2] {
        [&levels[0], &levels[1]]
    }

    /// Output, and the gradients of both levels of its dot product with a fixed vector.
    fn all(levels: &[Tensor; 2], run: impl Fn(&[&Tensor]) -> Tensor) -> [Tensor; 3] {
        let leaves = [0, 1].map(|l| levels[l].detach().set_requires_grad(true));
        let out = run(&refs(&leaves));
        let weights = (Tensor::arange(out.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7).sin().view_as(&out);
        (&out * weights.to_kind(out.kind())).sum(out.kind()).backward();
        let [a, b] = leaves.map(|leaf| leaf.grad());
        [out.detach(), a, b]
    }

    fn furthest(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!((a.size(), a.kind()), (b.size(), b.kind()));
        (a - b).abs().max().double_value(&[])
    }

    fn kernel(levels: &[&Tensor], rois: &Tensor) -> Tensor {
        roi_align(levels, rois, &PYRAMID).expect("sound input")
    }

    #[test]
    fn the_form_of_tensor_operations_agrees() {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 2e-5)] {
            let (levels, rois) = example(kind, 5);
            let of = level_of(&rois, 2, &PYRAMID).expect("levels");
            assert_eq!(of.min().int64_value(&[]), 0);
            assert_eq!(of.max().int64_value(&[]), 1);
            let expected =
                all(&levels, |levels| tensor_ops::roi_align(levels, &rois, &of, &PYRAMID).expect("sound input"));
            for (k, o) in all(&levels, |levels| kernel(levels, &rois)).iter().zip(&expected) {
                let difference = furthest(k, o);
                assert!(difference <= tolerance, "{kind:?}: {difference}");
            }
        }
    }

    #[test]
    fn channels_last_and_contiguous_agree_and_gradients_keep_the_order() {
        // More channels than are worked on at once.
        let (levels, rois) = example(Kind::Float, 70);
        let other = [crate::channels_last(&levels[0]), levels[1].shallow_clone()];
        let expected = all(&levels, |levels| kernel(levels, &rois));
        let found = all(&other, |levels| kernel(levels, &rois));
        assert!(found[0].is_contiguous() && crate::is_channels_last(&found[1]) && found[2].is_contiguous());
        for (e, f) in expected.iter().zip(&found) {
            assert!(furthest(e, f) < 2e-5, "{}", furthest(e, f));
        }
        let gaps = [levels[0].transpose(2, 3).contiguous().transpose(2, 3), levels[1].shallow_clone()];
        assert_eq!(furthest(&kernel(&refs(&gaps), &rois), &expected[0]), 0.0);
    }

    #[test]
    fn smaller_types_are_computed_in_f32() {
        let (levels, rois) = example(Kind::Float, 6);
        for kind in [Kind::BFloat16, Kind::Half] {
            let small = [levels[0].to_kind(kind), crate::channels_last(&levels[1].to_kind(kind))];
            let exact = [small[0].to_kind(Kind::Float), small[1].to_kind(Kind::Float)];
            let (found, expected) =
                (all(&small, |levels| kernel(levels, &rois)), all(&exact, |levels| kernel(levels, &rois)));
            assert!(furthest(&found[0], &expected[0].to_kind(kind)) == 0.0);
            assert_eq!(found[1].kind(), kind);
            let _autocast = crate::autocast_cpu_bf16(true);
            assert!(furthest(&kernel(&refs(&small), &rois), &found[0]) == 0.0);
        }
    }

    #[test]
    fn samples_that_are_nan_or_outside_are_0_and_no_rois_give_gradients_of_0() {
        let (levels, _) = example(Kind::Float, 3);
        let ones = [levels[0].ones_like(), levels[1].ones_like()];
        let nan = f32::NAN;
        let rois = Tensor::from_slice2(&[
            [0.0, nan, 1.0, 9.0, 9.0],
            [1.0, 500.0, 0.0, 520.0, 20.0],
            [1.0, 9.0, 9.0, 5.0, 20.0],
            [0.0, 8.0, 8.0, 20.0, 20.0],
        ]);
        let sums: Vec<f32> =
            Vec::try_from(kernel(&refs(&ones), &rois).sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float))
                .expect("sums");
        assert_eq!(sums[..2], [0.0, 0.0]);
        assert!((sums[2] - 147.0).abs() < 1e-3 && (sums[3] - 147.0).abs() < 1e-3, "{sums:?}");
        let no_rois = Tensor::zeros([0, 5], (Kind::Float, Device::Cpu));
        let of = Tensor::zeros([0], (Kind::Int64, Device::Cpu));
        let operations = |levels: &[&Tensor]| tensor_ops::roi_align(levels, &no_rois, &of, &PYRAMID).expect("sound");
        for none in [all(&levels, |levels| kernel(levels, &no_rois)), all(&levels, operations)] {
            assert_eq!(none[0].size(), [0, 3, 7, 7]);
            assert_eq!(none[1].abs().sum(Kind::Float).double_value(&[]), 0.0);
            assert_eq!(none[2].abs().sum(Kind::Float).double_value(&[]), 0.0);
        }
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let (levels, rois) = example(Kind::Float, 3);
        let message = |levels: &[&Tensor], rois: &Tensor, p: &RoiAlign<'_>| {
            roi_align(levels, rois, p).expect_err("refused").to_string()
        };
        let both = refs(&levels);
        assert!(message(&both[..1], &rois, &PYRAMID).contains("2 scales for 1"));
        assert!(message(&both, &rois.to_kind(Kind::Double), &PYRAMID).contains("Double"));
        assert!(message(&both, &(&rois + 5.0), &PYRAMID).contains("names image"));
        assert!(message(&both, &rois, &RoiAlign { sampling: 0, ..PYRAMID }).contains("0 samples"));
        let of = level_of(&rois, 2, &PYRAMID).expect("levels");
        let elsewhere = tensor_ops::roi_align(&both, &(&rois + 5.0), &of, &PYRAMID).expect("a device cannot tell");
        assert!(bool::try_from(elsewhere.isnan().all()).expect("one value"), "it says so by NaN");
        // A second derivative would be wrong, so it is refused.
        let leaves = [0, 1].map(|l| levels[l].detach().set_requires_grad(true));
        let out = kernel(&refs(&leaves), &rois);
        let squares = (&out * &out).sum(Kind::Float);
        assert!(Tensor::f_run_backward(&[squares], &[&leaves[0]], true, true).is_err());
    }
}
