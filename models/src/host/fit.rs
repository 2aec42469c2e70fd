//! Where an image of any size lies in the network's input, and the way back: one rule in whole numbers, which the graph of
//! an exported detector repeats on its own values.

use schemas::preprocessing::{Fit, Preprocessing};

use super::prepare::prepared_size;
use super::resize::Resizer;
use super::rgb::{Region, Rgb};

/// Colour around a letterboxed image.
const GREY: [u8; 3] = [114; 3];

/// Images this many times taller than wide are resized along their height first in a `whole` classifier. A wider result than needed is
/// cut between the two passes, so no intermediate result is larger than `resize` times the longer side or, of small images,
/// this many times `resize` times `crop`; below this ratio the order is Pillow's (width first), and so is the result.
pub const TALL: u32 = 8;

/// The network's input for one image, and where in it the resized image lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Columns of the input.
    pub width: u32,
    /// Rows of the input.
    pub height: u32,
    /// Columns of the resized image.
    pub inner_width: u32,
    /// Rows of the resized image.
    pub inner_height: u32,
    /// First column of the resized image in the input; negative where it is cut.
    pub left: i64,
    /// First row of the resized image in the input; negative where it is cut.
    pub top: i64,
}

impl Placement {
    /// Where an image of `width` x `height` pixels (sides of 0 count as 1) lies. [`Fit`] states the rules.
    #[must_use]
    pub fn of(width: u32, height: u32, fit: &Fit) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        match *fit {
            Fit::Crop { resize, crop } => {
                let (inner_width, inner_height) = prepared_size(width, height, resize);
                let crop = crop.max(1);
                let offset = |side: u32| {
                    let rest = i64::from(side) - i64::from(crop);
                    // Half of an odd number lies between two offsets: the even one. What is missing is padded rounded down.
                    if rest < 0 { -(rest / 2) } else { -(rest / 2 + i64::from(rest % 4 == 3)) }
                };
                let (left, top) = (offset(inner_width), offset(inner_height));
                Self { width: crop, height: crop, inner_width, inner_height, left, top }
            }
            Fit::Letterbox { side } => {
                let long = u64::from(width.max(height));
                let scaled = |length: u32| whole((u64::from(length) * u64::from(side)).div_ceil(long));
                let framed = Self::framed(scaled(width), scaled(height));
                let half = |outer: u32, inner: u32| i64::from((outer - inner) / 2);
                Self {
                    left: half(framed.width, framed.inner_width),
                    top: half(framed.height, framed.inner_height),
                    ..framed
                }
            }
            Fit::Shorter { min_size, max_size } => {
                let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
                let (to, of) = if u64::from(min_size) * long <= u64::from(max_size) * short {
                    (u64::from(min_size), short)
                } else {
                    (u64::from(max_size), long)
                };
                let scaled = |length: u32| whole(u64::from(length) * to / of);
                Self::framed(scaled(width), scaled(height))
            }
        }
    }

    /// The resized image at the top left of the smallest frame whose sides are multiples of the coarsest stride.
    fn framed(inner_width: u32, inner_height: u32) -> Self {
        let up = |length: u32| length.next_multiple_of(schemas::STRIDE);
        Self { width: up(inner_width), height: up(inner_height), inner_width, inner_height, left: 0, top: 0 }
    }

    /// Pixels of the largest result on the way of an image of `width` x `height` pixels through a `whole` classifier, which resizes
    /// one axis, cuts that, and then does the other.
    #[must_use]
    pub fn most_on_the_way(&self, width: u32, height: u32) -> u64 {
        let pixels = |a: u32, b: u32| u64::from(a) * u64::from(b);
        if u64::from(height) > u64::from(TALL) * u64::from(width) {
            pixels(width, self.inner_height).max(pixels(self.inner_width, self.height))
        } else {
            pixels(self.inner_width, height).max(pixels(self.width, self.inner_height))
        }
    }

    /// Corners `x1 y1 x2 y2` in pixels of the image (`width` x `height`) as pixels of the input.
    #[must_use]
    pub fn forward(&self, corners: [f64; 4], width: u32, height: u32) -> [f64; 4] {
        let (sx, sy) = self.scale(width, height);
        let (left, top) = (self.left as f64, self.top as f64);
        let [x1, y1, x2, y2] = corners;
        [x1 * sx + left, y1 * sy + top, x2 * sx + left, y2 * sy + top]
    }

    /// Corners in pixels of the input as pixels of the image, clipped to it.
    #[must_use]
    pub fn back(&self, corners: [f64; 4], width: u32, height: u32) -> [f64; 4] {
        let (sx, sy) = self.scale(width, height);
        let x = |v: f64| ((v - self.left as f64) / sx).clamp(0.0, f64::from(width.max(1)));
        let y = |v: f64| ((v - self.top as f64) / sy).clamp(0.0, f64::from(height.max(1)));
        let [x1, y1, x2, y2] = corners;
        [x(x1), y(y1), x(x2), y(y2)]
    }

    fn scale(&self, width: u32, height: u32) -> (f64, f64) {
        let ratio = |inner: u32, length: u32| f64::from(inner) / f64::from(length.max(1));
        (ratio(self.inner_width, width), ratio(self.inner_height, height))
    }
}

/// A length as pixels, at least 1.
fn whole(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX / 2).max(1)
}

/// Colour around an image that does not fill the network's input.
#[must_use]
pub fn fill(p: &Preprocessing) -> [u8; 3] {
    match p.fit {
        Fit::Letterbox { .. } => GREY,
        Fit::Shorter { .. } | Fit::Crop { .. } => p.mean.map(|v| v.round().clamp(0.0, 255.0) as u8),
    }
}

impl Resizer {
    /// Resizes all of `src` and puts it into its frame.
    pub(super) fn frame(&mut self, src: &Rgb, p: &Preprocessing) -> Rgb {
        let place = Placement::of(src.width, src.height, &p.fit);
        let inner = self.resize(src, Region::whole(src), place.inner_width, place.inner_height, p.interpolation);
        if (inner.width, inner.height) == (place.width, place.height) {
            return inner;
        }
        let mut framed = Rgb::filled(place.width, place.height, fill(p));
        let (left, top) = (place.left.max(0) as usize, place.top.max(0) as usize);
        let stride = framed.stride();
        let lines = framed.data.chunks_exact_mut(stride).skip(top);
        for (line, source) in lines.zip(inner.data.chunks_exact(inner.stride())) {
            line[left * 3..][..source.len()].copy_from_slice(source);
        }
        framed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_image_never_becomes_a_huge_one() {
        let fit = Fit::Crop { resize: 256, crop: 224 };
        for (width, height, most) in [
            (2000, 1, 256 * 2000),
            (1, 2000, 256 * 2000),
            (16_384, 1, 256 * 16_384),
            (1, 16_384, 256 * 16_384),
            (1, 8, 224 * 8 * 256),
            (1, 9, 256 * 224),
            (1, 1, 256 * 224),
            (4000, 3000, 341 * 3000),
            (3000, 4000, 256 * 4000),
        ] {
            assert_eq!(Placement::of(width, height, &fit).most_on_the_way(width, height), most, "{width}x{height}");
        }
    }

    fn of(width: u32, height: u32, fit: Fit) -> Placement {
        Placement::of(width, height, &fit)
    }

    #[test]
    fn letterbox_rounds_up_centres_and_frames_to_multiples_of_32() {
        let p = of(640, 480, Fit::Letterbox { side: 256 });
        assert_eq!(p, Placement { width: 256, height: 192, inner_width: 256, inner_height: 192, left: 0, top: 0 });
        let p = of(500, 333, Fit::Letterbox { side: 320 });
        // 333 * 320 / 500 = 213.12, rounded up.
        assert_eq!(p, Placement { width: 320, height: 224, inner_width: 320, inner_height: 214, left: 0, top: 5 });
        let p = of(1, 10_000, Fit::Letterbox { side: 640 });
        assert_eq!((p.inner_width, p.width, p.left, p.height), (1, 32, 15, 640));
    }

    #[test]
    fn shorter_side_obeys_the_limit_on_the_longer_one() {
        let p = of(800, 600, Fit::Shorter { min_size: 600, max_size: 1333 });
        assert_eq!(p, Placement { width: 800, height: 608, inner_width: 800, inner_height: 600, left: 0, top: 0 });
        let p = of(4000, 1000, Fit::Shorter { min_size: 600, max_size: 1333 });
        assert_eq!((p.inner_width, p.inner_height, p.width, p.height), (1333, 333, 1344, 352));
    }

    #[test]
    fn corners_go_there_and_back_and_are_clipped() {
        for fit in [
            Fit::Letterbox { side: 640 },
            Fit::Shorter { min_size: 600, max_size: 1333 },
            Fit::Crop { resize: 256, crop: 224 },
        ] {
            let p = of(499, 666, fit);
            let corners = [12.5, 100.25, 300.0, 660.0];
            let there = p.forward(corners, 499, 666);
            for (a, b) in p.back(there, 499, 666).iter().zip(corners) {
                assert!((a - b).abs() < 1e-9);
            }
            assert_eq!(p.back([-1e4, -1e4, 1e4, 1e4], 499, 666), [0.0, 0.0, 499.0, 666.0]);
        }
    }

    #[test]
    fn a_framed_image_lies_where_its_placement_says() {
        let p = Preprocessing {
            fit: Fit::Letterbox { side: 64 },
            interpolation: schemas::Interpolation::Bilinear,
            mean: [0.0; 3],
            std: [255.0; 3],
        };
        let framed = super::super::prepare(&Rgb::filled(64, 35, [200, 10, 30]), &p);
        assert_eq!((framed.width, framed.height), (64, 64));
        let row = |y: usize| &framed.data[y * 64 * 3..][..3];
        assert_eq!(
            (row(13), row(14), row(48), row(49)),
            (&GREY[..], &[200, 10, 30][..], &[200, 10, 30][..], &GREY[..])
        );
    }
}
