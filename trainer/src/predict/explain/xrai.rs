//! XRAI: which regions of an image an answer rests on (Kapishnikov et al. 2019, "XRAI: Better Attributions Through Regions").

use models::host::Rgb;

use super::segments::Edges;

/// Scales of the segmentations whose segments compete (section 3.1 of the paper).
const SCALES: [f32; 6] = [50.0, 100.0, 150.0, 250.0, 500.0, 1200.0];
/// By how many pixels segments are widened, so that they contain the edges around them.
const WIDENED: usize = 5;
/// A region that adds fewer pixels is left out.
const LEAST: usize = 50;

/// The overlapping regions of an image, each with its pixels.
#[must_use]
pub fn regions(image: &Rgb) -> Vec<Vec<u32>> {
    let edges = Edges::of(image);
    let (width, height) = (image.width as usize, image.height as usize);
    SCALES.iter().flat_map(|&scale| edges.segments(scale)).map(|s| widened(&s, width, height)).collect()
}

/// The pixels at most [`WIDENED`] columns and rows away.
fn widened(pixels: &[u32], width: usize, height: usize) -> Vec<u32> {
    let grown = |pixels: &[u32], along: fn(usize, usize) -> (usize, usize), length: usize, step: usize| {
        let mut seen = vec![false; width * height];
        for &pixel in pixels {
            let (at, start) = along(pixel as usize, width);
            for near in at.saturating_sub(WIDENED)..=(at + WIDENED).min(length - 1) {
                seen[start + near * step] = true;
            }
        }
        (0..(width * height) as u32).filter(|&pixel| seen[pixel as usize]).collect::<Vec<u32>>()
    };
    let across = grown(pixels, |pixel, width| (pixel % width, pixel / width * width), width, 1);
    grown(&across, |pixel, width| (pixel / width, pixel % width), height, width)
}

/// How much each pixel matters. `values` is what each pixel contributes. The region whose pixels contribute most on average
/// comes first, then the one whose pixels beyond those already taken do, and so on (algorithm 1); the taken pixels get
/// that average. What no region takes gets the average of the rest. When `fast`, regions are ranked once, by all their
/// pixels, so that each is looked at twice only.
#[must_use]
pub fn heat(values: &[f32], mut regions: Vec<Vec<u32>>, fast: bool) -> Vec<f32> {
    let mut map = Map { values, heat: vec![None; values.len()] };
    if fast {
        let mut ranked: Vec<(f32, Vec<u32>)> = regions.into_iter().map(|region| (map.mean(&region), region)).collect();
        // Stable: of equal ones the earlier.
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, mut region) in ranked {
            if map.adds(&mut region) {
                map.take(&region);
            }
        }
    } else {
        loop {
            regions.retain_mut(|region| map.adds(region));
            let gains: Vec<f32> = regions.iter().map(|region| map.mean(region)).collect();
            let Some(best) = (0..gains.len()).rev().max_by(|&a, &b| gains[a].total_cmp(&gains[b])) else { break };
            map.take(&regions.remove(best));
        }
    }
    let rest: Vec<u32> = (0..values.len() as u32).filter(|&pixel| map.is_free(pixel)).collect();
    let mean = map.mean(&rest);
    map.heat.into_iter().map(|heat| heat.unwrap_or(mean)).collect()
}

/// What is known while regions are taken one after the other.
struct Map<'a> {
    /// What each pixel contributes.
    values: &'a [f32],
    /// Of each taken pixel, the average of what was taken with it.
    heat: Vec<Option<f32>>,
}

impl Map<'_> {
    fn mean(&self, pixels: &[u32]) -> f32 {
        let sum: f64 = pixels.iter().map(|&pixel| f64::from(self.values[pixel as usize])).sum();
        sum as f32 / pixels.len().max(1) as f32
    }

    fn is_free(&self, pixel: u32) -> bool {
        self.heat[pixel as usize].is_none()
    }

    /// Leaves the free pixels of a region, and says whether they are enough.
    fn adds(&self, region: &mut Vec<u32>) -> bool {
        region.retain(|&pixel| self.is_free(pixel));
        region.len() >= LEAST
    }

    fn take(&mut self, pixels: &[u32]) {
        let mean = self.mean(pixels);
        pixels.iter().for_each(|&pixel| self.heat[pixel as usize] = Some(mean));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 300 pixels in three parts that contribute 3, 2 and 1 each.
    fn steps() -> Vec<f32> {
        (0..300).map(|at| 3.0 - (at / 100) as f32).collect()
    }

    #[test]
    fn each_region_is_measured_by_what_it_adds() {
        // The averages are 2.5, 2, 1.3 and 1.7, but what the others add to the first is worth 1 a pixel.
        let regions = || vec![(0..200).collect(), (50..250).collect(), (150..300).collect(), (90..260).collect()];
        let exact = heat(&steps(), regions(), false);
        assert!(exact[..200].iter().all(|&h| h == 2.5), "the mean of 3 and 2");
        assert!(exact[200..].iter().all(|&h| h == 1.0));
        assert_eq!(heat(&steps(), regions(), true), exact, "the ranking is the same here");
    }

    #[test]
    fn the_fast_ranking_is_made_once() {
        // Alone, the last is worth more than the middle one (1.8 and 1.75); of what the first leaves, less (1.0 and 1.75).
        let regions =
            || vec![(0..100).collect::<Vec<u32>>(), (125..225).collect(), (60..100).chain(200..260).collect()];
        let slow = heat(&steps(), regions(), false);
        let fast = heat(&steps(), regions(), true);
        assert_eq!((slow[0], fast[0]), (3.0, 3.0));
        // Slow: the middle one is whole, and of the last 35 pixels are left, too few, which the rest takes in.
        assert!((slow[150] - 1.75).abs() < 1e-6 && slow[240] == slow[299]);
        // Fast: of the last 60 pixels, and 75 of the middle one.
        assert!((fast[240] - 1.0).abs() < 1e-6 && (fast[150] - 2.0).abs() < 1e-6, "{} {}", fast[240], fast[150]);
    }

    #[test]
    fn regions_reach_over_their_edges_and_cover_the_image() {
        let mut image = Rgb::filled(40, 30, [0; 3]);
        for row in image.data.chunks_exact_mut(120) {
            row[60..].fill(255);
        }
        let regions = regions(&image);
        assert!(regions.len() >= SCALES.len() * 2);
        let left = regions.iter().find(|r| r.contains(&0) && !r.contains(&39)).unwrap();
        // The edge at column 20 lies inside.
        assert!(left.contains(&20) && !left.contains(&35), "{left:?}");
        assert_eq!(widened(&[0], 40, 30).len(), 36, "a corner grows to 6 by 6");
        assert_eq!(widened(&[15 * 40 + 20], 40, 30).len(), 121);
    }
}
