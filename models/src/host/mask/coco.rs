//! COCO's rule for the pixels of a polygon, as pycocotools follows it.
//!
//! - Coordinates are counted in fifths of a pixel: times 5, plus one half, and cut off towards 0.
//! - A line between two points has one point for each step along its longer side, the other coordinate is rounded.
//! - It crosses column `c` of pixels between the fifths `5 c + 2` and `5 c + 3`, at the upper one of its two points there. From
//!   the row whose middle is on or below that point, the pixels of the column are turned around.
//!
//! Only the points on both sides of the middle of a column matter, and they are computed without those between. So a line
//! takes time for the columns that it crosses, however long it is.

use super::bits::Mask;

/// Parts of a pixel.
const PARTS: i64 = 5;
/// The last fifth of a pixel before the middle of its column or row.
const MIDDLE: i64 = 2;
/// Coordinates further outside are moved to it, in fifths: it is beyond every image.
const FARTHEST: f64 = (1_u64 << 40) as f64;

/// Turns around the first pixel of each column of the window that the line crosses.
pub(super) fn cross(mask: &mut Mask, from: [f64; 2], to: [f64; 2]) {
    let (from, to) = (from.map(parts), to.map(parts));
    let (dx, dy) = ((from[0] - to[0]).abs(), (from[1] - to[1]).abs());
    let along = if dx >= dy { 0 } else { 1 };
    let (from, to) = if from[along] <= to[along] { (from, to) } else { (to, from) };
    let line =
        Line { start: from, length: dx.max(dy), slope: (to[1 - along] - from[1 - along]) as f64 / dx.max(dy) as f64 };
    let (left, right) = if from[0] <= to[0] { (from[0], to[0]) } else { (to[0], from[0]) };
    // Columns whose middle has points of the line on both sides.
    let window = mask.window();
    let first_with_middle_from = |x: i64| (x + PARTS - 1 - MIDDLE).div_euclid(PARTS);
    let first = first_with_middle_from(left).max(i64::from(window.x0));
    let end = first_with_middle_from(right).min(i64::from(window.x1));
    for column in first..end {
        let before = PARTS * column + MIDDLE;
        let upper = if along == 0 { line.upper_of_flat(before) } else { line.upper_of_steep(before) };
        let row = (upper + MIDDLE).div_euclid(PARTS).max(i64::from(window.y0));
        mask.toggle(column as u32, u32::try_from(row).unwrap_or(u32::MAX));
    }
}

fn parts(coordinate: f64) -> i64 {
    (PARTS as f64 * coordinate + 0.5).clamp(-FARTHEST, FARTHEST) as i64
}

/// A line from the point with the smaller coordinate along its longer side.
struct Line {
    start: [i64; 2],
    /// Steps along the longer side.
    length: i64,
    /// What the other coordinate changes by in each step, -1 to 1.
    slope: f64,
}

impl Line {
    /// The other coordinate of the point after some steps.
    fn other(&self, start: i64, steps: i64) -> i64 {
        (start as f64 + self.slope * steps as f64 + 0.5) as i64
    }

    /// The upper one of the points at `before` and after it, of a line that is longer in x.
    fn upper_of_flat(&self, before: i64) -> i64 {
        let steps = before - self.start[0];
        self.other(self.start[1], steps).min(self.other(self.start[1], steps + 1))
    }

    /// The upper one of the two points between which x passes from `before` to the next fifth or back, of a line that is
    /// longer in y.
    fn upper_of_steep(&self, before: i64) -> i64 {
        let passed = |steps| {
            let x = self.other(self.start[0], steps);
            if self.slope > 0.0 { x > before } else { x <= before }
        };
        // Where the line is at the middle, in real numbers, is a step or so from where its points are.
        let guess = (before as f64 + 0.5 - self.start[0] as f64) / self.slope;
        let mut steps = (guess as i64).clamp(1, self.length);
        while steps > 1 && passed(steps - 1) {
            steps -= 1;
        }
        while steps < self.length && !passed(steps) {
            steps += 1;
        }
        self.start[1] + steps - 1
    }
}
