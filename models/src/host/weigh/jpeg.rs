//! JPEG: the list of segments and scans. Each block of a scan takes at least a bit or two, so a scan bounds what a header may
//! claim; and each scan passes over its blocks once more, however few bits it has.

use std::borrow::Cow;

use super::weight::{Head, PASSES, TABLES, Weight, array, at_most, upright};
use crate::host::error::DecodeError;
use crate::host::format::Format;
use crate::host::jpeg::{self, Frame};
use crate::host::limits::Limits;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Jpeg };
/// Pixels of a block.
const BLOCK: u64 = 64;
/// Most scans. Encoders make about 10 for a progressive file; the decoder has the same limit.
const SCANS: u64 = 100;
/// Most tables of Huffman codes, each of which the decoder unfolds.
const CODES: u64 = 1024;

pub(super) fn weigh(head: Head<'_>, limits: &Limits) -> Result<Weight, DecodeError> {
    let frame = jpeg::frame(head.bytes)?;
    limits.check_size(frame.width, frame.height)?;
    let memory = work(head, &frame, limits)?;
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    // The decoder copies what is beside the image, or is not shown it.
    let copied = if frame.is_cluttered() { head.size - frame.side_bytes } else { 3 * frame.side_bytes };
    let memory = (pixels * 3 + memory).max(upright(pixels, Some(frame.orientation))) + copied + TABLES;
    let orientation = Some(frame.orientation);
    Ok(Weight { width: frame.width, height: frame.height, memory, reading: head.size, orientation })
}

/// A scan's header: positions of its components, and whether it is the first half of a progressive file's coefficients.
struct Scan {
    components: Vec<usize>,
    is_dc: bool,
}

impl Scan {
    fn read(segment: &[u8], frame: &Frame) -> Option<Self> {
        let (&n, rest) = segment.split_first()?;
        let entries = rest.get(..usize::from(n) * 2)?;
        let position = |id: u8| frame.components.iter().position(|component| component.id == id);
        let components: Option<Vec<usize>> = entries.as_chunks().0.iter().map(|&[id, _]| position(id)).collect();
        Some(Self { components: components?, is_dc: *rest.get(entries.len())? == 0 })
    }
}

/// Blocks of each component: alone in a scan, and together with others, where they are rounded up to whole units.
struct Blocks {
    alone: Vec<u64>,
    together: Vec<u64>,
    /// Blocks in one row of units.
    row: u64,
}

impl Blocks {
    fn of(frame: &Frame) -> Self {
        // One component's factors mean nothing.
        let single = frame.components.len() == 1;
        let factors = |h: u8, v: u8| if single { (1, 1) } else { (u64::from(h), u64::from(v)) };
        let sampling: Vec<_> = frame.components.iter().map(|c| factors(c.horizontal, c.vertical)).collect();
        let h_max = sampling.iter().map(|&(h, _)| h).max().unwrap_or(1);
        let v_max = sampling.iter().map(|&(_, v)| v).max().unwrap_or(1);
        let (width, height) = (u64::from(frame.width), u64::from(frame.height));
        let (across, down) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        let alone = |&(h, v): &(u64, u64)| (width * h).div_ceil(8 * h_max) * (height * v).div_ceil(8 * v_max);
        Self {
            alone: sampling.iter().map(alone).collect(),
            together: sampling.iter().map(|(h, v)| across * down * h * v).collect(),
            row: sampling.iter().map(|(h, v)| across * h * v).sum(),
        }
    }

    fn in_scan(&self, scan: &Scan) -> u64 {
        match scan.components[..] {
            [only] => self.alone[only],
            ref several => several.iter().map(|&i| self.together[i]).sum(),
        }
    }
}

/// Walks the scans and returns the memory of the decoder, apart from its result.
fn work(head: Head<'_>, frame: &Frame, limits: &Limits) -> Result<u64, DecodeError> {
    let bytes = head.bytes;
    let blocks = Blocks::of(frame);
    // Coefficients of two bytes: of all blocks, or of a row with room to spread it.
    let rows = blocks.row * BLOCK * 2 * 8;
    let Some(mut scan) = bytes.get(frame.first_scan.clone()).and_then(|segment| Scan::read(segment, frame)) else {
        return Ok(rows); // A broken header, at which the decoder stops.
    };
    let at_once = !frame.progressive && scan.components.len() == frame.components.len();
    let all = if at_once { 0 } else { blocks.together.iter().sum::<u64>() * BLOCK * 2 };
    let (mut scans, mut visits, mut codes, mut side) = (0, 0, frame.codes, 0);
    let mut at = frame.scan;
    'scans: loop {
        let (end, marker) = entropy_end(bytes, at);
        let visited = blocks.in_scan(&scan);
        (scans, visits) = (scans + 1, visits + visited);
        at_most(SCANS, scans, Format::Jpeg, "scans")?;
        let pixels = limits.max_pixels.saturating_mul(PASSES);
        at_most(pixels, visits * BLOCK, Format::Jpeg, "coefficients in all its scans")?;
        let bits = match (frame.progressive, scan.is_dc) {
            (false, _) => 2,
            (true, true) => 1,
            (true, false) => 0,
        };
        let unseen = if marker.is_none() { head.unseen() } else { 0 };
        if visited * bits > ((end - at) as u64 + unseen) * 8 {
            return Err(TRUNCATED);
        }
        at = end;
        let mut marker = marker;
        loop {
            // After the end of an image may come another, which is not decoded.
            let (Some(kind), false) = (marker, at_once) else { break 'scans };
            if kind == 0xD9 {
                break 'scans;
            }
            let Some(length) = array(bytes, at + 2).map(|b| usize::from(u16::from_be_bytes(b))) else { break 'scans };
            let segment = bytes.get(at + 4..at + 2 + length.max(2)).unwrap_or_default();
            at = (at + 2 + length.max(2)).min(bytes.len());
            match kind {
                0xDA => {
                    let Some(next) = Scan::read(segment, frame) else { break 'scans };
                    scan = next;
                    continue 'scans;
                }
                0xC4 => codes += jpeg::codes_in(segment),
                _ if jpeg::is_side(kind) => side += segment.len() as u64,
                _ => {}
            }
            at_most(CODES, codes, Format::Jpeg, "tables of codes")?;
            (at, marker) = entropy_end(bytes, at);
        }
    }
    at_most(CODES, codes, Format::Jpeg, "tables of codes")?;
    Ok(rows + all + 3 * side)
}

/// Where entropy-coded data that start at `at` end: the position of the next marker that is neither a restart nor a stuffed
/// 0xFF, and that marker, if there is one.
fn entropy_end(bytes: &[u8], at: usize) -> (usize, Option<u8>) {
    let data = bytes.get(at..).unwrap_or_default();
    for found in memchr::memchr_iter(0xFF, data) {
        match data.get(found + 1) {
            None => break,
            Some(0x00 | 0xD0..=0xD7 | 0xFF) => {}
            Some(&marker) => return (at + found, Some(marker)),
        }
    }
    (bytes.len(), None)
}

/// A JPEG inside another file, of which it must fill at most `width` x `height` pixels, rounded up to whole units.
pub(super) struct Inner<'a> {
    /// Tables that it shares with others; empty if it has its own.
    pub tables: &'a [u8],
    pub data: &'a [u8],
    pub width: u32,
    pub height: u32,
}

/// Checks an inner JPEG and returns the memory that decoding it takes.
///
/// # Errors
/// As for a JPEG of its own, and [`DecodeError::Corrupt`] of `format` where it is larger than its place.
pub(super) fn check_inner(inner: &Inner<'_>, format: Format, limits: &Limits) -> Result<u64, DecodeError> {
    let bytes: Cow<'_, [u8]> = match (inner.tables, inner.data) {
        ([], data) => data.into(),
        // Without the end of the one and the start of the other.
        (tables, data) => {
            let tables = &tables[..tables.len().saturating_sub(2)];
            [tables, data.get(2..).unwrap_or_default()].concat().into()
        }
    };
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Err(DecodeError::Corrupt { format, reason: "what should be a JPEG in it is none".into() });
    }
    let frame = jpeg::frame(&bytes)?;
    let (width, height) = (inner.width.saturating_add(15) & !15, inner.height.saturating_add(15) & !15);
    if frame.width > width || frame.height > height {
        let reason = format!(
            "it contains a JPEG of {}x{} pixels where {}x{} belong",
            frame.width, frame.height, inner.width, inner.height
        );
        return Err(DecodeError::Corrupt { format, reason });
    }
    let memory = work(Head { bytes: &bytes, size: bytes.len() as u64 }, &frame, limits)?;
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    Ok(memory + pixels * frame.components.len() as u64 + 4 * bytes.len() as u64)
}
