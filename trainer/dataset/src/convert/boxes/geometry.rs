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

/// Segments of an outline in the unit of `frame`, cut at the edge; those of fewer than three points or of an odd count are
/// dropped, and those that have no area left.
pub fn outline(segments: impl IntoIterator<Item = Vec<f64>>, frame: &Frame) -> Vec<Vec<f64>> {
    let [width, height] = frame.size;
    let fraction = |(at, value): (usize, f64)| value / if at % 2 == 0 { width } else { height };
    let within = segments.into_iter().filter(|segment| is_outline(segment)).map(|segment| -> Vec<f64> {
        let fractions: Vec<f64> = segment.into_iter().enumerate().map(fraction).collect();
        frame.upright(&cut(fractions))
    });
    within
        .filter(|segment| {
            let [x1, y1, x2, y2] = bounds([segment]);
            x1 < x2 && y1 < y2
        })
        .collect()
}

/// What of a segment lies in the image, by which a line that leaves it goes along the edge.
fn cut(segment: Vec<f64>) -> Vec<f64> {
    let sticks_out = |value: &f64| !(-ROUNDING..=1.0 + ROUNDING).contains(value);
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
pub fn bounds<'a>(polygon: impl IntoIterator<Item = &'a Vec<f64>>) -> [f64; 4] {
    let points = polygon.into_iter().flat_map(|segment| segment.chunks_exact(2));
    points.fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |[x1, y1, x2, y2], p| {
        [x1.min(p[0]), y1.min(p[1]), x2.max(p[0]), y2.max(p[1])]
    })
}
