//! JPEG: header walk, limits before any decoding, and strict decoding through `zune-jpeg`, the decoder inside `image`.
//!
//! `zune-jpeg` is called directly because `image` always asks it to be lenient, and lenient means that a damaged or cut-off
//! file comes back as a picture with grey areas. A network would be trained on them and would answer to them. Here a file that
//! lacks its end marker, or whose scan cannot be read through, is an error. Leniency that does no harm stays: stray bytes
//! between header segments and after the end.

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::Rgb;
use super::decode::{DecodeError, Format, Limits};

/// What the header says, read by walking the segments (ITU-T T.81, annex B) without decoding anything.
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    orientation: Orientation,
    /// Where the first scan starts.
    scan: usize,
    /// How to stop early, where the file allows it.
    cut: Option<Cut>,
}

/// What lets a decoder stop before the end: the picture is stored once, from top to bottom, so a file that claims fewer rows
/// has the same first rows. That holds for baseline files (T.81, 4.11) with all components in the first scan.
#[derive(Clone, Copy)]
struct Cut {
    /// Where the frame header has its two bytes of height.
    height: usize,
    /// Rows of a minimum coded unit, the steps in which rows are stored.
    unit: u32,
}

/// Rows below a pixel that its colour may depend on, where chroma has half the rows.
const CONTEXT: u32 = 2;

fn corrupt(reason: impl Into<String>) -> DecodeError {
    DecodeError::Corrupt { format: Format::Jpeg, reason: reason.into() }
}

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Jpeg };

/// Walks the segments up to the first scan.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let mut at = 2;
    let mut size: Option<(u32, u32, Option<Cut>)> = None;
    let mut orientation = Orientation::NoTransforms;
    loop {
        let marker = loop {
            // Stray bytes and fill bytes before a marker are skipped, as every common decoder does.
            let pair = bytes.get(at..at + 2).ok_or(TRUNCATED)?;
            if pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF) {
                break pair[1];
            }
            at += 1;
        };
        at += 2;
        match marker {
            0x01 | 0xD0..=0xD8 => continue,
            0xD9 => return Err(corrupt("it ends before its first scan")),
            _ => {}
        }
        let length = bytes.get(at..at + 2).ok_or(TRUNCATED)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(corrupt(format!("segment {marker:#04x} claims a length of {length} bytes")));
        }
        let segment = bytes.get(at + 2..at + length).ok_or(TRUNCATED)?;
        match marker {
            0xDA => {
                let (width, height, cut) = size.ok_or_else(|| corrupt("a scan comes before the frame header"))?;
                let cut = cut.filter(|_| segment.first() == Some(&3));
                return Ok(Frame { width, height, orientation, scan: at + length, cut });
            }
            0xC4 | 0xC8 | 0xCC => {}
            0xC0..=0xCF => {
                let (width, height, unit) = frame_header(marker, segment)?;
                size = Some((width, height, unit.map(|unit| Cut { height: at + 3, unit })));
            }
            0xE1 => {
                if let Some(exif) = segment.strip_prefix(b"Exif\0\0").filter(|exif| !exif.is_empty()) {
                    orientation = Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms);
                }
            }
            _ => {}
        }
        at += length;
    }
}

/// Width, height and, if the frame is baseline, in colour and subsampled in one of the usual ways, the rows of its coded units.
/// Refuses the kinds that cannot be decoded.
fn frame_header(marker: u8, segment: &[u8]) -> Result<(u32, u32, Option<u32>), DecodeError> {
    let &[precision, h1, h0, w1, w0, components, ref sampling @ ..] = segment else {
        return Err(corrupt(format!("its frame header has {} bytes, 6 are the least", segment.len())));
    };
    let unsupported = |what: String| Err(DecodeError::Unsupported { what });
    match marker {
        0xC3 | 0xC7 | 0xCB | 0xCF => return unsupported("a lossless JPEG".into()),
        0xC5 | 0xC6 | 0xCD | 0xCE => return unsupported("a hierarchical JPEG".into()),
        0xC9 | 0xCA => return unsupported("an arithmetic-coded JPEG".into()),
        _ => {}
    }
    if precision != 8 {
        return unsupported(format!("a JPEG of {precision} bits per value"));
    }
    if !matches!(components, 1 | 3 | 4) {
        return unsupported(format!("a JPEG of {components} components"));
    }
    let width = u32::from(u16::from_be_bytes([w1, w0]));
    let height = u32::from(u16::from_be_bytes([h1, h0]));
    if width == 0 || height == 0 {
        return Err(corrupt(format!("its frame header says {width}x{height} pixels")));
    }
    // Per component: name, horizontal and vertical factor, table.
    let unit = match (marker, sampling) {
        (0xC0, &[_, luma @ (0x11 | 0x21 | 0x12 | 0x22), _, _, 0x11, _, _, 0x11, _]) => Some(8 * u32::from(luma & 15)),
        _ => None,
    };
    Ok((width, height, unit))
}

impl Frame {
    /// Whether [`decode_top`] can do with less than the whole file.
    pub fn is_divisible(&self) -> bool {
        self.cut.is_some() && self.orientation == Orientation::NoTransforms
    }

    /// 0xFF inside a scan is always followed by 0 or a restart marker, so an end marker after the scan's start is the end. It
    /// is searched from behind, where it nearly always is.
    fn check_end(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        let found = bytes[self.scan..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9]);
        if found { Ok(()) } else { Err(TRUNCATED) }
    }
}

/// Decodes a whole file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<(Rgb, Orientation), DecodeError> {
    let frame = frame(bytes)?;
    limits.check_size(frame.width, frame.height)?;
    frame.check_end(bytes)?;
    Ok((pixels(bytes, frame.width, frame.height)?, frame.orientation))
}

/// The first `rows` rows of a file whose frame is divisible and within the limits.
pub(super) fn decode_top(bytes: &[u8], frame: &Frame, rows: u32) -> Result<Rgb, DecodeError> {
    frame.check_end(bytes)?;
    let rows = rows.clamp(1, frame.height);
    let needed = |cut: &Cut| (rows + CONTEXT).next_multiple_of(cut.unit);
    let mut image = match frame.cut.filter(|cut| needed(cut) < frame.height) {
        Some(cut) => {
            let mut shorter = bytes.to_vec();
            // Below a height of 16 bits.
            shorter[cut.height..cut.height + 2].copy_from_slice(&(needed(&cut) as u16).to_be_bytes());
            pixels(&shorter, frame.width, needed(&cut))?
        }
        None => pixels(bytes, frame.width, frame.height)?,
    };
    image.data.truncate(image.stride() * rows as usize);
    image.height = rows;
    Ok(image)
}

/// Runs the decoder on a file whose header says `width` x `height`.
fn pixels(bytes: &[u8], width: u32, height: u32) -> Result<Rgb, DecodeError> {
    let failed = |error: zune_jpeg::errors::DecodeErrors| corrupt(error.to_string());
    let options = DecoderOptions::default()
        .set_max_width(width as usize)
        .set_max_height(height as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options.set_strict_mode(false));
    decoder.decode_headers().map_err(failed)?;
    if decoder.dimensions() != Some((width as usize, height as usize)) {
        return Err(corrupt("it has two frame headers that disagree"));
    }
    decoder.set_options(options.set_strict_mode(true));
    let mut data = vec![0; width as usize * height as usize * 3];
    decoder.decode_into(&mut data).map_err(failed)?;
    Ok(Rgb { width, height, data })
}
