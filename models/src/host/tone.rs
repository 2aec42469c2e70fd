//! Changes of tone and sharpness for training augmentation, on 8-bit values, equal to Pillow's `ImageOps` and
//! `ImageEnhance.Sharpness`.

use super::colour::blend;
use super::rgb::Rgb;

/// Keeps the upper `bits` of every value, 0 to 8.
pub fn posterize(image: &mut Rgb, bits: u32) {
    let mask = !(0xff_u8.checked_shr(bits).unwrap_or(0));
    for value in &mut image.data {
        *value &= mask;
    }
}

/// Inverts every value from `threshold` on; 256 changes nothing.
pub fn solarize(image: &mut Rgb, threshold: u16) {
    for value in &mut image.data {
        if u16::from(*value) >= threshold {
            *value = 255 - *value;
        }
    }
}

/// Stretches each channel so that its darkest value becomes 0 and its brightest 255.
pub fn autocontrast(image: &mut Rgb) {
    by_channel(image, |counts| {
        let low = counts.iter().position(|&n| n > 0)?;
        let high = counts.iter().rposition(|&n| n > 0).filter(|&high| high > low)?;
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|value| (value as f64 * scale + offset).clamp(0.0, 255.0) as u8))
    });
}

/// Spreads the values of each channel so that all are about equally frequent.
pub fn equalize(image: &mut Rgb) {
    by_channel(image, |counts| {
        let last = counts.iter().rfind(|&&n| n > 0)?;
        let step = (counts.iter().sum::<u32>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut sum = step / 2;
        Some(counts.map(|count| {
            let level = (sum / step).min(255) as u8;
            sum += count;
            level
        }))
    });
}

/// Replaces the values of each channel by a table that `table` makes of how often each occurs; `None` leaves them.
fn by_channel(image: &mut Rgb, table: impl Fn([u32; 256]) -> Option<[u8; 256]>) {
    for channel in 0..3 {
        let mut counts = [0; 256];
        for value in image.data.iter().skip(channel).step_by(3) {
            counts[usize::from(*value)] += 1;
        }
        if let Some(table) = table(counts) {
            for value in image.data.iter_mut().skip(channel).step_by(3) {
                *value = table[usize::from(*value)];
            }
        }
    }
}

/// Blends with the smoothed image: `factor` 0 is smooth, 1 the image, 2 sharp. Smoothing weighs a pixel five times as
/// much as each of its eight neighbours; those at the border stay.
pub fn sharpness(image: &mut Rgb, factor: f32) {
    image.check();
    let (width, height, stride) = (image.width as usize, image.height as usize, image.stride());
    let old = image.data.clone();
    for y in 1..height.saturating_sub(1) {
        for at in y * stride + 3..y * stride + (width.max(2) - 1) * 3 {
            let row = |at: usize| u32::from(old[at - 3]) + u32::from(old[at]) + u32::from(old[at + 3]);
            let sum = row(at - stride) + row(at) + row(at + stride) + 4 * u32::from(old[at]);
            // Of thirteen parts, rounded; there are no halves.
            let smooth = ((2 * sum + 13) / 26) as u8;
            image.data[at] = blend(smooth, old[at], factor);
        }
    }
}
