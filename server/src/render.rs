//! What was found in an image, as it is answered.

use std::borrow::Cow;

use schemas::{
    dataset::Corners,
    prediction::{ClassificationAnswer, Detection, ScoredBox},
};

use crate::{answer::Explained, masks::ObjectMask, prepare::Original};

/// The answer about an image of a classifier.
pub(crate) fn classified<'a>(
    filename: String,
    probs: Cow<'a, [f32]>,
    labels: &'a [String],
    explained: Option<&mut Explained>,
) -> ClassificationAnswer<'a> {
    let (visualizations, attributions) =
        explained.map(|one| (one.visualizations.take(), one.attributions.take())).unwrap_or_default();
    ClassificationAnswer { filename: Some(filename), probs, labels: labels.into(), visualizations, attributions }
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
