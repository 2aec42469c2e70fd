//! Sampling and loss of regions of interest (Girshick, "Fast R-CNN", ICCV 2015, section 2.3) as torchvision computes
//! them.

use tch::{Kind, Reduction, Tensor};

use super::boxes::iou_matrix;
use super::coder::BoxCoder;
use super::matcher::Matcher;
use super::rpn_loss::SMOOTH_L1_BETA;
use super::sampler::{Permutation, Sampler};
use super::target::{Objects, Target};
use super::transfer::{host, precise, upload};
use crate::tasks::losses::Losses;

/// The label of background; class `c` has the label `c + 1`.
const BACKGROUND_LABEL: i64 = 0;

/// The regions of a batch that are trained on, image after image and in the order of the proposals.
pub struct Sampled {
    /// `[K, 5]`: index of the image, `xyxy` in pixels.
    pub rois: Tensor,
    /// Int64 `[K]`: 0 for background, `c + 1` for class `c`.
    pub labels: Tensor,
    /// `[K, 4]`: what the box of the label's class should predict; 0 for background.
    pub deltas: Tensor,
    /// Of each: its image and the row of its object in the image's target; `None` for background.
    pub objects: Vec<Option<[usize; 2]>>,
}

/// Draws the regions to train on from the proposals `[P, 4]` of each image, to which its objects are added, so that there
/// are good ones from the first step on.
///
/// `permutation` draws the sample of each image: first its positives, then its negatives. Nothing is differentiated.
/// Waits for the device once.
pub fn sample(proposals: &[Tensor], targets: &[Target], permutation: &mut impl Permutation) -> Sampled {
    tch::no_grad(|| {
        let Some(first) = proposals.first() else {
            let options = (Kind::Float, tch::Device::Cpu);
            let labels = Tensor::zeros([0], (Kind::Int64, tch::Device::Cpu));
            let (rois, deltas) = (Tensor::zeros([0, 5], options), Tensor::zeros([0, 4], options));
            return Sampled { rois, labels, deltas, objects: vec![] };
        };
        let (kind, device) = (precise(first.kind()), first.device());
        let objects = Objects::of(targets);
        let boxes = objects.boxes(kind, device);
        let candidates: Vec<Tensor> = proposals
            .iter()
            .enumerate()
            .map(|(image, p)| Tensor::cat(&[p.to_kind(kind), objects.of_image(&boxes, image)], 0))
            .collect();
        let matches =
            |(image, candidates)| Matcher::ROI.matches(&iou_matrix(&objects.of_image(&boxes, image), candidates));
        let matches: Vec<i64> = host(&Tensor::cat(&candidates.iter().enumerate().map(matches).collect::<Vec<_>>(), 0));

        let chosen = choose(&objects, &candidates, &matches, permutation);
        let count = chosen.rows.len() as i64;
        let columns = [&chosen.rows[..], &chosen.objects, &chosen.labels].concat();
        let columns = upload(&columns, Kind::Int64, device).view([3, count]);
        let labels = columns.select(0, 2);
        let regions = Tensor::cat(&candidates, 0).index_select(0, &columns.select(0, 0));
        let deltas = if objects.is_empty() {
            regions.zeros_like()
        } else {
            let wanted = BoxCoder::REGION.encode(&boxes.index_select(0, &columns.select(0, 1)), &regions);
            wanted.where_self(&labels.gt(BACKGROUND_LABEL).unsqueeze(1), &regions.zeros_like())
        };
        let images = upload(&chosen.images, kind, device).unsqueeze(1);
        Sampled { rois: Tensor::cat(&[images, regions], 1), labels, deltas, objects: chosen.matched }
    })
}

/// One entry per chosen region.
struct Chosen {
    /// Index of the image.
    images: Vec<f64>,
    /// Row among the candidates of all images.
    rows: Vec<i64>,
    /// Row among the objects of all images; 0 for background.
    objects: Vec<i64>,
    labels: Vec<i64>,
    /// Image, and row of the object in the image's target; `None` for background.
    matched: Vec<Option<[usize; 2]>>,
}

fn choose(objects: &Objects, candidates: &[Tensor], matches: &[i64], permutation: &mut impl Permutation) -> Chosen {
    let mut chosen = Chosen { images: vec![], rows: vec![], objects: vec![], labels: vec![], matched: vec![] };
    let mut start = 0;
    for (image, candidates) in candidates.iter().enumerate() {
        let count = candidates.size()[0] as usize;
        let matches = &matches[start..start + count];
        permutation.turn_to(image);
        let sample = Sampler::ROI.draw(matches, permutation);
        let mut rows = [sample.positive, sample.negative].concat();
        rows.sort_unstable();
        for row in rows {
            let object = usize::try_from(matches[row]).ok();
            chosen.images.push(image as f64);
            chosen.rows.push((start + row) as i64);
            chosen.objects.push(object.map_or(0, |o| (objects.first(image) + o) as i64));
            chosen.matched.push(object.map(|o| [image, objects.image(image)[o].row]));
            chosen.labels.push(object.map_or(BACKGROUND_LABEL, |o| objects.image(image)[o].class + 1));
        }
        start += count;
    }
    chosen
}

/// Cross entropy of the class, mean over the regions (part `roi_class`), and smooth L1 of the differences that are
/// predicted for the right class, summed over the regions of objects and divided by the number of all (`roi_box`).
///
/// `class_logits` `[K, C + 1]`, background first; `deltas` `[K, 4 (C + 1)]`. Does not wait for the device.
pub fn loss(class_logits: &Tensor, deltas: &Tensor, sampled: &Sampled) -> Losses {
    let kind = precise(class_logits.kind());
    let labels = &sampled.labels;
    let count = labels.size()[0];
    let divisor = count.max(1) as f64;
    let class =
        class_logits.to_kind(kind).cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, -100, 0.0) / divisor;

    let column = labels.view([-1, 1, 1]).expand([-1, 1, 4], false);
    let predicted =
        deltas.view([count, class_logits.size()[1], 4]).gather(1, &column, false).squeeze_dim(1).to_kind(kind);
    let counted = labels.gt(BACKGROUND_LABEL).unsqueeze(1);
    let predicted = predicted.where_self(&counted, &predicted.zeros_like());
    let distance = predicted.smooth_l1_loss(&sampled.deltas.to_kind(kind), Reduction::Sum, SMOOTH_L1_BETA) / divisor;
    Losses::sum([("roi_class", class), ("roi_box", distance)], 1.0)
}
