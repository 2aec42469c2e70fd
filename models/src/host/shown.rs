//! What other people's decoders are shown of a file, as far as its weight depends on that.

/// Bytes of metadata (EXIF) that are read; longer ones are taken to be broken.
pub(super) const METADATA: usize = 1 << 20;
/// Bytes of a piece of a TIFF, whose decoder fills a buffer for each strip, however short that is.
pub(super) const SMALL_PIECE: usize = 4 << 10;

/// Whether the decoder is not shown a chunk of a PNG: it is neither critical (capital letter) nor one that says how pixels or their
/// orientation are meant.
pub(super) fn is_skipped_png_chunk(kind: [u8; 4], length: u32) -> bool {
    match &kind {
        b"tRNS" | b"acTL" | b"fcTL" | b"fdAT" => false,
        b"eXIf" => length as usize > METADATA,
        [first, ..] => first.is_ascii_lowercase(),
    }
}
