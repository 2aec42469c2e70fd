//! Everything measured on a set of images, and its scalars.

use std::collections::BTreeMap;

use schemas::setting::MetricType;
use serde::{Deserialize, Serialize};

use super::coco::CocoNumbers;
use super::confusion::ConfusionMatrix;
use super::curves::{BestF1, Curve};
use super::given::Options;
use super::image_level::ImageLevel;

/// How much of what there was. "Kept" are boxes above the score threshold; hits and false alarms are those of the
/// specification's rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Images.
    pub images: u64,
    /// True boxes that are to be found.
    pub objects: u64,
    /// True boxes that hold crowds.
    pub crowds: u64,
    /// Found boxes that were looked at.
    pub found: u64,
    /// Found boxes left out for a value that is not finite.
    pub unusable: u64,
    /// Found boxes above the score threshold: hits, false alarms, and those in crowds.
    pub kept: u64,
    /// Kept boxes that hit.
    pub hits: u64,
    /// Kept boxes that hit nothing, or something that was hit already.
    pub false_alarms: u64,
    /// Objects that no kept box hit.
    pub missed: u64,
}

/// The specification's numbers, 0 to 1, at `iou_threshold`; means over the classes that have truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct VocNumbers {
    /// Area under the precision-recall curve, over all scores.
    pub mean_average_precision: Option<f64>,
    /// The same of the kept boxes only, as the specification computes it.
    pub mean_average_precision_truncated: Option<f64>,
    /// Of the kept boxes; classes of which nothing is kept are left out.
    pub precision: Option<f64>,
    /// Of the kept boxes.
    pub recall: Option<f64>,
}

/// One row of the class table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectionRow {
    /// The class.
    pub label: String,
    /// Objects; crowds are not among them.
    pub support: u64,
    /// COCO's average precision at IoU 0.50; undefined without truth, as all that has no other note.
    pub ap50: Option<f64>,
    /// COCO's average precision, mean over IoU 0.50 .. 0.95.
    pub ap50_95: Option<f64>,
    /// The specification's average precision at `iou_threshold`, over all scores.
    pub voc_ap: Option<f64>,
    /// The same of the kept boxes.
    pub voc_ap_truncated: Option<f64>,
    /// Of the kept boxes; undefined where none is kept, 0 where there is no truth but a kept box.
    pub precision: Option<f64>,
    /// Of the kept boxes.
    pub recall: Option<f64>,
    /// Kept boxes that hit.
    pub hits: u64,
    /// Kept boxes that did not.
    pub false_alarms: u64,
    /// Where F1 is highest; undefined without a hit at any score.
    pub best_f1: Option<BestF1>,
    /// Along the scores, and along the recall.
    pub curve: Curve,
}

/// Objects of one size; a limit belongs to the larger size here, and to both in COCO's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizeRow {
    /// `small` (below 32 x 32 pixels), `medium`, `large` (from 96 x 96).
    pub name: String,
    /// Objects of this size; crowds are not among them.
    pub objects: u64,
    /// Those that a kept box hits.
    pub hits: u64,
    /// hits / objects.
    pub recall: Option<f64>,
    /// COCO's average precision of this size.
    pub ap: Option<f64>,
    /// COCO's average recall of this size.
    pub ar: Option<f64>,
}

/// Everything measured on a set of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectionReport {
    /// What was asked.
    pub options: Options,
    /// How much there is.
    pub counts: Counts,
    /// COCO's twelve numbers, over all scores.
    pub coco: CocoNumbers,
    /// The same of the boxes, where masks are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub box_coco: Option<Box<CocoNumbers>>,
    /// COCO's AP50 of the kept boxes only: what the specification calls mean average precision with `coco`.
    pub ap50_truncated: Option<f64>,
    /// The specification's numbers.
    pub voc: VocNumbers,
    /// One row per class, in label order.
    pub classes: Vec<DetectionRow>,
    /// Mean over the classes that have truth.
    pub curve: Curve,
    /// Small, medium, large.
    pub sizes: Vec<SizeRow>,
    /// At the score thresholds 0.0, 0.1 .. 0.9 and at the one of the options, ascending.
    pub confusion_matrices: Vec<ConfusionMatrix>,
    /// Images with objects against images without.
    pub image_level: ImageLevel,
}

impl DetectionReport {
    /// The number that decides which epoch is best, over all scores: with `voc` and `coco_voc` the specification's mean
    /// average precision at `iou_threshold`, with `coco` COCO's AP50, with `none` none.
    pub fn primary(&self) -> Option<f64> {
        match self.options.metric_type {
            MetricType::None => None,
            MetricType::Voc | MetricType::CocoVoc => self.voc.mean_average_precision,
            MetricType::Coco => self.coco.ap50,
        }
    }

    /// [`Self::primary`] as the specification computes it: of the boxes above the score threshold, whose
    /// precision-recall curve breaks off there. It is never higher, and falls when the threshold is raised.
    pub fn truncated(&self) -> Option<f64> {
        match self.options.metric_type {
            MetricType::None => None,
            MetricType::Voc | MetricType::CocoVoc => self.voc.mean_average_precision_truncated,
            MetricType::Coco => self.ap50_truncated,
        }
    }

    /// The confusion matrix at the score threshold of the options.
    pub fn confusion_matrix(&self) -> Option<&ConfusionMatrix> {
        self.confusion_matrices.iter().find(|matrix| matrix.threshold == self.options.score_threshold)
    }

    /// The defined values by name, 0 to 1:
    ///
    /// - `mean_average_precision`: [`Self::primary`], over all scores;
    /// - `mean_average_precision_truncated`: [`Self::truncated`], the specification's number;
    /// - `ap50_95`, `ap50`, `ap75`, `ap_small`, `ap_medium`, `ap_large`, `ar_1`, `ar_10`, `ar_100`, `ar_small`,
    ///   `ar_medium`, `ar_large`: COCO's, over all scores ([`CocoNumbers`]);
    /// - `voc_map`: the specification's mean average precision at `iou_threshold`, over all scores, whatever the primary
    ///   metric;
    /// - `precision`, `recall`: of the boxes above the score threshold, by the specification's rule, means over
    ///   the classes that have truth;
    /// - `image_average_precision`, `image_precision`, `image_recall`: of [`ImageLevel`];
    /// - `box_ap50_95`, `box_ap50`, `box_ap75`: COCO's of the boxes, where all others are of masks.
    pub fn scalars(&self) -> BTreeMap<String, f64> {
        let (coco, voc, image) = (&self.coco, &self.voc, &self.image_level);
        let boxes = self.box_coco.as_deref().copied().unwrap_or_default();
        let all = [
            ("mean_average_precision", self.primary()),
            ("mean_average_precision_truncated", self.truncated()),
            ("ap50_95", coco.ap50_95),
            ("ap50", coco.ap50),
            ("ap75", coco.ap75),
            ("ap_small", coco.ap_small),
            ("ap_medium", coco.ap_medium),
            ("ap_large", coco.ap_large),
            ("ar_1", coco.ar_1),
            ("ar_10", coco.ar_10),
            ("ar_100", coco.ar_100),
            ("ar_small", coco.ar_small),
            ("ar_medium", coco.ar_medium),
            ("ar_large", coco.ar_large),
            ("voc_map", voc.mean_average_precision),
            ("precision", voc.precision),
            ("recall", voc.recall),
            ("image_average_precision", image.average_precision),
            ("image_precision", image.precision),
            ("image_recall", image.recall),
            ("box_ap50_95", boxes.ap50_95),
            ("box_ap50", boxes.ap50),
            ("box_ap75", boxes.ap75),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}
