//! Bytes of a file -> [`Rgb`], whatever the bytes are.
//!
//! The format is taken from the first bytes, never from a name. What becomes RGB, and how:
//! - grey and 1-bit values are repeated in the three channels, palettes are looked up;
//! - alpha is dropped and the colour under it kept, as Pillow's `convert("RGB")` does (no blending with a background);
//! - 16-bit values lose their low byte; 32-bit floating point TIFFs are refused, since their range is a matter of taste;
//! - CMYK and YCCK JPEGs are taken as Adobe writes them, inverted, which is what Pillow assumes as well; colour profiles are
//!   not applied;
//! - what the first image of a GIF leaves of its canvas is black;
//! - of an animation (GIF, PNG, WebP) or a TIFF of several pages, the first image counts;
//! - the orientation 1 to 8 in the EXIF data (JPEG, PNG, WebP) or in the TIFF tag is applied, an invalid one ignored.
//!
//! Against libjpeg the pixels of a JPEG differ by a few levels. A cut-off file is an error, never an image with a grey rest, and
//! so is a damaged one as far as its format lets the damage show (in a JPEG, flipped bits may decode to other pixels).
//!
//! Memory and work: the file's structure is weighed before anything is allocated ([`weigh`]), and [`Header::memory`] says how
//! many bytes decoding takes at most. While it is decoded, the file is handed out in pieces, so that it can be stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError};

use super::error::DecodeError;
use super::format::Format;
use super::input::{Input, Patience, View};
use super::limits::Limits;
use super::orient::{self, Turn};
use super::rgb::Rgb;
use super::weigh::{self, Head, Weight};
use super::{jpeg, sniff};

/// What the header of an image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Encoding.
    pub format: Format,
    /// Pixels per row as stored, before any EXIF rotation.
    pub width: u32,
    /// Rows as stored, before any EXIF rotation.
    pub height: u32,
    /// What EXIF says turns it upright.
    pub turn: Turn,
    /// Most bytes that [`decode`] has allocated at any time, its result included; the file's own bytes are not counted.
    pub memory: u64,
}

/// Most bytes that [`probe`] has allocated at any time.
#[must_use]
pub fn probe_memory(bytes: &[u8]) -> u64 {
    let length = bytes.len() as u64;
    // Buffers, and what grows with the file: metadata of a PNG, tags of a TIFF and a strip of it.
    (256 << 10)
        + match sniff::format(bytes) {
            Ok(Format::Tiff) => length.saturating_mul(64).min(8 << 20) + length,
            Ok(Format::Jpeg | Format::Png | Format::WebP | Format::Bmp | Format::Gif) | Err(_) => {
                length.saturating_mul(4).min(4 << 20)
            }
        }
}

/// Reads the structure only: format, size and what decoding takes, checked against the limits. Takes time in proportion to
/// the file's length and at most [`probe_memory`] bytes.
///
/// # Errors
/// As [`decode`], as far as the structure shows it.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<Header, DecodeError> {
    probe_head(bytes, bytes.len() as u64, limits)
}

/// The same for a file of `size` bytes of which only the first are at hand. Where these are too few, the file is taken for
/// cut off; what lies behind them is taken to be right.
///
/// # Errors
/// As [`probe`].
pub fn probe_head(bytes: &[u8], size: u64, limits: &Limits) -> Result<Header, DecodeError> {
    limits.check_bytes(bytes)?;
    let format = sniff::format(bytes)?;
    let weight = weigh::weigh(format, Head { bytes, size }, limits)?;
    let patience = Patience::new(format, weight.reading, &|| true);
    let ((width, height), orientation) = guarded(format, || match format {
        Format::Jpeg => Ok(((weight.width, weight.height), weight.orientation)),
        Format::Png | Format::WebP | Format::Bmp | Format::Tiff | Format::Gif => {
            let mut decoder = open(format, bytes, &weight, &patience)?;
            Ok((decoder.dimensions(), weight.orientation.or_else(|| decoder.orientation().ok())))
        }
    })?;
    limits.check_size(width, height)?;
    let turn = Turn(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(Header { format, width, height, turn, memory: weight.memory })
}

/// Decodes an image of any supported kind to 8-bit RGB, upright (see the module's text for what becomes of what).
///
/// # Errors
/// Anything that is not a whole, sound image within `limits`. Bytes never make this panic.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, DecodeError> {
    decode_while(bytes, limits, &|| true)
}

/// The same, for as long as `go_on` says yes. It is asked from this thread, now and then: each time when some 64 KiB of the
/// file have been decoded, so that a sound image of ordinary size is done before it would matter.
///
/// # Errors
/// As [`decode`], and [`DecodeError::Stopped`].
pub fn decode_while(bytes: &[u8], limits: &Limits, go_on: &dyn Fn() -> bool) -> Result<Rgb, DecodeError> {
    limits.check_bytes(bytes)?;
    let format = sniff::format(bytes)?;
    let weight = weigh::weigh(format, Head { bytes, size: bytes.len() as u64 }, limits)?;
    let patience = Patience::new(format, weight.reading, go_on);
    guarded(format, || {
        let (image, orientation) = match format {
            Format::Jpeg => jpeg::decode(bytes, &patience)?,
            Format::Png | Format::WebP | Format::Bmp | Format::Tiff | Format::Gif => {
                decode_other(format, bytes, &weight, &patience)?
            }
        };
        Ok(orient::upright(image, orientation))
    })
}

/// Decodes the upper part of an image, as much as its user wants after learning its size, for about that share of the cost.
///
/// `rows` gets the width and height of the upright image and answers how many rows are wanted; the result has just these
/// (at least 1, at most all), equal to the last bit with the first rows of [`decode`]. It is asked only where that saves work,
/// which is for upright baseline JPEGs of one scan; otherwise the result is the whole image, as from [`decode`].
///
/// # Errors
/// As [`decode`], except that damage below the wanted rows goes unnoticed unless the end of the file is missing.
pub fn decode_top(bytes: &[u8], limits: &Limits, rows: impl FnOnce(u32, u32) -> u32) -> Result<Rgb, DecodeError> {
    limits.check_bytes(bytes)?;
    let format = sniff::format(bytes)?;
    if format == Format::Jpeg {
        let frame = jpeg::frame(bytes)?;
        limits.check_size(frame.width, frame.height)?;
        if frame.is_divisible() {
            let weight = weigh::weigh(format, Head { bytes, size: bytes.len() as u64 }, limits)?;
            let patience = Patience::new(format, weight.reading, &|| true);
            let rows = rows(frame.width, frame.height);
            return guarded(format, || jpeg::decode_top(bytes, &frame, rows, &patience));
        }
    }
    decode(bytes, limits)
}

/// Runs a decoder. Decoders are other people's code over hostile bytes, and some of them panic on some of them; here, and
/// only here, that becomes an error. The closure owns what it builds, so nothing half-changed is left behind.
pub(super) fn guarded<T>(format: Format, run: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(DecodeError::Corrupt { format, reason: "the decoder gave up".into() }))
}

/// Opens a decoder of a file that was weighed, which reads the header only.
pub(super) fn open<'a>(
    format: Format,
    bytes: &'a [u8],
    weight: &Weight,
    patience: &'a Patience<'_>,
) -> Result<Box<dyn ImageDecoder + 'a>, DecodeError> {
    let view = match format {
        Format::Png => View::PixelChunks,
        Format::Tiff => View::Strips,
        Format::Jpeg | Format::WebP | Format::Bmp | Format::Gif => View::Everything,
    };
    let input = Input::new(bytes, view, patience);
    let decoder: Result<Box<dyn ImageDecoder>, ImageError> = match format {
        Format::Png => PngDecoder::with_limits(input, allocation(weight)).map(|d| Box::new(d) as _),
        Format::WebP => WebPDecoder::new(input).map(|d| Box::new(d) as _),
        Format::Bmp => BmpDecoder::new(input).map(|d| Box::new(d) as _),
        Format::Tiff => TiffDecoder::new(input).map(|d| Box::new(d) as _),
        Format::Gif => GifDecoder::new(input).map(|d| Box::new(d) as _),
        Format::Jpeg => unreachable!("JPEG has its own module"),
    };
    decoder.map_err(|error| patience.reason().unwrap_or_else(|| explain(format, &error)))
}

/// For decoders that count what they allocate, a second wall behind the weight.
fn allocation(weight: &Weight) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(weight.memory.saturating_add(16 << 20));
    limits
}

fn decode_other(
    format: Format,
    bytes: &[u8],
    weight: &Weight,
    patience: &Patience<'_>,
) -> Result<(Rgb, Orientation), DecodeError> {
    let failed = |error: ImageError| patience.reason().unwrap_or_else(|| explain(format, &error));
    let mut decoder = open(format, bytes, weight, patience)?;
    let (width, height) = decoder.dimensions();
    if (width, height) != (weight.width, weight.height) {
        let reason = format!("it says both {}x{} and {width}x{height} pixels", weight.width, weight.height);
        return Err(DecodeError::Corrupt { format, reason });
    }
    if width == 0 || height == 0 {
        return Err(DecodeError::Corrupt { format, reason: format!("its header says {width}x{height} pixels") });
    }
    let pixels = u64::from(width) * u64::from(height);
    decoder.set_limits(allocation(weight)).map_err(failed)?;
    // Broken metadata is no reason to refuse a sound image.
    let orientation = weight.orientation.unwrap_or_else(|| decoder.orientation().unwrap_or(Orientation::NoTransforms));
    let kind = decoder.color_type();
    let per_pixel = match kind {
        ColorType::L8 | ColorType::L16 => 1,
        ColorType::La8 | ColorType::La16 => 2,
        ColorType::Rgb8 | ColorType::Rgb16 => 3,
        ColorType::Rgba8 | ColorType::Rgba16 => 4,
        other => {
            return Err(DecodeError::Unsupported {
                what: format!("a {format} of {} bits per pixel", other.bits_per_pixel()),
            });
        }
    };
    let wide = matches!(kind, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16);
    let mut raw = vec![0; pixels as usize * per_pixel * if wide { 2 } else { 1 }];
    decoder.read_image(&mut raw).map_err(failed)?;
    let data = match (per_pixel, wide) {
        (3, false) => raw,
        (_, false) => to_rgb(raw.chunks_exact(per_pixel), |value| *value),
        (_, true) => {
            let (values, _) = raw.as_chunks::<2>();
            to_rgb(values.chunks_exact(per_pixel), |value| (u16::from_ne_bytes(*value) >> 8) as u8)
        }
    };
    Ok((Rgb { width, height, data }, orientation))
}

/// Grey or colour pixels, with or without alpha, as RGB bytes.
fn to_rgb<'a, T: 'a>(pixels: impl ExactSizeIterator<Item = &'a [T]>, byte: impl Fn(&T) -> u8) -> Vec<u8> {
    let mut data = vec![0; pixels.len() * 3];
    let (out, _) = data.as_chunks_mut::<3>();
    for (out, pixel) in out.iter_mut().zip(pixels) {
        *out = match pixel {
            [grey] | [grey, _] => [byte(grey); 3],
            [red, green, blue, ..] => [byte(red), byte(green), byte(blue)],
            [] => [0; 3],
        };
    }
    data
}

/// The crate's errors in our words.
fn explain(format: Format, error: &ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(error) => {
            DecodeError::Unsupported { what: format!("a {format} of an unusual kind ({error})") }
        }
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format }
        }
        ImageError::Limits(_) => {
            DecodeError::Corrupt { format, reason: "decoding wants far more memory than its pixels take".into() }
        }
        other => DecodeError::Corrupt { format, reason: other.to_string() },
    }
}
