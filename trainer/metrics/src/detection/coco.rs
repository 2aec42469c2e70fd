//! The twelve numbers of COCO, equal to those of pycocotools 2.0.11.
//!
//! T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", 2014; the rules are those of its published evaluation.

use serde::{Deserialize, Serialize};

use super::curves::{Verdict, envelope, interpolate, is_kept, mean};
use super::overlap::Overlap;
use super::view::View;

/// IoU thresholds: 0.50, 0.55 .. 0.95.
pub const IOU_THRESHOLDS: usize = 10;
/// Boxes of one class that count in one image, for AP and AR100.
const MOST: u32 = 100;
/// Boxes of one class that count in one image: AR1, AR10, AR100.
const LIMITS: [u32; 3] = [1, 10, MOST];
/// Areas in square pixels, both ends included: all, small, medium, large.
const AREAS: [[f64; 2]; 4] = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];

/// COCO's numbers, 0 to 1, means over the classes that have truth (of the size in question); `None` where none has.
///
/// Areas are those of the boxes or masks, in pixels of the original image. At most 100 boxes of one class count in one image,
/// those of the highest scores, however many were found: so does pycocotools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CocoNumbers {
    /// Average precision, mean over IoU 0.50, 0.55 .. 0.95.
    pub ap50_95: Option<f64>,
    /// Average precision at IoU 0.50.
    pub ap50: Option<f64>,
    /// Average precision at IoU 0.75.
    pub ap75: Option<f64>,
    /// `ap50_95` of objects of at most 32 x 32 pixels.
    pub ap_small: Option<f64>,
    /// `ap50_95` of objects from 32 x 32 to 96 x 96 pixels.
    pub ap_medium: Option<f64>,
    /// `ap50_95` of objects of at least 96 x 96 pixels.
    pub ap_large: Option<f64>,
    /// Recall with one box per image and class, mean over the IoU thresholds.
    pub ar_1: Option<f64>,
    /// Recall with ten boxes per image and class.
    pub ar_10: Option<f64>,
    /// Recall with a hundred boxes per image and class.
    pub ar_100: Option<f64>,
    /// `ar_100` of objects of at most 32 x 32 pixels.
    pub ar_small: Option<f64>,
    /// `ar_100` of objects from 32 x 32 to 96 x 96 pixels.
    pub ar_medium: Option<f64>,
    /// `ar_100` of objects of at least 96 x 96 pixels.
    pub ar_large: Option<f64>,
}

/// What a found box met within one range of areas; bit `i` stands for IoU threshold `i`.
#[derive(Clone, Copy, Default)]
struct Met {
    matched: u16,
    ignored: u16,
}

impl Met {
    fn verdict(self, threshold: usize) -> Verdict {
        let bit = |bits: u16| bits >> threshold & 1 == 1;
        match (bit(self.ignored), bit(self.matched)) {
            (true, _) => Verdict::Ignored,
            (false, true) => Verdict::Hit,
            (false, false) => Verdict::FalseAlarm,
        }
    }
}

struct Entry {
    score: f64,
    /// Place among the boxes of its class in its image, 0 the best.
    rank: u32,
    met: [Met; AREAS.len()],
}

#[derive(Default)]
struct Pool {
    found: Vec<Entry>,
    /// Objects to find, per range of areas.
    truth: [u64; AREAS.len()],
}

/// Collects images, class by class.
pub(super) struct Coco {
    pools: Vec<Pool>,
    thresholds: [f64; IOU_THRESHOLDS],
}

/// What one class has; `None` without truth.
pub(super) struct ClassNumbers {
    pub ap50: Option<f64>,
    pub ap50_95: Option<f64>,
    /// At IoU 0.50; empty without truth.
    pub interpolated: Vec<f64>,
    /// `ap50` of the boxes above the score threshold.
    pub ap50_truncated: Option<f64>,
}

impl Coco {
    pub fn new(classes: usize) -> Self {
        // numpy.linspace(0.5, 0.95, 10), to the bit; at 1 - 1e-10 an overlap would count as complete.
        let step = (0.95 - 0.5) / (IOU_THRESHOLDS - 1) as f64;
        let mut thresholds = std::array::from_fn(|place| 0.5 + place as f64 * step);
        thresholds[IOU_THRESHOLDS - 1] = 0.95;
        Self { pools: (0..classes).map(|_| Pool::default()).collect(), thresholds }
    }

    pub fn add(&mut self, image: &View) {
        let ignored: Vec<[bool; AREAS.len()]> = image
            .truth
            .iter()
            .zip(&image.truth_areas)
            .map(|(one, &area)| AREAS.map(|range| one.is_crowd || outside(area, range)))
            .collect();
        for (one, ignored) in image.truth.iter().zip(&ignored) {
            for (count, ignored) in self.pools[one.class].truth.iter_mut().zip(ignored) {
                *count += u64::from(!ignored);
            }
        }
        // Classes do not meet, so the boxes of all of them are taken in one descent of the scores.
        let mut ranks = vec![0; self.pools.len()];
        let mut taken = vec![[0_u16; AREAS.len()]; image.truth.len()];
        let mut near: Vec<Overlap> = Vec::new();
        for (place, one) in image.found.iter().enumerate() {
            let rank = ranks[one.class];
            ranks[one.class] += 1;
            if rank >= MOST {
                continue;
            }
            let outside_of = AREAS.map(|range| outside(image.found_areas[place], range));
            let mut met = outside_of.map(|outside| Met { matched: 0, ignored: if outside { u16::MAX } else { 0 } });
            let of_class = |overlap: &&Overlap| image.truth[overlap.truth].class == one.class;
            near.clear();
            near.extend(image.overlaps.of(place).iter().filter(of_class));
            let closest = near.iter().fold(0.0, |most: f64, overlap| most.max(overlap.iou));
            for (threshold, &iou) in self.thresholds.iter().enumerate().take_while(|(_, iou)| **iou <= closest) {
                let bit = 1 << threshold;
                for (range, met) in met.iter_mut().enumerate() {
                    let free = |truth: usize| image.truth[truth].is_crowd || taken[truth][range] & bit == 0;
                    let best = |ignorable: bool| {
                        let fits =
                            |overlap: &&Overlap| ignored[overlap.truth][range] == ignorable && free(overlap.truth);
                        // Of equals the last one is taken.
                        near.iter().filter(fits).fold((iou, None), |(most, best), overlap| {
                            if overlap.iou >= most { (overlap.iou, Some(overlap.truth)) } else { (most, best) }
                        })
                    };
                    // An object that counts is preferred to one that does not, however well that one fits.
                    let Some(truth) = best(false).1.or_else(|| best(true).1) else { continue };
                    taken[truth][range] |= bit;
                    met.matched |= bit;
                    met.ignored = if ignored[truth][range] { met.ignored | bit } else { met.ignored & !bit };
                }
            }
            self.pools[one.class].found.push(Entry { score: one.score, rank, met });
        }
    }

    /// The boxes of a class with their scores and what each is at each IoU threshold, whatever its size; in the order of the images.
    pub fn judged(&self, class: usize) -> impl Iterator<Item = (f64, [Verdict; IOU_THRESHOLDS])> {
        self.pools[class]
            .found
            .iter()
            .map(|one| (one.score, std::array::from_fn(|threshold| one.met[0].verdict(threshold))))
    }

    /// The numbers over all classes, and those of each class.
    pub fn finish(self, score_threshold: f64) -> (CocoNumbers, Vec<ClassNumbers>) {
        let mut precision: [Vec<[f64; IOU_THRESHOLDS]>; AREAS.len()] = Default::default();
        let mut recall: [Vec<f64>; AREAS.len()] = Default::default();
        let mut limited: [Vec<f64>; LIMITS.len()] = Default::default();
        let mut classes = Vec::new();
        for mut pool in self.pools {
            pool.found.sort_by(|a, b| b.score.total_cmp(&a.score));
            let first = precision[0].len();
            for (range, &truth) in pool.truth.iter().enumerate().filter(|(_, truth)| **truth > 0) {
                precision[range].push(std::array::from_fn(|threshold| pool.average_precision(range, threshold)));
                recall[range].push(pool.recall(range, truth, MOST));
            }
            if pool.truth[0] > 0 {
                for (found, limit) in limited.iter_mut().zip(LIMITS) {
                    found.push(pool.recall(0, pool.truth[0], limit));
                }
            }
            classes.push(pool.numbers(precision[0].get(first), score_threshold));
        }
        let ap = |range: usize| average(precision[range].iter().flatten());
        let at = |threshold: usize| average(precision[0].iter().map(|class| &class[threshold]));
        let numbers = CocoNumbers {
            ap50_95: ap(0),
            ap50: at(0),
            ap75: at(5),
            ap_small: ap(1),
            ap_medium: ap(2),
            ap_large: ap(3),
            ar_1: average(limited[0].iter()),
            ar_10: average(limited[1].iter()),
            ar_100: average(limited[2].iter()),
            ar_small: average(recall[1].iter()),
            ar_medium: average(recall[2].iter()),
            ar_large: average(recall[3].iter()),
        };
        (numbers, classes)
    }
}

impl Pool {
    /// Mean of the precision at 101 recalls.
    fn average_precision(&self, range: usize, threshold: usize) -> f64 {
        let curve = self.interpolated(range, threshold, self.found.len());
        curve.iter().sum::<f64>() / curve.len() as f64
    }

    /// The curve of the best `boxes` boxes.
    fn interpolated(&self, range: usize, threshold: usize, boxes: usize) -> Vec<f64> {
        let verdicts = self.found[..boxes].iter().map(|one| one.met[range].verdict(threshold));
        interpolate(&envelope(verdicts, f64::EPSILON), self.truth[range])
    }

    /// Share of the objects that are hit, mean over the IoU thresholds.
    fn recall(&self, range: usize, truth: u64, limit: u32) -> f64 {
        let counted = self.found.iter().filter(|one| one.rank < limit);
        let hits: u32 = counted.map(|one| (one.met[range].matched & !one.met[range].ignored).count_ones()).sum();
        f64::from(hits) / IOU_THRESHOLDS as f64 / truth as f64
    }

    /// `at_all`: the average precision at each IoU threshold, where there is truth.
    fn numbers(&self, at_all: Option<&[f64; IOU_THRESHOLDS]>, score_threshold: f64) -> ClassNumbers {
        let Some(at_all) = at_all else {
            return ClassNumbers { ap50: None, ap50_95: None, interpolated: Vec::new(), ap50_truncated: None };
        };
        let kept = self.found.partition_point(|one| is_kept(one.score, score_threshold));
        ClassNumbers {
            ap50: Some(at_all[0]),
            ap50_95: average(at_all.iter()),
            ap50_truncated: average(self.interpolated(0, 0, kept).iter()),
            interpolated: self.interpolated(0, 0, self.found.len()),
        }
    }
}

fn outside(area: f64, [smallest, largest]: [f64; 2]) -> bool {
    area < smallest || area > largest
}

fn average<'a>(values: impl Iterator<Item = &'a f64>) -> Option<f64> {
    mean(values.map(|&value| Some(value)))
}
