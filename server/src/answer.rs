//! Explanations of a classifier's answer by occlusion: an exported file has no gradients, but it can be asked again with parts
//! of the picture hidden.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use models::host::{self, Attribution, Occlusion};
use ndarray::Array4;
use runtime::{Form, Overrides};
use schemas::{
    Task,
    prediction::{Attributions, Visualizations, XaiAlgorithm, XaiParameters},
};

use crate::{
    admit::Reservation,
    backend::{Answer, Description, Input},
    error::ServerError,
    metrics::Stage,
    prepare::{Encoded, Work, decoded_memory},
};

/// Most labels of one answer that are explained: each is a picture, and an array, of its own.
const MOST_LABELS: usize = 8;
/// Memory for what is answered about one pixel of one label, text included.
const ANSWER_BYTES: u64 = 64;

/// What is answered beside the probabilities, and the memory that it takes.
pub(crate) struct Explained {
    pub visualizations: Option<Visualizations>,
    pub attributions: Option<Attributions>,
    _reservation: Reservation,
}

/// Whether these wishes, one per image, can be fulfilled.
///
/// # Errors
/// [`ServerError::Request`] names what cannot, [`ServerError::TooManyExplained`] when they are too many.
pub(crate) fn check(wishes: &[Option<XaiParameters>], about: &Description, limit: u64) -> Result<(), ServerError> {
    let refuse = |text: String| Err(ServerError::Request(text));
    let mut given = 0;
    for (index, p) in wishes.iter().enumerate().filter_map(|(index, wish)| Some((index, wish.as_ref()?))) {
        given += 1;
        if !about.meta.task.is_classification() {
            return refuse(format!(
                "model_explainability is for classifiers; the task of this model is {}",
                about.meta.task
            ));
        }
        match p.xai_algorithm {
            None | Some(XaiAlgorithm::Occlusion) => {}
            Some(other) => {
                return refuse(format!(
                    "image {index}: xai_algorithm {other} needs gradients, which an exported file does not have; send occlusion, \
                     or none, or ask the trainer: trainer predict --checkpoint RUN --explain {other}"
                ));
            }
        }
        let threshold = p.confidence_score_threshold_multilabel;
        if !(0.0..=1.0).contains(&threshold) {
            return refuse(format!(
                "image {index}: confidence_score_threshold_multilabel {threshold} is not in [0, 1]"
            ));
        }
        if !p.visualizations && !p.attributions {
            return refuse(format!("image {index}: an explanation without visualizations and attributions is none"));
        }
    }
    if given > limit { Err(ServerError::TooManyExplained { given, limit }) } else { Ok(()) }
}

impl Work {
    /// Explains the answer about an image: the most probable class, or every label above the threshold of a multi-label model.
    /// At most [`Occlusion::VIEWS`] views are run, one batch after the other, so that others get their turn in between.
    ///
    /// # Errors
    /// What decoding, the model and the limits say; too many labels above the threshold.
    pub(crate) async fn explain(
        &self,
        index: usize,
        bytes: Vec<u8>,
        p: XaiParameters,
    ) -> Result<Explained, ServerError> {
        let (occlusion, mut reservation) = self.occlusion(index, bytes).await?;
        let occlusion = Arc::new(occlusion);
        let mut rows: Vec<Vec<f32>> = Vec::with_capacity(occlusion.views());
        for from in (0..occlusion.views()).step_by(self.most()) {
            let to = occlusion.views().min(from + self.most());
            let (views, place) = (Arc::clone(&occlusion), self.place.clone());
            let images = self.state.pool.run(move || {
                let _place = place;
                batch(&views, from, to)
            });
            let input = Input { images: images.await?, sizes: None, thresholds: Overrides::default() };
            let Answer::Probabilities(said) = self.state.infer_all(self.model(), vec![self.job(input, None)]).await?
            else {
                return Err(ServerError::Internal);
            };
            rows.extend(said.rows().into_iter().map(|row| row.to_vec()));
        }
        let task = self.model().description.meta.task;
        let several = task == Task::ImageClassificationMultilabel;
        let targets = p.explained(task, rows.first().ok_or(ServerError::Internal)?);
        if targets.len() > MOST_LABELS {
            return Err(ServerError::Request(format!(
                "image {index}: {} labels are above confidence_score_threshold_multilabel {}, at most {MOST_LABELS} are explained; \
                 raise it",
                targets.len(),
                p.confidence_score_threshold_multilabel
            )));
        }
        let (width, height) = occlusion.size();
        let answered = u64::from(width) * u64::from(height) * ANSWER_BYTES * targets.len() as u64;
        reservation.absorb(self.state.admission.budget.reserve(answered)?);
        let (timings, place) = (Arc::clone(&self.timings), self.place.clone());
        let drawn = self.state.pool.run(move || {
            let _place = place;
            timings.time(Stage::Render, || Ok(answer(&occlusion, &rows, &targets, several, &p)))
        });
        let (visualizations, attributions) = drawn.await?;
        Ok(Explained { visualizations, attributions, _reservation: reservation })
    }

    /// The views of an image, and memory for them and one batch of them.
    async fn occlusion(&self, index: usize, bytes: Vec<u8>) -> Result<(Occlusion, Reservation), ServerError> {
        let (state, model, most) = (self.state.clone(), self.model, self.most() as u64);
        let (timings, place) = (Arc::clone(&self.timings), self.place.clone());
        let made = self.state.pool.run_while_wanted(move |wanted| {
            let _place = place;
            let about = &state.models[model].description;
            let encoded = Encoded { index, bytes: &bytes, wanted };
            let decoded = decoded_memory(&encoded.probe(&state)?);
            let mut reservation = state.admission.budget.reserve(decoded)?;
            let image = encoded.decode(&state, &timings)?;
            let whole = about.form == Form::Whole;
            let occlusion = timings.time(Stage::Prepare, || Occlusion::new(&image, &about.meta.preprocessing, whole));
            drop(image);
            let (width, height) = occlusion.size();
            let kept = u64::from(width) * u64::from(height) * 3 * (2 + most);
            reservation.shrink_to(kept);
            if kept > decoded {
                reservation.absorb(state.admission.budget.reserve(kept - decoded)?);
            }
            Ok((occlusion, reservation))
        });
        made.await
    }
}

/// Views `from` up to but not including `to`, uint8 `[n, h, w, 3]`.
fn batch(occlusion: &Occlusion, from: usize, to: usize) -> Result<Array4<u8>, ServerError> {
    let (width, height) = occlusion.size();
    let mut bytes = Vec::with_capacity((to - from) * width as usize * height as usize * 3);
    for at in from..to {
        bytes.extend(occlusion.view(at).data);
    }
    let shape = (to - from, height as usize, width as usize, 3);
    Array4::from_shape_vec(shape, bytes).map_err(|_| ServerError::Internal)
}

fn answer(
    occlusion: &Occlusion,
    rows: &[Vec<f32>],
    targets: &[usize],
    several: bool,
    p: &XaiParameters,
) -> (Option<Visualizations>, Option<Attributions>) {
    let map = |&class: &usize| occlusion.attribution(&rows.iter().map(|row| row[class]).collect::<Vec<f32>>());
    let maps: Vec<Attribution> = targets.iter().map(map).collect();
    let seen = occlusion.seen();
    let png = |map: &Attribution| STANDARD.encode(host::encode_png(&map.drawn(&seen)));
    let visualizations = p.visualizations.then(|| match maps.first() {
        Some(only) if !several => Visualizations::One(png(only)),
        _ => Visualizations::PerLabel(maps.iter().map(png).collect()),
    });
    let attributions = p.attributions.then(|| match maps.first() {
        Some(only) if !several => Attributions::One(only.nested()),
        _ => Attributions::PerLabel(maps.iter().map(Attribution::nested).collect()),
    });
    (visualizations, attributions)
}
