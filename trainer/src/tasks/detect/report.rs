//! The images of a detector's report: truth beside predictions, and cutouts of what went wrong.
//!
//! Images are shrunk before anything is drawn on them, so that outlines stay visible and a large image costs no more
//! than its decoding. One that has become unreadable is left out.

use std::cmp::Reverse;

use models::host::mask::{Fill, Mask, Paste};
use models::host::{self, Region, Rgb};
use schemas::Interpolation;
use schemas::prediction::SoftMask;

use super::evaluate::Outcome;
use dataset::{Images, Object};
use metrics::detection::{Found, ImageResult, Options, Pairs, Partner, Truth, pairs};
use report::draw::{self, Mark};
use report::{ClassColour, Comparison, Cutout, ReportError, Thumbnail};

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
/// A cutout is so many times as large as its box, and has at least so many pixels.
const CONTEXT: f64 = 2.0;
const LEAST: f64 = 32.0;
/// Candidates tried for each image shown, as some may be unreadable.
const TRIES: usize = 4;
/// Classes that have a colour of their own.
const COLOURS: usize = 7;
/// The box that a cutout is about, and those beside it: the page's "wrong" and "right".
const WRONG: [u8; 3] = [194, 70, 15];
const RIGHT: [u8; 3] = [31, 95, 191];

/// What the images are made from.
pub struct Seen<'a> {
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
}

/// One image, and what became of its objects and boxes.
struct Judged<'a> {
    index: usize,
    result: &'a ImageResult,
    /// Of what was found, in its order.
    masks: &'a [Option<SoftMask>],
    pairs: Pairs,
}

impl<'a> Judged<'a> {
    /// Boxes that count, in the order of the result.
    fn kept(&self) -> impl Iterator<Item = (&'a Found, Partner)> {
        self.result.found.iter().zip(&self.pairs.found).filter_map(|(found, partner)| Some((found, (*partner)?)))
    }

    /// The same, with their masks.
    fn kept_with_masks(&self) -> impl Iterator<Item = (&'a Found, Option<&'a SoftMask>)> {
        let all = self.result.found.iter().enumerate().zip(&self.pairs.found);
        let kept = all.filter_map(|(found, partner)| partner.is_some().then_some(found));
        kept.map(|(at, found)| (found, self.masks.get(at).and_then(Option::as_ref)))
    }

    fn invented(&self) -> impl Iterator<Item = &'a Found> {
        self.kept().filter(|(_, partner)| *partner == Partner::Nothing).map(|(found, _)| found)
    }

    fn missed(&self) -> impl Iterator<Item = &'a Truth> {
        self.pairs.missed.iter().map(|&index| &self.result.truth[index])
    }

    /// Objects found as what they are, and as something else.
    fn found(&self) -> [usize; 2] {
        let mut counts = [0; 2];
        for (found, partner) in self.kept() {
            if let Partner::Truth(truth) = partner {
                counts[usize::from(self.result.truth[truth].class != found.class)] += 1;
            }
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
pub fn drawn(seen: &Seen) -> Result<Drawn, ReportError> {
    let Outcome { results, indices, masks, .. } = seen.outcome;
    let judged = results.iter().zip(indices).enumerate().map(|(at, (result, &index))| {
        let masks = masks.get(at).map_or(&[][..], Vec::as_slice);
        Judged { index, result, masks, pairs: pairs(result, &seen.options) }
    });
    let judged: Vec<Judged> = judged.collect();

    let step = judged.len().div_ceil(COMPARED).max(1);
    let compared = judged.iter().step_by(step).filter_map(|one| seen.compare(one));
    let mut worst: Vec<&Judged> = judged.iter().filter(|one| one.errors() > 0).collect();
    worst.sort_by_key(|one| Reverse(one.errors()));
    let worst = worst.into_iter().take(TRIES * WORST).filter_map(|one| seen.compare(one)).take(WORST);

    let mut invented: Vec<(&Judged, &Found)> =
        judged.iter().flat_map(|one| one.invented().map(move |found| (one, found))).collect();
    invented.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
    let invented = invented.into_iter().take(TRIES * CUTOUTS).filter_map(|(one, found)| {
        let objects = one.result.truth.iter().map(|truth| truth.corners).collect::<Vec<_>>();
        Some(seen.cutout(one.index, found.corners, &objects)?.map(|image| Cutout {
            image,
            label: seen.label(found.class).to_owned(),
            score: Some(found.score),
            size: size(found.corners),
        }))
    });

    let mut missed: Vec<(&Judged, &Truth)> =
        judged.iter().flat_map(|one| one.missed().map(move |truth| (one, truth))).collect();
    missed.sort_by(|a, b| area(b.1.corners).total_cmp(&area(a.1.corners)));
    let missed = missed.into_iter().take(TRIES * CUTOUTS).filter_map(|(one, truth)| {
        let boxes = one.kept().map(|(found, _)| found.corners).collect::<Vec<_>>();
        Some(seen.cutout(one.index, truth.corners, &boxes)?.map(|image| Cutout {
            image,
            label: seen.label(truth.class).to_owned(),
            score: None,
            size: size(truth.corners),
        }))
    });

    Ok(Drawn {
        compared: compared.collect::<Result<_, _>>()?,
        worst: worst.collect::<Result<_, _>>()?,
        invented: invented.take(CUTOUTS).collect::<Result<_, _>>()?,
        missed: missed.take(CUTOUTS).collect::<Result<_, _>>()?,
    })
}

impl Seen<'_> {
    fn label(&self, class: usize) -> &str {
        self.labels.get(class).map_or("", String::as_str)
    }

    /// `None` when the image has become unreadable.
    fn compare(&self, one: &Judged) -> Option<Result<Comparison, ReportError>> {
        let image = self.images.image(one.index).ok()?;
        let small = host::thumbnail(&image, SIDE);
        let view = View::new(Region::whole(&image), &small);
        let mark = |corners, class, text: String, covered| Mark {
            corners: view.place(corners),
            colour: draw::colour(class),
            text,
            covered,
        };
        let tag = |many: usize, text: String| if many > MOST_TAGS { String::new() } else { text };
        let objects = self.images.objects(one.index);
        let truth: Vec<Mark> = one
            .result
            .truth
            .iter()
            .enumerate()
            .map(|(at, truth)| {
                let crowd = if truth.is_crowd { ", crowd" } else { "" };
                let text = tag(one.result.truth.len(), format!("{}{crowd}", self.label(truth.class)));
                let covered = objects.get(at).and_then(|object| covered(object, &small));
                mark(truth.corners, truth.class, text, covered)
            })
            .collect();
        let mut kept: Vec<(&Found, Option<&SoftMask>)> = one.kept_with_masks().collect();
        // The surest on top.
        kept.sort_by(|a, b| a.0.score.total_cmp(&b.0.score));
        let paste = Paste { width: small.width, height: small.height, threshold: self.outcome.pixel_threshold };
        let found: Vec<Mark> = kept
            .iter()
            .map(|(found, mask)| {
                let text = tag(kept.len(), format!("{} {:.2}", self.label(found.class), found.score));
                let covered = mask.map(|mask| paste.mask(mask.values(), view.place(found.corners)));
                mark(found.corners, found.class, text, covered)
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

    /// What lies around `corners`, outlined among `others`; `None` when the image has become unreadable.
    fn cutout(&self, index: usize, corners: [f64; 4], others: &[[f64; 4]]) -> Option<Result<Thumbnail, ReportError>> {
        if !corners.iter().all(|corner| corner.is_finite()) {
            return None;
        }
        let image = self.images.image(index).ok()?;
        let region = around(corners, f64::from(image.width), f64::from(image.height));
        let (width, height) = (region.x1 - region.x0, region.y1 - region.y0);
        let scale = f64::from(CUTOUT_SIDE) / width.max(height);
        let pixels = |side: f64| ((side * scale).round() as u32).max(1);
        let cut = host::resize(&image, region, pixels(width), pixels(height), Interpolation::Bicubic);
        let view = View::new(region, &cut);
        let mark = |corners, colour| Mark { corners: view.place(corners), colour, text: String::new(), covered: None };
        let marks: Vec<Mark> = others.iter().map(|&other| mark(other, RIGHT)).chain([mark(corners, WRONG)]).collect();
        Some(thumbnail(&draw::marked(&cut, &marks), &self.images.name(index)))
    }
}

/// The pixels that an object covers of its image drawn at another size; `None` where it is not outlined.
fn covered(object: &Object, drawn: &Rgb) -> Option<Mask> {
    let (width, height) = (f64::from(drawn.width), f64::from(drawn.height));
    let outline = object.outline.as_ref()?.map(|[x, y]| [x * width, y * height]);
    Some(outline.rasterise(Fill::CocoEvenOdd, outline.window(drawn.width, drawn.height)))
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
        let x = |at: f64| ((at - self.region.x0) * self.scale[0]) as f32;
        let y = |at: f64| ((at - self.region.y0) * self.scale[1]) as f32;
        [x(x1), y(y1), x(x2), y(y2)]
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

    fn seen<'a>(images: &'a dyn Images, labels: &'a [String], outcome: &'a Outcome) -> Seen<'a> {
        let options = Options {
            metric_type: MetricType::Voc,
            iou_threshold: 0.5,
            score_threshold: 0.3,
            max_detections: 100,
            shapes: metrics::detection::Shapes::Boxes,
        };
        Seen { images, labels, outcome, options }
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
        let drawn = drawn(&seen(&images, &labels, &outcome)).unwrap();

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
    fn nothing_found_nothing_there_and_a_large_image() {
        let empty = Outcome::default();
        let (images, labels) = (Grey(5000, 4000), labels());
        let none = drawn(&seen(&images, &labels, &empty)).unwrap();
        assert!(
            none.compared.is_empty() && none.worst.is_empty() && none.invented.is_empty() && none.missed.is_empty()
        );

        let corners = [-50.0, 100.0, 6000.0, 4100.0];
        let results =
            vec![ImageResult { truth: vec![truth(corners, 0), truth([f64::NAN; 4], 1)], found: vec![], masks: None }];
        let outcome = Outcome { results, indices: vec![0], ..Outcome::default() };
        let large = drawn(&seen(&images, &labels, &outcome)).unwrap();
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
