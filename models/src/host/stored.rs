//! How a file stores its pixels, before all of them become upright 8-bit RGB.

use image::metadata::Orientation;
use image::{ExtendedColorType, ImageDecoder};

use super::decode::{guarded, open};
use super::error::DecodeError;
use super::format::Format;
use super::input::Patience;
use super::limits::Limits;
use super::weigh::{self, Head};
use super::{jpeg, sniff};

/// The colours of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredColour {
    /// One channel.
    Grey,
    /// Red, green, blue; in a JPEG, brightness and two of colour.
    Rgb,
    /// Printing colours.
    Cmyk,
    /// Places in a list of colours.
    Palette,
}

/// How a file stores its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Encoding.
    pub format: Format,
    /// Pixels per row as stored.
    pub width: u32,
    /// Rows as stored.
    pub height: u32,
    /// Its EXIF data or tags turn or mirror it.
    pub turned: bool,
    /// Colours.
    pub colour: StoredColour,
    /// Whether there is transparency.
    pub alpha: bool,
    /// Whether a channel has 16 bits.
    pub wide: bool,
}

/// Reads how a file stores its pixels from its headers.
///
/// # Errors
/// As [`super::probe`].
pub fn stored(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    limits.check_bytes(bytes)?;
    let format = sniff::format(bytes)?;
    match format {
        Format::Jpeg => of_jpeg(bytes),
        Format::Png | Format::WebP | Format::Bmp | Format::Tiff | Format::Gif => {
            let weight = weigh::weigh(format, Head { bytes, size: bytes.len() as u64 }, limits)?;
            guarded(format, || {
                let patience = Patience::new(format, weight.reading, &|| true);
                let mut decoder = open(format, bytes, &weight, &patience)?;
                let (width, height) = decoder.dimensions();
                let orientation = weight.orientation.or_else(|| decoder.orientation().ok());
                let (kind, result) = (decoder.original_color_type(), decoder.color_type());
                let palette = has_palette(format, bytes);
                let wide = matches!(
                    kind,
                    ExtendedColorType::L16
                        | ExtendedColorType::La16
                        | ExtendedColorType::Rgb16
                        | ExtendedColorType::Rgba16
                );
                let colour = match kind {
                    _ if palette => StoredColour::Palette,
                    ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => StoredColour::Cmyk,
                    _ if result.has_color() => StoredColour::Rgb,
                    _ => StoredColour::Grey,
                };
                let turned = orientation.is_some_and(|orientation| orientation != Orientation::NoTransforms);
                Ok(Stored { format, width, height, turned, colour, alpha: result.has_alpha(), wide })
            })
        }
    }
}

fn of_jpeg(bytes: &[u8]) -> Result<Stored, DecodeError> {
    let frame = jpeg::frame(bytes)?;
    let colour = match frame.components.len() {
        1 => StoredColour::Grey,
        4 => StoredColour::Cmyk,
        _ => StoredColour::Rgb,
    };
    let turned = frame.orientation != Orientation::NoTransforms;
    let (width, height) = (frame.width, frame.height);
    Ok(Stored { format: Format::Jpeg, width, height, turned, colour, alpha: false, wide: false })
}

/// Whether pixels are places in a palette, which decoders look up without saying so.
fn has_palette(format: Format, bytes: &[u8]) -> bool {
    match format {
        // The colour type of the header chunk, and the bits of a pixel.
        Format::Png => bytes.get(25) == Some(&3),
        Format::Bmp => bytes.get(28).is_some_and(|&bits| bits <= 8),
        Format::Gif => true,
        Format::Jpeg | Format::WebP | Format::Tiff => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rgb, encode_jpeg, encode_png};
    use super::*;
    use image::codecs::png::PngEncoder;
    use image::{ImageEncoder, codecs::bmp::BmpEncoder};

    fn png(colour: ExtendedColorType, bytes: usize) -> Vec<u8> {
        let mut file = Vec::new();
        PngEncoder::new(&mut file).write_image(&vec![7; 6 * bytes], 3, 2, colour).unwrap();
        file
    }

    #[test]
    fn colours_alpha_and_depth_are_told() {
        let of = |bytes: &[u8]| stored(bytes, &Limits::default()).unwrap();
        let plain = of(&encode_png(&Rgb::filled(3, 2, [1, 2, 3])));
        assert_eq!(
            plain,
            Stored {
                format: Format::Png,
                width: 3,
                height: 2,
                turned: false,
                colour: StoredColour::Rgb,
                alpha: false,
                wide: false
            }
        );
        assert_eq!(of(&encode_jpeg(&Rgb::filled(3, 2, [1, 2, 3]), 90)).colour, StoredColour::Rgb);
        assert_eq!(of(&png(ExtendedColorType::L8, 1)).colour, StoredColour::Grey);
        let wide = of(&png(ExtendedColorType::La16, 4));
        assert!(wide.alpha && wide.wide && wide.colour == StoredColour::Grey);
        assert!(of(&png(ExtendedColorType::Rgba8, 4)).alpha);
        let mut bmp = Vec::new();
        BmpEncoder::new(&mut bmp).encode(&[7; 6], 3, 2, ExtendedColorType::L8).unwrap();
        assert_eq!(of(&bmp).colour, StoredColour::Palette);
        assert!(stored(b"no image", &Limits::default()).is_err());
    }
}
