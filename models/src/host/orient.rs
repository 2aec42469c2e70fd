//! EXIF orientation: turning a stored image upright.

use image::metadata::Orientation;

use super::prepare::flip_horizontal;
use super::rgb::Rgb;

/// Side of the squares in which an image is transposed, so that both sides of the copy stay in the nearest cache.
const TILE: usize = 32;

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
