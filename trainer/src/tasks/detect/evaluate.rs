//! Predictions of a whole data set beside what is true, from a network or from an exported file.

use std::collections::BTreeMap;

use models::detect::{Detections, Images, Model, Raw, Selection, detections_and};
use models::host::mask::{Mask, Paste};
use models::host::{self, Merge, MergeRule, Rgb, Tile};
use schemas::Settings;
use schemas::prediction::{Detection, MASK_SIDE, SoftMask};
use tch::{Kind, Tensor};

use super::transfer::host as values;
use crate::nn::eager::{Decision, Decisions, Eager, Mode, T};
use crate::nn::network::Network;
use crate::nn::transfer::upload;
use crate::progress::Progress;
use crate::tasks::classify::evaluate::each_image;
use crate::tasks::outcome::Intervals;
use dataset::{Batch, Loader, Object};
use metrics::detection::{BoxDoubt, DetectionReport, Found, ImageResult, Masks, Options, Shapes, Shared, Truth};
use metrics::{Aim, Cutoff};

/// Score from which boxes are measured: the precision-recall curve needs the uncertain ones too.
pub const MEASURED_SCORE: f32 = 0.001;

/// Score from which boxes are recorded for the verification of exports.
const VERIFIED_SCORE: f32 = 0.05;

/// How masks are pasted into an image of this size, by the settings.
#[must_use]
pub fn pasting(settings: &Settings, width: u32, height: u32) -> Paste {
    Paste { width, height, threshold: settings.mask_pixel_score_threshold as f32 }
}

/// The boxes that predictions are made of, by the settings.
#[must_use]
pub fn predicting(settings: &Settings) -> Selection<f32> {
    Selection {
        score: settings.box_score_thresh as f32,
        iou: settings.box_nms_thresh as f32,
        cap: i64::from(settings.box_detections_per_img),
    }
}

/// The same, with enough uncertain boxes that an export can be compared by them even after little training.
#[must_use]
pub fn verifying(settings: &Settings) -> Selection<f32> {
    Selection { score: VERIFIED_SCORE.min(settings.box_score_thresh as f32), ..predicting(settings) }
}

/// The same, with everything that a metric looks at.
#[must_use]
pub fn measuring(settings: &Settings) -> Selection<f32> {
    Selection { score: MEASURED_SCORE.min(settings.box_score_thresh as f32), ..predicting(settings) }
}

/// Predictions and truth of every image that could be read, in data set order.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In pixels of the original images.
    pub results: Vec<ImageResult>,
    /// Index in the data set of each.
    pub indices: Vec<usize>,
    /// Masks of what was found in each, where there are any, to be drawn: of what a prediction would answer. Others are dropped once they
    /// are measured, since they take a hundred times the memory of a box.
    pub masks: Vec<Vec<Option<SoftMask>>>,
    /// The probability from which a pixel was an object's.
    pub pixel_threshold: f32,
}

impl Outcome {
    /// Adds what was found in an image, by these settings.
    fn add(&mut self, data: &Loader, index: usize, paste: Paste, (found, settings): (Vec<Detection>, &Settings)) {
        self.results.push(judged(data.images().objects(index), &found, paste));
        self.indices.push(index);
        self.pixel_threshold = paste.threshold;
        let answered = |one: Detection| one.mask.filter(|_| one.score > settings.box_score_thresh as f32);
        self.masks.push(found.into_iter().map(answered).collect());
    }

    /// Every metric of detection.
    #[must_use]
    pub fn report(&self, labels: &[String], settings: &Settings) -> DetectionReport {
        metrics::detection(labels, &self.results, &self.options(settings))
    }

    /// Intervals of its average precisions; `draw(n)` is a random whole number below n.
    #[must_use]
    pub fn intervals(&self, classes: usize, settings: &Settings, draw: impl FnMut(usize) -> usize) -> Intervals {
        metrics::detection::intervals(classes, &self.results, &self.options(settings), draw)
    }

    /// The setting of the threshold that boxes have, and what `aim` would make of it; nothing where nothing is gained.
    #[must_use]
    pub fn cutoff(&self, settings: &Settings, aim: Aim) -> Option<(&'static str, Cutoff)> {
        let scored = metrics::detection::scored(&self.results, &self.options(settings));
        Some(("box_score_thresh", metrics::cutoff(&scored, settings.box_score_thresh, aim)?))
    }

    /// Boxes of the data set that the predictions contradict, the strongest doubt first.
    #[must_use]
    pub fn doubts(&self, classes: usize, settings: &Settings) -> Vec<BoxDoubt> {
        metrics::detection::doubted_boxes(classes, &self.results, &self.options(settings))
    }

    /// How it is measured.
    fn options(&self, settings: &Settings) -> Options {
        Options {
            metric_type: settings.validation_metric_type,
            iou_threshold: settings.validation_iou_threshold,
            score_threshold: settings.box_score_thresh,
            max_detections: settings.box_detections_per_img as usize,
            // Nothing is outlined in one image only.
            shapes: if self.results.iter().any(|image| image.masks.is_some()) { Shapes::Masks } else { Shapes::Boxes },
        }
    }
}

/// Runs the network over the data in evaluation mode.
///
/// # Errors
/// When the data cannot be read.
pub fn with_network(network: &Network, data: &Loader, settings: &Settings, label: &str) -> anyhow::Result<Outcome> {
    with_network_and(network, data, (settings, label), |_, _, _| {})
}

/// The same, with a look at what the network says about each batch before detections are chosen from it.
///
/// # Errors
/// When the data cannot be read.
pub fn with_network_and(
    network: &Network,
    data: &Loader,
    (settings, label): (&Settings, &str),
    mut look: impl FnMut(&Eager, &Batch, &Raw<T>),
) -> anyhow::Result<Outcome> {
    let selection = measuring(settings);
    let eager = Eager::new(&network.params, Mode::Evaluate);
    over(data, settings, label, |batch| {
        let images = network.images(&batch.images, batch.n, batch.height, batch.width);
        let asked = Asked { images: &images, sizes: &batch.sizes, selection: &selection };
        Ok(with(&eager, network, &asked, |raw| look(&eager, batch, raw)))
    })
}

/// What a network is asked.
struct Asked<'a> {
    /// `uint8 [N, h, w, 3]`, prepared.
    images: &'a Tensor,
    /// Height and width of each original.
    sizes: &'a [[u32; 2]],
    selection: &'a Selection<f32>,
}

/// Boxes in pixels of the originals, best first. `images` is `uint8 [N, h, w, 3]`, prepared; `sizes` is height and width of
/// each original.
///
/// # Panics
/// When the network is no detector: callers choose by task.
#[must_use]
pub fn predict(
    network: &Network,
    images: &Tensor,
    sizes: &[[u32; 2]],
    selection: &Selection<f32>,
) -> Vec<Vec<Detection>> {
    with(&Eager::new(&network.params, Mode::Evaluate), network, &Asked { images, sizes, selection }, |_| {})
}

/// As [`in_prepared`], with the decisions on the way.
///
/// # Panics
/// As [`predict`].
#[must_use]
pub fn decided(
    network: &Network,
    prepared: &Rgb,
    original: &Rgb,
    selection: &Selection<f32>,
) -> (Vec<Detection>, Vec<Decision>) {
    let images = network.images(&prepared.data, 1, prepared.height as usize, prepared.width as usize);
    let decisions = Decisions::default();
    let eager = Eager::deciding(&network.params, &decisions);
    let asked = Asked { images: &images, sizes: &[[original.height, original.width]], selection };
    let found = with(&eager, network, &asked, |_| {});
    (found.into_iter().next().unwrap_or_default(), decisions.into_vec())
}

fn with(eager: &Eager, network: &Network, asked: &Asked, look: impl FnOnce(&Raw<T>)) -> Vec<Vec<Detection>> {
    let Asked { images, sizes, selection } = *asked;
    let Some(detector) = network.spec.detector() else { panic!("{} detects nothing", network.spec.name) };
    let device = network.params.device();
    let sizes: Vec<i64> = sizes.iter().flatten().map(|&side| i64::from(side)).collect();
    let sizes = upload(&sizes, &[sizes.len() as i64 / 2, 2], device);
    tch::no_grad(|| {
        let one = |value: f32| T::borrowed(&upload(&[value], &[1], device));
        let limits = Selection { score: one(selection.score), iou: one(selection.iou), cap: selection.cap };
        let images = Images { prepared: T::borrowed(images), sizes: T::borrowed(&sizes) };
        let model = Model { detector: &detector, preprocessing: &network.preprocessing, classes: network.classes() };
        rows(detections_and(eager, &model, &images, &limits, look))
    })
}

/// Boxes in one prepared image, in pixels of `original`.
///
/// # Panics
/// As [`predict`].
#[must_use]
pub fn in_prepared(network: &Network, prepared: &Rgb, original: &Rgb, selection: &Selection<f32>) -> Vec<Detection> {
    let images = network.images(&prepared.data, 1, prepared.height as usize, prepared.width as usize);
    predict(network, &images, &[[original.height, original.width]], selection).into_iter().next().unwrap_or_default()
}

/// Boxes in one image as decoded, from the whole of it and, where `settings` says so, from its tiles. `look` finds those
/// of one piece, in its pixels.
///
/// # Errors
/// The first that `look` gives.
pub fn in_image<E>(
    image: &Rgb,
    settings: &Settings,
    mut look: impl FnMut(&Rgb) -> Result<Vec<Detection>, E>,
) -> Result<Vec<Detection>, E> {
    let mut parts = Parts { size: [image.height, image.width], whole: look(image)?, tiles: Vec::new() };
    for tile in host::tiles(image.width, image.height, settings.tile_grid_size, settings.tile_overlap_ratio) {
        parts.tiles.push((tile, look(&host::cut(image, tile))?));
    }
    Ok(parts.join(settings))
}

/// Dense tensors `[N, D, ..]` as lists, without the padding.
fn rows(found: Detections<T>) -> Vec<Vec<Detection>> {
    let floats = |t: T| -> Vec<f32> { values(&t.into_tensor().to_kind(Kind::Float)) };
    let labels = found.labels.into_tensor();
    let (n, each) = (labels.size()[0] as usize, labels.size()[1] as usize);
    let (boxes, scores, masks) = (floats(found.boxes), floats(found.scores), found.masks.map(floats));
    let labels: Vec<i64> = values(&labels);
    let (corners, _) = boxes.as_chunks::<4>();
    let mask = |at: usize| SoftMask::new(&masks.as_ref()?[at * MASK_SIDE * MASK_SIDE..][..MASK_SIDE * MASK_SIDE]);
    let row = |at: usize| {
        let label = usize::try_from(labels[at]).ok()?;
        Some(Detection { corners: corners[at], score: scores[at], label, mask: mask(at) })
    };
    (0..n).map(|image| (image * each..(image + 1) * each).filter_map(row).collect()).collect()
}

/// What was found in one image: in the whole of it and, with tiling, in its tiles, in pixels of each.
#[derive(Debug, Default)]
pub struct Parts {
    /// Height and width of the image.
    pub size: [u32; 2],
    /// In the whole image.
    pub whole: Vec<Detection>,
    /// In its tiles.
    pub tiles: Vec<(Tile, Vec<Detection>)>,
}

impl Parts {
    /// The detections of the image; without tiles they are those of the whole.
    #[must_use]
    pub fn join(mut self, settings: &Settings) -> Vec<Detection> {
        let [height, width] = self.size;
        let limit = settings.box_detections_per_img as usize;
        if self.tiles.is_empty() {
            self.whole.truncate(limit);
            return self.whole;
        }
        for (tile, found) in &mut self.tiles {
            host::shift(found, *tile);
        }
        let threshold = settings.tile_predictions_nms_thresh as f32;
        let how = Merge { width, height, threshold, limit, rule: MergeRule::default() };
        host::merge(&self.whole, &self.tiles, &how)
    }
}

/// Runs `predict` over the data and puts the parts of each image together.
///
/// # Errors
/// When the data cannot be read or `predict` fails.
pub fn over(
    data: &Loader,
    settings: &Settings,
    label: &str,
    mut predict: impl FnMut(&Batch) -> anyhow::Result<Vec<Vec<Detection>>>,
) -> anyhow::Result<Outcome> {
    let mut parts: BTreeMap<usize, Parts> = BTreeMap::new();
    let mut progress = Progress::start(label, data.images_per_epoch());
    for batch in data.eval() {
        let batch = batch?;
        let found = predict(&batch)?;
        let views = batch.indices.iter().zip(&batch.tiles).zip(&batch.sizes);
        for (((&index, tile), &size), found) in views.zip(found) {
            let parts = parts.entry(index).or_default();
            match tile {
                Some(tile) => parts.tiles.push((*tile, found)),
                None => (parts.size, parts.whole) = (size, found),
            }
        }
        progress.advance(batch.n, batch.wait, "");
    }
    let mut outcome = Outcome::default();
    for (index, parts) in parts {
        let [height, width] = parts.size;
        outcome.add(data, index, pasting(settings, width, height), (parts.join(settings), settings));
    }
    Ok(outcome)
}

/// Runs `predict` over the images as decoded, so that an exported file's own resizing and tiling are measured.
///
/// # Errors
/// When the data cannot be read or `predict` fails.
pub fn over_whole(
    data: &Loader,
    settings: &Settings,
    label: &str,
    mut predict: impl FnMut(&Rgb) -> anyhow::Result<Vec<Detection>>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    each_image(data, label, |index, image| {
        outcome.add(data, index, pasting(settings, image.width, image.height), (predict(image)?, settings));
        Ok(())
    })?;
    Ok(outcome)
}

/// What was found in an image beside its objects, in pixels of the image.
///
/// Its memory is a bit for each pixel of the boxes around true objects, and one pasted mask at a time.
#[must_use]
pub fn judged(objects: &[Object], found: &[Detection], paste: Paste) -> ImageResult {
    let Paste { width, height, .. } = paste;
    let truth = objects.iter().map(|object| {
        let [x1, y1, x2, y2] = object.corners.map(f64::from);
        let (w, h) = (f64::from(width), f64::from(height));
        Truth { corners: [x1 * w, y1 * h, x2 * w, y2 * h], class: object.class as usize, is_crowd: object.is_crowd }
    });
    let truth = truth.collect();
    let outlined = objects.iter().any(|object| object.outline.is_some()) || found.iter().any(|one| one.mask.is_some());
    let masks = outlined.then(|| masks(objects, found, paste));
    let found =
        found.iter().map(|d| Found { corners: d.corners.map(f64::from), class: d.label, score: f64::from(d.score) });
    ImageResult { truth, found: found.collect(), masks }
}

/// Areas of the masks of an image's objects, and what they share.
fn masks(objects: &[Object], found: &[Detection], paste: Paste) -> Masks {
    let Paste { width, height, .. } = paste;
    let nothing = || Mask::empty(Tile { x0: 0, y0: 0, x1: 0, y1: 0 });
    let truth: Vec<Mask> = objects.iter().map(|object| object.covered(width, height).unwrap_or_else(nothing)).collect();
    let mut all = Masks { truth: truth.iter().map(Mask::area).collect(), ..Masks::default() };
    // One mask at a time: a hundred of them need not be kept.
    for (number, one) in found.iter().enumerate() {
        let mask = one.mask.as_ref().map_or_else(nothing, |mask| paste.mask(mask.values(), one.corners));
        all.found.push(mask.area());
        let shared = truth.iter().enumerate().map(|(index, truth)| (index, mask.shared(truth)));
        let shared = shared.filter(|(_, pixels)| *pixels > 0);
        all.shared.extend(shared.map(|(truth, pixels)| Shared { found: number, truth, pixels }));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use models::host::mask::Outline;

    use super::*;

    /// Bytes of the most memory that this process had; nothing where the system does not say.
    fn peak() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
    }

    #[test]
    fn a_large_image_of_many_objects_needs_little_memory() {
        let (width, height) = (3840, 2160);
        let side = f64::from(MASK_SIDE as u32);
        let ellipse: Vec<f32> = (0..MASK_SIDE * MASK_SIDE)
            .map(|at| {
                let [x, y] = [at % MASK_SIDE, at / MASK_SIDE].map(|at| (at as f64 + 0.5) / side * 2.0 - 1.0);
                if x * x + y * y < 1.0 { 0.9 } else { 0.1 }
            })
            .collect();
        // Objects of up to a third of the image's sides; what is found lies a little beside them.
        let place = |number: u32| {
            let share = |factor: u32, most: f64| f64::from(number * factor % 500) / 500.0 * most;
            let (w, h) = (0.05 + share(7, 0.28), 0.05 + share(11, 0.28));
            let (x, y) = (share(17, 1.0 - w), share(29, 1.0 - h));
            [x, y, x + w, y + h]
        };
        let objects: Vec<Object> = (0..500)
            .map(|number| {
                let [x1, y1, x2, y2] = place(number);
                let point = |at: usize| {
                    let (sin, cos) = (std::f64::consts::TAU * at as f64 / 64.0).sin_cos();
                    [(x1 + x2 + (x2 - x1) * cos) / 2.0, (y1 + y2 + (y2 - y1) * sin) / 2.0]
                };
                let outline = Some(Arc::new(Outline { rings: vec![(0..64).map(point).collect()] }));
                Object { corners: [x1, y1, x2, y2].map(|at| at as f32), class: number % 3, is_crowd: false, outline }
            })
            .collect();
        let found: Vec<Detection> = (0..500)
            .map(|number| {
                let [x1, y1, x2, y2] = place(number);
                let size = [f64::from(width), f64::from(height)];
                let corners = [x1 * size[0] + 2.0, y1 * size[1], x2 * size[0] + 2.0, y2 * size[1]].map(|at| at as f32);
                Detection { corners, score: 0.9, label: number as usize % 3, mask: SoftMask::new(&ellipse) }
            })
            .collect();
        let before = peak();
        let settings = Settings { box_detections_per_img: 500, ..Settings::default() };
        let result = judged(&objects, &found, pasting(&settings, width, height));
        let masks = result.masks.as_ref().unwrap();
        assert_eq!((masks.truth.len(), masks.found.len()), (500, 500));
        let outcome = Outcome { results: vec![result], indices: vec![0], ..Outcome::default() };
        let labels: Vec<String> = (0..3).map(|class| class.to_string()).collect();
        assert!(outcome.report(&labels, &settings).scalars()["mean_average_precision"] > 0.95);
        match (before, peak()) {
            // Whole masks would take a byte for each pixel: 8.3 MB for each of a thousand.
            (Some(before), Some(peak)) => assert!(peak - before < 256 << 20, "{before} and {peak} bytes"),
            _ => eprintln!("skipped: the system does not say how much memory a process had"),
        }
    }
}
