//! How well anchors fit the objects of a data set, and anchors that fit better (Redmon and Farhadi, "YOLO9000", CVPR 2017,
//! section 2 for the clustering; the genetic steps are YOLOv5's).
//!
//! Sizes are width and height in pixels of the network's input. The fit of an anchor to an object is the smallest of the
//! ratios w/aw, aw/w, h/ah, ah/h, in (0, 1].

use dataset::KeyedRng;

/// Width and height in pixels.
pub type Size = [f64; 2];

/// Anchors that reach this share of the objects need no replacement.
const GOOD_RECALL: f64 = 0.98;
/// Objects of which neither side has so many pixels take no part in the search.
const SMALLEST: f64 = 2.0;
/// Rounds of k-means.
const ROUNDS: usize = 30;
/// Mutations that are tried.
const GENERATIONS: usize = 1000;
/// Probability that a mutation changes a side.
const MUTATED: f64 = 0.9;
/// Spread of the factor by which it changes.
const SPREAD: f64 = 0.1;
/// Limits of that factor.
const FACTOR: [f64; 2] = [0.3, 3.0];

/// How well anchors fit a set of objects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The share of the objects that any anchor may answer for: best possible recall.
    pub recall: f64,
    /// The number of anchors that may answer for an object, on average.
    pub anchors_per_object: f64,
    /// The mean fit of the best anchor, where it may answer; what the genetic steps raise.
    pub fitness: f64,
}

/// Anchors and how well they fit.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// From the smallest area to the largest: the first belong to the finest level.
    pub anchors: Vec<Size>,
    /// Their fit.
    pub fit: Fit,
}

/// What a data set says about anchors.
#[derive(Clone, Debug)]
pub struct Report {
    /// The fit of the anchors as they are.
    pub current: Fit,
    /// Anchors that more objects can be found with, where those as they are miss more than one in fifty.
    pub better: Option<Proposal>,
}

/// Looks at the anchors of a network, and for better ones where they are wanting.
///
/// `threshold` is the loss's: an anchor may answer for an object when their fit is above 1 / `threshold`.
pub fn check(sizes: &[Size], anchors: &[Size], threshold: f64, rng: &mut KeyedRng) -> Report {
    let current = fit(sizes, anchors, threshold);
    let wanting = !sizes.is_empty() && current.recall <= GOOD_RECALL;
    let better = if wanting { propose(sizes, anchors.len(), threshold, rng) } else { None };
    Report { current, better: better.filter(|b| b.fit.recall > current.recall) }
}

/// The fit of anchors; all zero without objects.
pub fn fit(sizes: &[Size], anchors: &[Size], threshold: f64) -> Fit {
    let limit = 1.0 / threshold;
    let (mut reached, mut pairs, mut sum) = (0usize, 0usize, 0.0);
    for size in sizes {
        let mut best = 0.0_f64;
        for anchor in anchors {
            let fit = smallest_ratio(*size, *anchor);
            pairs += usize::from(fit > limit);
            best = best.max(fit);
        }
        if best > limit {
            reached += 1;
            sum += best;
        }
    }
    let count = sizes.len().max(1) as f64;
    Fit { recall: reached as f64 / count, anchors_per_object: pairs as f64 / count, fitness: sum / count }
}

/// Anchors by k-means and genetic steps. Nothing when there are fewer different objects than anchors.
pub fn propose(sizes: &[Size], count: usize, threshold: f64, rng: &mut KeyedRng) -> Option<Proposal> {
    let large: Vec<Size> = sizes.iter().copied().filter(|s| s[0] >= SMALLEST || s[1] >= SMALLEST).collect();
    let mut anchors = evolve(&large, cluster(&large, count, rng)?, threshold, rng);
    anchors.sort_by(|a, b| (a[0] * a[1]).total_cmp(&(b[0] * b[1])));
    let fit = fit(sizes, &anchors, threshold);
    Some(Proposal { anchors, fit })
}

fn smallest_ratio(a: Size, b: Size) -> f64 {
    let ratio = |a: f64, b: f64| (a / b).min(b / a);
    ratio(a[0], b[0]).min(ratio(a[1], b[1]))
}

/// k-means on sizes in units of their spread, started by k-means++ (Arthur and Vassilvitskii, 2007).
fn cluster(sizes: &[Size], count: usize, rng: &mut KeyedRng) -> Option<Vec<Size>> {
    let spread = [0, 1].map(|axis| deviation(sizes.iter().map(|s| s[axis])));
    let points: Vec<Size> = sizes.iter().map(|s| [s[0] / spread[0], s[1] / spread[1]]).collect();
    let mut centres = spread_out(&points, count, rng)?;
    for _ in 0..ROUNDS {
        let mut sums = vec![([0.0, 0.0], 0usize); count];
        for point in &points {
            let (sum, members) = &mut sums[nearest(*point, &centres).0];
            *sum = [sum[0] + point[0], sum[1] + point[1]];
            *members += 1;
        }
        let before = centres.clone();
        for (centre, (sum, members)) in centres.iter_mut().zip(sums) {
            if members > 0 {
                *centre = sum.map(|v| v / members as f64);
            }
        }
        if centres == before {
            break;
        }
    }
    Some(centres.into_iter().map(|c| [c[0] * spread[0], c[1] * spread[1]]).collect())
}

/// Different points, each drawn in proportion to the squared distance from those before it.
fn spread_out(points: &[Size], count: usize, rng: &mut KeyedRng) -> Option<Vec<Size>> {
    let mut centres = vec![*points.get(rng.below(points.len() as u64) as usize)?];
    while centres.len() < count {
        let distances: Vec<f64> = points.iter().map(|p| nearest(*p, &centres).1).collect();
        let mut left = rng.unit() * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|d| {
            left -= d;
            left < 0.0
        });
        // Rounding may use the sum up before the last point; all at distance 0 are the same as a centre.
        let drawn = drawn.or_else(|| distances.iter().rposition(|d| *d > 0.0))?;
        centres.push(points[drawn]);
    }
    Some(centres)
}

/// The nearest centre and its squared distance.
fn nearest(point: Size, centres: &[Size]) -> (usize, f64) {
    let distance = |c: &Size| (c[0] - point[0]).powi(2) + (c[1] - point[1]).powi(2);
    centres.iter().map(distance).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, f64::INFINITY))
}

/// Standard deviation; 1 where there is none.
fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let deviation = (values.map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
    if deviation > 0.0 { deviation } else { 1.0 }
}

/// Random changes, of which those that raise the fitness stay.
fn evolve(sizes: &[Size], mut anchors: Vec<Size>, threshold: f64, rng: &mut KeyedRng) -> Vec<Size> {
    let mut fitness = fit(sizes, &anchors, threshold).fitness;
    for _ in 0..GENERATIONS {
        // One strength for a generation, so that there are small steps and large ones.
        let strength = rng.unit() * SPREAD;
        let mutant: Vec<Size> = anchors.iter().map(|a| a.map(|side| mutated(side, strength, rng))).collect();
        let found = fit(sizes, &mutant, threshold).fitness;
        if found > fitness {
            (fitness, anchors) = (found, mutant);
        }
    }
    anchors
}

fn mutated(side: f64, strength: f64, rng: &mut KeyedRng) -> f64 {
    let (changes, deviate) = (rng.chance(MUTATED), normal(rng));
    let factor = if changes { (1.0 + strength * deviate).clamp(FACTOR[0], FACTOR[1]) } else { 1.0 };
    (side * factor).max(SMALLEST)
}

/// A standard normal deviate (Box and Muller, 1958).
fn normal(rng: &mut KeyedRng) -> f64 {
    let (radius, angle) = ((-2.0 * (1.0 - rng.unit()).ln()).sqrt(), std::f64::consts::TAU * rng.unit());
    radius * angle.cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// YOLOv5's anchors for COCO.
    const COCO: [Size; 9] = [
        [10.0, 13.0],
        [16.0, 30.0],
        [33.0, 23.0],
        [30.0, 61.0],
        [62.0, 45.0],
        [59.0, 119.0],
        [116.0, 90.0],
        [156.0, 198.0],
        [373.0, 326.0],
    ];

    fn rng() -> KeyedRng {
        KeyedRng::new("autoanchor", &[3])
    }

    #[test]
    fn fit_by_hand() {
        let fit = fit(&[[10.0, 10.0], [4.0, 10.0], [2.0, 10.0]], &[[10.0, 10.0], [8.0, 10.0]], 4.0);
        // Fits: 1 and .8; .4 and .5; .2 and .25, which is not above the limit.
        assert_eq!(fit, Fit { recall: 2.0 / 3.0, anchors_per_object: 4.0 / 3.0, fitness: 1.5 / 3.0 });
        assert_eq!(super::fit(&[], &COCO, 4.0).recall, 0.0);
    }

    #[test]
    fn good_anchors_stay() {
        let report = check(&COCO, &COCO, 4.0, &mut rng());
        assert_eq!((report.current.recall, report.current.fitness), (1.0, 1.0));
        assert!(report.better.is_none());
        assert!(check(&[], &COCO, 4.0, &mut rng()).better.is_none());
    }

    #[test]
    fn odd_objects_get_anchors_of_their_own() {
        // Long thin objects, which COCO's anchors cannot answer for.
        let mut draw = KeyedRng::new("test", &[1]);
        let sizes: Vec<Size> = (0..300).map(|_| [draw.between(100.0, 300.0), draw.between(3.0, 6.0)]).collect();
        let report = check(&sizes, &COCO, 4.0, &mut rng());
        assert!(report.current.recall < 0.5, "{report:?}");
        let better = report.better.expect("a proposal");
        assert_eq!(better.anchors.len(), 9);
        assert!(better.fit.recall == 1.0 && better.fit.fitness > 0.8, "{better:?}");
        assert!(better.anchors.is_sorted_by_key(|a| a[0] * a[1]));
        let again = check(&sizes, &COCO, 4.0, &mut rng()).better.expect("a proposal");
        assert_eq!(again.anchors, better.anchors, "a stream gives the same anchors again");
        let mut clustered = cluster(&sizes, 9, &mut rng()).expect("clusters");
        let before = fit(&sizes, &clustered, 4.0).fitness;
        clustered = evolve(&sizes, clustered, 4.0, &mut rng());
        assert!(fit(&sizes, &clustered, 4.0).fitness > before, "genetic steps help");
    }

    #[test]
    fn too_few_objects_give_none() {
        let sizes = [[100.0, 3.0], [100.0, 3.0], [200.0, 4.0]];
        assert!(propose(&sizes, 9, 4.0, &mut rng()).is_none());
        assert!(propose(&[[1.0, 1.0]; 20], 1, 4.0, &mut rng()).is_none(), "all too small");
    }

    #[test]
    fn deviates_are_normal() {
        let mut rng = rng();
        let draws: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        assert!((deviation(draws.iter().copied()) - 1.0).abs() < 0.03);
        assert!(draws.iter().sum::<f64>().abs() / 20_000.0 < 0.04);
    }
}
