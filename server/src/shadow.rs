//! A version that is asked what another one is asked, and whose answers are only compared. It never costs a request anything: it is asked
//! after the answer is there, when nothing waits for it and there is memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::web::Data;
use schemas::{Labels, prediction::Detection};

use crate::{
    backend::{Description, Job, Predictions, ServedModel},
    error::ServerError,
    prepare::Work,
    state::State,
};

/// Overlap (intersection over union) of two boxes from which on they are about one object.
const SAME_BOX: f32 = 0.5;
/// Probability from which on a label of a multi-label model is meant.
const MEANT: f32 = 0.5;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Both say the same: the same labels, and boxes of the same objects.
    Equal,
    /// They do not.
    Different,
    /// The shadow has no answer.
    Failed,
    /// It was not asked: it had others to answer, there was no memory, or it takes other images.
    Skipped,
}

impl Outcome {
    /// Name in the metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Different => "different",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Counts of a shadow.
#[derive(Default)]
pub struct Comparisons {
    outcomes: Mutex<BTreeMap<Outcome, u64>>,
    /// Sum of the largest difference of a score or probability in each comparison, in millionths.
    differences: AtomicU64,
}

impl Comparisons {
    fn count(&self, outcome: Outcome, difference: f32) {
        *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
        // A difference of two scores is at most 1.
        self.differences.fetch_add((f64::from(difference) * 1e6) as u64, Ordering::Relaxed);
    }

    /// How often each came.
    #[must_use]
    pub fn outcomes(&self) -> Vec<(Outcome, u64)> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(&outcome, &n)| (outcome, n)).collect()
    }

    /// Sum of the largest difference of a score or probability in each comparison.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.differences.load(Ordering::Relaxed) as f64 / 1e6
    }
}

impl Work {
    /// What the model says about the images of these jobs. Its shadow, if it has one, is asked the same afterwards.
    ///
    /// # Errors
    /// Those of [`State::infer_all`].
    pub(crate) async fn ask(&self, jobs: Vec<Job>) -> Result<Predictions, ServerError> {
        let Some(shadow) = &self.shadow else {
            return self.state.infer_all(&self.model, jobs).await;
        };
        let copies = copies(&self.state, &self.model.description, shadow, &jobs);
        let predictions = self.state.infer_all(&self.model, jobs).await?;
        match copies {
            Some(copies) => {
                let (state, shadow, expected) = (self.state.clone(), Arc::clone(shadow), predictions.clone());
                tokio::spawn(question(state, shadow, copies, expected));
            }
            None => shadow.metrics.shadow.count(Outcome::Skipped, 0.0),
        }
        Ok(predictions)
    }
}

/// The jobs once more, for the shadow; none when it is not to be asked.
fn copies(state: &State, about: &Description, shadow: &ServedModel, jobs: &[Job]) -> Option<Vec<Job>> {
    let other = &shadow.description;
    let takes_the_same = about.form == other.form
        && about.outputs == other.outputs
        && about.meta.preprocessing == other.meta.preprocessing
        && about.meta.labels == other.meta.labels;
    // A request may have chosen another size than both files were made for.
    let takes_all = jobs.iter().all(|job| other.takes(job.batch.images.shape()));
    if !takes_the_same || !takes_all || shadow.waiting() > 0 {
        return None;
    }
    let copy = |job: &Job| {
        let reservation = state.admission.budget.reserve(job.batch.images.len() as u64).ok()?;
        let batch = job.batch.clone();
        Some(Job { batch, timings: Arc::default(), reservation: Some(reservation), permit: None })
    };
    jobs.iter().map(copy).collect()
}

async fn question(state: Data<State>, shadow: Arc<ServedModel>, jobs: Vec<Job>, expected: Predictions) {
    let (outcome, difference) = match state.infer_all(&shadow, jobs).await {
        Ok(found) => {
            let compared = compare(&expected, &found, shadow.description.meta.task.labels());
            (if compared.same { Outcome::Equal } else { Outcome::Different }, compared.difference)
        }
        Err(_) => (Outcome::Failed, 0.0),
    };
    shadow.metrics.shadow.count(outcome, difference);
}

/// How two answers compare.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Compared {
    same: bool,
    /// Largest difference of two scores or probabilities.
    difference: f32,
}

fn compare(expected: &Predictions, found: &Predictions, labels: Labels) -> Compared {
    let different = Compared { same: false, difference: 0.0 };
    match (expected, found) {
        (Predictions::Probabilities(expected), Predictions::Probabilities(found)) if expected.dim() == found.dim() => {
            let difference = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            let same = |(a, b): (&[f32], &[f32])| match labels {
                Labels::Classes => a.iter().zip(b).all(|(a, b)| (*a > MEANT) == (*b > MEANT)),
                Labels::Class | Labels::Boxes | Labels::Outlines => best(a) == best(b),
            };
            let rows = expected.rows().into_iter().zip(found.rows());
            let same = rows.filter_map(|(a, b)| Some((a.to_slice()?, b.to_slice()?))).all(same);
            Compared { same, difference }
        }
        (Predictions::Boxes(expected), Predictions::Boxes(found)) if expected.len() == found.len() => {
            let images = expected.iter().zip(found).map(|(a, b)| objects(a, b));
            images.fold(Compared { same: true, difference: 0.0 }, |all, one| Compared {
                same: all.same && one.same,
                difference: all.difference.max(one.difference),
            })
        }
        (Predictions::Probabilities(_) | Predictions::Boxes(_), _) => different,
    }
}

/// Compares the objects in an image: each is to have a partner of the same label in nearly the same place.
fn objects(expected: &[Detection], found: &[Detection]) -> Compared {
    let mut left: Vec<&Detection> = found.iter().collect();
    let mut all = Compared { same: expected.len() == found.len(), difference: 0.0 };
    for one in expected {
        let is_partner =
            |other: &&Detection| other.label == one.label && overlap(&one.corners, &other.corners) >= SAME_BOX;
        match left.iter().position(is_partner) {
            Some(at) => all.difference = all.difference.max((left.remove(at).score - one.score).abs()),
            None => all.same = false,
        }
    }
    all
}

/// Intersection over union of two boxes (x1, y1, x2, y2); 0 where neither has an area.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[x1, y1, x2, y2]: [f32; 4]| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let union = area(*a) + area(*b) - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn answers_that_name_the_same_are_equal() {
        let rows = |rows| Predictions::Probabilities(rows);
        let of = |a: &Predictions, b: &Predictions, labels| {
            let found = compare(a, b, labels);
            (found.same, (found.difference * 100.0).round() / 100.0)
        };
        let one = rows(array![[0.2, 0.8], [0.6, 0.4]]);
        assert_eq!(of(&one, &rows(array![[0.3, 0.7], [0.9, 0.1]]), Labels::Class), (true, 0.3));
        assert_eq!(of(&one, &rows(array![[0.3, 0.7], [0.4, 0.6]]), Labels::Class), (false, 0.2));
        assert!(!of(&one, &rows(array![[0.2, 0.8]]), Labels::Class).0);
        assert_eq!(of(&rows(array![[0.6, 0.8]]), &rows(array![[0.9, 0.6]]), Labels::Classes), (true, 0.3));
        assert_eq!(of(&rows(array![[0.6, 0.8]]), &rows(array![[0.4, 0.8]]), Labels::Classes), (false, 0.2));
        let found = |corners, score, label| Detection { corners, score, label, mask: None };
        let boxes = |found: &[Detection]| Predictions::Boxes(vec![found.to_vec()]);
        let a = boxes(&[found([0.0, 0.0, 10.0, 10.0], 0.9, 1)]);
        let near = found([1.0, 0.0, 10.0, 10.0], 0.7, 1);
        let far = found([8.0, 8.0, 20.0, 20.0], 0.9, 1);
        let other = found([0.0, 0.0, 10.0, 10.0], 0.9, 0);
        assert_eq!(of(&a, &boxes(std::slice::from_ref(&near)), Labels::Boxes), (true, 0.2));
        for wrong in [&[far][..], &[other], &[], &[near.clone(), near]] {
            assert!(!of(&a, &boxes(wrong), Labels::Boxes).0, "{wrong:?}");
        }
        assert!(of(&boxes(&[]), &boxes(&[]), Labels::Boxes).0);
        assert!(!of(&one, &boxes(&[]), Labels::Boxes).0);
        assert_eq!(overlap(&[0.0; 4], &[0.0; 4]), 0.0);
    }
}
