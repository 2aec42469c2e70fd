//! Which samples make up which batch.

use std::ops::Range;

use super::rng::KeyedRng;

/// The order of an epoch's samples: a permutation of `0..n` that depends on `seed` and `epoch` alone.
pub fn epoch_order(n: usize, seed: u64, epoch: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    KeyedRng::new("epoch order", &[seed, u64::from(epoch)]).shuffle(&mut order);
    order
}

/// How `n` samples are cut into batches.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    n: usize,
    size: usize,
    /// Whether a last batch of one sample joins the batch before it.
    join_last: bool,
}

impl Batches {
    /// For training: a last partial batch is kept, except that a single left-over sample joins the batch before it, which
    /// then has `size + 1`: batch normalisation cannot estimate a variance from one value per channel.
    pub fn training(n: usize, size: usize) -> Self {
        let size = size.max(1);
        Self { n, size, join_last: size > 1 && n > size && n % size == 1 }
    }

    /// For evaluation: every sample once, in order, the last batch as it comes.
    pub fn evaluation(n: usize, size: usize) -> Self {
        Self { n, size: size.max(1), join_last: false }
    }

    /// Number of batches.
    pub fn count(&self) -> usize {
        self.n.div_ceil(self.size) - usize::from(self.join_last)
    }

    /// The batch that a position below `n` is in.
    pub fn of(&self, position: usize) -> usize {
        (position / self.size).min(self.count().saturating_sub(1))
    }

    /// Positions of batch `index` in the order; empty beyond the end.
    pub fn range(&self, index: usize) -> Range<usize> {
        let start = index.saturating_mul(self.size).min(self.n);
        let end = if index + 1 == self.count() { self.n } else { (start + self.size).min(self.n) };
        if index < self.count() { start..end } else { self.n..self.n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_keyed_by_seed_and_epoch() {
        let order = epoch_order(1000, 7, 3);
        assert_eq!(order, epoch_order(1000, 7, 3));
        assert_ne!(order, epoch_order(1000, 7, 4));
        assert_ne!(order, epoch_order(1000, 8, 3));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert!(epoch_order(0, 1, 1).is_empty());
    }

    #[test]
    fn batches_cover_every_position_once() {
        for n in 0..40 {
            for size in 1..9 {
                for batches in [Batches::training(n, size), Batches::evaluation(n, size)] {
                    let all: Vec<usize> = (0..batches.count()).flat_map(|i| batches.range(i)).collect();
                    assert_eq!(all, (0..n).collect::<Vec<_>>(), "n {n}, size {size}");
                    assert!(batches.range(batches.count()).is_empty());
                    assert!((0..n).all(|at| batches.range(batches.of(at)).contains(&at)), "n {n}, size {size}");
                }
                let training = Batches::training(n, size);
                let smallest = (0..training.count()).map(|i| training.range(i).len()).min();
                assert!(n < 2 || size < 2 || smallest >= Some(2), "n {n}, size {size}");
            }
        }
    }
}
