//! The inner loops of resampling: 8-bit values times integer weights, summed in 32 bits.
//!
//! Each loop runs over a fixed number of neighbouring lanes that share one weight, which is what the compiler turns into
//! vector instructions; `multiversion` compiles it for several instruction sets and picks one when the program runs. All of
//! them compute the same integers.

use multiversion::multiversion;

/// Bits after the binary point in a weight: 32 less 8 for the pixel and 2 for the overshoot of the cubic, as in Pillow.
pub(super) const PRECISION: u32 = 32 - 8 - 2;
/// Half a level, where every sum starts, so that the final shift rounds.
const HALF: i32 = 1 << (PRECISION - 1);

/// Image rows that the horizontal pass takes together.
pub(super) const ROWS: usize = 16;
/// Values of one column of such a group: row by row, red green blue.
pub(super) const COLUMN: usize = ROWS * 3;
/// Values of a row that the vertical pass takes together.
pub(super) const CHUNK: usize = 64;

/// Weights of every output position along one axis, fixed point with [`PRECISION`] bits.
#[derive(Default)]
pub(super) struct Taps {
    /// First source position and number of weights, per output position.
    pub spans: Vec<(u32, u32)>,
    /// `size` weights per output position, the unused ones 0.
    pub weights: Vec<i32>,
    /// Room per output position in `weights`.
    pub size: usize,
}

impl Taps {
    /// Span and weights of each output position.
    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.spans
            .iter()
            .zip(self.weights.chunks_exact(self.size.max(1)))
            .map(|(&(start, count), weights)| (start as usize, &weights[..count as usize]))
    }
}

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Horizontal pass over [`ROWS`] rows. `columns` holds the source columns from `first` on, one `[u8; COLUMN]` each; `out`
/// takes `ROWS` rows of `stride` values, each at least one value longer than the pixels written.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn horizontal(columns: &[[u8; COLUMN]], first: usize, taps: &Taps, out: &mut [u8], stride: usize) {
    let mut clipped = [0u8; COLUMN + 1];
    for (x, (start, weights)) in taps.iter().enumerate() {
        let mut sums = [HALF; COLUMN];
        for (&weight, column) in weights.iter().zip(&columns[start - first..]) {
            for (sum, &value) in sums.iter_mut().zip(column) {
                *sum += weight * i32::from(value);
            }
        }
        for (value, &sum) in clipped.iter_mut().zip(&sums) {
            *value = clip(sum);
        }
        // Four bytes are one move; the fourth is overwritten by the next pixel, or lies in the row's spare value.
        for (row, pixel) in out.chunks_exact_mut(stride).zip(0..ROWS) {
            row[3 * x..3 * x + 4].copy_from_slice(&clipped[3 * pixel..3 * pixel + 4]);
        }
    }
}

/// Vertical pass. `rows` is an image whose rows are `chunks` pieces long, the first of them source row `first`; `out` gets
/// one row of `width` values per output position, `width <= chunks * CHUNK`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn vertical(rows: &[[u8; CHUNK]], chunks: usize, taps: &Taps, out: &mut [u8], width: usize) {
    let first = taps.spans.first().map_or(0, |&(start, _)| start as usize);
    for ((start, weights), line) in taps.iter().zip(out.chunks_exact_mut(width)) {
        let rows = &rows[(start - first) * chunks..];
        for (index, piece) in line.chunks_mut(CHUNK).enumerate() {
            let mut sums = [HALF; CHUNK];
            for (&weight, source) in weights.iter().zip(rows[index..].iter().step_by(chunks)) {
                for (sum, &value) in sums.iter_mut().zip(source) {
                    *sum += weight * i32::from(value);
                }
            }
            let mut clipped = [0u8; CHUNK];
            for (value, &sum) in clipped.iter_mut().zip(&sums) {
                *value = clip(sum);
            }
            piece.copy_from_slice(&clipped[..piece.len()]);
        }
    }
}
