//! Pixels -> outline, exactly.

use super::bits::{Mask, WORD, ones};
use super::outline::{Outline, Ring};

/// Steps along the edges of pixels, clockwise: right, down, left, up.
const STEPS: [[i32; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];
/// Where the pixels ahead of a corner lie, seen from the corner, for each step: the one to the right of the way, the one to the
/// left. A pixel is named by its upper left corner.
const AHEAD: [[[i32; 2]; 2]; 4] = [[[0, 0], [0, -1]], [[-1, 0], [0, 0]], [[-1, -1], [-1, 0]], [[0, -1], [-1, -1]]];

impl Mask {
    /// The outline along the edges of the pixels: a ring around each part of the object, clockwise as one sees it, and one
    /// around each hole, the other way round; points where it turns alone. Even-odd, it holds the very pixels of the mask; by
    /// COCO's rule it does so where there is no hole.
    ///
    /// Pixels that touch at a corner alone are two parts; two pixels of a hole that do are one hole. Rings are in the order
    /// of their uppermost points, the left one first.
    ///
    /// The specification draws contours through the middles of the pixels around the object, counted from the middle of the
    /// first pixel of the image: half a pixel to the left and above, where its boxes are not.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let window = self.window();
        let mut walked = Self::empty(window);
        let mut rings = Vec::new();
        let nothing = vec![0; self.row_words()];
        let mut above = &nothing[..];
        for y in window.y0..window.y1 {
            let row = self.row(y);
            for at in 0..row.len() {
                // Upper edges of pixels that have nothing above them, but those of the rings so far.
                while let Some(bit) = ones(row[at] & !above[at] & !walked.row(y)[at]).next() {
                    let x = (window.x0 / WORD + at as u32) * WORD + bit;
                    rings.push(self.walk([x, y], &mut walked));
                }
            }
            above = row;
        }
        Outline { rings }
    }

    /// The ring from the upper left corner of a pixel along its upper edge, the object on the right. Sets in `walked` the pixels
    /// along whose upper edges it goes to the right, as each ring somewhere does.
    fn walk(&self, start: [u32; 2], walked: &mut Self) -> Ring {
        let moved = |[x, y]: [u32; 2], [dx, dy]: [i32; 2]| [x.wrapping_add_signed(dx), y.wrapping_add_signed(dy)];
        let (mut at, mut way, mut ring) = (start, 0, Ring::new());
        loop {
            if way == 0 {
                walked.toggle(at[0], at[1]);
            }
            at = moved(at, STEPS[way]);
            let [right, left] = AHEAD[way].map(|pixel| {
                let [x, y] = moved(at, pixel);
                self.contains(x, y)
            });
            let turn = match (right, left) {
                (false, _) => 1,
                (true, true) => 3,
                (true, false) => continue,
            };
            way = (way + turn) % 4;
            ring.push(at.map(f64::from));
            if at == start && way == 0 {
                return ring;
            }
        }
    }
}
