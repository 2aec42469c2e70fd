//! Targets and loss of masks (He et al. 2017, arXiv:1703.06870, section 3) as torchvision computes them: of each region that answers
//! for an object, what the object covers of it, in as many parts as a mask has.

use models::detect::mask_rcnn::SIDE;
use models::host::mask::Mask;
use tch::{Reduction, Tensor};

use super::transfer::precise;
use crate::tasks::losses::Losses;

/// The pixels that an object covers, and the size of the image that it lies in (height and width).
pub struct Covered<'a> {
    /// The pixels.
    pub pixels: &'a Mask,
    /// Of the image.
    pub size: [u32; 2],
}

/// What an object covers of `region` (`xyxy` in pixels of its image): 28 by 28 shares, row by row, each the mean of bilinear samples,
/// at most one a pixel apart. Region pooling (`Ops::roi_align`) of a mask of zeros and ones.
pub fn target(object: &Covered, region: [f64; 4]) -> Vec<f64> {
    let [x1, y1, x2, y2] = region;
    let (columns, rows) = (samples(x1, x2, object.size[1]), samples(y1, y2, object.size[0]));
    let side = SIDE as usize;
    let (across, down) = (columns.len() / side, rows.len() / side);
    let value = |row: &Sample, column: &Sample| {
        let at = |x: u32, y: u32| if object.pixels.contains(x, y) { 1.0 } else { 0.0 };
        let upper = at(column.low, row.low) * (1.0 - column.share) + at(column.high, row.low) * column.share;
        let lower = at(column.low, row.high) * (1.0 - column.share) + at(column.high, row.high) * column.share;
        (upper * (1.0 - row.share) + lower * row.share) * row.weight * column.weight
    };
    let mut shares = Vec::with_capacity(side * side);
    for row in rows.chunks(down) {
        for column in columns.chunks(across) {
            let sum: f64 = row.iter().flat_map(|y| column.iter().map(move |x| value(y, x))).sum();
            shares.push(sum / (down * across) as f64);
        }
    }
    shares
}

/// A place between two pixels of a line.
struct Sample {
    low: u32,
    high: u32,
    /// Of the higher one.
    share: f64,
    /// 0 for a place that is more than one pixel outside of the image, else 1.
    weight: f64,
}

/// Where the stretch from `from` to `to` of a line of `length` pixels is looked at: equally often in each of 28 equal parts.
fn samples(from: f64, to: f64, length: u32) -> Vec<Sample> {
    let part = (to - from).max(1.0) / SIDE as f64;
    let each = part.ceil().max(1.0);
    let last = length.saturating_sub(1);
    let place = |number: i64, step: i64| {
        let at = from + number as f64 * part + (step as f64 + 0.5) * part / each;
        let weight = if at < -1.0 || at > f64::from(length) { 0.0 } else { 1.0 };
        let at = at.clamp(0.0, f64::from(last));
        let low = at as u32;
        Sample { low, high: (low + 1).min(last), share: at - f64::from(low), weight }
    };
    (0..SIDE).flat_map(|number| (0..each as i64).map(move |step| place(number, step))).collect()
}

/// Binary cross entropy of masks, mean over all their parts (part `roi_mask`). `logits` is `[P, 1, 28, 28]`, of the class of each
/// region; `wanted` float `[P, 28, 28]`. Without a region it is 0. Does not wait for the device.
pub fn loss(logits: &Tensor, wanted: &Tensor) -> Losses {
    let kind = precise(logits.kind());
    let logits = logits.to_kind(kind).squeeze_dim(1);
    let mask = if logits.size()[0] == 0 {
        logits.sum(kind)
    } else {
        let wanted = wanted.to_kind(kind);
        logits.binary_cross_entropy_with_logits(&wanted, None::<&Tensor>, None::<&Tensor>, Reduction::Mean)
    };
    Losses::sum([("roi_mask", mask)], 1.0)
}
