//! The image of a request with what was found in it drawn on it.

use std::sync::Arc;

use models::host::{self, Rgb, caption, draw};
use schemas::{
    Labels,
    prediction::{Detection, Drawing},
};

use crate::{
    backend::{Description, Predictions},
    error::ServerError,
    metrics::Stage,
    prepare::{Encoded, Work, decoded_memory},
    request::RequestOptions,
};

/// Labels below the image of a classifier where a request does not say how many.
const LABELS: usize = 3;
/// Most labels below an image.
const MOST_LABELS: usize = 20;
/// Quality of a JPEG, of 100.
const QUALITY: u8 = 90;
/// Memory for drawing, per pixel of what is drawn: what is drawn on, and its file at the worst.
const DRAWN_BYTES: u64 = 6;

/// What is drawn on an image.
enum Marks {
    /// Lines of text below it.
    Lines(Vec<String>),
    /// Objects with their labels; a pixel is of one from this probability on.
    Objects(Vec<Detection>, Vec<String>, f32),
}

impl Work {
    /// The file of the one image of a request with what was found in it.
    ///
    /// # Errors
    /// There is no memory for it, or it cannot be decoded any more.
    pub(crate) async fn draw(
        &self,
        bytes: Vec<u8>,
        predictions: &Predictions,
        options: &RequestOptions,
        drawing: Drawing,
    ) -> Result<Vec<u8>, ServerError> {
        let marks = marks(predictions, &self.model.description, options)?;
        let (state, timings, permit) = (self.state.clone(), Arc::clone(&self.timings), self.permit.clone());
        let drawn = self.state.pool.run_while_wanted(move |wanted| {
            let _permit = permit;
            let encoded = Encoded { index: 0, bytes: &bytes, wanted };
            let header = encoded.probe(&state)?;
            let mut reservation = state.admission.budget.reserve(decoded_memory(&header))?;
            let image = encoded.decode(&state, &timings)?;
            let band = match &marks {
                Marks::Lines(lines) => caption::height(image.width, lines.len()),
                Marks::Objects(..) => 0,
            };
            let pixels = u64::from(image.width) * (u64::from(image.height) + u64::from(band));
            reservation.absorb(state.admission.budget.reserve(pixels * DRAWN_BYTES)?);
            Ok(timings.time(Stage::Render, || {
                let drawn = marks.on(&image);
                drop(image);
                match drawing {
                    Drawing::Jpeg => host::encode_jpeg(&drawn, QUALITY),
                    Drawing::Png => host::encode_png(&drawn),
                }
            }))
        });
        drawn.await
    }
}

impl Marks {
    fn on(&self, image: &Rgb) -> Rgb {
        match self {
            Self::Lines(lines) => caption::below(image, lines),
            Self::Objects(found, labels, threshold) => draw::detections(image, found, labels, *threshold),
        }
    }
}

/// What is drawn of the predictions about one image.
fn marks(predictions: &Predictions, about: &Description, options: &RequestOptions) -> Result<Marks, ServerError> {
    let labels = &about.meta.labels;
    match predictions {
        Predictions::Probabilities(rows) => {
            let probs = rows.rows().into_iter().next().ok_or(ServerError::Internal)?.to_vec();
            let (threshold, usual) = match about.meta.task.labels() {
                Labels::Classes => (about.label_threshold().unwrap_or_default() as f32, MOST_LABELS),
                Labels::Class | Labels::Boxes | Labels::Outlines => (f32::NEG_INFINITY, LABELS),
            };
            let most = options.top.unwrap_or(usual).min(MOST_LABELS);
            Ok(Marks::Lines(caption::classes(labels, &probs, threshold, most)))
        }
        Predictions::Boxes(images) => {
            let found = images.first().ok_or(ServerError::Internal)?.clone();
            Ok(Marks::Objects(found, labels.clone(), options.masks.threshold))
        }
    }
}
