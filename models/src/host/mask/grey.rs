//! Masks as images.

use super::super::encode::encode_grey_png;
use super::super::tiles::Tile;
use super::bits::Mask;

impl Mask {
    /// The pixels of a rectangle of the image, row by row: 255 inside of the object, else 0.
    ///
    /// # Panics
    /// When the rectangle ends before it begins.
    #[must_use]
    pub fn grey(&self, window: Tile) -> Vec<u8> {
        let columns = window.x0..window.x1;
        let row = |y| columns.clone().map(move |x| if self.contains(x, y) { 255 } else { 0 });
        (window.y0..window.y1).flat_map(row).collect()
    }

    /// The same as a grey PNG file.
    ///
    /// # Panics
    /// When the rectangle has no pixel: there are no such files.
    #[must_use]
    pub fn png(&self, window: Tile) -> Vec<u8> {
        encode_grey_png(window.width(), window.height(), &self.grey(window))
    }
}
