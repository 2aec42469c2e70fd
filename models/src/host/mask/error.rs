//! Why something is no mask.

use super::super::tiles::Tile;

/// Most pixels of an image that has masks, width times height: what a few bytes of run lengths may make a reader allocate is
/// an eighth of it.
pub const MAX_PIXELS: u64 = 1 << 30;

/// Why something is no mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// There are no such images.
    #[error(
        "a mask of {width} x {height} pixels: either side must be at least 1, and both together at most {MAX_PIXELS} pixels"
    )]
    Size {
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The runs cover more or less than the image.
    #[error("the run lengths of a mask of {width} x {height} pixels add up to {sum}{}; they must cover it exactly", if *.more { " or more" } else { "" })]
    Sum {
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
        /// What was counted until it was too much.
        sum: u64,
        /// Whether not all was counted.
        more: bool,
    },
    /// A character that no run length is written with, or a number that ends or is too long.
    #[error("the compressed run lengths of a mask are wrong at character {at} (from 1): {reason}")]
    Text {
        /// The place, from 1.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// Masks of different images.
    #[error("a mask of {} x {} pixels and one of {} x {} are not of one image", .sizes[0][0], .sizes[0][1], .sizes[1][0], .sizes[1][1])]
    TwoImages {
        /// Width and height of each.
        sizes: [[u32; 2]; 2],
    },
    /// A mask that does not lie in the image it is said to be of.
    #[error("a mask whose pixels reach to column {} and row {} does not lie in an image of {width} x {height} pixels", .window.x1, .window.y1)]
    Outside {
        /// Where its pixels are.
        window: Tile,
        /// Pixels of a row of the image.
        width: u32,
        /// Rows of the image.
        height: u32,
    },
    /// A segment that is no ring of points.
    #[error("segment {segment} (from 0) of an outline is no ring: {reason}")]
    Segment {
        /// Place in the outline, from 0.
        segment: usize,
        /// What is wrong with it.
        reason: String,
    },
}
