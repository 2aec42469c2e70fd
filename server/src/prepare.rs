//! Preparation of a request's images: decoded, cut into tiles and resized where the model needs it, and grouped by size into
//! batches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::web::Data;
use futures_util::future::try_join_all;
use models::host::{self, DecodeError, Header, Resizer, Rgb, Tile};
use ndarray::Array4;
use runtime::Form;
use schemas::{
    Preprocessing,
    prediction::{Thresholds, Tiling},
    preprocessing::Fit,
};
use tokio::time::timeout_at;

use crate::{
    admit::{Permit, Reservation},
    backend::{Batch, Job, ServedModel},
    catalogue::Found,
    config::Limits,
    error::ServerError,
    metrics::{Stage, Timings},
    request::RequestOptions,
    state::State,
};

/// Memory of a decoded image while it is prepared, per pixel: itself, a tile cut from it, and that resized along one side.
const DECODED_BYTES: u64 = 9;
/// Memory of a prepared part, per pixel: once as an image, once as part of a batch.
const PART_BYTES: u64 = 6;

/// An image, or one of its tiles, as the model takes it, and its share of the memory budget.
pub(crate) struct Part {
    image: Rgb,
    /// Height and width before it was prepared.
    size: [i64; 2],
    reservation: Reservation,
}

/// A decoded image, of which only the parts are left. Width and height in pixels.
pub(crate) struct Original {
    pub width: u32,
    pub height: u32,
    /// None where only the whole image is run.
    pub tiles: Vec<Tile>,
}

/// Images that came as one tensor.
pub(crate) struct Pixels {
    pub images: Array4<u8>,
    pub sizes: Option<Vec<[i64; 2]>>,
    pub reservation: Reservation,
}

/// One request's images on their way to a model.
pub(crate) struct Work {
    pub state: Data<State>,
    pub model: Arc<ServedModel>,
    /// A version of it whose answers are compared with its own.
    pub shadow: Option<Arc<ServedModel>>,
    pub timings: Arc<Timings>,
    pub permit: Permit,
    /// How long the answer may take, from `start` on.
    limit: Duration,
    start: Instant,
}

impl Work {
    /// The work of a request for a model, whose stages are timed from now on.
    pub(crate) fn new(state: Data<State>, found: Found, timings: Arc<Timings>, permit: Permit) -> Self {
        let Found { model, shadow } = found;
        timings.belong_to(&model.metrics);
        let limit = state.limits.answer_time();
        Self { state, model, shadow, timings, permit, limit, start: Instant::now() }
    }

    /// The client wants its answer within so many microseconds; 0 is as long as the server takes.
    pub(crate) fn hurry(&mut self, microseconds: u64) {
        if microseconds > 0 {
            self.limit = self.limit.min(Duration::from_micros(microseconds));
        }
    }

    /// What `answer` comes to, if that is in time. If not, it is dropped, and with it what still waits for a thread or a worker.
    ///
    /// # Errors
    /// [`ServerError::Late`], and what `answer` ends with.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, ServerError>>,
    ) -> Result<T, ServerError> {
        let milliseconds = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
        let end = (self.start + self.limit).into();
        timeout_at(end, answer).await.unwrap_or(Err(ServerError::Late { milliseconds }))
    }

    /// Most images in one batch.
    pub(crate) fn max_batch(&self) -> usize {
        usize::try_from(self.state.limits.max_batch).unwrap_or(usize::MAX)
    }

    /// Decodes and prepares encoded images, several at once where there are threads for it.
    pub(crate) async fn prepare<B>(
        &self,
        images: Vec<B>,
        options: &RequestOptions,
    ) -> Result<Vec<(Original, Vec<Part>)>, ServerError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        try_join_all(images.into_iter().enumerate().map(|(index, bytes)| {
            let (how, permit) = (self.preparation(options), self.permit.clone());
            self.state.pool.run_while_wanted(move |wanted| {
                let _permit = permit;
                let encoded = Encoded { index, bytes: bytes.as_ref(), wanted };
                how.prepare(&encoded, &how.weigh(&encoded)?)
            })
        }))
        .await
    }

    /// How its images are prepared.
    pub(crate) fn preparation(&self, options: &RequestOptions) -> Preparation {
        let about = &self.model.description;
        Preparation {
            state: self.state.clone(),
            timings: Arc::clone(&self.timings),
            preprocessing: about.meta.preprocessing.with_fit(options.fit),
            inside: Inside { form: about.form, fit: options.fit, tiling: options.tiling },
        }
    }

    /// Groups neighbours of one size into batches of at most `max_batch`.
    pub(crate) fn batches(
        &self,
        parts: Vec<Part>,
        thresholds: Thresholds<Option<f32>>,
    ) -> Result<Vec<Job>, ServerError> {
        let most = self.max_batch();
        let mut groups: Vec<Vec<Part>> = Vec::new();
        for part in parts {
            let size = (part.image.height, part.image.width);
            match groups.last_mut() {
                Some(group) if group.len() < most && (group[0].image.height, group[0].image.width) == size => {
                    group.push(part);
                }
                _ => groups.push(vec![part]),
            }
        }
        groups.into_iter().map(|group| self.batch(group, thresholds)).collect()
    }

    fn batch(&self, group: Vec<Part>, thresholds: Thresholds<Option<f32>>) -> Result<Job, ServerError> {
        let n = group.len();
        let sizes = self.model.description.takes_sizes().then(|| group.iter().map(|part| part.size).collect());
        let mut parts = group.into_iter();
        let Some(Part { image, mut reservation, .. }) = parts.next() else {
            return Err(ServerError::Internal);
        };
        let shape = (n, image.height as usize, image.width as usize, 3);
        let mut data = image.data;
        data.reserve_exact(data.len() * (n - 1));
        for next in parts {
            data.extend_from_slice(&next.image.data);
            reservation.absorb(next.reservation);
        }
        let images = Array4::from_shape_vec(shape, data).map_err(|_| ServerError::Internal)?;
        Ok(self.job(Batch { images, sizes, thresholds }, Some(reservation)))
    }

    pub(crate) fn job(&self, batch: Batch, reservation: Option<Reservation>) -> Job {
        Job { batch, timings: Arc::clone(&self.timings), reservation, permit: Some(self.permit.clone()) }
    }
}

/// One image of a request.
pub(crate) struct Encoded<'a> {
    /// Position in the request.
    pub index: usize,
    pub bytes: &'a [u8],
    /// Whether somebody still waits for it.
    pub wanted: &'a dyn Fn() -> bool,
}

impl Encoded<'_> {
    /// What the image's structure says. The memory for reading that is taken before.
    pub(crate) fn probe(&self, state: &State) -> Result<Header, ServerError> {
        let _reservation = state.admission.budget.reserve(host::probe_memory(self.bytes))?;
        host::probe(self.bytes, &state.limits.decode()).map_err(|error| self.refuse(&error, &state.limits))
    }

    /// Decodes it, for as long as somebody waits and the limit of time allows. The caller has taken the memory.
    pub(crate) fn decode(&self, state: &State, timings: &Timings) -> Result<Rgb, ServerError> {
        let end = Instant::now() + state.limits.decode_time();
        let go_on = || Instant::now() < end && (self.wanted)();
        timings
            .time(Stage::Decode, || host::decode_while(self.bytes, &state.limits.decode(), &go_on))
            .map_err(|error| self.refuse(&error, &state.limits))
    }

    /// A decoder's refusal.
    fn refuse(&self, error: &DecodeError, limits: &Limits) -> ServerError {
        let (index, reason) = (self.index, error.to_string());
        match error {
            DecodeError::TooManyBytes { .. }
            | DecodeError::SideTooLong { .. }
            | DecodeError::TooManyPixels { .. }
            | DecodeError::TooCostly { .. } => ServerError::ImageTooLarge { index, reason },
            DecodeError::Stopped => {
                let seconds = limits.decode_timeout;
                let reason = format!("the image takes more than {seconds} s to decode, the limit; make it smaller");
                ServerError::ImageTooLarge { index, reason }
            }
            DecodeError::Empty
            | DecodeError::UnknownFormat
            | DecodeError::Unsupported { .. }
            | DecodeError::Lossy { .. }
            | DecodeError::Foreign { .. }
            | DecodeError::Truncated { .. }
            | DecodeError::Corrupt { .. } => ServerError::Image { index, reason },
        }
    }
}

/// Memory of an image of such a header, from the first step of decoding to the last of preparing.
pub(crate) fn decoded_memory(header: &Header) -> u64 {
    header.memory.max(u64::from(header.width) * u64::from(header.height) * DECODED_BYTES)
}

/// How images are prepared for a model. Owned by the thread that does it.
pub(crate) struct Preparation {
    state: Data<State>,
    timings: Arc<Timings>,
    preprocessing: Preprocessing,
    inside: Inside,
}

/// An image's header, and what it takes.
pub(crate) struct Weight {
    header: Header,
    pub need: Need,
}

/// Memory that an image takes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// While it is decoded and prepared, its parts included.
    pub peak: u64,
    /// From then on until it is answered.
    pub kept: u64,
}

impl Preparation {
    /// Reads the image's header, and says what the image takes.
    pub(crate) fn weigh(&self, encoded: &Encoded<'_>) -> Result<Weight, ServerError> {
        let header = encoded.probe(&self.state)?;
        let (width, height) = (header.width, header.height);
        let need = self.need(&header, &Size { index: encoded.index, width, height })?;
        Ok(Weight { header, need })
    }

    /// What an image of this header takes at this size.
    fn need(&self, header: &Header, size: &Size) -> Result<Need, ServerError> {
        let inside = check_inside(size, self.state.limits.max_pixels, &self.inside)?;
        let decoded = decoded_memory(header);
        Ok(match self.inside.form {
            Form::Prepared => Need { peak: decoded + inside * PART_BYTES, kept: inside * PART_BYTES },
            Form::Whole => Need { peak: decoded, kept: u64::from(size.width) * u64::from(size.height) * PART_BYTES },
        })
    }

    /// The image and its parts, the whole of it first. The memory of all of them is taken before anything is decoded.
    pub(crate) fn prepare(&self, encoded: &Encoded<'_>, weight: &Weight) -> Result<(Original, Vec<Part>), ServerError> {
        let (state, tiling) = (&self.state, &self.inside.tiling);
        let mut reservation = state.admission.budget.reserve(weight.need.peak)?;
        let decoded = encoded.decode(state, &self.timings)?;
        // The header's sides are those before the image was turned upright; tiles may then come out a little larger.
        let (width, height) = (decoded.width, decoded.height);
        let upright = self.need(&weight.header, &Size { index: encoded.index, width, height })?;
        if upright.peak > weight.need.peak {
            reservation.absorb(state.admission.budget.reserve(upright.peak - weight.need.peak)?);
        }
        let mut original = Original { width, height, tiles: Vec::new() };
        let images = match self.inside.form {
            Form::Whole => vec![(decoded, [i64::from(height), i64::from(width)])],
            Form::Prepared => {
                original.tiles = host::tiles(width, height, tiling.grid, tiling.overlap);
                self.timings.time(Stage::Prepare, || parts(&decoded, &original.tiles, &self.preprocessing))
            }
        };
        // Twice their size: once as an image, once as part of a batch.
        let kept = images.iter().map(|(image, _)| image.data.len() as u64 * 2).sum();
        reservation.shrink_to(kept);
        let mut reservation = Some(reservation);
        let mut own = || match reservation.take() {
            Some(all) => Ok(all),
            None => state.admission.budget.reserve(0),
        };
        let part = |(image, size)| Ok(Part { image, size, reservation: own()? });
        let parts: Result<Vec<Part>, ServerError> = images.into_iter().map(part).collect();
        Ok((original, parts?))
    }
}

/// The whole image and each tile, prepared, with their heights and widths before that.
fn parts(decoded: &Rgb, tiles: &[Tile], preprocessing: &Preprocessing) -> Vec<(Rgb, [i64; 2])> {
    let mut resizer = Resizer::default();
    let mut one =
        |image: &Rgb| (resizer.prepare(image, preprocessing), [i64::from(image.height), i64::from(image.width)]);
    let mut all = vec![one(decoded)];
    all.extend(tiles.iter().map(|&tile| one(&host::cut(decoded, tile))));
    all
}

/// What an image becomes inside of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside {
    pub form: Form,
    /// How it is fitted to the network.
    pub fit: Fit,
    pub tiling: Tiling,
}

/// The size of an image in pixels, and its position in the request.
pub(crate) struct Size {
    pub index: usize,
    pub width: u32,
    pub height: u32,
}

/// Pixels that an image becomes for the network, its tiles included, as far as that can be many: a `whole` classifier resizes one
/// axis before it cuts, so that a small image can become a large one on the way; each tile of a detector's image becomes as large
/// as the image itself.
///
/// # Errors
/// [`ServerError::ImageTooLarge`] when they are more than `max_pixels`.
pub(crate) fn check_inside(size: &Size, max_pixels: u64, inside: &Inside) -> Result<u64, ServerError> {
    let &Size { index, width, height } = size;
    let Inside { form, fit, tiling } = inside;
    if width == 0 || height == 0 {
        return Ok(0);
    }
    let pixels = |width: u32, height: u32| {
        let place = host::Placement::of(width, height, fit);
        match (fit, form) {
            (Fit::Crop { .. }, Form::Whole) => place.most_on_the_way(width, height),
            (Fit::Crop { .. }, Form::Prepared) | (Fit::Letterbox { .. } | Fit::Shorter { .. }, _) => {
                u64::from(place.width) * u64::from(place.height)
            }
        }
    };
    let tiles = host::tiles(width, height, tiling.grid, tiling.overlap);
    let inside = pixels(width, height) + tiles.iter().map(|tile| pixels(tile.width(), tile.height())).sum::<u64>();
    if inside <= max_pixels {
        return Ok(inside);
    }
    let parts = if tiles.is_empty() { String::new() } else { format!(" and its {} tiles", tiles.len()) };
    let help = if tiles.is_empty() { "crop it" } else { "ask for fewer tiles" };
    let reason = format!(
        "the image is {width}x{height} pixels; it{parts} become {inside} in the model, the limit is {max_pixels}; {help}"
    );
    Err(ServerError::ImageTooLarge { index, reason })
}
