//! Object detection: the losses of the three families, measured by average precision.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use models::classify::normalise;
use models::detect::anchors::{self, Level};
use models::detect::faster_rcnn::FirstStage;
use models::detect::mask_rcnn::{self, SIDE};
use models::detect::{Detector, Outputs, Raw, roi_heads, rpn, yolov5};
use models::host::Tile;
use models::host::mask::Mask;
use models::scope::Scope;
use schemas::setting::BestEpochBy;
use schemas::{Plan, Settings};
use tch::{Device, Kind, Tensor};

use super::sampler::{PerImage, Permutation};
use super::target::Target;
use super::transfer::host;
use super::{anchors as yolov5_anchors, evaluate, mask_loss, retinanet_loss, roi_loss, rpn_loss, yolov5_loss};
use crate::log::Log;
use crate::nn::eager::{Eager, Mode, T};
use crate::nn::network::Network;
use crate::nn::transfer::upload;
use crate::tasks::losses::Losses;
use crate::tasks::task::{Evaluation, Measured, Step, Task, aim, shown};
use dataset::{Batch, Images, KeyedRng, Loader};

/// A detector under training.
pub struct Detect {
    detector: Detector,
    settings: Settings,
    /// YOLOv5's anchors on the host, as the first step found them: training does not change them, and to read them in every step
    /// would be to wait for the device in every step.
    anchors: OnceCell<Tensor>,
}

/// What the losses of every family start from.
struct Pass<'a> {
    eager: &'a Eager<'a>,
    /// Of the batch.
    raw: &'a Raw<T>,
    batch: &'a Batch,
    targets: Vec<Target>,
    classes: i64,
}

impl Detect {
    /// The task of training `detector` with these settings.
    #[must_use]
    pub fn new(detector: Detector, settings: &Settings) -> Self {
        Self { detector, settings: settings.clone(), anchors: OnceCell::new() }
    }

    /// What a batch costs by what the network says about it. `permutation` draws the samples that an R-CNN learns from.
    fn cost(
        &self,
        (eager, network): (&Eager, &Network),
        batch: &Batch,
        raw: &Raw<T>,
        permutation: &mut impl Permutation,
    ) -> Losses {
        let targets = batch.objects.iter().map(|objects| target(objects)).collect();
        let pass = Pass { eager, raw, batch, targets, classes: network.classes() };
        match &raw.outputs {
            Outputs::Yolov5(heads) => yolov5(&pass, heads, self.settings.img_size, &self.anchors),
            Outputs::RetinaNet(levels) => retinanet(&pass, levels),
            Outputs::FasterRcnn(first) => two_stages(&pass, first, permutation).0,
            Outputs::MaskRcnn(first) => mask_rcnn(&pass, first, permutation),
        }
    }
}

impl Task for Detect {
    fn loss(&self, network: &Network, batch: &Batch, step: &Step) -> Losses {
        let images = network.images(&batch.images, batch.n, batch.height, batch.width);
        let inner: Vec<f32> = batch.inner.iter().flatten().map(|&side| side as f32).collect();
        let inner = upload(&inner, &[batch.inner.len() as i64, 2], network.params.device());
        let mut rng = KeyedRng::new("sample", &[step.seed, u64::from(step.epoch), step.batch as u64]);
        let eager = Eager::new(&network.params, Mode::Train);
        network.autocast(step.arithmetic, || {
            let images = normalise(&eager, &T::borrowed(&images), &network.preprocessing);
            let outputs = self.detector.outputs(&Scope::root(&eager), &images, network.classes());
            let raw = Raw { outputs, inner: T::borrowed(&inner) };
            self.cost((&eager, network), batch, &raw, &mut rng)
        })
    }

    fn sums_over_images(&self) -> bool {
        matches!(self.detector, Detector::Yolov5(_))
    }

    fn fit(&self, network: &mut Network, plan: &Plan, data: &dyn Images, log: &Log) {
        match self.detector {
            Detector::Yolov5(_) => yolov5_anchors::fit(network, plan, data, log),
            Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_) => {}
        }
    }

    fn evaluate(&self, network: &Network, data: &Loader, evaluation: &Evaluation) -> anyhow::Result<Measured> {
        let mut mean = MeanLoss::default();
        let outcome =
            evaluate::with_network_and(network, data, (&self.settings, evaluation.label), |eager, batch, raw| {
                if evaluation.loss {
                    let losses = self.cost((eager, network), batch, raw, &mut samples(evaluation, batch));
                    // A sum over images becomes that of as many as a training batch has, which is what training records.
                    let sum = f64::from(self.settings.training_batch_size) / batch.n as f64;
                    mean.add(&losses, batch.n, if self.sums_over_images() { sum } else { 1.0 });
                }
            })?;
        let report = outcome.report(&network.labels, &self.settings);
        let mut scalars = report.scalars();
        scalars.extend(mean.scalars());
        let score = match self.settings.best_epoch_by {
            BestEpochBy::Primary | BestEpochBy::LogLoss => report.primary(),
            BestEpochBy::Last => None,
        };
        let mut measured = Measured { score, scalars, ..Measured::default() };
        measured.answer_above(aim(&self.settings).and_then(|aim| outcome.cutoff(&self.settings, aim)));
        Ok(measured)
    }

    fn headline(&self, scalars: &BTreeMap<String, f64>) -> Vec<(&'static str, String)> {
        let mut shown_as = vec![
            ("mAP", shown(scalars, "mean_average_precision")),
            ("AP50", shown(scalars, "ap50")),
            ("AP50:95", shown(scalars, "ap50_95")),
        ];
        if scalars.contains_key("loss") {
            shown_as.push(("validation loss", shown(scalars, "loss")));
        }
        shown_as
    }
}

/// The streams that draw the samples of the images and tiles of an evaluation batch: the same wherever they lie.
fn samples(evaluation: &Evaluation, batch: &Batch) -> PerImage {
    let stream = |(&index, tile): (&usize, &Option<Tile>)| {
        let place = tile.map_or(0, |tile| 1 + (u64::from(tile.y0) << 32 | u64::from(tile.x0)));
        KeyedRng::new("validation sample", &[evaluation.seed, u64::from(evaluation.epoch), index as u64, place])
    };
    PerImage::new(batch.indices.iter().zip(&batch.tiles).map(stream).collect())
}

/// The mean of the losses of batches, each by its number of images.
#[derive(Default)]
struct MeanLoss {
    sums: BTreeMap<String, f64>,
    images: usize,
}

impl MeanLoss {
    /// Adds the losses of a batch of so many images; its total counts `scale` times. Waits for the device.
    fn add(&mut self, losses: &Losses, images: usize, scale: f64) {
        let parts = losses.parts.iter().map(|(name, part)| (format!("loss_{name}"), part, 1.0));
        for (name, value, scale) in parts.chain([("loss".to_owned(), &losses.total, scale)]) {
            *self.sums.entry(name).or_insert(0.0) += value.double_value(&[]) * scale * images as f64;
        }
        self.images += images;
    }

    /// What can be recorded: numbers.
    fn scalars(self) -> impl Iterator<Item = (String, f64)> {
        let images = self.images.max(1) as f64;
        self.sums.into_iter().map(move |(name, sum)| (name, sum / images)).filter(|(_, mean)| mean.is_finite())
    }
}

fn yolov5(pass: &Pass, heads: &yolov5::Heads<T>, img_size: u32, anchors: &OnceCell<Tensor>) -> Losses {
    let anchors = anchors.get_or_init(|| heads.anchors.clone().into_tensor().detach().to_device(Device::Cpu).copy());
    // Multi-scale training changes the size of the images, not the balance of the loss.
    let hyper =
        yolov5_loss::Hyper::default().for_run(pass.classes, i64::from(img_size.next_multiple_of(schemas::STRIDE)));
    yolov5_loss::loss(&heads.maps.clone().map(T::into_tensor), &pass.targets, anchors, &hyper)
}

/// What both stages of an R-CNN cost, and the regions that the second one was asked about.
fn two_stages(pass: &Pass, first: &FirstStage<T>, permutation: &mut impl Permutation) -> (Losses, roi_loss::Sampled) {
    let (o, s) = (pass.eager, Scope::root(pass.eager));
    let FirstStage { maps, levels } = first;
    let proposals = tch::no_grad(|| rpn::proposals(o, levels, &pass.raw.inner, rpn::TopK::TRAIN));
    let all = anchors::join(o, levels);
    let (logits, deltas) = (all.logits.into_tensor(), all.deltas.into_tensor());
    let first = rpn_loss::loss(&logits, &deltas, &all.anchors.into_tensor(), &pass.targets, permutation);

    let (boxes, scores) = (proposals.boxes.into_tensor(), proposals.scores.into_tensor());
    // Proposals are sorted by their scores, and padding, whose score is 0, comes last.
    let counts: Vec<i64> = host(&scores.gt(0.0).sum_dim_intlist(1, false, Kind::Int64));
    let each: Vec<Tensor> =
        counts.iter().zip(0..).map(|(&count, image)| boxes.get(image).narrow(0, 0, count)).collect();
    let sampled = roi_loss::sample(&each, &pass.targets, permutation);
    let pooled = o.roi_align_each(&maps[..roi_heads::LEVELS], &sampled.rois, &roi_heads::align());
    let predicted = roi_heads::head(&s, &pooled, pass.classes);
    let second = roi_loss::loss(&predicted.logits.into_tensor(), &predicted.deltas.into_tensor(), &sampled);
    (first.and(second), sampled)
}

/// Both stages, and the masks of the regions that answer for an object.
fn mask_rcnn(pass: &Pass, first: &FirstStage<T>, permutation: &mut impl Permutation) -> Losses {
    let (o, s) = (pass.eager, Scope::root(pass.eager));
    let (losses, sampled) = two_stages(pass, first, permutation);
    let chosen: Vec<i64> = (0..).zip(&sampled.objects).filter_map(|(row, object)| object.map(|_| row)).collect();
    let rows = upload(&chosen, &[chosen.len() as i64], sampled.rois.device());
    let rois = sampled.rois.index_select(0, &rows);
    let pooled = o.roi_align_each(&first.maps[..roi_heads::LEVELS], &rois, &mask_rcnn::align());
    let labels = T::borrowed(&(sampled.labels.index_select(0, &rows) - 1));
    let logits = mask_rcnn::of_own_class(o, &mask_rcnn::head(&s, &pooled, pass.classes), &labels);
    let scene = Scene { objects: &pass.batch.objects, inner: &pass.batch.inner };
    let wanted = scene.masks(&sampled, &rois);
    losses.and(mask_loss::loss(&logits.into_tensor(), &wanted))
}

/// The objects of a batch with their outlines.
struct Scene<'a> {
    objects: &'a [Vec<dataset::Target>],
    /// Height and width of each image in its view.
    inner: &'a [[u32; 2]],
}

impl Scene<'_> {
    /// What the object of each of `rois`, float `[P, 5]` in the order of what was sampled, covers of it: float `[P, 28, 28]`. Each
    /// object is rasterised once, in the box around it.
    fn masks(&self, sampled: &roi_loss::Sampled, rois: &Tensor) -> Tensor {
        let corners: Vec<f64> = host(&rois.narrow(1, 1, 4).contiguous());
        let mut covered = BTreeMap::new();
        let mut values = Vec::new();
        for (&object, &region) in sampled.objects.iter().flatten().zip(corners.as_chunks().0) {
            let [image, row] = object;
            let size = self.inner[image];
            let pixels = covered.entry(object).or_insert_with(|| pixels(&self.objects[image][row], size));
            values.extend(mask_loss::target(&mask_loss::Covered { pixels, size }, region));
        }
        let values: Vec<f32> = values.into_iter().map(|share: f64| share as f32).collect();
        upload(&values, &[rois.size()[0], SIDE, SIDE], rois.device())
    }
}

fn retinanet(pass: &Pass, levels: &[Level<T>]) -> Losses {
    let all = anchors::join(pass.eager, levels);
    let (logits, deltas) = (all.logits.into_tensor(), all.deltas.into_tensor());
    retinanet_loss::loss(&logits, &deltas, &all.anchors.into_tensor(), &pass.targets)
}

/// The pixels that an object covers of an image of this height and width.
fn pixels(object: &dataset::Target, [height, width]: [u32; 2]) -> Mask {
    match &object.outline {
        Some(outline) => outline.covered(width, height),
        None => Mask::empty(Tile { x0: 0, y0: 0, x1: 0, y1: 0 }),
    }
}

/// The objects of one image as the losses take them. Crowds are trained on, as the specification has it.
fn target(objects: &[dataset::Target]) -> Target {
    let boxes: Vec<f32> = objects.iter().flat_map(|o| o.corners).collect();
    let labels: Vec<i64> = objects.iter().map(|o| o.class as i64).collect();
    Target {
        boxes: Tensor::from_slice(&boxes).view([-1, 4]).to_kind(Kind::Float),
        labels: Tensor::from_slice(&labels).to_kind(Kind::Int64),
    }
}
