//! Pillow's antialiased resampling, bit for bit.
//!
//! The definition is Pillow's `Resample.c`: for each output position the filter, stretched by the scale when the image
//! shrinks, is sampled at the source pixels under it, normalised to sum 1 in `f64` and rounded to fixed point; rows are
//! resampled and rounded to 8 bits along one axis, then along the other. Coordinates of the region are `f32` there, and so
//! they are here. The order of the axes is that of Pillow 13 ([`down_first`]); older versions always begin with the rows, which
//! on a photograph is the same.

use schemas::preprocessing::Interpolation;

use super::kernel::{self, CHUNK, COLUMN, ROWS, Taps};
use super::rgb::{Region, Rgb};

/// Resamples `region` of `src` to `width` x `height` pixels, equal to Pillow's `resize((width, height), filter, box=region)`.
///
/// The region is clamped to the image (a NaN edge counts as the image's own edge) and sides below 1 become 1, so nothing
/// that comes from data can make this fail. To resize many images, keep a [`Resizer`], which keeps its buffers.
///
/// # Panics
/// When the fields of `src` contradict each other.
#[must_use]
pub fn resize(src: &Rgb, region: Region, width: u32, height: u32, filter: Interpolation) -> Rgb {
    Resizer::default().resize(src, region, width, height, filter)
}

/// The buffers of [`resize`], for use by one thread again and again. What it returns does not depend on what it did before.
#[derive(Default)]
pub struct Resizer {
    horizontal: Taps,
    vertical: Taps,
    /// One group of rows as columns.
    columns: Vec<u8>,
    /// The image between the passes, rows padded to whole chunks.
    middle: Vec<u8>,
}

/// One axis of a resize: of `size` source positions from `base` on (the filter sees no others), the stretch `from..to`,
/// counted from `base`, becomes `full` positions, of which `keep` from `skip` on are computed.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub base: u32,
    pub size: u32,
    pub from: f64,
    pub to: f64,
    pub full: u32,
    pub skip: u32,
    pub keep: u32,
}

impl Axis {
    /// All of `base..base + size` becomes `full` positions.
    pub(super) fn whole(base: u32, size: u32, full: u32) -> Self {
        let full = full.max(1);
        Self { base, size, from: 0.0, to: f64::from(size), full, skip: 0, keep: full }
    }

    /// The stretch within `0..size`, in the precision Pillow uses.
    fn clamped(&self) -> (f32, f32) {
        let size = self.size;
        let edge = |value: f64, otherwise: f32| {
            let value = value as f32;
            if value.is_nan() { otherwise } else { value.clamp(0.0, size as f32) }
        };
        let from = edge(self.from, 0.0);
        (from, edge(self.to, size as f32).max(from))
    }

    /// Whether each output position is one source position, so that the pass changes nothing.
    fn is_copy(&self) -> bool {
        self.full == self.size && self.clamped() == (0.0, self.size as f32)
    }
}

impl Resizer {
    /// As the function [`resize`].
    ///
    /// # Panics
    /// When the fields of `src` contradict each other.
    #[must_use]
    pub fn resize(&mut self, src: &Rgb, region: Region, width: u32, height: u32, filter: Interpolation) -> Rgb {
        let x = Axis { from: region.x0, to: region.x1, ..Axis::whole(0, src.width, width) };
        let y = Axis { from: region.y0, to: region.y1, ..Axis::whole(0, src.height, height) };
        self.window(src, x, y, filter)
    }

    /// The kept window of a resize; the same values as resizing in full and cutting the window out, since no output pixel
    /// depends on another. Wants `base + size` within the image,
    /// `skip + keep <= full`, and `size` and `keep` at least 1, on both axes.
    pub(super) fn window(&mut self, src: &Rgb, x: Axis, y: Axis, filter: Interpolation) -> Rgb {
        src.check();
        if !x.is_copy() && !y.is_copy() && down_first(x, y) {
            let lower = self.passes(src, Axis::whole(0, src.width, src.width), y, filter);
            return self.passes(&lower, x, Axis::whole(0, lower.height, lower.height), filter);
        }
        self.passes(src, x, y, filter)
    }

    /// The horizontal and then the vertical pass, each only where it changes something.
    fn passes(&mut self, src: &Rgb, x: Axis, y: Axis, filter: Interpolation) -> Rgb {
        let across = !x.is_copy();
        let down = !y.is_copy();
        let (top, rows) = if down {
            set_taps(&mut self.vertical, y, filter);
            let first = self.vertical.spans[0].0;
            let last = self.vertical.spans.iter().map(|&(start, count)| start + count).max().unwrap_or(first);
            (first as usize, (last - first) as usize)
        } else {
            ((y.base + y.skip) as usize, y.keep as usize)
        };

        let width = x.keep as usize * 3;
        let chunks = (width + 1).div_ceil(CHUNK);
        let stride = chunks * CHUNK;
        // Contents are overwritten before they are read, except for padding, whose values never reach the output.
        self.middle.resize(rows.next_multiple_of(ROWS) * stride, 0);
        if across {
            set_taps(&mut self.horizontal, x, filter);
            self.pass_across(src, top, rows, stride);
        } else {
            let skip = (x.base + x.skip) as usize * 3;
            for (line, source) in
                self.middle.chunks_exact_mut(stride).zip(src.data.chunks_exact(src.stride()).skip(top)).take(rows)
            {
                line[..width].copy_from_slice(&source[skip..skip + width]);
            }
        }

        let mut data = vec![0; width * y.keep as usize];
        if down {
            let (pieces, _) = self.middle.as_chunks::<CHUNK>();
            kernel::vertical(pieces, chunks, &self.vertical, &mut data, width);
        } else {
            for (line, source) in data.chunks_exact_mut(width).zip(self.middle.chunks_exact(stride)) {
                line.copy_from_slice(&source[..width]);
            }
        }
        Rgb { width: x.keep, height: y.keep, data }
    }

    /// Horizontal pass over `rows` rows from `top` on, into `middle`.
    fn pass_across(&mut self, src: &Rgb, top: usize, rows: usize, stride: usize) {
        let spans = &self.horizontal.spans;
        let first = spans.iter().map(|&(start, _)| start).min().unwrap_or(0) as usize;
        let last = spans.iter().map(|&(start, count)| start + count).max().unwrap_or(0) as usize;
        let columns = last - first;
        self.columns.resize(columns * COLUMN, 0);
        for (group, out) in self.middle.chunks_exact_mut(ROWS * stride).enumerate() {
            let lines = std::array::from_fn(|row| {
                // Past the end, the last row again: its results are not used.
                let row = top + (group * ROWS + row).min(rows - 1);
                let start = row * src.stride() + first * 3;
                &src.data[start..start + columns * 3]
            });
            gather(&lines, &mut self.columns);
            let (columns, _) = self.columns.as_chunks::<COLUMN>();
            kernel::horizontal(columns, first, &self.horizontal, out, stride);
        }
    }
}

/// Whether columns are resampled before rows: when the height shrinks, and by more than twice what the width shrinks by.
fn down_first(x: Axis, y: Axis) -> bool {
    let fewer = |axis: Axis| i64::from(axis.size) - i64::from(axis.full);
    fewer(y) > 0 && fewer(y) > 2 * fewer(x)
}

/// Interleaves rows of equal length, pixel by pixel, so that one column's values lie together.
///
/// A pixel is moved as four bytes, which is one move where three would be two; the fourth lands on the next row's pixel, which
/// is written after it. Offsets are constants within a block of four columns, so that bounds are checked once per block.
fn gather(lines: &[&[u8]; ROWS], columns: &mut [u8]) {
    const BLOCK: usize = 4;
    let count = lines[0].len() / 3;
    let (blocks, _) = columns.as_chunks_mut::<{ BLOCK * COLUMN }>();
    // The last pixel has no fourth byte, so it stays out of the blocks.
    let whole = (count - 1) / BLOCK;
    for (index, block) in blocks.iter_mut().take(whole).enumerate() {
        let start = index * BLOCK * 3;
        for (row, line) in lines.iter().enumerate().take(ROWS - 1) {
            let pixels = &line[start..start + BLOCK * 3 + 1];
            for x in 0..BLOCK {
                block[x * COLUMN + 3 * row..][..4].copy_from_slice(&pixels[3 * x..3 * x + 4]);
            }
        }
        let pixels = &lines[ROWS - 1][start..start + BLOCK * 3];
        for x in 0..BLOCK {
            block[x * COLUMN + 3 * (ROWS - 1)..][..3].copy_from_slice(&pixels[3 * x..3 * x + 3]);
        }
    }
    for x in whole * BLOCK..count {
        for (row, line) in lines.iter().enumerate() {
            columns[x * COLUMN + 3 * row..][..3].copy_from_slice(&line[3 * x..3 * x + 3]);
        }
    }
}

fn support(filter: Interpolation) -> f64 {
    match filter {
        Interpolation::Bilinear => 1.0,
        Interpolation::Bicubic => 2.0,
    }
}

/// The filter's value at `x`.
fn weight(filter: Interpolation, x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match filter {
        Interpolation::Bilinear if x < 1.0 => 1.0 - x,
        Interpolation::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Interpolation::Bilinear | Interpolation::Bicubic => 0.0,
    }
}

/// For each of `to` positions that `from` are resized to: which source positions count, and how much. Weights of a position
/// sum to 1. The same filter as for images, in double precision.
#[must_use]
pub fn taps(from: usize, to: usize, filter: Interpolation) -> Vec<Vec<(usize, f64)>> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = support(filter) * stretch;
    let of = |position: usize| {
        let centre = (position as f64 + 0.5) * scale;
        // Both casts cut towards zero, and negative ones to zero.
        let (start, end) = ((centre - support + 0.5) as usize, ((centre + support + 0.5) as usize).min(from));
        let weights = (start..end).map(|p| (p, weight(filter, (p as f64 - centre + 0.5) / stretch)));
        let total: f64 = weights.clone().map(|(_, w)| w).sum();
        weights.map(|(p, w)| (p, w / total)).collect()
    };
    (0..to).map(of).collect()
}

/// Fills `taps` for the kept positions of `axis`.
fn set_taps(taps: &mut Taps, axis: Axis, filter: Interpolation) {
    let (from, to) = axis.clamped();
    let scale = f64::from(to - from) / f64::from(axis.full);
    let stretch = scale.max(1.0);
    let support = support(filter) * stretch;
    let inverse = 1.0 / stretch;
    taps.size = support.ceil() as usize * 2 + 1;
    taps.spans.clear();
    taps.weights.clear();
    let mut window = Vec::with_capacity(taps.size);
    for position in axis.skip..axis.skip + axis.keep {
        let centre = f64::from(from) + (f64::from(position) + 0.5) * scale;
        // Both casts cut towards zero, as in C.
        let start = ((centre - support + 0.5) as i64).max(0);
        let end = ((centre + support + 0.5) as i64).min(i64::from(axis.size));
        window.clear();
        window.extend((start..end).map(|pixel| weight(filter, (pixel as f64 - centre + 0.5) * inverse)));
        let total: f64 = window.iter().sum();
        taps.weights.extend(window.iter().map(|&value| {
            let value = if total == 0.0 { value } else { value / total };
            let scaled = value * f64::from(1u32 << kernel::PRECISION);
            (if value < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
        }));
        taps.spans.push((axis.base + start as u32, window.len() as u32));
        taps.weights.resize(taps.spans.len() * taps.size, 0);
    }
}
