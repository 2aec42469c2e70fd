//! What is said to a client: messages, and the status that ends a call.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::http::StatusCode;
use futures_util::{Stream, stream};
use hyper::{
    HeaderMap, Response,
    body::{Body as HttpBody, Frame},
    header::{CONTENT_TYPE, HeaderValue},
};
use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
};
use schemas::Coded;
use tonic::{Code, Status, body::Body};

use super::watch::Turn;
use crate::{admit::Reservation, error::ServerError, metrics::Guard};

/// How much of an answer is given to HTTP/2 at once, which holds it until the client takes it.
const STEP: usize = 64 * 1024;
/// Which compressions of messages are understood.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,deflate,gzip");

/// Why a call ends without an answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Refused(ServerError),
    /// There is no such method.
    Unknown,
    /// The time that the client gives it is over.
    Late,
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    /// The status, with the error's code and, where it helps to try again, how long to wait, as metadata.
    pub(super) fn status(&self) -> Status {
        let error = match self {
            Self::Refused(error) => error,
            Self::Unknown => return Status::unimplemented("no such method; see inference.GRPCInferenceService"),
            Self::Late => return Status::deadline_exceeded("the call's deadline has passed, and its work was dropped"),
        };
        let mut status = Status::new(Code::from_i32(error.code().grpc_status()), error.to_string());
        if let Ok(code) = error.code().as_str().parse() {
            status.metadata_mut().insert("error-code", code);
        }
        if error.is_passing() {
            status.metadata_mut().insert("grpc-retry-pushback-ms", tonic::metadata::MetadataValue::from_static("1000"));
        }
        status
    }

    /// Records it. What came too late counts as cancelled, which is what a guard says by itself.
    fn count(&self, guard: &mut Guard) {
        match self {
            Self::Refused(error) => {
                let code = error.code();
                let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                guard.finish(status, Some(code.as_str()));
            }
            Self::Unknown => guard.finish(StatusCode::NOT_FOUND, None),
            Self::Late => {}
        }
    }
}

/// Records how a call has ended.
pub(super) fn count<T>(guard: &mut Guard, result: &Result<T, Failure>) {
    match result {
        Ok(_) => guard.finish(StatusCode::OK, None),
        Err(failure) => failure.count(guard),
    }
}

/// A message as it is sent.
pub(super) struct Payload {
    bytes: Bytes,
    /// Its share of the memory budget, if it takes any.
    _reservation: Option<Reservation>,
}

impl Payload {
    pub(super) fn new(message: &impl Message, reservation: Option<Reservation>) -> Result<Self, ServerError> {
        let length = message.encoded_len();
        let mut bytes = BytesMut::with_capacity(5 + length);
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(length).map_err(|_| ServerError::Internal)?);
        message.encode(&mut bytes).map_err(|_| ServerError::Internal)?;
        Ok(Self { bytes: bytes.freeze(), _reservation: reservation })
    }
}

type Payloads = Pin<Box<dyn Stream<Item = Result<Payload, Failure>> + Send>>;

/// Messages, and the status after the last one.
struct Said {
    payloads: Payloads,
    current: Option<Payload>,
    is_over: bool,
    turn: Arc<Turn>,
}

impl Said {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            if let Some(payload) = self.current.as_mut().filter(|payload| !payload.bytes.is_empty()) {
                let step = payload.bytes.len().min(STEP);
                return Poll::Ready(Some(Frame::data(payload.bytes.split_to(step))));
            }
            self.current = None;
            if self.is_over {
                return Poll::Ready(None);
            }
            let status = match ready!(self.payloads.as_mut().poll_next(context)) {
                Some(Ok(payload)) => {
                    self.current = Some(payload);
                    continue;
                }
                Some(Err(failure)) => failure.status(),
                None => Status::ok(""),
            };
            self.is_over = true;
            return Poll::Ready(Some(Frame::trailers(trailers(&status))));
        }
    }
}

impl HttpBody for Said {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.turn.is_ours();
        let frame = ready!(self.next(context));
        self.turn.is_theirs();
        Poll::Ready(frame.map(Ok))
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    trailers
}

/// The answer to a call that is answered once.
pub(super) fn once(result: Result<Payload, Failure>, turn: &Arc<Turn>) -> Response<Body> {
    turn.is_theirs();
    match result {
        Ok(payload) => many(stream::once(async { Ok(payload) }), turn),
        Err(failure) => headed(failure.status().into_http()),
    }
}

/// The answer to a call that is answered message by message.
pub(super) fn many<S>(payloads: S, turn: &Arc<Turn>) -> Response<Body>
where
    S: Stream<Item = Result<Payload, Failure>> + Send + 'static,
{
    let said = Said { payloads: Box::pin(payloads), current: None, is_over: false, turn: Arc::clone(turn) };
    headed(Response::new(Body::new(said)))
}

fn headed(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", ACCEPTED);
    response
}
