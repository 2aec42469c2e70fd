//! What is true of classified examples, and which decisions about them are right.

use schemas::{Labels, Task};
use serde::Serialize;

use super::counts::predictions;

/// A label of a multi-label example is predicted when its probability is above this, where nobody chose another threshold.
pub const THRESHOLD: f32 = 0.5;

/// What is true of each example, and of label sets from when on a label is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Truths {
    /// One class each.
    One(Vec<usize>),
    /// Any number of classes each.
    Any {
        /// The classes of each, ascending.
        sets: Vec<Vec<u32>>,
        /// A label is predicted when its probability is above this; [`THRESHOLD`] unless another was chosen.
        above: f32,
    },
}

/// What a decision is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The class was predicted, and is true.
    Right,
    /// The class was predicted, and is not true.
    Invented,
    /// The class is true, and was not predicted.
    Missed,
}

/// A class that was predicted of an example, or should have been.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The class.
    pub class: usize,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// Whether it is right.
    pub verdict: Verdict,
}

impl Truths {
    /// No example yet of a task that classifies.
    #[must_use]
    pub const fn new(task: Task) -> Self {
        match task.labels() {
            Labels::Classes => Self::sets(Vec::new()),
            Labels::Class | Labels::Boxes | Labels::Outlines => Self::One(Vec::new()),
        }
    }

    /// Label sets that are predicted by the usual threshold.
    #[must_use]
    pub const fn sets(sets: Vec<Vec<u32>>) -> Self {
        Self::Any { sets, above: THRESHOLD }
    }

    /// Has labels of sets predicted when their probability is above `threshold`.
    pub const fn answer_above(&mut self, threshold: f32) {
        match self {
            Self::One(_) => {}
            Self::Any { above, .. } => *above = threshold,
        }
    }

    /// Adds an example with its classes; where each has one, the first counts.
    pub fn push(&mut self, classes: &[u32]) {
        match self {
            Self::One(truths) => truths.extend(classes.first().map(|&class| class as usize)),
            Self::Any { sets, .. } => sets.push(classes.to_vec()),
        }
    }

    /// Adds the examples of others, of the same kind.
    pub fn extend(&mut self, others: Self) {
        match (self, others) {
            (Self::One(all), Self::One(more)) => all.extend(more),
            (Self::Any { sets: all, .. }, Self::Any { sets: more, .. }) => all.extend(more),
            (Self::One(_) | Self::Any { .. }, _) => {}
        }
    }

    /// The probability above which a label of a set is predicted.
    #[must_use]
    pub const fn above(&self) -> f32 {
        match self {
            Self::One(_) => THRESHOLD,
            Self::Any { above, .. } => *above,
        }
    }

    /// Examples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::One(truths) => truths.len(),
            Self::Any { sets, .. } => sets.len(),
        }
    }

    /// Whether there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a class is true of an example.
    #[must_use]
    pub fn holds(&self, example: usize, class: usize) -> bool {
        match self {
            Self::One(truths) => truths[example] == class,
            Self::Any { sets, .. } => sets[example].iter().any(|&one| one as usize == class),
        }
    }

    /// The predicted and the true classes of every example, with row-major probabilities `[N, classes]`: the most probable
    /// class, or those above the threshold, and what was missed, the most probable first. `None` for a row that holds a
    /// value that is not finite, which answers nothing.
    #[must_use]
    pub fn decisions(&self, classes: usize, probabilities: &[f32]) -> Vec<Option<Vec<Decision>>> {
        let predicted = |example: usize, class: usize, best: usize| match self {
            Self::One(_) => class == best,
            Self::Any { above, .. } => probabilities[example * classes + class] > *above,
        };
        let of = |(example, prediction): (usize, super::Prediction)| {
            let best = prediction.class?;
            let judged = |class: usize| {
                let verdict = match (predicted(example, class, best), self.holds(example, class)) {
                    (true, true) => Verdict::Right,
                    (true, false) => Verdict::Invented,
                    (false, true) => Verdict::Missed,
                    (false, false) => return None,
                };
                Some(Decision { class, probability: probabilities[example * classes + class], verdict })
            };
            let mut decisions: Vec<Decision> = (0..classes).filter_map(judged).collect();
            decisions.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            Some(decisions)
        };
        predictions(classes, probabilities).enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(truths: &Truths, probabilities: &[f32]) -> Vec<Option<Vec<(usize, Verdict)>>> {
        let pairs = |all: Vec<Decision>| all.iter().map(|one| (one.class, one.verdict)).collect();
        truths.decisions(3, probabilities).into_iter().map(|all| all.map(pairs)).collect()
    }

    #[test]
    fn one_class_each() {
        let truths = Truths::One(vec![0, 2, 1]);
        let found = told(&truths, &[0.6, 0.3, 0.1, 0.2, 0.5, 0.3, f32::NAN, 0.9, 0.1]);
        let wrong = vec![(1, Verdict::Invented), (2, Verdict::Missed)];
        assert_eq!(found, [Some(vec![(0, Verdict::Right)]), Some(wrong), None]);
    }

    #[test]
    fn any_number_of_classes() {
        let mut truths = Truths::new(Task::ImageClassificationMultilabel);
        [&[0, 2][..], &[], &[]].into_iter().for_each(|classes| truths.push(classes));
        let found = told(&truths, &[0.9, 0.6, 0.5, 0.1, 0.5, 0.2, 0.1, 0.9, f32::INFINITY]);
        let first = vec![(0, Verdict::Right), (1, Verdict::Invented), (2, Verdict::Missed)];
        assert_eq!(found, [Some(first), Some(vec![]), None], "half is not above half");
        assert!(truths.holds(0, 2) && !truths.holds(0, 1));
    }
}
