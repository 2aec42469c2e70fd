//! Outline -> pixels, by COCO's rule, the specification's and our own.
//!
//! All rules look along the columns of pixels: a line of the outline that crosses a column at a row turns around all pixels
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
    /// lines are drawn on a grid of a fifth of a pixel. What COCO's annotations mean and COCO's numbers are of.
    Coco,
    /// The pixels that an odd number of rings hold by COCO's rule, so that a ring within another is a hole: what the
    /// specification makes of its rows. The same as [`Fill::Coco`], and so as torchvision's pipeline, where no ring
    /// reaches into another.
    CocoEvenOdd,
    /// The pixels whose middles are inside an odd number of rings, in real numbers: for outlines that we draw ourselves. Of
    /// the middles on a line that two objects share, each belongs to one of them.
    EvenOdd,
}

impl Outline {
    /// The pixels of the object in a window of the image: those that the whole image would have there.
    ///
    /// # Panics
    /// When the window ends before it begins.
    #[must_use]
    pub fn rasterise(&self, fill: Fill, window: Tile) -> Mask {
        match fill {
            Fill::Coco => {
                let mut mask = Mask::empty(window);
                for ring in &self.rings {
                    // Only where the ring can reach.
                    mask.add(&odd(std::slice::from_ref(ring), reach(ring.iter(), window), coco::cross));
                }
                mask
            }
            Fill::CocoEvenOdd => odd(&self.rings, window, coco::cross),
            Fill::EvenOdd => odd(&self.rings, window, middles),
        }
    }

    /// The pixels of the object in an image of `width` x `height` pixels, by COCO's rule with holes.
    #[must_use]
    pub fn covered(&self, width: u32, height: u32) -> Mask {
        self.rasterise(Fill::CocoEvenOdd, self.window(width, height))
    }

    /// The object in a box of the image, as a mask of `width` x `height` pixels for the whole box. Coordinates of the mask
    /// begin at the corner of the box.
    ///
    /// The fifths of a pixel of COCO's rules are then those of the mask, not of the image.
    #[must_use]
    pub fn rasterise_box(&self, fill: Fill, area: Region, width: u32, height: u32) -> Mask {
        let scale = [f64::from(width) / (area.x1 - area.x0), f64::from(height) / (area.y1 - area.y0)];
        let moved = self.map(|[x, y]| [(x - area.x0) * scale[0], (y - area.y0) * scale[1]]);
        moved.rasterise(fill, Tile { x0: 0, y0: 0, x1: width, y1: height })
    }
}

/// The pixels of a window that an odd number of rings hold. `cross` turns around, in each column that a line crosses, the first
/// pixel below it.
fn odd(rings: &[Ring], window: Tile, cross: fn(&mut Mask, [f64; 2], [f64; 2])) -> Mask {
    let mut mask = Mask::empty(window);
    for ring in rings {
        let ends = ring.iter().skip(1).chain(ring.first());
        ring.iter().zip(ends).for_each(|(from, to)| cross(&mut mask, *from, *to));
    }
    mask.fill_down();
    mask
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
