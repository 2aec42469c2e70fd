//! Answers to a request: prepared images are run, boxes of tiles are merged, and a classifier's answer is explained by occlusion
//! (an exported file has no gradients, but it can be run again with parts of the image hidden).

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use models::host::{self, Attribution, Merge, MergeRule, Occlusion};
use ndarray::{Array4, ArrayView4, Axis};
use runtime::Form;
use schemas::{
    Labels,
    prediction::{Attributions, Thresholds, Visualizations, XaiParameters},
    preprocessing::Fit,
};

use crate::{
    admit::Reservation,
    backend::{Batch, Predictions},
    error::ServerError,
    metrics::Stage,
    prepare::{Encoded, Original, Part, Pixels, Work, decoded_memory},
    request::RequestOptions,
};

/// Most labels of one answer that are explained: each is a drawing, and an array, of its own.
const MOST_LABELS: usize = 8;
/// Memory for what is answered about one pixel of one label, text included.
const ANSWER_BYTES: u64 = 64;

/// The explanation of one answer, and the memory that it takes.
pub(crate) struct Explained {
    pub visualizations: Option<Visualizations>,
    pub attributions: Option<Attributions>,
    _reservation: Reservation,
}

/// Predictions about images that came encoded.
pub(crate) struct Predicted {
    pub originals: Vec<Original>,
    /// As many as originals.
    pub predictions: Predictions,
}

impl Work {
    /// Decodes, prepares and runs encoded images, each with its tiles, and merges what was found in them.
    pub(crate) async fn predict<B>(&self, images: Vec<B>, options: RequestOptions) -> Result<Predicted, ServerError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let prepared = self.prepare(images, &options).await?;
        self.run(prepared, options).await
    }

    /// Runs prepared images, each with its tiles, and merges what was found in them.
    pub(crate) async fn run(
        &self,
        prepared: Vec<(Original, Vec<Part>)>,
        options: RequestOptions,
    ) -> Result<Predicted, ServerError> {
        let (originals, parts): (Vec<Original>, Vec<Vec<Part>>) = prepared.into_iter().unzip();
        let jobs = self.batches(parts.into_iter().flatten().collect(), options.thresholds)?;
        let predictions = self.ask(jobs).await?;
        if originals.iter().all(|original| original.tiles.is_empty()) {
            return Ok(Predicted { originals, predictions });
        }
        let (timings, permit) = (Arc::clone(&self.timings), self.permit.clone());
        let merged = self.state.pool.run(move || {
            let _permit = permit;
            timings.time(Stage::Render, || merge(originals, predictions, &options))
        });
        merged.await
    }

    /// Runs images that came as pixels, in batches of at most `max_batch`.
    pub(crate) async fn predict_pixels(
        &self,
        pixels: Pixels,
        thresholds: Thresholds<Option<f32>>,
    ) -> Result<Predictions, ServerError> {
        let Pixels { images, sizes, reservation } = pixels;
        let most = self.max_batch();
        let mut reservation = Some(reservation);
        let jobs = if images.dim().0 <= most {
            vec![self.job(Batch { images, sizes, thresholds }, reservation)]
        } else {
            let mut sizes = sizes.as_ref().map(|sizes| sizes.chunks(most));
            let chunk = |images: ArrayView4<'_, u8>| {
                let sizes = sizes.as_mut().map(|sizes| sizes.next().unwrap_or_default().to_vec());
                self.job(Batch { images: images.to_owned(), sizes, thresholds }, reservation.take())
            };
            images.axis_chunks_iter(Axis(0), most).map(chunk).collect()
        };
        self.ask(jobs).await
    }
}

/// One prediction about each image from those about its parts.
fn merge(
    originals: Vec<Original>,
    predictions: Predictions,
    options: &RequestOptions,
) -> Result<Predicted, ServerError> {
    let Predictions::Boxes(found) = predictions else {
        return Err(ServerError::Internal);
    };
    let mut found = found.into_iter();
    let mut merged = Vec::with_capacity(originals.len());
    for original in &originals {
        let whole = found.next().ok_or(ServerError::Internal)?;
        let mut tiles = Vec::with_capacity(original.tiles.len());
        for &tile in &original.tiles {
            let mut part = found.next().ok_or(ServerError::Internal)?;
            host::shift(&mut part, tile);
            tiles.push((tile, part));
        }
        let how = Merge {
            width: original.width,
            height: original.height,
            threshold: options.tiling.threshold,
            limit: options.max_boxes as usize,
            rule: MergeRule::default(),
        };
        merged.push(host::merge(&whole, &tiles, &how));
    }
    Ok(Predicted { originals, predictions: Predictions::Boxes(merged) })
}

impl Work {
    /// Explains the answer about an image: the most probable class, or every label above the threshold of a multi-label model.
    /// At most [`Occlusion::VIEWS`] views are run, one batch after the other, so that others get their turn in between.
    ///
    /// # Errors
    /// What decoding, the model and the limits say; too many labels above the threshold.
    pub(crate) async fn explain(
        &self,
        (index, bytes): (usize, Vec<u8>),
        p: XaiParameters,
        fit: Fit,
    ) -> Result<Explained, ServerError> {
        let (occlusion, mut reservation) = self.occlusion(index, bytes, fit).await?;
        let occlusion = Arc::new(occlusion);
        let mut rows: Vec<Vec<f32>> = Vec::with_capacity(occlusion.views());
        for from in (0..occlusion.views()).step_by(self.max_batch()) {
            let to = occlusion.views().min(from + self.max_batch());
            let (views, permit) = (Arc::clone(&occlusion), self.permit.clone());
            let images = self.state.pool.run(move || {
                let _permit = permit;
                batch(&views, from, to)
            });
            let part = Batch { images: images.await?, sizes: None, thresholds: Thresholds::default() };
            let Predictions::Probabilities(part) =
                self.state.infer_all(&self.model, vec![self.job(part, None)]).await?
            else {
                return Err(ServerError::Internal);
            };
            rows.extend(part.rows().into_iter().map(|row| row.to_vec()));
        }
        let task = self.model.description.meta.task;
        let several = match task.labels() {
            Labels::Classes => true,
            Labels::Class | Labels::Boxes | Labels::Outlines => false,
        };
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
        let (timings, permit) = (Arc::clone(&self.timings), self.permit.clone());
        let drawn = self.state.pool.run(move || {
            let _permit = permit;
            timings.time(Stage::Render, || Ok(draw(&occlusion, &rows, &targets, several, &p)))
        });
        let (visualizations, attributions) = drawn.await?;
        Ok(Explained { visualizations, attributions, _reservation: reservation })
    }

    /// The views of an image, and memory for them and one batch of them.
    async fn occlusion(&self, index: usize, bytes: Vec<u8>, fit: Fit) -> Result<(Occlusion, Reservation), ServerError> {
        let (state, model, most) = (self.state.clone(), Arc::clone(&self.model), self.max_batch() as u64);
        let (timings, permit) = (Arc::clone(&self.timings), self.permit.clone());
        let made = self.state.pool.run_while_wanted(move |wanted| {
            let _permit = permit;
            let about = &model.description;
            let encoded = Encoded { index, bytes: &bytes, wanted };
            let decoded = decoded_memory(&encoded.probe(&state)?);
            let mut reservation = state.admission.budget.reserve(decoded)?;
            let image = encoded.decode(&state, &timings)?;
            let whole = about.form == Form::Whole;
            let preprocessing = about.meta.preprocessing.with_fit(fit);
            let occlusion = timings.time(Stage::Prepare, || Occlusion::new(&image, &preprocessing, whole));
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

fn draw(
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
