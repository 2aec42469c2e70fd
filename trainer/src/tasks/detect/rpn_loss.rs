//! The loss of a region proposal network (Ren et al., "Faster R-CNN", NeurIPS 2015, section 3.1.2) as torchvision
//! computes it.

use tch::{Kind, Reduction, Tensor};

use super::boxes::iou_matrix;
use super::coder::BoxCoder;
use super::matcher::Matcher;
use super::sampler::{Permutation, Sampler};
use super::target::{Objects, Target};
use super::transfer::{host, precise, upload};
use crate::tasks::losses::Losses;

/// Where the smooth L1 loss turns from quadratic to linear.
pub(super) const SMOOTH_L1_BETA: f64 = 1.0 / 9.0;

/// Cross entropy of whether an anchor covers an object, mean over the sampled anchors (part `rpn_objectness`), and
/// smooth L1 of the differences to the objects, summed over the sampled anchors that cover one and divided by the number
/// of all sampled (`rpn_box`).
///
/// `objectness` `[N, A]` logits and `deltas` `[N, A, 4]` over the anchors of all levels, `anchors` `[A, 4]` in pixels.
/// `permutation` draws the sample of each image: first its positives, then its negatives. Waits for the device once.
pub fn loss(
    objectness: &Tensor,
    deltas: &Tensor,
    anchors: &Tensor,
    targets: &[Target],
    permutation: &mut impl Permutation,
) -> Losses {
    let kind = precise(objectness.kind());
    let device = objectness.device();
    let anchors = anchors.to_kind(kind);
    let objects = Objects::of(targets);
    let boxes = objects.boxes(kind, device);
    let matches = matches(&objects, &boxes, &anchors);

    let count = matches.len() / objects.images().max(1);
    let (mut covering, mut empty, mut at, mut covered) = (vec![], vec![], vec![], vec![]);
    for (image, matches) in matches.chunks(count.max(1)).enumerate() {
        permutation.turn_to(image);
        let sample = Sampler::RPN.draw(matches, permutation);
        covering.extend(sample.positive.iter().map(|a| (image * count + a) as i64));
        empty.extend(sample.negative.iter().map(|a| (image * count + a) as i64));
        covered.extend(sample.positive.iter().map(|a| objects.first(image) as i64 + matches[*a]));
        at.extend(sample.positive.iter().map(|a| *a as i64));
    }

    let (positives, sampled) = (covering.len() as i64, (covering.len() + empty.len()) as i64);
    let indices = upload(&[covering, empty, at, covered].concat(), Kind::Int64, device);
    let parts = indices.split_with_sizes([sampled, positives, positives], 0);
    let rows = &parts[0];

    let labels = Tensor::zeros([sampled], (kind, device));
    let _ = labels.narrow(0, 0, positives).fill_(1.0);
    let logits = objectness.reshape([-1]).index_select(0, rows).to_kind(kind);
    let divisor = sampled.max(1) as f64;
    let objectness = logits.binary_cross_entropy_with_logits(&labels, None::<&Tensor>, None, Reduction::Sum) / divisor;

    let predicted = deltas.reshape([-1, 4]).index_select(0, &rows.narrow(0, 0, positives)).to_kind(kind);
    let wanted = BoxCoder::ANCHOR.encode(&boxes.index_select(0, &parts[2]), &anchors.index_select(0, &parts[1]));
    let distance = predicted.smooth_l1_loss(&wanted, Reduction::Sum, SMOOTH_L1_BETA) / divisor;
    Losses::sum([("rpn_objectness", objectness), ("rpn_box", distance)], 1.0)
}

/// The matches of every image, `N * A` of them.
fn matches(objects: &Objects, boxes: &Tensor, anchors: &Tensor) -> Vec<i64> {
    let image = |image| Matcher::RPN.matches(&iou_matrix(&objects.of_image(boxes, image), anchors));
    tch::no_grad(|| match objects.images() {
        0 => vec![],
        images => host(&Tensor::stack(&(0..images).map(image).collect::<Vec<_>>(), 0)),
    })
}
