//! What an image looks like from afar, to find images that look the same: copies saved again, resized, brightened.
//!
//! An image is reduced to 16 x 16 brightnesses, from which their mean is taken away and which are divided by their
//! standard deviation, so that exposure and contrast do not count. Two images look the same where these differ by less
//! than [`FARTHEST`] in the square mean, which one part that differs much raises more than many that differ little.
//! Candidates are found by a hash of 64 bits (is a part brighter than the one to its right?) of which at most
//! [`MOST_BITS`] differ: two such hashes agree in at least one of nine bands, by which they are sorted.

use std::sync::atomic::{AtomicUsize, Ordering};

use models::host::{Region, Rgb, resize};
use schemas::Interpolation;

/// Side of the reduced image.
const SIDE: usize = 16;
/// Steps of a standard deviation.
const STEPS: f32 = 32.0;
/// Images of a smaller standard deviation, of 255, are of one colour and have nothing to be told apart by.
const PLAIN: f32 = 1.0;
/// Of images of a smaller standard deviation, what rounding and compression leave is no smaller than what tells them
/// apart, so that only those that are stored without loss can be known again.
const FLAT: f32 = 4.0;
/// Farthest distance of a flat image.
const EQUAL: f32 = 0.02;
/// Root of the mean squared distance, in standard deviations, from which images count as different. In seven public
/// data sets, copies saved again at a quality of 40, halved in size or darkened by a fifth stay below 0.12 and those
/// brightened by a fifth below 0.15; different images begin at 0.2.
const FARTHEST: f32 = 0.15;
/// Bits of the hash that may differ.
const MOST_BITS: u32 = 8;
/// One more than bits may differ.
const BANDS: u32 = 9;
/// A part is brighter than another from this many steps on.
const BRIGHTER: i32 = 2;

/// An image from afar.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    hash: u64,
    levels: Box<[i8; SIDE * SIDE]>,
    flat: bool,
}

/// An image reduced to what a [`Look`] is taken from, and whether it has no colour; of an upright image.
pub(crate) fn look(image: &Rgb) -> (Option<Look>, bool) {
    /// Difference of channels, of 255, that is no colour yet.
    const COLOURLESS: u8 = 4;
    let side = SIDE as u32;
    let small = resize(image, Region::whole(image), side, side, Interpolation::Bilinear);
    let (pixels, _) = small.data.as_chunks::<3>();
    let spread = |&[r, g, b]: &[u8; 3]| r.max(g).max(b) - r.min(g).min(b);
    let grey = pixels.iter().all(|pixel| spread(pixel) <= COLOURLESS);
    (Look::of(pixels), grey)
}

impl Look {
    fn of(pixels: &[[u8; 3]]) -> Option<Self> {
        let luma = |&[r, g, b]: &[u8; 3]| 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
        let values: Vec<f32> = pixels.iter().map(luma).collect();
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n).sqrt();
        if deviation < PLAIN {
            return None;
        }
        let mut levels = Box::new([0; SIDE * SIDE]);
        for (level, value) in levels.iter_mut().zip(&values) {
            *level = ((value - mean) / deviation * STEPS).round().clamp(-127.0, 127.0) as i8;
        }
        Some(Self { hash: hash(&levels), levels, flat: deviation < FLAT })
    }

    /// Root of the mean squared distance, in standard deviations.
    pub fn distance(&self, other: &Self) -> f32 {
        let pairs = self.levels.iter().zip(other.levels.iter());
        let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum();
        (sum as f32 / (SIDE * SIDE) as f32).sqrt() / STEPS
    }

    fn is_like(&self, other: &Self) -> bool {
        let farthest = if self.flat || other.flat { EQUAL } else { FARTHEST };
        (self.hash ^ other.hash).count_ones() <= MOST_BITS && self.distance(other) < farthest
    }

    fn band(&self, band: u32) -> u64 {
        let (from, to) = (band * 64 / BANDS, (band + 1) * 64 / BANDS);
        self.hash >> from & ((1 << (to - from)) - 1)
    }
}

/// A bit for each of 8 x 8 parts: whether it is brighter than the next one of its row, in a circle.
fn hash(levels: &[i8; SIDE * SIDE]) -> u64 {
    let part = |row: usize, column: usize| -> i32 {
        let at = 2 * row * SIDE + 2 * (column % 8);
        [at, at + 1, at + SIDE, at + SIDE + 1].iter().map(|&at| i32::from(levels[at])).sum()
    };
    let brighter = |bit: usize| part(bit / 8, bit % 8) > part(bit / 8, bit % 8 + 1) + 4 * BRIGHTER;
    (0..64).fold(0, |hash, bit| hash | u64::from(brighter(bit)) << bit)
}

/// Groups of images that look the same, as ascending places in `looks`, sorted. Images of one group are linked by
/// steps, so that the first and the last of a film may differ. The result does not depend on `threads`.
pub(crate) fn alike(looks: &[&Look], threads: usize) -> Vec<Vec<usize>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut links = Vec::new();
        loop {
            let band = next.fetch_add(1, Ordering::Relaxed) as u32;
            if band >= BANDS {
                return links;
            }
            in_band(looks, band, &mut links);
        }
    };
    let links: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.clamp(1, BANDS as usize)).map(|_| scope.spawn(work)).collect();
        let joined = handles.into_iter().map(|handle| handle.join());
        joined.flat_map(|links| links.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    united(looks.len(), &links)
}

/// Links between images whose hashes agree in a band, and in none before it.
fn in_band(looks: &[&Look], band: u32, links: &mut Vec<(usize, usize)>) {
    let mut order: Vec<usize> = (0..looks.len()).collect();
    order.sort_by_key(|&at| looks[at].band(band));
    for bucket in order.chunk_by(|&a, &b| looks[a].band(band) == looks[b].band(band)) {
        for (place, &a) in bucket.iter().enumerate() {
            for &b in &bucket[place + 1..] {
                let met = (0..band).any(|earlier| looks[a].band(earlier) == looks[b].band(earlier));
                if !met && looks[a].is_like(looks[b]) {
                    links.push((a, b));
                }
            }
        }
    }
}

/// The sets of two and more that links make.
fn united(n: usize, links: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut root: Vec<usize> = (0..n).collect();
    fn find(root: &mut [usize], mut at: usize) -> usize {
        while root[at] != at {
            root[at] = root[root[at]];
            at = root[at];
        }
        at
    }
    for &(a, b) in links {
        let (a, b) = (find(&mut root, a), find(&mut root, b));
        // The lower one leads, so that the order of links does not matter.
        root[a.max(b)] = a.min(b);
    }
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); n];
    for at in 0..n {
        let leader = find(&mut root, at);
        groups[leader].push(at);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

#[cfg(test)]
mod tests {
    use models::host::{Limits, brightness, decode, encode_jpeg, encode_png, thumbnail};

    use super::*;
    use crate::KeyedRng;

    /// Some soft patches of colour.
    fn scene(seed: u64) -> Rgb {
        let mut rng = KeyedRng::new("look", &[seed]);
        let small = Rgb { width: 6, height: 5, data: (0..90).map(|_| 40 + rng.below(150) as u8).collect() };
        resize(&small, Region::whole(&small), 300, 240, Interpolation::Bicubic)
    }

    #[test]
    fn copies_are_alike_and_other_images_are_not() {
        let scenes: Vec<Look> = (0..60).map(|seed| look(&scene(seed)).0.unwrap()).collect();
        assert!(alike(&scenes.iter().collect::<Vec<_>>(), 2).is_empty());
        for seed in 0..20 {
            let image = scene(seed);
            let mut bright = image.clone();
            brightness(&mut bright, 1.2);
            let again = decode(&encode_jpeg(&image, 40), &Limits::default()).unwrap();
            for copy in [bright, again, thumbnail(&image, 120)] {
                let copy = look(&copy).0.unwrap();
                let mut all: Vec<&Look> = scenes.iter().collect();
                all.push(&copy);
                assert_eq!(alike(&all, 3), [[seed as usize, 60]], "{}", scenes[seed as usize].distance(&copy));
            }
        }
        assert!(look(&Rgb::filled(50, 50, [9, 8, 7])).0.is_none(), "nothing to be told apart by");
    }

    #[test]
    fn dark_images_are_alike_only_where_nothing_was_lost() {
        let dark = |seed| {
            let mut image = scene(seed);
            image.data.iter_mut().for_each(|value| *value = 8 + *value / 16);
            image
        };
        let scenes: Vec<Look> = (0..60).map(|seed| look(&dark(seed)).0.unwrap()).collect();
        assert!(scenes.iter().all(|scene| scene.flat));
        assert!(alike(&scenes.iter().collect::<Vec<_>>(), 2).is_empty());
        let again = decode(&encode_png(&dark(7)), &Limits::default()).unwrap();
        let copy = look(&again).0.unwrap();
        let all: Vec<&Look> = scenes.iter().chain([&copy]).collect();
        assert_eq!(alike(&all, 2), [[7, 60]]);
    }

    #[test]
    fn groups_are_linked_by_steps_whatever_the_order() {
        assert_eq!(united(6, &[(4, 5), (1, 4), (0, 2)]), [vec![0, 2], vec![1, 4, 5]]);
        assert_eq!(united(6, &[(0, 2), (1, 5), (4, 5)]), [vec![0, 2], vec![1, 4, 5]]);
        assert!(united(3, &[]).is_empty());
    }

    #[test]
    fn grey_is_told_from_colour() {
        let mut grey = scene(1);
        grey.data.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [pixel[1]; 3]);
        assert_eq!((look(&grey).1, look(&scene(1)).1), (true, false));
    }
}
