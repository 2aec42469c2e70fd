//! A resized image on a canvas.

use models::host::{Resizer, Rgb, Tile};
use schemas::Interpolation;

use super::{Placed, Source};

/// Where on a canvas a source goes: as a whole it would fill `width` x `height` pixels from (`left`, `top`) on, and what of
/// that lies in `clip` is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paste {
    pub left: i64,
    pub top: i64,
    pub width: u32,
    pub height: u32,
    /// Part of the canvas.
    pub clip: Tile,
}

impl Paste {
    /// Resizes what is seen of `source` and writes it. The pixels are those of the source resized as a whole.
    pub fn onto(&self, canvas: &mut Rgb, source: &Source, filter: Interpolation, resizer: &mut Resizer) {
        let Some((x0, x1)) = seen(self.left, self.width, self.clip.x0, self.clip.x1) else { return };
        let Some((y0, y1)) = seen(self.top, self.height, self.clip.y0, self.clip.y1) else { return };
        let window = Tile { x0, y0, x1, y1 };
        let part = resizer.resize_part(&source.image, source.from, (self.width, self.height), window, filter);
        let (left, top) = ((self.left + i64::from(x0)) as usize, (self.top + i64::from(y0)) as usize);
        let (stride, length) = (canvas.width as usize * 3, part.width as usize * 3);
        let rows = canvas.data.chunks_exact_mut(stride).skip(top);
        for (row, pixels) in rows.zip(part.data.chunks_exact(length)) {
            row[left * 3..][..length].copy_from_slice(pixels);
        }
    }

    /// The objects of `source` in pixels of the canvas, not clipped.
    pub fn objects(&self, source: &Source) -> impl Iterator<Item = Placed> {
        let sx = f64::from(self.width) / f64::from(source.from.width());
        let sy = f64::from(self.height) / f64::from(source.from.height());
        let (left, top) = (self.left as f64, self.top as f64);
        source.objects.iter().map(move |placed| placed.moved(|x| x * sx + left, |y| y * sy + top))
    }
}

/// The stretch of a line of `length` pixels from `start` on that lies in `low..high`, counted from its own start.
fn seen(start: i64, length: u32, low: u32, high: u32) -> Option<(u32, u32)> {
    let from = (i64::from(low) - start).clamp(0, i64::from(length)) as u32;
    let to = (i64::from(high) - start).clamp(0, i64::from(length)) as u32;
    (from < to).then_some((from, to))
}
