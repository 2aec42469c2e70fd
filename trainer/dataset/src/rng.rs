//! Random numbers that depend only on what they are for.
//!
//! A stream is named by a purpose and a few numbers, such as (`augment`, seed, epoch, sample index), and is the ChaCha8
//! stream whose 256-bit key is the SHA-256 of that name. So nothing depends on which thread drew first, and epoch `k`
//! is the same whether or not the epochs before it were run in this process. The conversions are written here, not
//! taken from a library, so that an upgrade of one cannot change results.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// One named stream.
pub struct KeyedRng(ChaCha8Rng);

impl KeyedRng {
    /// The stream named by `purpose` and `numbers`.
    pub fn new(purpose: &str, numbers: &[u64]) -> Self {
        Self(ChaCha8Rng::from_seed(digest(purpose, numbers)))
    }

    /// Uniform in [0, 1), 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high); `low` where the range is empty.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`. Always draws, so that what follows does not depend on `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform integer in 0..`n` without bias (Lemire, "Fast random integer generation in an interval", 2019). 0 for `n` = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// From the symmetric Beta(`a`, `a`), `a` above 0 (Jöhnk's method, in logarithms, since powers of small numbers vanish).
    pub fn beta(&mut self, a: f64) -> f64 {
        loop {
            let [x, y] = [self.unit(), self.unit()].map(|u| (1.0 - u).ln() / a);
            if x.exp() + y.exp() <= 1.0 {
                return 1.0 / (1.0 + (y - x).exp());
            }
        }
    }

    /// Fisher-Yates, in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// SHA-256 of a purpose and numbers, unambiguous in both.
pub fn digest(purpose: &str, numbers: &[u64]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((purpose.len() as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    for number in numbers {
        hash.update(number.to_le_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named() {
        let draw = |purpose: &str, numbers: &[u64]| KeyedRng::new(purpose, numbers).0.next_u64();
        assert_eq!(draw("a", &[1, 2]), draw("a", &[1, 2]));
        assert_ne!(draw("a", &[1, 2]), draw("a", &[2, 1]));
        assert_ne!(draw("a", &[1, 2]), draw("b", &[1, 2]));
    }

    #[test]
    fn below_is_uniform_and_bounded() {
        let mut rng = KeyedRng::new("test", &[7]);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6) as usize] += 1;
        }
        // Six standard deviations of a binomial(60000, 1/6).
        assert!(counts.iter().all(|&c| (f64::from(c) - 10_000.0).abs() < 6.0 * 91.3), "{counts:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn beta_has_its_mean_and_variance() {
        for a in [0.1, 0.5, 1.0, 4.0] {
            let mut rng = KeyedRng::new("beta", &[1]);
            let draws: Vec<f64> = (0..20_000).map(|_| rng.beta(a)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            assert!((mean - 0.5).abs() < 0.015, "{a}: {mean}");
            assert!((variance * (8.0 * a + 4.0) - 1.0).abs() < 0.04, "{a}: {variance}");
        }
        assert!((0.0..=1.0).contains(&KeyedRng::new("beta", &[2]).beta(1e-4)));
    }

    #[test]
    fn unit_and_shuffle() {
        let mut rng = KeyedRng::new("test", &[8]);
        let mean = (0..20_000).map(|_| rng.unit()).inspect(|u| assert!((0.0..1.0).contains(u))).sum::<f64>() / 20_000.0;
        assert!((mean - 0.5).abs() < 0.012);
        let mut items: Vec<u32> = (0..100).collect();
        rng.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
