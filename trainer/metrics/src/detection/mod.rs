//! Detection metrics: COCO's twelve numbers, the specification's mean average precision, and what explains them.
//!
//! Three ways to pair found boxes with objects live here, because three questions are asked. COCO's ([`CocoNumbers`]) lets
//! a box take the best object that is still free. The specification's ([`VocNumbers`], the class rows, the curves, the
//! image level) compares a box only with the object it covers best. The confusion matrix pairs across classes.

mod coco;
mod confusion;
mod curves;
#[cfg(test)]
mod fixture_tests;
mod image_level;
mod overlap;
mod report;
#[cfg(test)]
mod tests;
mod voc;

use schemas::setting::MetricType;
use serde::{Deserialize, Serialize};

pub use coco::{CocoNumbers, IOU_THRESHOLDS};
pub use confusion::{Cell, ConfusionMatrix, Partner};
pub use curves::{BestF1, Curve, RECALL_POINTS, THRESHOLDS};
pub use image_level::ImageLevel;
pub use report::{Counts, DetectionReport, DetectionRow, SizeRow, VocNumbers};

use coco::Coco;
use confusion::{Confusion, partners};
use curves::{Judged, Verdict};
use image_level::Images;
use overlap::{Overlaps, area};

/// A box of the data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// `xyxy` in pixels of the original image.
    pub corners: [f64; 4],
    /// Index into the labels.
    pub class: usize,
    /// The box holds a crowd: nobody has to find it, and what is found in it is neither right nor wrong.
    pub is_crowd: bool,
}

/// A box that a detector found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// `xyxy` in pixels of the original image.
    pub corners: [f64; 4],
    /// Index into the labels.
    pub class: usize,
    /// The higher, the surer; usually 0 to 1.
    pub score: f64,
}

/// One image of the data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageResult {
    /// What is there.
    pub truth: Vec<Truth>,
    /// What was found, in any order. Filtered at a low score (0.05 or below), if at all: what is cut off before it comes
    /// here is missing from every average precision.
    pub found: Vec<Found>,
}

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Which number is the primary one. Everything is measured in any case.
    pub metric_type: MetricType,
    /// IoU from which a box counts as a hit, above 0, at most 1 (`validation_iou_threshold`). COCO's numbers have their own.
    pub iou_threshold: f64,
    /// Boxes with this score or a higher one are kept where a number is one of kept boxes: precision, recall, counts and
    /// the truncated average precision (`box_score_thresh`).
    pub score_threshold: f64,
    /// Boxes of an image that are looked at, those of the highest scores over all classes.
    pub max_detections: usize,
}

/// An image as the measures want it.
struct View<'a> {
    truth: &'a [Truth],
    /// By falling score, equals in the given order; finite, and at most so many as are asked for.
    found: Vec<Found>,
    /// Index of each into what was given.
    order: Vec<usize>,
    /// Of each of `found`.
    overlaps: Overlaps,
    /// Boxes with a corner or score that is not finite.
    unusable: u64,
}

impl<'a> View<'a> {
    fn new(image: &'a ImageResult, max_detections: usize) -> Self {
        let finite = |one: &Found| one.score.is_finite() && one.corners.iter().all(|corner| corner.is_finite());
        // Adding zero makes one value of 0 and -0, which the order would tell apart.
        let score = |index: usize| image.found[index].score + 0.0;
        let mut order: Vec<usize> = (0..image.found.len()).filter(|&index| finite(&image.found[index])).collect();
        let unusable = (image.found.len() - order.len()) as u64;
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        order.truncate(max_detections);
        let found: Vec<Found> =
            order.iter().map(|&index| Found { score: score(index), ..image.found[index] }).collect();
        let overlaps = Overlaps::new(&image.truth, found.iter());
        Self { truth: &image.truth, found, order, overlaps, unusable }
    }
}

/// Measures `images`, in the order of the data set, of whose boxes the classes are indices into `labels`.
///
/// - No images, or none with an object: every value is `None`, counts are what they are. A class without an object is left
///   out of every average, whatever was found of it; the confusion matrix and its row of the class table show that.
/// - Boxes of equal scores count in the order of the data set, then as given, as with pycocotools.
/// - A found box with a score or a corner that is not finite is left out and counted as unusable. A true box without
///   area, or with corners that are not finite, is an object that nobody finds.
/// - COCO's numbers equal those of pycocotools 2.0.11, which counts the best 100 boxes per image and class. A detector
///   that gives 300 per image is measured by all of them elsewhere, and in COCO's numbers as far as no class has more
///   than 100 in one image.
///
/// # Panics
/// Where a class is not below `labels.len()`: a bug of the caller, not of the data.
pub fn detection(labels: &[String], images: &[ImageResult], options: &Options) -> DetectionReport {
    let mut tally = Tally::new(labels.len());
    for image in images {
        tally.add(image, options);
    }
    tally.finish(labels, *options)
}

/// What is collected from image to image.
struct Tally {
    coco: Coco,
    pools: Vec<voc::Pool>,
    confusion: Confusion,
    images: Images,
    sizes: [SizeCounts; 3],
    counts: Counts,
}

/// Objects of one size, and how many of them are hit by a kept box.
#[derive(Clone, Copy, Default)]
struct SizeCounts {
    objects: u64,
    hits: u64,
}

impl Tally {
    fn new(classes: usize) -> Self {
        Self {
            coco: Coco::new(classes),
            pools: (0..classes).map(|_| voc::Pool::default()).collect(),
            confusion: Confusion::new(classes),
            images: Images::default(),
            sizes: Default::default(),
            counts: Counts::default(),
        }
    }

    fn add(&mut self, image: &ImageResult, options: &Options) {
        let classes = self.pools.len();
        let highest = image.truth.iter().map(|one| one.class).chain(image.found.iter().map(|one| one.class)).max();
        assert!(highest.is_none_or(|class| class < classes), "class {highest:?} is not below {classes}");

        let view = View::new(image, options.max_detections);
        let outcomes = voc::judge(&view, options.iou_threshold);
        self.coco.add(&view);
        self.confusion.add(&view, options.iou_threshold);
        self.images.add(&view, &outcomes);
        self.counts.images += 1;
        self.counts.unusable += view.unusable;
        self.counts.found += view.found.len() as u64;
        for one in view.truth {
            if one.is_crowd {
                self.counts.crowds += 1;
            } else {
                self.counts.objects += 1;
                self.pools[one.class].truth += 1;
                self.sizes[size_of(one)].objects += 1;
            }
        }
        for (one, outcome) in view.found.iter().zip(&outcomes) {
            self.pools[one.class].judged.push(Judged { score: one.score, verdict: outcome.verdict });
            if one.score >= options.score_threshold {
                self.counts.kept += 1;
                self.counts.hits += u64::from(outcome.verdict == Verdict::Hit);
                self.counts.false_alarms += u64::from(outcome.verdict == Verdict::FalseAlarm);
                if let Some(truth) = outcome.truth {
                    self.sizes[size_of(&view.truth[truth])].hits += 1;
                }
            }
        }
    }
}

/// Names of the sizes of objects.
pub const SIZES: [&str; 3] = ["small", "medium", "large"];

/// Index into [`SIZES`]: small is below 32 x 32 pixels, large from 96 x 96. A size belongs to one of them, where COCO's ranges share their limits.
pub fn size_of(truth: &Truth) -> usize {
    let area = area(&truth.corners);
    if area < 1024.0 {
        0
    } else if area < 9216.0 {
        1
    } else {
        2
    }
}

/// What became of one image, for images of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// What each found box stands for, as given; `None` for those that are not kept.
    pub found: Vec<Option<Partner>>,
    /// Indices of the objects that no kept box stands for; crowds are not among them.
    pub missed: Vec<usize>,
}

/// Pairs the kept boxes of an image with its objects, across classes, as in the confusion matrix: each takes, in falling
/// order of score, the free object that it covers best with at least `iou_threshold`.
pub fn pairs(image: &ImageResult, options: &Options) -> Pairs {
    let view = View::new(image, options.max_detections);
    let mut found = vec![None; image.found.len()];
    let mut missed: Vec<usize> = (0..image.truth.len()).filter(|&index| !image.truth[index].is_crowd).collect();
    for (place, partner) in partners(&view, options.iou_threshold).into_iter().enumerate() {
        if view.found[place].score >= options.score_threshold {
            found[view.order[place]] = Some(partner);
            missed.retain(|&index| partner != Partner::Truth(index));
        }
    }
    Pairs { found, missed }
}
