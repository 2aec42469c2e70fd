//! Inference of the V2 protocol (Open Inference Protocol), whatever carries it: JSON, JSON with bytes behind it, or gRPC. A carrier
//! takes its message apart ([`Asked`]) and writes the tensors of the answer; what they mean is said here, once.
//!
//! The input `images` is either UINT8 `[N, H, W, 3]`, as the model file declares it (with INT64 `sizes` `[N, 2]` where it declares
//! those), or BYTES `[N]`: N encoded images of any size, decoded and prepared by the server.

mod classes;
mod inputs;
mod outputs;

use std::sync::Arc;

use actix_web::web::Data;
use schemas::prediction::{MAX_ID_LENGTH, ModelOption, OptionOf, RequestParameters, RequestedOutput};

pub(crate) use self::{
    inputs::{Elements, Images, Input},
    outputs::{SelectedOutput, Tensor},
};
use crate::{
    admit::{Body, Reservation},
    backend::{Description, Predictions},
    catalogue::Found,
    error::ServerError,
    metrics::{Stage, Timings},
    pool::caught,
    prepare::Work,
    request::{Overrides, RequestOptions},
    state::State,
};

pub(crate) fn bad<T>(text: impl Into<String>) -> Result<T, ServerError> {
    Err(ServerError::Request(text.into()))
}

/// A request, taken apart by its carrier.
pub(crate) struct Asked<'a> {
    pub id: Option<String>,
    pub parameters: RequestParameters,
    pub inputs: Vec<Input<'a>>,
    /// None where the carrier says nothing about outputs.
    pub outputs: Option<Vec<RequestedOutput<'a>>>,
}

/// What a request means to a model.
pub(crate) struct Parsed {
    id: Option<String>,
    images: Images,
    outputs: Vec<SelectedOutput>,
    options: RequestOptions,
    /// Microseconds for the answer; 0 where the client does not say.
    timeout: u64,
}

/// What a request has to fit.
pub(crate) struct Parser<'s> {
    state: &'s State,
    about: &'s Description,
}

impl<'s> Parser<'s> {
    /// What requests to this model have to fit.
    pub(crate) fn new(state: &'s State, about: &'s Description) -> Self {
        Self { state, about }
    }

    /// A request, and the memory of the body that it came in.
    ///
    /// # Errors
    /// What cannot be, names and values of the request included; what is beyond a limit.
    pub(crate) fn understand(&self, asked: Asked<'_>, reservation: Reservation) -> Result<Parsed, ServerError> {
        let Asked { id, parameters, inputs, outputs } = asked;
        if id.as_ref().is_some_and(|id| id.chars().count() > MAX_ID_LENGTH) {
            return bad(format!("id has more than {MAX_ID_LENGTH} characters"));
        }
        let outputs = outputs::select(self.about, parameters.binary_data_output.unwrap_or(false), outputs)?;
        let timeout = parameters.timeout.unwrap_or(0);
        let overrides = Overrides { options: parameters.options(), masks: None };
        let options = RequestOptions::new(&overrides, self.about)?;
        let images = self.images(inputs, reservation)?;
        let of_files = |option: &&ModelOption| match option.of {
            OptionOf::Tiles | OptionOf::Sizes => true,
            OptionOf::Boxes | OptionOf::Masks | OptionOf::Labels => false,
        };
        match (&images, overrides.options.given().find(of_files)) {
            (Images::Tensor(_), Some(option)) => {
                bad(format!("{} is for encoded images (BYTES): pixels are run as they come", option.name))
            }
            (Images::Tensor(_), None) | (Images::Encoded(..), _) => {
                Ok(Parsed { id, images, outputs, options, timeout })
            }
        }
    }

    /// The protocol's raw request: the body is the one element of the one input.
    pub(crate) fn raw(&self, body: Body) -> Result<Parsed, ServerError> {
        let images = Images::Encoded(vec![body.bytes.into()], body.reservation);
        let outputs = SelectedOutput::all(self.about.outputs, true);
        let options = RequestOptions::new(&Overrides::default(), self.about)?;
        Ok(Parsed { id: None, images, outputs, options, timeout: 0 })
    }
}

/// A request for inference whose message is here.
pub(crate) struct Call {
    pub state: Data<State>,
    /// What answers it.
    pub found: Found,
    pub timings: Arc<Timings>,
}

/// Where a message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// On the thread that has received it: it takes less time than another thread does to begin.
    Here,
    /// On a thread of the pool.
    Pool,
}

impl Call {
    /// Takes a permit, has the message read, and runs what it asks for. The work ends when the returned future is dropped.
    ///
    /// # Errors
    /// No permit; what `read` says; an image or a model that fails.
    pub(crate) async fn answer<R>(self, reading: Reading, read: R) -> Result<Answer, ServerError>
    where
        R: FnOnce(&Parser<'_>) -> Result<Parsed, ServerError> + Send + 'static,
    {
        let Self { state, found, timings } = self;
        let permit = state.admission.enter()?;
        let mut work = Work::new(state.clone(), found, timings, permit);
        let (shared, model) = (state.clone(), Arc::clone(&work.model));
        let (times, permit) = (Arc::clone(&work.timings), work.permit.clone());
        let read = move || {
            let _permit = permit;
            let parser = Parser::new(&shared, &model.description);
            times.time(Stage::Decode, || read(&parser))
        };
        let parsed = match reading {
            Reading::Here => caught(read),
            Reading::Pool => state.pool.run(read).await,
        };
        let Parsed { id, images, outputs, options, timeout } = parsed?;
        work.hurry(timeout);
        let predicted = async {
            match images {
                Images::Encoded(images, _reservation) => Ok(work.predict(images, options).await?.predictions),
                Images::Tensor(pixels) => work.predict_pixels(pixels, options.thresholds).await,
            }
        };
        let predictions = work.in_time(predicted).await?;
        Ok(Answer { work, id, outputs, predictions })
    }
}

/// What the model says about a request.
pub(crate) struct Answer {
    work: Work,
    id: Option<String>,
    outputs: Vec<SelectedOutput>,
    predictions: Predictions,
}

/// The same as a message says it.
pub(crate) struct Rendered {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The request's own, where it had one.
    pub id: Option<String>,
    /// Those that were asked for, in that order.
    pub tensors: Vec<Tensor>,
}

impl Answer {
    /// Writes it as the carrier does.
    ///
    /// # Errors
    /// Those of `write`.
    pub(crate) fn render<T>(self, write: impl FnOnce(Rendered) -> Result<T, ServerError>) -> Result<T, ServerError> {
        let Self { work, id, outputs, predictions } = self;
        let about = &work.model.description;
        let (model, version) = (about.name.clone(), about.version.to_string());
        work.timings.time(Stage::Render, || {
            let tensors = outputs::tensors(predictions, &outputs, &about.meta.labels)?;
            write(Rendered { model, version, id, tensors })
        })
    }
}
