//! Between the two forms of a mask.

use super::super::tiles::Tile;
use super::bits::Mask;
use super::error::{MAX_PIXELS, MaskError};
use super::rle::Rle;

impl From<&Rle> for Mask {
    /// The window is the smallest rectangle around the object; it has no pixel where the object has none.
    fn from(rle: &Rle) -> Self {
        let window = rle.bounds().unwrap_or(Tile { x0: 0, y0: 0, x1: 0, y1: 0 });
        let mut mask = Self::empty(window);
        for [start, end] in rle.stretches() {
            let (first, last) = (start / rle.height(), (end - 1) / rle.height());
            for x in first..=last {
                let top = if x == first { start % rle.height() } else { 0 };
                let bottom = if x == last { (end - 1) % rle.height() + 1 } else { rle.height() };
                mask.toggle(x, top);
                mask.toggle(x, bottom);
            }
        }
        mask.fill_down();
        mask
    }
}

impl Mask {
    /// The mask as run lengths of an image of `width` x `height` pixels.
    ///
    /// # Errors
    /// The size is none, or the window does not lie in the image.
    pub fn rle(&self, width: u32, height: u32) -> Result<Rle, MaskError> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(MaskError::Size { width, height });
        }
        let window = self.window();
        if window.x1 > width || window.y1 > height {
            return Err(MaskError::Outside { window, width, height });
        }
        let mut changes = Vec::new();
        self.changes(|x, y| changes.push(x * height + y));
        Ok(Rle::from_changes(width, height, changes))
    }
}
