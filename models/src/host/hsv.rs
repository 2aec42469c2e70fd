//! Hue, saturation and value changed by factors, as YOLO's training does with OpenCV: through 8-bit HSV with hue in 0..180.
//!
//! To HSV in OpenCV's fixed point (12 bits), back in single precision, so that the values are OpenCV's up to the last bit of its
//! vectorised variants.

use super::Rgb;

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

/// `scale / n` in fixed point for each 8-bit `n`; 0 for 0.
fn reciprocals(scale: f64) -> [i32; 256] {
    std::array::from_fn(
        |n| if n == 0 { 0 } else { (scale * f64::from(1 << SHIFT) / n as f64).round_ties_even() as i32 },
    )
}

fn rounded(fixed: i32) -> i32 {
    (fixed + (1 << (SHIFT - 1))) >> SHIFT
}

/// Multiplies hue, saturation and value of every pixel; results are cut towards zero, hue modulo 180.
pub fn change_hsv(image: &mut Rgb, gains: HsvGains) {
    let table =
        |factor: f64, end: fn(f64) -> f64| -> [u8; 256] { std::array::from_fn(|n| end(n as f64 * factor) as u8) };
    let hues = table(gains.hue, |value| value.rem_euclid(180.0));
    let saturations = table(gains.saturation, |value| value.clamp(0.0, 255.0));
    let values = table(gains.value, |value| value.clamp(0.0, 255.0));
    let (by_value, by_range) = (reciprocals(255.0), reciprocals(30.0));
    for pixel in image.data.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = to_hsv(*pixel, &by_value, &by_range);
        *pixel = from_hsv(hues[hue], saturations[saturation], values[value]);
    }
}

/// Hue below 180, saturation and value below 256.
#[inline(always)]
fn to_hsv(pixel: [u8; 3], by_value: &[i32; 256], by_range: &[i32; 256]) -> [usize; 3] {
    let [red, green, blue] = pixel.map(i32::from);
    let value = red.max(green).max(blue);
    let range = value - red.min(green).min(blue);
    let saturation = rounded(range * by_value[value as usize]);
    let sector = if value == red {
        green - blue
    } else if value == green {
        blue - red + 2 * range
    } else {
        red - green + 4 * range
    };
    let hue = rounded(sector * by_range[range as usize]);
    let hue = if hue < 0 { hue + 180 } else { hue };
    [hue.min(255) as usize, saturation.min(255) as usize, value as usize]
}

#[inline(always)]
fn from_hsv(hue: u8, saturation: u8, value: u8) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let at = f32::from(hue) * (6.0 / 180.0);
    let sector = at.floor();
    let into = at - sector;
    let (s, v) = (f32::from(saturation) * (1.0 / 255.0), f32::from(value) * (1.0 / 255.0));
    let byte = |level: f32| (level * 255.0).round_ties_even().clamp(0.0, 255.0) as u8;
    let low = byte(v * (1.0 - s));
    let falling = byte(v * (1.0 - s * into));
    let rising = byte(v * (1.0 - s * (1.0 - into)));
    match sector as u8 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
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
