//! What weighing yields, and what all formats share of it.

use image::metadata::Orientation;

use crate::host::error::DecodeError;
use crate::host::format::Format;

/// What decoding an image takes at most.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Weight {
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
pub(in crate::host) struct Head<'a> {
    /// The first bytes of the file, or all of them.
    pub bytes: &'a [u8],
    /// Bytes of the whole file.
    pub size: u64,
}

impl Head<'_> {
    /// Bytes of the file that are not at hand.
    pub(super) fn unseen(&self) -> u64 {
        self.size.saturating_sub(self.bytes.len() as u64)
    }
}

/// Decoders' tables, rows and metadata, per image.
pub(super) const TABLES: u64 = 1 << 20;
/// Most bytes that deflate makes of one: a match of 258 bytes takes at least two bits.
pub(super) const DEFLATE_RATIO: u64 = 1032;
/// Passes over all pixels of the largest allowed image that a file may ask for, all its scans and components together. A
/// progressive JPEG of full chroma resolution takes about 20.
pub(super) const PASSES: u64 = 32;

/// Memory of an upright result of so many pixels and, where it was turned, of its source.
pub(super) fn upright(pixels: u64, orientation: Option<Orientation>) -> u64 {
    match orientation {
        Some(Orientation::NoTransforms) => pixels * 3,
        Some(_) | None => pixels * 6,
    }
}

/// Refuses more than `limit` of something.
pub(super) fn at_most(limit: u64, value: u64, format: Format, what: &'static str) -> Result<(), DecodeError> {
    if value <= limit { Ok(()) } else { Err(DecodeError::TooCostly { format, what, value, limit }) }
}

/// The bytes from `at` on, as an array.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
