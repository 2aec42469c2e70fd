//! [`Rgb`] -> bytes of a file, for reports and drawings.

use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::prepare::thumbnail;
use super::rgb::Rgb;

/// JPEG's largest side.
const MAX_JPEG_SIDE: u32 = 65535;

/// Encodes as baseline JPEG; `quality` is 1 (worst) to 100 (best), values outside are moved to the nearer end. An image
/// with a side above 65535 pixels, which JPEG cannot hold, is shrunk to fit.
///
/// # Panics
/// When the fields of `image` contradict each other.
#[must_use]
pub fn encode_jpeg(image: &Rgb, quality: u8) -> Vec<u8> {
    image.check();
    if image.width.max(image.height) > MAX_JPEG_SIDE {
        return encode_jpeg(&thumbnail(image, MAX_JPEG_SIDE), quality);
    }
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
        .encode(&image.data, image.width, image.height, ExtendedColorType::Rgb8)
        .expect("a checked image within JPEG's sides, written to memory");
    bytes
}

/// Encodes as PNG, losslessly.
///
/// # Panics
/// When the fields of `image` contradict each other.
#[must_use]
pub fn encode_png(image: &Rgb) -> Vec<u8> {
    image.check();
    png(image.width, image.height, &image.data, ExtendedColorType::Rgb8)
}

/// Encodes `width * height` values of grey, row by row, as PNG.
///
/// # Panics
/// When there are not as many values, or none.
pub(super) fn encode_grey_png(width: u32, height: u32, values: &[u8]) -> Vec<u8> {
    assert!(
        !values.is_empty() && values.len() as u64 == u64::from(width) * u64::from(height),
        "a grey image of {width}x{height} pixels must hold as many values and at least one, but it holds {}",
        values.len()
    );
    png(width, height, values, ExtendedColorType::L8)
}

/// Encodes `width * height` places in a palette of at most 256 colours, row by row, as PNG. Colours that the palette lacks are
/// black.
///
/// # Panics
/// When there are not as many places, or none.
#[must_use]
pub fn encode_palette(width: u32, height: u32, places: &[u8], palette: &[[u8; 3]]) -> Vec<u8> {
    let mut colours = palette.to_vec();
    colours.resize(256, [0; 3]);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colours.concat());
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(places));
    written.expect("an image of as many places as pixels, written to memory");
    bytes
}

/// Encodes `width * height` numbers, row by row, as a grey PNG of 16 bits.
///
/// # Panics
/// When there are not as many numbers, or none.
#[must_use]
pub fn encode_numbers(width: u32, height: u32, numbers: &[u16]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
    png(width, height, &bytes, ExtendedColorType::L16)
}

fn png(width: u32, height: u32, values: &[u8], colour: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(values, width, height, colour)
        .expect("an image whose size was checked, written to memory");
    bytes
}
