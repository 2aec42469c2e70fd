//! Weighing an image before it is decoded: how much memory and work its file asks for, from its structure alone.
//!
//! A small file can ask for much. Its header may claim a size that its data cannot hold, a strip of a TIFF may contain a JPEG
//! of any size, thousands of strips may share the same bytes, and side chunks may inflate to gigabytes. The decoders are other
//! people's code and find out while they work. Here each format is walked first: headers, chunk lists and tables only, without
//! inflating or decoding anything, in time proportional to the file's length and with next to no memory. What cannot be right
//! or costs too much is refused with place, value and limit; for the rest the [`Weight`] bounds what decoding takes.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod vp8l;
mod webp;
mod weight;

use super::error::DecodeError;
use super::format::Format;
use super::limits::Limits;

pub(super) use weight::{Head, Weight};

/// Weighs an image whose first bytes say that it is of `format`.
///
/// # Errors
/// What the structure shows to be cut off, damaged, too large or too costly.
pub(super) fn weigh(format: Format, head: Head<'_>, limits: &Limits) -> Result<Weight, DecodeError> {
    match format {
        Format::Jpeg => jpeg::weigh(head, limits),
        Format::Png => png::weigh(head, limits),
        Format::WebP => webp::weigh(head, limits),
        Format::Bmp => bmp::weigh(head, limits),
        Format::Gif => gif::weigh(head, limits),
        Format::Tiff => tiff::weigh(head, limits),
    }
}
