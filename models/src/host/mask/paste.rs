//! A network's mask of an object -> pixels of the image. The one rule of evaluation, prediction and server.
//!
//! It is that of torchvision's `paste_masks_in_image`, in single precision and in this order:
//!
//! 1. The mask of `side * side` probabilities gets a border of zeros, one wide; the box is made larger about its middle by
//!    `(side + 2) / side`, and its corners are cut off to whole numbers towards 0: `(x1, y1)` and `(x2, y2)`.
//! 2. The mask with its border is resized to `x2 - x1 + 1` by `y2 - y1 + 1` pixels, at least 1, bilinearly with
//!    `align_corners=False` and without antialiasing, and laid at `(x1, y1)`.
//! 3. A pixel belongs to the object if its probability is above the threshold.
//!
//! Where it differs from torchvision: pixels are mixed along columns before rows, which changes probabilities by less than 1e-6; a
//! box outside of the image gives no pixel, where torchvision fails; a box with a corner that is no finite number gives none.

use super::super::tiles::Tile;
use super::bits::Mask;

/// Zeros around the mask, on each side.
const BORDER: usize = 1;
/// Corners further outside are moved to it: it is beyond every image.
pub const FARTHEST: f32 = (1_u64 << 40) as f32;

/// How masks are pasted into an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paste {
    /// Pixels of a row of the image.
    pub width: u32,
    /// Rows of the image.
    pub height: u32,
    /// A pixel is the object's if its probability is above it (`mask_pixel_score_threshold`), in `[0, 1]`.
    pub threshold: f32,
}

impl Paste {
    /// The pixels of an object in the image: `probabilities` has `side * side` values, row by row, `corners` are
    /// `x1 y1 x2 y2` in pixels of the image. The window of the result is the part of the pasted mask that lies in the image.
    ///
    /// # Panics
    /// When `probabilities` is no square.
    #[must_use]
    pub fn mask(&self, probabilities: &[f32], corners: [f32; 4]) -> Mask {
        let place = self.place(probabilities, corners);
        let mut mask = Mask::empty(place.as_ref().map_or(NOWHERE, |place| place.window));
        if let Some(place) = place {
            place.rows(probabilities, |y, row| mask.set_row(y, row.iter().map(|value| *value > self.threshold)));
        }
        mask
    }

    /// The probabilities themselves: the window that [`Paste::mask`] has, and its values row by row.
    ///
    /// # Panics
    /// When `probabilities` is no square.
    #[must_use]
    pub fn probabilities(&self, probabilities: &[f32], corners: [f32; 4]) -> (Tile, Vec<f32>) {
        let Some(place) = self.place(probabilities, corners) else {
            return (NOWHERE, Vec::new());
        };
        let mut values = Vec::with_capacity(place.columns.len() * place.rows.len());
        place.rows(probabilities, |_, row| values.extend_from_slice(row));
        (place.window, values)
    }

    /// Where a mask lies; `None` where nothing of it is in the image.
    fn place(&self, probabilities: &[f32], corners: [f32; 4]) -> Option<Place> {
        let side = probabilities.len().isqrt();
        assert!(
            side > 0 && side * side == probabilities.len(),
            "a network's mask must be a square of probabilities, but it has {} of them",
            probabilities.len()
        );
        if !corners.iter().all(|corner| corner.is_finite()) {
            return None;
        }
        let [x1, y1, x2, y2] = corners;
        let ((x, columns), (y, rows)) = (samples(x1, x2, self.width, side)?, samples(y1, y2, self.height, side)?);
        let window = Tile { x0: x, y0: y, x1: x + columns.len() as u32, y1: y + rows.len() as u32 };
        Some(Place { window, side, columns, rows })
    }
}

const NOWHERE: Tile = Tile { x0: 0, y0: 0, x1: 0, y1: 0 };

/// The part of a pasted mask that lies in the image.
struct Place {
    window: Tile,
    side: usize,
    columns: Vec<Sample>,
    rows: Vec<Sample>,
}

/// What a pixel takes from the mask with its border, along one axis: `near * (1 - share) + far * share`.
#[derive(Clone, Copy)]
struct Sample {
    near: usize,
    far: usize,
    share: f32,
}

impl Sample {
    fn of(&self, values: &[f32]) -> f32 {
        values[self.near] * (1.0 - self.share) + values[self.far] * self.share
    }
}

impl Place {
    /// Computes the rows of the window: `visit` takes each with its row of the image.
    fn rows(&self, probabilities: &[f32], mut visit: impl FnMut(u32, &[f32])) {
        let length = self.side + 2 * BORDER;
        let mut bordered = vec![0.0; length * length];
        for (row, values) in probabilities.chunks_exact(self.side).enumerate() {
            bordered[(row + BORDER) * length + BORDER..][..self.side].copy_from_slice(values);
        }
        let (mut mixed, mut row) = (vec![0.0; length], vec![0.0; self.columns.len()]);
        for (y, sample) in (self.window.y0..).zip(&self.rows) {
            let (near, far) = (&bordered[sample.near * length..][..length], &bordered[sample.far * length..][..length]);
            for (mixed, (near, far)) in mixed.iter_mut().zip(near.iter().zip(far)) {
                *mixed = near * (1.0 - sample.share) + far * sample.share;
            }
            row.iter_mut().zip(&self.columns).for_each(|(value, sample)| *value = sample.of(&mixed));
            visit(y, &row);
        }
    }
}

/// The first pixel along an axis of `length` pixels that a mask of `side` values in a box from `from` to `to` reaches, and what
/// it and those after it take; `None` where it reaches none.
fn samples(from: f32, to: f32, length: u32, side: usize) -> Option<(u32, Vec<Sample>)> {
    let bordered = side + 2 * BORDER;
    let half = (to - from) * 0.5 * (bordered as f32 / side as f32);
    let middle = (to + from) * 0.5;
    let [first, last] = [middle - half, middle + half].map(|corner| corner.clamp(-FARTHEST, FARTHEST) as i64);
    let pixels = (last - first + 1).max(1);
    let (start, end) = (first.max(0), (last + 1).min(i64::from(length)));
    if start >= end {
        return None;
    }
    let scale = bordered as f32 / pixels as f32;
    let sample = |pixel: i64| {
        let at = (scale * ((pixel - first) as f32 + 0.5) - 0.5).max(0.0);
        let near = (at as usize).min(bordered - 1);
        Sample { near, far: (near + 1).min(bordered - 1), share: (at - near as f32).clamp(0.0, 1.0) }
    };
    Some((start as u32, (start..end).map(sample).collect()))
}
