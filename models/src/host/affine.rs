//! Affine changes of an image for training augmentation: by the nearest pixel, equal to Pillow's `transform(AFFINE, NEAREST)`, and
//! between pixels, as OpenCV's `warpAffine` with `INTER_LINEAR` and a constant border.

use super::rgb::Rgb;

/// Where each pixel of the result comes from: `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`, in continuous
/// pixel coordinates of the same image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Each row moves by `slope` pixels a row.
    #[must_use]
    pub fn shear_x(slope: f64) -> Self {
        Self([1.0, slope, 0.0, 0.0, 1.0, 0.0])
    }

    /// Each column moves by `slope` pixels a column.
    #[must_use]
    pub fn shear_y(slope: f64) -> Self {
        Self([1.0, 0.0, 0.0, slope, 1.0, 0.0])
    }

    /// To the right and down, in pixels.
    #[must_use]
    pub fn shift(right: f64, down: f64) -> Self {
        Self([1.0, 0.0, -right, 0.0, 1.0, -down])
    }

    /// Counter-clockwise by `degrees` about the middle of an image of this size.
    #[must_use]
    pub fn turn(degrees: f64, width: u32, height: u32) -> Self {
        let (sin, cos) = (-degrees.to_radians()).sin_cos();
        // As Pillow does, so that a quarter turn hits its pixels.
        let round = |v: f64| (v * 1e15).round() / 1e15;
        let (sin, cos) = (round(sin), round(cos));
        let (cx, cy) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        Self([cos, sin, cx - cos * cx - sin * cy, -sin, cos, cy + sin * cx - cos * cy])
    }
}

/// The image changed by `affine`, each pixel taken from the nearest one of the original, or `fill` where there is none.
/// Positions are counted in 65536ths of a pixel, as Pillow counts them.
///
/// # Panics
/// When the fields of `image` do not fit together.
#[must_use]
pub fn affine(image: &Rgb, affine: Affine, fill: [u8; 3]) -> Rgb {
    image.check();
    let [a, b, c, d, e, f] = affine.0;
    let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
    let (step_x, step_y) = ([fixed(a), fixed(d)], [fixed(b), fixed(e)]);
    let start = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
    let mut out = Rgb::filled(image.width, image.height, fill);
    for y in 0..i64::from(image.height) {
        for x in 0..i64::from(image.width) {
            let [from_x, from_y] = [0, 1].map(|axis: usize| (start[axis] + x * step_x[axis] + y * step_y[axis]) >> 16);
            if (0..i64::from(image.width)).contains(&from_x) && (0..i64::from(image.height)).contains(&from_y) {
                let place = |x: i64, y: i64| y as usize * image.stride() + x as usize * 3;
                let from = place(from_x, from_y);
                out.data[place(x, y)..][..3].copy_from_slice(&image.data[from..from + 3]);
            }
        }
    }
    out
}

/// An image of `width` x `height` pixels, each between the four pixels of `image` that lie around where `from` says it comes
/// from, in proportion to how near they are. Around `image` lies `fill`.
///
/// # Panics
/// When the fields of `image` do not fit together.
#[must_use]
pub fn warp(image: &Rgb, from: Affine, (width, height): (u32, u32), fill: [u8; 3]) -> Rgb {
    image.check();
    let [a, b, c, d, e, f] = from.0;
    let (columns, rows) = (i64::from(image.width), i64::from(image.height));
    let mut out = Rgb::filled(width, height, fill);
    let fill = fill.map(f32::from);
    let at = |x: i64, y: i64| {
        if !(0..columns).contains(&x) || !(0..rows).contains(&y) {
            return fill;
        }
        let start = y as usize * image.stride() + x as usize * 3;
        [0, 1, 2].map(|channel| f32::from(image.data[start + channel]))
    };
    let stride = out.stride();
    for (y, row) in out.data.chunks_exact_mut(stride.max(1)).enumerate() {
        for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (to_x, to_y) = (x as f64 + 0.5, y as f64 + 0.5);
            // Counted from the middle of the first pixel.
            let (from_x, from_y) = (a * to_x + b * to_y + c - 0.5, d * to_x + e * to_y + f - 0.5);
            let (left, top) = (from_x.floor(), from_y.floor());
            let (right_share, lower_share) = ((from_x - left) as f32, (from_y - top) as f32);
            let (left, top) = (left as i64, top as i64);
            if left < -1 || top < -1 || left >= columns || top >= rows {
                continue;
            }
            let corners = [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)];
            *pixel = std::array::from_fn(|channel| {
                let [upper_left, upper_right, lower_left, lower_right] = corners.map(|corner| corner[channel]);
                let upper = upper_left + (upper_right - upper_left) * right_share;
                let lower = lower_left + (lower_right - lower_left) * right_share;
                (upper + (lower - upper) * lower_share).round() as u8
            });
        }
    }
    out
}
