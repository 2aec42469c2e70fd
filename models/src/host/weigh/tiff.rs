//! TIFF: the first directory. Strips and tiles may lie anywhere, share their bytes and contain files of their own, so each is
//! looked at: where it is, what it must become, and what is inside.

use image::metadata::Orientation;

use super::jpeg::{Inner, check_inner};
use super::weight::{DEFLATE_RATIO, Head, TABLES, Weight, at_most, upright};
use crate::host::error::DecodeError;
use crate::host::format::Format;
use crate::host::limits::Limits;
use crate::host::shown::SMALL_PIECE;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Tiff };
/// Most tags of a directory; usual are 10 to 30.
const TAGS: u64 = 4096;
/// Most values of one tag, of those that say how pixels are stored, and so most strips or tiles.
const VALUES: u64 = 65_536;
/// Most values of a pixel, of which the first four at most become colours.
const SAMPLES: u64 = 32;
/// What the decoder reads of a strip in vain: two pieces of its input.
const READ_AHEAD: u64 = 2 * SMALL_PIECE as u64;
/// Most files' lengths of compressed bytes that all strips may have together, beside what they become.
const SHARING: u64 = 4;
/// Bytes that the decoder makes of one value of a tag.
const VALUE: u64 = 64;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const SAMPLES_PER_PIXEL: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const STRIP_BYTES: u16 = 279;
const PLANAR: u16 = 284;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;
const JPEG_TABLES: u16 = 347;

/// All tags whose values the decoder fetches: the above, photometric interpretation, predictor, extra samples, sample format
/// and chroma subsampling.
const FETCHED: [u16; 20] = [
    WIDTH,
    HEIGHT,
    BITS,
    COMPRESSION,
    262,
    STRIP_OFFSETS,
    ORIENTATION,
    SAMPLES_PER_PIXEL,
    ROWS_PER_STRIP,
    STRIP_BYTES,
    PLANAR,
    317,
    TILE_WIDTH,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_BYTES,
    338,
    339,
    JPEG_TABLES,
    530,
];

fn corrupt(reason: String) -> DecodeError {
    DecodeError::Corrupt { format: Format::Tiff, reason }
}

/// A tag's type, number of values, and where they are.
#[derive(Clone, Copy)]
struct Entry {
    kind: u16,
    count: u64,
    at: usize,
}

/// The first directory of a file.
struct Directory<'a> {
    bytes: &'a [u8],
    little: bool,
    /// By position in [`FETCHED`].
    entries: [Option<Entry>; FETCHED.len()],
}

impl<'a> Directory<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let little = bytes.first() == Some(&b'I');
        let mut directory = Self { bytes, little, entries: [None; FETCHED.len()] };
        let big = directory.number(2, 2)? == 43;
        // Sizes of an offset, of the number of tags, of a tag.
        let (offset, number, tag) = if big { (8, 8, 20) } else { (4, 2, 12) };
        let start = directory.number(if big { 8 } else { 4 }, offset)?;
        let start = usize::try_from(start).map_err(|_| TRUNCATED)?;
        let tags = directory.number(start, number)?;
        at_most(TAGS, tags, Format::Tiff, "tags")?;
        let mut at = start + number;
        for _ in 0..tags {
            directory.tag(at, offset)?;
            at += tag;
        }
        Ok(directory)
    }

    fn tag(&mut self, at: usize, offset: usize) -> Result<(), DecodeError> {
        let (tag, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
        let count = self.number(at + 4, offset)?;
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            // The decoder loses its place after a type that it does not know in a tag of 20 bytes.
            _ if offset == 8 => return Err(corrupt(format!("tag {tag} has values of the unknown type {kind}"))),
            _ => return Ok(()),
        };
        let Some(position) = FETCHED.iter().position(|&fetched| fetched == tag) else { return Ok(()) };
        let length = count.saturating_mul(size);
        at_most(VALUES, count, Format::Tiff, "values of one tag")?;
        let values = at + 4 + offset;
        let inline = length <= offset as u64;
        let at = if inline { values } else { usize::try_from(self.number(values, offset)?).map_err(|_| TRUNCATED)? };
        if at.saturating_add(length as usize) > self.bytes.len() {
            return Err(TRUNCATED);
        }
        self.entries[position] = Some(Entry { kind, count, at });
        Ok(())
    }

    /// A number of 1, 2, 4 or 8 bytes.
    fn number(&self, at: usize, size: usize) -> Result<u64, DecodeError> {
        let bytes = at.checked_add(size).and_then(|end| self.bytes.get(at..end)).ok_or(TRUNCATED)?;
        let append = |value, &byte: &u8| value << 8 | u64::from(byte);
        Ok(if self.little { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) })
    }

    fn entry(&self, tag: u16) -> Option<Entry> {
        let position = FETCHED.iter().position(|&fetched| fetched == tag)?;
        self.entries[position]
    }

    /// All values of a tag that holds whole numbers from 0 up.
    fn values(&self, tag: u16) -> Result<Option<Vec<u64>>, DecodeError> {
        let Some(Entry { kind, count, at }) = self.entry(tag) else { return Ok(None) };
        let size = match kind {
            1 | 7 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            _ => return Err(corrupt(format!("tag {tag} has values of type {kind}, not whole numbers"))),
        };
        (0..count as usize).map(|i| self.number(at + i * size, size)).collect::<Result<_, _>>().map(Some)
    }

    /// The value of a tag that has just one.
    fn value(&self, tag: u16) -> Result<Option<u64>, DecodeError> {
        match self.values(tag)?.as_deref() {
            None => Ok(None),
            Some(&[value]) => Ok(Some(value)),
            Some(values) => Err(corrupt(format!("tag {tag} has {} values, 1 is right", values.len()))),
        }
    }

    fn required(&self, tag: u16) -> Result<u64, DecodeError> {
        self.value(tag)?.ok_or_else(|| corrupt(format!("tag {tag} is missing")))
    }
}

/// How pixels are cut into strips or tiles, all of which the decoder takes for equally large.
struct Layout {
    width: u32,
    height: u32,
    chunk_width: u64,
    chunk_height: u64,
    /// Strips or tiles next to each other, and below each other.
    across: u64,
    down: u64,
    /// 1, or one for each value of a pixel.
    planes: u64,
    /// Bits of a pixel in a plane.
    bits: u64,
    samples: u64,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

impl Layout {
    fn read(directory: &Directory<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        let side = |tag| directory.required(tag).map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let (width, height) = (side(WIDTH)?, side(HEIGHT)?);
        limits.check_size(width, height)?;
        if width == 0 || height == 0 {
            return Err(corrupt(format!("its tags say {width}x{height} pixels")));
        }
        let samples = directory.value(SAMPLES_PER_PIXEL)?.unwrap_or(1);
        at_most(SAMPLES, samples, Format::Tiff, "values per pixel")?;
        let bits = directory.values(BITS)?.and_then(|bits| bits.first().copied()).unwrap_or(1);
        at_most(64, bits, Format::Tiff, "bits per value")?;
        let planes = if directory.value(PLANAR)? == Some(2) { samples } else { 1 };
        let tiled = directory.entry(TILE_OFFSETS).is_some();
        let (chunk_width, chunk_height, offsets, lengths) = if tiled {
            (directory.required(TILE_WIDTH)?, directory.required(TILE_HEIGHT)?, TILE_OFFSETS, TILE_BYTES)
        } else {
            let rows = directory.value(ROWS_PER_STRIP)?.unwrap_or(u64::from(height));
            (u64::from(width), rows.min(u64::from(height)), STRIP_OFFSETS, STRIP_BYTES)
        };
        if chunk_width == 0 || chunk_height == 0 {
            return Err(corrupt("its strips or tiles have no pixels".into()));
        }
        let listed = |tag| directory.values(tag)?.ok_or_else(|| corrupt(format!("tag {tag} is missing")));
        let layout = Self {
            width,
            height,
            chunk_width,
            chunk_height,
            across: u64::from(width).div_ceil(chunk_width),
            down: u64::from(height).div_ceil(chunk_height),
            planes,
            bits: bits * samples / planes.max(1),
            samples,
            offsets: listed(offsets)?,
            lengths: listed(lengths)?,
        };
        let expected = layout.across * layout.down * planes;
        if layout.offsets.len() as u64 != expected || layout.lengths.len() != layout.offsets.len() {
            let (offsets, lengths) = (layout.offsets.len(), layout.lengths.len());
            return Err(corrupt(format!(
                "it lists {offsets} places and {lengths} lengths of strips or tiles, {expected} are right"
            )));
        }
        Ok(layout)
    }

    /// Bytes of so many rows of a strip or tile, before compression.
    fn row(&self) -> u64 {
        self.chunk_width.saturating_mul(self.bits).div_ceil(8)
    }

    /// Rows that the decoder wants of a strip or tile.
    fn rows(&self, index: usize) -> u64 {
        let down = index as u64 % (self.across * self.down) / self.across;
        self.chunk_height.min(u64::from(self.height) - down * self.chunk_height)
    }
}

pub(super) fn weigh(head: Head<'_>, limits: &Limits) -> Result<Weight, DecodeError> {
    let directory = Directory::read(head.bytes)?;
    let layout = Layout::read(&directory, limits)?;
    let (width, height) = (layout.width, layout.height);
    let pixels = u64::from(width) * u64::from(height);
    // Tiles may reach beyond the image, by not much more than the image itself.
    let tile = layout.chunk_width.saturating_mul(layout.chunk_height);
    let covered = tile.saturating_mul(layout.across * layout.down);
    at_most(limits.max_pixels.saturating_add(pixels), covered, Format::Tiff, "pixels in all its tiles")?;
    let raw = layout.row() * layout.chunk_height * layout.across * layout.down * layout.planes;
    at_most(8 * limits.max_pixels.saturating_add(pixels), raw, Format::Tiff, "bytes after decompression")?;
    let chunks = check_chunks(&directory, &layout, head, limits)?;
    let values = FETCHED.iter().filter_map(|&tag| directory.entry(tag)).map(|entry| entry.count).max().unwrap_or(0);
    let orientation = match directory.entry(ORIENTATION) {
        None => None,
        Some(_) => directory.value(ORIENTATION)?.and_then(|value| Orientation::from_exif(value.min(255) as u8)),
    };
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    // The decoder's image and ours, then ours and the result; CMYK becomes colours on the way.
    let stored = pixels * (layout.samples.min(4) * layout.bits_of_value()).div_ceil(8);
    let memory = (2 * stored + chunks.memory).max(stored + 3 * pixels).max(upright(pixels, Some(orientation)));
    let memory = memory + 4 * layout.row() + 2 * VALUE * values + TABLES;
    Ok(Weight { width, height, memory, reading: chunks.reading, orientation: Some(orientation) })
}

impl Layout {
    /// Bits of a value as it is decoded: single bits become bytes.
    fn bits_of_value(&self) -> u64 {
        (self.bits * self.planes / self.samples.max(1)).max(8)
    }
}

/// What the strips or tiles take together.
struct Chunks {
    memory: u64,
    reading: u64,
}

fn check_chunks(
    directory: &Directory<'_>,
    layout: &Layout,
    head: Head<'_>,
    limits: &Limits,
) -> Result<Chunks, DecodeError> {
    let compression = directory.value(COMPRESSION)?.unwrap_or(1);
    let tables = match directory.entry(JPEG_TABLES).filter(|_| compression == 7) {
        Some(entry) => &head.bytes[entry.at..entry.at + entry.count as usize],
        None => &[],
    };
    let mut memory = 0;
    let mut listed: u64 = 0;
    let raw = layout.row() * layout.chunk_height * layout.offsets.len() as u64;
    for (index, (&offset, &length)) in layout.offsets.iter().zip(&layout.lengths).enumerate() {
        let there = head.size.saturating_sub(offset);
        let needed = layout.row() * layout.rows(index);
        let ratio = match compression {
            1 => 1,
            // A code of 9 to 12 bits stands for at most 4096 bytes.
            5 => 4096,
            8 | 32_946 => DEFLATE_RATIO,
            // Two bytes stand for at most 128.
            32_773 => 64,
            // A row may be a single bit (Fax), and JPEG is looked into below.
            _ => u64::MAX,
        };
        // The last row of uncompressed pixels may be cut off where the tile reaches beyond the image.
        let least = if compression == 1 { needed.saturating_sub(layout.row()) } else { needed };
        if there == 0 || least > there.saturating_mul(ratio) {
            return Err(TRUNCATED);
        }
        if compression == 1 {
            continue;
        }
        listed += length.min(there);
        // Strips that are alike may share their bytes, but are not read for more than they can become.
        at_most(SHARING * head.size + raw, listed, Format::Tiff, "compressed bytes in all its strips")?;
        if compression == 7 {
            let end = offset.saturating_add(length).min(head.bytes.len() as u64);
            let data = head.bytes.get(offset as usize..end as usize).ok_or(TRUNCATED)?;
            let side = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
            let (width, height) = (side(layout.chunk_width), side(layout.chunk_height));
            memory = memory.max(check_inner(&Inner { tables, data, width, height }, Format::Tiff, limits)?);
        }
    }
    let reading = 2 * head.size + listed + raw + layout.offsets.len() as u64 * READ_AHEAD;
    Ok(Chunks { memory, reading })
}
