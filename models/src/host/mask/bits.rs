//! The pixels of an object in a rectangle of its image, a bit each.

use super::super::tiles::Tile;
use super::overlap;

/// Pixels of one word.
pub(super) const WORD: u32 = u64::BITS;

/// The pixels of an object in a rectangle of its image, its window; outside there are none. A pixel takes a bit, so that a
/// hundred objects of one image need no hundred images.
///
/// The words of a row begin at columns of the image that are multiples of 64, whatever the window, so that two masks are
/// compared word by word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    window: Tile,
    /// Words of a row.
    stride: usize,
    words: Vec<u64>,
}

impl Mask {
    /// No pixel of a window. A window without rows or columns is fine.
    ///
    /// # Panics
    /// When the window ends before it begins.
    #[must_use]
    pub fn empty(window: Tile) -> Self {
        assert!(
            window.x0 <= window.x1 && window.y0 <= window.y1,
            "the window of a mask must not end before it begins, but it is {window:?}"
        );
        let stride = if window.x0 == window.x1 { 0 } else { word(window.x1 - 1) - word(window.x0) + 1 };
        Self { window, stride, words: vec![0; stride * window.height() as usize] }
    }

    /// The pixels of a window for which `inside` is true; it is asked with column and row of the image, row by row.
    ///
    /// # Panics
    /// When the window ends before it begins.
    #[must_use]
    pub fn from_pixels(window: Tile, mut inside: impl FnMut(u32, u32) -> bool) -> Self {
        let mut mask = Self::empty(window);
        for y in window.y0..window.y1 {
            mask.set_row(y, (window.x0..window.x1).map(|x| inside(x, y)));
        }
        mask
    }

    /// Where the bits lie in the image.
    #[must_use]
    pub fn window(&self) -> Tile {
        self.window
    }

    /// Whether the object has the pixel in column `x` and row `y` of the image.
    #[must_use]
    pub fn contains(&self, x: u32, y: u32) -> bool {
        let Tile { x0, y0, x1, y1 } = self.window;
        (x0..x1).contains(&x) && (y0..y1).contains(&y) && self.row(y)[word(x) - word(x0)] >> (x % WORD) & 1 == 1
    }

    /// Pixels of the object.
    #[must_use]
    pub fn area(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Pixels that both objects have.
    #[must_use]
    pub fn shared(&self, other: &Self) -> u64 {
        let both = common(self.window, other.window);
        if both.x0 >= both.x1 || both.y0 >= both.y1 {
            return 0;
        }
        let (first, last) = (word(both.x0), word(both.x1 - 1));
        let part = |mask: &Self| first - word(mask.window.x0)..last + 1 - word(mask.window.x0);
        let (a, b) = (part(self), part(other));
        let row = |y| {
            let pairs = self.row(y)[a.clone()].iter().zip(&other.row(y)[b.clone()]);
            pairs.map(|(a, b)| u64::from((a & b).count_ones())).sum::<u64>()
        };
        (both.y0..both.y1).map(row).sum()
    }

    /// COCO's overlap of a found object with a true one of the same image, 0 to 1: the pixels of both over those of either;
    /// with a crowd, over those of the found object. 0 where nothing is shared.
    #[must_use]
    pub fn overlap(&self, truth: &Self, crowd: bool) -> f64 {
        match self.shared(truth) {
            0 => 0.0,
            shared => overlap::ratio(shared, self.area(), truth.area(), crowd),
        }
    }

    /// The smallest rectangle around the object; `None` where it has no pixel.
    #[must_use]
    pub fn bounds(&self) -> Option<Tile> {
        let rows = || (self.window.y0..self.window.y1).filter(|y| self.row(*y).iter().any(|word| *word != 0));
        let (y0, y1) = (rows().next()?, rows().next_back()? + 1);
        let mut columns = vec![0; self.stride];
        for row in self.words.chunks_exact(self.stride) {
            columns.iter_mut().zip(row).for_each(|(all, word)| *all |= word);
        }
        let first = columns.iter().position(|word| *word != 0)?;
        let last = columns.iter().rposition(|word| *word != 0)?;
        let start = |at: usize| (word(self.window.x0) + at) as u32 * WORD;
        let x0 = start(first) + columns[first].trailing_zeros();
        let x1 = start(last) + (WORD - columns[last].leading_zeros());
        Some(Tile { x0, y0, x1, y1 })
    }

    /// The part of the object in another window.
    ///
    /// # Panics
    /// When the window ends before it begins.
    #[must_use]
    pub fn within(&self, window: Tile) -> Self {
        let mut part = Self::empty(window);
        part.add(self);
        part
    }

    /// Adds the pixels of another object of the image; those outside of the window are left out.
    pub fn add(&mut self, other: &Self) {
        let both = common(self.window, other.window);
        if both.x0 >= both.x1 {
            return;
        }
        let (first, last) = (word(both.x0), word(both.x1 - 1));
        let (mine, theirs) = (word(self.window.x0), word(other.window.x0));
        for y in both.y0..both.y1 {
            let from = &other.row(y)[first - theirs..=last - theirs];
            let to = &mut self.row_mut(y)[first - mine..=last - mine];
            for (at, (to, from)) in to.iter_mut().zip(from).enumerate() {
                *to |= from & columns_of(first + at, both);
            }
        }
    }

    /// Makes a row of an empty mask: a value for each column of the window.
    pub(super) fn set_row(&mut self, y: u32, values: impl Iterator<Item = bool>) {
        let first = self.window.x0;
        let row = self.row_mut(y);
        for (x, value) in (first..).zip(values) {
            row[word(x) - word(first)] |= u64::from(value) << (x % WORD);
        }
    }

    /// Turns the pixel in column `x` and row `y` around; nothing happens outside of the window.
    pub(super) fn toggle(&mut self, x: u32, y: u32) {
        if (self.window.x0..self.window.x1).contains(&x) && (self.window.y0..self.window.y1).contains(&y) {
            let at = word(x) - word(self.window.x0);
            self.row_mut(y)[at] ^= 1 << (x % WORD);
        }
    }

    /// From pixels where the object begins or ends, seen along each column from the top, to the pixels between them.
    pub(super) fn fill_down(&mut self) {
        for at in self.stride..self.words.len() {
            self.words[at] ^= self.words[at - self.stride];
        }
    }

    /// The opposite of [`Mask::fill_down`]: `visit` takes column and row of each pixel where the object begins or ends, seen
    /// along each column from the top; the row is the one behind the window where the object reaches its bottom.
    pub(super) fn changes(&self, mut visit: impl FnMut(u32, u32)) {
        let none = vec![0; self.stride];
        let mut before = &none[..];
        for y in self.window.y0..=self.window.y1 {
            let row = if y < self.window.y1 { self.row(y) } else { &none[..] };
            for (at, (above, below)) in before.iter().zip(row).enumerate() {
                let start = (word(self.window.x0) + at) as u32 * WORD;
                ones(above ^ below).for_each(|bit| visit(start + bit, y));
            }
            before = row;
        }
    }

    /// Words of a row.
    pub(super) fn row_words(&self) -> usize {
        self.stride
    }

    /// The words of a row of the image that lies in the window.
    pub(super) fn row(&self, y: u32) -> &[u64] {
        let start = (y - self.window.y0) as usize * self.stride;
        &self.words[start..start + self.stride]
    }

    fn row_mut(&mut self, y: u32) -> &mut [u64] {
        let start = (y - self.window.y0) as usize * self.stride;
        &mut self.words[start..start + self.stride]
    }
}

/// The word of a row of the image that holds column `x`.
fn word(x: u32) -> usize {
    (x / WORD) as usize
}

/// The rectangle in both; it may end before it begins.
fn common(a: Tile, b: Tile) -> Tile {
    Tile { x0: a.x0.max(b.x0), y0: a.y0.max(b.y0), x1: a.x1.min(b.x1), y1: a.y1.min(b.y1) }
}

/// The bits of a word of a row of the image that are columns of `window`.
fn columns_of(word: usize, window: Tile) -> u64 {
    let start = word as u64 * u64::from(WORD);
    let below = |x: u32| match u64::from(x).saturating_sub(start) {
        bits @ 0..64 => (1 << bits) - 1,
        64.. => u64::MAX,
    };
    below(window.x1) & !below(window.x0)
}

/// Places of the bits that are set, from the lowest.
pub(super) fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}
