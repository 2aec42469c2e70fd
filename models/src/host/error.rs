//! Why bytes are no usable image.

use schemas::{Coded, ErrorCode};
use thiserror::Error;

use super::foreign::Foreign;
use super::format::Format;

/// Why bytes are no usable image. None of these is the program's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the image has 0 bytes; send the whole file")]
    Empty,
    /// The file is too large.
    #[error("the image has {bytes} bytes, the limit is {limit}; compress it or make it smaller")]
    TooManyBytes {
        /// Bytes of the file.
        bytes: u64,
        /// [`super::Limits::max_bytes`].
        limit: u64,
    },
    /// One side is too long.
    #[error("the image is {width}x{height} pixels, the limit is {limit} a side; resize or tile it")]
    SideTooLong {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// [`super::Limits::max_side`].
        limit: u32,
    },
    /// Too many pixels in all.
    #[error("the image is {width}x{height} pixels, the limit is {limit} in all; resize or tile it")]
    TooManyPixels {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// [`super::Limits::max_pixels`].
        limit: u64,
    },
    /// The first bytes belong to no image format.
    #[error("the bytes are no JPEG, PNG, WebP, BMP, TIFF or GIF; check that the file is an image")]
    UnknownFormat,
    /// A format that is known by its first bytes and not read.
    #[error("the file is {what}, which is not read; {}", what.advice())]
    Foreign {
        /// The format.
        what: Foreign,
    },
    /// An image, but of a kind that is not read.
    #[error(
        "the image is {what}, which is not supported; save it as JPEG, PNG, WebP, BMP or TIFF with 8 bits per value"
    )]
    Unsupported {
        /// The kind, with its article.
        what: String,
    },
    /// A mask whose numbers are not there, or are of a kind that is not read.
    #[error("the mask is {what}; make it anew, from where it comes from, as {instead}")]
    Lossy {
        /// What it is, with its article, and why that does not do.
        what: String,
        /// What does.
        instead: &'static str,
    },
    /// The file ends too early.
    #[error("the {format} ends before the image does; copy or upload the whole file again")]
    Truncated {
        /// Encoding.
        format: Format,
    },
    /// The file is small, but decoding it takes too much.
    #[error("the {format} has {value} {what}, the limit is {limit}; save it again as a plain {format}")]
    TooCostly {
        /// Encoding.
        format: Format,
        /// What there is too much of.
        what: &'static str,
        /// How much the file asks for.
        value: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// Nobody waited for it any longer, see [`super::decode_while`].
    #[error("decoding was stopped before it was done")]
    Stopped,
    /// The contents contradict the format.
    #[error("the {format} is damaged ({reason}); copy or save it again")]
    Corrupt {
        /// Encoding.
        format: Format,
        /// What was found.
        reason: String,
    },
}

impl Coded for DecodeError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidImage
    }
}
