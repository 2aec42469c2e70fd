//! PNG: the list of chunks. Colour profiles and texts are compressed and may inflate to anything; the decoder does not get to
//! see them, nor other chunks that cannot change a pixel.

use super::weight::{DEFLATE_RATIO, Head, TABLES, Weight, array, upright};
use crate::host::error::DecodeError;
use crate::host::format::Format;
use crate::host::limits::Limits;
use crate::host::shown::is_skipped_png_chunk;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Png };

/// What the chunks before the end of what is at hand say.
#[derive(Default)]
struct Chunks {
    /// Bytes of compressed pixels.
    data: u64,
    exif: u64,
    transparent: bool,
    /// A frame of an animation may be smaller than the image.
    animated: bool,
}

pub(super) fn weigh(head: Head<'_>, limits: &Limits) -> Result<Weight, DecodeError> {
    let bytes = head.bytes;
    let side = |at| array(bytes, at).map(u32::from_be_bytes).ok_or(TRUNCATED);
    let [depth, colour, _, _, interlaced] = array(bytes, 24).ok_or(TRUNCATED)?;
    let (width, height) = (side(16)?, side(20)?);
    limits.check_size(width, height)?;
    let chunks = walk(head);
    let samples: u64 = match colour {
        0 | 3 => 1,
        4 => 2,
        2 => 3,
        _ => 4,
    };
    let stored_row = (u64::from(width) * samples * u64::from(depth)).div_ceil(8) + 1;
    // Interlacing splits a row into parts that are rounded up each, so plain rows are the lower bound. A file without any data
    // is the decoder's to name.
    let needed = if interlaced == 0 { stored_row } else { stored_row - 1 } * u64::from(height);
    if !chunks.animated && chunks.data > 0 && needed > (chunks.data + head.unseen()).saturating_mul(DEFLATE_RATIO) {
        return Err(TRUNCATED);
    }
    let pixels = u64::from(width) * u64::from(height);
    let channels = match (colour, chunks.transparent) {
        (0, false) => 1,
        (0, true) | (4, _) => 2,
        (2 | 3, false) => 3,
        _ => 4,
    };
    let raw = pixels * channels * if depth == 16 { 2 } else { 1 };
    let converted = if (channels, depth) == (3, 16) || channels != 3 { pixels * 3 } else { 0 };
    let orientation = (chunks.exif == 0).then_some(image::metadata::Orientation::NoTransforms);
    let memory = (raw + converted).max(upright(pixels, orientation)) + 10 * stored_row + 4 * chunks.exif + TABLES;
    Ok(Weight { width, height, memory, reading: head.size * 2, orientation: None })
}

fn walk(head: Head<'_>) -> Chunks {
    let mut chunks = Chunks::default();
    let mut at = 8;
    while let Some([l3, l2, l1, l0, kind @ ..]) = array::<8>(head.bytes, at) {
        let length = u32::from_be_bytes([l3, l2, l1, l0]);
        let kind: [u8; 4] = kind;
        match &kind {
            b"IDAT" => chunks.data += u64::from(length).min((head.bytes.len() - at - 8) as u64),
            b"eXIf" if !is_skipped_png_chunk(kind, length) => chunks.exif = chunks.exif.max(u64::from(length)),
            b"tRNS" => chunks.transparent = true,
            b"fcTL" => chunks.animated = true,
            b"IEND" => break,
            _ => {}
        }
        at = at.saturating_add(length as usize).saturating_add(12);
    }
    chunks
}
