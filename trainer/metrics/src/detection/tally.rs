//! What is collected from image to image, and what follows from it.

use super::coco::Coco;
use super::confusion::Confusion;
use super::curves::{Curve, Judged, Kept, Verdict, is_kept, mean, ratio};
use super::given::{ImageResult, Options, Shapes};
use super::image_level::Images;
use super::report::{Counts, DetectionReport, DetectionRow, SizeRow, VocNumbers};
use super::size::{SIZES, size_of_area};
use super::view::View;
use super::voc;

/// What is collected from image to image.
pub(super) struct Tally {
    coco: Coco,
    /// Of boxes, where masks are compared.
    boxes: Option<Coco>,
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
    pub fn new(classes: usize, shapes: Shapes) -> Self {
        let boxes = match shapes {
            Shapes::Boxes => None,
            Shapes::Masks => Some(Coco::new(classes)),
        };
        Self {
            coco: Coco::new(classes),
            boxes,
            pools: (0..classes).map(|_| voc::Pool::default()).collect(),
            confusion: Confusion::new(classes),
            images: Images::default(),
            sizes: Default::default(),
            counts: Counts::default(),
        }
    }

    pub fn add(&mut self, image: &ImageResult, options: &Options) {
        let classes = self.pools.len();
        let highest = image.truth.iter().map(|one| one.class).chain(image.found.iter().map(|one| one.class)).max();
        assert!(highest.is_none_or(|class| class < classes), "class {highest:?} is not below {classes}");

        let view = View::new(image, options.max_detections, options.shapes);
        let outcomes = voc::judge(&view, options.iou_threshold);
        self.coco.add(&view);
        self.confusion.add(&view, options.iou_threshold);
        self.images.add(&view, &outcomes);
        self.counts.images += 1;
        self.counts.unusable += view.unusable;
        self.counts.found += view.found.len() as u64;
        if let Some(boxes) = &mut self.boxes {
            boxes.add(&View::new(image, options.max_detections, Shapes::Boxes));
        }
        for (one, &area) in view.truth.iter().zip(&view.truth_areas) {
            if one.is_crowd {
                self.counts.crowds += 1;
            } else {
                self.counts.objects += 1;
                self.pools[one.class].truth += 1;
                self.sizes[size_of_area(area)].objects += 1;
            }
        }
        for (one, outcome) in view.found.iter().zip(&outcomes) {
            self.pools[one.class].judged.push(Judged { score: one.score, verdict: outcome.verdict });
            if is_kept(one.score, options.score_threshold) {
                self.counts.kept += 1;
                self.counts.hits += u64::from(outcome.verdict == Verdict::Hit);
                self.counts.false_alarms += u64::from(outcome.verdict == Verdict::FalseAlarm);
                if let Some(truth) = outcome.truth {
                    self.sizes[size_of_area(view.truth_areas[truth])].hits += 1;
                }
            }
        }
    }

    /// Everything that follows from the images so far.
    pub fn finish(self, labels: &[String], options: Options) -> DetectionReport {
        let (coco, coco_classes) = self.coco.finish(options.score_threshold);
        let ap50_truncated = mean(coco_classes.iter().map(|class| class.ap50_truncated));
        let classes: Vec<DetectionRow> = labels
            .iter()
            .zip(self.pools)
            .zip(coco_classes)
            .map(|((label, mut pool), coco)| {
                let voc = pool.finish(options.score_threshold);
                DetectionRow {
                    label: label.clone(),
                    support: pool.truth,
                    ap50: coco.ap50,
                    ap50_95: coco.ap50_95,
                    voc_ap: voc.average_precision,
                    voc_ap_truncated: voc.truncated,
                    precision: voc.kept.precision(),
                    recall: voc.kept.recall(pool.truth),
                    hits: voc.kept.hits,
                    false_alarms: voc.kept.false_alarms,
                    best_f1: voc.best_f1,
                    curve: Curve {
                        precision: voc.steps.iter().copied().map(Kept::precision).collect(),
                        recall: voc.steps.iter().map(|kept| kept.recall(pool.truth)).collect(),
                        interpolated: coco.interpolated,
                    },
                }
            })
            .collect();
        let present = || classes.iter().filter(|row| row.support > 0);
        let voc = VocNumbers {
            mean_average_precision: mean(present().map(|row| row.voc_ap)),
            mean_average_precision_truncated: mean(present().map(|row| row.voc_ap_truncated)),
            precision: mean(present().map(|row| row.precision)),
            recall: mean(present().map(|row| row.recall)),
        };
        let numbers =
            [(coco.ap_small, coco.ar_small), (coco.ap_medium, coco.ar_medium), (coco.ap_large, coco.ar_large)];
        let sizes = SIZES.into_iter().zip(numbers).zip(self.sizes).map(|((name, (ap, ar)), size)| SizeRow {
            name: name.to_owned(),
            objects: size.objects,
            hits: size.hits,
            recall: ratio(size.hits, size.objects),
            ap,
            ar,
        });
        let mut thresholds: Vec<f64> = (0..10_u8).map(|tenths| f64::from(tenths) / 10.0).collect();
        thresholds.push(options.score_threshold);
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        DetectionReport {
            options,
            counts: Counts { missed: self.counts.objects - self.counts.hits, ..self.counts },
            coco,
            box_coco: self.boxes.map(|boxes| Box::new(boxes.finish(options.score_threshold).0)),
            ap50_truncated,
            voc,
            curve: Curve::mean(&present().map(|row| &row.curve).collect::<Vec<_>>()),
            classes,
            sizes: sizes.collect(),
            confusion_matrices: self.confusion.finish(&thresholds),
            image_level: self.images.finish(options.score_threshold),
        }
    }
}
