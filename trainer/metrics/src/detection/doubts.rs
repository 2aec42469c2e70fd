//! Boxes of a data set that a detector doubts: of another class, missing, misplaced or around nothing.
//!
//! The kinds of errors are those of ObjectLab (Tkachenko, Thyagarajan and Mueller 2023, arXiv:2309.00832), and boxes that are too much.
//! When a detector is sure is told as in confident learning (Northcutt, Jiang and Chuang 2021, arXiv:1911.00068): from the mean score of
//! the boxes that hit an object of their class, so that one that is never sure of a class is not asked to be.

use super::confusion::{Partner, partners};
use super::curves::is_kept;
use super::given::{ImageResult, Options, Shapes};
use super::overlap::iou;
use super::view::View;

/// IoU from which a box stands for an object, and from which it is near it.
const HITS: f64 = 0.5;
const NEAR: f64 = 0.1;
/// Share of a class's objects that has to be hit before one that is not says anything.
const MOST: f64 = 0.5;
/// Share of the usual score below which a box near an object does not support it.
const LITTLE: f64 = 0.25;

/// What may be wrong with a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxFault {
    /// Its object is of another class.
    Class,
    /// It is missing: an object has no box.
    Missing,
    /// It lies beside its object, or around a part of it.
    Place,
    /// There is nothing in it.
    Superfluous,
}

/// A box that may be wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxDoubt {
    /// Index of the image.
    pub image: usize,
    /// What may be wrong.
    pub fault: BoxFault,
    /// Index into the image's truth; `None` where a box is missing.
    pub truth: Option<usize>,
    /// Index into what was found; `None` where nothing is.
    pub found: Option<usize>,
    /// How strongly it is doubted, above 0, at most 1.
    pub score: f64,
}

/// How well a detector finds a class.
#[derive(Debug, Clone, Copy, Default)]
struct Usual {
    /// Objects, and those that were hit.
    objects: u64,
    hits: u64,
    /// Sum of the scores of the hits.
    scores: f64,
}

impl Usual {
    /// Mean score of the boxes that hit; `None` where none does.
    fn score(self) -> Option<f64> {
        (self.hits > 0).then(|| self.scores / self.hits as f64)
    }

    /// Share of the objects that are hit; 0 where there are none.
    fn recall(self) -> f64 {
        self.hits as f64 / (self.objects as f64).max(1.0)
    }
}

/// The boxes of `images` that may be wrong, the strongest doubt first, ties in the order of the images. Boxes are compared, also where
/// objects are outlined. A found box is sure when its score is above `options.score_threshold` and not below the mean score of
/// the boxes that hit an object (IoU of 0.5 and more) of its class. With `s` its score:
///
/// - [`BoxFault::Class`]: it stands for an object of another class. Score: `s` minus that of the best box of the given class there.
/// - [`BoxFault::Place`]: it stands for nothing, and lies near an object of its class (IoU from 0.1 to 0.5) that no other box stands
///   for. Score: `s (1 - IoU)`.
/// - [`BoxFault::Missing`]: it stands for nothing else. Score: `s (1 - IoU)`, with the IoU of the object that it covers best.
/// - [`BoxFault::Superfluous`]: an object of a class most of whose objects are hit has no box near it, but for some below a quarter of the
///   usual score. Score: the share of objects hit, times the share of the usual score that the best such box lacks.
///
/// Crowds are not doubted, and what is found in them says nothing.
///
/// # Panics
/// Where a class is not below `classes`: a bug of the caller, not of the data.
pub fn doubted_boxes(classes: usize, images: &[ImageResult], options: &Options) -> Vec<BoxDoubt> {
    let judge = |image| {
        let view = View::new(image, options.max_detections, Shapes::Boxes);
        let partners = partners(&view, HITS);
        Judged { view, partners, threshold: options.score_threshold }
    };
    let judged: Vec<Judged> = images.iter().map(judge).collect();
    let mut usual = vec![Usual::default(); classes];
    judged.iter().for_each(|image| image.learn(&mut usual));
    let mut doubts: Vec<BoxDoubt> = Vec::new();
    for (number, image) in judged.iter().enumerate() {
        doubts.extend(image.by_found(number, &usual));
        doubts.extend(image.by_truth(number, &usual));
    }
    doubts.sort_by(|a, b| b.score.total_cmp(&a.score));
    doubts
}

/// An image, and what each found box of it stands for.
struct Judged<'a> {
    view: View<'a>,
    partners: Vec<Partner>,
    /// Boxes of a higher score are answers.
    threshold: f64,
}

impl Judged<'_> {
    /// The objects that an answer stands for, with its place.
    fn hits(&self) -> impl Iterator<Item = (usize, usize)> {
        self.partners.iter().enumerate().filter_map(|(place, partner)| match partner {
            Partner::Truth(truth) => is_kept(self.view.found[place].score, self.threshold).then_some((place, *truth)),
            Partner::Crowd | Partner::Nothing => None,
        })
    }

    /// Adds the objects of the image, and how they are found.
    fn learn(&self, usual: &mut [Usual]) {
        for truth in self.view.truth.iter().filter(|truth| !truth.is_crowd) {
            usual[truth.class].objects += 1;
        }
        for (place, truth) in self.hits() {
            let found = self.view.found[place];
            if self.view.truth[truth].class == found.class {
                usual[found.class].hits += 1;
                usual[found.class].scores += found.score;
            }
        }
    }

    /// What sure boxes say against those of the image.
    fn by_found(&self, image: usize, usual: &[Usual]) -> Vec<BoxDoubt> {
        let mut taken = vec![false; self.view.truth.len()];
        self.hits().for_each(|(_, truth)| taken[truth] = true);
        let (mut doubts, mut missing) = (Vec::new(), Vec::new());
        for (place, (one, partner)) in self.view.found.iter().zip(&self.partners).enumerate() {
            let is_sure = usual[one.class].score().is_some_and(|usual| one.score >= usual);
            if !is_sure || !is_kept(one.score, self.threshold) {
                continue;
            }
            let found = Some(self.view.order[place]);
            match *partner {
                Partner::Truth(truth) => {
                    let given = self.view.truth[truth].class;
                    let score = one.score - self.best(truth, HITS, |class| class == given);
                    if given != one.class && score > 0.0 {
                        doubts.push(BoxDoubt { image, fault: BoxFault::Class, truth: Some(truth), found, score });
                    }
                }
                Partner::Nothing => {
                    let near = self.view.overlaps.of(place).iter().filter(|near| !self.view.truth[near.truth].is_crowd);
                    let free = |truth: usize| !taken[truth] && self.view.truth[truth].class == one.class;
                    let misplaced = near.clone().filter(|near| near.iou >= NEAR && free(near.truth));
                    let most = near.map(|near| near.iou).fold(0.0, f64::max);
                    // What covers an object is a second box for it.
                    if most >= HITS {
                        continue;
                    }
                    if let Some(near) = misplaced.max_by(|a, b| a.iou.total_cmp(&b.iou)) {
                        let score = one.score * (1.0 - near.iou);
                        taken[near.truth] = true;
                        doubts.push(BoxDoubt { image, fault: BoxFault::Place, truth: Some(near.truth), found, score });
                    } else if missing.iter().all(|other| iou(other, &one.corners) < HITS) {
                        // Of several classes in one place the surest is told.
                        missing.push(one.corners);
                        let score = one.score * (1.0 - most);
                        doubts.push(BoxDoubt { image, fault: BoxFault::Missing, truth: None, found, score });
                    }
                }
                Partner::Crowd => {}
            }
        }
        doubts
    }

    /// Boxes of the image that nothing supports.
    fn by_truth(&self, image: usize, usual: &[Usual]) -> Vec<BoxDoubt> {
        let doubt = |(number, truth): (usize, &super::Truth)| {
            let class = usual[truth.class];
            let usual = class.score().filter(|_| !truth.is_crowd && class.recall() >= MOST)?;
            let support = self.best(number, NEAR, |_| true) / usual;
            let score = class.recall() * (1.0 - support);
            let fault = BoxFault::Superfluous;
            (support < LITTLE).then_some(BoxDoubt { image, fault, truth: Some(number), found: None, score })
        };
        self.view.truth.iter().enumerate().filter_map(doubt).collect()
    }

    /// The best score of boxes of some classes that cover an object by this IoU and more; 0 where none does.
    fn best(&self, truth: usize, least: f64, of: impl Fn(usize) -> bool) -> f64 {
        let covers = |place: usize| {
            self.view.overlaps.of(place).iter().any(|overlap| overlap.truth == truth && overlap.iou >= least)
        };
        let all = self.view.found.iter().enumerate().filter(|(place, one)| of(one.class) && covers(*place));
        all.map(|(_, one)| one.score).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use schemas::setting::MetricType;

    use super::super::{Found, Truth};
    use super::*;

    const A: [f64; 4] = [0.0, 0.0, 40.0, 40.0];
    const B: [f64; 4] = [100.0, 0.0, 140.0, 40.0];
    const FAR: [f64; 4] = [500.0, 500.0, 540.0, 540.0];

    fn truth(corners: [f64; 4], class: usize) -> Truth {
        Truth { corners, class, is_crowd: false }
    }

    fn found(corners: [f64; 4], class: usize, score: f64) -> Found {
        Found { corners, class, score }
    }

    fn image(truth: &[Truth], found: &[Found]) -> ImageResult {
        ImageResult { truth: truth.to_vec(), found: found.to_vec(), masks: None }
    }

    fn options() -> Options {
        let (metric_type, shapes) = (MetricType::Voc, Shapes::Boxes);
        Options { metric_type, iou_threshold: 0.5, score_threshold: 0.3, max_detections: 100, shapes }
    }

    /// Images in which all is right: both classes are found with scores of 0.6 and 0.8.
    fn right() -> Vec<ImageResult> {
        let of = |score| image(&[truth(A, 0), truth(B, 1)], &[found(A, 0, score), found(B, 1, score)]);
        vec![of(0.6), of(0.8), of(0.6), of(0.8)]
    }

    fn doubts(more: &[ImageResult]) -> Vec<BoxDoubt> {
        let images: Vec<ImageResult> = right().into_iter().chain(more.iter().cloned()).collect();
        doubted_boxes(2, &images, &options())
    }

    #[track_caller]
    fn check(more: ImageResult, expected: &[(BoxFault, Option<usize>, Option<usize>, f64)]) {
        let doubts = doubts(&[more]);
        assert!(doubts.iter().all(|doubt| doubt.image == 4), "{doubts:?}");
        let places: Vec<_> = doubts.iter().map(|one| (one.fault, one.truth, one.found)).collect();
        assert_eq!(places, expected.iter().map(|one| (one.0, one.1, one.2)).collect::<Vec<_>>());
        for (doubt, expected) in doubts.iter().zip(expected) {
            assert!((doubt.score - expected.3).abs() < 1e-9, "{doubt:?}");
        }
    }

    #[test]
    fn what_is_right_is_not_doubted() {
        check(image(&[], &[]), &[]);
        // Less sure than usual, or no answer at all.
        check(image(&[], &[found(A, 0, 0.6)]), &[]);
        check(image(&[truth(A, 0)], &[found(A, 1, 0.6)]), &[]);
        // A second box for one object, and what lies in a crowd.
        check(image(&[truth(A, 0)], &[found(A, 0, 0.9), found([0.0, 0.0, 40.0, 38.0], 0, 0.8)]), &[]);
        let crowd = Truth { is_crowd: true, ..truth(A, 0) };
        check(image(&[crowd], &[found(A, 0, 0.9)]), &[]);
        check(image(&[Truth { corners: FAR, ..crowd }], &[]), &[]);
    }

    #[test]
    fn a_class_is_doubted_by_what_is_surer_than_the_given_one() {
        let sure = found(A, 1, 0.9);
        check(image(&[truth(A, 0)], &[sure]), &[(BoxFault::Class, Some(0), Some(0), 0.9)]);
        check(image(&[truth(A, 0)], &[found(A, 0, 0.2), sure]), &[(BoxFault::Class, Some(0), Some(1), 0.7)]);
        check(image(&[truth(A, 0)], &[found(A, 0, 0.95), sure]), &[]);
    }

    #[test]
    fn missing_boxes_are_told_once_and_misplaced_ones_by_how_far() {
        check(
            image(&[], &[found(FAR, 0, 0.9), found(FAR, 1, 0.8), found(A, 0, 0.75)]),
            &[(BoxFault::Missing, None, Some(0), 0.9), (BoxFault::Missing, None, Some(2), 0.75)],
        );
        // Half of each box is shared, so that a third of both together is.
        let beside = [20.0, 0.0, 60.0, 40.0];
        check(image(&[truth(beside, 0)], &[found(A, 0, 0.9)]), &[(BoxFault::Place, Some(0), Some(0), 0.6)]);
        // The neighbour has a box of its own: this object has none.
        check(
            image(&[truth(beside, 0)], &[found(beside, 0, 0.95), found(A, 0, 0.9)]),
            &[(BoxFault::Missing, None, Some(1), 0.6)],
        );
    }

    #[test]
    fn a_box_that_nothing_supports_is_superfluous_where_most_are_found() {
        // With this one 4 of 5 objects of the class are found.
        check(image(&[truth(FAR, 0)], &[]), &[(BoxFault::Superfluous, Some(0), None, 0.8)]);
        check(image(&[truth(FAR, 0)], &[found(FAR, 1, 0.07)]), &[(BoxFault::Superfluous, Some(0), None, 0.72)]);
        check(image(&[truth(FAR, 0)], &[found(FAR, 1, 0.2)]), &[]);
        let many: Vec<Truth> = vec![truth(FAR, 0); 5];
        assert!(doubts(&[image(&many, &[])]).is_empty(), "fewer than half of the class are found");
    }

    #[test]
    fn the_strongest_doubt_comes_first() {
        let more = [image(&[], &[found(A, 0, 0.8)]), image(&[], &[found(A, 0, 0.9)]), image(&[truth(A, 0)], &[])];
        let found: Vec<(usize, BoxFault)> = doubts(&more).iter().map(|one| (one.image, one.fault)).collect();
        assert_eq!(found, [(5, BoxFault::Missing), (4, BoxFault::Missing), (6, BoxFault::Superfluous)]);
        assert!(doubted_boxes(0, &[], &options()).is_empty());
    }
}
