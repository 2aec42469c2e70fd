//! WebP: the list of RIFF chunks. The image inside must have the size that its container says: a lossy one is decoded before
//! the decoder compares.

use image::metadata::Orientation;

use super::vp8l;
use super::weight::{Head, TABLES, Weight, array, at_most, upright};
use crate::host::error::DecodeError;
use crate::host::format::Format;
use crate::host::limits::Limits;
use crate::host::shown::METADATA;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::WebP };

fn corrupt(reason: String) -> DecodeError {
    DecodeError::Corrupt { format: Format::WebP, reason }
}

/// One chunk: its name, where its contents start, and their length as claimed.
#[derive(Clone, Copy)]
struct Chunk {
    kind: [u8; 4],
    start: usize,
    length: usize,
}

impl Chunk {
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let kind = array(bytes, at)?;
        let length = u32::from_le_bytes(array(bytes, at + 4)?) as usize;
        Some(Self { kind, start: at + 8, length })
    }

    /// Where the next chunk starts: lengths are rounded up to even ones.
    fn end(&self) -> usize {
        self.start.saturating_add(self.length).saturating_add(self.length & 1)
    }

    /// As much of the contents as is at hand.
    fn contents<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let end = self.start.saturating_add(self.length).min(bytes.len());
        bytes.get(self.start..end).unwrap_or_default()
    }
}

/// The image data of a file: canvas, and the chunks that the decoder will read.
struct Parts {
    canvas: (u32, u32),
    frame: (u32, u32),
    animated: bool,
    alpha: Option<Chunk>,
    image: Option<Chunk>,
    exif: Option<Chunk>,
}

pub(super) fn weigh(head: Head<'_>, limits: &Limits) -> Result<Weight, DecodeError> {
    let bytes = head.bytes;
    let first = Chunk::at(bytes, 12).ok_or(TRUNCATED)?;
    let parts = match &first.kind {
        b"VP8X" => extended(bytes, first)?,
        _ => {
            let size = size(bytes, first)?.ok_or(TRUNCATED)?;
            Parts { canvas: size, frame: size, animated: false, alpha: None, image: Some(first), exif: None }
        }
    };
    let (width, height) = parts.canvas;
    limits.check_size(width, height)?;
    if parts.frame.0 > width || parts.frame.1 > height {
        let (w, h) = parts.frame;
        return Err(corrupt(format!("its first frame is {w}x{h} pixels, its canvas {width}x{height}")));
    }
    let mut lossless = false;
    let (mut tables, mut copied) = (0, 0);
    for chunk in [parts.image, parts.alpha].into_iter().flatten() {
        let contents = chunk.contents(bytes);
        copied += 2 * (chunk.length as u64).min(head.size);
        match &chunk.kind {
            b"ALPH" => tables += vp8l::alpha_tables(contents, parts.frame),
            b"VP8L" => {
                lossless = true;
                tables += vp8l::tables(contents);
            }
            _ => {}
        }
        if let Some((w, h)) = size(bytes, chunk)? {
            let (width, height) = parts.frame;
            if (w, h) != parts.frame {
                return Err(corrupt(format!("its image is {w}x{h} pixels, its container says {width}x{height}")));
            }
        }
    }
    at_most(vp8l::MOST, tables, Format::WebP, "bytes of prefix codes")?;
    let orientation = parts.exif.map_or(Orientation::NoTransforms, |exif| {
        let contents = exif.contents(bytes);
        let whole = contents.len() == exif.length && contents.len() <= METADATA;
        whole.then(|| Orientation::from_exif_chunk(contents)).flatten().unwrap_or(Orientation::NoTransforms)
    });
    let pixels = u64::from(width) * u64::from(height);
    let inner = u64::from(parts.frame.0) * u64::from(parts.frame.1);
    // Lossy: planes of 1 + 1/4 + 1/4 bytes. Lossless: 4, and 1 for the small images that say how to read it. Alpha: 4 and 1.
    let planes = if lossless { inner * 5 } else { inner * 2 };
    let alpha = if parts.alpha.is_some() { inner * 6 } else { 0 };
    let canvas = if parts.animated { pixels * 4 + inner * 4 } else { 0 };
    let decoding = pixels * 4 + planes + alpha + canvas;
    let memory = decoding.max(pixels * 7).max(upright(pixels, Some(orientation)));
    let memory = memory + copied + tables + TABLES;
    Ok(Weight { width, height, memory, reading: head.size * 3, orientation: Some(orientation) })
}

/// The size that an image chunk itself says, where it says one and that is at hand.
fn size(bytes: &[u8], chunk: Chunk) -> Result<Option<(u32, u32)>, DecodeError> {
    let contents = chunk.contents(bytes);
    match &chunk.kind {
        b"VP8L" => {
            let Some(bits) = array(contents, 1).map(u32::from_le_bytes) else { return Ok(None) };
            Ok(Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)))
        }
        b"ALPH" => Ok(None),
        b"VP8 " => Ok(lossy_size(contents)),
        other => Err(corrupt(format!("a chunk {:?} is where its image should be", String::from_utf8_lossy(other)))),
    }
}

/// Three bytes of tag, three of start code, then the sides in 14 bits each.
fn lossy_size(contents: &[u8]) -> Option<(u32, u32)> {
    let [w0, w1, h0, h1] = array(contents, 6)?;
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    Some((side(w0, w1), side(h0, h1)))
}

/// Canvas and first image of a file with an extended header.
fn extended(bytes: &[u8], header: Chunk) -> Result<Parts, DecodeError> {
    let [flags, _, _, _, sides @ ..] = array::<10>(bytes, header.start).ok_or(TRUNCATED)?;
    let [w0, w1, w2, h0, h1, h2] = sides;
    let side = |low, middle, high| u32::from_le_bytes([low, middle, high, 0]) + 1;
    let canvas = (side(w0, w1, w2), side(h0, h1, h2));
    let animated = flags & 2 != 0;
    let mut parts = Parts { canvas, frame: canvas, animated, alpha: None, image: None, exif: None };
    let mut at = header.end();
    while let Some(chunk) = Chunk::at(bytes, at) {
        match &chunk.kind {
            b"EXIF" => parts.exif = parts.exif.or(Some(chunk)),
            b"ANMF" if animated && parts.image.is_none() => frame(bytes, chunk, &mut parts)?,
            b"VP8 " | b"VP8L" if !animated => parts.image = parts.image.or(Some(chunk)),
            b"ALPH" if !animated => parts.alpha = parts.alpha.or(Some(chunk)),
            _ => {}
        }
        at = chunk.end();
    }
    Ok(parts)
}

/// The first frame of an animation: its place and size, then its chunks.
fn frame(bytes: &[u8], chunk: Chunk, parts: &mut Parts) -> Result<(), DecodeError> {
    let [w0, w1, w2, h0, h1, h2] = array(bytes, chunk.start + 6).ok_or(TRUNCATED)?;
    let side = |low, middle, high| u32::from_le_bytes([low, middle, high, 0]) + 1;
    parts.frame = (side(w0, w1, w2), side(h0, h1, h2));
    let first = Chunk::at(bytes, chunk.start + 16).ok_or(TRUNCATED)?;
    parts.image = Some(first);
    if &first.kind == b"ALPH" {
        parts.alpha = Some(first);
        // Whatever its name, the decoder takes what follows for a lossy image.
        let next = Chunk::at(bytes, first.end()).ok_or(TRUNCATED)?;
        parts.image = Some(Chunk { kind: *b"VP8 ", ..next });
    }
    Ok(())
}
