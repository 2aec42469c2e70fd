//! Calls: from the head of a request to the status that ends it.

use std::{sync::Arc, time::Duration};

use actix_web::web::Data;
use futures_util::{Stream, StreamExt, stream};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use prost::bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;

use super::{
    infer::infer,
    messages::{
        Empty, InferParameter, ModelInferResponse, ModelStreamInferResponse, ParameterChoice, RepositoryModelRequest,
    },
    methods::{Change, Method, Telling, read, tell},
    outline::Outline,
    receive::{Message, Messages, SMALL},
    reply::{Failure, Payload, count, many, once},
    watch::Turn,
};
use crate::{coding::Coding, error::ServerError, metrics::Guard, state::State};

/// Most requests of one stream that are worked on at once; they are answered in their order.
const AT_ONCE: usize = 16;

/// Answers calls.
#[derive(Clone)]
pub(super) struct Calls {
    state: Data<State>,
}

/// When the client does not want the answer any more.
#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    /// That of a call; none when its header makes no sense.
    fn of(headers: &HeaderMap) -> Self {
        let time = headers.get("grpc-timeout").and_then(|value| patience(value.to_str().ok()?));
        Self(time.and_then(|time| Instant::now().checked_add(time)))
    }

    /// Does the work until then, and drops it.
    async fn hold<T>(self, work: impl Future<Output = T>) -> Result<T, Failure> {
        match self.0 {
            Some(end) => timeout_at(end, work).await.map_err(|_| Failure::Late),
            None => Ok(work.await),
        }
    }
}

/// Up to eight digits and a unit.
fn patience(text: &str) -> Option<Duration> {
    let (unit, digits) = text.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(n * 3600)),
        b'M' => Some(Duration::from_secs(n * 60)),
        b'S' => Some(Duration::from_secs(n)),
        b'm' => Some(Duration::from_millis(n)),
        b'u' => Some(Duration::from_micros(n)),
        b'n' => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

impl Calls {
    pub(super) fn new(state: Data<State>) -> Self {
        Self { state }
    }

    /// Answers one. The work ends when the returned future, or the answer's body, is dropped.
    pub(super) async fn answer(self, request: Request<Incoming>, turn: Arc<Turn>) -> Response<Body> {
        if !is_grpc(request.headers()) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let (head, body) = request.into_parts();
        let method = Method::of(head.uri.path());
        let deadline = Deadline::of(&head.headers);
        let mut messages = Messages::new(body, head.headers, self.state.clone());
        if method == Some(Method::StreamInfer) {
            // Each of its requests is counted for itself.
            return many(self.stream(messages, deadline), &turn);
        }
        let mut guard = self.state.metrics.guard(method.map_or("grpc_other", Method::route));
        let result = match method {
            Some(Method::Tell(what)) => deadline.hold(self.told(what, &mut messages)).await.flatten(),
            Some(Method::Infer) => deadline.hold(self.inferred(&mut messages, &guard)).await.flatten(),
            Some(Method::Change(change)) => self.changed(change, &mut messages).await,
            Some(Method::StreamInfer) | None => Err(Failure::Unknown),
        };
        count(&mut guard, &result);
        once(result, &turn)
    }

    async fn told(&self, what: Telling, messages: &mut Messages) -> Result<Payload, Failure> {
        let message = messages.only(SMALL as u64).await?;
        let body = message.plain(&self.state, SMALL as u64)?;
        tell(what, &Bytes::from(body.bytes), &self.state)
    }

    /// Loads or unloads a model, which goes on when the client has gone.
    async fn changed(&self, change: Change, messages: &mut Messages) -> Result<Payload, Failure> {
        let message = messages.only(SMALL as u64).await?;
        let body = message.plain(&self.state, SMALL as u64)?;
        let RepositoryModelRequest { model_name, parameters } = read(&Bytes::from(body.bytes))?;
        match change {
            Change::Load if parameters.keys().any(|name| name != "unload_dependents") => {
                return Err(ServerError::other_files().into());
            }
            Change::Load => self.state.load(&model_name).await?,
            Change::Unload => self.state.unload(&model_name).await?,
        }
        Ok(Payload::new(&Empty {}, None)?)
    }

    async fn inferred(&self, messages: &mut Messages, guard: &Guard) -> Result<Payload, Failure> {
        let message = messages.only(self.state.limits.body_bytes()).await?;
        let (response, reservation) = infer(&self.state, message, guard.timings()).await?;
        Ok(Payload::new(&response, Some(reservation))?)
    }

    /// An answer for each message of a stream, in their order. What is wrong with one is said in place of its answer; what is wrong
    /// with the stream ends it.
    fn stream(
        self,
        messages: Messages,
        deadline: Deadline,
    ) -> impl Stream<Item = Result<Payload, Failure>> + Send + 'static {
        let limit = self.state.limits.body_bytes();
        let arriving = stream::unfold(Some(messages), move |messages| async move {
            let mut messages = messages?;
            match deadline.hold(messages.next(limit)).await {
                Ok(Ok(None)) => None,
                Ok(Ok(Some(message))) => Some((Ok(message), Some(messages))),
                Ok(Err(error)) => Some((Err(Failure::Refused(error)), None)),
                Err(late) => Some((Err(late), None)),
            }
        });
        arriving
            .map(move |message| {
                let calls = self.clone();
                async move { calls.one_of_many(message, deadline).await }
            })
            .buffered(AT_ONCE)
    }

    async fn one_of_many(&self, message: Result<Message, Failure>, deadline: Deadline) -> Result<Payload, Failure> {
        let mut guard = self.state.metrics.guard(Method::StreamInfer.route());
        let message = match message {
            Ok(message) => message,
            Err(failure) => {
                let result = Err(failure);
                count(&mut guard, &result);
                return result;
            }
        };
        let id = id_of(&message, &self.state);
        let result = deadline.hold(infer(&self.state, message, guard.timings())).await?.map_err(Failure::Refused);
        count(&mut guard, &result);
        Ok(match result {
            Ok((mut response, reservation)) => {
                response.parameters = last();
                let response =
                    ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) };
                Payload::new(&response, Some(reservation))?
            }
            Err(failure) => {
                let named = ModelInferResponse { id, parameters: last(), ..ModelInferResponse::default() };
                let error_message = failure.status().message().to_owned();
                Payload::new(&ModelStreamInferResponse { error_message, infer_response: Some(named) }, None)?
            }
        })
    }
}

/// The id of a request that may be refused, as far as it can be seen without undoing a compression.
fn id_of(message: &Message, state: &State) -> String {
    if message.coding != Coding::Identity {
        return String::new();
    }
    let outline = Outline::of(&message.body.bytes, state.limits.max_images);
    outline.map(|outline| outline.id.chars().take(schemas::prediction::MAX_ID_LENGTH).collect()).unwrap_or_default()
}

/// What Triton's clients read to know that a request has no further answer.
fn last() -> std::collections::BTreeMap<String, InferParameter> {
    let parameter = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
    [("triton_final_response".to_owned(), parameter)].into()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_the_protocol_writes_them() {
        for (text, time) in [
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("100000000S", None),
            ("S", None),
            ("", None),
            ("1", None),
            ("-1S", None),
            ("1s", None),
            ("1é", None),
        ] {
            assert_eq!(patience(text), time, "{text}");
        }
    }

    #[test]
    fn only_grpc_is_taken_for_grpc() {
        let of = |kind: &'static str| is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc;charset=utf-8"));
        assert!(!of("application/grpc-web") && !of("application/json") && !is_grpc(&HeaderMap::new()));
    }
}
