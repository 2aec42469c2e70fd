//! BMP: pixels that are stored as they are must be in the file. Run lengths may leave pixels out, so they bound nothing.

use image::metadata::Orientation;

use super::weight::{Head, TABLES, Weight, array};
use crate::host::error::DecodeError;
use crate::host::format::Format;
use crate::host::limits::Limits;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Bmp };

pub(super) fn weigh(head: Head<'_>, limits: &Limits) -> Result<Weight, DecodeError> {
    let bytes = head.bytes;
    let u16_at = |at| array(bytes, at).map(|b| u64::from(u16::from_le_bytes(b))).ok_or(TRUNCATED);
    let u32_at = |at| array(bytes, at).map(u32::from_le_bytes).ok_or(TRUNCATED);
    let (data, info) = (u64::from(u32_at(10)?), u32_at(14)?);
    // The oldest header has sides of 16 bits and no compression.
    let core = info == 12;
    let (width, height, bits, compression) = if core {
        (u16_at(18)? as u32, u16_at(20)? as u32, u16_at(24)?, 0)
    } else {
        (u32_at(18)?, u32_at(22)?.cast_signed().unsigned_abs(), u16_at(28)?, u32_at(30)?)
    };
    limits.check_size(width, height)?;
    // 0 and 3 are plain pixels, with and without masks.
    if matches!(compression, 0 | 3) {
        let row = (u64::from(width) * bits).div_ceil(32) * 4;
        // The last row's filling may be missing.
        let needed = (row * u64::from(height)).saturating_sub(3);
        if data + needed > head.size {
            return Err(TRUNCATED);
        }
    }
    let memory = u64::from(width) * u64::from(height) * 3 + TABLES;
    Ok(Weight { width, height, memory, reading: head.size * 2, orientation: Some(Orientation::NoTransforms) })
}
