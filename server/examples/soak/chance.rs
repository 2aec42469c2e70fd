//! Numbers that look like chance, equal for equal seeds.

use std::time::Duration;

/// SplitMix64.
pub struct Chance(u64);

impl Chance {
    /// The numbers of a client.
    pub fn new(seed: u64, client: u64) -> Self {
        let mut chance = Self(seed.rotate_left(32) ^ client);
        Self(chance.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `most`, which is at least 1.
    pub fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    /// Yes, so many times of a hundred.
    pub fn percent(&mut self, of: usize) -> bool {
        self.below(100) < of
    }

    /// One of them.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// From a half to one and a half of a time.
    pub fn around(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.5 + self.below(1000) as f64 / 1000.0)
    }
}
