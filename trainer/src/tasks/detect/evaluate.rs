//! Predictions of a whole data set beside what is true, from a network or from an exported file.

use std::collections::BTreeMap;

use models::detect::{Images, Model, Selection, detections};
use models::host::{self, Merge, MergeRule, Rgb, Tile};
use schemas::Settings;
use schemas::prediction::Detection;
use tch::{Kind, Tensor};

use super::transfer::host as values;
use crate::nn::eager::{Decision, Decisions, Eager, Mode, T};
use crate::nn::network::Network;
use crate::nn::transfer::upload;
use crate::progress::Progress;
use crate::tasks::classify::evaluate::each_image;
use dataset::{Batch, Loader};
use metrics::detection::{DetectionReport, Found, ImageResult, Options, Truth};

/// Score from which boxes are measured: the precision-recall curve needs the uncertain ones too.
pub const MEASURED_SCORE: f32 = 0.001;

/// Score from which boxes are recorded for the verification of exports.
const VERIFIED_SCORE: f32 = 0.05;

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
}

impl Outcome {
    /// Every metric of detection.
    #[must_use]
    pub fn report(&self, labels: &[String], settings: &Settings) -> DetectionReport {
        let options = Options {
            metric_type: settings.validation_metric_type,
            iou_threshold: settings.validation_iou_threshold,
            score_threshold: settings.box_score_thresh,
            max_detections: settings.box_detections_per_img as usize,
        };
        metrics::detection(labels, &self.results, &options)
    }
}

/// Runs the network over the data in evaluation mode.
///
/// # Errors
/// When the data cannot be read.
pub fn with_network(network: &Network, data: &Loader, settings: &Settings, label: &str) -> anyhow::Result<Outcome> {
    let selection = measuring(settings);
    over(data, settings, label, |batch| {
        let images = network.images(&batch.images, batch.n, batch.height, batch.width);
        Ok(predict(network, &images, &batch.sizes, &selection))
    })
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
    with(&Eager::new(&network.params, Mode::Evaluate), network, images, sizes, selection)
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
    let found = with(&eager, network, &images, &[[original.height, original.width]], selection);
    (found.into_iter().next().unwrap_or_default(), decisions.into_vec())
}

fn with(
    eager: &Eager,
    network: &Network,
    images: &Tensor,
    sizes: &[[u32; 2]],
    selection: &Selection<f32>,
) -> Vec<Vec<Detection>> {
    let Some(detector) = network.spec.detector() else { panic!("{} detects nothing", network.spec.name) };
    let device = network.params.device();
    let sizes: Vec<i64> = sizes.iter().flatten().map(|&side| i64::from(side)).collect();
    let sizes = upload(&sizes, &[sizes.len() as i64 / 2, 2], device);
    tch::no_grad(|| {
        let one = |value: f32| T::borrowed(&upload(&[value], &[1], device));
        let limits = Selection { score: one(selection.score), iou: one(selection.iou), cap: selection.cap };
        let images = Images { prepared: T::borrowed(images), sizes: T::borrowed(&sizes) };
        let model = Model { detector: &detector, preprocessing: &network.preprocessing, classes: network.classes() };
        let found = detections(eager, &model, &images, &limits);
        rows(&found.boxes.into_tensor(), &found.scores.into_tensor(), &found.labels.into_tensor())
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
fn rows(boxes: &Tensor, scores: &Tensor, labels: &Tensor) -> Vec<Vec<Detection>> {
    let (n, each) = (labels.size()[0] as usize, labels.size()[1] as usize);
    let (boxes, scores): (Vec<f32>, Vec<f32>) =
        (values(&boxes.to_kind(Kind::Float)), values(&scores.to_kind(Kind::Float)));
    let labels: Vec<i64> = values(labels);
    let (corners, _) = boxes.as_chunks::<4>();
    let row = |at: usize| {
        let label = usize::try_from(labels[at]).ok()?;
        Some(Detection { corners: corners[at], score: scores[at], label })
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
        let found = parts.join(settings);
        outcome.results.push(result(data, index, (width, height), &found));
        outcome.indices.push(index);
    }
    Ok(outcome)
}

/// Runs `predict` over the images as decoded, so that an exported file's own resizing and tiling are measured.
///
/// # Errors
/// When the data cannot be read or `predict` fails.
pub fn over_whole(
    data: &Loader,
    label: &str,
    mut predict: impl FnMut(&Rgb) -> anyhow::Result<Vec<Detection>>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    each_image(data, label, |index, image| {
        let found = predict(image)?;
        outcome.results.push(result(data, index, (image.width, image.height), &found));
        outcome.indices.push(index);
        Ok(())
    })?;
    Ok(outcome)
}

fn result(data: &Loader, index: usize, (width, height): (u32, u32), found: &[Detection]) -> ImageResult {
    let truth = data.images().objects(index).iter().map(|object| {
        let [x1, y1, x2, y2] = object.corners.map(f64::from);
        let (w, h) = (f64::from(width), f64::from(height));
        Truth { corners: [x1 * w, y1 * h, x2 * w, y2 * h], class: object.class as usize, is_crowd: object.is_crowd }
    });
    let found =
        found.iter().map(|d| Found { corners: d.corners.map(f64::from), class: d.label, score: f64::from(d.score) });
    ImageResult { truth: truth.collect(), found: found.collect() }
}
