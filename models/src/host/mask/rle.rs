//! COCO's run lengths.

use super::super::tiles::Tile;
use super::error::{MAX_PIXELS, MaskError};

/// A mask of a whole image as COCO's run lengths: the pixels column by column from the left, each column from its top; runs
/// outside and inside of the object take turns, beginning with one outside.
///
/// Always in its shortest form, so that equal masks are equal values: no run is empty but the first, which is where the
/// object has the first pixel. This is the form that pycocotools writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    width: u32,
    height: u32,
    runs: Vec<u32>,
}

impl Rle {
    /// A mask of `width` x `height` pixels from its run lengths. Empty runs are united with their neighbours.
    ///
    /// # Errors
    /// The size is none, or the runs do not cover it exactly.
    pub fn new(width: u32, height: u32, runs: impl IntoIterator<Item = u64>) -> Result<Self, MaskError> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(MaskError::Size { width, height });
        }
        let mut shortest = Shortest::default();
        let mut sum = 0_u64;
        for (at, run) in runs.into_iter().enumerate() {
            sum = sum.saturating_add(run);
            if sum > pixels {
                return Err(MaskError::Sum { width, height, sum, more: true });
            }
            shortest.push(at % 2 == 1, run as u32);
        }
        if sum < pixels {
            return Err(MaskError::Sum { width, height, sum, more: false });
        }
        Ok(Self { width, height, runs: shortest.runs })
    }

    /// A mask of an image from the places, in the order of the runs, where the object begins and ends by turns; two equal
    /// places undo each other.
    pub(super) fn from_changes(width: u32, height: u32, mut changes: Vec<u32>) -> Self {
        changes.sort_unstable();
        let (mut runs, mut before) = (Shortest::default(), 0);
        let end = width * height;
        for (at, place) in changes.into_iter().chain([end]).enumerate() {
            runs.push(at % 2 == 1, place - before);
            before = place;
        }
        Self { width, height, runs: runs.runs }
    }

    /// Pixels of a row of the image.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of the image.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The run lengths, as uncompressed `counts` of COCO have them.
    #[must_use]
    pub fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// First place and place after the last of each run of the object.
    pub(super) fn stretches(&self) -> impl Iterator<Item = [u32; 2]> + '_ {
        let mut end = 0;
        self.runs.chunks(2).filter_map(move |pair| {
            let start = end + pair[0];
            end = start + pair.get(1)?;
            Some([start, end])
        })
    }

    /// Pixels of the object.
    #[must_use]
    pub fn area(&self) -> u64 {
        self.runs.iter().skip(1).step_by(2).map(|run| u64::from(*run)).sum()
    }

    /// The smallest rectangle around the object; `None` where it has no pixel.
    #[must_use]
    pub fn bounds(&self) -> Option<Tile> {
        self.stretches().fold(None, |bounds: Option<Tile>, [start, end]| {
            let (x0, x1) = (start / self.height, (end - 1) / self.height + 1);
            // A run of several columns leaves the image below and comes in above.
            let (y0, y1) =
                if x1 - x0 == 1 { (start % self.height, (end - 1) % self.height + 1) } else { (0, self.height) };
            Some(bounds.map_or(Tile { x0, y0, x1, y1 }, |b| Tile { x0: b.x0, y0: b.y0.min(y0), x1, y1: b.y1.max(y1) }))
        })
    }

    /// The pixels of either.
    ///
    /// # Errors
    /// They are masks of images of different sizes.
    pub fn union(&self, other: &Self) -> Result<Self, MaskError> {
        self.united(other, |a, b| a || b)
    }

    /// The pixels of both.
    ///
    /// # Errors
    /// They are masks of images of different sizes.
    pub fn intersection(&self, other: &Self) -> Result<Self, MaskError> {
        self.united(other, |a, b| a && b)
    }

    /// COCO's overlap of a found object with a true one, 0 to 1: the pixels of both over those of either; with a crowd, over
    /// those of the found object. 0 where nothing is shared.
    ///
    /// # Errors
    /// They are masks of images of different sizes.
    pub fn overlap(&self, truth: &Self, crowd: bool) -> Result<f64, MaskError> {
        self.of_one_image(truth)?;
        let ([start, end], [truth_start, truth_end]) = (self.extent(), truth.extent());
        if end <= truth_start || truth_end <= start {
            return Ok(0.0);
        }
        let mut shared = 0_u64;
        self.together(truth, |length, a, b| shared += if a && b { u64::from(length) } else { 0 })?;
        Ok(super::overlap::ratio(shared, self.area(), truth.area(), crowd))
    }

    fn of_one_image(&self, other: &Self) -> Result<(), MaskError> {
        let sizes = [self, other].map(|rle| [rle.width, rle.height]);
        if sizes[0] == sizes[1] { Ok(()) } else { Err(MaskError::TwoImages { sizes }) }
    }

    /// First place of the object and place after the last.
    fn extent(&self) -> [u32; 2] {
        let behind = if self.runs.len() % 2 == 1 { self.runs[self.runs.len() - 1] } else { 0 };
        [self.runs[0], self.width * self.height - behind]
    }

    fn united(&self, other: &Self, rule: impl Fn(bool, bool) -> bool) -> Result<Self, MaskError> {
        let mut runs = Shortest::default();
        self.together(other, |length, a, b| runs.push(rule(a, b), length))?;
        Ok(Self { width: self.width, height: self.height, runs: runs.runs })
    }

    /// Walks through both masks: `step` takes the length of each stretch in which neither changes, and whether it is in the
    /// first and in the second.
    fn together(&self, other: &Self, mut step: impl FnMut(u32, bool, bool)) -> Result<(), MaskError> {
        self.of_one_image(other)?;
        let (mut a, mut b) = (0, 0);
        let (mut left_a, mut left_b) = (self.runs[0], other.runs[0]);
        loop {
            let length = left_a.min(left_b);
            step(length, a % 2 == 1, b % 2 == 1);
            left_a -= length;
            left_b -= length;
            if left_a == 0 {
                a += 1;
                left_a = self.runs.get(a).copied().unwrap_or(0);
            }
            if left_b == 0 {
                b += 1;
                left_b = other.runs.get(b).copied().unwrap_or(0);
            }
            if a >= self.runs.len() || b >= other.runs.len() {
                return Ok(());
            }
        }
    }
}

/// Runs in their shortest form, from stretches in any.
#[derive(Default)]
struct Shortest {
    runs: Vec<u32>,
}

impl Shortest {
    /// Adds a stretch inside or outside of the object.
    fn push(&mut self, inside: bool, length: u32) {
        if length == 0 {
            return;
        }
        if self.runs.is_empty() && inside {
            self.runs.push(0);
        }
        // The last run is inside where there is an even number of them.
        let last_is_inside = self.runs.len().is_multiple_of(2);
        match self.runs.last_mut() {
            Some(last) if last_is_inside == inside => *last += length,
            Some(_) | None => self.runs.push(length),
        }
    }
}
