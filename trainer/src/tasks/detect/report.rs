//! The images of a detector's report: truth beside predictions, and cutouts of what went wrong.
//!
//! Images are shrunk before anything is drawn on them, so that outlines stay visible and a large image costs no more
//! than its decoding. One that has become unreadable is left out.

use std::cmp::Reverse;

use models::host::draw::{self, Mark};
use models::host::mask::{Mask, Paste};
use models::host::{self, Region, Rgb};
use schemas::Interpolation;
use schemas::prediction::SoftMask;

use super::evaluate::Outcome;
use dataset::{Images, Object};
use metrics::detection::{Found, ImageResult, Options, Pairs, Partner, Truth, pairs};
use report::{ClassColour, Comparison, Cutout, MaskPair, RIGHT, ReportError, Thumbnail, WRONG};

/// Images shown beside what was found in them, and those with the most errors.
const COMPARED: usize = 8;
const WORST: usize = 6;
/// Their longer side in pixels.
const SIDE: u32 = 480;
/// With more boxes than this in an image, tags would hide it.
const MOST_TAGS: usize = 40;
/// Cutouts of each kind, and their longer side.
const CUTOUTS: usize = 12;
const CUTOUT_SIDE: u32 = 200;
/// Masks shown beside the true outline.
const MASKS: usize = 12;
/// A cutout is so many times as large as its box, and has at least so many pixels.
const CONTEXT: f64 = 2.0;
const LEAST: f64 = 32.0;
/// Candidates tried for each image shown, as some may be unreadable.
const TRIES: usize = 4;
/// Classes that have a colour of their own.
const COLOURS: usize = 7;

/// What the images are made from.
pub struct Predictions<'a> {
    /// The data set that was measured.
    pub images: &'a dyn Images,
    /// Its classes.
    pub labels: &'a [String],
    /// What was found in it.
    pub outcome: &'a Outcome,
    /// How it was measured.
    pub options: Options,
}

/// The images.
#[derive(Debug, Default)]
pub struct Drawn {
    /// Spread evenly over the data set.
    pub compared: Vec<Comparison>,
    /// With the most errors, the worst first.
    pub worst: Vec<Comparison>,
    /// Boxes around nothing, the most confident first.
    pub invented: Vec<Cutout>,
    /// Objects that no box stands for, the largest first.
    pub missed: Vec<Cutout>,
    /// Objects found as another class, the most confident first.
    pub mistaken: Vec<Cutout>,
    /// Objects that were found, with the masks that fit them least, the worst first.
    pub worst_masks: Vec<MaskPair>,
}

/// One image, and what became of its objects and boxes.
struct Judged<'a> {
    index: usize,
    result: &'a ImageResult,
    /// Of what was found, in its order.
    masks: &'a [Option<SoftMask>],
    pairs: Pairs,
}

/// Something found, and the mask of it.
#[derive(Clone, Copy)]
struct Detected<'a> {
    found: &'a Found,
    /// Its place in the result.
    row: usize,
    mask: Option<&'a SoftMask>,
}

/// A true object: its place in the result and in the data set's list of the image's objects.
#[derive(Clone, Copy)]
struct True<'a> {
    result: &'a ImageResult,
    row: usize,
}

impl<'a> True<'a> {
    fn truth(self) -> &'a Truth {
        &self.result.truth[self.row]
    }
}

/// What is drawn on an image.
#[derive(Clone, Copy)]
enum Thing<'a> {
    Object(True<'a>),
    Detected(Detected<'a>),
}

impl Thing<'_> {
    fn corners(self) -> [f64; 4] {
        match self {
            Self::Object(object) => object.truth().corners,
            Self::Detected(detected) => detected.found.corners,
        }
    }
}

impl<'a> Judged<'a> {
    /// What was found and counts, in the order of the result.
    fn kept(&self) -> impl Iterator<Item = (Detected<'a>, Partner)> {
        self.result.found.iter().enumerate().zip(&self.pairs.found).filter_map(|((row, found), partner)| {
            let mask = self.masks.get(row).and_then(Option::as_ref);
            Some((Detected { found, row, mask }, (*partner)?))
        })
    }

    /// What was found where an object is, and the object's row.
    fn matched(&self) -> impl Iterator<Item = (Detected<'a>, usize)> {
        self.kept().filter_map(|(detected, partner)| match partner {
            Partner::Truth(row) => Some((detected, row)),
            Partner::Crowd | Partner::Nothing => None,
        })
    }

    fn invented(&self) -> impl Iterator<Item = Detected<'a>> {
        self.kept().filter(|(_, partner)| *partner == Partner::Nothing).map(|(detected, _)| detected)
    }

    fn object(&self, row: usize) -> True<'a> {
        True { result: self.result, row }
    }

    fn objects(&self) -> impl Iterator<Item = Thing<'a>> {
        (0..self.result.truth.len()).map(|row| Thing::Object(self.object(row)))
    }

    /// Intersection over union of the pixels of what was found and those of an object; `None` without masks.
    fn mask_iou(&self, found: usize, truth: usize) -> Option<f64> {
        let masks = self.result.masks.as_ref()?;
        let shared = masks.shared.iter().find(|one| one.found == found && one.truth == truth);
        let shared = shared.map_or(0, |one| one.pixels);
        let all = masks.found.get(found)? + masks.truth.get(truth)? - shared;
        (all > 0).then(|| shared as f64 / all as f64)
    }

    /// Objects found as what they are, and as something else.
    fn found(&self) -> [usize; 2] {
        let mut counts = [0; 2];
        for (detected, truth) in self.matched() {
            counts[usize::from(self.result.truth[truth].class != detected.found.class)] += 1;
        }
        counts
    }

    fn errors(&self) -> usize {
        self.found()[1] + self.pairs.missed.len() + self.invented().count()
    }
}

/// Colours of the classes; none where some would share one.
#[must_use]
pub fn colours(labels: &[String]) -> Vec<ClassColour> {
    let all = labels.iter().enumerate();
    let all = all.filter(|_| labels.len() <= COLOURS);
    all.map(|(class, label)| ClassColour { label: label.clone(), colour: draw::colour(class) }).collect()
}

/// Chooses and draws the images.
///
/// # Errors
/// When an image cannot be encoded.
pub fn drawn(predictions: &Predictions) -> Result<Drawn, ReportError> {
    let Outcome { results, indices, masks, .. } = predictions.outcome;
    let judged = results.iter().zip(indices).enumerate().map(|(at, (result, &index))| {
        let masks = masks.get(at).map_or(&[][..], Vec::as_slice);
        Judged { index, result, masks, pairs: pairs(result, &predictions.options) }
    });
    let judged: Vec<Judged> = judged.collect();

    let step = judged.len().div_ceil(COMPARED).max(1);
    let compared = judged.iter().step_by(step).filter_map(|one| predictions.compare(one));
    let mut worst: Vec<&Judged> = judged.iter().filter(|one| one.errors() > 0).collect();
    worst.sort_by_key(|one| Reverse(one.errors()));
    let worst = worst.into_iter().take(TRIES * WORST).filter_map(|one| predictions.compare(one)).take(WORST);

    let mut invented: Vec<(&Judged, Detected)> =
        judged.iter().flat_map(|one| one.invented().map(move |found| (one, found))).collect();
    invented.sort_by(|a, b| b.1.found.score.total_cmp(&a.1.found.score));
    let invented = invented.into_iter().take(TRIES * CUTOUTS).filter_map(|(one, detected)| {
        let objects: Vec<Thing> = one.objects().collect();
        let label = predictions.label(detected.found.class).to_owned();
        predictions.cutout(one.index, Thing::Detected(detected), &objects, label)
    });

    let mut missed: Vec<(&Judged, usize)> =
        judged.iter().flat_map(|one| one.pairs.missed.iter().map(move |&row| (one, row))).collect();
    let size_of = |&(one, row): &(&Judged, usize)| area(one.result.truth[row].corners);
    missed.sort_by(|a, b| size_of(b).total_cmp(&size_of(a)));
    let missed = missed.into_iter().take(TRIES * CUTOUTS).filter_map(|(one, row)| {
        let boxes: Vec<Thing> = one.kept().map(|(detected, _)| Thing::Detected(detected)).collect();
        let object = one.object(row);
        let label = predictions.label(object.truth().class).to_owned();
        predictions.cutout(one.index, Thing::Object(object), &boxes, label)
    });

    let mut mistaken: Vec<(&Judged, Detected, usize)> = judged
        .iter()
        .flat_map(|one| one.matched().map(move |(detected, row)| (one, detected, row)))
        .filter(|(one, detected, row)| one.result.truth[*row].class != detected.found.class)
        .collect();
    mistaken.sort_by(|a, b| b.1.found.score.total_cmp(&a.1.found.score));
    let mistaken = mistaken.into_iter().take(TRIES * CUTOUTS).filter_map(|(one, detected, row)| {
        let object = one.object(row);
        let label = predictions.label(object.truth().class).to_owned();
        let taken_for = Some(predictions.label(detected.found.class).to_owned());
        let cutout = predictions.cutout(one.index, Thing::Detected(detected), &[Thing::Object(object)], label)?;
        Some(cutout.map(|cutout| Cutout { taken_for, ..cutout }))
    });

    let mut matched: Vec<(&Judged, Detected, usize, f64)> = judged
        .iter()
        .flat_map(|one| one.matched().map(move |(detected, row)| (one, detected, row)))
        .filter_map(|(one, detected, row)| Some((one, detected, row, one.mask_iou(detected.row, row)?)))
        .collect();
    matched.sort_by(|a, b| a.3.total_cmp(&b.3));
    let worst_masks = matched
        .into_iter()
        .take(TRIES * MASKS)
        .filter_map(|(one, detected, row, iou)| predictions.mask_pair(one, detected, one.object(row), iou));

    Ok(Drawn {
        compared: compared.collect::<Result<_, _>>()?,
        worst: worst.collect::<Result<_, _>>()?,
        invented: invented.take(CUTOUTS).collect::<Result<_, _>>()?,
        missed: missed.take(CUTOUTS).collect::<Result<_, _>>()?,
        mistaken: mistaken.take(CUTOUTS).collect::<Result<_, _>>()?,
        worst_masks: worst_masks.take(MASKS).collect::<Result<_, _>>()?,
    })
}

impl Predictions<'_> {
    fn label(&self, class: usize) -> &str {
        self.labels.get(class).map_or("", String::as_str)
    }

    /// `None` when the image has become unreadable.
    fn compare(&self, one: &Judged) -> Option<Result<Comparison, ReportError>> {
        let image = self.images.image(one.index).ok()?;
        let small = host::thumbnail(&image, SIDE);
        let view = View::new(Region::whole(&image), &small);
        let scene = Scene { view: &view, drawn: &small, size: [image.width, image.height], index: one.index };
        let tag = |many: usize, text: String| if many > MOST_TAGS { String::new() } else { text };
        let truth: Vec<Mark> = one
            .objects()
            .zip(&one.result.truth)
            .map(|(object, truth)| {
                let crowd = if truth.is_crowd { ", crowd" } else { "" };
                let text = tag(one.result.truth.len(), format!("{}{crowd}", self.label(truth.class)));
                self.mark(object, &scene, draw::colour(truth.class), text)
            })
            .collect();
        let mut kept: Vec<Detected> = one.kept().map(|(detected, _)| detected).collect();
        // The surest on top.
        kept.sort_by(|a, b| a.found.score.total_cmp(&b.found.score));
        let found: Vec<Mark> = kept
            .iter()
            .map(|&detected| {
                let Found { class, score, .. } = *detected.found;
                let text = tag(kept.len(), format!("{} {score:.2}", self.label(class)));
                self.mark(Thing::Detected(detected), &scene, draw::colour(class), text)
            })
            .collect();
        let [right, confused] = one.found();
        let name = self.images.name(one.index);
        let drawn = |marks: &[Mark]| thumbnail(&draw::marked(&small, marks), &name);
        Some(drawn(&truth).and_then(|truth| {
            Ok(Comparison {
                truth,
                found: drawn(&found)?,
                objects: one.result.truth.iter().filter(|truth| !truth.is_crowd).count() as u64,
                right: right as u64,
                confused: confused as u64,
                missed: one.pairs.missed.len() as u64,
                invented: one.invented().count() as u64,
            })
        }))
    }

    /// What lies around something, drawn among others; `None` when it has no place, or the image has become unreadable.
    fn cutout(
        &self,
        index: usize,
        about: Thing,
        others: &[Thing],
        label: String,
    ) -> Option<Result<Cutout, ReportError>> {
        let cut = self.cut(index, about.corners())?;
        let scene = cut.scene();
        // Of many things beside it the pixels would hide the image.
        let beside = |&other: &Thing| Mark { covered: None, ..self.mark(other, &scene, RIGHT, String::new()) };
        let about_mark = self.mark(about, &scene, WRONG, String::new());
        let marks: Vec<Mark> = others.iter().map(beside).chain([about_mark]).collect();
        let score = match about {
            Thing::Object(_) => None,
            Thing::Detected(detected) => Some(detected.found.score),
        };
        let size = size(about.corners());
        let image = self.thumbnail(&cut, &marks);
        Some(image.map(|image| Cutout { image, label, taken_for: None, score, size }))
    }

    /// A true outline beside the mask that was found; `None` as for [`Self::cutout`].
    fn mask_pair(
        &self,
        one: &Judged,
        detected: Detected,
        object: True,
        iou: f64,
    ) -> Option<Result<MaskPair, ReportError>> {
        let (a, b) = (object.truth().corners, detected.found.corners);
        let both = [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
        let cut = self.cut(one.index, both)?;
        let (object_class, class) = (object.truth().class, detected.found.class);
        let scene = cut.scene();
        let mark = |thing, class| self.mark(thing, &scene, draw::colour(class), String::new());
        let truth = self.thumbnail(&cut, &[mark(Thing::Object(object), object_class)]);
        let found = self.thumbnail(&cut, &[mark(Thing::Detected(detected), class)]);
        let taken_for = (class != object_class).then(|| self.label(class).to_owned());
        let (label, score) = (self.label(object_class).to_owned(), detected.found.score);
        Some(truth.and_then(|truth| Ok(MaskPair { truth, found: found?, label, taken_for, score, iou })))
    }

    /// The part of an image around `corners`, as it is drawn.
    fn cut(&self, index: usize, corners: [f64; 4]) -> Option<Cut> {
        if !corners.iter().all(|corner| corner.is_finite()) {
            return None;
        }
        let image = self.images.image(index).ok()?;
        let region = around(corners, f64::from(image.width), f64::from(image.height));
        let (width, height) = (region.x1 - region.x0, region.y1 - region.y0);
        let scale = f64::from(CUTOUT_SIDE) / width.max(height);
        let pixels = |side: f64| ((side * scale).round() as u32).max(1);
        let drawn = host::resize(&image, region, pixels(width), pixels(height), Interpolation::Bicubic);
        Some(Cut { view: View::new(region, &drawn), drawn, size: [image.width, image.height], index })
    }

    fn thumbnail(&self, cut: &Cut, marks: &[Mark]) -> Result<Thumbnail, ReportError> {
        thumbnail(&draw::marked(&cut.drawn, marks), &self.images.name(cut.index))
    }

    /// A box, and the pixels that are an object's where that is known.
    fn mark(&self, thing: Thing, scene: &Scene, colour: [u8; 3], text: String) -> Mark {
        let corners = scene.view.place(thing.corners());
        let covered = match thing {
            Thing::Object(object) => {
                self.images.objects(scene.index).get(object.row).and_then(|one| scene.covered(one))
            }
            Thing::Detected(detected) => detected.mask.map(|mask| {
                let threshold = self.outcome.pixel_threshold;
                let paste = Paste { width: scene.drawn.width, height: scene.drawn.height, threshold };
                paste.mask(mask.values(), corners)
            }),
        };
        Mark { corners, colour, text, covered }
    }
}

/// What is drawn on: an image of a data set, or a part of it.
struct Scene<'a> {
    view: &'a View,
    drawn: &'a Rgb,
    /// Width and height of the image.
    size: [u32; 2],
    index: usize,
}

impl Scene<'_> {
    /// The pixels that an object covers; `None` where it is not outlined.
    fn covered(&self, object: &Object) -> Option<Mask> {
        let [width, height] = self.size.map(f64::from);
        let outline = object.outline.as_ref()?.map(|[x, y]| self.view.point([x * width, y * height]));
        Some(outline.covered(self.drawn.width, self.drawn.height))
    }
}

/// A part of an image, and where it lies.
struct Cut {
    view: View,
    drawn: Rgb,
    size: [u32; 2],
    index: usize,
}

impl Cut {
    fn scene(&self) -> Scene<'_> {
        Scene { view: &self.view, drawn: &self.drawn, size: self.size, index: self.index }
    }
}

/// A part of an image drawn at another size.
struct View {
    region: Region,
    scale: [f64; 2],
}

impl View {
    fn new(region: Region, drawn: &Rgb) -> Self {
        let scale =
            [f64::from(drawn.width) / (region.x1 - region.x0), f64::from(drawn.height) / (region.y1 - region.y0)];
        Self { region, scale }
    }

    fn place(&self, [x1, y1, x2, y2]: [f64; 4]) -> [f32; 4] {
        let ([x1, y1], [x2, y2]) = (self.point([x1, y1]), self.point([x2, y2]));
        [x1, y1, x2, y2].map(|at| at as f32)
    }

    fn point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [(x - self.region.x0) * self.scale[0], (y - self.region.y0) * self.scale[1]]
    }
}

/// A square about the box, as far as the image reaches.
fn around([x1, y1, x2, y2]: [f64; 4], width: f64, height: f64) -> Region {
    let side = (CONTEXT * (x2 - x1).max(y2 - y1)).max(LEAST);
    let stretch = |from: f64, to: f64, most: f64| {
        let side = side.min(most);
        let start = (0.5 * (from + to - side)).clamp(0.0, most - side);
        (start, start + side)
    };
    let ((x0, x1), (y0, y1)) = (stretch(x1, x2, width), stretch(y1, y2, height));
    Region { x0, y0, x1, y1 }
}

fn thumbnail(image: &Rgb, name: &str) -> Result<Thumbnail, ReportError> {
    Thumbnail::new((image.width, image.height), &image.data, image.width.max(image.height), name)
}

fn size([x1, y1, x2, y2]: [f64; 4]) -> [u64; 2] {
    [x2 - x1, y2 - y1].map(|side| side.round().max(0.0) as u64)
}

fn area([x1, y1, x2, y2]: [f64; 4]) -> f64 {
    (x2 - x1) * (y2 - y1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemas::setting::MetricType;

    use super::*;
    use dataset::{RejectKind, Rejection, SampleError};

    /// Images of one grey, of which number 1 is unreadable.
    struct Grey(u32, u32);

    impl Images for Grey {
        fn len(&self) -> usize {
            4
        }

        fn image(&self, index: usize) -> Result<Arc<Rgb>, SampleError> {
            match index {
                1 => Err(SampleError::Bad(RejectKind::BadImage, "torn".to_owned())),
                _ => Ok(Arc::new(Rgb::filled(self.0, self.1, [128; 3]))),
            }
        }

        fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection {
            let image_url = Some(format!("images/{index}.png"));
            Rejection { source: "t.jsonl".to_owned(), line: index as u64, image_url, kind, reason }
        }
    }

    fn truth(corners: [f64; 4], class: usize) -> Truth {
        Truth { corners, class, is_crowd: false }
    }

    fn predictions<'a>(images: &'a dyn Images, labels: &'a [String], outcome: &'a Outcome) -> Predictions<'a> {
        let options = Options {
            metric_type: MetricType::Voc,
            iou_threshold: 0.5,
            score_threshold: 0.3,
            max_detections: 100,
            shapes: metrics::detection::Shapes::Boxes,
        };
        Predictions { images, labels, outcome, options }
    }

    fn labels() -> Vec<String> {
        ["cat", "dog"].map(str::to_owned).into()
    }

    #[test]
    fn what_went_wrong_is_shown_worst_first_and_unreadable_images_are_skipped() {
        let found = |corners, class, score| Found { corners, class, score };
        let results = vec![
            // Found as another class.
            ImageResult {
                truth: vec![truth([10.0, 10.0, 50.0, 50.0], 0)],
                found: vec![found([10.0, 10.0, 50.0, 50.0], 1, 0.9), found([0.0, 0.0, 5.0, 5.0], 1, 0.1)],
                masks: None,
            },
            ImageResult { truth: vec![truth([0.0, 0.0, 90.0, 60.0], 0); 5], found: vec![], masks: None },
            // One right, one missed, two invented.
            ImageResult {
                truth: vec![truth([10.0, 10.0, 50.0, 50.0], 0), truth([60.0, 10.0, 90.0, 50.0], 1)],
                found: vec![
                    found([10.0, 10.0, 50.0, 50.0], 0, 0.9),
                    found([0.0, 50.0, 5.0, 55.0], 1, 0.4),
                    found([95.0, 50.0, 140.0, 85.0], 1, 0.8),
                ],
                masks: None,
            },
            ImageResult::default(),
        ];
        let outcome = Outcome { results, indices: vec![0, 1, 2, 3], ..Outcome::default() };
        let (images, labels) = (Grey(100, 60), labels());
        let drawn = drawn(&predictions(&images, &labels, &outcome)).unwrap();

        let names = |list: &[Comparison]| list.iter().map(|one| one.truth.caption.clone()).collect::<Vec<_>>();
        assert_eq!(names(&drawn.compared), ["0.png", "2.png", "3.png"]);
        assert_eq!(names(&drawn.worst), ["2.png", "0.png"]);
        let worst = &drawn.worst[0];
        assert_eq!((worst.objects, worst.right, worst.confused, worst.missed, worst.invented), (2, 1, 0, 1, 2));
        assert_eq!((drawn.worst[1].confused, drawn.worst[1].missed, drawn.worst[1].invented), (1, 0, 0));
        assert_eq!((worst.truth.width, worst.truth.height), (100, 60));
        assert_ne!(worst.truth.jpeg, worst.found.jpeg);

        let scores: Vec<_> = drawn.invented.iter().map(|one| one.score).collect();
        assert_eq!(scores, [Some(0.8), Some(0.4)]);
        assert_eq!((drawn.missed.len(), drawn.missed[0].label.as_str()), (1, "dog"));
        assert_eq!(drawn.missed[0].size, [30, 40]);
        // Twice the 40 pixels of the box are more than the image is high.
        assert_eq!((drawn.missed[0].image.width, drawn.missed[0].image.height), (200, 150));
    }

    #[test]
    fn masks_that_fit_least_come_first_and_mistakes_name_both_classes() {
        let corners = [10.0, 10.0, 50.0, 50.0];
        let found = |class, score| Found { corners, class, score };
        let result = |class, shared| ImageResult {
            truth: vec![truth(corners, 0)],
            found: vec![found(class, 0.9)],
            masks: Some(metrics::detection::Masks {
                truth: vec![1600],
                found: vec![1600],
                shared: vec![metrics::detection::Shared { found: 0, truth: 0, pixels: shared }],
            }),
        };
        let masks = (0..3).map(|_| vec![SoftMask::new(&[1.0; 784])]).collect();
        let results = vec![result(0, 1500), result(1, 1400), result(0, 1200)];
        let outcome = Outcome { results, indices: vec![0, 2, 3], masks, pixel_threshold: 0.5 };
        let (images, labels) = (Grey(100, 60), labels());
        let mut predictions = predictions(&images, &labels, &outcome);
        predictions.options.shapes = metrics::detection::Shapes::Masks;
        let drawn = drawn(&predictions).unwrap();
        let names: Vec<_> = drawn.worst_masks.iter().map(|one| one.truth.caption.as_str()).collect();
        assert_eq!(names, ["3.png", "2.png", "0.png"]);
        assert!((drawn.worst_masks[0].iou - 1200.0 / 2000.0).abs() < 1e-12);
        assert_ne!(drawn.worst_masks[0].truth.jpeg, drawn.worst_masks[0].found.jpeg, "only what was found has pixels");
        let mistaken: Vec<_> =
            drawn.worst_masks.iter().map(|one| (one.label.as_str(), one.taken_for.as_deref())).collect();
        assert_eq!(mistaken, [("cat", None), ("cat", Some("dog")), ("cat", None)]);
        assert_eq!(drawn.mistaken.len(), 1);
        assert_eq!((drawn.mistaken[0].label.as_str(), drawn.mistaken[0].taken_for.as_deref()), ("cat", Some("dog")));
    }

    #[test]
    fn nothing_found_nothing_there_and_a_large_image() {
        let empty = Outcome::default();
        let (images, labels) = (Grey(5000, 4000), labels());
        let none = drawn(&predictions(&images, &labels, &empty)).unwrap();
        assert!(
            none.compared.is_empty() && none.worst.is_empty() && none.invented.is_empty() && none.missed.is_empty()
        );

        let corners = [-50.0, 100.0, 6000.0, 4100.0];
        let results =
            vec![ImageResult { truth: vec![truth(corners, 0), truth([f64::NAN; 4], 1)], found: vec![], masks: None }];
        let outcome = Outcome { results, indices: vec![0], ..Outcome::default() };
        let large = drawn(&predictions(&images, &labels, &outcome)).unwrap();
        assert_eq!((large.compared[0].found.width, large.compared[0].found.height), (480, 384));
        assert_eq!((large.missed.len(), large.missed[0].image.width), (1, 200));
    }

    #[test]
    fn a_cutout_stays_in_the_image() {
        let inside = |corners, expected: [f64; 4]| {
            let region = around(corners, 200.0, 100.0);
            assert_eq!([region.x0, region.y0, region.x1, region.y1], expected);
        };
        inside([90.0, 40.0, 110.0, 60.0], [80.0, 30.0, 120.0, 70.0]);
        inside([0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 32.0, 32.0]);
        inside([150.0, 20.0, 220.0, 90.0], [60.0, 0.0, 200.0, 100.0]);
        inside([500.0, 500.0, 510.0, 510.0], [168.0, 68.0, 200.0, 100.0]);
    }
}
