//! Detection metrics: COCO's twelve numbers, the specification's mean average precision, and what explains them.
//!
//! Three ways to pair found boxes with objects live here, because three questions are asked. COCO's ([`CocoNumbers`]) lets
//! a box take the best object that is still free. The specification's ([`VocNumbers`], the class rows, the curves, the
//! image level) compares a box only with the object it covers best. The confusion matrix pairs across classes.

mod coco;
mod confusion;
mod curves;
mod doubts;
#[cfg(test)]
mod fixture_tests;
mod given;
mod image_level;
mod overlap;
mod report;
mod resample;
mod size;
mod tally;
#[cfg(test)]
mod tests;
mod view;
mod voc;

use serde::{Deserialize, Serialize};

pub use coco::{CocoNumbers, IOU_THRESHOLDS};
pub use confusion::{Cell, ConfusionMatrix, Partner};
pub use curves::{BestF1, Curve, RECALL_POINTS, THRESHOLDS};
pub use doubts::{BoxDoubt, BoxFault, doubted_boxes};
pub use given::{Found, ImageResult, Masks, Options, Shapes, Shared, Truth};
pub use image_level::ImageLevel;
pub use report::{Counts, DetectionReport, DetectionRow, SizeRow, VocNumbers};
pub use resample::intervals;
pub use size::{SIZES, size_of, size_of_area};

use super::cutoff::Scored;
use confusion::partners;
use curves::is_kept;
use tally::Tally;
use view::View;

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
    let mut tally = Tally::new(labels.len(), options.shapes);
    for image in images {
        tally.add(image, options);
    }
    tally.finish(labels, *options)
}

/// The boxes of each image with whether they hit an object of their class, by the specification's rule, and how many objects there
/// are. Boxes in a crowd are neither right nor wrong, and are left out.
pub fn scored(images: &[ImageResult], options: &Options) -> Vec<Scored> {
    let one = |image: &ImageResult| {
        let view = View::new(image, options.max_detections, options.shapes);
        let judged = view.found.iter().zip(voc::judge(&view, options.iou_threshold));
        let answers = judged.filter(|(_, outcome)| outcome.verdict != curves::Verdict::Ignored);
        let answers = answers.map(|(found, outcome)| (found.score as f32, outcome.verdict == curves::Verdict::Hit));
        let truths = image.truth.iter().filter(|truth| !truth.is_crowd).count() as u64;
        Scored { answers: answers.collect(), truths }
    };
    images.iter().map(one).collect()
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
    let view = View::new(image, options.max_detections, options.shapes);
    let mut found = vec![None; image.found.len()];
    let mut missed: Vec<usize> = (0..image.truth.len()).filter(|&index| !image.truth[index].is_crowd).collect();
    for (place, partner) in partners(&view, options.iou_threshold).into_iter().enumerate() {
        if is_kept(view.found[place].score, options.score_threshold) {
            found[view.order[place]] = Some(partner);
            missed.retain(|&index| partner != Partner::Truth(index));
        }
    }
    Pairs { found, missed }
}
