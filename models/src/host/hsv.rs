//! Hue, saturation and value changed by factors, as YOLO's training does with OpenCV: through 8-bit HSV with hue in 0..180.
//!
//! To HSV in OpenCV's fixed point (12 bits), back in single precision and cut towards zero, as OpenCV's vectors do (its scalar
//! code rounds), so that the values are its own but for one in some thousands, which the order of roundings decides.

use multiversion::multiversion;

use super::rgb::Rgb;

/// Factors; 1 changes nothing but what 8-bit HSV rounds away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HsvGains {
    /// Of the hue, on a circle of 180 steps.
    pub hue: f64,
    /// Of the saturation, cut at 255.
    pub saturation: f64,
    /// Of the value, cut at 255.
    pub value: f64,
}

/// Bits after the point.
const SHIFT: u32 = 12;
/// Pixels that are worked on together: enough for vectors, few enough for the cache.
const BLOCK: usize = 128;

/// Some pixels, channel by channel.
type Planes = [[u8; BLOCK]; 3];

/// Multiplies hue, saturation and value of every pixel; results are cut towards zero, hue modulo 180.
pub fn change_hsv(image: &mut Rgb, gains: HsvGains) {
    let table =
        |factor: f64, end: fn(f64) -> f64| -> [u8; 256] { std::array::from_fn(|n| end(n as f64 * factor) as u8) };
    let tables = [
        table(gains.hue, |value| value.rem_euclid(180.0)),
        table(gains.saturation, |value| value.clamp(0.0, 255.0)),
        table(gains.value, |value| value.clamp(0.0, 255.0)),
    ];
    for pixels in image.data.as_chunks_mut::<3>().0.chunks_mut(BLOCK) {
        let mut planes: Planes = [[0; BLOCK]; 3];
        for (at, pixel) in pixels.iter().enumerate() {
            planes.iter_mut().zip(pixel).for_each(|(plane, value)| plane[at] = *value);
        }
        to_hsv(&mut planes);
        for (plane, table) in planes.iter_mut().zip(&tables) {
            plane.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
        }
        from_hsv(&mut planes);
        for (at, pixel) in pixels.iter_mut().enumerate() {
            *pixel = [planes[0][at], planes[1][at], planes[2][at]];
        }
    }
}

/// Added to a number below 2^22, leaves it rounded (halves to even) in the low bits: a rounding that vectorises.
const ROUNDER: f32 = 12_582_912.0;

/// `scale / n` in fixed point, for `n` of at least 1. Single precision is exact enough for every `scale` and `n` in use.
#[inline(always)]
fn reciprocal(scale: f32, n: i32) -> i32 {
    let quotient = scale * (1 << SHIFT) as f32 / n as f32;
    (quotient + ROUNDER).to_bits() as i32 - ROUNDER.to_bits() as i32
}

#[inline(always)]
fn rounded(fixed: i32) -> i32 {
    (fixed + (1 << (SHIFT - 1))) >> SHIFT
}

/// Red, green and blue become hue below 180, saturation and value. Where all are equal, so that there is no range, hue and
/// saturation are 0 whatever they are divided by.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn to_hsv(planes: &mut Planes) {
    let [reds, greens, blues] = planes;
    for ((red, green), blue) in reds.iter_mut().zip(greens).zip(blues) {
        let (r, g, b) = (i32::from(*red), i32::from(*green), i32::from(*blue));
        let value = r.max(g).max(b);
        let range = value - r.min(g).min(b);
        let sector = if value == g { b - r + 2 * range } else { r - g + 4 * range };
        let sector = if value == r { g - b } else { sector };
        let hue = rounded(sector * reciprocal(30.0, range.max(1)));
        *red = (hue + (180 & (hue >> 31))) as u8;
        *green = rounded(range * reciprocal(255.0, value.max(1))) as u8;
        *blue = value as u8;
    }
}

/// The way back. On a circle of 6, red is full within 1 of 0, green of 2, blue of 4, and fades over the next 1.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn from_hsv(planes: &mut Planes) {
    let [hues, saturations, values] = planes;
    for ((hue, saturation), value) in hues.iter_mut().zip(saturations).zip(values) {
        let at = f32::from(*hue) * (6.0 / 180.0);
        let (s, v) = (f32::from(*saturation) * (1.0 / 255.0), f32::from(*value) * (1.0 / 255.0));
        let level = |lack: f32| {
            let level = v * (1.0 - s * lack.clamp(0.0, 1.0));
            ((level * 255.0).floor() + ROUNDER).to_bits() as u8
        };
        *hue = level(2.0 - (at - 3.0).abs());
        *saturation = level((at - 2.0).abs() - 1.0);
        *value = level((at - 4.0).abs() - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: HsvGains = HsvGains { hue: 1.0, saturation: 1.0, value: 1.0 };

    fn changed(pixel: [u8; 3], gains: HsvGains) -> [u8; 3] {
        let mut image = Rgb::filled(1, 1, pixel);
        change_hsv(&mut image, gains);
        image.data.try_into().unwrap()
    }

    #[test]
    fn pure_colours_and_greys_survive() {
        for pixel in [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [7, 7, 7], [0, 0, 0], [255, 255, 255]] {
            assert_eq!(changed(pixel, STILL), pixel);
        }
    }

    #[test]
    fn factors_do_what_they_say() {
        assert_eq!(changed([200, 100, 100], HsvGains { value: 0.5, ..STILL }), [100, 50, 50]);
        assert_eq!(changed([200, 100, 100], HsvGains { value: 2.0, ..STILL }), [255, 127, 127]);
        assert_eq!(changed([200, 100, 100], HsvGains { saturation: 0.0, ..STILL }), [200, 200, 200]);
        // Green is hue 60; twice that is blue.
        assert_eq!(changed([0, 255, 0], HsvGains { hue: 2.0, ..STILL }), [0, 0, 255]);
    }

    #[test]
    fn reciprocals_are_those_of_double_precision() {
        for scale in [30.0, 255.0] {
            for n in 1..256 {
                let exact = (f64::from(scale) * 4096.0 / f64::from(n)).round_ties_even();
                assert_eq!(f64::from(reciprocal(scale, n)), exact, "{scale} / {n}");
            }
        }
    }

    #[test]
    fn rounding_alone_changes_little() {
        for red in (0..=255u8).step_by(15) {
            for green in (0..=255u8).step_by(17) {
                for blue in (0..=255u8).step_by(51) {
                    let back = changed([red, green, blue], STILL);
                    let off = back.iter().zip([red, green, blue]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                    // A step of 1/180 in hue is up to 255/30 levels.
                    assert!(off <= 5, "{red} {green} {blue}: {back:?}");
                }
            }
        }
    }
}
