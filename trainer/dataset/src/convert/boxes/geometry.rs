//! Boxes and outlines in an annotation's unit, as fractions of an image.

use models::host::mask::{Fill, Outline};

use super::frame::Frame;
use crate::outline::within;

/// A box as fractions of the upright image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fitted {
    /// `x1 y1 x2 y2`, each in [0, 1].
    pub corners: [f64; 4],
    /// Whether the box stuck out of its image and was cut at the edge.
    pub cut: bool,
}

/// Whether corners are numbers and in order.
#[must_use]
pub fn is_box([x1, y1, x2, y2]: &[f64; 4]) -> bool {
    [x1, y1, x2, y2].into_iter().all(|value| value.is_finite()) && x1 < x2 && y1 < y2
}

/// Sticking out by less than this fraction of a side is rounding, and not counted as cut.
const ROUNDING: f64 = 1e-6;

/// A box of corners `x1 y1 x2 y2` in the unit of `frame`, cut at the edge of its image as other tools do.
///
/// # Errors
/// It is no box, lies outside of the image as a whole, or is empty; with the numbers as they were written.
pub fn fitted(corners: [f64; 4], frame: &Frame) -> Result<Fitted, String> {
    let [width, height] = frame.size;
    let [x1, y1, x2, y2] = corners;
    let shown = || format!("its box {x1} {y1} {x2} {y2}");
    if corners.iter().any(|value| !value.is_finite()) {
        return Err(format!("{} is not made of numbers", shown()));
    }
    if x1 >= x2 || y1 >= y2 {
        return Err(format!("{} is empty", shown()));
    }
    if x1 >= width || y1 >= height || x2 <= 0.0 || y2 <= 0.0 {
        return Err(format!("{} lies outside of the image of {width} x {height}", shown()));
    }
    let scaled = [x1 / width, y1 / height, x2 / width, y2 / height];
    let within = scaled.map(|value| value.clamp(0.0, 1.0));
    if within[0] >= within[2] || within[1] >= within[3] {
        return Err(format!("{} is empty", shown()));
    }
    let cut = scaled.iter().zip(&within).any(|(before, after)| (before - after).abs() > ROUNDING);
    Ok(Fitted { corners: bounds(&[frame.upright(&within)]), cut })
}

/// An outline as fractions of the upright image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlined {
    /// Its segments `x1 y1 x2 y2 ..`, each in [0, 1].
    pub segments: Vec<Vec<f64>>,
    /// Segments that cannot be used: place, from 0, and why.
    pub faults: Vec<(usize, String)>,
    /// Whether a segment stuck out of its image and was cut at the edge.
    pub cut: bool,
}

/// Segments of an outline in the unit of `frame`, cut at the edge. Those that enclose nothing, or nothing of the image,
/// are dropped and listed, but for empty ones, which are dropped alone.
pub fn outline(segments: impl IntoIterator<Item = Vec<f64>>, frame: &Frame) -> Outlined {
    let [width, height] = frame.size;
    let fraction = |(at, value): (usize, f64)| value / if at % 2 == 0 { width } else { height };
    let mut outlined = Outlined::default();
    for (place, segment) in segments.into_iter().enumerate().filter(|(_, segment)| !segment.is_empty()) {
        if let Some(fault) = segment_fault(&segment) {
            outlined.faults.push((place, fault));
            continue;
        }
        let fractions: Vec<f64> = segment.into_iter().enumerate().map(fraction).collect();
        let sticks_out = fractions.iter().any(sticks_out);
        let within = frame.upright(&cut(fractions));
        let [x1, y1, x2, y2] = bounds([&within]);
        if x1 < x2 && y1 < y2 {
            outlined.cut |= sticks_out;
            outlined.segments.push(within);
        } else {
            outlined.faults.push((place, format!("it lies outside of the image of {width} x {height}")));
        }
    }
    outlined
}

/// Why a segment encloses nothing, whatever its image is.
#[must_use]
pub fn segment_fault(segment: &[f64]) -> Option<String> {
    let count = segment.len();
    if !count.is_multiple_of(2) {
        return Some(format!("it has {count} coordinates; x and y must come in pairs"));
    }
    if count < 6 {
        let points = if count == 2 { "1 point".to_owned() } else { format!("{} points", count / 2) };
        return Some(format!("it has {points}, and 3 are the fewest"));
    }
    if let Some(bad) = segment.iter().find(|value| !value.is_finite()) {
        return Some(format!("it holds {bad}, which is no coordinate"));
    }
    is_flat(segment).then(|| "all its points lie on one line, so that it encloses nothing".to_owned())
}

/// Whether points lie on one line.
fn is_flat(segment: &[f64]) -> bool {
    /// Farthest from the line that rounding takes a point, as a share of the box around all.
    const NEAR: f64 = 1e-9;
    let [x1, y1, x2, y2] = bounds([segment]);
    let (width, height) = (x2 - x1, y2 - y1);
    if width <= 0.0 || height <= 0.0 {
        return true;
    }
    // In parts of the box, so that no number is too large for the products.
    let point = |point: &[f64; 2]| [(point[0] - x1) / width, (point[1] - y1) / height];
    let (points, _) = segment.as_chunks::<2>();
    let from = point(&points[0]);
    let away = |[x, y]: [f64; 2]| [x - from[0], y - from[1]];
    let length = |[x, y]: [f64; 2]| x.hypot(y);
    let all = || points.iter().map(point).map(away);
    let Some([x, y]) = all().max_by(|a, b| length(*a).total_cmp(&length(*b))) else { return true };
    all().all(|[px, py]| (px * y - py * x).abs() <= NEAR)
}

/// That no segment of an outline can be used, with the first reason.
#[must_use]
pub fn none_usable(faults: &[(usize, String)]) -> Option<String> {
    let (first, reason) = faults.first()?;
    Some(match faults.len() {
        1 => format!("its outline cannot be used: {reason}"),
        many => format!("none of its {many} segments can be used, segment {first} (from 0) because {reason}"),
    })
}

/// Whether two boxes share nothing.
#[must_use]
pub fn are_apart([ax1, ay1, ax2, ay2]: &[f64; 4], [bx1, by1, bx2, by2]: &[f64; 4]) -> bool {
    ax1 >= bx2 || bx1 >= ax2 || ay1 >= by2 || by1 >= ay2
}

fn sticks_out(value: &f64) -> bool {
    !(-ROUNDING..=1.0 + ROUNDING).contains(value)
}

/// What of a segment lies in the image, by which a line that leaves it goes along the edge.
fn cut(segment: Vec<f64>) -> Vec<f64> {
    if !segment.iter().any(sticks_out) {
        return segment.into_iter().map(|value| value.clamp(0.0, 1.0)).collect();
    }
    let outline = Outline { rings: vec![segment.as_chunks().0.to_vec()] };
    let part = within(&outline, [0.0, 0.0, 1.0, 1.0]).unwrap_or_default();
    part.rings.concat().concat().into_iter().map(|value| value.clamp(0.0, 1.0)).collect()
}

/// The outline of all pixels of segments, fractions of an image of `size` pixels, where they hold more together than an odd
/// number of them does: where they overlap.
pub fn united(polygon: &[Vec<f64>], size: [u32; 2]) -> Option<Vec<Vec<f64>>> {
    if polygon.len() < 2 {
        return None;
    }
    let [width, height] = size;
    let outline = Outline::from_segments(polygon, size.map(f64::from)).ok()?;
    let window = outline.window(width, height);
    let all = outline.rasterise(Fill::Coco, window);
    let odd = outline.rasterise(Fill::CocoEvenOdd, window);
    (all != odd).then(|| all.outline().fractions(width, height))
}

/// Whether a segment has at least three points, all of them numbers.
#[must_use]
pub fn is_outline(segment: &[f64]) -> bool {
    segment.len() >= 6 && segment.len().is_multiple_of(2) && segment.iter().all(|value| value.is_finite())
}

/// Smallest box around an outline.
pub fn bounds<S: AsRef<[f64]>>(polygon: impl IntoIterator<Item = S>) -> [f64; 4] {
    let nothing = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    polygon.into_iter().fold(nothing, |around, segment| {
        let (points, _) = segment.as_ref().as_chunks::<2>();
        points.iter().fold(around, |[x1, y1, x2, y2], [x, y]| [x1.min(*x), y1.min(*y), x2.max(*x), y2.max(*y)])
    })
}
