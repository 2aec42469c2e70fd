//! Bytes of a file -> the numbers that it stores, for images whose pixels are no colours but numbers of objects or classes.
//!
//! [`super::decode`] looks palettes up and cuts 16 bits to 8, after which such numbers are lost.

use image::{ColorType, ImageDecoder};

use super::decode::{guarded, open};
use super::error::DecodeError;
use super::format::Format;
use super::input::Patience;
use super::limits::Limits;
use super::sniff;
use super::weigh::{self, Head, Weight};

/// The numbers of an image's pixels, as they are stored: neither turned by EXIF nor looked up in a palette.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height` numbers, row by row: the level of grey (0 to 65535), the place in the palette, or the colour as
    /// `0xRRGGBB`. 0 for a pixel that is fully transparent, by its own alpha or that of its place or colour.
    pub values: Vec<u32>,
    /// The colours of the palette, where the numbers are places in it.
    pub palette: Option<Vec<[u8; 3]>>,
    /// Whether the numbers are colours.
    pub colours: bool,
}

/// Reads the numbers of a PNG, TIFF, BMP or GIF file. The palettes of the last two are looked up, so that their numbers are
/// colours.
///
/// # Errors
/// As [`super::decode`]; and a JPEG or WebP file, whose pixels are near to what was saved, not equal. A kind that is not read,
/// such as 32 bits, is [`DecodeError::Lossy`], too.
pub fn values(bytes: &[u8], limits: &Limits) -> Result<Values, DecodeError> {
    limits.check_bytes(bytes)?;
    let format = sniff::format(bytes)?;
    if matches!(format, Format::Jpeg | Format::WebP) {
        let what = format!("a {format}, in which numbers do not survive");
        return Err(DecodeError::Lossy { what, instead: "PNG, TIFF or BMP" });
    }
    let weight = weigh::weigh(format, Head { bytes, size: bytes.len() as u64 }, limits)?;
    let read = guarded(format, || match format {
        Format::Png => of_png(bytes, &weight),
        Format::Tiff | Format::Bmp | Format::Gif => of_other(format, bytes, &weight),
        Format::Jpeg | Format::WebP => unreachable!("refused above"),
    });
    // What is advised for photographs would lose the numbers.
    read.map_err(|error| match error {
        DecodeError::Unsupported { what } => DecodeError::Lossy {
            what: format!("{what}, whose numbers are not read"),
            instead: "PNG or TIFF of 8 or 16 bits per number",
        },
        other => other,
    })
}

fn of_png(bytes: &[u8], weight: &Weight) -> Result<Values, DecodeError> {
    let failed = |error: png::DecodingError| DecodeError::Corrupt { format: Format::Png, reason: error.to_string() };
    let mut decoder = png::Decoder::new_with_limits(
        std::io::Cursor::new(bytes),
        png::Limits { bytes: usize::try_from(weight.memory.saturating_add(16 << 20)).unwrap_or(usize::MAX) },
    );
    decoder.set_transformations(png::Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    let mut reader = decoder.read_info().map_err(failed)?;
    let wrong = |reason: &str| DecodeError::Corrupt { format: Format::Png, reason: reason.to_owned() };
    let size = reader.output_buffer_size().ok_or_else(|| wrong("its pixels are too many"))?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(failed)?;
    let (width, height) = (weight.width, weight.height);
    if (frame.width, frame.height) != (width, height) {
        return Err(wrong("its first image has another size than its header says"));
    }
    let palette = reader.info().palette.as_ref().map(|bytes| bytes.as_chunks::<3>().0.to_vec());
    let is_indexed = frame.color_type == png::ColorType::Indexed;
    // Of a palette an alpha for each of its first places; otherwise the bytes of the one grey or colour that is transparent.
    let transparency = reader.info().trns.as_deref().unwrap_or_default();
    let unless_transparent = |pixel: &[u8], number: u32| match is_indexed {
        true if transparency.get(number as usize) == Some(&0) => 0,
        false if pixel == transparency => 0,
        true | false => number,
    };
    let rows = raw.chunks_exact(frame.line_size).take(height as usize);
    let mut values = Vec::with_capacity(width as usize * height as usize);
    let (samples, bits) = (frame.color_type.samples(), frame.bit_depth as usize);
    for row in rows {
        match (samples, bits) {
            (1, 1 | 2 | 4) => {
                let mask = (1_u8 << bits) - 1;
                let value = |at: usize| row[at * bits / 8] >> (8 - bits - at * bits % 8) & mask;
                values.extend((0..width as usize).map(value).map(|value| unless_transparent(&[value], value.into())));
            }
            (samples, 16) => {
                let pixels = row.chunks_exact(samples * 2);
                values.extend(pixels.map(|pixel| unless_transparent(pixel, wide(pixel.as_chunks().0))));
            }
            (samples, _) => {
                values.extend(row.chunks_exact(samples).map(|pixel| unless_transparent(pixel, narrow(pixel))));
            }
        }
    }
    Ok(Values { width, height, values, palette: palette.filter(|_| is_indexed), colours: samples > 2 })
}

/// The number of a pixel of 8-bit channels.
fn narrow(pixel: &[u8]) -> u32 {
    match *pixel {
        [grey] => grey.into(),
        [_, 0] | [_, _, _, 0] => 0,
        [grey, _] => grey.into(),
        [red, green, blue, ..] => u32::from_be_bytes([0, red, green, blue]),
        [] => 0,
    }
}

/// The number of a pixel of 16-bit channels, the higher byte first.
fn wide(pixel: &[[u8; 2]]) -> u32 {
    match *pixel {
        [grey] => u16::from_be_bytes(grey).into(),
        [_, [0, 0]] | [_, _, _, [0, 0]] => 0,
        [grey, _] => u16::from_be_bytes(grey).into(),
        [red, green, blue, ..] => u32::from_be_bytes([0, red[0], green[0], blue[0]]),
        [] => 0,
    }
}

fn of_other(format: Format, bytes: &[u8], weight: &Weight) -> Result<Values, DecodeError> {
    let patience = Patience::new(format, weight.reading, &|| true);
    let failed = |error: image::ImageError| {
        patience.reason().unwrap_or_else(|| DecodeError::Corrupt { format, reason: error.to_string() })
    };
    let decoder = open(format, bytes, weight, &patience)?;
    let ((width, height), kind) = (decoder.dimensions(), decoder.color_type());
    let (samples, is_wide) = match kind {
        ColorType::L8 => (1, false),
        ColorType::La8 => (2, false),
        ColorType::Rgb8 => (3, false),
        ColorType::Rgba8 => (4, false),
        ColorType::L16 => (1, true),
        ColorType::La16 => (2, true),
        ColorType::Rgb16 => (3, true),
        ColorType::Rgba16 => (4, true),
        other => {
            return Err(DecodeError::Unsupported {
                what: format!("a {format} of {} bits per pixel", other.bits_per_pixel()),
            });
        }
    };
    if (width, height) != (weight.width, weight.height) {
        let reason = format!("it says both {}x{} and {width}x{height} pixels", weight.width, weight.height);
        return Err(DecodeError::Corrupt { format, reason });
    }
    let pixels = width as usize * height as usize;
    let mut raw = vec![0; pixels * samples * if is_wide { 2 } else { 1 }];
    decoder.read_image(&mut raw).map_err(failed)?;
    let values = if is_wide {
        let (parts, _) = raw.as_chunks_mut::<2>();
        parts.iter_mut().for_each(|part| *part = u16::from_ne_bytes(*part).to_be_bytes());
        raw.as_chunks::<2>().0.chunks_exact(samples).map(wide).collect()
    } else {
        raw.chunks_exact(samples).map(narrow).collect()
    };
    Ok(Values { width, height, values, palette: None, colours: samples > 2 })
}

#[cfg(test)]
mod tests {
    use image::codecs::{png::PngEncoder, tiff::TiffEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    use super::super::{Rgb, encode_jpeg, encode_numbers, encode_palette};
    use super::*;

    fn of(bytes: &[u8]) -> Values {
        values(bytes, &Limits::default()).unwrap()
    }

    #[test]
    fn numbers_are_as_stored() {
        let palette = of(&encode_palette(3, 2, &[0, 1, 255, 7, 0, 2], &[[0; 3], [128, 0, 0], [9, 9, 9]]));
        assert_eq!(palette.values, [0, 1, 255, 7, 0, 2]);
        assert_eq!(palette.palette.unwrap()[1], [128, 0, 0]);
        let wide = of(&encode_numbers(2, 2, &[0, 1, 300, 65535]));
        assert_eq!((wide.values, wide.palette, wide.colours), (vec![0, 1, 300, 65535], None, false));
        for (colour, bytes, wanted) in [
            (ExtendedColorType::L8, &[3, 200][..], [3, 200]),
            (ExtendedColorType::Rgb8, &[1, 2, 3, 0, 0, 255], [0x01_0203, 0xff]),
            (ExtendedColorType::Rgba8, &[255, 255, 255, 0, 0, 0, 255, 9], [0, 0xff]),
            (ExtendedColorType::La8, &[7, 255, 7, 0], [7, 0]),
        ] {
            let mut file = Vec::new();
            PngEncoder::new(&mut file).write_image(bytes, 2, 1, colour).unwrap();
            assert_eq!(of(&file).values, wanted, "{colour:?}");
        }
        let mut tiff = std::io::Cursor::new(Vec::new());
        let numbers: Vec<u8> = [0_u16, 301].iter().flat_map(|value| value.to_ne_bytes()).collect();
        TiffEncoder::new(&mut tiff).write_image(&numbers, 2, 1, ExtendedColorType::L16).unwrap();
        assert_eq!(of(&tiff.into_inner()).values, [0, 301]);
    }

    #[test]
    fn few_bits_are_numbers_too() {
        for (depth, row, wanted) in
            [(png::BitDepth::One, [0b0110_0000], [0, 1, 1]), (png::BitDepth::Two, [0b0001_1000], [0, 1, 2])]
        {
            let mut file = Vec::new();
            let mut encoder = png::Encoder::new(&mut file, 3, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(depth);
            encoder.write_header().unwrap().write_image_data(&row).unwrap();
            assert_eq!(of(&file).values, wanted);
        }
    }

    #[test]
    fn transparent_pixels_are_none() {
        let file = |colour: png::ColorType, depth: png::BitDepth, transparency: &[u8], row: &[u8]| {
            let mut file = Vec::new();
            let mut encoder = png::Encoder::new(&mut file, 3, 1);
            encoder.set_color(colour);
            encoder.set_depth(depth);
            if colour == png::ColorType::Indexed {
                encoder.set_palette(vec![9; 12]);
            }
            encoder.set_trns(transparency.to_vec());
            encoder.write_header().unwrap().write_image_data(row).unwrap();
            of(&file).values
        };
        use png::BitDepth::{Eight, Sixteen, Two};
        use png::ColorType::{Grayscale, Indexed, Rgb};
        // Half transparent is not transparent, and places behind the last alpha are opaque.
        assert_eq!(file(Indexed, Eight, &[255, 0, 128], &[1, 2, 3]), [0, 2, 3]);
        assert_eq!(file(Indexed, Two, &[255, 255, 0], &[0b0110_1100]), [1, 0, 3]);
        assert_eq!(file(Grayscale, Eight, &[0, 7], &[7, 0, 8]), [0, 0, 8]);
        assert_eq!(file(Grayscale, Two, &[0, 2], &[0b0110_1100]), [1, 0, 3]);
        assert_eq!(file(Grayscale, Sixteen, &[1, 2], &[1, 2, 1, 3, 2, 2]), [0, 0x0103, 0x0202]);
        assert_eq!(file(Rgb, Eight, &[0, 1, 0, 2, 0, 3], &[1, 2, 3, 3, 2, 1, 0, 0, 0]), [0, 0x03_0201, 0]);
        // The low bytes of 16 bits are no part of the number, and decide all the same.
        let row = [1, 9, 2, 9, 3, 9, 1, 8, 2, 9, 3, 9, 0, 0, 0, 0, 0, 0];
        assert_eq!(file(Rgb, Sixteen, &[1, 9, 2, 9, 3, 9], &row), [0, 0x01_0203, 0]);
    }

    #[test]
    fn what_holds_no_numbers_is_refused() {
        let refused = |bytes: &[u8]| values(bytes, &Limits::default()).unwrap_err().to_string();
        let jpeg = encode_jpeg(&Rgb::filled(8, 8, [0; 3]), 90);
        let said = refused(&jpeg);
        assert!(
            said.contains("a JPEG, in which numbers do not survive") && said.ends_with("PNG, TIFF or BMP"),
            "{said}"
        );
        // One pixel of 32 bits, with and without a sign, and as a floating point number.
        for sample_format in [1_u16, 2, 3] {
            let tags: [(u16, u32); 9] = [
                (256, 1),
                (257, 1),
                (258, 32),
                (259, 1),
                (262, 1),
                (273, 122),
                (277, 1),
                (279, 4),
                (339, sample_format.into()),
            ];
            let mut tiff = b"II*\0\x08\0\0\0\x09\0".to_vec();
            for (tag, value) in tags {
                tiff.extend(tag.to_le_bytes());
                tiff.extend([4, 0, 1, 0, 0, 0]);
                tiff.extend(value.to_le_bytes());
            }
            tiff.extend([0; 4]);
            assert_eq!(tiff.len(), 122);
            tiff.extend([1, 0, 1, 0]);
            let said = refused(&tiff);
            assert!(said.contains("32") && said.ends_with("PNG or TIFF of 8 or 16 bits per number"), "{said}");
            assert!(!said.contains("JPEG"), "{said}");
        }
        let sound = encode_numbers(4, 4, &[9; 16]);
        for length in 0..sound.len() {
            assert!(values(&sound[..length], &Limits::default()).is_err() || length > sound.len() - 16, "{length}");
        }
    }
}
