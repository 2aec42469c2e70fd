//! Colour changes for training augmentation, on 8-bit values, as torchvision does them on Pillow images.
//!
//! Brightness, contrast and saturation are Pillow's `ImageEnhance`: a blend of the image with, in turn, black, its mean
//! grey, and its own grey version, `grey + factor * (image - grey)`, cut to 0..=255 and towards zero. A factor of 1
//! changes nothing, 0 leaves the other image, above 1 exaggerates; a NaN gives black. Hue goes through Pillow's 8-bit HSV.

use multiversion::multiversion;

use super::rgb::Rgb;

/// Luma of ITU-R 601-2, in Pillow's 16-bit fixed point.
#[inline(always)]
fn luma(pixel: [u8; 3]) -> u8 {
    let [red, green, blue] = pixel.map(u32::from);
    ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) as u8
}

#[inline(always)]
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))).clamp(0.0, 255.0) as i32 as u8
}

/// Blends every value with the same one.
fn blend_all(image: &mut Rgb, from: u8, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|value| blend(from, value as u8, factor));
    for value in &mut image.data {
        *value = table[usize::from(*value)];
    }
}

/// Blends with black; `factor` 0 is black, 1 the image.
pub fn brightness(image: &mut Rgb, factor: f32) {
    blend_all(image, 0, factor);
}

/// Blends with the image's mean luma; `factor` 0 is an even grey, 1 the image.
pub fn contrast(image: &mut Rgb, factor: f32) {
    let pixels = image.data.len() / 3;
    if pixels > 0 {
        let mean = luma_sum(&image.data) as f64 / pixels as f64;
        blend_all(image, (mean + 0.5) as u8, factor);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn luma_sum(data: &[u8]) -> u64 {
    // Sums of a row's worth fit 32 bits, which vectorise better than 64.
    let (pixels, _) = data.as_chunks::<3>();
    let sums = pixels.chunks(1 << 16);
    sums.map(|part| u64::from(part.iter().map(|pixel| u32::from(luma(*pixel))).sum::<u32>())).sum()
}

/// Blends with the image's own luma; `factor` 0 is greyscale, 1 the image.
pub fn saturation(image: &mut Rgb, factor: f32) {
    saturate(&mut image.data, factor);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn saturate(data: &mut [u8], factor: f32) {
    let (pixels, _) = data.as_chunks_mut::<3>();
    for pixel in pixels {
        let grey = luma(*pixel);
        *pixel = pixel.map(|value| blend(grey, value, factor));
    }
}

/// Turns the colour circle by `turn` of a full turn (-0.5 to 0.5, 0 changes almost nothing), through 8-bit hue, saturation
/// and value as Pillow converts them; the conversion there and back rounds, even for 0.
pub fn hue(image: &mut Rgb, turn: f32) {
    let shift = (f64::from(turn) * 255.0) as i32 as u8;
    turn_hue(&mut image.data, shift);
}

/// Where a hue lies on the colour circle: which of the six sectors, and how far into it.
type Sector = (u8, f32);

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn turn_hue(data: &mut [u8], shift: u8) {
    let sectors: [Sector; 256] = std::array::from_fn(|hue| {
        let at = hue as f64 * 6.0 / 255.0;
        let sector = at.floor();
        ((sector as u8) % 6, (at - f64::from(sector as f32)) as f32)
    });
    let (pixels, _) = data.as_chunks_mut::<3>();
    for pixel in pixels {
        let (hue, saturation, value) = to_hsv(*pixel);
        *pixel = from_hsv(sectors[usize::from(hue.wrapping_add(shift))], saturation, value);
    }
}

/// Pillow's `rgb2hsv_row`, with its mixture of single and double precision.
#[inline(always)]
fn to_hsv([red, green, blue]: [u8; 3]) -> (u8, u8, u8) {
    let most = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    if most == least {
        return (0, 0, most);
    }
    let range = f32::from(most - least);
    let away = |value: u8| f32::from(most - value) / range;
    let (r, g, b) = (away(red), away(green), away(blue));
    let sextant = if red == most {
        b - g
    } else if green == most {
        (2.0 + f64::from(r) - f64::from(b)) as f32
    } else {
        (4.0 + f64::from(g) - f64::from(r)) as f32
    };
    let turn = f64::from(sextant) / 6.0 + 1.0;
    let turn = (if turn >= 1.0 { turn - 1.0 } else { turn }) as f32;
    let saturation = range / f32::from(most);
    ((f64::from(turn) * 255.0) as i32 as u8, (f64::from(saturation) * 255.0) as i32 as u8, most)
}

/// Pillow's `hsv2rgb`.
#[inline(always)]
fn from_hsv((sector, into): Sector, saturation: u8, value: u8) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let level = f64::from(value);
    let saturation = (f64::from(saturation) / 255.0) as f32;
    // Rounds half up; the operands are never negative.
    let round = |x: f64| (x + 0.5) as i32 as u8;
    let low = round(level * (1.0 - f64::from(saturation)));
    let falling = round(level * (1.0 - f64::from(saturation * into)));
    let rising = round(level * (1.0 - f64::from(saturation) * (1.0 - f64::from(into))));
    match sector {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}
