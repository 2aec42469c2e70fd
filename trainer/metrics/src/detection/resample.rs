//! How far a detector's average precision may be from that on many more images: percentiles over resampled images (Efron 1979, the
//! bootstrap). Boxes are judged once; a resampled set counts those of an image as often as it was drawn.

use std::collections::BTreeMap;
use std::iter::repeat_n;

use schemas::setting::MetricType;

use super::coco::{Coco, IOU_THRESHOLDS};
use super::curves::{Verdict, area, envelope, interpolate, is_kept, mean};
use super::given::{ImageResult, Options};
use super::view::View;
use super::voc;
use crate::interval::{FEWEST, RESAMPLES, percentiles};

/// Judged boxes that are counted in all; where there are more of them, fewer sets are drawn.
const WORK: usize = 2_000_000_000;
/// Sets that are drawn in any case: enough for the 2.5th percentile.
const FEWEST_SETS: usize = 200;

/// A judged box.
struct Judged<V> {
    score: f64,
    image: usize,
    verdict: V,
}

/// The judged boxes of one class by falling score, and its objects.
#[derive(Default)]
struct Pool {
    /// By COCO's rule, at each of its thresholds.
    coco: Vec<Judged<[Verdict; IOU_THRESHOLDS]>>,
    /// By the specification's rule.
    voc: Vec<Judged<Verdict>>,
    /// Images with objects of the class, and how many.
    truth: Vec<(usize, u64)>,
}

/// Intervals of the average precisions of [`super::DetectionReport::scalars`], by their names: `ap50`, `ap50_95` and, where the options
/// have a primary metric, `mean_average_precision` and `mean_average_precision_truncated`. Nothing of fewer than 5 images. `draw(n)` is a
/// random whole number below n.
pub fn intervals(
    classes: usize,
    images: &[ImageResult],
    options: &Options,
    mut draw: impl FnMut(usize) -> usize,
) -> BTreeMap<String, [f64; 2]> {
    if images.len() < FEWEST {
        return BTreeMap::new();
    }
    let pools = pools(classes, images, options);
    let boxes: usize = pools.iter().map(|pool| pool.coco.len() * IOU_THRESHOLDS + 2 * pool.voc.len()).sum();
    let sets = (WORK / boxes.max(1)).clamp(FEWEST_SETS, RESAMPLES);
    let mut drawn: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..sets {
        let mut times = vec![0; images.len()];
        (0..images.len()).for_each(|_| times[draw(images.len())] += 1);
        for (name, value) in precisions(&pools, options, &times) {
            drawn.entry(name).or_default().extend(value);
        }
    }
    let filled = drawn.into_iter().filter(|(_, values)| !values.is_empty());
    filled.map(|(name, values)| (name.to_owned(), percentiles(values))).collect()
}

fn pools(classes: usize, images: &[ImageResult], options: &Options) -> Vec<Pool> {
    let mut pools: Vec<Pool> = (0..classes).map(|_| Pool::default()).collect();
    for (index, image) in images.iter().enumerate() {
        let view = View::new(image, options.max_detections, options.shapes);
        let mut coco = Coco::new(classes);
        coco.add(&view);
        for (class, pool) in pools.iter_mut().enumerate() {
            let judged = coco.judged(class).map(|(score, verdict)| Judged { score, image: index, verdict });
            pool.coco.extend(judged);
            let objects = view.truth.iter().filter(|one| one.class == class && !one.is_crowd).count() as u64;
            if objects > 0 {
                pool.truth.push((index, objects));
            }
        }
        for (one, outcome) in view.found.iter().zip(voc::judge(&view, options.iou_threshold)) {
            let judged = Judged { score: one.score, image: index, verdict: outcome.verdict };
            pools[one.class].voc.push(judged);
        }
    }
    for pool in &mut pools {
        pool.coco.sort_by(|a, b| b.score.total_cmp(&a.score));
        pool.voc.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    pools
}

/// The average precisions of a set that has each image so many times; undefined without an object.
fn precisions(pools: &[Pool], options: &Options, times: &[usize]) -> Vec<(&'static str, Option<f64>)> {
    let (mut at_50, mut at_all, mut kept_at_50, mut voc, mut kept_voc) = (vec![], vec![], vec![], vec![], vec![]);
    for pool in pools {
        let truth: u64 = pool.truth.iter().map(|&(image, objects)| objects * times[image] as u64).sum();
        if truth == 0 {
            continue;
        }
        let coco = |boxes: usize, threshold: usize| {
            let drawn = pool.coco[..boxes].iter().flat_map(|one| repeat_n(one.verdict[threshold], times[one.image]));
            let curve = interpolate(&envelope(drawn, f64::EPSILON), truth);
            curve.iter().sum::<f64>() / curve.len() as f64
        };
        let each: Vec<f64> = (0..IOU_THRESHOLDS).map(|threshold| coco(pool.coco.len(), threshold)).collect();
        at_50.push(Some(each[0]));
        at_all.extend(each.into_iter().map(Some));
        match options.metric_type {
            MetricType::None => {}
            MetricType::Coco => {
                let kept = pool.coco.partition_point(|one| is_kept(one.score, options.score_threshold));
                kept_at_50.push(Some(coco(kept, 0)));
            }
            MetricType::Voc | MetricType::CocoVoc => {
                let specified = |boxes: &[Judged<Verdict>]| {
                    let drawn = boxes.iter().flat_map(|one| repeat_n(one.verdict, times[one.image]));
                    area(&envelope(drawn, 0.0), truth)
                };
                let kept = pool.voc.partition_point(|one| is_kept(one.score, options.score_threshold));
                voc.push(specified(&pool.voc));
                kept_voc.push(specified(&pool.voc[..kept]));
            }
        }
    }
    let [ap50, ap50_95] = [mean(at_50.into_iter()), mean(at_all.into_iter())];
    let mut named = vec![("ap50", ap50), ("ap50_95", ap50_95)];
    let primary = match options.metric_type {
        MetricType::None => return named,
        MetricType::Coco => [ap50, mean(kept_at_50.into_iter())],
        MetricType::Voc | MetricType::CocoVoc => [mean(voc.into_iter()), mean(kept_voc.into_iter())],
    };
    named.extend(["mean_average_precision", "mean_average_precision_truncated"].into_iter().zip(primary));
    named
}

#[cfg(test)]
mod tests {
    use super::super::given::{Found, Truth};
    use super::super::{Shapes, detection};
    use super::*;

    /// Numbers below n that look random.
    fn draw() -> impl FnMut(usize) -> usize {
        let mut state = 1_u64;
        move |n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        }
    }

    fn options(metric_type: MetricType) -> Options {
        Options { metric_type, iou_threshold: 0.5, score_threshold: 0.4, max_detections: 100, shapes: Shapes::Boxes }
    }

    /// Images of a few objects of two classes; boxes lie more or less beside them, and no two have one score.
    fn images(count: usize) -> Vec<ImageResult> {
        let mut draw = draw();
        let mut scores = 1_000_000;
        let mut one = || {
            let mut image = ImageResult::default();
            for place in 0..1 + draw(4) {
                let (x, class) = (100.0 * place as f64, draw(2));
                image.truth.push(Truth { corners: [x, 0.0, x + 50.0, 50.0], class, is_crowd: draw(9) == 0 });
                for _ in 0..draw(3) {
                    let off = draw(40) as f64;
                    scores -= 1 + draw(60_000) % 9_000;
                    let corners = [x + off, 0.0, x + off + 50.0, 50.0];
                    image.found.push(Found { corners, class: draw(2), score: f64::from(scores as u32) / 1e6 });
                }
            }
            image.found.sort_by(|a, b| b.score.total_cmp(&a.score));
            image
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn intervals_are_those_of_sets_that_are_measured_whole() {
        let (labels, images) = (["a".to_owned(), "b".to_owned()], images(12));
        for metric_type in [MetricType::Voc, MetricType::Coco, MetricType::None] {
            let options = options(metric_type);
            let found = intervals(2, &images, &options, draw());
            let mut draw = draw();
            let mut drawn: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            for _ in 0..RESAMPLES {
                let set: Vec<ImageResult> = images.iter().map(|_| images[draw(images.len())].clone()).collect();
                for (name, value) in detection(&labels, &set, &options).scalars() {
                    drawn.entry(name).or_default().push(value);
                }
            }
            assert_eq!(found.len(), if metric_type == MetricType::None { 2 } else { 4 });
            for (name, ends) in found {
                let expected = percentiles(drawn.remove(&name).unwrap());
                assert!(ends.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{name}: {ends:?} {expected:?}");
                assert!(ends[0] + 0.05 < ends[1], "{name}: {ends:?}");
            }
        }
    }

    #[test]
    fn there_are_none_of_few_images_or_without_objects() {
        assert!(intervals(2, &images(4), &options(MetricType::Voc), draw()).is_empty());
        let nothing = vec![ImageResult::default(); 9];
        assert!(intervals(2, &nothing, &options(MetricType::Voc), draw()).is_empty());
    }
}
