//! Which matched boxes count: a fixed number per image, of which so many at most answer for objects.

use super::matcher::BACKGROUND;
use dataset::KeyedRng;

/// Where random choices come from. Training draws from a named stream; a test may say what is drawn.
pub trait Permutation {
    /// The first `count` numbers (at most `n`) of a random permutation of `0..n`.
    fn first(&mut self, n: usize, count: usize) -> Vec<usize>;

    /// What is drawn from here on is for this image of the batch. Those of a training batch share a stream.
    fn turn_to(&mut self, image: usize) {
        let _ = image;
    }
}

/// A stream for each image, so that what is drawn for one does not depend on what it lies in a batch with.
pub struct PerImage {
    streams: Vec<KeyedRng>,
    current: usize,
}

impl PerImage {
    /// The streams of the images of a batch, in order.
    #[must_use]
    pub fn new(streams: Vec<KeyedRng>) -> Self {
        Self { streams, current: 0 }
    }
}

impl Permutation for PerImage {
    fn first(&mut self, n: usize, count: usize) -> Vec<usize> {
        self.streams[self.current].first(n, count)
    }

    fn turn_to(&mut self, image: usize) {
        self.current = image;
    }
}

impl Permutation for KeyedRng {
    /// Fisher-Yates, stopped after `count`.
    fn first(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..n).collect();
        for i in 0..count.min(n) {
            numbers.swap(i, i + self.below((n - i) as u64) as usize);
        }
        numbers.truncate(count);
        numbers
    }
}

/// How many boxes of an image count.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// In all.
    size: usize,
    /// At most so many that answer for objects.
    positive: usize,
}

/// The boxes of one image that count, in ascending order.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    /// Those that answer for objects.
    pub positive: Vec<usize>,
    /// Those that are background: as many as make up the number.
    pub negative: Vec<usize>,
}

impl Sampler {
    /// Of a region proposal network: half of 256.
    pub const RPN: Self = Self { size: 256, positive: 128 };
    /// Of regions of interest: a quarter of 512.
    pub const ROI: Self = Self { size: 512, positive: 128 };

    /// Draws from the matches of one image ([`super::matcher`]).
    pub fn draw(self, matches: &[i64], permutation: &mut impl Permutation) -> Sample {
        let with = |wanted: fn(i64) -> bool| -> Vec<usize> {
            matches.iter().enumerate().filter(|(_, m)| wanted(**m)).map(|(i, _)| i).collect()
        };
        let mut choose = |from: &[usize], count: usize| -> Vec<usize> {
            let mut chosen: Vec<usize> = permutation.first(from.len(), count).into_iter().map(|i| from[i]).collect();
            chosen.sort_unstable();
            chosen
        };
        let positive = choose(&with(|m| m >= 0), self.positive);
        let negative = choose(&with(|m| m == BACKGROUND), self.size - positive.len());
        Sample { positive, negative }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::detect::matcher::IGNORED;

    struct Backwards;

    #[test]
    fn what_is_drawn_for_an_image_does_not_depend_on_the_others() {
        let stream = |image: u64| KeyedRng::new("sampler", &[image]);
        let matches: Vec<i64> = (0..600).map(|at| if at % 3 == 0 { 1 } else { BACKGROUND }).collect();
        let draw = |streams: &[u64], image: usize| {
            let mut permutation = PerImage::new(streams.iter().map(|&image| stream(image)).collect());
            for other in 0..image {
                permutation.turn_to(other);
                Sampler::RPN.draw(&matches[other..], &mut permutation);
            }
            permutation.turn_to(image);
            Sampler::RPN.draw(&matches, &mut permutation)
        };
        assert_eq!(draw(&[4, 7, 9], 1), draw(&[7], 0));
        assert_eq!(draw(&[4, 7, 9], 1), draw(&[9, 9, 7], 2));
        assert_ne!(draw(&[4], 0), draw(&[7], 0));
    }

    impl Permutation for Backwards {
        fn first(&mut self, n: usize, count: usize) -> Vec<usize> {
            (0..n).rev().take(count).collect()
        }
    }

    #[test]
    fn by_hand() {
        let sampler = Sampler { size: 4, positive: 2 };
        let draw = |matches: &[i64]| {
            let sample = sampler.draw(matches, &mut Backwards);
            (sample.positive, sample.negative)
        };
        assert_eq!(
            draw(&[0, -1, 1, -2, 0, -1, -1, -1]),
            (vec![2, 4], vec![6, 7]),
            "half and half, the ignored one never"
        );
        assert_eq!(draw(&[-1, -1, 3, -1, -1, -1]), (vec![2], vec![3, 4, 5]), "background makes up the number");
        assert_eq!(draw(&[0, 0, 0, -1]), (vec![1, 2], vec![3]), "but objects do not");
        assert_eq!(draw(&[-2, -2]), (vec![], vec![]));
        assert_eq!(draw(&[]), (vec![], vec![]));
    }

    #[test]
    fn every_box_is_as_likely() {
        let mut matches = vec![0; 400];
        matches.extend([BACKGROUND; 600]);
        matches.push(IGNORED);
        let mut rng = KeyedRng::new("test", &[5]);
        let mut counts = vec![0u32; matches.len()];
        for _ in 0..2000 {
            let sample = Sampler::RPN.draw(&matches, &mut rng);
            assert_eq!((sample.positive.len(), sample.negative.len()), (128, 128));
            sample.positive.iter().chain(&sample.negative).for_each(|i| counts[*i] += 1);
        }
        // Expected 640 and 427 of 2000 draws; five standard deviations are 105 and 92.
        assert!(counts[..400].iter().all(|c| c.abs_diff(640) < 105));
        assert!(counts[400..1000].iter().all(|c| c.abs_diff(427) < 92));
        assert_eq!(counts[1000], 0);
    }

    #[test]
    fn a_stream_gives_the_same_draw_again() {
        let draw = |numbers: &[u64]| KeyedRng::new("rpn", numbers).first(1000, 20);
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[1, 3]));
        let mut all = KeyedRng::new("rpn", &[1]).first(50, 99);
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
    }
}
