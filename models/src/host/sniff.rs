//! Telling formats apart, by their first bytes.

use super::error::DecodeError;
use super::foreign::Foreign;
use super::format::Format;

/// The encoding that the first bytes of a file belong to.
///
/// # Errors
/// When it is none that is read, by its name where it is known.
pub(super) fn format(bytes: &[u8]) -> Result<Format, DecodeError> {
    match bytes {
        [0xFF, 0xD8, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Ok(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Format::WebP),
        [b'B', b'M', ..] => Ok(Format::Bmp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(Format::Tiff),
        [b'G', b'I', b'F', b'8', ..] => Ok(Format::Gif),
        _ => Err(Foreign::of(bytes).map_or(DecodeError::UnknownFormat, |what| DecodeError::Foreign { what })),
    }
}
