//! Greedy class-aware non-maximum suppression, dense.

use crate::error::{BridgeError, check};
use crate::parameters::{Nms, NmsWithin};
use crate::{ffi, tensor_ops};
use tch::{Device, Kind, Tensor};

/// Suppresses boxes that overlap one of their class with a higher score. `boxes` f32 `[N,B,4]` xyxy, `scores` f32 `[N,C,B]` (rows of
/// `[N,B,C]`, transposed, are not copied); N, B and C may be 0.
///
/// Within an image and class, candidates are taken by descending score, the lower row first among equals. The survivors of an image,
/// all classes together, are sorted by descending score, the lower `class * B + row` first among equals, and cut to
/// `D = min(cap, C * B)`. Returns scores f32 `[N,D]`, classes i64 `[N,D]` and rows i64 `[N,D]`; what is not filled has score 0,
/// class -1 and row 0.
///
/// A score that is NaN is no candidate. A box with a coordinate that is NaN, or one without an area beside another such, has no IoU:
/// it neither drops another box nor is dropped. No gradient is recorded.
///
/// # Errors
/// If shapes, types or devices are others, or `cap` is negative.
pub fn nms(boxes: &Tensor, scores: &Tensor, p: &Nms) -> Result<[Tensor; 3], BridgeError> {
    let call = "nms";
    check_input(boxes, scores, p.cap).map_err(|problem| BridgeError::Input { call, problem })?;
    if boxes.device() != Device::Cpu {
        let limit = |value: f32| crate::upload(&[value], &[1], boxes.device());
        let (iou_threshold, score_threshold) = (limit(p.iou_threshold)?, limit(p.score_threshold)?);
        return by_operations(
            boxes,
            scores,
            &NmsWithin { iou_threshold: &iou_threshold, score_threshold: &score_threshold, cap: p.cap },
        );
    }
    let parameters = ffi::Nms { iou_threshold: p.iou_threshold, score_threshold: p.score_threshold, cap: p.cap };
    let mut result = [std::ptr::null_mut(); 3];
    // SAFETY: both are live at::Tensors of the shapes and types that were checked, `parameters` is live, and `result` has room for the
    // three tensors, which are written before the call returns null.
    let message =
        unsafe { ffi::fovea_nms(boxes.as_ptr(), scores.as_ptr(), &raw const parameters, result.as_mut_ptr()) };
    check(call, message)?;
    // SAFETY: fresh at::Tensors that nobody else owns.
    Ok(result.map(|tensor| unsafe { Tensor::from_ptr(tensor) }))
}

/// [`nms`] with limits that are tensors: on a device they are not waited for.
///
/// # Errors
/// As [`nms`], and if a limit is no f32 of one element on the device of the boxes.
pub fn nms_within(boxes: &Tensor, scores: &Tensor, p: &NmsWithin<'_>) -> Result<[Tensor; 3], BridgeError> {
    let call = "nms";
    for (name, limit) in [("IoU", p.iou_threshold), ("score", p.score_threshold)] {
        if limit.kind() != Kind::Float || limit.numel() != 1 || limit.device() != boxes.device() {
            let found = (limit.kind(), limit.size(), limit.device());
            let problem =
                format!("the limit of the {name} is {found:?}; it has to be one Float on {:?}", boxes.device());
            return Err(BridgeError::Input { call, problem });
        }
    }
    if boxes.device() == Device::Cpu {
        let number = |limit: &Tensor| limit.reshape([-1]).double_value(&[0]) as f32;
        let (iou_threshold, score_threshold) = (number(p.iou_threshold), number(p.score_threshold));
        return nms(boxes, scores, &Nms { iou_threshold, score_threshold, cap: p.cap });
    }
    check_input(boxes, scores, p.cap).map_err(|problem| BridgeError::Input { call, problem })?;
    by_operations(boxes, scores, p)
}

fn by_operations(boxes: &Tensor, scores: &Tensor, p: &NmsWithin<'_>) -> Result<[Tensor; 3], BridgeError> {
    tch::no_grad(|| tensor_ops::nms(boxes, scores, p))
        .map_err(|error| BridgeError::Torch { call: "nms", message: error.to_string() })
}

fn check_input(boxes: &Tensor, scores: &Tensor, cap: i64) -> Result<(), String> {
    let (b, s) = (boxes.size(), scores.size());
    if b.len() != 3 || b[2] != 4 || s.len() != 3 || s[0] != b[0] || s[2] != b[1] {
        return Err(format!("boxes are {b:?} and scores {s:?}; they have to be [N, B, 4] and [N, C, B]"));
    }
    if (boxes.kind(), scores.kind()) != (Kind::Float, Kind::Float) {
        return Err(format!("boxes are {:?} and scores {:?}; both have to be Float", boxes.kind(), scores.kind()));
    }
    if boxes.device() != scores.device() {
        return Err(format!("boxes are on {:?} and scores on {:?}", boxes.device(), scores.device()));
    }
    if b[1] > i64::from(u32::MAX) {
        return Err(format!("{} boxes an image; at most {} are supported", b[1], u32::MAX));
    }
    if cap < 0 {
        return Err(format!("the cap is {cap}; it has to be at least 0"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn rows(boxes: &[[f32; 4]], scores: &[f32], p: &Nms) -> Vec<i64> {
        let b = Tensor::from_slice(boxes.as_flattened()).view([1, -1, 4]);
        let s = Tensor::from_slice(scores).view([1, 1, -1]);
        let [kept, classes, rows] = nms(&b, &s, p).expect("sound input");
        let count = classes.ge(0).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(kept.narrow(1, count, kept.size()[1] - count).count_nonzero(None::<i64>).int64_value(&[]), 0);
        Vec::try_from(rows.narrow(1, 0, count).reshape([-1])).expect("rows")
    }

    #[test]
    fn the_threshold_itself_keeps_and_ties_go_to_the_lower_row() {
        // Two boxes of 2 x 1 that share 1 x 1: IoU 1/3.
        let boxes = [[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 1.0], [0.0, 0.0, 2.0, 1.0]];
        let p = |iou_threshold| Nms { iou_threshold, score_threshold: 0.0, cap: 10 };
        assert_eq!(rows(&boxes, &[0.5, 0.5, 0.5], &p(1.0 / 3.0)), [0, 1]);
        assert_eq!(rows(&boxes, &[0.5, 0.5, 0.5], &p(0.33)), [0]);
        assert_eq!(rows(&boxes, &[0.5, 0.6, 0.7], &p(0.33)), [2]);
        assert_eq!(rows(&boxes, &[0.5, 0.6, 0.7], &p(1.0)), [2, 1, 0]);
        assert_eq!(rows(&boxes, &[-0.0, 0.0, f32::NAN], &Nms { score_threshold: -1.0, ..p(1.0) }), [0, 1]);
        assert_eq!(rows(&boxes, &[0.0, 0.1, f32::NAN], &p(1.0)), [1]);
    }

    #[test]
    fn boxes_without_an_iou_stay() {
        let nan = f32::NAN;
        let boxes = [[1.0; 4], [1.0; 4], [nan, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], [0.0, nan, nan, 2.0]];
        let p = Nms { iou_threshold: 0.1, score_threshold: 0.0, cap: 10 };
        assert_eq!(rows(&boxes, &[0.9, 0.8, 0.7, 0.6, 0.5], &p), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn empty_sides_give_empty_results() {
        for (n, c, b, cap, size) in [
            (0, 3, 4, 5, [0, 5]),
            (2, 0, 4, 5, [2, 0]),
            (2, 3, 0, 5, [2, 0]),
            (2, 3, 4, 0, [2, 0]),
            (2, 3, 4, 50, [2, 12]),
        ] {
            let p = Nms { iou_threshold: 0.5, score_threshold: 0.5, cap };
            let (boxes, scores) = (Tensor::zeros([n, b, 4], CPU), Tensor::zeros([n, c, b], CPU));
            let by_ops = operations(&boxes, &scores, &p);
            let [s, c, r] = nms(&boxes, &scores, &p).expect("sound input");
            assert_eq!((s.size(), c.size(), r.size()), (size.to_vec(), size.to_vec(), size.to_vec()));
            assert!(s.equal(&by_ops[0]) && c.equal(&by_ops[1]) && r.equal(&by_ops[2]));
            assert_eq!(c.ne(-1).sum(Kind::Int64).int64_value(&[]), 0);
        }
    }

    /// Runs `body` with the limits as tensors.
    fn within<R>(p: &Nms, body: impl FnOnce(&NmsWithin) -> R) -> R {
        let (iou, score) = (Tensor::from_slice(&[p.iou_threshold]), Tensor::from_slice(&[p.score_threshold]));
        body(&NmsWithin { iou_threshold: &iou, score_threshold: &score, cap: p.cap })
    }

    fn operations(boxes: &Tensor, scores: &Tensor, p: &Nms) -> [Tensor; 3] {
        within(p, |p| tensor_ops::nms(boxes, scores, p)).expect("sound input")
    }

    /// What a region proposal network asks for: one class, many boxes, few of which are left out by their scores alone.
    #[test]
    fn boxes_of_one_class_agree_too() {
        tch::manual_seed(9);
        for (n, b, cap, score_threshold) in
            [(3, 500, 500, 0.0), (2, 1200, 100, 0.3), (1, 40, 1000, 0.9), (2, 30, 5, 1.0)]
        {
            let corners = Tensor::rand([n, b, 2], CPU) * 40.0;
            let boxes = Tensor::cat(&[&corners, &(&corners + Tensor::rand([n, b, 2], CPU) * 30.0)], 2).round();
            let scores = (Tensor::rand([n, 1, b], CPU) * 50.0).round() / 50.0;
            let _ = (boxes.select(1, 3).fill_(f64::NAN), scores.select(2, 7).fill_(f64::NAN));
            let p = Nms { iou_threshold: 0.3, score_threshold, cap };
            let expected = nms(&boxes, &scores, &p).expect("sound input");
            for (e, f) in expected.iter().zip(&operations(&boxes, &scores, &p)) {
                assert!(e.equal(f), "{n} images of {b} boxes: {e} {f}");
            }
        }
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let p = Nms { iou_threshold: 0.5, score_threshold: 0.5, cap: 1 };
        let (boxes, scores) = (Tensor::zeros([2, 3, 4], CPU), Tensor::zeros([2, 1, 3], CPU));
        let message =
            |boxes: &Tensor, scores: &Tensor, p: &Nms| nms(boxes, scores, p).expect_err("refused").to_string();
        assert!(message(&boxes, &scores.transpose(1, 2), &p).contains("[2, 3, 1]"));
        assert!(message(&boxes.to_kind(Kind::Double), &scores, &p).contains("Double"));
        assert!(message(&boxes, &scores, &Nms { cap: -1, ..p }).contains("-1"));
        let two = Tensor::zeros([2], CPU);
        let limits = NmsWithin { iou_threshold: &two, score_threshold: &two, cap: 1 };
        assert!(nms_within(&boxes, &scores, &limits).expect_err("refused").to_string().contains("IoU"));
    }

    #[test]
    fn every_order_in_memory_and_the_form_of_tensor_operations_agree() {
        tch::manual_seed(7);
        for (n, c, b, side, threshold) in
            [(2, 3, 700, 60.0, 0.5), (1, 1, 3000, 300.0, 0.0), (3, 20, 40, 30.0, 0.9), (2, 80, 900, 50.0, 0.98)]
        {
            let corners = Tensor::rand([n, b, 2], CPU) * side;
            // Whole numbers give touching and equal boxes, and few scores give ties.
            let boxes = Tensor::cat(&[&corners, &(&corners + Tensor::rand([n, b, 2], CPU) * 20.0)], 2).round();
            let scores = (Tensor::rand([n, c, b], CPU) * 500.0).round() / 500.0;
            let p = Nms { iou_threshold: 0.45, score_threshold: threshold, cap: 100 };
            let expected = nms(&boxes, &scores, &p).expect("sound input");
            assert!(expected[1].ge(0).sum(Kind::Int64).int64_value(&[]) > 10 * n);
            let strided = scores.transpose(1, 2).contiguous().transpose(1, 2);
            let apart = boxes.transpose(0, 2).contiguous().transpose(0, 2);
            for (what, found) in [
                ("rows together", nms(&boxes, &strided, &p).expect("sound input")),
                ("a side together", nms(&apart, &scores, &p).expect("sound input")),
                ("tensor operations", operations(&boxes, &scores, &p)),
                ("limits that are tensors", within(&p, |p| nms_within(&boxes, &scores, p)).expect("sound input")),
            ] {
                for (e, f) in expected.iter().zip(&found) {
                    assert!(e.equal(f), "{what}, {c} classes of {b} boxes");
                }
            }
        }
    }
}
