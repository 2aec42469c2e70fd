//! How a session runs its batches.

use crate::provider::Provider;

/// Where and how a session runs its batches. The default is the processor, each batch as it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    /// What runs the operators.
    pub provider: Provider,
    /// Sizes that batches are padded to, in memory that stays bound to the session. `None` runs each batch as it is, from the
    /// memory that it comes in.
    pub buckets: Option<Buckets>,
    /// Whether the run of each bucket is recorded once and played again from then on (CUDA graphs). It needs `buckets`, and a
    /// `prepared` classifier, whose answers have one shape. On the processor there is nothing to record; images and answers
    /// pass through the same memory.
    pub graphs: bool,
}

/// Batch sizes that a session runs: the powers of two below the largest size, and that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    most: usize,
}

impl Buckets {
    /// Sizes up to `most` images, at least 1.
    #[must_use]
    pub fn up_to(most: usize) -> Self {
        Self { most: most.max(1) }
    }

    /// All sizes, in rising order.
    #[must_use]
    pub fn sizes(self) -> Vec<usize> {
        let powers = std::iter::successors(Some(1_usize), |size| size.checked_mul(2));
        powers.take_while(|&size| size < self.most).chain([self.most]).collect()
    }

    /// The smallest size that `n` images fit in; `n` itself when there are more than the largest size.
    #[must_use]
    pub fn fit(self, n: usize) -> usize {
        n.checked_next_power_of_two().unwrap_or(n).min(self.most).max(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_and_the_largest() {
        for (most, sizes) in
            [(0, vec![1]), (1, vec![1]), (2, vec![1, 2]), (12, vec![1, 2, 4, 8, 12]), (16, vec![1, 2, 4, 8, 16])]
        {
            assert_eq!(Buckets::up_to(most).sizes(), sizes);
        }
    }

    #[test]
    fn a_batch_gets_the_smallest_size_that_holds_it() {
        for most in [1, 2, 5, 12, 16, 1024] {
            let buckets = Buckets::up_to(most);
            let sizes = buckets.sizes();
            for n in 1..=most {
                let smallest = sizes.iter().copied().find(|&size| size >= n);
                assert_eq!(Some(buckets.fit(n)), smallest, "{n} of {most}");
            }
            assert_eq!(buckets.fit(most + 1), most + 1);
        }
    }
}
