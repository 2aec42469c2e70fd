//! What was found in an image, as it is answered.

use std::borrow::Cow;

use schemas::{
    dataset::Corners,
    prediction::{ClassificationAnswer, Detection, ScoredBox, ranked},
};

use crate::{answer::Explained, masks::ObjectMask, prepare::Original};

/// The answer about an image of a classifier: all labels in the model's order, or the `top` most probable ones.
pub(crate) fn classified<'a>(
    filename: String,
    probs: &'a [f32],
    labels: &'a [String],
    top: Option<usize>,
    explained: Option<&mut Explained>,
) -> ClassificationAnswer<'a> {
    let (visualizations, attributions) =
        explained.map(|one| (one.visualizations.take(), one.attributions.take())).unwrap_or_default();
    let (probs, labels) = match top {
        None => (Cow::from(probs), Cow::from(labels)),
        Some(most) => {
            let best = ranked(probs).into_iter().take(most);
            let best: (Vec<f32>, Vec<String>) =
                best.filter_map(|at| Some((probs[at], labels.get(at)?.clone()))).unzip();
            (best.0.into(), best.1.into())
        }
    };
    ClassificationAnswer { filename: Some(filename), probs, labels, visualizations, attributions }
}

/// The objects in an image, each with its mask.
pub(crate) fn scored(
    found: &[Detection],
    masks: Vec<ObjectMask>,
    original: &Original,
    labels: &[String],
) -> Vec<ScoredBox> {
    found.iter().zip(masks).map(|(one, mask)| mask.on(boxed(one, original, labels))).collect()
}

/// A detection as fractions of its image.
fn boxed(one: &Detection, original: &Original, labels: &[String]) -> ScoredBox {
    let (width, height) = (f64::from(original.width), f64::from(original.height));
    let share = |at: f32, length: f64| (f64::from(at) / length).clamp(0.0, 1.0);
    let [x1, y1, x2, y2] = one.corners;
    let corners = Corners {
        top_x: share(x1, width),
        top_y: share(y1, height),
        bottom_x: share(x2, width),
        bottom_y: share(y2, height),
    };
    ScoredBox {
        corners,
        label: labels.get(one.label).cloned().unwrap_or_default(),
        score: one.score,
        polygon: None,
        rle: None,
        png: None,
    }
}
