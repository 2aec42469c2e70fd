//! JPEG: header walk, limits before any decoding, and strict decoding through `zune-jpeg`, the decoder inside `image`.
//!
//! `zune-jpeg` is called directly because `image` always asks it to be lenient, and lenient means that a damaged or cut-off
//! file comes back as an image with grey areas. A network would be trained on them and would answer to them. Here a file that
//! lacks its end marker, or whose scan cannot be read through, is an error. Leniency that does no harm stays: stray bytes
//! between header segments and after the end.

use std::borrow::Cow;
use std::ops::Range;

use image::metadata::Orientation;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::error::DecodeError;
use super::format::Format;
use super::input::{JpegInput, Patience};
use super::rgb::Rgb;

/// What the header says, read by walking the segments (ITU-T T.81, annex B) without decoding anything.
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    pub orientation: Orientation,
    /// Whether coefficients are spread over several scans.
    pub progressive: bool,
    pub components: Vec<Component>,
    /// Contents of the header of the first scan.
    pub first_scan: Range<usize>,
    /// Where the data of the first scan start.
    pub scan: usize,
    /// Tables of Huffman codes in front of it.
    pub codes: u64,
    /// Bytes of comments and application data in front of it, and the segments that they are in.
    pub side_bytes: u64,
    side_segments: u64,
    /// How to stop early, where the file allows it.
    cut: Option<Cut>,
}

/// One plane of a frame, with its sampling factors, 1 to 4.
pub(super) struct Component {
    pub id: u8,
    pub horizontal: u8,
    pub vertical: u8,
}

/// What lets a decoder stop before the end: the image is stored once, from top to bottom, so a file that claims fewer rows
/// has the same first rows. That holds for baseline files (T.81, 4.11) with all components in the first scan.
#[derive(Clone, Copy)]
struct Cut {
    /// Where the frame header has its two bytes of height.
    height: usize,
    /// Rows of a minimum coded unit, the steps in which rows are stored.
    unit: u32,
}

/// Side segments and their bytes that the decoder is shown. It copies them, and puts parts together anew at every segment, so
/// more of them are taken out before.
const SIDE_SEGMENTS: u64 = 64;
const SIDE_BYTES: u64 = 1 << 20;

/// Rows below a pixel that its colour may depend on, where chroma has half the rows.
const CONTEXT: u32 = 2;

fn corrupt(reason: impl Into<String>) -> DecodeError {
    DecodeError::Corrupt { format: Format::Jpeg, reason: reason.into() }
}

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Jpeg };

/// Walks the segments up to the first scan.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let mut at = 2;
    let mut size: Option<(Size, Option<Cut>)> = None;
    let (mut codes, mut side_bytes, mut side_segments) = (0, 0, 0);
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
                let (size, cut) = size.ok_or_else(|| corrupt("a scan comes before the frame header"))?;
                return Ok(Frame {
                    width: size.width,
                    height: size.height,
                    orientation,
                    progressive: size.progressive,
                    components: size.components,
                    first_scan: at + 2..at + length,
                    scan: at + length,
                    codes,
                    side_bytes,
                    side_segments,
                    cut: cut.filter(|_| segment.first() == Some(&3)),
                });
            }
            0xC4 => codes += codes_in(segment),
            0xC8 | 0xCC => {}
            0xC0..=0xCF => {
                let (found, unit) = frame_header(marker, segment)?;
                size = Some((found, unit.map(|unit| Cut { height: at + 3, unit })));
            }
            0xE1 => {
                if let Some(exif) = segment.strip_prefix(b"Exif\0\0").filter(|exif| !exif.is_empty()) {
                    orientation = Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms);
                }
            }
            _ => {}
        }
        if is_side(marker) {
            side_bytes += length as u64;
            side_segments += 1;
        }
        at += length;
    }
}

/// Whether a segment says nothing about how to decode: comments, and application data other than JFIF's and Adobe's.
pub(super) fn is_side(marker: u8) -> bool {
    matches!(marker, 0xFE | 0xE1..=0xED | 0xEF)
}

/// Tables in a segment of Huffman codes: each has 17 bytes and its symbols.
pub(super) fn codes_in(segment: &[u8]) -> u64 {
    let (mut tables, mut rest) = (0, segment);
    while let Some((head, symbols)) = rest.split_first_chunk::<17>() {
        tables += 1;
        let n: usize = head[1..].iter().map(|&n| usize::from(n)).sum();
        rest = symbols.get(n..).unwrap_or_default();
    }
    tables
}

/// What a frame header says.
struct Size {
    width: u32,
    height: u32,
    progressive: bool,
    components: Vec<Component>,
}

/// Size, planes and, if the frame is baseline, in colour and subsampled in one of the usual ways, the rows of its coded units.
/// Refuses the kinds that cannot be decoded.
fn frame_header(marker: u8, segment: &[u8]) -> Result<(Size, Option<u32>), DecodeError> {
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
    let planes = sampling.as_chunks().0.iter().map(|&[id, factors, _]| Component {
        id,
        horizontal: (factors >> 4).clamp(1, 4),
        vertical: (factors & 15).clamp(1, 4),
    });
    Ok((Size { width, height, progressive: marker == 0xC2, components: planes.collect() }, unit))
}

impl Frame {
    /// Whether [`decode_top`] can do with less than the whole file.
    pub fn is_divisible(&self) -> bool {
        self.cut.is_some() && self.orientation == Orientation::NoTransforms
    }

    /// Whether there is so much beside the image that the decoder is not shown it.
    pub fn is_cluttered(&self) -> bool {
        self.side_segments > SIDE_SEGMENTS || self.side_bytes > SIDE_BYTES
    }

    /// 0xFF inside a scan is always followed by 0 or a restart marker, so an end marker after the scan's start is the end. It
    /// is searched from behind, where it nearly always is.
    fn check_end(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        let found = bytes[self.scan..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9]);
        if found { Ok(()) } else { Err(TRUNCATED) }
    }

    /// The file as the decoder is to see it.
    fn uncluttered<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.is_cluttered() {
            return bytes.into();
        }
        let scan = self.first_scan.start - 4;
        let mut kept = bytes[..2].to_vec();
        let mut at = 2;
        while at < scan {
            // Stray bytes and markers without contents go as well.
            let (marker, length) = (bytes[at + 1], usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])));
            if bytes[at] != 0xFF || matches!(marker, 0x00 | 0x01 | 0xD0..=0xD8 | 0xFF) {
                at += 1;
                continue;
            }
            if !is_side(marker) {
                kept.extend_from_slice(&bytes[at..at + 2 + length]);
            }
            at += 2 + length;
        }
        kept.extend_from_slice(&bytes[scan..]);
        kept.into()
    }
}

/// Decodes a whole file, which was weighed before.
pub(super) fn decode(bytes: &[u8], patience: &Patience<'_>) -> Result<(Rgb, Orientation), DecodeError> {
    let frame = frame(bytes)?;
    frame.check_end(bytes)?;
    Ok((pixels(&frame.uncluttered(bytes), (frame.width, frame.height), patience)?, frame.orientation))
}

/// The first `rows` rows of a file whose frame is divisible and within the limits.
pub(super) fn decode_top(bytes: &[u8], frame: &Frame, rows: u32, patience: &Patience<'_>) -> Result<Rgb, DecodeError> {
    frame.check_end(bytes)?;
    let rows = rows.clamp(1, frame.height);
    let needed = |cut: &Cut| (rows + CONTEXT).next_multiple_of(cut.unit);
    let mut image = match frame.cut.filter(|cut| needed(cut) < frame.height) {
        Some(cut) => {
            let mut shorter = bytes.to_vec();
            // Below a height of 16 bits.
            shorter[cut.height..cut.height + 2].copy_from_slice(&(needed(&cut) as u16).to_be_bytes());
            pixels(&frame.uncluttered(&shorter), (frame.width, needed(&cut)), patience)?
        }
        None => pixels(&frame.uncluttered(bytes), (frame.width, frame.height), patience)?,
    };
    image.data.truncate(image.stride() * rows as usize);
    image.height = rows;
    Ok(image)
}

/// Runs the decoder on a file whose header says `width` x `height`.
fn pixels(bytes: &[u8], (width, height): (u32, u32), patience: &Patience<'_>) -> Result<Rgb, DecodeError> {
    let failed = |error: zune_jpeg::errors::DecodeErrors| patience.reason().unwrap_or(corrupt(error.to_string()));
    let options = DecoderOptions::default()
        .set_max_width(width as usize)
        .set_max_height(height as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let input = JpegInput::new(bytes, patience);
    let mut decoder = JpegDecoder::new_with_options(input, options.set_strict_mode(false));
    decoder.decode_headers().map_err(failed)?;
    if decoder.dimensions() != Some((width as usize, height as usize)) {
        return Err(corrupt("it has two frame headers that disagree"));
    }
    decoder.set_options(options.set_strict_mode(true));
    let mut data = vec![0; width as usize * height as usize * 3];
    decoder.decode_into(&mut data).map_err(failed)?;
    Ok(Rgb { width, height, data })
}
