//! What an image may cost.

use super::error::DecodeError;

/// What an image may cost; larger ones are refused before they are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the encoded file.
    pub max_bytes: u64,
    /// Most pixels along either side.
    pub max_side: u32,
    /// Most pixels, width times height.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 64 MiB, 16384 pixels a side, 100 million pixels.
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_side: 16384, max_pixels: 100_000_000 }
    }
}

impl Limits {
    pub(super) fn check_bytes(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::Empty);
        }
        let bytes = bytes.len() as u64;
        if bytes > self.max_bytes {
            return Err(DecodeError::TooManyBytes { bytes, limit: self.max_bytes });
        }
        Ok(())
    }

    pub(super) fn check_size(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        if width.max(height) > self.max_side {
            return Err(DecodeError::SideTooLong { width, height, limit: self.max_side });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(DecodeError::TooManyPixels { width, height, limit: self.max_pixels });
        }
        Ok(())
    }
}
