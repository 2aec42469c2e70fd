//! EXIF orientation: turning a stored image upright.

use image::metadata::Orientation;

use super::prepare::flip_horizontal;
use super::rgb::Rgb;

/// Side of the squares in which an image is transposed, so that both sides of the copy stay in the nearest cache.
const TILE: usize = 32;

/// How a stored image becomes an upright one: one of the eight orientations of EXIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(pub(super) Orientation);

impl Turn {
    /// For an image that is stored as it is seen.
    pub const NONE: Self = Self(Orientation::NoTransforms);

    /// Whether width and height change places.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        match self.0 {
            Orientation::NoTransforms
            | Orientation::FlipHorizontal
            | Orientation::FlipVertical
            | Orientation::Rotate180 => false,
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => true,
        }
    }

    /// Width and height of the upright image, in pixels, of one that is stored with `size`.
    #[must_use]
    pub fn size(self, [width, height]: [u32; 2]) -> [u32; 2] {
        if self.swaps_sides() { [height, width] } else { [width, height] }
    }

    /// Where a point of the stored image is in the upright one; both as fractions of width and height.
    #[must_use]
    pub fn point(self, [x, y]: [f64; 2]) -> [f64; 2] {
        match self.0 {
            Orientation::NoTransforms => [x, y],
            Orientation::FlipHorizontal => [1.0 - x, y],
            Orientation::FlipVertical => [x, 1.0 - y],
            Orientation::Rotate180 => [1.0 - x, 1.0 - y],
            Orientation::Rotate90FlipH => [y, x],
            Orientation::Rotate270FlipH => [1.0 - y, 1.0 - x],
            Orientation::Rotate90 => [1.0 - y, x],
            Orientation::Rotate270 => [y, 1.0 - x],
        }
    }
}

/// Applies the orientation, so that the first row of the result is the top of the scene.
pub(super) fn upright(mut image: Rgb, orientation: Orientation) -> Rgb {
    match orientation {
        Orientation::NoTransforms => image,
        Orientation::FlipHorizontal => {
            flip_horizontal(&mut image);
            image
        }
        Orientation::FlipVertical => {
            flip_vertical(&mut image);
            image
        }
        Orientation::Rotate180 => {
            image.data.as_chunks_mut::<3>().0.reverse();
            image
        }
        // A transposition swaps x and y; flipping its source or target gives the other three.
        Orientation::Rotate90FlipH => transpose(&image),
        Orientation::Rotate270FlipH => {
            image.data.as_chunks_mut::<3>().0.reverse();
            transpose(&image)
        }
        Orientation::Rotate90 => {
            flip_vertical(&mut image);
            transpose(&image)
        }
        Orientation::Rotate270 => {
            flip_horizontal(&mut image);
            transpose(&image)
        }
    }
}

fn flip_vertical(image: &mut Rgb) {
    let stride = image.stride();
    let half = image.height as usize / 2;
    let middle = image.data.len() / 2 / stride * stride;
    let (top, bottom) = image.data.split_at_mut(middle);
    for (upper, lower) in top.chunks_exact_mut(stride).zip(bottom.rchunks_exact_mut(stride)).take(half) {
        upper.swap_with_slice(lower);
    }
}

fn transpose(image: &Rgb) -> Rgb {
    let (width, height) = (image.width as usize, image.height as usize);
    let mut data = vec![0; image.data.len()];
    let (source, _) = image.data.as_chunks::<3>();
    let (target, _) = data.as_chunks_mut::<3>();
    for top in (0..height).step_by(TILE) {
        let bottom = (top + TILE).min(height);
        for left in (0..width).step_by(TILE) {
            for x in left..(left + TILE).min(width) {
                for (y, out) in (top..bottom).zip(&mut target[x * height + top..x * height + bottom]) {
                    *out = source[y * width + x];
                }
            }
        }
    }
    Rgb { width: image.height, height: image.width, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every orientation: a marked pixel lands where [`Turn::point`] says its centre does.
    #[test]
    fn points_turn_as_pixels_do() {
        let (width, height) = (5, 3);
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let turn = Turn(orientation);
            let mut stored = Rgb::filled(width, height, [0; 3]);
            let (x, y) = (1, 2);
            let at = (y * width + x) as usize * 3;
            stored.data[at] = 255;
            let turned = upright(stored, orientation);
            assert_eq!([turned.width, turned.height], turn.size([width, height]));
            let found = turned.data.chunks_exact(3).position(|pixel| pixel[0] == 255).unwrap() as u32;
            let [x, y] = turn.point([1.5 / 5.0, 2.5 / 3.0]);
            let expected = (y * f64::from(turned.height)) as u32 * turned.width + (x * f64::from(turned.width)) as u32;
            assert_eq!(found, expected, "orientation {exif}");
        }
    }
}
