//! Small images that travel inside the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder};
use serde::{Serialize, Serializer};

use super::error::ReportError;

const QUALITY: u8 = 82;

/// A JPEG and its size in pixels.
#[derive(Debug, Clone, Serialize)]
pub struct Thumbnail {
    /// The bytes of a JPEG file.
    #[serde(rename = "uri", serialize_with = "data_uri")]
    pub jpeg: Vec<u8>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// What the image is, for the caption and for those who cannot see it.
    pub caption: String,
}

impl Thumbnail {
    /// Shrinks an RGB image (HWC, `3 * width * height` bytes) so that its longer side is at most `side` pixels. For
    /// looking at only: the filter is not the one of the preprocessing.
    ///
    /// # Errors
    /// [`ReportError::Image`] when `data` has another length, or a side is 0 or beyond JPEG's 65535.
    pub fn new((width, height): (u32, u32), data: &[u8], side: u32, caption: &str) -> Result<Self, ReportError> {
        let broken = |reason: String| ReportError::Image { caption: caption.to_owned(), reason };
        let whole = data.len() as u64 == 3 * u64::from(width) * u64::from(height);
        let pixels = RgbImage::from_raw(width, height, data.to_vec())
            .filter(|_| whole && width > 0 && height > 0 && side > 0)
            .ok_or_else(|| broken(format!("{} bytes are no {width}x{height} RGB image", data.len())))?;
        let scale = f64::from(side) / f64::from(width.max(height));
        let small = if scale < 1.0 {
            let scaled = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
            image::imageops::thumbnail(&pixels, scaled(width), scaled(height))
        } else {
            pixels
        };
        let (width, height) = small.dimensions();
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
            .write_image(&small, width, height, ExtendedColorType::Rgb8)
            .map_err(|error| broken(error.to_string()))?;
        Ok(Self { jpeg, width, height, caption: caption.to_owned() })
    }
}

fn data_uri<S: Serializer>(jpeg: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_is_bounded() {
        for ((width, height), expected) in
            [((300, 100), (60, 20)), ((10, 20), (10, 20)), ((1, 4000), (1, 60)), ((1, 1), (1, 1))]
        {
            let data = vec![128; 3 * (width * height) as usize];
            let thumbnail = Thumbnail::new((width, height), &data, 60, "x").unwrap();
            assert_eq!((thumbnail.width, thumbnail.height), expected);
            let decoded = image::load_from_memory(&thumbnail.jpeg).unwrap();
            assert_eq!((decoded.width(), decoded.height()), expected);
        }
    }

    #[test]
    fn wrong_sizes_are_errors() {
        for ((width, height), length) in [((2, 2), 11), ((2, 2), 13), ((0, 2), 0), ((0, 0), 0)] {
            let error = Thumbnail::new((width, height), &vec![0; length], 60, "cat.jpg").unwrap_err().to_string();
            assert!(error.contains("cat.jpg"), "{error}");
        }
    }
}
