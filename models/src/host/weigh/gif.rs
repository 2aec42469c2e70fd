//! GIF: the blocks before the first image. Its size and place must lie within the canvas; what follows it is not read.

use image::metadata::Orientation;

use super::weight::{Head, TABLES, Weight, array, at_most};
use crate::host::error::DecodeError;
use crate::host::format::Format;
use crate::host::limits::Limits;
use crate::host::shown::METADATA;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Gif };
/// Pixels that one code of LZW stands for at most: the longest string that its table of 4096 can hold.
const LZW_RUN: u64 = 4096;
/// Bits of the shortest code.
const LZW_BITS: u64 = 3;

fn corrupt(reason: String) -> DecodeError {
    DecodeError::Corrupt { format: Format::Gif, reason }
}

pub(super) fn weigh(head: Head<'_>, limits: &Limits) -> Result<Weight, DecodeError> {
    let bytes = head.bytes;
    let side = |at| array(bytes, at).map(|b| u32::from(u16::from_le_bytes(b))).ok_or(TRUNCATED);
    let (width, height) = (side(6)?, side(8)?);
    limits.check_size(width, height)?;
    let [flags] = array(bytes, 10).ok_or(TRUNCATED)?;
    let (image, metadata) = first_image(bytes, 13 + palette(flags))?;
    let (left, top) = (side(image + 1)?, side(image + 3)?);
    let (w, h) = (side(image + 5)?, side(image + 7)?);
    if left + w > width || top + h > height {
        return Err(corrupt(format!("its first frame is {w}x{h} pixels at {left},{top}, its canvas {width}x{height}")));
    }
    // Comments and profiles are kept by the decoder until it has the image.
    at_most(METADATA as u64, metadata, Format::Gif, "bytes of metadata before its first image")?;
    let data = head.size.saturating_sub(image as u64);
    let (canvas, frame) = (u64::from(width) * u64::from(height), u64::from(w) * u64::from(h));
    if frame > (data * 8 / LZW_BITS).saturating_mul(LZW_RUN) {
        return Err(TRUNCATED);
    }
    // RGBA of the canvas, and beside it RGBA and palette numbers of a frame that is smaller, or the result.
    let memory = canvas * 4 + (frame * 5).max(canvas * 3) + 4 * metadata + TABLES;
    Ok(Weight { width, height, memory, reading: head.size * 2, orientation: Some(Orientation::NoTransforms) })
}

/// Bytes of the colours that follow a header with these flags.
fn palette(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Where the first image begins, and the bytes of what stands before it.
fn first_image(bytes: &[u8], mut at: usize) -> Result<(usize, u64), DecodeError> {
    let start = at;
    loop {
        match bytes.get(at).ok_or(TRUNCATED)? {
            b',' => return Ok((at, (at - start) as u64)),
            b'!' => at += 2,
            b';' => return Err(corrupt("it has no image".to_owned())),
            other => return Err(corrupt(format!("byte {at} is {other}, which begins no block"))),
        }
        // An extension is a list of sub-blocks that ends with an empty one.
        loop {
            let length = usize::from(*bytes.get(at).ok_or(TRUNCATED)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}
