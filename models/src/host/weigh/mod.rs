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

use image::metadata::Orientation;

use super::decode::{DecodeError, Format, Limits};

/// What decoding an image takes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    /// Pixels per row as stored.
    pub width: u32,
    /// Rows as stored.
    pub height: u32,
    /// Bytes allocated at once while it is decoded and turned upright, the result included, the file itself not.
    pub memory: u64,
    /// Bytes that a decoder has reason to read from the file, repeated reading included.
    pub reading: u64,
    /// Where the file's own tables say it; None leaves it to the decoder.
    pub orientation: Option<Orientation>,
}

/// The part of a file that is at hand.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    /// The first bytes of the file, or all of them.
    pub bytes: &'a [u8],
    /// Bytes of the whole file.
    pub size: u64,
}

impl Head<'_> {
    /// Bytes of the file that are not at hand.
    fn unseen(&self) -> u64 {
        self.size.saturating_sub(self.bytes.len() as u64)
    }
}

/// Decoders' tables, rows and metadata, per image.
const TABLES: u64 = 1 << 20;
/// Bytes of metadata (EXIF) that are read; longer ones are taken to be broken.
pub(super) const METADATA: usize = 1 << 20;
/// Most bytes that deflate makes of one: a match of 258 bytes takes at least two bits.
const DEFLATE_RATIO: u64 = 1032;
/// Passes over all pixels of the largest allowed image that a file may ask for, all its scans and components together. A
/// progressive JPEG of full chroma resolution takes about 20.
const PASSES: u64 = 32;

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

pub(super) use png::is_skipped as is_skipped_png_chunk;

/// Memory of an upright result of so many pixels and, where it was turned, of its source.
fn upright(pixels: u64, orientation: Option<Orientation>) -> u64 {
    match orientation {
        Some(Orientation::NoTransforms) => pixels * 3,
        Some(_) | None => pixels * 6,
    }
}

/// Refuses more than `limit` of something.
fn at_most(limit: u64, value: u64, format: Format, what: &'static str) -> Result<(), DecodeError> {
    if value <= limit { Ok(()) } else { Err(DecodeError::TooCostly { format, what, value, limit }) }
}

/// The bytes from `at` on, as an array.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
