//! Outline -> pixels, by COCO's rule and by our own.
//!
//! Both rules look along the columns of pixels: a line of the outline that crosses a column at a row turns around all pixels
//! of the column from that row on. So the pixels of a window are computed from the parts of the lines that cross its columns,
//! whatever the size of the image and the length of the lines.

use super::super::rgb::Region;
use super::super::tiles::Tile;
use super::bits::Mask;
use super::coco;
use super::outline::{Outline, Ring, reach};

/// Which pixels an outline holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// COCO's, equal to pycocotools' `frPyObjects` and `merge`: all pixels of all rings, so that there are no holes; the
    /// lines are drawn on a grid of a fifth of a pixel. What training and COCO's numbers are of.
    Coco,
    /// A pixel belongs to the object if its middle is inside an odd number of rings, so that a ring within another is a hole:
    /// the specification's reading of its rows. Of the middles on a line, the lower and the right one of two objects that share the
    /// line belongs to it, so that no pixel belongs to both.
    EvenOdd,
}

impl Outline {
    /// The pixels of the object in a window of the image: those that the whole image would have there.
    ///
    /// # Panics
    /// When the window ends before it begins.
    #[must_use]
    pub fn rasterise(&self, fill: Fill, window: Tile) -> Mask {
        let mut mask = Mask::empty(window);
        match fill {
            Fill::Coco => self.rings.iter().for_each(|ring| unite(&mut mask, ring)),
            Fill::EvenOdd => {
                self.rings.iter().for_each(|ring| edges(ring, |from, to| middles(&mut mask, from, to)));
                mask.fill_down();
            }
        }
        mask
    }

    /// The object in a box of the image, as a mask of `width` x `height` pixels for the whole box. Coordinates of the mask
    /// begin at the corner of the box.
    ///
    /// COCO's rule then is that of the grid of the mask, whose fifths of a pixel are not those of the image.
    #[must_use]
    pub fn rasterise_box(&self, fill: Fill, area: Region, width: u32, height: u32) -> Mask {
        let scale = [f64::from(width) / (area.x1 - area.x0), f64::from(height) / (area.y1 - area.y0)];
        let moved = self.map(|[x, y]| [(x - area.x0) * scale[0], (y - area.y0) * scale[1]]);
        moved.rasterise(fill, Tile { x0: 0, y0: 0, x1: width, y1: height })
    }
}

/// Adds the pixels of one ring by COCO's rule. Works in the part of the window that the ring can reach.
fn unite(mask: &mut Mask, ring: &Ring) {
    let mut inside = Mask::empty(reach(ring.iter(), mask.window()));
    edges(ring, |from, to| coco::cross(&mut inside, from, to));
    inside.fill_down();
    mask.add(&inside);
}

/// Each line of a ring.
fn edges(ring: &Ring, mut visit: impl FnMut([f64; 2], [f64; 2])) {
    let ends = ring.iter().skip(1).chain(ring.first());
    ring.iter().zip(ends).for_each(|(from, to)| visit(*from, *to));
}

/// Turns around the first pixel of each column whose middle is on or below a line.
fn middles(mask: &mut Mask, from: [f64; 2], to: [f64; 2]) {
    // Always from the left, so that a line that two objects share is computed once.
    let ([xa, ya], [xb, yb]) = if from[0] <= to[0] { (from, to) } else { (to, from) };
    let window = mask.window();
    // A number becomes the nearest one that is a column; NaN becomes 0.
    let column = |x: f64| ((x - 0.5).ceil() as u32).clamp(window.x0, window.x1);
    for x in column(xa)..column(xb) {
        let y = ya + (f64::from(x) + 0.5 - xa) * (yb - ya) / (xb - xa);
        let row = ((y - 0.5).ceil() as u32).max(window.y0);
        mask.toggle(x, row);
    }
}
