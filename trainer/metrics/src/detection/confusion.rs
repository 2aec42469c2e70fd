//! Which class is taken for which, what is missed and what is invented.

use serde::{Deserialize, Serialize};

use super::curves::is_kept;
use super::view::View;

/// What a found box stands for, whatever its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partner {
    /// The object with this index in the image's truth.
    Truth(usize),
    /// A crowd; it counts neither way.
    Crowd,
    /// No object: it is invented.
    Nothing,
}

/// The partner of each found box, in their order, which is that of falling scores: the object of any class that is still
/// free and that it covers best, with an IoU of at least `iou_threshold`. Of equals one of its own class is taken, then
/// the first. A box without such an object may lie in a crowd (intersection over its own area).
pub(super) fn partners(image: &View, iou_threshold: f64) -> Vec<Partner> {
    let mut taken = vec![false; image.truth.len()];
    let mut partner = |(place, class): (usize, usize)| {
        let mut best = None;
        let mut crowd = false;
        for overlap in image.overlaps.of(place).iter().filter(|overlap| overlap.iou >= iou_threshold) {
            let truth = &image.truth[overlap.truth];
            if truth.is_crowd {
                crowd = true;
            } else if !taken[overlap.truth] {
                let key = (overlap.iou, truth.class == class);
                if best.is_none_or(|(best, _)| key > best) {
                    best = Some((key, overlap.truth));
                }
            }
        }
        match best {
            Some((_, truth)) => {
                taken[truth] = true;
                Partner::Truth(truth)
            }
            None if crowd => Partner::Crowd,
            None => Partner::Nothing,
        }
    };
    image.found.iter().map(|one| one.class).enumerate().map(&mut partner).collect()
}

/// One entry that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// True class; the number of classes stands for "invented".
    pub truth: usize,
    /// Found class; the number of classes stands for "missed".
    pub found: usize,
    /// Objects, or invented boxes.
    pub count: u64,
}

/// The confusion matrix of the boxes with a score above `threshold`.
///
/// Rows are true classes and, last, "invented"; columns found classes and, last, "missed". A row of a class adds up to its
/// objects (crowds are none), a column of a class to the boxes of that class that do not lie in a crowd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// Score threshold.
    pub threshold: f64,
    /// Number of classes, `C`.
    pub classes: usize,
    /// The entries that are not 0, by row, then column: of a thousand classes hardly any pair is ever confused.
    pub cells: Vec<Cell>,
}

impl ConfusionMatrix {
    /// `[C + 1][C + 1]`: the last row is "invented", the last column "missed"; where they meet is 0.
    pub fn dense(&self) -> Vec<Vec<u64>> {
        let mut rows = vec![vec![0; self.classes + 1]; self.classes + 1];
        for cell in &self.cells {
            rows[cell.truth][cell.found] = cell.count;
        }
        rows
    }
}

/// Collects the pairs of all images.
pub(super) struct Confusion {
    /// Score, row, column.
    pairs: Vec<(f64, usize, usize)>,
    /// Objects per class.
    support: Vec<u64>,
}

impl Confusion {
    pub fn new(classes: usize) -> Self {
        Self { pairs: Vec::new(), support: vec![0; classes] }
    }

    pub fn add(&mut self, image: &View, iou_threshold: f64) {
        for one in image.truth.iter().filter(|one| !one.is_crowd) {
            self.support[one.class] += 1;
        }
        for (one, partner) in image.found.iter().zip(partners(image, iou_threshold)) {
            let row = match partner {
                Partner::Truth(truth) => image.truth[truth].class,
                Partner::Nothing => self.support.len(),
                Partner::Crowd => continue,
            };
            self.pairs.push((one.score, row, one.class));
        }
    }

    /// One matrix per threshold. Who pairs with whom depends on higher scores only, so it is the same at each of them.
    pub fn finish(mut self, thresholds: &[f64]) -> Vec<ConfusionMatrix> {
        // By row and column, so that equal cells lie together.
        self.pairs.sort_unstable_by_key(|pair| (pair.1, pair.2));
        thresholds.iter().map(|&threshold| self.at(threshold)).collect()
    }

    fn at(&self, threshold: f64) -> ConfusionMatrix {
        let classes = self.support.len();
        let mut cells: Vec<Cell> = Vec::new();
        let mut missed = self.support.clone();
        for &(_, truth, found) in self.pairs.iter().filter(|pair| is_kept(pair.0, threshold)) {
            if let Some(missed) = missed.get_mut(truth) {
                *missed -= 1;
            }
            match cells.last_mut() {
                Some(last) if (last.truth, last.found) == (truth, found) => last.count += 1,
                _ => cells.push(Cell { truth, found, count: 1 }),
            }
        }
        let missed = missed.into_iter().enumerate().filter(|(_, count)| *count > 0);
        cells.extend(missed.map(|(truth, count)| Cell { truth, found: classes, count }));
        cells.sort_unstable_by_key(|cell| (cell.truth, cell.found));
        ConfusionMatrix { threshold, classes, cells }
    }
}
