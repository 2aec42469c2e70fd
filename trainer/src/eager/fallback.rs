//! Plain bodies of suppression and region pooling, until those of `bridge` are there.

use models::ops::RoiAlign;
use tch::{Device, Kind, Tensor};

fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().reshape([-1]);
    let mut values = vec![0.0; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}

fn overlap(a: &[f32], b: &[f32]) -> f32 {
    let (w, h) = (a[2].min(b[2]) - a[0].max(b[0]), a[3].min(b[3]) - a[1].max(b[1]));
    if w <= 0.0 || h <= 0.0 {
        return 0.0;
    }
    let area = |v: &[f32]| (v[2] - v[0]) * (v[3] - v[1]);
    w * h / (area(a) + area(b) - w * h)
}

/// Scores, classes and rows of [`models::ops::Ops::nms`].
pub fn nms(boxes: &Tensor, scores: &Tensor, thresholds: [&Tensor; 2], cap: i64) -> [Tensor; 3] {
    let size = scores.size();
    let (n, c, b) = (size[0] as usize, size[1] as usize, size[2] as usize);
    let d = cap.min(size[1] * size[2]) as usize;
    let (boxes, values) = (floats(boxes), floats(scores));
    let [iou, least] = thresholds.map(|t| floats(t)[0]);
    let (mut out, mut classes, mut rows) = (vec![0.0_f32; n * d], vec![-1_i64; n * d], vec![0_i64; n * d]);
    for image in 0..n {
        let at = |row: usize| &boxes[(image * b + row) * 4..][..4];
        let mut all: Vec<(f32, usize)> = Vec::new();
        for class in 0..c {
            let row = &values[(image * c + class) * b..][..b];
            let mut order: Vec<usize> = (0..b).filter(|&i| row[i] > least).collect();
            order.sort_by(|&i, &j| row[j].total_cmp(&row[i]));
            let mut kept: Vec<usize> = Vec::new();
            for i in order {
                if kept.iter().all(|&k| overlap(at(k), at(i)) <= iou) {
                    kept.push(i);
                }
            }
            all.extend(kept.into_iter().map(|i| (row[i], class * b + i)));
        }
        all.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        for (place, (score, index)) in all.into_iter().take(d).enumerate() {
            out[image * d + place] = score;
            classes[image * d + place] = (index / b) as i64;
            rows[image * d + place] = (index % b) as i64;
        }
    }
    let shape = [n as i64, d as i64];
    let device = scores.device();
    [
        Tensor::from_slice(&out).reshape(shape).to_device(device),
        Tensor::from_slice(&classes).reshape(shape).to_device(device),
        Tensor::from_slice(&rows).reshape(shape).to_device(device),
    ]
}

/// See [`models::ops::Ops::roi_align`].
pub fn roi_align(levels: &[&Tensor], rois: &Tensor, r: &RoiAlign) -> Tensor {
    let (p, all) = (rois.size()[1], rois.size()[0] * rois.size()[1]);
    let boxes = floats(rois);
    let bounds = r.area_bounds();
    let level_of = |roi: usize| {
        let b = &boxes[roi * 4..][..4];
        let area = (b[2] - b[0]) * (b[3] - b[1]);
        bounds.iter().filter(|&&bound| area >= bound).count()
    };
    let (mut parts, mut places) = (Vec::new(), vec![0_i64; all as usize]);
    let mut next = 0;
    for (level, features) in levels.iter().enumerate() {
        let own: Vec<usize> = (0..all as usize).filter(|&roi| level_of(roi) == level).collect();
        for &roi in &own {
            places[roi] = next;
            next += 1;
        }
        parts.push(pool(features, &own, &boxes, p, r, r.scales[level] as f32));
    }
    let places = Tensor::from_slice(&places).to_device(rois.device());
    Tensor::cat(&parts, 0).index_select(0, &places)
}

fn pool(features: &Tensor, own: &[usize], boxes: &[f32], p: i64, r: &RoiAlign, scale: f32) -> Tensor {
    let size = features.size();
    let (n, c, h, w) = (size[0], size[1], size[2], size[3]);
    let (out, s) = (r.output, r.sampling);
    let rows = features.to_kind(Kind::Float).permute([0, 2, 3, 1]).reshape([n * h * w, c]);
    let (mut index, mut weight) = (Vec::new(), Vec::new());
    for &roi in own {
        let image = roi as i64 / p;
        let b: Vec<f32> = boxes[roi * 4..][..4].iter().map(|v| v * scale).collect();
        let side = |lo: f32, hi: f32| (hi - lo).max(1.0) / out as f32;
        let (bw, bh) = (side(b[0], b[2]), side(b[1], b[3]));
        for bin in 0..out * out {
            for sample in 0..s * s {
                let part = |first: f32, size: f32, bin: i64, i: i64| {
                    first + bin as f32 * size + (i as f32 + 0.5) * size / s as f32
                };
                let y = line(part(b[1], bh, bin / out, sample / s), h);
                let x = line(part(b[0], bw, bin % out, sample % s), w);
                for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| (y[i], x[j])) {
                    index.push((image * h + y.0) * w + x.0);
                    weight.push(y.1 * x.1 / (s * s) as f32);
                }
            }
        }
    }
    let device = features.device();
    let count = own.len() as i64;
    let index = Tensor::from_slice(&index).to_device(device);
    let weight = Tensor::from_slice(&weight).to_device(device).unsqueeze(1);
    let picked = rows.index_select(0, &index) * weight;
    picked.reshape([count, out, out, s * s * 4, c]).sum_dim_intlist(3, false, None::<Kind>).permute([0, 3, 1, 2])
}

/// Two neighbours of a position with their weights.
fn line(at: f32, length: i64) -> [(i64, f32); 2] {
    if at < -1.0 || at > length as f32 {
        return [(0, 0.0); 2];
    }
    let at = at.max(0.0);
    let low = (at as i64).min(length - 1);
    let high = (low + 1).min(length - 1);
    let share = if low == high { 0.0 } else { at - low as f32 };
    [(low, 1.0 - share), (high, share)]
}
