//! Telling formats apart, by their first bytes.

use super::error::DecodeError;
use super::format::Format;

/// The encoding that the first bytes of a file belong to.
///
/// # Errors
/// When it is none that is read, by its name where it is known.
pub(super) fn format(bytes: &[u8]) -> Result<Format, DecodeError> {
    let unsupported = |what: &str| Err(DecodeError::Unsupported { what: what.into() });
    match bytes {
        [0xFF, 0xD8, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Ok(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Format::WebP),
        [b'B', b'M', ..] => Ok(Format::Bmp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(Format::Tiff),
        [b'G', b'I', b'F', b'8', ..] => unsupported("a GIF"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => unsupported("an AVIF image"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'h' | b'm', ..] => unsupported("a HEIF image"),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => unsupported("a JPEG XL image"),
        [b'8', b'B', b'P', b'S', ..] => unsupported("a Photoshop document"),
        [b'%', b'P', b'D', b'F', ..] => unsupported("a PDF document"),
        _ => Err(DecodeError::UnknownFormat),
    }
}
