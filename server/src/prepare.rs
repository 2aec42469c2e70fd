//! From the bytes of images to batches that fit a model: decoded, resized where the model wants it, grouped by size.

use std::sync::Arc;

use actix_web::web::Data;
use futures_util::future::try_join_all;
use models::host::{self, DecodeError, Rgb};
use ndarray::Array4;
use runtime::Form;

use crate::{
    admit::{Place, Reservation},
    backend::{Description, Job, ServedModel},
    error::ServerError,
    metrics::{Stage, Timings},
    state::State,
};

/// Peak memory of decoding, per pixel: a 16-bit image with alpha, and its 8-bit copy.
const DECODING_BYTES: u64 = 12;

/// An image as its model wants it, and its share of the memory budget.
pub(crate) struct Prepared {
    image: Rgb,
    reservation: Reservation,
}

/// One request's images on their way to a model.
pub(crate) struct Work {
    pub state: Data<State>,
    /// Position of the model in [`State::models`].
    pub model: usize,
    pub timings: Arc<Timings>,
    pub place: Place,
}

impl Work {
    pub(crate) fn model(&self) -> &ServedModel {
        &self.state.models[self.model]
    }

    /// Decodes and prepares encoded images, several at once where there are threads for it.
    pub(crate) async fn prepare(&self, images: Vec<Vec<u8>>) -> Result<Vec<Prepared>, ServerError> {
        try_join_all(images.into_iter().enumerate().map(|(index, bytes)| {
            let (state, model) = (self.state.clone(), self.model);
            let (timings, place) = (Arc::clone(&self.timings), self.place.clone());
            self.state.pool.run(move || {
                let _place = place;
                prepare(index, &bytes, &state, &state.models[model].description, &timings)
            })
        }))
        .await
    }

    /// Groups neighbours of one size into batches of at most `max_batch`.
    pub(crate) fn batches(&self, images: Vec<Prepared>) -> Result<Vec<Job>, ServerError> {
        let most = usize::try_from(self.state.limits.max_batch).unwrap_or(usize::MAX);
        let mut groups: Vec<Vec<Prepared>> = Vec::new();
        for prepared in images {
            let size = (prepared.image.height, prepared.image.width);
            match groups.last_mut() {
                Some(group) if group.len() < most && (group[0].image.height, group[0].image.width) == size => {
                    group.push(prepared);
                }
                _ => groups.push(vec![prepared]),
            }
        }
        groups.into_iter().map(|group| self.batch(group)).collect()
    }

    fn batch(&self, group: Vec<Prepared>) -> Result<Job, ServerError> {
        let n = group.len();
        let mut images = group.into_iter();
        let Some(Prepared { image, mut reservation }) = images.next() else {
            return Err(ServerError::Internal);
        };
        let shape = (n, image.height as usize, image.width as usize, 3);
        let mut data = image.data;
        data.reserve_exact(data.len() * (n - 1));
        for next in images {
            data.extend_from_slice(&next.image.data);
            reservation.absorb(next.reservation);
        }
        let images = Array4::from_shape_vec(shape, data).map_err(|_| ServerError::Internal)?;
        Ok(self.job(images, Some(reservation)))
    }

    /// Splits decoded images that arrived as one tensor into batches.
    pub(crate) fn split(&self, images: Array4<u8>, reservation: Reservation) -> Vec<Job> {
        let most = usize::try_from(self.state.limits.max_batch).unwrap_or(usize::MAX);
        let mut reservation = Some(reservation);
        if images.dim().0 <= most {
            return vec![self.job(images, reservation)];
        }
        images
            .axis_chunks_iter(ndarray::Axis(0), most)
            .map(|chunk| self.job(chunk.to_owned(), reservation.take()))
            .collect()
    }

    fn job(&self, images: Array4<u8>, reservation: Option<Reservation>) -> Job {
        Job { images, timings: Arc::clone(&self.timings), reservation, place: self.place.clone() }
    }
}

fn prepare(
    index: usize,
    bytes: &[u8],
    state: &State,
    model: &Description,
    timings: &Timings,
) -> Result<Prepared, ServerError> {
    let limits = state.limits.decode();
    let header = host::probe(bytes, &limits).map_err(|e| refuse(index, &e))?;
    check_elongation(index, header.width, header.height, state.limits.max_pixels, model)?;
    let pixels = u64::from(header.width) * u64::from(header.height);
    let mut reservation = state.admission.budget.reserve(pixels * DECODING_BYTES)?;
    let decoded = timings.time(Stage::Decode, || host::decode(bytes, &limits)).map_err(|e| refuse(index, &e))?;
    let image = match model.form {
        Form::Whole => decoded,
        Form::Prepared => timings.time(Stage::Prepare, || host::prepare(&decoded, &model.meta.preprocessing)),
    };
    // Twice its size: once as an image, once as part of a batch.
    reservation.shrink_to(image.data.len() as u64 * 2);
    Ok(Prepared { image, reservation })
}

/// A `whole` graph resizes the shorter side before it cuts, so a very long image becomes a huge one inside it.
pub(crate) fn check_elongation(
    index: usize,
    width: u32,
    height: u32,
    max_pixels: u64,
    model: &Description,
) -> Result<(), ServerError> {
    if model.form == Form::Prepared || width == 0 || height == 0 {
        return Ok(());
    }
    let place = host::Placement::of(width, height, &model.meta.preprocessing.fit);
    let (w, h) = (place.inner_width, place.inner_height);
    if u64::from(w) * u64::from(h) <= max_pixels {
        return Ok(());
    }
    let reason = format!(
        "the image is {width}x{height} pixels and becomes {w}x{h} in the model, the limit is {max_pixels} in all; crop it"
    );
    Err(ServerError::ImageTooLarge { index, reason })
}

fn refuse(index: usize, error: &DecodeError) -> ServerError {
    let reason = error.to_string();
    match error {
        DecodeError::TooManyBytes { .. } | DecodeError::SideTooLong { .. } | DecodeError::TooManyPixels { .. } => {
            ServerError::ImageTooLarge { index, reason }
        }
        DecodeError::Empty
        | DecodeError::UnknownFormat
        | DecodeError::Unsupported { .. }
        | DecodeError::Truncated { .. }
        | DecodeError::Corrupt { .. } => ServerError::Image { index, reason },
    }
}
