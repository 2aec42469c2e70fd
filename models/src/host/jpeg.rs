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
    /// Where the first scan starts.
    scan: usize,
}

fn corrupt(reason: impl Into<String>) -> DecodeError {
    DecodeError::Corrupt { format: Format::Jpeg, reason: reason.into() }
}

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Jpeg };

/// Walks the segments up to the first scan.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let mut at = 2;
    let mut size = None;
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
        at += length;
        match marker {
            0xDA => {
                let (width, height) = size.ok_or_else(|| corrupt("a scan comes before the frame header"))?;
                return Ok(Frame { width, height, scan: at });
            }
            0xC4 | 0xC8 | 0xCC => {}
            0xC0..=0xCF => size = Some(frame_header(marker, segment)?),
            _ => {}
        }
    }
}

/// Size in a frame header, and refusal of the kinds that cannot be decoded.
fn frame_header(marker: u8, segment: &[u8]) -> Result<(u32, u32), DecodeError> {
    let &[precision, h1, h0, w1, w0, components, ..] = segment else {
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
    Ok((width, height))
}

/// Decodes a whole file whose frame was within the limits.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<(Rgb, Orientation), DecodeError> {
    let frame = frame(bytes)?;
    limits.check_size(frame.width, frame.height)?;
    // 0xFF inside a scan is always followed by 0 or a restart marker, so an end marker after the scan's start is the end.
    if !bytes[frame.scan..].windows(2).any(|pair| pair == [0xFF, 0xD9]) {
        return Err(TRUNCATED);
    }
    let failed = |error: zune_jpeg::errors::DecodeErrors| corrupt(error.to_string());
    let options = DecoderOptions::default()
        .set_max_width(frame.width as usize)
        .set_max_height(frame.height as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options.set_strict_mode(false));
    decoder.decode_headers().map_err(failed)?;
    if decoder.dimensions() != Some((frame.width as usize, frame.height as usize)) {
        return Err(corrupt("it has two frame headers that disagree"));
    }
    decoder.set_options(options.set_strict_mode(true));
    let mut data = vec![0; frame.width as usize * frame.height as usize * 3];
    decoder.decode_into(&mut data).map_err(failed)?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let image = Rgb { width: frame.width, height: frame.height, data };
    Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
}
