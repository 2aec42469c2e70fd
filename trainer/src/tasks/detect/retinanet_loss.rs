//! The loss of RetinaNet (Lin et al., "Focal loss for dense object detection", ICCV 2017) as torchvision computes it.

use tch::{Kind, Tensor};

use super::boxes::iou_matrix;
use super::coder::BoxCoder;
use super::matcher::{IGNORED, Matcher};
use super::target::{Objects, Target};
use super::transfer::{precise, upload};
use crate::tasks::losses::Losses;

/// The weight of the one right class against `1 - ALPHA` of each wrong one.
const ALPHA: f64 = 0.25;

/// Focal loss of the classes, summed over all anchors but the ignored (part `class`), and L1 of the differences to the
/// objects, summed over the anchors that answer for one (`box`); both divided by the number of those anchors, at least 1,
/// image by image, and averaged over the images.
///
/// `class_logits` `[N, A, K]`, where an object's label is its column, `deltas` `[N, A, 4]`, `anchors` `[A, 4]` in pixels.
/// Everything is dense: the device is never waited for.
pub fn loss(class_logits: &Tensor, deltas: &Tensor, anchors: &Tensor, targets: &[Target]) -> Losses {
    let kind = precise(class_logits.kind());
    let assigned = tch::no_grad(|| Assigned::new(&Objects::of(targets), &anchors.to_kind(kind), class_logits));
    let Some(assigned) = assigned else {
        let zero = class_logits.sum(kind) * 0.0;
        return Losses::sum([("class", zero.shallow_clone()), ("box", zero)], 1.0);
    };
    let class = assigned.class_loss(&class_logits.to_kind(kind));
    let distance = (deltas.to_kind(kind) - assigned.deltas).abs();
    let distance = distance.where_self(&assigned.answers.unsqueeze(-1), &distance.zeros_like());
    let distance = (distance.sum_dim_intlist([1, 2].as_slice(), false, kind) * assigned.image_weight).sum(kind);
    Losses::sum([("class", class), ("box", distance)], 1.0)
}

/// The focal loss with exponent 2 of logits whose classes are absent, without its weight: p^2 (-ln(1 - p)), where p is the
/// probability that a logit stands for. Of a class that is there, it is that of the negative logit.
fn focal(logits: &Tensor) -> Tensor {
    logits.sigmoid().square() * logits.softplus()
}

/// What each anchor of each image should say.
struct Assigned {
    /// Int64 `[N, A]`: the class of an anchor's object; without meaning where there is none.
    class: Tensor,
    /// `[N, A]`: what its classes count for.
    class_weight: Tensor,
    /// Bool `[N, A]`: whether it answers for an object.
    answers: Tensor,
    /// `[N, A, 4]`: the differences to that object; without meaning where there is none.
    deltas: Tensor,
    /// `[N]`: what a box counts for.
    image_weight: Tensor,
}

impl Assigned {
    /// Nothing for no images.
    fn new(objects: &Objects, anchors: &Tensor, logits: &Tensor) -> Option<Self> {
        let (kind, device) = (anchors.kind(), logits.device());
        let (images, count, _) = logits.size3().ok()?;
        if images == 0 {
            return None;
        }
        let boxes = objects.boxes(kind, device);
        let matches = |image| Matcher::RETINANET.matches(&iou_matrix(&objects.of_image(&boxes, image), anchors));
        let matches = Tensor::stack(&(0..objects.images()).map(matches).collect::<Vec<_>>(), 0);
        let answers = matches.ge(0);
        let numbers = answers.sum_dim_intlist(1, false, kind).clamp_min(1.0);
        let image_weight = (numbers * images as f64).reciprocal();
        let class_weight = matches.not_equal(IGNORED).to_kind(kind) * image_weight.unsqueeze(1);
        if objects.is_empty() {
            let class = matches.zeros_like();
            let deltas = Tensor::zeros([images, count, 4], (kind, device));
            return Some(Self { class, class_weight, answers, deltas, image_weight });
        }
        // The objects' classes and where each image's objects begin, in one upload.
        let host: Vec<i64> = objects
            .all()
            .iter()
            .map(|o| o.class)
            .chain((0..objects.images()).map(|i| objects.first(i) as i64))
            .collect();
        let host = upload(&host, Kind::Int64, device).split_with_sizes([objects.all().len() as i64, images], 0);
        // An image without objects may begin behind the last object; its anchors answer for none, so any will do.
        let object = (matches.clamp_min(0) + host[1].unsqueeze(1)).clamp_max(objects.all().len() as i64 - 1).view([-1]);
        let class = host[0].index_select(0, &object).view([images, count]);
        let deltas = BoxCoder::ANCHOR.encode(&boxes.index_select(0, &object).view([images, count, 4]), anchors);
        Some(Self { class, class_weight, answers, deltas, image_weight })
    }

    /// All classes of an anchor count as absent; then the one that is there is taken out and counted as present: what
    /// there is one of per anchor and class is most of the work, and is read and written as seldom as can be.
    fn class_loss(&self, logits: &Tensor) -> Tensor {
        let kind = logits.kind();
        let absent = focal(logits).sum_dim_intlist(2, false, kind) * (1.0 - ALPHA);
        let object = logits.gather(2, &self.class.unsqueeze(2), false).squeeze_dim(2);
        let change = focal(&object.neg()) * ALPHA - focal(&object) * (1.0 - ALPHA);
        ((absent + change * self.answers.to_kind(kind)) * &self.class_weight).sum(kind)
    }
}
