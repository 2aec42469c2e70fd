//! Labels that a trained model doubts: what its predictions of a data set say against what is labelled.

use metrics::Decision;
use metrics::detection::{BoxDoubt, BoxFault};
use report::LabelDoubt;
use schemas::Settings;
use schemas::check::{SuspectKind, SuspectSide};

use super::{Outcome, classify, detect};

/// A label that may be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// What may be wrong.
    pub kind: SuspectKind,
    /// Index of the image in the data set.
    pub index: usize,
    /// Index of the labelled object among those of the image, where it is about one.
    pub object: Option<usize>,
    /// What is labelled, and what the model says; nothing where there is nothing.
    pub given: Option<SuspectSide>,
    /// Likewise.
    pub predicted: Option<SuspectSide>,
    /// How strongly it is doubted, 0 to 1.
    pub score: f64,
}

/// Every label of a data set that predictions contradict, the strongest doubt first: by [`report::doubted_labels`] where images have
/// classes, by [`metrics::detection::doubted_boxes`] where they have objects. `labels` are those of the model, which made the predictions by
/// `settings`.
#[must_use]
pub fn doubts(outcome: &Outcome, labels: &[String], settings: &Settings) -> Vec<Doubt> {
    match outcome {
        Outcome::Classes(outcome) => {
            let doubted = report::doubted_labels(labels.len(), &outcome.probabilities, &outcome.truths);
            doubted.into_iter().filter_map(|doubt| of_label(outcome, labels, doubt)).collect()
        }
        Outcome::Boxes(outcome) => {
            let doubted = outcome.doubts(labels.len(), settings);
            doubted.into_iter().map(|doubt| of_box(outcome, labels, doubt)).collect()
        }
    }
}

fn of_label(outcome: &classify::evaluate::Outcome, labels: &[String], doubt: LabelDoubt) -> Option<Doubt> {
    let side = |said: Decision| SuspectSide {
        label: labels[said.class].clone(),
        probability: Some(f64::from(said.probability)),
        corners: None,
    };
    let (given, predicted) = (doubt.has.map(side), doubt.lacks.map(side));
    let kind = match (&given, &predicted) {
        (Some(_), Some(_)) => SuspectKind::OtherClass,
        (None, Some(_)) => SuspectKind::MissingLabel,
        (Some(_), None) => SuspectKind::SuperfluousLabel,
        (None, None) => return None,
    };
    let index = outcome.indices[doubt.row];
    Some(Doubt { kind, index, object: None, given, predicted, score: f64::from(doubt.score) })
}

fn of_box(outcome: &detect::evaluate::Outcome, labels: &[String], doubt: BoxDoubt) -> Doubt {
    let image = &outcome.results[doubt.image];
    let side = |class: usize, corners: [f64; 4], probability: Option<f64>| SuspectSide {
        label: labels[class].clone(),
        probability,
        corners: Some(corners),
    };
    let kind = match doubt.fault {
        BoxFault::Class => SuspectKind::OtherClass,
        BoxFault::Missing => SuspectKind::MissingBox,
        BoxFault::Place => SuspectKind::MisplacedBox,
        BoxFault::Superfluous => SuspectKind::SuperfluousBox,
    };
    let given = doubt.truth.map(|at| side(image.truth[at].class, image.truth[at].corners, None));
    let found = doubt.found.map(|at| image.found[at]);
    let predicted = found.map(|one| side(one.class, one.corners, Some(one.score)));
    Doubt { kind, index: outcome.indices[doubt.image], object: doubt.truth, given, predicted, score: doubt.score }
}

impl Doubt {
    /// What may be wrong, in words.
    #[must_use]
    pub fn message(&self) -> String {
        let said = |side: &Option<SuspectSide>| side.as_ref().map(described).unwrap_or_default();
        let (given, predicted) = (said(&self.given), said(&self.predicted));
        match self.kind {
            SuspectKind::OtherClass => format!("labelled {given}, looks like {predicted}"),
            SuspectKind::MissingLabel => format!("shows {predicted}, which it is not labelled with"),
            SuspectKind::SuperfluousLabel => format!("labelled {given}, which is not seen in it"),
            SuspectKind::MissingBox => format!("{predicted} has no box"),
            SuspectKind::MisplacedBox => format!("the box of {given} lies beside {predicted}"),
            SuspectKind::SuperfluousBox => format!("nothing is found in the box of {given}"),
        }
    }
}

/// A class, how probable it is, and where it is.
fn described(side: &SuspectSide) -> String {
    let mut text = format!("{:?}", side.label);
    if let Some(probability) = side.probability {
        text.push_str(&format!(" ({probability:.2})"));
    }
    if let Some([left, top, right, bottom]) = side.corners {
        text.push_str(&format!(" at {left:.0},{top:.0} to {right:.0},{bottom:.0}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use metrics::Truths;
    use metrics::detection::{Found, ImageResult, Truth};

    use super::*;

    fn labels() -> Vec<String> {
        ["cat", "dog"].map(str::to_owned).into()
    }

    fn told(outcome: &Outcome) -> Vec<(usize, String)> {
        let doubts = doubts(outcome, &labels(), &Settings::default());
        doubts.iter().map(|doubt| (doubt.index, doubt.message())).collect()
    }

    #[test]
    fn labels_are_told_with_the_image_they_are_of() {
        let of = |truths, probabilities: &[f32]| {
            let indices = vec![4, 6, 7];
            Outcome::Classes(classify::evaluate::Outcome { probabilities: probabilities.to_vec(), truths, indices })
        };
        let one = of(Truths::One(vec![0, 0, 1]), &[0.9, 0.1, 0.0625, 0.9375, 0.125, 0.875]);
        assert_eq!(told(&one), [(6, "labelled \"cat\" (0.06), looks like \"dog\" (0.94)".to_owned())]);
        let sets = Truths::sets(vec![vec![0], vec![0], vec![1]]);
        let any = of(sets, &[0.9, 0.1, 0.0, 0.125, 0.1, 0.9]);
        assert_eq!(told(&any), [(6, "labelled \"cat\" (0.00), which is not seen in it".to_owned())]);
    }

    #[test]
    fn boxes_are_told_with_where_they_are() {
        let (a, b) = ([0.0, 0.0, 40.0, 40.0], [100.0, 0.0, 140.0, 40.0]);
        let truth = |class| Truth { corners: a, class, is_crowd: false };
        let found = |corners, class| Found { corners, class, score: 0.75 };
        let right = |class| ImageResult { truth: vec![truth(class)], found: vec![found(a, class)], masks: None };
        let wrong = ImageResult { truth: vec![truth(0)], found: vec![found(b, 1), found(a, 1)], masks: None };
        let results = vec![right(0), right(1), wrong];
        let outcome = detect::evaluate::Outcome { results, indices: vec![1, 2, 3], ..Default::default() };
        let class = "labelled \"cat\" at 0,0 to 40,40, looks like \"dog\" (0.75) at 0,0 to 40,40".to_owned();
        let missing = "\"dog\" (0.75) at 100,0 to 140,40 has no box".to_owned();
        assert_eq!(told(&Outcome::Boxes(outcome)), [(3, missing), (3, class)]);
    }
}
